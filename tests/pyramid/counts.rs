//! What sealing makes and what queries touch, counted: no node more than needed.

use crate::history::name;
use std::sync::Arc;
use tidelog_engine::{
    Aggregate, Batch, Delete, Device, DeviceSelector, Durability, Every, Explain, LeafWidth, Level,
    Options, Query, Store, TimeRange, Unit, Upkeep, ValueRef,
};
use tidelog_tests::disk::SimDisk;

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 1440 * MINUTE;

fn open(disk: &SimDisk) -> Store {
    let options = Options::new().upkeep(Upkeep::Caller).groups(2);
    options.open_on(Arc::new(disk.clone())).unwrap()
}

/// Rows of some devices, every 30 s.
fn fill(store: &Store, devices: usize, from: i64, to: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for device in 0..devices {
        for time in (from..to).step_by(30_000_000_000) {
            let value = (time / MINUTE) as f64 / 8.0 + device as f64;
            batch.push(&format!("pump_{device}"), time, [("level", ValueRef::F64(value))]).unwrap();
        }
    }
    store.write(&batch, Durability::Os).unwrap();
}

fn ask(store: &Store, query: Query) -> (usize, Explain) {
    let mut answer = store.query(&name(), query.aggregates([Aggregate::Mean])).unwrap();
    let rows = answer.by_ref().map(|batch| batch.unwrap().rows()).sum();
    (rows, answer.explain())
}

#[test]
fn one_late_row_makes_one_leaf_three_parents_and_one_path_of_digests() {
    let disk = SimDisk::new();
    let store = open(&disk);
    fill(&store, 20, 0, 40 * DAY);
    let first = store.seal().unwrap();
    assert_eq!((first.leaves, first.parents), (20 * 40 * 24, 20 * (40 + 2 + 1)));
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_7", 3 * DAY + 17, [("level", ValueRef::F64(1e6))]).unwrap();
    store.write(&batch, Durability::Os).unwrap();
    let before = store.stats().sealed_bytes;
    let late = store.seal().unwrap();
    assert_eq!((late.leaves, late.parents), (1, 3));
    assert_eq!(late.windows, 4, "a leaf window, its day, month and year");
    let written = store.stats().sealed_bytes - before;
    assert!(written <= 64 << 10, "{written} bytes");
    // An empty delete and an equal value change nothing that is stored, and leave nothing to be done.
    let none =
        Delete::collection(&name()).devices(DeviceSelector::one(Device::parse("nobody").unwrap()));
    store.delete(&none).unwrap();
    let nothing = store.seal().unwrap();
    assert_eq!((nothing.leaves, nothing.parents), (0, 0));
}

#[test]
fn whole_windows_come_from_the_coarsest_nodes_and_edges_from_finer_ones() {
    let disk = SimDisk::new();
    let store = open(&disk);
    fill(&store, 3, 0, 70 * DAY);
    let raw = ask(&store, Query::new());
    assert_eq!((raw.1.rows, raw.1.leaves), (3 * 70 * 2880, 0), "nothing is sealed yet");
    store.seal().unwrap();
    let range = |from: i64, to: i64| {
        let stamp = |time| Some(tidelog_engine::Timestamp(time));
        Query::new().range(stamp(from), stamp(to))
    };
    let day = Every::Calendar { unit: Unit::Day, zone: None };
    let (windows, touched) = ask(&store, Query::new().every(day));
    assert_eq!((windows, touched.days, touched.leaves, touched.rows), (210, 210, 0, 0));
    // January and February are whole months, ten days of March are days.
    let (_, touched) = ask(&store, range(0, 70 * DAY));
    assert_eq!((touched.months, touched.days, touched.rows), (3 * 2, 3 * 11, 0));
    // Half an hour at both ends comes from rows.
    let (_, touched) = ask(&store, range(30 * MINUTE, 2 * DAY + 30 * MINUTE));
    assert_eq!((touched.days, touched.leaves, touched.rows), (3, 3 * 23, 3 * 2 * 60));
    // A local day in a zone of half hours: whole hours between its halves.
    let zone = Some("Asia/Kolkata".to_owned());
    let (_, touched) =
        ask(&store, range(10 * DAY, 12 * DAY).every(Every::Calendar { unit: Unit::Day, zone }));
    assert_eq!((touched.leaves, touched.rows), (3 * (18 + 23 + 5), 3 * 2 * 120));
    // New rows make their leaves, and nothing else, come from rows.
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_1", 5 * DAY + 1, [("level", ValueRef::F64(3.0))]).unwrap();
    store.write(&batch, Durability::Os).unwrap();
    for _ in 0..2 {
        let (_, touched) = ask(&store, range(0, 31 * DAY));
        assert_eq!((touched.months, touched.days, touched.leaves), (2, 30, 23));
        assert_eq!(touched.rows, 121);
        store.flush().unwrap();
    }
}

#[test]
fn leaves_of_a_quarter_hour_serve_zones_of_half_hours() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.create_collection(&name(), LeafWidth::QuarterHour).unwrap();
    fill(&store, 1, 0, DAY);
    store.seal().unwrap();
    // Thirty rows a leaf are too few to be stored, so rows answer, and the same.
    let zone = Some("Asia/Kolkata".to_owned());
    let (_, touched) = ask(&store, Query::new().every(Every::Calendar { unit: Unit::Day, zone }));
    assert_eq!((touched.leaves, touched.rows), (0, 2880));
}

#[test]
fn a_reader_beside_the_writer_has_the_digests_of_all_rows() {
    let disk = SimDisk::new();
    let store = open(&disk);
    fill(&store, 4, 0, 2 * DAY);
    store.seal().unwrap();
    fill(&store, 4, 2 * DAY, 2 * DAY + 300 * MINUTE);
    let reader = Options::new().read_only(true).open_on(Arc::new(disk.clone())).unwrap();
    for level in [Level::Root, Level::Day, Level::Series] {
        let expected = store.digests(&name(), level, TimeRange::ALL).unwrap();
        assert_eq!(reader.digests(&name(), level, TimeRange::ALL).unwrap(), expected);
    }
}

/// Too few rows to be stored anywhere: the tree is made of them all the same.
#[test]
fn one_row_alone_has_a_root_before_and_after_sealing() {
    let disk = SimDisk::new();
    let store = open(&disk);
    fill(&store, 1, -MINUTE, -MINUTE + 1);
    let root = || store.digests(&name(), Level::Root, TimeRange::ALL).unwrap();
    let before = root();
    assert_eq!(before.len(), 1);
    store.seal().unwrap();
    assert_eq!(root(), before);
    store.compact().unwrap();
    assert_eq!(root(), before);
}
