//! Planned faults happen where they were planned, and do what they say.

use crate::{create, disk_with};
use std::io;
use tidelog_engine::disk::{Disk, OpenMode, read_all};
use tidelog_tests::disk::{
    At, Call, EINTR, EIO, EMFILE, ENFILE, ENOSPC, Fault, Part, SimDisk, is_killed,
};

fn code<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn the_nth_call_of_a_kind_fails_once() {
    let disk = SimDisk::new();
    let file = create(&disk, "x", b"1");
    disk.fail(At::nth(3).of(&[Call::Sync]), Fault::Error(EIO));
    let results: Vec<_> = (0..4).map(|_| code(file.sync())).collect();
    assert_eq!(results, [None, None, Some(EIO), None]);
    assert_eq!(disk.faults_fired(), 1);
    assert_eq!((disk.calls_of(Call::Sync), disk.calls()), (4, 6));
}

#[test]
fn faults_can_wait_for_a_path_and_last_until_healed() {
    let disk = SimDisk::new();
    disk.create_dir("wal").unwrap();
    let (wal, other) = (create(&disk, "wal/1", b"1"), create(&disk, "x", b"1"));
    let full = At::nth(2).of(&Call::TAKING_SPACE).under("wal/").onwards();
    disk.fail(full, Fault::Error(ENOSPC));
    assert_eq!(code(wal.write_at(b"a", 0)), None);
    assert_eq!(code(wal.write_at(b"b", 0)), Some(ENOSPC));
    assert_eq!(code(disk.open("wal/2", OpenMode::CreateNew)), Some(ENOSPC));
    assert_eq!(code(other.write_at(b"c", 0)), None);
    assert_eq!(code(wal.read_at(&mut [0], 0)), None);
    disk.heal();
    assert_eq!(code(wal.write_at(b"d", 0)), None);
    assert_eq!(disk.files(), [("wal/1".into(), 1), ("x".into(), 1)], "a failed call did nothing");
    let trace = disk.trace().to_string();
    assert!(trace.contains("#8 Create wal/2 [Error(28)] = No space left on device"), "{trace}");
}

#[test]
fn descriptors_run_out() {
    let disk = disk_with("x", b"1");
    for error in [EMFILE, ENFILE] {
        disk.fail(At::nth(1).of(&Call::TAKING_DESCRIPTORS).onwards(), Fault::Error(error));
        assert_eq!(code(disk.open("x", OpenMode::Read)), Some(error));
        assert_eq!(code(disk.open_sealed("x")), Some(error));
        assert_eq!(code(disk.sync_dir("")), Some(error));
        assert_eq!(code(disk.list("")), Some(error));
        disk.heal();
    }
    assert_eq!(disk.open_files(), 0);
    let file = disk.open("x", OpenMode::Read).unwrap();
    assert_eq!(disk.open_files(), 1);
    drop(file);
    assert_eq!(disk.open_files(), 0);
}

#[test]
fn short_and_interrupted_calls_are_carried_on() {
    let disk = SimDisk::new();
    disk.fail(At::nth(1).of(&[Call::Write, Call::Read]).onwards(), Fault::Short(2));
    let file = create(&disk, "x", b"hello");
    assert_eq!(disk.calls_of(Call::Write), 3);
    assert_eq!(read_all(&disk, "x").unwrap(), b"hello");
    disk.heal();
    disk.fail(At::nth(1).of(&[Call::Write]), Fault::Error(EINTR));
    file.write_all_at(b"HELLO", 0).unwrap();
    assert_eq!(disk.contents("x").unwrap(), b"HELLO");
    disk.fail(At::nth(1), Fault::Short(0));
    let error = file.write_all_at(b"x", 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[test]
fn a_failed_write_may_leave_a_part() {
    let disk = disk_with("x", b"12345");
    let file = disk.open("x", OpenMode::Write).unwrap();
    disk.fail(At::nth(1), Fault::Partial { bytes: 3, error: EIO });
    assert_eq!(code(file.write_at(b"abcdefgh", 0)), Some(EIO));
    assert_eq!(disk.contents("x").unwrap(), b"abc45");
}

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again_after_a_remove() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(10));
    let file = create(&disk, "x", b"123456");
    create(&disk, "y", b"12");
    assert_eq!(file.write_at(b"abcdef", 3).unwrap(), 5, "three overwritten, two appended");
    assert_eq!(code(file.write_at(b"f", 8)), Some(ENOSPC));
    assert_eq!(code(file.set_len(9)), Some(ENOSPC));
    assert_eq!(file.write_at(b"ABC", 0).unwrap(), 3, "overwriting needs no room");
    assert_eq!(file.write_all_at(b"ghi", 8).unwrap_err().kind(), io::ErrorKind::StorageFull);
    disk.remove("y").unwrap();
    assert_eq!(file.write_at(b"fghi", 8).unwrap(), 2);
    file.set_len(1).unwrap();
    assert_eq!(disk.live_bytes(), 1);
    disk.set_capacity(None);
    file.write_all_at(&[1; 1000], 0).unwrap();
}

#[test]
fn a_dead_process_does_nothing_more() {
    let disk = disk_with("x", b"1");
    let file = disk.open("x", OpenMode::Write).unwrap();
    let lock = disk.lock("LOCK").unwrap();
    disk.fail_at(disk.calls() + 2, Fault::Kill(Part::Nothing));
    file.write_all_at(b"2", 0).unwrap();
    assert!(is_killed(&disk.create_dir("d").unwrap_err()));
    let calls = disk.calls();
    assert!(is_killed(&file.write_at(b"3", 0).unwrap_err()));
    assert!(is_killed(&file.sync().unwrap_err()));
    assert!(is_killed(&disk.remove("x").unwrap_err()));
    assert!(is_killed(&disk.open("x", OpenMode::Read).map(|_| ()).unwrap_err()));
    disk.heal();
    assert!(disk.is_dead() && disk.list("").is_err());
    drop(lock);
    assert_eq!((disk.calls(), disk.contents("x").unwrap()), (calls, b"2".to_vec()));
    assert!(!is_killed(&io::Error::from_raw_os_error(EIO)));
    assert!(is_killed(&io::Error::other(disk.list("").unwrap_err())), "found below other errors");
}

#[test]
fn a_killing_sync_may_have_synced() {
    for (part, durable) in [(Part::Nothing, false), (Part::Whole, true)] {
        let disk = disk_with("x", b"old");
        let file = disk.open("x", OpenMode::Write).unwrap();
        file.write_all_at(b"new", 0).unwrap();
        disk.fail(At::nth(1).of(&[Call::Sync]), Fault::Kill(part));
        assert!(file.sync().is_err());
        assert_eq!(disk.crash_lose_all().contents("x").unwrap() == b"new", durable);
    }
}

#[test]
fn after_a_failed_sync_no_later_one_saves_what_it_was_to_save() {
    let disk = disk_with("x", b"old.......");
    let file = disk.open("x", OpenMode::Write).unwrap();
    file.write_all_at(b"new", 0).unwrap();
    disk.fail(At::nth(1).of(&[Call::Sync]), Fault::Error(EIO));
    assert_eq!(code(file.sync()), Some(EIO));
    assert_eq!(code(file.sync()), None, "the kernel says ok and has forgotten");
    assert_eq!(disk.contents("x").unwrap(), b"new.......", "the process still reads it");
    assert_eq!(disk.crash_lose_all().contents("x").unwrap(), b"old.......");
    file.write_all_at(b"later", 5).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.crash_lose_all().contents("x").unwrap(), b"old..later");
    let create_and_lose = |fault| {
        let disk = disk_with("x", b"1");
        disk.rename("x", "y").unwrap();
        disk.fail(At::nth(1), fault);
        let _ = disk.sync_dir("");
        disk.sync_dir("").unwrap();
        disk.crash_lose_all().files()[0].0.clone()
    };
    assert_eq!(create_and_lose(Fault::Error(EIO)), "x");
    assert_eq!(create_and_lose(Fault::LyingSync), "y", "the second sync was honest");
}

#[test]
fn a_lying_disk_says_ok() {
    let disk = disk_with("x", b"old");
    let file = disk.open("x", OpenMode::Write).unwrap();
    disk.fail(At::nth(1).of(&[Call::Write]), Fault::LyingWrite { bytes: 1 });
    assert_eq!(file.write_at(b"newer", 0).unwrap(), 5);
    assert_eq!(disk.contents("x").unwrap(), b"nld\0\0", "the length is there, the bytes are not");
    disk.fail(At::nth(1).of(&[Call::Sync]).onwards(), Fault::LyingSync);
    file.sync().unwrap();
    assert_eq!(disk.crash_lose_all().contents("x").unwrap(), b"old");
    disk.heal();
    file.sync().unwrap();
    assert_eq!(disk.crash_lose_all().contents("x").unwrap(), b"nld\0\0");
}
