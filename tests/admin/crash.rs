//! Recovery, backup and adoption die at each of their calls, and power fails: whatever is left, a second
//! run gets there, and nothing is lost on the way.

use super::*;
use std::sync::Arc;
use tidelog_engine::{adopt_on, recover_on};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::{At, Call, ENOSPC, Fault, SimDisk, sweep};

const NOW: u64 = 1_800_000_000_000;

fn options(seed: u64) -> Options {
    let clock = Arc::new(SimClock::new(NOW, seed));
    Options::new().groups(2).upkeep(Upkeep::Caller).clock(clock.clone()).entropy(clock)
}

fn open_on(disk: &SimDisk) -> Store {
    let clock = Arc::new(SimClock::new(NOW + 1, 99));
    let options = Options::new().create(false).upkeep(Upkeep::Caller);
    options.clock(clock.clone()).entropy(clock).open_on(Arc::new(disk.clone())).unwrap()
}

fn rows_on(disk: &SimDisk) -> Rows {
    rows(&open_on(&disk.restart()))
}

/// A closed store with two files and a log.
fn small() -> SimDisk {
    let disk = SimDisk::new();
    let store = options(1).open_on(Arc::new(disk.clone())).unwrap();
    write(&store, 0, 20);
    store.flush().unwrap();
    write(&store, 20, 25);
    store.close().unwrap();
    drop(store);
    disk.restart()
}

fn paths(disk: &SimDisk, with: &str) -> Vec<String> {
    let files = disk.files().into_iter().map(|(path, _)| path);
    files.filter(|path| path.contains(with)).collect()
}

fn run(disk: &SimDisk) -> Option<tidelog_engine::RecoverReport> {
    recover_on(Arc::new(disk.clone()), &options(2), |_, _| true).ok()
}

#[test]
fn recovery_may_die_at_any_call_and_is_run_again() {
    let tide = paths(&small(), ".tide");
    let manifests = paths(&small(), "MANIFEST");
    type Damage<'a> = Box<dyn Fn(&SimDisk) + 'a>;
    let kinds: [(&str, Damage<'_>); 4] = [
        ("a page", Box::new(|disk| disk.flip(&tide[0], 70, 3))),
        ("swapped", Box::new(|disk| disk.swap(&tide[0], &tide[1]))),
        ("no manifest", Box::new(|disk| manifests.iter().for_each(|path| disk.erase(path)))),
        ("newest manifest", Box::new(|disk| disk.flip(&manifests[1], 130, 1))),
    ];
    for (kind, damage) in kinds {
        let start = small();
        damage(&start);
        let whole = start.restart();
        run(&whole).unwrap();
        let expected = rows_on(&whole);
        assert!(expected.len() > 5 * DEVICES, "{kind}");
        let kept: Vec<Vec<u8>> =
            start.files().iter().filter_map(|(path, _)| start.contents(path)).collect();
        let told = sweep(&start, 6, run, |disk, _| {
            let disk = disk.restart();
            run(&disk).expect("a second run goes through");
            assert_eq!(rows_on(&disk), expected, "{kind}");
            let now: Vec<Vec<u8>> =
                disk.files().iter().filter_map(|(path, _)| disk.contents(path)).collect();
            assert!(kept.iter().all(|bytes| now.contains(bytes)), "{kind}: nothing is deleted");
        });
        assert!(told.states > 10, "{kind}: {told}");
    }
}

#[test]
fn a_backup_that_died_is_no_store_and_one_that_was_told_is_whole() {
    let store = open_on(&small());
    store.flush().unwrap();
    let expected = rows(&store);
    let backup = |disk: &SimDisk| store.backup_to(Arc::new(disk.clone()), |_, _| true).is_ok();
    let told = sweep(&SimDisk::new(), 6, backup, |disk, done| {
        let opened = Options::new().create(false).upkeep(Upkeep::Caller);
        match opened.open_on(Arc::new(disk.restart())) {
            Ok(copy) => assert_eq!(rows(&copy), expected),
            Err(error) => assert!(!done, "{error}"),
        }
    });
    assert!(told.states > 10, "{told}");
}

#[test]
fn adoption_is_done_or_not() {
    let start = small();
    let (before, expected) = (open_on(&start.restart()).store_id(), rows_on(&start));
    let work = |disk: &SimDisk| adopt_on(Arc::new(disk.clone()), &options(3)).ok();
    sweep(&start, 6, work, |disk, adopted| {
        let store = open_on(&disk.restart());
        assert!(adopted.is_none_or(|id| id == store.store_id()));
        assert!(adopted.is_some() || store.store_id() != before || rows(&store) == expected);
        assert_eq!(rows(&store), expected);
    });
}

#[test]
fn recovery_on_a_full_disk_is_refused_and_goes_through_later() {
    let start = small();
    start.flip(&paths(&start, ".tide")[0], 70, 3);
    let whole = start.restart();
    run(&whole).unwrap();
    let expected = rows_on(&whole);
    for number in 1..=whole.calls_of(Call::Write) {
        let disk = start.restart();
        disk.fail(At::nth(number).of(&[Call::Write]), Fault::Error(ENOSPC));
        let _ = run(&disk);
        let disk = disk.restart();
        run(&disk).expect("there is room again");
        assert_eq!(rows_on(&disk), expected, "call {number}");
    }
}
