//! System calls that fail: the store says so, keeps what it promised, and goes on where it can.

use crate::kills::{count_calls, in_pairs, places};
use crate::worker::{Run, has_strace, note, open, options, scratch};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tidelog_engine::{Durability, Kind, Options};
use tidelog_tests::numbered::{Said, batch, delete};

const BATCHES: u64 = 24;

/// Fails calls of some kinds, each alone, and verifies; how many were tried.
fn fail_each(kinds: &[&str], error: &str, most: u64, onwards: bool) -> usize {
    let mut counts: BTreeMap<_, _> = count_calls(&mut Run::new(), BATCHES);
    counts.retain(|call, _| kinds.contains(&call.as_str()));
    let places = places(&counts, most);
    let all = places.len();
    in_pairs(places, |(call, when)| {
        let mut run = Run::new();
        let plus = if onwards { "+" } else { "" };
        let inject = format!("inject={call}:error={error}:when={when}{plus}");
        run.run(BATCHES, &["-e", &format!("trace={call}"), "-e", &inject]);
        run.verify(&inject);
    });
    all
}

/// After an fsync that failed nothing is acknowledged any more (the worker tries), and what was
/// acknowledged before is there.
#[test]
fn an_fsync_that_fails_poisons_and_loses_nothing() {
    if has_strace() {
        let tried = fail_each(&["fdatasync", "fsync"], "EIO", 60, false);
        note(&format!("{tried} syncs failed with EIO"));
    }
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    if has_strace() {
        let once = fail_each(&["pwrite64"], "ENOSPC", 40, false);
        let onwards = fail_each(&["pwrite64"], "ENOSPC", 20, true);
        note(&format!("{once} writes failed with ENOSPC, and {onwards} with all behind them"));
    }
}

#[test]
fn no_descriptors_left_is_an_error_and_loses_nothing() {
    if has_strace() {
        let once = fail_each(&["openat"], "EMFILE", 40, false);
        let onwards = fail_each(&["openat"], "EMFILE", 20, true);
        note(&format!("{once} opens failed with EMFILE, and {onwards} with all behind them"));
    }
}

#[test]
fn names_that_cannot_be_changed_are_an_error_and_lose_nothing() {
    if has_strace() {
        let kinds = ["rename", "unlink", "mkdir", "ftruncate"];
        let tried = fail_each(&kinds, "EIO", 40, false);
        note(&format!("{tried} renames, removals, directories and cuts failed with EIO"));
    }
}

/// A file system in memory of a given size, for as long as this lives.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let small = Small(scratch());
        let options = format!("size={size}");
        let mounted = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], small.0.path());
        if !mounted {
            note("skipped: a tmpfs cannot be mounted (that takes root)");
        }
        mounted.then_some(small)
    }

    fn resize(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], self.0.path()));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], on: &Path) -> bool {
    let done = Command::new("mount").args(arguments).arg(on).output();
    done.is_ok_and(|output| output.status.success())
}

/// On a disk of 1 MiB the store fills it, refuses, answers, and goes on without being opened again
/// when there is space.
#[test]
fn a_disk_of_one_mebibyte_fills_up_and_the_store_goes_on_when_there_is_space() {
    let Some(small) = Small::mount("1m") else { return };
    let path = small.0.path().join("store");
    let store = open(&path);
    let mut said = Said::default();
    let mut n = 0;
    let mut fill = |said: &mut Said| {
        loop {
            said.begun.insert(n);
            n += 1;
            match store.write(&batch(n - 1), Durability::Sync) {
                Ok(_) => said.acknowledged.insert(n - 1),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Retry, "{error}");
                    said.refused.insert(n - 1);
                    return error;
                }
            };
            assert!(n < 100_000, "the disk never filled up");
        }
    };
    let error = fill(&mut said);
    said.compare(&store).unwrap();
    // Again and again: a refusal leaves nothing that would make the next one worse.
    for _ in 0..20 {
        fill(&mut said);
    }
    said.compare(&store).unwrap();
    let reader = Options::new().read_only(true).open(&path).unwrap();
    said.compare(&reader).unwrap();
    drop(reader);
    let (flushed, compacted) = (store.flush().is_ok(), store.compact().is_ok());
    said.compare(&store).unwrap();
    let before = said.acknowledged.len();
    small.resize("1280k");
    fill(&mut said);
    assert!(said.acknowledged.len() > before, "nothing was written with space again");
    said.compare(&store).unwrap();
    note(&format!(
        "full at 1 MiB after {before} batches ({error}), flush {flushed}, compact {compacted}; then {} more",
        said.acknowledged.len() - before
    ));
    drop(store);
    // Full, and opened anew: either it opens, or it says what to do; with space it opens.
    match options().open(&path) {
        Ok(store) => said.compare(&store).map(drop).unwrap(),
        Err(error) => assert_eq!(error.kind(), Kind::Retry, "{error}"),
    }
    small.resize("4m");
    let store = open(&path);
    said.compare(&store).unwrap();
    store.delete(&delete(0)).unwrap();
    store.compact().unwrap();
}
