//! One suite for all implementors of the seam: the same calls give the same answers on a directory
//! of the operating system and on a simulated one.

use crate::create;
use std::fmt::Debug;
use std::io;
use tidelog_engine::disk::{Disk, FileDisk, OpenMode, directory_of, publish, read_all};
use tidelog_tests::disk::SimDisk;

/// Runs a sequence of calls on both disks and compares what it noted.
fn on_both(run: impl Fn(&dyn Disk, &mut Notes)) {
    let dir = tempfile::tempdir().unwrap();
    let mut plain = Notes::default();
    run(&FileDisk::new(dir.path(), false), &mut plain);
    let dir = tempfile::tempdir().unwrap();
    let mut mapped = Notes::default();
    run(&FileDisk::new(dir.path(), true), &mut mapped);
    let mut simulated = Notes::default();
    run(&SimDisk::new(), &mut simulated);
    assert!(!plain.0.is_empty(), "the sequence notes what it sees");
    assert_eq!(plain.0, mapped.0, "left plain, right mapped");
    assert_eq!(plain.0, simulated.0, "left real, right simulated");
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn note<T: Debug>(&mut self, what: &str, result: io::Result<T>) {
        self.0.push(match result {
            Ok(value) => format!("{what}: {value:?}"),
            Err(error) => format!("{what}: {:?} {:?}", error.kind(), error.raw_os_error()),
        });
    }

    fn list(&mut self, disk: &dyn Disk, path: &str) {
        let sorted = disk.list(path).map(|mut names| {
            names.sort_unstable();
            names
        });
        self.note(&format!("list {path}"), sorted);
    }
}

#[test]
fn missing_and_existing_names_give_the_same_errors() {
    on_both(|disk, notes| {
        for mode in [OpenMode::Write, OpenMode::Read] {
            notes.note("open missing", disk.open("x", mode).map(|_| ()));
            notes.note("open in missing directory", disk.open("d/x", mode).map(|_| ()));
        }
        notes.note("create in missing", disk.open("d/x", OpenMode::CreateNew).map(|_| ()));
        notes.note("sealed missing", disk.open_sealed("x").map(|_| ()));
        notes.note("rename missing", disk.rename("x", "y"));
        notes.note("remove missing", disk.remove("x"));
        notes.note("sync missing directory", disk.sync_dir("d"));
        notes.note("lock in missing", disk.lock("d/LOCK").map(|_| ()));
        notes.note("read missing", read_all(disk, "x"));
        create(disk, "x", b"1");
        notes.note("create existing", disk.open("x", OpenMode::CreateNew).map(|_| ()));
        notes.note("directory over file", disk.create_dir("x"));
        notes.note("file as directory", disk.open("x/y", OpenMode::Read).map(|_| ()));
        notes.note("create below file", disk.open("x/y", OpenMode::CreateNew).map(|_| ()));
        notes.note("rename to missing directory", disk.rename("x", "d/x"));
        notes.list(disk, "x");
        notes.note("after all that", read_all(disk, "x"));
    });
}

#[test]
fn directories_nest_and_are_made_twice() {
    on_both(|disk, notes| {
        notes.list(disk, "");
        notes.list(disk, "missing");
        notes.list(disk, "missing/deeper");
        notes.note("root", disk.create_dir(""));
        notes.note("parent missing", disk.create_dir("a/b"));
        notes.note("new", disk.create_dir("a"));
        notes.note("again", disk.create_dir("a"));
        notes.note("nested", disk.create_dir("a/b"));
        create(disk, "a/b/x", b"1");
        create(disk, "a/y", b"2");
        notes.list(disk, "");
        notes.list(disk, "a");
        notes.list(disk, "a/b");
        for path in ["", "a", "a/b"] {
            notes.note("sync", disk.sync_dir(path));
        }
        notes.note("create over directory", disk.open("a", OpenMode::CreateNew).map(|_| ()));
        notes.note("write a directory", disk.open("a", OpenMode::Write).map(|_| ()));
        notes.note("remove a directory", disk.remove("a"));
        notes.note("rename over a directory", disk.rename("a/y", "a/b"));
        notes.list(disk, "a");
    });
}

#[test]
fn files_are_read_written_cut_and_extended_alike() {
    on_both(|disk, notes| {
        let file = disk.open("x", OpenMode::CreateNew).unwrap();
        let mut bytes = [7; 8];
        notes.note("read empty", file.read_at(&mut bytes, 0));
        notes.note("write", file.write_at(b"hello", 0));
        notes.note("write nothing far away", file.write_at(b"", 100));
        notes.note("length", file.len());
        notes.note("read across the end", file.read_at(&mut bytes, 3));
        notes.note("what was read", Ok(bytes));
        notes.note("read at the end", file.read_at(&mut bytes, 5));
        notes.note("read past the end", file.read_at(&mut bytes, 50));
        notes.note("write past the end", file.write_at(b"!", 9));
        notes.note("zeros between", read_all(disk, "x"));
        notes.note("cut", file.set_len(3));
        notes.note("extend", file.set_len(6));
        notes.note("zeros after", read_all(disk, "x"));
        notes.note("overwrite across the end", file.write_at(b"abcd", 4));
        notes.note("all", read_all(disk, "x"));
        notes.note("sync", file.sync());
        notes.note("too short", file.read_exact_at(&mut [0; 9], 0));
        let reader = disk.open("x", OpenMode::Read).unwrap();
        notes.note("write while reading", reader.write_at(b"z", 0));
        notes.note("cut while reading", reader.set_len(0));
        notes.note("sync while reading", reader.sync());
        let writer = disk.open("x", OpenMode::Write).unwrap();
        notes.note("write", writer.write_at(b"Z", 0));
        notes.note("seen by the other handle", reader.read_at(&mut bytes, 0));
        notes.note("bytes", Ok(bytes));
    });
}

#[test]
fn renamed_and_removed_files_stay_readable_through_open_handles() {
    on_both(|disk, notes| {
        disk.create_dir("d").unwrap();
        let old = create(disk, "old", b"old");
        let new = create(disk, "new", b"newer");
        notes.note("rename over", disk.rename("new", "old"));
        notes.note("name", read_all(disk, "old"));
        notes.note("former name", read_all(disk, "new"));
        notes.note("replaced handle", old.len());
        notes.note("write through the moved handle", new.write_at(b"N", 0));
        notes.note("name", read_all(disk, "old"));
        notes.note("to itself", disk.rename("old", "old"));
        notes.note("to another directory", disk.rename("old", "d/x"));
        notes.list(disk, "");
        notes.list(disk, "d");
        let sealed = disk.open_sealed("d/x").unwrap();
        notes.note("remove", disk.remove("d/x"));
        notes.list(disk, "d");
        notes.note("read a removed file", sealed.read(1, 3).map(|bytes| bytes.to_vec()));
        notes.note("read past it", sealed.read(3, 3).map(|bytes| bytes.to_vec()));
        notes.note("write a removed file", new.write_at(b"x", 9));
        notes.note("its length", new.len());
        create(disk, "d/x", b"other");
        notes.note("a new file of the name", read_all(disk, "d/x"));
        notes.note("and the old one", new.len());
    });
}

#[test]
fn published_files_replace_what_was_there() {
    on_both(|disk, notes| {
        disk.create_dir("d").unwrap();
        for contents in [&b"one"[..], b"", b"three"] {
            let file = create(disk, "d/x.tmp", contents);
            notes.note("publish", publish(disk, &*file, "d/x.tmp", "d/x"));
            notes.note("read", read_all(disk, "d/x"));
            notes.note("sealed", disk.open_sealed("d/x").map(|sealed| sealed.len()));
            notes.list(disk, directory_of("d/x"));
        }
    });
}

#[test]
fn a_lock_is_held_by_one_opener_until_dropped() {
    on_both(|disk, notes| {
        let held = disk.lock("LOCK").unwrap();
        notes.note("first", Ok(held.is_some()));
        notes.note("second", disk.lock("LOCK").map(|lock| lock.is_some()));
        notes.note("another file", disk.lock("LOCK2").map(|lock| lock.is_some()));
        drop(disk.open("LOCK", OpenMode::Write).unwrap());
        notes.note("after a mere open and close", disk.lock("LOCK").map(|lock| lock.is_some()));
        drop(held);
        notes.note("after the drop", disk.lock("LOCK").map(|lock| lock.is_some()));
        notes.list(disk, "");
    });
}
