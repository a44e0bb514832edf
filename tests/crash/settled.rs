//! A death at each call of taking settled nodes of another store: all of them are there or none, and the digests and
//! answers are those of one or the other.

use crate::{long, report};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tidelog_engine::{
    Aggregate, CollectionName, Durability, Every, GroupId, Level, Query, Retention, Store,
    TimeRange, Unit,
};
use tidelog_model::{Device, Value};
use tidelog_tests::disk::{SimDisk, sweep};
use tidelog_tests::generate::EPOCH;
use tidelog_tests::lines::lines;
use tidelog_tests::oracle::RowWrite;
use tidelog_tests::subject::{self, write};

const NAME: &str = "plant.boiler";
const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 1440 * MINUTE;
const GROUP: GroupId = GroupId(0);

fn name() -> CollectionName {
    CollectionName::parse(NAME).unwrap()
}

/// Rows of five days, all but one settled; every so-many-th row is another one's.
fn fill(store: &Store, step: i64) {
    let device = (0..).map(|number| Device::named(&format!("pump_{number}")).unwrap());
    let device = device.into_iter().find(|one| store.group_of(&name(), one) == GROUP).unwrap();
    let start = EPOCH - EPOCH.rem_euclid(DAY) - 5 * DAY;
    let row = |at: i64| RowWrite {
        device: device.clone(),
        time: start + at * 4 * MINUTE,
        values: vec![("level".into(), Value::I64(at % step))],
    };
    let rows: Vec<RowWrite> = (0..1800).filter(|at| at % 700 / 30 != step).map(row).collect();
    for some in rows.chunks(300) {
        write(store, NAME, some, Durability::Os).unwrap();
    }
    store.seal().unwrap();
    store.set_retention(&name(), "raw=1d,1h=3d".parse::<Retention>().unwrap()).unwrap();
}

fn read(store: &Store) -> Vec<String> {
    let root = store.digests(&name(), Level::Root, TimeRange::ALL).unwrap();
    let mut all = vec![format!("{root:?}")];
    for unit in [Unit::Day, Unit::Year] {
        let query = Query::new().threads(1).every(Every::Calendar { unit, zone: None });
        let query = query.aggregates([Aggregate::Count, Aggregate::Sum, Aggregate::Last]);
        all.extend(lines(store, &name(), query).unwrap());
    }
    all
}

#[test]
fn taking_settled_nodes() {
    let start = SimDisk::new();
    let store = subject::open(&start, &subject::clock(1)).unwrap();
    fill(&store, 7);
    let peer = subject::open(&SimDisk::new(), &subject::clock(4)).unwrap();
    fill(&peer, 11);
    let claims = peer.settled_claims(GROUP, &name(), TimeRange::ALL, None, 1000).unwrap().claims;
    let wanted: Vec<(i64, &str)> =
        claims.iter().map(|claim| (claim.window.first(), &*claim.device)).collect();
    let nodes = peer.settled_nodes(GROUP, &name(), &wanted, usize::MAX).unwrap().nodes;
    let before = read(&store);
    drop(store);
    start.kill();
    let start = start.restart();
    let after = {
        let disk = start.restart();
        let store = subject::open(&disk, &subject::clock(2)).unwrap();
        let taken = store.take_settled(GROUP, &name(), &nodes).unwrap();
        assert!(taken.taken > 5 && taken.known > 5, "{taken:?}");
        read(&store)
    };
    assert_ne!(before, after);
    let work = |disk: &SimDisk| {
        let Ok(store) = subject::open(disk, &subject::clock(2)) else { return false };
        let taken = store.take_settled(GROUP, &name(), &nodes).is_ok();
        disk.kill();
        taken
    };
    // Deaths at calls that only read leave the same disk again and again.
    let distinct: RefCell<BTreeSet<_>> = RefCell::default();
    let swept = sweep(&start, if long() { 64 } else { 8 }, work, |disk, taken| {
        let contents = disk.files().into_iter().map(|(path, _)| (disk.contents(&path), path));
        if !distinct.borrow_mut().insert((contents.collect::<Vec<_>>(), *taken)) {
            return;
        }
        let disk = &disk.restart();
        let store = subject::open(disk, &subject::clock(3)).unwrap();
        let found = read(&store);
        assert!(found == after || (!taken && found == before), "taken: {taken}, {found:?}");
        assert_eq!(store.check(|_, _| true).unwrap().findings, []);
        store.take_settled(GROUP, &name(), &nodes).unwrap();
        store.compact().unwrap();
        assert_eq!(read(&store), after, "it goes on");
    });
    report("taking settled nodes", swept);
}
