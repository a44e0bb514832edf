//! Flush, groups, compaction, retention, figures.

use crate::{DAY, SECOND, all, files, name, open_on, put, rows};
use tidelog_engine::{
    CollectionName, Delete, Device, DeviceSelector, Durability, Kind, OpenError, Options,
    Retention, Store, UpkeepError, WriteError,
};
use tidelog_tests::disk::SimDisk;

/// S77: their flush is an event that nobody listens to.
#[test]
fn flush_puts_every_row_into_files_of_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(&rows(50, 0..20), Durability::Sync).unwrap();
    let sums = |store: &Store| {
        let groups = store.groups();
        assert_eq!(groups.len(), 8);
        let files: u64 = groups.iter().map(|group| group.rows).sum();
        (files, groups.iter().map(|group| group.memory_rows).sum::<u64>())
    };
    assert_eq!(sums(&store), (0, 1000));
    store.flush().unwrap();
    assert_eq!(sums(&store), (1000, 0));
    let of_files: u64 = store.groups().iter().map(|group| group.files).sum();
    assert_eq!(of_files, files(dir.path(), ".tide").len() as u64);
    for device in 0..50 {
        let device = Device::named(&format!("pump_{device}")).unwrap();
        let group = store.group_of(&name(), &device);
        assert!(store.groups()[group.0 as usize].collections.contains(&name()));
    }
}

/// S60: the number of groups is part of the store, and placement never changes.
#[test]
fn another_number_of_groups_is_refused_and_placement_is_stable() {
    let dir = tempfile::tempdir().unwrap();
    let device = |n: u32| Device::named(&format!("pump_{n}")).unwrap();
    let store = Options::new().groups(5).open(dir.path()).unwrap();
    let placed: Vec<u32> = (0..8).map(|n| store.group_of(&name(), &device(n)).0).collect();
    // Written down once: a store that places otherwise does not find its rows.
    assert_eq!(placed, PLACED);
    drop(store);
    let refused = Options::new().groups(6).open(dir.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Groups { found: 5, asked: 6, .. }), "{refused}");
    assert_eq!(refused.kind(), Kind::FixCall);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.groups().len(), 5, "unless asked otherwise a store keeps its number");
}

const PLACED: [u32; 8] = [3, 3, 4, 1, 3, 2, 0, 0];

/// S63, S-B17, S-B30: many small files become few, with the same rows, and each byte is rewritten a few
/// times only.
#[test]
fn compaction_makes_many_files_few_and_changes_no_answer() {
    let store = open_on(&SimDisk::new());
    for part in 0..12 {
        let times = (0..50).map(move |time| (part * 50 + time) * SECOND);
        store.write(&rows(30, times), Durability::Os).unwrap();
        store.flush().unwrap();
    }
    let (before, expected) = (store.stats(), all(&store));
    store.compact().unwrap();
    let (after, got) = (store.stats(), all(&store));
    let of_rows = store.tiers().into_iter().find(|tier| tier.tier == "raw").unwrap();
    assert!(before.files >= 60 && of_rows.files <= 8, "{} {}", before.files, of_rows.files);
    assert!(of_rows.bytes < before.file_bytes);
    assert_eq!((&got.times, &got.columns), (&expected.times, &expected.columns));
    assert!(after.write_amplification > 1.0 && after.write_amplification < 4.0, "{after:?}");
    let again = after.compacted_bytes;
    store.compact().unwrap();
    assert_eq!(store.stats().compacted_bytes, again, "what is compact is left alone");
}

/// S-B18: theirs reads times from 0 on, so compaction drops what is older.
#[test]
fn points_before_1970_survive_flush_and_compaction() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    let times = [i64::MIN, i64::MIN + 1, -100 * 366 * DAY, -1, 0, 1, i64::MAX - 1, i64::MAX];
    for (count, time) in times.iter().enumerate() {
        put(&store, "pump_1", *time, count as f64);
        if count % 3 == 2 {
            store.flush().unwrap();
        }
    }
    let expected = all(&store);
    assert_eq!(expected.times, times);
    store.compact().unwrap();
    assert_eq!(all(&store).times, times);
    assert_eq!(all(&store).columns, expected.columns);
    drop(store);
    assert_eq!(all(&open_on(&disk.crash_lose_all())).times, times);
}

/// S79: theirs stands in the documents only.
#[test]
fn retention_cuts_whole_days_frees_their_space_and_refuses_older_rows() {
    let store = open_on(&SimDisk::new());
    let day = |day: i64| (0..500).map(move |row| day * DAY + row * SECOND);
    for number in 100..110 {
        store.write(&rows(5, day(number)), Durability::Os).unwrap();
    }
    store.compact().unwrap();
    let before = store.stats().file_bytes;
    let missing = CollectionName::parse("plant.none").unwrap();
    let refused = store.set_retention(&missing, Retention::all(3)).unwrap_err();
    assert!(matches!(refused, UpkeepError::NoCollection { .. }), "{refused}");
    store.set_retention(&name(), Retention::all(3)).unwrap();
    let kept = all(&store);
    assert_eq!(kept.rows(), 3 * 500 * 5, "gone from answers at once");
    assert!(kept.times.iter().all(|time| *time >= 107 * DAY));
    store.compact().unwrap();
    let after = store.stats();
    assert!(after.file_bytes < before / 2, "{before} {}", after.file_bytes);
    let refused = store.write(&rows(2, 106 * DAY..106 * DAY + 3), Durability::Sync).unwrap_err();
    let WriteError::BelowCut { rows: count, cut, .. } = refused else { panic!("{refused}") };
    assert_eq!((count, cut), (6, 107 * DAY));
    assert_eq!(store.stats().rows_settled, 6);
    store.write(&rows(2, 107 * DAY - 1 + SECOND..107 * DAY + SECOND), Durability::Sync).unwrap();
}

/// S79: a single device whose clock runs ahead must not cost the others their history.
#[test]
fn a_row_from_the_far_future_cuts_nothing() {
    let store = open_on(&SimDisk::new());
    // The simulated wall clock stands at 1,700,000,000 s.
    let today = 1_700_000_000 * SECOND;
    store.write(&rows(3, today..today + 10), Durability::Os).unwrap();
    store.set_retention(&name(), Retention::rows(30)).unwrap();
    put(&store, "pump_9", i64::MAX, 1.0);
    store.compact().unwrap();
    assert_eq!(all(&store).rows(), 31);
}

/// S78: theirs answers 501, or removes metadata and leaves the points.
#[test]
fn deletes_hide_exactly_what_they_name_and_outlive_a_crash() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    store.write(&rows(4, 0..100), Durability::Sync).unwrap();
    store.flush().unwrap();
    let of = |device: &str| DeviceSelector::one(Device::named(device).unwrap());
    let range = tidelog_engine::TimeRange::inclusive(10, 19).unwrap();
    store.delete(&Delete::collection(&name()).devices(of("pump_1")).range(range)).unwrap();
    store.delete(&Delete::collection(&name()).devices(of("pump_2"))).unwrap();
    let check = |store: &Store| {
        let answer = all(store);
        let rows_of = |device: &str| {
            (0..answer.rows()).filter(|row| &**answer.device(*row).unwrap() == device).count()
        };
        let counts = ["pump_0", "pump_1", "pump_2", "pump_3"].map(rows_of);
        assert_eq!(counts, [100, 90, 0, 100]);
    };
    check(&store);
    let again = open_on(&disk.crash_lose_all());
    check(&again);
    again.compact().unwrap();
    check(&again);
    store.delete(&Delete::database("plant").unwrap()).unwrap();
    assert_eq!(all(&store).rows(), 0);
    store.compact().unwrap();
    assert_eq!(store.stats().files, 0, "{:?}", store.tiers());
    put(&store, "pump_2", 5, 1.0);
    assert_eq!(all(&store).rows(), 1, "a device can come back");
}

/// S76, D22: a figure that does not move when its thing happens is not a figure.
#[test]
fn every_figure_moves_with_what_it_measures() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    let zero = store.stats();
    assert_eq!((zero.writes, zero.rows_written, zero.log_syncs, zero.files), (0, 0, 0, 0));
    store.write(&rows(10, 0..10), Durability::Sync).unwrap();
    let written = store.stats();
    assert_eq!((written.writes, written.rows_written, written.values_written), (1, 100, 100));
    assert_eq!((written.memory_rows, written.log_segments), (100, 1));
    assert!(written.log_syncs > 0 && written.memory_bytes > 0);
    let wal: u64 = disk.files().iter().filter(|file| file.0.ends_with(".wal")).map(|f| f.1).sum();
    assert_eq!((written.log_bytes, written.log_bytes_written), (wal, wal));
    let ticket = store.submit(&rows(1, 50..51), Durability::Sync).unwrap();
    assert_eq!(store.stats().writes_waiting, 1);
    ticket.wait().unwrap();
    assert_eq!(store.stats().writes_waiting, 0);
    store.flush().unwrap();
    let flushed = store.stats();
    let tide: Vec<u64> =
        disk.files().iter().filter(|file| file.0.ends_with(".tide")).map(|file| file.1).collect();
    assert_eq!((flushed.files, flushed.file_bytes), (tide.len() as u64, tide.iter().sum()));
    assert_eq!((flushed.flushed_rows, flushed.flushes, flushed.memory_rows), (101, 1, 0));
    assert_eq!(flushed.flushed_bytes, flushed.file_bytes);
    all(&store);
    assert!(store.stats().cache_bytes > 0);
    store.delete(&Delete::collection(&name())).unwrap();
    assert_eq!(store.stats().tombstones, 1);
    let collection = &store.collections().unwrap()[0];
    assert_eq!((collection.devices, collection.rows, collection.values), (10, 101, 101));
    assert_eq!(collection.range, Some((0, 50)));
    store.compact().unwrap();
    assert!(store.stats().compactions > 0);
}
