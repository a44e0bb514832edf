//! Single features of the ledger, `tests/FEATURES.md`, each held by a test of its own through the
//! public handles. What needs whole suites (models, crashes, processes, flipped bits) is held there.

mod close;
mod damage;
mod log;
mod memory;
mod reads;
mod upkeep;
mod values;

use std::path::Path;
use std::sync::Arc;
use tidelog_engine::{
    Batch, CollectionName, Durability, Options, Query, RowBatch, Store, Upkeep, ValueRef,
};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::SimDisk;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

fn all(store: &Store) -> RowBatch {
    store.query(&name(), Query::new()).unwrap().collect_rows().unwrap()
}

/// Options without threads on a simulated clock: the same calls every time.
fn steady() -> Options {
    let clock = Arc::new(SimClock::new(1_700_000_000_000, 7));
    Options::new().upkeep(Upkeep::Caller).clock(clock.clone()).entropy(clock)
}

fn open_on(disk: &SimDisk) -> Store {
    steady().open_on(Arc::new(disk.clone())).unwrap()
}

/// One row of one device.
fn put(store: &Store, device: &str, time: i64, level: f64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push(device, time, [("level", level)]).unwrap();
    store.write(&batch, Durability::Sync).unwrap();
}

/// The rows of devices `pump_0..devices` at `times`, in one batch.
fn rows(devices: usize, times: impl Iterator<Item = i64> + Clone) -> Batch {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for device in 0..devices {
        for time in times.clone() {
            let level = [("level", ValueRef::F64(time as f64 + device as f64))];
            batch.push(&format!("pump_{device}"), time, level).unwrap();
        }
    }
    batch
}

/// The directory as a crash would leave it, if everything written had reached the disk.
fn image_of(store: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(store, image.path());
    image
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The files below a directory whose names end so, sorted.
fn files(root: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}
