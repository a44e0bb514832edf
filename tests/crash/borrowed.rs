//! A death at each call of taking borrowed rollups, of writing rows over some of them and of merging them: each lot is
//! there whole or not at all, rows win, and digests never see them.

use crate::{long, report};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tidelog_engine::{
    Aggregate, CollectionName, Durability, Every, GroupId, Level, Query, Store, TimeRange, Unit,
};
use tidelog_model::{Device, Value};
use tidelog_tests::disk::{At, Call, ENOSPC, Fault, SimDisk, sweep};
use tidelog_tests::generate::EPOCH;
use tidelog_tests::lines::lines;
use tidelog_tests::oracle::RowWrite;
use tidelog_tests::subject::{self, write};

const NAME: &str = "plant.boiler";
const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;
const GROUP: GroupId = GroupId(0);

fn name() -> CollectionName {
    CollectionName::parse(NAME).unwrap()
}

fn rows(store: &Store, from: i64, to: i64) -> Vec<RowWrite> {
    let device = (0..).map(|number| Device::named(&format!("pump_{number}")).unwrap());
    let device = device.into_iter().find(|one| store.group_of(&name(), one) == GROUP).unwrap();
    let start = EPOCH - EPOCH.rem_euclid(HOUR) - 100 * HOUR;
    let row = |time: i64| RowWrite {
        device: device.clone(),
        time: start + time,
        values: vec![("level".into(), Value::I64(time / MINUTE))],
    };
    (from..to).step_by(MINUTE as usize).map(row).collect()
}

fn read(store: &Store) -> Vec<String> {
    let query = Query::new().threads(1).every(Every::Calendar { unit: Unit::Hour, zone: None });
    lines(store, &name(), query.aggregates([Aggregate::Count, Aggregate::Last])).unwrap()
}

fn root(store: &Store) -> String {
    format!("{:?}", store.digests(&name(), Level::Root, TimeRange::ALL).unwrap())
}

/// A store with one row, and what another lends it: two lots of four hours.
fn start() -> (SimDisk, [Vec<Vec<u8>>; 2]) {
    let lender = subject::open(&SimDisk::new(), &subject::clock(4)).unwrap();
    write(&lender, NAME, &rows(&lender, 0, 8 * HOUR), Durability::Os).unwrap();
    let lent =
        lender.lend(GROUP, &name(), Level::Window, TimeRange::ALL, None, usize::MAX).unwrap();
    let (first, second) = lent.rollups.split_at(4);
    let disk = SimDisk::new();
    let store = subject::open(&disk, &subject::clock(1)).unwrap();
    write(&store, NAME, &rows(&store, 50 * HOUR, 50 * HOUR + 1), Durability::Sync).unwrap();
    store.seal().unwrap();
    drop(store);
    disk.kill();
    (disk.restart(), [first.to_vec(), second.to_vec()])
}

/// Lots that were taken; was the row written, and was all of it merged?
fn work(disk: &SimDisk, lots: &[Vec<Vec<u8>>; 2]) -> (usize, bool, bool) {
    let Ok(store) = subject::open(disk, &subject::clock(2)) else { return (0, false, false) };
    let took = |lot: &&Vec<Vec<u8>>| store.borrow(GROUP, &name(), lot).is_ok();
    let taken = lots.iter().take_while(took).count();
    let row = rows(&store, 2 * HOUR, 2 * HOUR + 1);
    let written = write(&store, NAME, &row, Durability::Sync).is_ok();
    let merged = store.compact().is_ok();
    disk.kill();
    (taken, written, merged)
}

#[test]
fn borrowing() {
    let (start, lots) = start();
    let distinct: RefCell<BTreeSet<_>> = RefCell::default();
    let work = |disk: &SimDisk| work(disk, &lots);
    let swept =
        sweep(&start, if long() { 64 } else { 8 }, work, |disk, (taken, written, merged)| {
            let contents = disk.files().into_iter().map(|(path, _)| (disk.contents(&path), path));
            let state = (contents.collect::<Vec<_>>(), *taken, *written, *merged);
            if !distinct.borrow_mut().insert(state) {
                return;
            }
            let disk = &disk.restart();
            let store = subject::open(disk, &subject::clock(3)).unwrap();
            let held = store.borrowed(GROUP).unwrap();
            let found = read(&store);
            // The row takes the place of one.
            let expected: &[u64] = match (taken, written) {
                (0, false) => &[0, 4],
                (0, true) => &[0, 3],
                (1, false) => &[3, 4, 8],
                (1, true) => &[3, 7],
                (_, false) => &[7, 8],
                (_, true) => &[7],
            };
            assert!(expected.contains(&held), "{taken} {written}: {held} held, {found:?}");
            let hours = found.len() as u64;
            assert!([held + 1, held + 2].contains(&hours), "{held} held, {found:?}");
            assert_eq!(store.check(|_, _| true).unwrap().findings, []);
            for lot in &lots {
                store.borrow(GROUP, &name(), lot).unwrap();
            }
            let (before, all) = (root(&store), read(&store));
            store.compact().unwrap();
            assert_eq!((root(&store), read(&store)), (before, all));
            assert!([7, 8].contains(&store.borrowed(GROUP).unwrap()), "it goes on");
        });
    report("borrowing", swept);
}

#[test]
fn a_full_disk_takes_nothing_and_breaks_nothing() {
    let (start, lots) = start();
    let store = subject::open(&start, &subject::clock(2)).unwrap();
    let before = (read(&store), root(&store));
    for nth in 1..=2 {
        start.fail(At::nth(nth).of(&[Call::Write]), Fault::Error(ENOSPC));
        store.borrow(GROUP, &name(), &lots[0]).unwrap_err();
        assert_eq!((read(&store), root(&store)), before, "write {nth}");
    }
    store.borrow(GROUP, &name(), &lots[0]).unwrap();
    assert_eq!(store.borrowed(GROUP).unwrap(), 4);
    assert_eq!(store.check(|_, _| true).unwrap().findings, []);
}
