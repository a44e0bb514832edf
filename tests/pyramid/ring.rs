//! A store with a bound on its bytes: the oldest goes, whole windows at a time, said and counted.

use crate::history::name;
use std::sync::Arc;
use tidelog_engine::{
    Aggregate, Batch, Durability, Every, GroupBy, Level, OpenError, Options, Query, Retention,
    Store, TimeRange, Timestamp, Unit, Upkeep, ValueRef, WriteError,
};
use tidelog_tests::disk::SimDisk;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const MAX: u64 = 1 << 20;

fn options() -> Options {
    let options = Options::new().upkeep(Upkeep::Caller).groups(2).memory_budget(1 << 20);
    options.max_bytes(MAX).ring(true)
}

fn open(disk: &SimDisk) -> Store {
    options().open_on(Arc::new(disk.clone())).unwrap()
}

/// An hour of values that no codec makes short.
fn fill(store: &Store, collection: &str, hour: i64, noise: &mut u64) {
    for device in ["a", "b"] {
        let mut batch = Batch::new(collection).unwrap();
        for second in (0..3600).step_by(2) {
            *noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let value = [("v", ValueRef::U64(*noise >> 8))];
            batch.push(device, hour * HOUR + second * SECOND, value).unwrap();
        }
        store.write(&batch, Durability::Os).unwrap();
    }
}

/// Rows of each hour that is there.
fn hours(store: &Store) -> Vec<(i64, u64)> {
    let unit = Every::Calendar { unit: Unit::Hour, zone: None };
    let query = Query::new().every(unit).aggregates([Aggregate::Count]).group_by(GroupBy::None);
    let rows = store.query(&name(), query).unwrap().collect_rows().unwrap();
    let count = |row: usize| match rows.columns[0].at(row) {
        Some(ValueRef::U64(count)) => count,
        other => panic!("{other:?}"),
    };
    (0..rows.rows()).map(|row| (rows.times[row] / HOUR, count(row))).collect()
}

#[test]
fn the_oldest_windows_go_and_the_rest_is_whole() {
    let disk = SimDisk::new();
    let mut store = open(&disk);
    let mut noise = 1;
    let mut evicted = 0;
    for hour in 0..120 {
        fill(&store, "plant.boiler", hour, &mut noise);
        store.flush().unwrap();
        assert!(store.stats().file_bytes <= MAX, "hour {hour}: {} bytes", store.stats().file_bytes);
        if hour % 31 == 30 {
            store.compact().unwrap();
        }
        if hour == 60 {
            evicted += store.stats().rows_evicted;
            drop(store);
            store = open(&disk);
        }
        let kept = hours(&store);
        assert_eq!(kept.last(), Some(&(hour, 3600)), "the newest stays");
        let first = kept[0].0;
        let whole: Vec<(i64, u64)> = (first..=hour).map(|hour| (hour, 3600)).collect();
        assert_eq!(kept, whole, "whole windows, without a gap");
    }
    let kept = hours(&store).len();
    assert!((15..60).contains(&kept), "{kept} hours are kept");
    evicted += store.stats().rows_evicted;
    assert_eq!(evicted, (120 - kept as u64) * 3600);
    // What is gone is gone in every tier and digest, and not written again.
    let first = hours(&store)[0].0 * HOUR;
    let range = TimeRange::inclusive(i64::MIN, first - 1).unwrap();
    assert_eq!(store.digests(&name(), Level::Window, range).unwrap(), []);
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("a", first - 1, [("v", ValueRef::U64(1))]).unwrap();
    let refused = store.write(&batch, Durability::Sync).unwrap_err();
    assert!(matches!(refused, WriteError::BelowCut { cut, .. } if cut == first), "{refused}");
    let early = Query::new().range(None, Some(Timestamp(first))).aggregates([Aggregate::Mean]);
    let (mut answer, mut rows) = (store.query(&name(), early).unwrap(), 0);
    answer.by_ref().for_each(|batch| rows += batch.unwrap().rows());
    assert_eq!((rows, answer.explain().rows_from), (0, Some(first)));
    assert!(store.check(|_, _| true).unwrap().is_clean());
}

/// One clock far ahead and one far behind must not keep the bound from holding, nor cost the others all they have.
#[test]
fn clocks_that_are_wrong_do_not_break_the_bound() {
    let store = open(&SimDisk::new());
    for time in [i64::MIN, i64::MAX] {
        let mut batch = Batch::new("plant.boiler").unwrap();
        batch.push("lost", time, [("v", ValueRef::U64(7))]).unwrap();
        store.write(&batch, Durability::Os).unwrap();
    }
    let (mut noise, mut kept) = (3, 0);
    for hour in 0..60 {
        fill(&store, "plant.boiler", hour, &mut noise);
        store.flush().unwrap();
        assert!(store.stats().file_bytes <= MAX, "hour {hour}: {} bytes", store.stats().file_bytes);
        kept = hours(&store).iter().filter(|(at, rows)| *rows == 3600 && *at <= hour).count();
    }
    assert!(kept >= 10, "{kept} hours are kept");
}

#[test]
fn retention_and_collections_share_a_ring() {
    let store = open(&SimDisk::new());
    let mut noise = 5;
    for hour in 0..96 {
        fill(&store, "plant.boiler", hour, &mut noise);
        fill(&store, "plant.other", hour, &mut noise);
        if hour == 30 {
            store.set_retention(&name(), Retention::rows(1)).unwrap();
        }
        store.flush().unwrap();
        assert!(store.stats().file_bytes <= MAX, "hour {hour}: {} bytes", store.stats().file_bytes);
    }
    store.compact().unwrap();
    let kept = hours(&store);
    assert_eq!(kept.last(), Some(&(95, 3600)));
    assert!(kept.iter().all(|(_, rows)| *rows == 3600), "{kept:?}");
}

#[test]
fn a_bound_without_a_ring_is_refused_where_nobody_else_holds_the_data() {
    let disk = SimDisk::new();
    let refused = Options::new().max_bytes(MAX).open_on(Arc::new(disk.clone())).unwrap_err();
    assert!(matches!(refused, OpenError::OnlyHolder { .. }), "{refused}");
    assert!(disk.files().is_empty(), "and nothing was made");
}
