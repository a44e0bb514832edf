//! Files that cannot be read: said, kept, and in nobody's way.

use crate::{all, files, name, rows};
use std::fs;
use tidelog_engine::{Device, DeviceSelector, Durability, Query, Store};

/// S-B18, S-B19, S-B31: theirs logs the bad part, answers without it, and deletes it at the next merge.
#[test]
fn a_damaged_file_fails_what_needs_it_and_nothing_else_and_is_never_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(&rows(64, 0..200), Durability::Os).unwrap();
    store.compact().unwrap();
    let groups: Vec<_> = (0..64)
        .map(|device| store.group_of(&name(), &Device::named(&format!("pump_{device}")).unwrap()))
        .collect();
    drop(store);
    let broken = files(&dir.path().join(format!("group-{:04}", groups[0].0)), ".tide").pop();
    let broken = broken.unwrap();
    let mut bytes = fs::read(&broken).unwrap();
    bytes[64..].fill(0xaa);
    fs::write(&broken, &bytes).unwrap();

    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.stats().files_broken, 1);
    let file = broken.file_name().unwrap().to_str().unwrap();
    assert!(store.open_report().damage.iter().any(|(path, _)| path.contains(file)));
    let error = store.query(&name(), Query::new()).and_then(|answer| answer.collect_rows());
    let error = error.unwrap_err().to_string();
    assert!(error.contains(file), "no partial answer, and the file is named: {error}");
    for (device, group) in groups.iter().enumerate() {
        let one = DeviceSelector::one(Device::named(&format!("pump_{device}")).unwrap());
        let answer = store.query(&name(), Query::new().devices(one));
        let answer = answer.and_then(|answer| answer.collect_rows());
        match answer {
            Ok(rows) => assert_eq!((rows.rows(), *group != groups[0]), (200, true)),
            Err(_) => assert_eq!(*group, groups[0], "pump_{device} lies in another file"),
        }
    }
    store.write(&rows(64, 200..210), Durability::Os).unwrap();
    let _ = store.compact();
    assert_eq!(fs::read(&broken).unwrap(), bytes, "compaction leaves it for repair");
    assert!(store.query(&name(), Query::new()).and_then(|a| a.collect_rows()).is_err());
}

/// S62, D24: a page is verified when it is read, mapped or not.
#[test]
fn a_flipped_bit_in_a_page_is_an_error_and_never_another_value() {
    for map in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write(&rows(1, 0..3000), Durability::Os).unwrap();
        store.compact().unwrap();
        let expected = all(&store);
        drop(store);
        let file = files(dir.path(), ".tide").pop().unwrap();
        let whole = fs::read(&file).unwrap();
        for at in (64..whole.len()).step_by(whole.len() / 60 + 1) {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs::write(&file, &bytes).unwrap();
            let options = tidelog_engine::Options::new().map(map).read_only(true);
            let store = options.open(dir.path()).unwrap();
            let answer = store.query(&name(), Query::new()).and_then(|a| a.collect_rows());
            if let Ok(rows) = answer {
                assert_eq!(rows.times, expected.times, "byte {at}");
                assert_eq!(rows.columns, expected.columns, "byte {at}");
            }
        }
    }
}
