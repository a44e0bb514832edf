//! Types and values: exact end to end, and never changed in silence.

use crate::{SECOND, all, image_of, name, open_on, put};
use tidelog_engine::{
    Batch, BatchError, Durability, FieldType, Kind, Query, RowBatch, Store, ValueRef, WriteError,
};
use tidelog_tests::disk::{At, Call, EIO, Fault, SimDisk};

/// Values of each type that a careless path loses: past 2^53, the ends, NaN bits, -0.0, empty.
fn extremes() -> Vec<[(&'static str, ValueRef<'static>); 7]> {
    let float = f64::from_bits;
    let row = |f64, f32, i64, u64, bool, string, bytes| {
        [
            ("f64", ValueRef::F64(f64)),
            ("f32", ValueRef::F32(f32)),
            ("i64", ValueRef::I64(i64)),
            ("u64", ValueRef::U64(u64)),
            ("bool", ValueRef::Bool(bool)),
            ("string", ValueRef::String(string)),
            ("bytes", ValueRef::Bytes(bytes)),
        ]
    };
    vec![
        row(-0.0, -0.0, (1 << 53) + 1, (1 << 53) + 1, true, "", &b""[..]),
        row(float(0x7ff8_0000_dead_beef), f32::NAN, i64::MIN, u64::MAX, false, "007", &[0, 255]),
        row(f64::INFINITY, f32::MIN_POSITIVE / 2.0, i64::MAX, 0, true, "🌊\n\"", &[b'a'; 5000]),
        row(float(1), f32::MAX, -((1 << 53) + 1), (1 << 63) + 1, false, "nan", &b"\0"[..]),
    ]
}

fn bits(value: ValueRef<'_>) -> Vec<u8> {
    value.with_canonical_bytes(<[u8]>::to_vec)
}

fn check(answer: &RowBatch, path: &str) {
    let expected = extremes();
    assert_eq!(answer.rows(), expected.len(), "{path}");
    for (row, values) in expected.iter().enumerate() {
        for (column, (field, value)) in values.iter().enumerate() {
            let got = answer.columns[column].at(row).unwrap_or_else(|| panic!("{path}: {field}"));
            assert_eq!(got.field_type(), value.field_type(), "{path}: {field} of row {row}");
            assert_eq!(bits(got), bits(*value), "{path}: {field} of row {row}");
        }
    }
}

/// S65: their JSON path made every number a float.
#[test]
fn every_value_keeps_its_bits_through_log_memory_files_and_merges() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let fields = ["f64", "f32", "i64", "u64", "bool", "string", "bytes"];
    let read = |store: &Store| {
        store.query(&name(), Query::new().fields(fields)).unwrap().collect_rows().unwrap()
    };
    for (row, values) in (0i64..).zip(extremes()) {
        let mut batch = Batch::new("plant.boiler").unwrap();
        batch.push("pump_1", row * SECOND, values).unwrap();
        store.write(&batch, Durability::Sync).unwrap();
    }
    check(&read(&store), "memory");
    let image = image_of(dir.path());
    check(&read(&Store::open(image.path()).unwrap()), "the log after a crash");
    store.flush().unwrap();
    check(&read(&store), "a flushed file");
    store.compact().unwrap();
    check(&read(&store), "a compacted file");
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    check(&read(&store), "after reopening");
    let latest = store.latest(&name(), Query::new().fields(fields)).unwrap().1;
    let last = extremes().pop().unwrap();
    assert_eq!(bits(latest.columns[2].at(0).unwrap()), bits(last[2].1));
}

/// S-B36: theirs takes the type of the first value and turns others into null or text.
#[test]
fn a_second_type_is_refused_by_an_error_that_names_both_types_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_1", 0, [("level", 1.5)]).unwrap();
    let refused = batch.push("pump_1", 1, [("level", 7i64)]).unwrap_err();
    assert!(matches!(refused, BatchError::TypeConflict { .. }), "in one batch: {refused}");

    let store = Store::open(dir.path()).unwrap();
    let mut first = Batch::new("plant.boiler").unwrap();
    first.push("pump_1", 0, [("level", 1.5)]).unwrap();
    store.write(&first, Durability::Sync).unwrap();
    let mut second = Batch::new("plant.boiler").unwrap();
    second.push("pump_2", 0, [("other", 1i64), ("level", 7i64)]).unwrap();
    let check = |store: &Store, when: &str| {
        let refused = store.write(&second, Durability::Sync).unwrap_err();
        assert_eq!(refused.kind(), Kind::FixCall);
        let text = refused.to_string();
        assert!(text.contains("level") && text.contains("f64") && text.contains("i64"), "{text}");
        let WriteError::TypeConflict { known, given, .. } = refused else {
            panic!("{when}: {text}")
        };
        assert_eq!((known, given), (FieldType::F64, FieldType::I64), "{when}");
        let rows = all(store);
        assert_eq!((rows.rows(), rows.columns.len()), (1, 1), "{when}: nothing was written");
    };
    check(&store, "in memory");
    store.flush().unwrap();
    check(&store, "in a file");
    drop(store);
    check(&Store::open(dir.path()).unwrap(), "after reopening");
}

/// A field of a write that was not acknowledged yet was seen by others, and stayed when the write failed.
#[test]
fn a_field_is_visible_with_the_batch_that_brings_it() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    put(&store, "pump_1", 1, 1.0);
    let names = |store: &Store| {
        let answer = store.query(&name(), Query::new()).unwrap();
        answer.fields().iter().map(|field| field.name.clone()).collect::<Vec<_>>()
    };
    let batch = |collection: &str, value: ValueRef<'static>| {
        let mut batch = Batch::new(collection).unwrap();
        batch.push("pump_1", 2, [("late", value)]).unwrap();
        batch
    };
    let first = store.submit(&batch("plant.boiler", ValueRef::I64(1)), Durability::Sync).unwrap();
    let other = store.submit(&batch("plant.new", ValueRef::I64(1)), Durability::Sync).unwrap();
    assert_eq!(names(&store), ["level"]);
    assert_eq!(store.collections().unwrap().len(), 1);
    // Another writer must keep to it all the same, and sees its own.
    let refused =
        store.write(&batch("plant.boiler", ValueRef::F64(1.0)), Durability::Os).unwrap_err();
    assert!(matches!(refused, WriteError::TypeConflict { .. }), "{refused}");
    store.write(&batch("plant.boiler", ValueRef::I64(2)), Durability::Os).unwrap();
    assert_eq!(names(&store), ["late", "level"]);
    first.wait().unwrap();
    other.wait().unwrap();
    assert_eq!(names(&store), ["late", "level"]);
    assert_eq!(store.collections().unwrap().len(), 2);

    disk.fail(At::nth(1).of(&[Call::Sync]).under("wal/"), Fault::Error(EIO));
    let mut never = Batch::new("plant.boiler").unwrap();
    never.push("pump_1", 3, [("never", 1.0)]).unwrap();
    store.write(&never, Durability::Sync).unwrap_err();
    assert_eq!(names(&store), ["late", "level"]);
}
