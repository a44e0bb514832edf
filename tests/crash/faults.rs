//! Disks that are full, fail, do half of what they say, or lie.

use crate::history::{History, NAME, Step, Told, check_lives_on, rows};
use crate::report;
use tidelog_engine::Durability::{Os, Sync};
use tidelog_engine::{Kind, OpenError, Store, WriteError};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::{At, Call, EIO, EMFILE, ENOSPC, Fault, SimDisk};
use tidelog_tests::oracle::RowRead;
use tidelog_tests::subject::{self, whole_answer, write};

const STEPS: [Step; 11] = [
    Step::Write(Sync),
    Step::Write(Os),
    Step::Flush,
    Step::DeleteField,
    Step::WriteLarge(Os),
    Step::Write(Sync),
    Step::Tickets,
    Step::Seal,
    Step::Flush,
    Step::Compact,
    Step::Write(Os),
];

/// Runs the steps with a fault at the `nth` of some calls, and afterwards on a healthy disk: whatever was
/// refused is not there, and the store works on. `false` when there is no such call.
fn run(at: At, fault: Fault) -> bool {
    let (disk, clock) = (SimDisk::new(), subject::clock(1));
    let mut history = History::default();
    let store = subject::open(&disk, &clock).unwrap();
    disk.fail(at, fault);
    for (number, step) in (1..).zip(STEPS) {
        if history.step(&store, number, step).is_err() {
            unreachable!("no step reopens");
        }
    }
    let met = disk.faults_fired() > 0;
    disk.heal();
    let _story = Story(&disk);
    let at_sync = disk
        .trace()
        .iter()
        .any(|call| call.fault.is_some() && matches!(call.call, Call::Sync | Call::SyncDir));
    history.check_alive_and_after(&disk, &clock, store, at_sync);
    met
}

impl History {
    /// Holds the store against the history as it is, after one more write, and after the process ended.
    fn check_alive_and_after(
        mut self,
        disk: &SimDisk,
        clock: &SimClock,
        store: Store,
        fault_at_sync: bool,
    ) {
        let poisoned = store.stats().poisoned || self.events.iter().any(|e| e.1 == Told::Unknown);
        self.check_alive(&store);
        let last = write(&store, NAME, &rows(30, false), Sync);
        match last {
            Ok(_) => {
                assert!(!poisoned, "a poisoned store acknowledged a write");
                self.events.push((crate::history::Effect::Write(rows(30, false)), Told::Durable));
                self.check_alive(&store);
            }
            Err(WriteError::Poisoned) => assert!(poisoned),
            // A manifest whose fsync failed takes no edits either.
            Err(error @ WriteError::Edit(_)) if fault_at_sync => {
                assert_eq!(error.kind(), Kind::Reopen, "{error}");
            }
            Err(error) => panic!("the disk is well again: {error}"),
        }
        disk.kill();
        drop(store);
        let after = disk.restart();
        check_lives_on(&after, &self, false, SimDisk::restart);
        let store = subject::open(&after, clock).unwrap();
        store.compact().unwrap();
    }
}

/// Prints the calls when a check panics.
struct Story<'a>(&'a SimDisk);

impl Drop for Story<'_> {
    #[expect(clippy::print_stderr, reason = "a test that fails says what led to it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.trace());
        }
    }
}

fn every(calls: &[Call], fault: Fault) -> u64 {
    let mut nth = 1;
    while run(At::nth(nth).of(calls), fault) {
        nth += 1;
    }
    assert!(nth > 2, "no call met the fault");
    nth - 1
}

#[test]
fn no_space_at_each_call_that_takes_some() {
    report("ENOSPC", every(&Call::TAKING_SPACE, Fault::Error(ENOSPC)));
}

#[test]
fn no_space_after_a_part_of_each_write() {
    let mut tried = 0;
    for bytes in [1, 100, 1 << 20] {
        tried += every(&[Call::Write], Fault::Partial { bytes, error: ENOSPC });
    }
    report("ENOSPC after a part", tried);
}

#[test]
fn no_descriptor_at_each_call_that_takes_one() {
    report("EMFILE", every(&Call::TAKING_DESCRIPTORS, Fault::Error(EMFILE)));
}

#[test]
fn an_error_at_each_call_but_syncs() {
    let calls = [
        Call::CreateDir,
        Call::Create,
        Call::OpenSealed,
        Call::Rename,
        Call::Remove,
        Call::List,
        Call::Write,
        Call::Read,
        Call::Len,
        Call::SetLen,
    ];
    report("EIO", every(&calls, Fault::Error(EIO)));
}

#[test]
fn an_error_at_each_sync() {
    let syncs = every(&[Call::Sync, Call::SyncDir], Fault::Error(EIO));
    report("EIO at syncs", syncs);
}

#[test]
fn short_writes_and_reads_change_nothing() {
    let mut tried = 0;
    for bytes in [1, 7, 100] {
        tried += every(&[Call::Write, Call::Read], Fault::Short(bytes));
    }
    report("short", tried);
}

/// A sync that failed leaves pages that the system holds for written, and no later sync of them tells otherwise.
/// What an opening read of such a log was served and then lost by a power cut, and reported as damage; so was an edit
/// of the manifest that a later generation held.
///
/// Syncs of directories are left out: a rename writes the entry of a name anew, which the simulated disk does not know.
#[test]
fn what_is_read_back_after_a_failed_sync_outlives_a_power_cut() {
    let mut tried = 0;
    for nth in 1.. {
        let (disk, clock) = (SimDisk::new(), subject::clock(1));
        let mut history = History::default();
        let store = subject::open(&disk, &clock).unwrap();
        disk.fail(At::nth(nth).of(&[Call::Sync]), Fault::Error(EIO));
        for (number, step) in (1..).zip(STEPS) {
            assert!(history.step(&store, number, step).is_ok());
        }
        if disk.faults_fired() == 0 {
            break;
        }
        disk.kill();
        drop(store);
        let _story = Story(&disk);
        for then in [Step::Write(Os), Step::Write(Sync), Step::Flush, Step::Compact] {
            tried += 1;
            let after = disk.restart();
            let _story = Story(&after);
            let store = subject::open(&after, &clock).unwrap();
            let mut more = History::default();
            let seen = whole_answer(&store, NAME).unwrap_or_default();
            check_seen(&after, &clock, &seen, &format!("sync {nth}, nothing more"));
            assert!(more.step(&store, 40, then).is_ok());
            if then != Step::Write(Os) {
                let seen = whole_answer(&store, NAME).unwrap_or_default();
                check_seen(&after, &clock, &seen, &format!("sync {nth}, then {then:?}"));
            }
        }
    }
    report("failed syncs, read back", tried);
}

/// After any power cut now, the store holds what was seen, and has nothing to report.
fn check_seen(disk: &SimDisk, clock: &SimClock, seen: &[RowRead], what: &str) {
    for seed in 0..6 {
        let cut = if seed == 0 { disk.crash_lose_all() } else { disk.random_crash(seed) };
        let store = subject::open(&cut, clock).unwrap();
        let found = whole_answer(&store, NAME).unwrap_or_default();
        assert_eq!(found, seen, "{what}, cut {seed}");
        assert!(store.open_report().is_clean(), "{what}: {:?}", store.open_report());
    }
}

/// Opening fails with a typed error, and the next try on a healthy disk succeeds.
#[test]
fn an_error_at_each_call_of_an_opening() {
    let (disk, clock) = (SimDisk::new(), subject::clock(1));
    let mut history = History::default();
    history.run(&disk, &clock, 1, &STEPS, false);
    let mut tried = 0;
    for fault in [Fault::Error(EIO), Fault::Error(EMFILE), Fault::Error(ENOSPC)] {
        for nth in 1.. {
            let failing = disk.restart();
            failing.fail(At::nth(nth), fault);
            let opened = subject::open(&failing, &subject::clock(2));
            if failing.faults_fired() == 0 {
                break;
            }
            tried += 1;
            failing.heal();
            if let Err(error) = &opened {
                let typed = matches!(
                    error,
                    OpenError::Io { .. } | OpenError::Edit(_) | OpenError::Ready { .. }
                );
                assert!(typed, "{error:?}");
            }
            drop(opened);
            check_lives_on(&failing.restart(), &history, false, SimDisk::restart);
        }
    }
    report("openings that fail", tried);
}

/// A disk that says it wrote and did not may lose anything, but never shows a part of a batch, and never
/// makes the store panic.
#[test]
fn lying_disks_lose_whole_batches_or_are_found_out() {
    let steps = [
        Step::Write(Sync),
        Step::Write(Os),
        Step::Flush,
        Step::Write(Sync),
        Step::DeleteDevice,
        Step::Write(Sync),
        Step::Compact,
    ];
    let (mut tried, mut noticed) = (0, 0);
    for fault in [Fault::LyingSync, Fault::LyingWrite { bytes: 0 }, Fault::LyingWrite { bytes: 40 }]
    {
        for nth in 1.. {
            let disk = SimDisk::new();
            disk.fail(At::nth(nth).of(&[Call::Write, Call::Sync, Call::SyncDir]), fault);
            let mut history = History::default();
            history.run(&disk, &subject::clock(1), 1, &steps, false);
            if nth > disk.calls() {
                break;
            }
            if disk.faults_fired() == 0 {
                continue;
            }
            for seed in 0..4 {
                tried += 1;
                let after = match seed {
                    0 => disk.restart(),
                    1 => disk.crash_lose_all(),
                    seed => disk.random_crash(seed),
                };
                let Ok(store) = subject::open(&after, &subject::clock(2)) else {
                    noticed += 1;
                    continue;
                };
                match whole_answer(&store, NAME) {
                    Ok(rows) if store.open_report().is_clean() => {
                        assert!(history.allows_some(&rows), "{fault:?} at {nth}: {rows:?}");
                    }
                    _ => noticed += 1,
                }
            }
        }
    }
    report("lies", format!("{tried}, {noticed} of them noticed"));
}

/// A disk with room for so many bytes: writes are refused in time, and go on when there is room again.
#[test]
fn a_full_disk_refuses_and_recovers_without_restart() {
    for capacity in (1_000u64..9_000).step_by(400) {
        let (disk, clock) = (SimDisk::new(), subject::clock(1));
        disk.set_capacity(Some(capacity));
        let Ok(store) = subject::open(&disk, &clock) else { continue };
        let mut history = History::default();
        for (number, step) in (1..).zip(STEPS) {
            assert!(history.step(&store, number, step).is_ok());
            history.check_alive(&store);
        }
        disk.set_capacity(None);
        history.check_alive_and_after(&disk, &clock, store, false);
    }
}
