//! Damage is done to bytes at rest, in both images.

use crate::{create, disk_with};
use tidelog_engine::disk::Disk;
use tidelog_tests::disk::SimDisk;

/// Live and durable contents, which must be the same.
fn both(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let live = disk.contents(path);
    assert_eq!(disk.crash_lose_all().contents(path), live);
    live
}

#[test]
fn damage_is_seen_at_once_and_survives() {
    let disk = disk_with("x", &[0, 1, 2, 3]);
    let calls = disk.calls();
    disk.flip("x", 2, 7);
    assert_eq!(both(&disk, "x").unwrap(), [0, 1, 0x82, 3]);
    disk.zero("x", 1..3);
    assert_eq!(both(&disk, "x").unwrap(), [0, 0, 0, 3]);
    disk.truncate("x", 0);
    assert_eq!(both(&disk, "x").unwrap(), []);
    disk.put("x", b"again");
    disk.put("y", b"stray");
    disk.swap("x", "y");
    assert_eq!(both(&disk, "x").unwrap(), b"stray");
    assert_eq!(both(&disk, "y").unwrap(), b"again");
    disk.erase("x");
    assert_eq!(both(&disk, "x"), None);
    assert_eq!(disk.files(), [("y".into(), 5)]);
    assert_eq!(disk.calls(), calls, "damage is not a call");
}

#[test]
fn an_open_handle_sees_the_damage_and_goes_on() {
    let disk = SimDisk::new();
    disk.create_dir("d").unwrap();
    let file = create(&disk, "d/x", b"abc");
    disk.flip("d/x", 0, 0);
    assert_eq!(both(&disk, "d/x").unwrap(), b"`bc", "un-synced bytes and names settle");
    file.write_all_at(b"X", 2).unwrap();
    assert_eq!(disk.contents("d/x").unwrap(), b"`bX");
    assert_eq!(disk.crash_lose_all().contents("d/x").unwrap(), b"`bc");
}
