//! The simulated disk keeps its promises: crash tests are worth what it is worth.

mod contract;
mod crash;
mod damage;
mod faults;
mod replay;

use std::sync::Arc;
use tidelog_engine::disk::{Disk, DiskFile, OpenMode};
use tidelog_tests::disk::SimDisk;

/// A new file with these bytes, nothing synced.
fn create(disk: &dyn Disk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::CreateNew).expect("a new file");
    file.write_all_at(bytes, 0).expect("room for a few bytes");
    file
}

/// A disk on which `path` durably holds `bytes`.
fn disk_with(path: &str, bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    create(&disk, path, bytes).sync().unwrap();
    disk.sync_dir("").unwrap();
    disk
}
