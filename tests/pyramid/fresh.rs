//! Sealing at a flush, from the rows in hand: which leaves, and that nothing else tells it from sealing files.

use crate::history::name;
use std::sync::Arc;
use tidelog_engine::{
    Aggregate, Batch, Delete, Durability, Every, Level, Options, Query, Store, TimeRange,
    Timestamp, Unit, Upkeep, ValueRef,
};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::lines::lines_of;

const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const DEVICES: usize = 3;

fn open(disk: &SimDisk) -> Store {
    let options = Options::new().upkeep(Upkeep::Caller).groups(1);
    options.open_on(Arc::new(disk.clone())).unwrap()
}

/// Rows of all devices, every 30 s.
fn fill(store: &Store, from: i64, to: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for device in 0..DEVICES {
        for time in (from..to).step_by(30_000_000_000) {
            let value = ValueRef::F64((time / MINUTE) as f64 / 8.0 + device as f64);
            batch.push(&format!("pump_{device}"), time, [("level", value)]).unwrap();
        }
    }
    store.write(&batch, Durability::Os).unwrap();
}

fn one(store: &Store, time: i64, field: &str, value: f64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_1", time, [(field, ValueRef::F64(value))]).unwrap();
    store.write(&batch, Durability::Os).unwrap();
}

/// Leaves, days and above, windows of the tree, and rows that were looked at since the last time.
struct Sealed<'a>(&'a Store, [u64; 4]);

impl Sealed<'_> {
    fn since(&mut self) -> [u64; 4] {
        let stats = self.0.stats();
        let now =
            [stats.sealed_leaves, stats.sealed_parents, stats.sealed_windows, stats.sealed_rows];
        let before = std::mem::replace(&mut self.1, now);
        std::array::from_fn(|at| now[at] - before[at])
    }
}

/// A store with the same rows, all sealed from files at once.
fn digests_are_those_of(store: &Store, fills: impl Fn(&Store)) {
    let other = open(&SimDisk::new());
    fills(&other);
    other.seal().unwrap();
    for level in [Level::Root, Level::Year, Level::Day, Level::Window, Level::Series] {
        let digests = |store: &Store| store.digests(&name(), level, TimeRange::ALL).unwrap();
        assert_eq!(digests(store), digests(&other), "{level:?}");
    }
    let means = |store: &Store| {
        let day = Every::Calendar { unit: Unit::Day, zone: None };
        let query = Query::new().every(day).aggregates([Aggregate::Mean, Aggregate::Count]);
        let answer = store.query(&name(), query).unwrap();
        let fields = answer.fields().to_vec();
        lines_of(&fields, &answer.collect_rows().unwrap())
    };
    assert_eq!(means(store), means(&other));
}

#[test]
fn a_flush_seals_the_leaves_that_are_over_and_keeps_the_others_in_hand() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut sealed = Sealed(&store, [0; 4]);
    fill(&store, 0, 90 * MINUTE);
    store.flush().unwrap();
    // The first hour of each. The day is not over, so it waits.
    assert_eq!(sealed.since(), [3, 0, 1, 3 * 120]);
    fill(&store, 90 * MINUTE, 100 * MINUTE);
    store.flush().unwrap();
    assert_eq!(sealed.since(), [0, 0, 0, 0], "the second hour is not over yet");
    fill(&store, 100 * MINUTE, 3 * HOUR);
    store.flush().unwrap();
    // The second hour lies in three files, and none of them was read.
    assert_eq!(sealed.since(), [3, 0, 1, 3 * 120]);
    assert_eq!(store.stats().files_unsealed, 1, "only the last file has rows of an open leaf");
    let hours = Query::new()
        .range(Some(Timestamp(0)), Some(Timestamp(2 * HOUR)))
        .aggregates([Aggregate::Mean]);
    let mut answer = store.query(&name(), hours).unwrap();
    let rows: usize = answer.by_ref().map(|batch| batch.unwrap().rows()).sum();
    let touched = answer.explain();
    assert_eq!((rows, touched.leaves, touched.rows), (3, 6, 0));
    digests_are_those_of(&store, |other| fill(other, 0, 3 * HOUR));
    // What is left is the open leaf and what stands above it.
    let report = store.seal().unwrap();
    assert_eq!((report.leaves, report.parents, report.windows), (3, 9, 4));
    sealed.since();
    // Its rows are in hand still: a longer leaf takes the place of the one just sealed.
    fill(&store, 3 * HOUR, 25 * HOUR);
    store.flush().unwrap();
    // Hours 2 to 23 and their day; hour 24, the month and the year are open.
    assert_eq!(sealed.since()[..3], [3 * 22, 3, 22 + 1]);
    digests_are_those_of(&store, |other| fill(other, 0, 25 * HOUR));
}

#[test]
fn late_rows_overwritten_rows_and_deletes_between_flushes_are_sealed_right() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let steps: [&dyn Fn(&Store); 5] = [
        &|store| fill(store, 0, 26 * HOUR + 20 * MINUTE),
        &|store| {
            // Late, into a leaf that is kept, into one that is over, and a new field.
            one(store, 26 * HOUR + 5 * MINUTE, "level", -1.0);
            one(store, 26 * HOUR + 5 * MINUTE + 7, "flow", 2.0);
            one(store, 3 * HOUR, "level", 4.5);
            fill(store, 26 * HOUR + 20 * MINUTE, 30 * HOUR);
        },
        &|store| {
            let range = TimeRange::inclusive(29 * HOUR + MINUTE, 29 * HOUR + 9 * MINUTE).unwrap();
            store.delete(&Delete::collection(&name()).range(range)).unwrap();
            fill(store, 30 * HOUR, 30 * HOUR + 10 * MINUTE);
        },
        &|store| one(store, 2 * DAY - 1, "level", 1.0),
        &|store| fill(store, 2 * DAY, 2 * DAY + 70 * MINUTE),
    ];
    for (at, step) in steps.iter().enumerate() {
        step(&store);
        store.flush().unwrap();
        digests_are_those_of(&store, |other| steps[..=at].iter().for_each(|step| step(other)));
    }
    let late = store.seal().unwrap();
    assert!(late.leaves < 30, "{} leaves are made anew", late.leaves);
    drop(store);
    // What was kept in memory is gone, and nothing is missing.
    let store = open(&disk);
    fill(&store, 2 * DAY + 70 * MINUTE, 2 * DAY + 200 * MINUTE);
    store.flush().unwrap();
    let all = |other: &Store| {
        steps.iter().for_each(|step| step(other));
        fill(other, 2 * DAY + 70 * MINUTE, 2 * DAY + 200 * MINUTE);
    };
    digests_are_those_of(&store, all);
    store.seal().unwrap();
    digests_are_those_of(&store, all);
}

/// Sealed at each flush they would be made anew again and again.
#[test]
fn a_flush_with_many_late_rows_seals_nothing() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut sealed = Sealed(&store, [0; 4]);
    fill(&store, 10 * HOUR, 12 * HOUR);
    store.flush().unwrap();
    assert_eq!(sealed.since()[0], 3);
    fill(&store, 2 * HOUR, 3 * HOUR);
    fill(&store, 12 * HOUR, 14 * HOUR);
    store.flush().unwrap();
    assert_eq!(sealed.since(), [0; 4]);
    let report = store.seal().unwrap();
    assert_eq!(report.leaves, 3 * (1 + 1 + 2), "the late hour, the one that was open, two more");
}
