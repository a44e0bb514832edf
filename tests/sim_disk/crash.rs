//! What survives a crash, and what may not.

use crate::{create, disk_with};
use std::collections::BTreeSet;
use tidelog_engine::disk::{Disk, OpenMode, publish};
use tidelog_tests::disk::{Fault, Part, SimDisk, sweep};

/// Every content that `path` has in some crash state, all states being tried.
fn outcomes(disk: &SimDisk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    let states = disk.crash_states(10_000);
    assert!(states.is_exhaustive(), "{states}");
    states.map(|state| state.contents(path)).collect()
}

fn is(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn a_published_file_survives_every_crash() {
    let disk = SimDisk::new();
    let file = create(&disk, "x.tmp", &[7; 2000]);
    publish(&disk, &*file, "x.tmp", "x").unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([is(&[7; 2000])]));
    assert_eq!(outcomes(&disk, "x.tmp"), BTreeSet::from([None]));
    assert_eq!(disk.crash_states(1).choices(), 1, "nothing is left in doubt");
}

#[test]
fn a_name_may_be_lost_until_its_directory_is_synced() {
    let disk = SimDisk::new();
    create(&disk, "x", b"1").sync().unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([None, is(b"1")]));
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([is(b"1")]));
}

#[test]
fn a_lost_directory_takes_its_files_along() {
    let disk = SimDisk::new();
    disk.create_dir("d").unwrap();
    create(&disk, "d/x", b"1").sync().unwrap();
    disk.sync_dir("d").unwrap();
    assert_eq!(outcomes(&disk, "d/x"), BTreeSet::from([None, is(b"1")]));
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "d/x"), BTreeSet::from([is(b"1")]));
}

#[test]
fn content_is_torn_at_sectors_until_the_file_is_synced() {
    let disk = SimDisk::new();
    let file = disk.open("x", OpenMode::CreateNew).unwrap();
    disk.sync_dir("").unwrap();
    file.write_all_at(&[7; 1024], 0).unwrap();
    let half = |first: u8, second: u8| is(&[[first; 512], [second; 512]].concat());
    let expected = [is(b""), half(0, 0), half(7, 0), half(0, 7), half(7, 7)];
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from(expected));
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([half(7, 7)]));
}

#[test]
fn sectors_are_those_of_the_medium_not_of_the_write() {
    let disk = disk_with("x", &[0; 1024]);
    let file = disk.open("x", OpenMode::Write).unwrap();
    file.write_all_at(&[7; 4], 510).unwrap();
    let around = |state: &Vec<u8>| [state[509], state[510], state[511], state[512], state[513]];
    let seen: BTreeSet<_> =
        outcomes(&disk, "x").into_iter().flatten().map(|state| around(&state)).collect();
    let torn = [[0, 0, 0, 0, 0], [0, 7, 7, 0, 0], [0, 0, 0, 7, 7], [0, 7, 7, 7, 7]];
    assert_eq!(seen, BTreeSet::from(torn));
}

#[test]
fn a_rename_is_all_or_nothing() {
    let disk = disk_with("x", b"old");
    let file = create(&disk, "x.tmp", b"new");
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    disk.rename("x.tmp", "x").unwrap();
    let files: BTreeSet<_> = disk.crash_states(10).map(|state| state.files()).collect();
    let file = |name: &str| (name.to_string(), 3);
    assert_eq!(files, BTreeSet::from([vec![file("x"), file("x.tmp")], vec![file("x")]]));
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([is(b"old"), is(b"new")]));
}

#[test]
fn an_unsynced_file_may_be_empty_under_its_new_name() {
    let disk = disk_with("x", b"old");
    let file = create(&disk, "x.tmp", b"new");
    disk.rename("x.tmp", "x").unwrap();
    disk.sync_dir("").unwrap();
    let expected = BTreeSet::from([is(b""), is(b"\0\0\0"), is(b"new")]);
    assert_eq!(outcomes(&disk, "x"), expected, "the old content is gone, the new one in doubt");
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([is(b"new")]));
}

#[test]
fn a_file_never_loses_its_name_to_a_later_file() {
    let disk = disk_with("tmp", b"first");
    disk.rename("tmp", "a").unwrap();
    create(&disk, "tmp", b"second").sync().unwrap();
    disk.rename("tmp", "b").unwrap();
    let mut seen = 0;
    for state in disk.crash_states(100) {
        let contents: BTreeSet<_> =
            state.files().iter().map(|(path, _)| state.contents(path).unwrap()).collect();
        assert!(contents.contains(&b"first"[..]), "lost in {:?}", state.files());
        seen += 1;
    }
    assert_eq!(seen, 4, "not moved; moved; second made; second moved");
}

#[test]
fn a_file_moved_between_directories_is_in_one_or_both() {
    let disk = SimDisk::new();
    for dir in ["a", "b"] {
        disk.create_dir(dir).unwrap();
    }
    create(&disk, "a/x", b"1").sync().unwrap();
    for dir in ["a", "b", ""] {
        disk.sync_dir(dir).unwrap();
    }
    disk.rename("a/x", "b/x").unwrap();
    let left = disk.restart();
    let places = |disk: &SimDisk| -> BTreeSet<[bool; 2]> {
        let there = |state: SimDisk| ["a/x", "b/x"].map(|path| state.contents(path).is_some());
        disk.crash_states(100).map(there).collect()
    };
    assert_eq!(places(&disk), BTreeSet::from([[true, false], [true, true], [false, true]]));
    disk.sync_dir("b").unwrap();
    assert_eq!(places(&disk), BTreeSet::from([[true, true], [false, true]]));
    disk.sync_dir("a").unwrap();
    assert_eq!(places(&disk), BTreeSet::from([[false, true]]));
    left.sync_dir("a").unwrap();
    assert_eq!(places(&left), BTreeSet::from([[false, true]]), "it did not leave for nowhere");
}

#[test]
fn a_removed_file_may_come_back() {
    let disk = disk_with("x", b"1");
    disk.remove("x").unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([None, is(b"1")]));
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([None]));
}

#[test]
fn an_unsynced_truncate_may_come_back() {
    let disk = disk_with("x", b"abcdef");
    let file = disk.open("x", OpenMode::Write).unwrap();
    file.set_len(2).unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([is(b"abcdef"), is(b"ab")]));
    file.write_all_at(b"XYZ", 2).unwrap();
    // Cut or not, written or not, and longer again or not.
    let expected: BTreeSet<_> =
        [&b"abcdef"[..], b"abXYZf", b"ab", b"ab\0\0\0", b"abXYZ"].map(is).into();
    assert_eq!(outcomes(&disk, "x"), expected);
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "x"), BTreeSet::from([is(b"abXYZ")]));
}

#[test]
fn a_killed_process_leaves_the_page_cache_and_a_later_power_failure_does_not() {
    let disk = disk_with("x", b"old");
    let lock = disk.lock("LOCK").unwrap();
    assert!(lock.is_some());
    let file = disk.open("x", OpenMode::Write).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    disk.kill();
    let after = disk.restart();
    assert_eq!(after.contents("x"), is(b"new"));
    assert_eq!(after.calls(), 0);
    assert!(after.lock("LOCK").unwrap().is_some(), "a dead process holds no lock");
    assert_eq!(outcomes(&after, "x"), BTreeSet::from([is(b"old"), is(b"new")]));
    assert!(file.sync().is_err(), "the dead process does not write on");
    assert_eq!(outcomes(&after, "x"), BTreeSet::from([is(b"old"), is(b"new")]));
}

#[test]
fn all_and_nothing_are_among_the_states() {
    let disk = disk_with("x", b"old");
    disk.open("x", OpenMode::Write).unwrap().write_all_at(b"new", 0).unwrap();
    create(&disk, "y", b"1");
    let files = |disk: &SimDisk| (disk.contents("x"), disk.contents("y"));
    assert_eq!(files(&disk.crash_lose_all()), (is(b"old"), None));
    assert_eq!(files(&disk.crash_keep_all()), (is(b"new"), is(b"1")));
    assert_eq!(disk.crash_keep_all().crash_states(10).choices(), 1, "what survived is durable");
    let states: Vec<_> = disk.crash_states(100).map(|state| files(&state)).collect();
    let distinct: BTreeSet<_> = states.iter().cloned().collect();
    assert_eq!(states.len(), distinct.len(), "no state twice");
    for seed in 0..200 {
        let state = disk.random_crash(seed);
        assert!(distinct.contains(&files(&state)), "{}", state.history());
        assert_eq!(files(&disk.random_crash(seed)), files(&state), "a seed repeats");
    }
}

#[test]
fn too_many_choices_are_sampled_within_the_limit() {
    let disk = disk_with("x", b"");
    let file = disk.open("x", OpenMode::Write).unwrap();
    for index in 0..100 {
        file.write_all_at(&[index as u8 + 1; 4096], index * 4096).unwrap();
    }
    let mut states = disk.crash_states(500);
    assert!(!states.is_exhaustive());
    assert_eq!(states.choices(), u128::MAX, "beyond counting");
    assert_eq!(states.by_ref().count(), 500);
    assert_eq!(states.distinct(), 500);
    assert!(states.to_string().starts_with("500 crash states of "), "{states}");
    let lens: BTreeSet<_> = disk.crash_states(500).map(|state| state.files()[0].1).collect();
    assert!(lens.contains(&0) && lens.contains(&409_600) && lens.len() > 50, "{lens:?}");
}

/// Breaks the order of `publish` on purpose: a sweep that does not notice is worth nothing.
#[test]
#[expect(clippy::print_stdout, reason = "how much was tried is part of the result")]
fn a_sweep_finds_each_missing_sync_and_none_when_there_are_all() {
    let replace = |disk: &SimDisk, sync: bool, sync_dir: bool| -> std::io::Result<()> {
        let file = disk.open("x.tmp", OpenMode::CreateNew)?;
        file.write_all_at(&[2; 1500], 0)?;
        if sync {
            file.sync()?;
        }
        disk.rename("x.tmp", "x")?;
        if sync_dir { disk.sync_dir("") } else { Ok(()) }
    };
    for (sync, sync_dir) in [(true, true), (false, true), (true, false)] {
        let broken = std::cell::Cell::new(0);
        let swept = sweep(
            &disk_with("x", &[1; 100]),
            1000,
            |disk| replace(disk, sync, sync_dir).is_ok(),
            |after, acknowledged| {
                let (old, new) = (is(&[1; 100]), is(&[2; 1500]));
                let found = after.contents("x");
                let right = found == new || (!acknowledged && found == old);
                broken.set(broken.get() + u64::from(!right));
            },
        );
        assert_eq!(swept.calls, 3 + u64::from(sync) + u64::from(sync_dir));
        assert_eq!(swept.sampled, 0, "{swept}");
        println!("file synced: {sync}, directory synced: {sync_dir}: {swept}");
        assert_eq!(broken.get() == 0, sync && sync_dir, "{} of {swept}", broken.get());
    }
}

#[test]
fn a_call_that_kills_may_have_taken_place() {
    for (part, expected) in
        [(Part::Nothing, &b"old"[..]), (Part::Bytes(1), b"nld"), (Part::Whole, b"new")]
    {
        let disk = disk_with("x", b"old");
        let file = disk.open("x", OpenMode::Write).unwrap();
        disk.fail_at(disk.calls() + 1, Fault::Kill(part));
        assert!(file.write_at(b"new", 0).is_err());
        assert_eq!(disk.restart().contents("x"), is(expected));
    }
}
