//! Queries: whole batches, right order, bounded memory.

use crate::{SECOND, all, name, open_on, put, rows, steady};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidelog_engine::{
    Aggregate, Batch, Delete, Device, DeviceSelector, Durability, Options, Order, Query,
    QueryError, Store, TimeRange, ValueRef,
};
use tidelog_tests::disk::{Detail, SimDisk};

/// S59, S80, S-B29: theirs hands out a slice of the live array, and knows no batch of many devices.
#[test]
fn readers_see_each_batch_whole_while_it_is_written_flushed_and_compacted() {
    const DEVICES: usize = 40;
    const BATCHES: i64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().groups(16).open(dir.path()).unwrap();
    store.write(&rows(DEVICES, 0..1), Durability::Os).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let answer = all(&store);
                    let mut by_device: BTreeMap<&str, usize> = BTreeMap::new();
                    for row in 0..answer.rows() {
                        *by_device.entry(answer.device(row).unwrap()).or_default() += 1;
                    }
                    assert_eq!(by_device.len(), DEVICES);
                    let rows = answer.rows() / DEVICES;
                    assert!(by_device.values().all(|own| *own == rows), "{by_device:?}");
                    assert!(rows >= seen, "a batch that was seen stays");
                    seen = rows;
                }
            });
        }
        for time in 1..BATCHES {
            let durability = if time % 10 == 0 { Durability::Sync } else { Durability::Os };
            store.write(&rows(DEVICES, time..time + 1), durability).unwrap();
            match time % 60 {
                20 => store.flush().unwrap(),
                40 => store.compact().unwrap(),
                _ => {}
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(all(&store).rows(), DEVICES * BATCHES as usize);
}

/// D10: an answer that was begun is of one moment, whatever happens to files and rows meanwhile.
#[test]
fn an_answer_is_of_the_moment_it_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(&rows(20, 0..2000), Durability::Os).unwrap();
    store.flush().unwrap();
    let answer = store.query(&name(), Query::new()).unwrap();
    store.write(&rows(20, 2000..2010), Durability::Os).unwrap();
    store.delete(&Delete::collection(&name()).range(TimeRange::ALL)).unwrap();
    store.compact().unwrap();
    assert_eq!(answer.collect_rows().unwrap().rows(), 20 * 2000);
    assert_eq!(all(&store).rows(), 0);
}

/// S59: the later write wins, cell by cell, wherever its row lies.
#[test]
fn the_later_write_wins_across_memory_and_files() {
    let store = open_on(&SimDisk::new());
    let write = |values: &[(&str, f64)]| {
        let mut batch = Batch::new("plant.boiler").unwrap();
        batch.push("pump_1", 5, values.iter().map(|(field, value)| (*field, *value))).unwrap();
        store.write(&batch, Durability::Os).unwrap();
    };
    write(&[("a", 1.0), ("b", 1.0)]);
    store.flush().unwrap();
    write(&[("b", 2.0), ("c", 2.0)]);
    let check = || {
        let answer = all(&store);
        let cells: Vec<_> = (0..3).map(|column| answer.columns[column].at(0)).collect();
        assert_eq!(cells, [1.0, 2.0, 2.0].map(|value| Some(ValueRef::F64(value))));
        assert_eq!(answer.rows(), 1);
    };
    check();
    store.flush().unwrap();
    check();
    store.compact().unwrap();
    check();
}

/// S-B38: theirs hides late rows between log and flush.
#[test]
fn late_rows_are_visible_as_soon_as_they_are_acknowledged() {
    let store = open_on(&SimDisk::new());
    store.write(&rows(1, (1000..2000).map(|second| second * SECOND)), Durability::Os).unwrap();
    store.flush().unwrap();
    for (count, late) in
        [0, -86_400 * 365 * 60, 1500 * SECOND + 1, i64::MIN].into_iter().enumerate()
    {
        put(&store, "pump_0", late, 0.5);
        let answer = all(&store);
        assert_eq!(answer.rows(), 1001 + count);
        assert!(answer.times.contains(&late) && answer.times.is_sorted());
        let one = TimeRange::inclusive(late, late).unwrap();
        let to = one.last().checked_add(1).map(Into::into);
        let at = Query::new().range(Some(late.into()), to);
        assert_eq!(store.query(&name(), at).unwrap().collect_rows().unwrap().times, [late]);
    }
}

/// S-B31: theirs cuts to the limit before it orders.
#[test]
fn a_limit_takes_the_first_rows_of_the_order_across_files_and_memory() {
    let store = open_on(&SimDisk::new());
    for part in [2, 0, 3, 1] {
        let times = (0..100).map(move |time| part * 100 + time);
        store.write(&rows(1, times), Durability::Os).unwrap();
        if part != 1 {
            store.flush().unwrap();
        }
    }
    let times = |order, limit| {
        let query = Query::new().order(order).limit(limit);
        store.query(&name(), query).unwrap().collect_rows().unwrap().times
    };
    assert_eq!(times(Order::Ascending, 150), (0..150).collect::<Vec<_>>());
    assert_eq!(times(Order::Descending, 150), (250..400).rev().collect::<Vec<_>>());
}

/// S69, S73: theirs builds the whole answer before the first chunk.
#[test]
fn an_answer_comes_in_bounded_batches_and_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for part in 0..10 {
        let times = (0..1000).map(move |time| part * 1000 + time);
        store.write(&rows(20, times), Durability::Os).unwrap();
        if part == 5 {
            store.flush().unwrap();
        }
    }
    let mut rows = 0;
    for batch in store.query(&name(), Query::new()).unwrap() {
        let batch = batch.unwrap();
        assert!(batch.rows() <= 16_384, "{} rows in one batch", batch.rows());
        rows += batch.rows();
    }
    assert_eq!(rows, 200_000);
    let mut answer = store.query(&name(), Query::new()).unwrap();
    let canceller = answer.canceller();
    assert!(answer.next().unwrap().is_ok());
    canceller.cancel();
    let end = answer.find_map(Result::err);
    assert!(matches!(end, Some(QueryError::Cancelled)), "{end:?}");
}

/// S68: the whole list of aggregates, no default that loses some.
#[test]
fn every_aggregate_is_what_a_computation_by_hand_gives() {
    let store = open_on(&SimDisk::new());
    let values = [3.0, f64::NAN, -1.0, 7.5, 7.5, -1.0];
    for (time, value) in (10i64..).zip(values) {
        put(&store, "pump_1", time, value);
    }
    put(&store, "pump_2", 10, 1.0);
    let one = DeviceSelector::one(Device::named("pump_1").unwrap());
    let query = Query::new().devices(one).fields(["level"]).aggregates(Aggregate::ALL);
    let answer = store.query(&name(), query).unwrap().collect_rows().unwrap();
    let at = |aggregate: Aggregate| {
        let column = Aggregate::ALL.iter().position(|other| *other == aggregate).unwrap();
        answer.columns[column].at(0)
    };
    assert_eq!(at(Aggregate::Count), Some(ValueRef::U64(6)));
    assert_eq!(at(Aggregate::Min), Some(ValueRef::F64(-1.0)));
    assert_eq!(at(Aggregate::Max), Some(ValueRef::F64(7.5)));
    assert_eq!(at(Aggregate::First), Some(ValueRef::F64(3.0)));
    assert_eq!(at(Aggregate::Last), Some(ValueRef::F64(-1.0)));
    assert_eq!(at(Aggregate::MinTime), Some(ValueRef::I64(12)));
    assert_eq!(at(Aggregate::MaxTime), Some(ValueRef::I64(13)));
    let nan = |value: Option<ValueRef<'_>>| matches!(value, Some(ValueRef::F64(x)) if x.is_nan());
    assert!(nan(at(Aggregate::Sum)) && nan(at(Aggregate::Mean)) && nan(at(Aggregate::Stddev)));
}

/// Without maps, each look for a device read the table of all devices: 100,000 devices took 100,000 times the table.
#[test]
fn a_device_is_found_without_reading_the_table_of_all_devices_again() {
    const DEVICES: usize = 2000;
    let disk = SimDisk::new();
    let store = steady().groups(1).open_on(Arc::new(disk.clone())).unwrap();
    store.write(&rows(DEVICES, 0..1), Durability::Os).unwrap();
    store.flush().unwrap();
    let read = |device: &str| {
        let before = disk.calls();
        let one = DeviceSelector::one(Device::named(device).unwrap());
        let found =
            store.query(&name(), Query::new().devices(one)).unwrap().collect_rows().unwrap();
        let calls = disk.trace();
        let spans =
            calls.iter().filter(|call| call.number > before).map(|call| match call.detail {
                Detail::Span(_, bytes) if call.path.starts_with("group-") => bytes,
                _ => 0,
            });
        (found.rows(), spans.sum::<usize>())
    };
    let (_, first) = read("pump_0");
    assert!(first > DEVICES * 36, "the table is verified once: {first} bytes");
    for device in (0..DEVICES).step_by(97) {
        let (rows, bytes) = read(&format!("pump_{device}"));
        assert_eq!(rows, 1, "pump_{device}");
        assert!(bytes < 8 << 10, "{bytes} bytes for pump_{device}");
    }
    assert_eq!(read("pump_0x").0, 0);
}
