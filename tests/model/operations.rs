//! Random sequences of everything that can be done to a store, each step followed by a look at all of it.

use crate::ask::{Ask, ask};
use crate::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::{CollectionName, Durability, Retention, Store, WriteError};
use tidelog_model::{StoreId, TimeRange, Value, Version};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::SimDisk;
use tidelog_tests::generate::{self, EPOCH};
use tidelog_tests::oracle::{Delete, Oracle, Query, RowRead, RowWrite};
use tidelog_tests::subject::{self, delete_of, submit, whole_answer, write};

/// Two collections of one database, one of another; the last only fills memory.
pub(crate) const NAMES: [&str; 3] = ["plant.boiler", "plant.grid", "other.ballast"];
const DAY: i64 = 86_400_000_000_000;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(usize, Vec<RowWrite>, Durability),
    Tickets(usize, Vec<Vec<RowWrite>>),
    Delete(usize, bool, Delete),
    /// Half a megabyte into another collection: memory is full, and the next write flushes first.
    Ballast,
    Flush,
    Compact,
    Reopen,
    /// Dies without a word, and is opened again.
    Kill,
    /// A reader beside the writer.
    Reader(usize, Ask),
    Retain(usize, u32),
    /// Days pass.
    Wait(u64),
    Ask(usize, Ask),
}

fn step() -> impl Strategy<Value = Step> {
    let durability = select(vec![
        Durability::Sync,
        Durability::Os,
        Durability::Interval(Duration::ZERO),
        Durability::Interval(Duration::from_secs(60)),
    ]);
    let rows = prop_oneof![3 => generate::rows(12), 1 => generate::series(30)];
    let batches = vec(generate::rows(5), 1..4);
    prop_oneof![
        12 => (0usize..2, rows, durability).prop_map(|(at, rows, how)| Step::Write(at, rows, how)),
        2 => (0usize..2, batches).prop_map(|(at, batches)| Step::Tickets(at, batches)),
        4 => (0usize..2, prop::bool::weighted(0.2), generate::delete())
            .prop_map(|(at, database, delete)| Step::Delete(at, database, delete)),
        1 => Just(Step::Ballast),
        4 => Just(Step::Flush),
        3 => Just(Step::Compact),
        2 => Just(Step::Reopen),
        2 => Just(Step::Kill),
        1 => (0usize..2, ask()).prop_map(|(at, ask)| Step::Reader(at, ask)),
        1 => (0usize..2, 0u32..40).prop_map(|(at, days)| Step::Retain(at, days)),
        1 => (1u64..30).prop_map(Step::Wait),
        10 => (0usize..2, ask()).prop_map(|(at, ask)| Step::Ask(at, ask)),
    ]
}

/// A store and its oracles.
pub(crate) struct World {
    disk: SimDisk,
    clock: SimClock,
    wall: i64,
    store: Option<Store>,
    oracles: [Oracle; 3],
    cuts: [i64; 3],
    keeps: [Option<u32>; 3],
    /// The newest time ever written, deleted or not.
    newest: [Option<i64>; 3],
    ballast: i64,
}

impl World {
    pub(crate) fn new() -> Self {
        let (disk, clock) = (SimDisk::new(), subject::clock(9));
        let store = subject::open(&disk, &clock).unwrap();
        World {
            disk,
            clock,
            wall: EPOCH,
            store: Some(store),
            oracles: Default::default(),
            cuts: [i64::MIN; 3],
            keeps: [None; 3],
            newest: [None; 3],
            ballast: 0,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().expect("open between steps")
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Write(at, rows, durability) => self.write(*at, rows, *durability),
            Step::Tickets(at, batches) => self.tickets(*at, batches),
            Step::Delete(at, database, delete) => self.delete(*at, *database, delete),
            Step::Ballast => self.fill_memory(),
            Step::Flush => self.store().flush().unwrap(),
            Step::Compact => {
                self.store().compact().unwrap();
                self.look_at_cuts(true);
                assert_eq!(self.store().stats().memory_rows, 0);
            }
            Step::Reopen => {
                self.store().close().unwrap();
                assert!(matches!(
                    write(self.store(), NAMES[0], &row_of_one(), Durability::Os),
                    Err(WriteError::Closed)
                ));
                self.open_again(self.disk.clone());
            }
            Step::Kill => {
                self.disk.kill();
                self.open_again(self.disk.restart());
            }
            Step::Reader(at, ask) => {
                let options = subject::options(&self.clock).read_only(true);
                let reader = options.open_on(Arc::new(self.disk.clone())).unwrap();
                assert!(reader.open_report().is_clean(), "{:?}", reader.open_report());
                ask.check(&reader, NAMES[*at], &self.oracles[*at], self.cuts[*at]);
                self.check_of(&reader);
                assert!(matches!(
                    write(&reader, NAMES[0], &row_of_one(), Durability::Os),
                    Err(WriteError::ReadOnly)
                ));
            }
            Step::Retain(at, days) => self.retain(*at, *days),
            Step::Wait(days) => {
                self.clock.advance(days * 86_400_000);
                self.wall += *days as i64 * DAY;
            }
            Step::Ask(at, ask) => {
                ask.check(self.store(), NAMES[*at], &self.oracles[*at], self.cuts[*at]);
            }
        }
        self.check();
    }

    fn open_again(&mut self, disk: SimDisk) {
        self.store = None;
        self.disk = disk;
        let store = subject::open(&self.disk, &self.clock).unwrap();
        assert!(store.open_report().is_clean(), "{:?}", store.open_report());
        self.store = Some(store);
    }

    /// Rows before the cut are refused, with all that came with them; the others are written.
    fn kept(&self, at: usize, rows: &[RowWrite]) -> Vec<RowWrite> {
        let kept: Vec<RowWrite> =
            rows.iter().filter(|row| row.time >= self.cuts[at]).cloned().collect();
        if kept.len() < rows.len() {
            let refused = write(self.store(), NAMES[at], rows, Durability::Sync);
            assert!(matches!(refused, Err(WriteError::BelowCut { .. })), "{refused:?}");
        }
        kept
    }

    fn write(&mut self, at: usize, rows: &[RowWrite], durability: Durability) {
        let rows = self.kept(at, rows);
        if rows.is_empty() {
            return;
        }
        let receipt = write(self.store(), NAMES[at], &rows, durability).unwrap();
        self.wrote(at, receipt.stamp, &rows);
    }

    fn wrote(&mut self, at: usize, stamp: tidelog_engine::Stamp, rows: &[RowWrite]) {
        self.oracles[at].write(self.version(stamp), rows);
        let newest = rows.iter().map(|row| row.time).max();
        self.newest[at] = self.newest[at].max(newest);
    }

    fn version(&self, stamp: tidelog_engine::Stamp) -> Version {
        Version { stamp, origin: StoreId([0; 16]) }
    }

    /// Several batches in flight; the last one is waited for first.
    fn tickets(&mut self, at: usize, batches: &[Vec<RowWrite>]) {
        let batches: Vec<Vec<RowWrite>> = batches
            .iter()
            .map(|rows| self.kept(at, rows))
            .filter(|rows| !rows.is_empty())
            .collect();
        let tickets: Vec<_> =
            batches.iter().map(|rows| submit(self.store(), NAMES[at], rows).unwrap()).collect();
        // Nobody has waited: no row of them is visible. Their fields are known already.
        let values = |rows: Vec<RowRead>| -> Vec<_> {
            let values = |row: RowRead| row.values.into_iter().flatten().collect::<Vec<_>>();
            rows.into_iter().map(|row| (row.device.clone(), row.time, values(row))).collect()
        };
        let query = Query { range: self.after_cut(at), ..Query::all() };
        let expected = values(self.oracles[at].rows(&query));
        assert_eq!(values(whole_answer(self.store(), NAMES[at]).unwrap()), expected);
        for (rows, ticket) in batches.iter().zip(tickets).rev() {
            let receipt = ticket.wait().unwrap();
            self.wrote(at, receipt.stamp, rows);
        }
    }

    fn delete(&mut self, at: usize, database: bool, delete: &Delete) {
        let stamp = self.store().delete(&delete_of(NAMES[at], database, delete).unwrap()).unwrap();
        let version = self.version(stamp);
        let database_of = |name: &str| name.split_once('.').unwrap().0.to_owned();
        for (other, oracle) in self.oracles.iter_mut().enumerate() {
            let concerned = database && database_of(NAMES[other]) == database_of(NAMES[at]);
            if other == at || concerned {
                oracle.delete(version, delete.clone());
            }
        }
    }

    fn fill_memory(&mut self) {
        self.ballast += 1;
        let row = RowWrite {
            device: tidelog_model::Device::named("ballast").unwrap(),
            time: self.ballast,
            values: vec![("bytes".into(), Value::Bytes(vec![7; 600_000]))],
        };
        self.write(2, &[row], Durability::Os);
    }

    fn retain(&mut self, at: usize, days: u32) {
        let name = CollectionName::parse(NAMES[at]).unwrap();
        let retention = if days == 0 { Retention::FOREVER } else { Retention::all(days) };
        match self.store().set_retention(&name, retention) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(self.newest[at], None, "{error}");
                return;
            }
        }
        self.keeps[at] = (days > 0).then_some(days);
        self.look_at_cuts(true);
    }

    /// Takes over the cuts that the store has made, if they are where they may be: whole days, never back, at
    /// the older of two clocks. How new the newest row is depends on whether a deleted one is still there.
    fn look_at_cuts(&mut self, moved: bool) {
        let all = self.store().collections().unwrap();
        for (at, name) in NAMES.iter().enumerate() {
            let Some(stats) = all.iter().find(|stats| stats.name.to_string() == *name) else {
                continue;
            };
            let cut = stats.cut.unwrap_or(i64::MIN);
            assert!(cut >= self.cuts[at], "a cut went back");
            assert_eq!(stats.retention.days("raw"), self.keeps[at]);
            if let (Some(days), true) = (self.keeps[at], moved) {
                let at_most = |newest: i64| {
                    let today = self.wall.min(newest).div_euclid(DAY);
                    today.saturating_sub(i64::from(days) - 1).saturating_mul(DAY)
                };
                let visible = self.oracles[at].rows(&Query::all()).iter().map(|row| row.time).max();
                let least = visible.map_or(i64::MIN, at_most);
                let most = self.newest[at].map_or(i64::MIN, at_most).max(self.cuts[at]);
                assert!((least..=most).contains(&cut), "{cut} is not in {least}..={most}");
            } else {
                assert_eq!(cut, self.cuts[at]);
            }
            self.cuts[at] = cut;
        }
    }

    /// All rows of all collections are those of the oracles.
    pub(crate) fn check(&self) {
        self.check_of(self.store());
    }

    fn check_of(&self, store: &Store) {
        for (at, name) in NAMES.into_iter().enumerate() {
            let query = Query { range: self.after_cut(at), ..Query::all() };
            let (found, expected) =
                (whole_answer(store, name).unwrap(), self.oracles[at].rows(&query));
            assert_eq!(found.len(), expected.len(), "{name} rows\n{}", differ(&found, &expected));
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{name}");
            }
        }
    }

    fn after_cut(&self, at: usize) -> TimeRange {
        TimeRange::inclusive(self.cuts[at], i64::MAX).unwrap()
    }

    /// What is checked when all steps are done: the same from files alone, dense and not, and after a death.
    pub(crate) fn finish(&mut self) {
        for step in [Step::Kill, Step::Flush, Step::Reopen, Step::Compact, Step::Kill] {
            self.step(&step);
        }
    }
}

fn differ(found: &[RowRead], expected: &[RowRead]) -> String {
    let key = |row: &RowRead| format!("{} {}", row.device.as_str(), row.time);
    let (found, expected): (Vec<String>, Vec<String>) =
        (found.iter().map(key).collect(), expected.iter().map(key).collect());
    let only = |a: &[String], b: &[String]| {
        let only: Vec<String> = a.iter().filter(|key| !b.contains(key)).cloned().collect();
        only.join("; ")
    };
    format!("only found: {}\nonly expected: {}", only(&found, &expected), only(&expected, &found))
}

fn row_of_one() -> Vec<RowWrite> {
    vec![RowWrite {
        device: tidelog_model::Device::named("nobody").unwrap(),
        time: i64::MAX,
        values: Vec::new(),
    }]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(64)) })]

    #[test]
    fn whatever_is_done_the_answers_are_those_of_the_oracle(steps in vec(step(), 1..40)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}
