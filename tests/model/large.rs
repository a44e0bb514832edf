//! Many devices, many fields, many rows: few questions, exact answers.

use std::sync::Arc;
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Device, DeviceSelector, Durability, Order, Query, RowBatch,
    Store, Timestamp, ValueRef,
};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::subject;

const NAME: &str = "plant.boiler";
const SECOND: i64 = 1_000_000_000;

fn name() -> CollectionName {
    CollectionName::parse(NAME).unwrap()
}

fn open(disk: &SimDisk, memory: usize) -> Store {
    let options = subject::options(&subject::clock(disk.calls())).groups(64);
    options.memory_budget(memory).open_on(Arc::new(disk.clone())).unwrap()
}

fn ask(store: &Store, query: Query) -> RowBatch {
    store.query(&name(), query).unwrap().collect_rows().unwrap()
}

/// From memory, from the log after a death, from files, and from files merged.
fn in_every_form(disk: SimDisk, store: Store, check: impl Fn(&Store)) {
    check(&store);
    disk.kill();
    drop(store);
    let disk = disk.restart();
    let store = open(&disk, 256 << 20);
    check(&store);
    store.flush().unwrap();
    check(&store);
    store.compact().unwrap();
    check(&store);
}

#[test]
fn a_hundred_thousand_devices() {
    const DEVICES: usize = 100_000;
    let disk = SimDisk::new();
    let store = open(&disk, 256 << 20);
    let mut batch = Batch::new(NAME).unwrap();
    for device in 0..DEVICES {
        let number = device as i64;
        batch.push(&format!("d{device:06}"), number, [("n", ValueRef::I64(number))]).unwrap();
    }
    store.write(&batch, Durability::Os).unwrap();
    in_every_form(disk, store, |store| {
        let rows = ask(store, Query::new());
        assert_eq!(rows.rows(), DEVICES);
        for row in 0..DEVICES {
            assert_eq!(rows.device(row).unwrap().as_ref(), format!("d{row:06}"));
            assert_eq!(rows.times[row], row as i64);
            assert_eq!(rows.columns[0].at(row), Some(ValueRef::I64(row as i64)));
        }
        let one = DeviceSelector::one(Device::named("d077777").unwrap());
        assert_eq!(ask(store, Query::new().devices(one)).times, [77_777]);
        let prefix = DeviceSelector { prefix: Some("d0999".into()), ..Default::default() };
        assert_eq!(ask(store, Query::new().devices(prefix)).rows(), 100);
    });
}

#[test]
fn a_thousand_fields() {
    const FIELDS: usize = 1_000;
    let disk = SimDisk::new();
    let store = open(&disk, 256 << 20);
    let field = |n: usize| format!("f{n:04}");
    let mut batch = Batch::new(NAME).unwrap();
    // Each row has three of the fields, and each field is in some row.
    for row in 0..FIELDS {
        let cells = [0, 1, 2].map(|step| (row + step * 333) % FIELDS);
        let names = cells.map(field);
        let values = [0, 1, 2].map(|at| (names[at].as_str(), ValueRef::F64(cells[at] as f64)));
        batch.push("pump", row as i64, values).unwrap();
    }
    store.write(&batch, Durability::Os).unwrap();
    in_every_form(disk, store, |store| {
        let rows = ask(store, Query::new());
        assert_eq!((rows.rows(), rows.columns.len()), (FIELDS, FIELDS));
        for (number, column) in rows.columns.iter().enumerate() {
            assert_eq!(column.count_present(), 3, "{}", field(number));
            let there = (0..FIELDS).filter_map(|row| column.at(row));
            assert!(there.into_iter().all(|value| value == ValueRef::F64(number as f64)));
        }
        let some = ask(store, Query::new().fields([field(7), field(999)]));
        assert_eq!(some.rows(), 6);
    });
}

/// One series in several files, each with rows between those of the others, late, overwritten in part, and past
/// the size of a chunk.
#[test]
fn two_hundred_thousand_rows_of_one_device_in_overlapping_files() {
    const ROWS: i64 = 200_000;
    let disk = SimDisk::new();
    let store = open(&disk, 256 << 20);
    let mut batch = Batch::new(NAME).unwrap();
    let write = |rows: &mut dyn Iterator<Item = i64>, batch: &mut Batch, own: &str, all: i64| {
        batch.clear();
        for row in rows {
            let values = [(own, ValueRef::I64(row)), ("by", ValueRef::I64(all))];
            batch.push("pump", row * SECOND, values).unwrap();
        }
        store.write(batch, Durability::Os).unwrap();
    };
    // 200,000 in one batch, then every third row once more, then a stretch across the border of chunks.
    write(&mut (0..ROWS), &mut batch, "a", 1);
    store.flush().unwrap();
    write(&mut (0..ROWS).step_by(3), &mut batch, "b", 2);
    store.flush().unwrap();
    write(&mut (65_000..66_000).rev(), &mut batch, "a", 3);
    let by = |row: i64| match row {
        65_000..66_000 => 3,
        row if row % 3 == 0 => 2,
        _ => 1,
    };
    in_every_form(disk, store.clone(), |store| {
        for descending in [false, true] {
            let order = if descending { Order::Descending } else { Order::Ascending };
            let rows = ask(store, Query::new().order(order));
            assert_eq!((rows.rows() as i64, rows.columns.len()), (ROWS, 3));
            for at in 0..rows.rows() {
                let row = if descending { ROWS - 1 - at as i64 } else { at as i64 };
                assert_eq!(rows.times[at], row * SECOND);
                assert_eq!(rows.columns[0].at(at), Some(ValueRef::I64(row)));
                let b = (row % 3 == 0).then_some(ValueRef::I64(row));
                assert_eq!(rows.columns[1].at(at), b);
                assert_eq!(rows.columns[2].at(at), Some(ValueRef::I64(by(row))), "row {row}");
            }
        }
        let (from, to) = (65_530 * SECOND, 65_545 * SECOND);
        let part = Query::new().range(Some(Timestamp(from)), Some(Timestamp(to)));
        assert_eq!(ask(store, part.clone()).rows(), 15);
        let last = ask(store, part.order(Order::Descending).limit(2));
        assert_eq!(last.times, [65_544 * SECOND, 65_543 * SECOND]);
        let sums = ask(store, Query::new().aggregates([Aggregate::Sum, Aggregate::Count]));
        assert_eq!(sums.columns[0].at(0), Some(ValueRef::I64(ROWS * (ROWS - 1) / 2)));
        assert_eq!(sums.columns[1].at(0), Some(ValueRef::U64(ROWS as u64)));
    });
}

#[test]
fn a_batch_of_two_hundred_thousand_rows_of_many_devices() {
    const ROWS: usize = 200_000;
    let disk = SimDisk::new();
    let store = open(&disk, 256 << 20);
    let mut batch = Batch::new(NAME).unwrap();
    for row in 0..ROWS {
        let device = format!("d{:02}", row % 70);
        let values = [("n", ValueRef::U64(row as u64)), ("even", ValueRef::Bool(row % 2 == 0))];
        batch.push(&device, (row / 70) as i64 * SECOND, values).unwrap();
    }
    store.write(&batch, Durability::Sync).unwrap();
    in_every_form(disk, store, |store| {
        let rows = ask(store, Query::new());
        assert_eq!(rows.rows(), ROWS);
        for at in 0..ROWS {
            let device: u64 = rows.device(at).unwrap()[1..].parse().unwrap();
            let n = (rows.times[at] / SECOND) as u64 * 70 + device;
            assert_eq!(rows.columns[1].at(at), Some(ValueRef::U64(n)));
            assert_eq!(rows.columns[0].at(at), Some(ValueRef::Bool(n.is_multiple_of(2))));
        }
    });
}
