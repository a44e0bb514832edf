//! Histories of a store, and questions to it.

use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Delete, Device, DeviceSelector, Digest, Durability, Every,
    GroupBy, Level, Options, Query, Store, TimeRange, Timestamp, Unit, Upkeep, ValueRef,
};
use tidelog_tests::disk::SimDisk;

/// Some rows of one device.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    device: usize,
    start: i64,
    step: i64,
    count: usize,
    /// Which fields the rows have, and what values come from.
    seed: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write(Vec<Rows>),
    Delete(Delete),
    Flush,
    Compact,
    Seal,
    Reopen,
}

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 1440 * MINUTE;

pub(crate) fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

fn device(number: usize) -> Device {
    Device::parse(["a", "b", "c,site=x", "d"][number % 4]).unwrap()
}

/// Mostly near 1970-01-01, so that writes meet; across days, months and years.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (-2 * DAY..2 * DAY).prop_map(|time| time / MINUTE * MINUTE),
        2 => (-500i64..500).prop_map(|day| day * DAY),
        1 => proptest::sample::select(vec![i64::MIN, i64::MIN + 5, i64::MAX - 40_000 * MINUTE, -1, 0]),
    ]
}

fn rows() -> impl Strategy<Value = Rows> {
    let step = prop_oneof![
        4 => Just(MINUTE / 6),
        2 => Just(MINUTE),
        2 => Just(37 * MINUTE),
        1 => Just(1),
        1 => Just(9 * DAY),
    ];
    let count = prop_oneof![4 => 1usize..30, 2 => 60usize..500, 1 => 1_000usize..1_500];
    (0usize..4, time(), step, count, any::<u64>())
        .prop_map(|(device, start, step, count, seed)| Rows { device, start, step, count, seed })
}

fn delete() -> impl Strategy<Value = Delete> {
    let devices = prop_oneof![
        3 => (0usize..4).prop_map(|number| DeviceSelector::one(device(number))),
        1 => Just(DeviceSelector::all()),
        1 => Just(DeviceSelector { labels: vec![("site".into(), "x".into())], ..DeviceSelector::all() }),
    ];
    let fields =
        prop_oneof![2 => Just(None), 1 => Just(Some(vec!["f", "s"])), 1 => Just(Some(vec!["i"]))];
    let range = prop_oneof![
        3 => (time(), 0i64..3000).prop_map(|(from, minutes)| {
            (Some(from), Some(from.saturating_add(minutes * MINUTE)))
        }),
        1 => Just((None, None)),
        1 => time().prop_map(|from| (Some(from), None)),
    ];
    (devices, fields, range).prop_map(|(devices, fields, (from, to))| {
        let range = TimeRange::new(from.map(Timestamp), to.map(Timestamp));
        let delete = Delete::collection(&name()).devices(devices);
        let delete = delete.range(range.unwrap_or(TimeRange::inclusive(7, 7).unwrap()));
        match fields {
            Some(fields) => delete.fields(fields).unwrap(),
            None => delete,
        }
    })
}

pub(crate) fn histories() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => proptest::collection::vec(rows(), 1..4).prop_map(Op::Write),
        2 => delete().prop_map(Op::Delete),
        3 => Just(Op::Flush),
        1 => Just(Op::Compact),
        3 => Just(Op::Seal),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..24)
}

/// A store on a disk of its own.
pub(crate) struct Subject {
    disk: SimDisk,
    store: Option<Store>,
    pyramid: bool,
}

impl Subject {
    pub(crate) fn new(pyramid: bool) -> Self {
        let mut subject = Subject { disk: SimDisk::new(), store: None, pyramid };
        subject.open();
        subject
    }

    /// One that is open already; it is not reopened.
    pub(crate) fn of(store: Store) -> Self {
        Subject { disk: SimDisk::new(), store: Some(store), pyramid: true }
    }

    fn open(&mut self) {
        self.store = None;
        let options = Options::new().pyramid(self.pyramid).upkeep(Upkeep::Caller).groups(3);
        self.store = Some(options.open_on(Arc::new(self.disk.clone())).unwrap());
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(rows) => self.write(rows),
            Op::Delete(delete) => {
                // Nobody has written yet.
                let _ = self.store().delete(delete);
            }
            Op::Flush => self.store().flush().unwrap(),
            Op::Compact => self.store().compact().unwrap(),
            Op::Seal => drop(self.store().seal().unwrap()),
            Op::Reopen => self.open(),
        }
    }

    fn write(&mut self, all: &[Rows]) {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for rows in all {
            let device = device(rows.device);
            for row in 0..rows.count as i64 {
                let Some(time) = rows.step.checked_mul(row).and_then(|t| t.checked_add(rows.start))
                else {
                    break;
                };
                let seed = rows
                    .seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add((row as u64) << 17);
                push(&mut batch, &device, time, seed);
            }
        }
        self.store().write(&batch, Durability::Os).unwrap();
    }

    /// Writes one more value into a row.
    pub(crate) fn overwrite(&mut self, device: &str, time: i64) {
        let mut batch = Batch::new("plant.boiler").unwrap();
        let device = Device::from_canonical(device).unwrap();
        batch.push(&device.to_text(), time, [("i", ValueRef::I64(4_242))]).unwrap();
        self.store().write(&batch, Durability::Os).unwrap();
    }

    pub(crate) fn remove(&mut self, device: &str, time: i64) {
        let device = DeviceSelector::one(Device::from_canonical(device).unwrap());
        let range = TimeRange::inclusive(time, time).unwrap();
        let delete = Delete::collection(&name()).devices(device).range(range);
        self.store().delete(&delete).unwrap();
    }

    /// Every row that there is.
    pub(crate) fn rows(&self) -> Vec<(Arc<str>, i64)> {
        let Ok(answer) = self.store().query(&name(), Query::new()) else { return Vec::new() };
        let all = answer.collect_rows().unwrap();
        (0..all.rows()).map(|row| (Arc::clone(all.device(row).unwrap()), all.times[row])).collect()
    }

    /// The answer, with the bits of its values.
    pub(crate) fn ask(&self, query: &Query) -> String {
        match self
            .store()
            .query(&name(), query.clone())
            .map(|answer| (answer.fields().to_vec(), answer.collect_rows()))
        {
            Err(error) => error.to_string(),
            Ok((_, Err(error))) => error.to_string(),
            Ok((fields, Ok(rows))) => {
                let mut text = format!("{fields:?}\n");
                for row in 0..rows.rows() {
                    text += &format!("{:?} {}", rows.device(row), rows.times[row]);
                    for column in &rows.columns {
                        match column.at(row) {
                            Some(ValueRef::F64(value)) => {
                                text += &format!(" {:x}", value.to_bits())
                            }
                            other => text += &format!(" {other:?}"),
                        }
                    }
                    text.push('\n');
                }
                text
            }
        }
    }

    pub(crate) fn root(&self) -> Option<Digest> {
        let rows = self.store().digests(&name(), Level::Root, TimeRange::ALL).unwrap();
        rows.first().map(|row| row.digest)
    }
}

/// A row whose fields and values follow from a seed.
fn push(batch: &mut Batch, device: &Device, time: i64, seed: u64) {
    let mixed = (seed ^ seed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let small = (mixed >> 40) as i64 % 1000 - 500;
    let float = match mixed % 41 {
        0 => f64::NAN,
        1 => -0.0,
        2 => f64::INFINITY,
        3 => f64::from_bits(mixed),
        _ => small as f64 / 8.0 + 0.1,
    };
    let text = ["", "on", "off"][(mixed >> 20) as usize % 3];
    let all = [
        ("f", ValueRef::F64(float)),
        ("i", ValueRef::I64(if mixed.is_multiple_of(97) { i64::MIN } else { small })),
        ("s", ValueRef::String(text)),
        ("u", ValueRef::U64(mixed >> (mixed % 64))),
        ("b", ValueRef::Bool(mixed >> 33 & 1 == 1)),
        ("n", ValueRef::F32(small as f32)),
    ];
    let mask = if seed.is_multiple_of(3) { mixed >> 5 } else { 0b1_0111 };
    let there = all.into_iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1);
    batch.push(&device.to_text(), time, there.map(|(_, value)| value)).unwrap();
}

/// Questions that nodes can answer in whole or in part.
pub(crate) fn windows() -> Vec<(String, Query)> {
    let everies = [
        None,
        Some(Every::Duration(Duration::from_secs(3600))),
        Some(Every::Duration(Duration::from_secs(900))),
        Some(Every::Duration(Duration::from_secs(5 * 3600))),
        Some(Every::Calendar { unit: Unit::Day, zone: None }),
        Some(Every::Calendar { unit: Unit::Day, zone: Some("Asia/Kathmandu".into()) }),
        Some(Every::Calendar { unit: Unit::Week, zone: Some("America/St_Johns".into()) }),
        Some(Every::Calendar { unit: Unit::Month, zone: None }),
        Some(Every::Calendar { unit: Unit::Year, zone: Some("Australia/Lord_Howe".into()) }),
    ];
    let any_type = [Aggregate::Count, Aggregate::First, Aggregate::Last];
    let mut all = Vec::new();
    for every in everies {
        for (range, from, to) in
            [("all", None, None), ("part", Some(-DAY - 17 * MINUTE), Some(DAY * 3 / 2 + 1))]
        {
            for (what, fields, aggregates) in [
                (
                    "numbers",
                    vec!["f", "i", "u", "n"],
                    Aggregate::ALL.iter().copied().filter(|a| *a != Aggregate::Sum).collect(),
                ),
                ("sums", vec!["f", "i", "n"], vec![Aggregate::Sum]),
                // Of floats alone these come straight from the columns of nodes.
                ("float sums", vec!["f"], vec![Aggregate::Mean, Aggregate::Sum]),
                ("any", vec!["s", "b", "f"], any_type.to_vec()),
            ] {
                let mut query = Query::new().fields(fields).aggregates(aggregates);
                query = query.range(from.map(Timestamp), to.map(Timestamp));
                if let Some(every) = &every {
                    query = query.every(every.clone());
                }
                all.push((format!("{what} {range} {every:?}"), query.clone()));
                all.push((
                    format!("{what} {range} {every:?} together"),
                    query.group_by(GroupBy::None),
                ));
            }
        }
    }
    all
}
