//! Torn and damaged logs: a cut takes the batches behind it, whole; damage in the middle takes one record, is
//! reported, and is kept in quarantine.

use crate::history::{NAME, rows};
use crate::{long, report};
use tidelog_engine::Durability::{self, Os, Sync};
use tidelog_engine::OpenError;
use tidelog_model::{Stamp, StoreId, Version};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::oracle::{Oracle, Query, RowRead};
use tidelog_tests::subject::{self, whole_answer, write};

const LOG: &str = "wal/00000000-00000000.wal";

/// A killed store with so many batches in its log, and where in the file each begins.
fn killed(batches: usize, durability: Durability) -> (SimDisk, Vec<u64>) {
    let (disk, clock) = (SimDisk::new(), subject::clock(1));
    let store = subject::open(&disk, &clock).unwrap();
    let write = |n| write(&store, NAME, &rows(n, false), durability).unwrap().position.offset;
    let mut starts: Vec<u64> = (1..=batches).map(write).collect();
    starts.push(store.position().unwrap().offset);
    disk.kill();
    (disk.restart(), starts)
}

/// What the store holds of the batches with these numbers, and of a row written afterwards.
fn expected(batches: impl Iterator<Item = usize>) -> Vec<RowRead> {
    let mut oracle = Oracle::new();
    for n in batches {
        oracle.write(Version { stamp: Stamp(n as u64), origin: StoreId([0; 16]) }, &rows(n, false));
    }
    oracle.rows(&Query::all())
}

fn holds(disk: &SimDisk, seed: u64, batches: impl Iterator<Item = usize>, clean: bool) {
    let store = subject::open(disk, &subject::clock(seed)).unwrap();
    assert_eq!(store.open_report().is_clean(), clean, "{:?}", store.open_report());
    assert_eq!(whole_answer(&store, NAME).unwrap(), expected(batches));
}

#[test]
fn a_log_cut_anywhere_keeps_the_batches_before_the_cut() {
    let (disk, starts) = killed(4, Os);
    let end = *starts.last().unwrap();
    for cut in 0..=end {
        let torn = disk.restart();
        torn.truncate(LOG, cut);
        let whole = starts[1..].iter().filter(|end| **end <= cut).count();
        holds(&torn, 2, 1..=whole, true);
        // And once more, from what that opening left.
        holds(&torn.restart(), 3, 1..=whole, true);
    }
    report("cuts", end + 1);
}

#[test]
fn zeros_and_garbage_behind_the_end_are_a_torn_tail() {
    let (disk, starts) = killed(3, Sync);
    let bytes = disk.contents(LOG).unwrap();
    for extra in [1usize, 15, 16, 48, 500, 4096] {
        for fill in [0u8, 0xff, b'T'] {
            let torn = disk.restart();
            torn.put(LOG, &[&bytes[..], &vec![fill; extra]].concat());
            holds(&torn, 2, 1..=3, true);
            assert_eq!(torn.contents(LOG).unwrap().len() as u64, *starts.last().unwrap());
        }
    }
}

#[test]
fn damage_before_a_durable_mark_costs_one_record_and_is_reported_and_kept() {
    let (disk, starts) = killed(4, Sync);
    let step = if long() { 1 } else { 23 };
    let mut places = 0;
    // The last record is not known to be durable by any later one.
    for damaged in 1..=2 {
        for byte in (starts[damaged - 1]..starts[damaged]).step_by(step) {
            places += 1;
            let bad = disk.restart();
            bad.flip(LOG, byte, (byte % 8) as u8);
            let strict = subject::options(&subject::clock(3)).strict(true);
            let refused = strict.open_on(std::sync::Arc::new(bad.restart()));
            assert!(matches!(refused, Err(OpenError::Damaged { .. })), "byte {byte}");
            let store = subject::open(&bad, &subject::clock(2)).unwrap();
            let report = store.open_report();
            assert!(report.damage.iter().all(|(file, _)| file == LOG), "{report:?}");
            assert!(!report.is_clean(), "byte {byte}");
            let rest = (1..=4).filter(|n| *n != damaged);
            assert_eq!(whole_answer(&store, NAME).unwrap(), expected(rest), "byte {byte}");
            let kept = bad.files().into_iter().any(|(path, _)| path.starts_with("quarantine/"));
            assert!(kept, "byte {byte}: nothing in quarantine");
        }
    }
    report("damaged bytes", places);
}

/// The log of an earlier opening was synced by the one that followed: nothing in it can be torn.
#[test]
fn damage_at_the_end_of_an_earlier_openings_log_is_damage() {
    let (disk, starts) = killed(3, Os);
    let clock = subject::clock(4);
    let store = subject::open(&disk, &clock).unwrap();
    write(&store, NAME, &rows(4, false), Os).unwrap();
    disk.kill();
    let bad = disk.restart();
    bad.truncate(LOG, starts[3] - 16);
    let store = subject::open(&bad, &clock).unwrap();
    assert_eq!(whole_answer(&store, NAME).unwrap(), expected([1, 2, 4].into_iter()));
    assert!(!store.open_report().is_clean());
}

/// A flush deletes the segments it covers one by one, and neither their order nor any of it is durable. The first
/// one back and the second one gone looked like a hole in the log, and what stood behind it, acknowledged and
/// durable, was cut off as a torn tail.
#[test]
fn a_covered_segment_that_is_back_costs_nothing() {
    let (disk, clock) = (SimDisk::new(), subject::clock(1));
    let store = subject::open(&disk, &clock).unwrap();
    for n in 1..=3 {
        write(&store, NAME, &rows(n, true), Sync).unwrap();
    }
    let first = disk.contents(LOG).unwrap();
    store.flush().unwrap();
    write(&store, NAME, &rows(4, false), Sync).unwrap();
    disk.kill();
    let back = disk.restart();
    back.put(LOG, &first);
    let store = subject::open(&back, &clock).unwrap();
    assert!(store.open_report().is_clean(), "{:?}", store.open_report());
    let found = whole_answer(&store, NAME).unwrap();
    let times = |n: i64| found.iter().filter(|row| row.time == n * 1_000_000_000).count();
    assert_eq!(times(4), 2, "the last batch is there");
}
