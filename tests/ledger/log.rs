//! The log: what is acknowledged is durable, what is torn is cut, nothing else is lost.

use crate::{all, files, image_of, name, open_on, put, rows, steady};
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::{Batch, Device, Durability, Kind, Options, Store, Upkeep, WriteError};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::{At, Call, EIO, ENOSPC, Fault, SimDisk};

/// S51, S-B1: their log forgets the group, so that after a flush everything is in group 0.
#[test]
fn rows_come_out_of_the_log_in_the_group_of_their_device() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().groups(16).open(dir.path()).unwrap();
    let mut tail = store.tail(store.position().unwrap()).unwrap();
    store.write(&rows(100, 0..3), Durability::Sync).unwrap();
    let record = tail.next(Duration::from_secs(5)).unwrap().expect("written");
    for sub in record.sub_batches() {
        for (device, _) in sub.devices() {
            let device = Device::from_canonical(device).unwrap();
            assert_eq!(sub.group().0, store.group_of(&name(), &device).0);
        }
    }
    let mut expected = [0; 16];
    for device in 0..100 {
        let device = Device::named(&format!("pump_{device}")).unwrap();
        expected[store.group_of(&name(), &device).0 as usize] += 3;
    }
    assert!(expected.iter().filter(|rows| **rows > 0).count() > 8, "{expected:?}");
    let image = image_of(dir.path());
    let replayed = Options::new().open(image.path()).unwrap();
    replayed.flush().unwrap();
    let in_files: Vec<u64> = replayed.groups().iter().map(|group| group.rows).collect();
    assert_eq!(in_files, expected);
    for (group, rows) in expected.into_iter().enumerate() {
        let directory = image.path().join(format!("group-{group:04}/raw"));
        assert_eq!(directory.exists(), rows > 0, "{}", directory.display());
    }
}

/// S53, S-B12, S-B13: theirs acknowledges before the disk has it.
#[test]
fn an_acknowledged_sync_write_survives_the_loss_of_everything_unsynced() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    put(&store, "pump_1", 1, 1.0);
    assert_eq!(all(&open_on(&disk.crash_lose_all())).rows(), 1);
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_1", 2, [("level", 2.0)]).unwrap();
    store.write(&batch, Durability::Os).unwrap();
    assert_eq!(all(&store).rows(), 2);
    assert_eq!(all(&open_on(&disk.crash_lose_all())).rows(), 1, "`Os` promises no more");
    assert_eq!(all(&open_on(&disk.crash_keep_all())).rows(), 2, "the process's end takes nothing");
    batch.clear();
    batch.push("pump_1", 3, [("level", 3.0)]).unwrap();
    let ticket = store.submit(&batch, Durability::Sync).unwrap();
    assert_eq!(all(&store).rows(), 2, "what is not durable yet is not visible");
    ticket.wait().unwrap();
    assert_eq!(all(&store).rows(), 3);
    assert_eq!(all(&open_on(&disk.crash_lose_all())).rows(), 3, "one fsync covers all before it");
}

/// S54, S56: theirs has a log, and an fsync, per collection and day.
#[test]
fn writes_to_many_collections_share_one_log_and_its_fsyncs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut tickets = Vec::new();
    for collection in 0..200 {
        let mut batch = Batch::new(&format!("plant.c{collection}")).unwrap();
        batch.push("pump_1", 86_400_000_000_000 * collection, [("level", 1.0)]).unwrap();
        tickets.push(store.submit(&batch, Durability::Sync).unwrap());
    }
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    let stats = store.stats();
    assert_eq!(stats.log_segments, 1);
    assert!((1..100).contains(&stats.log_syncs), "{} fsyncs for 200 writes", stats.log_syncs);
}

/// S55, S57: segments are cut at their size, and go when files hold all of them.
#[test]
fn the_log_is_cut_into_segments_and_those_that_files_cover_are_deleted() {
    let disk = SimDisk::new();
    let clock = steady().segment_bytes(64 << 10);
    let store = clock.open_on(Arc::new(disk.clone())).unwrap();
    for part in 0..40 {
        let times = (0..200).map(move |time| part * 200 + time);
        store.write(&rows(4, times), Durability::Os).unwrap();
    }
    let before = store.stats();
    assert!(before.log_segments > 4, "{before:?}");
    store.flush().unwrap();
    let after = store.stats();
    assert!(after.log_segments <= 1 && after.log_bytes < 128 << 10, "{after:?}");
    drop(store);
    let again = open_on(&disk.crash_lose_all());
    assert_eq!(all(&again).rows(), 40 * 800);
    assert_eq!(again.stats().memory_rows, 0, "the files hold everything");
}

/// S57: a segment that the disk would not delete was forgotten, and took its space until the store was opened again;
/// one of an earlier opening for good, for its opening was forgotten next.
#[test]
fn a_segment_that_could_not_be_deleted_is_deleted_by_a_later_flush() {
    let disk = SimDisk::new();
    let ids = Arc::new(SimClock::new(0, 7));
    let options = steady().entropy(ids).segment_bytes(64 << 10);
    let open = |disk: &SimDisk| options.clone().open_on(Arc::new(disk.clone())).unwrap();
    let fill = |store: &Store| {
        for part in 0..20 {
            let times = (0..200).map(move |time| part * 200 + time);
            store.write(&rows(4, times), Durability::Sync).unwrap();
        }
    };
    let segments = |disk: &SimDisk| {
        disk.files().into_iter().filter(|(path, _)| path.starts_with("wal/")).count()
    };
    let refusing = |nth| At::nth(nth).of(&[Call::Remove]).under("wal/").onwards();
    for nth in 1..=3 {
        let store = open(&disk);
        fill(&store);
        let before = segments(&disk);
        assert!(before >= 4, "{before} segments");
        disk.fail(refusing(nth), Fault::Error(EIO));
        store.flush().unwrap();
        assert_eq!(segments(&disk), before + 1 - nth as usize);
        disk.heal();
        put(&store, "pump_1", 0, 1.0);
        store.flush().unwrap();
        assert_eq!(segments(&disk), 0);
    }
    let store = open(&disk);
    fill(&store);
    disk.kill();
    drop(store);
    let disk = disk.restart();
    let store = open(&disk);
    disk.fail(refusing(2), Fault::Error(EIO));
    store.flush().unwrap();
    put(&store, "pump_1", 0, 1.0);
    store.flush().unwrap();
    assert!(segments(&disk) >= 3);
    disk.heal();
    put(&store, "pump_1", 0, 2.0);
    store.flush().unwrap();
    assert_eq!(segments(&disk), 0);
}

/// S57: that segments are gone is not durable at once. Back after a crash, with their opening forgotten, they stayed.
#[test]
fn a_deleted_segment_that_is_back_after_a_crash_is_deleted_again() {
    let ids = Arc::new(SimClock::new(0, 7));
    let open =
        |disk: &SimDisk| steady().entropy(ids.clone()).open_on(Arc::new(disk.clone())).unwrap();
    let segments = |disk: &SimDisk| {
        disk.files().into_iter().filter(|(path, _)| path.starts_with("wal/")).count()
    };
    let disk = SimDisk::new();
    put(&open(&disk), "pump_1", 1, 1.0);
    let store = open(&disk);
    store.flush().unwrap();
    assert_eq!(segments(&disk), 0);
    let disk = disk.crash_lose_all();
    assert_eq!(segments(&disk), 1, "its name is back");
    let store = open(&disk);
    put(&store, "pump_1", 2, 1.0);
    store.flush().unwrap();
    assert_eq!(segments(&disk), 0);
    assert_eq!(all(&store).times, [1, 2]);
}

/// S57: a segment whose rows are in no file stays, whatever else happens.
#[test]
fn a_failed_flush_deletes_nothing_of_the_log() {
    // The files cannot be named, or the manifest cannot take them.
    let files = (At::nth(1).of(&[Call::Rename]).onwards(), Fault::Error(EIO));
    let manifest =
        (At::nth(1).of(&[Call::Write]).under("MANIFEST").onwards(), Fault::Error(ENOSPC));
    for (at, fault) in [files, manifest] {
        let disk = SimDisk::new();
        let store = open_on(&disk);
        store.write(&rows(4, 0..500), Durability::Sync).unwrap();
        disk.fail(at, fault);
        store.flush().unwrap_err();
        assert!(disk.faults_fired() > 0);
        assert_eq!(store.stats().flush_failures, 1);
        assert_eq!(all(&store).rows(), 2000);
        assert_eq!(all(&open_on(&disk.crash_lose_all())).rows(), 2000);
        disk.heal();
        store.flush().unwrap();
        assert_eq!(all(&store).rows(), 2000);
    }
}

/// S52, S-B14: one torn tail makes theirs skip the segment and then delete all of them.
#[test]
fn a_torn_tail_is_cut_at_every_byte_and_what_was_before_it_stays() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    put(&store, "pump_1", 1, 1.0);
    put(&store, "pump_1", 2, 2.0);
    let wal = |disk: &SimDisk| disk.files().into_iter().find(|file| file.0.ends_with(".wal"));
    let (path, whole) = wal(&disk).unwrap();
    let mut last = Batch::new("plant.boiler").unwrap();
    last.push("pump_1", 3, [("level", 3.0)]).unwrap();
    store.write(&last, Durability::Os).unwrap();
    let (_, end) = wal(&disk).unwrap();
    assert!(end > whole);
    for cut in whole..end {
        let torn = disk.crash_keep_all();
        torn.truncate(&path, cut);
        let store = open_on(&torn);
        assert_eq!(all(&store).times, [1, 2], "cut at {cut}");
        assert_eq!(store.open_report().torn_bytes, cut - whole);
        store.flush().unwrap();
        assert_eq!(all(&store).times, [1, 2], "cut at {cut}, flushed");
    }
}

/// S52: damage in the middle costs the one record, and is reported by file.
#[test]
fn a_damaged_record_is_lost_alone_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut middle = 0;
    for time in 0..9 {
        if time == 4 {
            middle = store.position().unwrap().offset;
        }
        put(&store, "pump_1", time, 1.0);
    }
    store.close().unwrap();
    drop(store);
    let wal = files(dir.path(), ".wal").pop().unwrap();
    let mut bytes = std::fs::read(&wal).unwrap();
    bytes[usize::try_from(middle).unwrap() + 60] ^= 1;
    std::fs::write(&wal, bytes).unwrap();
    let strict = Options::new().strict(true).open(dir.path()).unwrap_err();
    assert_eq!(strict.kind(), Kind::Restore, "{strict}");
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(all(&store).times, [0, 1, 2, 3, 5, 6, 7, 8]);
    let report = store.open_report();
    assert!(report.damage.iter().any(|(file, _)| file.contains(".wal")), "{report:?}");
    assert!(!files(&dir.path().join("quarantine"), "").is_empty(), "what is damaged is kept");
}

/// S-B15, D9: theirs loses popped entries when the disk is full, and says all is well.
#[test]
fn a_full_disk_refuses_the_write_and_leaves_no_trace_of_it() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    put(&store, "pump_1", 1, 1.0);
    disk.fail(At::nth(1).of(&[Call::Write]).under("wal/").onwards(), Fault::Error(ENOSPC));
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_1", 2, [("level", 2.0)]).unwrap();
    let refused = store.write(&batch, Durability::Sync).unwrap_err();
    assert_eq!(refused.kind(), Kind::Retry, "{refused}");
    assert_eq!(all(&store).times, [1]);
    disk.heal();
    store.write(&batch, Durability::Sync).unwrap();
    assert_eq!(all(&store).times, [1, 2]);
    assert_eq!(all(&open_on(&disk.crash_lose_all())).times, [1, 2]);
}

/// S-B15, D9: an fsync that failed is never tried again; nothing is acknowledged until reopened.
#[test]
fn a_failed_fsync_poisons_the_store_until_it_is_reopened() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    put(&store, "pump_1", 1, 1.0);
    disk.fail(At::nth(1).of(&[Call::Sync]).under("wal/"), Fault::Error(EIO));
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_1", 2, [("level", 2.0)]).unwrap();
    for _ in 0..3 {
        let refused = store.write(&batch, Durability::Sync).unwrap_err();
        assert!(matches!(refused, WriteError::Poisoned), "{refused}");
        assert_eq!(refused.kind(), Kind::Reopen);
    }
    assert!(store.stats().poisoned);
    assert_eq!(all(&store).times, [1], "reads go on");
    drop(store);
    let store = open_on(&disk.crash_lose_all());
    assert_eq!(all(&store).times, [1]);
    store.write(&batch, Durability::Sync).unwrap();
}

/// S53: `Interval` is kept by the next write when the store has no threads, by a thread otherwise.
#[test]
fn an_interval_write_is_durable_soon_without_being_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().upkeep(Upkeep::Background).open(dir.path()).unwrap();
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_1", 1, [("level", 1.0)]).unwrap();
    store.write(&batch, Durability::Interval(Duration::from_millis(5))).unwrap();
    assert_eq!(all(&store).rows(), 1);
    for _ in 0..1000 {
        if store.stats().log_syncs > 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no fsync within 5 s of an interval of 5 ms");
}
