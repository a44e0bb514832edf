//! Backups open, answer, and can become stores of their own.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use tidelog_engine::{BackupError, Delete, Device, DeviceSelector, OpenError, adopt};

#[test]
fn a_backup_opens_and_answers_like_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("store");
    store(&place);
    let store = reopen(&place);
    let one = DeviceSelector::one(Device::named("pump_1").unwrap());
    store.delete(&Delete::collection(&name()).devices(one)).unwrap();
    let copy = dir.path().join("copy");
    let mut last = 0;
    let report = store
        .backup(&copy, |done, total| {
            last = done;
            done <= total
        })
        .unwrap();
    assert!(report.files > 0 && report.rows > 0 && last <= report.bytes);
    let copied = reopen(&copy);
    assert_eq!(copied.store_id(), store.store_id());
    assert_eq!(rows(&copied), rows(&store));
    assert_eq!(findings(&copied), []);
    assert!(copied.open_report().is_clean());
    write(&copied, 9000, 9010);
    assert_eq!(rows(&copied).len(), rows(&store).len() + 10 * DEVICES);
    assert!(matches!(store.backup(&copy, |_, _| true), Err(BackupError::NotEmpty { .. })));
    let part = dir.path().join("part");
    let cancelled = store.backup(&part, |_, _| false);
    assert!(matches!(cancelled, Err(BackupError::Cancelled { .. })));
    assert!(Store::open(&part).is_err(), "a part of a backup is no store");
}

/// Batches are written while backups are made: each holds what was acknowledged before it, and only
/// whole batches.
#[test]
fn backups_beside_writes_hold_whole_batches_and_all_acknowledged_ones() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new().memory_budget(1 << 20).groups(4);
    let store = options.open(dir.path().join("store")).unwrap();
    let (writer, done) = (store.clone(), AtomicBool::new(false));
    let acknowledged = std::sync::atomic::AtomicI64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = Batch::new("plant.boiler").unwrap();
            for tick in 0.. {
                batch.clear();
                for device in 0..20 {
                    let values = [("level", tick as f64)];
                    batch.push(&format!("pump_{device}"), tick * STEP, values).unwrap();
                }
                writer.write(&batch, Durability::Os).unwrap();
                acknowledged.store(tick + 1, Ordering::SeqCst);
                if done.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        for round in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(30));
            let before = acknowledged.load(Ordering::SeqCst);
            let copy = dir.path().join(format!("copy-{round}"));
            store.backup(&copy, |_, _| true).unwrap();
            let copied = reopen(&copy);
            let held = rows(&copied).len() as i64;
            assert_eq!(held % 20, 0, "whole batches");
            assert!(held / 20 >= before, "{held} rows, {before} batches were acknowledged");
            let last = rows(&copied).keys().map(|(_, time)| *time).max().unwrap_or(-STEP);
            assert_eq!(last / STEP + 1, held / 20, "and none is left out");
            assert_eq!(findings(&copied), []);
            if round == 2 {
                store.compact().unwrap();
            }
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_damaged_file_is_not_copied_on() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("store");
    store(&place);
    flip(&place.join(&tide_files(&place)[0]), 100);
    let store = reopen(&place);
    let refused = store.backup(dir.path().join("copy"), |_, _| true);
    assert!(matches!(refused, Err(BackupError::Read(_))));
}

#[test]
fn a_copy_by_hand_of_a_closed_store_opens_and_adoption_gives_it_an_id_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (place, copy) = (dir.path().join("store"), dir.path().join("copy"));
    store(&place);
    copy_tree(&place, &copy);
    let (store, copied) = (reopen(&place), reopen(&copy));
    assert_eq!(rows(&copied), rows(&store));
    assert_eq!(copied.store_id(), store.store_id());
    assert!(matches!(adopt(&copy), Err(OpenError::Locked { .. })));
    drop(copied);
    let id = adopt(&copy).unwrap();
    let copied = reopen(&copy);
    assert_eq!(copied.store_id(), id);
    assert_ne!(id, store.store_id());
    assert_eq!(rows(&copied), rows(&store));
    write(&copied, 9000, 9010);
    copied.compact().unwrap();
    assert_eq!(findings(&copied), []);
    assert!(matches!(adopt(dir.path().join("none")), Err(OpenError::Missing { .. })));
}
