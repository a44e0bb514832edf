//! The store through its public handles: what is written is there, by whatever way it is kept.

use std::time::Duration;
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Delete, Device, DeviceSelector, Durability, Every, Options,
    Query, RowBatch, Store, TimeRange, ValueRef,
};

const SECOND: i64 = 1_000_000_000;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

fn all(store: &Store) -> RowBatch {
    store.query(&name(), Query::new()).unwrap().collect_rows().unwrap()
}

fn fill(store: &Store, devices: usize, ticks: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for tick in 0..ticks {
        batch.clear();
        for device in 0..devices {
            let values = [
                ("level", ValueRef::F64(tick as f64 + device as f64 / 10.0)),
                ("count", ValueRef::I64((1 << 53) + tick)),
                ("state", ValueRef::String(if tick % 7 == 0 { "" } else { "on" })),
            ];
            batch.push(&format!("pump_{device}"), tick * SECOND, values).unwrap();
        }
        store.write(&batch, Durability::Os).unwrap();
    }
}

#[test]
fn a_reader_of_what_is_no_store_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = Options::new().read_only(true).open(dir.path()).unwrap_err();
    assert!(matches!(error, tidelog_engine::OpenError::Missing { .. }), "{error}");
}

/// A chunk of 65,536 rows is full while another part of its column is not: once it was written with a
/// presence column that readers did not expect to be without effect.
#[test]
fn a_full_chunk_of_a_column_with_gaps_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let rows = 3 * 65_536i64;
    for start in (0..rows).step_by(4096) {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for tick in start..start + 4096 {
            let value = (tick != 7 && tick != rows - 7).then_some(("level", ValueRef::I64(tick)));
            batch.push("pump", tick * SECOND, value).unwrap();
        }
        store.write(&batch, Durability::Os).unwrap();
    }
    let expected = all(&store);
    store.flush().unwrap();
    same(&all(&store), &expected);
    store.compact().unwrap();
    same(&all(&store), &expected);
    assert_eq!(expected.columns[0].count_present() as i64, rows - 2);
}

/// The same rows from memory, after reopening from the log, from flushed and from compacted files.
#[test]
fn rows_are_the_same_from_memory_log_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    fill(&store, 20, 500);
    let expected = all(&store);
    assert_eq!(expected.rows(), 20 * 500);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.open_report().log_records, 500);
    same(&all(&store), &expected);
    store.flush().unwrap();
    same(&all(&store), &expected);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.open_report().log_records, 0);
    same(&all(&store), &expected);
    fill(&store, 20, 500);
    same(&all(&store), &expected);
    store.compact().unwrap();
    same(&all(&store), &expected);
    let stats = store.stats();
    let of_rows = store.tiers().into_iter().find(|tier| tier.tier == "raw").unwrap();
    assert!(of_rows.files <= 8 && stats.memory_rows == 0, "{stats:?}");
    let reader = Options::new().read_only(true).open(dir.path()).unwrap();
    same(&all(&reader), &expected);
}

fn same(a: &RowBatch, b: &RowBatch) {
    assert_eq!(a.rows(), b.rows());
    for row in 0..a.rows() {
        assert_eq!((a.device(row), a.times[row]), (b.device(row), b.times[row]), "row {row}");
    }
    assert_eq!(a.columns, b.columns);
}

#[test]
fn windows_equal_a_computation_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    fill(&store, 30, 120);
    store.flush().unwrap();
    let query = Query::new()
        .fields(["level"])
        .every(Every::Duration(Duration::from_secs(60)))
        .aggregates([Aggregate::Mean, Aggregate::Max, Aggregate::Count]);
    let answer = store.query(&name(), query).unwrap().collect_rows().unwrap();
    assert_eq!(answer.rows(), 60);
    for row in 0..answer.rows() {
        let device: f64 = answer.device(row).unwrap()[5..].parse().unwrap();
        let start = (answer.times[row] / SECOND) as f64;
        let value = |column: usize| answer.columns[column].at(row).unwrap();
        let values = (0..60).map(|tick| start + f64::from(tick) + device / 10.0);
        // Value i belongs to lane i mod 8; the lanes are added pairwise.
        let lane = |lane: usize| values.clone().skip(lane).step_by(8).sum::<f64>();
        let [a, b, c, d, e, f, g, h] = std::array::from_fn(lane);
        let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
        assert_eq!(value(0), ValueRef::F64(sum / 60.0));
        assert_eq!(value(1), ValueRef::F64(start + 59.0 + device / 10.0));
        assert_eq!(value(2), ValueRef::U64(60));
    }
}

#[test]
fn deletes_hide_at_once_and_free_space_when_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    fill(&store, 10, 300);
    store.compact().unwrap();
    let before = store.stats().file_bytes;
    let one = DeviceSelector::one(Device::named("pump_3").unwrap());
    store.delete(&Delete::collection(&name()).devices(one)).unwrap();
    let early = TimeRange::new(None, Some((100 * SECOND).into())).unwrap();
    store.delete(&Delete::collection(&name()).range(early)).unwrap();
    store.delete(&Delete::collection(&name()).fields(["state"]).unwrap()).unwrap();
    let check = |store: &Store| {
        let rows = all(store);
        assert_eq!(rows.rows(), 9 * 200);
        assert!(rows.times.iter().all(|time| *time >= 100 * SECOND));
        assert_eq!(rows.columns[2].count_present(), 0);
    };
    check(&store);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    check(&store);
    store.compact().unwrap();
    check(&store);
    let of_rows = store.tiers().into_iter().find(|tier| tier.tier == "raw").unwrap();
    assert!(of_rows.bytes < before * 8 / 10, "{before} {}", of_rows.bytes);
    fill(&store, 4, 10);
    assert_eq!(all(&store).rows(), 9 * 200 + 40, "what is written after a delete is visible");
}

#[test]
fn the_latest_row_of_each_device_follows_writes_and_deletes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let latest = |store: &Store| store.latest(&name(), Query::new()).unwrap().1;
    fill(&store, 5, 50);
    for _ in 0..2 {
        assert_eq!(latest(&store).times, [49 * SECOND; 5]);
        store.flush().unwrap();
    }
    let late = TimeRange::new(Some((40 * SECOND).into()), None).unwrap();
    store.delete(&Delete::collection(&name()).range(late)).unwrap();
    assert_eq!(latest(&store).times, [39 * SECOND; 5]);
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_2", 45 * SECOND, [("level", 1.5)]).unwrap();
    store.write(&batch, Durability::Sync).unwrap();
    let rows = latest(&store);
    assert_eq!(rows.times, [39, 39, 45, 39, 39].map(|tick| tick * SECOND));
    assert_eq!(rows.columns[0].at(2), None, "absent cells are absent");
}

#[test]
fn tickets_become_visible_and_tails_see_every_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut tail = None;
    let mut tickets = Vec::new();
    let mut batch = Batch::new("plant.boiler").unwrap();
    for tick in 0..100 {
        batch.clear();
        batch.push("pump_1", tick, [("level", tick as f64)]).unwrap();
        if tick == 50 {
            tail = Some(store.tail(store.position().unwrap()).unwrap());
        }
        tickets.push(store.submit(&batch, Durability::Sync).unwrap());
    }
    let receipts: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect();
    assert_eq!(all(&store).rows(), 100);
    assert!(store.stats().log_syncs < 100, "writers share fsyncs");
    let mut tail = tail.unwrap();
    for receipt in &receipts[50..] {
        let record = tail.next(Duration::from_secs(5)).unwrap().expect("written");
        assert_eq!(record.position, receipt.position);
        assert_eq!(record.sub_batches()[0].version().stamp, receipt.stamp);
    }
    assert!(tail.next(Duration::ZERO).unwrap().is_none());
}
