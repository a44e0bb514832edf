//! A store with threads seals by itself, and says then what one says that nobody seals.

use crate::history::{Subject, name, windows};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidelog_engine::{
    Aggregate, Batch, Delete, Device, DeviceSelector, Durability, Level, Options, Query, Stats,
    Store, TimeRange, Timestamp, Upkeep, ValueRef,
};
use tidelog_tests::disk::SimDisk;

const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;

/// A row of each of three devices every half minute.
fn write(store: &Store, from: i64, to: i64, salt: f64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for device in ["a", "b", "c,site=x"] {
        for time in (from..to).step_by(30_000_000_000) {
            let float = (time / MINUTE) as f64 / 8.0 + salt;
            let values = [("f", ValueRef::F64(float)), ("i", ValueRef::I64(time / MINUTE))];
            batch.push(device, time, values).unwrap();
        }
    }
    store.write(&batch, Durability::Os).unwrap();
}

/// Enough to fill half of the budget, so that all there is in memory is flushed.
fn fill(store: &Store, hour: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    let text = "x".repeat(100);
    for row in 0..4_500 {
        let values = [("s", ValueRef::String(&text)), ("i", ValueRef::I64(row))];
        batch.push("d", hour * HOUR + row * 500_000_000, values).unwrap();
    }
    store.write(&batch, Durability::Os).unwrap();
}

/// Twenty minutes of one device, over the border of two leaves.
fn delete(store: &Store) {
    let device = DeviceSelector::one(Device::parse("b").unwrap());
    let (from, to) = (Timestamp(HOUR - 10 * MINUTE), Timestamp(HOUR + 10 * MINUTE));
    let range = TimeRange::new(Some(from), Some(to)).unwrap();
    store.delete(&Delete::collection(&name()).devices(device).range(range)).unwrap();
}

/// What a query of the first four hours reads: leaves and rows.
fn touched(store: &Store) -> (u64, u64) {
    let range = Query::new().range(Some(Timestamp(0)), Some(Timestamp(4 * HOUR)));
    let mut answer = store.query(&name(), range.aggregates([Aggregate::Mean])).unwrap();
    answer.by_ref().for_each(|batch| drop(batch.unwrap()));
    (answer.explain().leaves, answer.explain().rows)
}

/// Waits until it is so; that it comes to be so is what is tested, not when.
fn wait(store: &Store, what: &str, so: impl Fn(&Stats) -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let stats = store.stats();
        if so(&stats) {
            return;
        }
        assert!(Instant::now() < end, "it never {what}: {stats:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_store_with_threads_seals_late_rows_and_deletes_by_itself() {
    let options = Options::new().upkeep(Upkeep::Background).groups(3).memory_budget(1 << 20);
    let store = options.open_on(Arc::new(SimDisk::new())).unwrap();
    let plain = Subject::new(false);
    let both = [&store, plain.store()];
    let sealed = |what: &str, hour: i64| {
        let before = store.stats().flushes;
        both.iter().for_each(|store| fill(store, hour));
        wait(&store, what, |stats| stats.flushes > before && stats.files_unsealed == 0);
    };
    both.iter().for_each(|store| write(store, 0, 4 * HOUR, 0.0));
    assert_eq!(touched(&store), (0, 3 * 480));
    sealed("sealed its first rows", 100);
    assert_eq!(touched(&store), (12, 0));
    // Half an hour once more, overwritten, and a minute between the rows that were there.
    both.iter().for_each(|store| write(store, 3 * HOUR, 3 * HOUR + 30 * MINUTE, 0.5));
    both.iter().for_each(|store| write(store, 2 * HOUR + 7, 2 * HOUR + MINUTE, 0.5));
    assert_eq!(touched(&store).0, 6, "two hours of four are overtaken");
    sealed("sealed late rows", 200);
    assert_eq!(touched(&store), (12, 0));
    both.iter().for_each(|store| delete(store));
    sealed("sealed a delete", 300);
    wait(&store, "sealed what a delete hides", |_| touched(&store) == (12, 0));
    let kept = Subject::of(store);
    for (what, query) in windows().into_iter().step_by(5) {
        assert_eq!(kept.ask(&query), plain.ask(&query), "{what}");
    }
    for level in [Level::Root, Level::Year, Level::Month, Level::Day, Level::Window, Level::Series]
    {
        let digests = |store: &Store| store.digests(&name(), level, TimeRange::ALL).unwrap();
        assert_eq!(digests(kept.store()), digests(plain.store()), "{level}");
    }
    let nothing = kept.store().seal().unwrap();
    assert_eq!((nothing.leaves, nothing.parents, nothing.windows), (0, 0, 0));
    kept.store().close().unwrap();
}
