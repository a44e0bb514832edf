//! A check finds and names what is damaged, and nothing else.

use super::*;
use tidelog_engine::{QueryError, ReadError, UpkeepError};

#[test]
fn a_healthy_store_is_clean_and_every_row_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let store = reopen(dir.path());
    let mut calls = 0;
    let report = store
        .check(|done, total| {
            calls += 1;
            assert!(done <= total);
            true
        })
        .unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.files, report.rows), (8, (TICKS as u64) * DEVICES as u64));
    assert!(report.pages > 4 && report.log_records > 0 && calls > 4);
    assert!(matches!(store.check(|_, _| false), Err(UpkeepError::Cancelled)));
    store.compact().unwrap();
    let report = store.check(|_, _| true).unwrap();
    assert_eq!((report.findings, report.files), (vec![], store.stats().files));
    let reader = Options::new().read_only(true).open(dir.path()).unwrap();
    assert_eq!(findings(&reader), []);
}

#[test]
fn a_check_beside_writes_flushes_and_compactions_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().memory_budget(1 << 20).open(dir.path()).unwrap();
    let writer = store.clone();
    let work = std::thread::spawn(move || {
        for round in 0..6 {
            write(&writer, round * 1000, round * 1000 + 1000);
            writer.flush().unwrap();
            if round % 3 == 2 {
                writer.compact().unwrap();
            }
        }
    });
    while !work.is_finished() {
        assert_eq!(findings(&store), []);
    }
    work.join().unwrap();
    assert_eq!(findings(&store), []);
}

/// Every byte of a file, in steps, header and footer whole: the file is named, and nothing else; the device and times too when the
/// byte is a page's.
#[test]
fn every_flipped_byte_is_found_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let path = &tide_files(dir.path())[0];
    let good = fs::read(dir.path().join(path)).unwrap();
    let end = good.len();
    let steps = (0..end).step_by(end / 100).chain(0..64).chain(end - 48..end);
    let (mut windows, mut whole) = (0, 0);
    for at in steps {
        flip(&dir.path().join(path), at);
        let reader = Options::new().read_only(true).open(dir.path()).unwrap();
        let found = findings(&reader);
        assert!(!found.is_empty(), "byte {at}");
        for finding in &found {
            assert_eq!(&finding.path, path, "byte {at}: {finding}");
        }
        match (&found[0].device, found[0].range) {
            (Some(device), Some(range)) => {
                assert!(device.starts_with("pump_") && found[0].collection == Some(name()));
                assert!(range.first() >= 0 && range.last() < TICKS * STEP);
                windows += 1;
            }
            _ => whole += 1,
        }
        fs::write(dir.path().join(path), &good).unwrap();
    }
    assert!(windows > 20 && whole > 100, "{windows} {whole}");
    assert_eq!(findings(&Options::new().read_only(true).open(dir.path()).unwrap()), []);
}

#[test]
fn a_query_that_meets_damage_names_file_device_and_window() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let path = tide_files(dir.path()).remove(0);
    flip(&dir.path().join(&path), 70);
    let store = reopen(dir.path());
    let found = findings(&store);
    let (device, range) = (found[0].device.clone().unwrap(), found[0].range.unwrap());
    let answer = store.query(&name(), Query::new()).unwrap().collect_rows();
    let Err(QueryError::Read(error)) = answer else { panic!("damage was not met") };
    let text = error.to_string();
    assert!(text.contains(&path) && text.contains(&device), "{text}");
    assert!(text.contains(&range.first().to_string()), "{text}");
    let ReadError::Damaged { window: Some((series, of)), .. } = error else { panic!("{text}") };
    assert_eq!(series, format!("{device} of plant.boiler"));
    assert!(of.overlaps(range));
}

#[test]
fn files_that_are_gone_cut_empty_or_swapped_are_named() {
    type Damage = fn(&Path, &Path);
    let kinds: [(&str, Damage, usize); 4] = [
        ("gone", |one, _| fs::remove_file(one).unwrap(), 1),
        ("empty", |one, _| fs::write(one, []).unwrap(), 1),
        ("cut", |one, _| fs::write(one, &fs::read(one).unwrap()[..500]).unwrap(), 1),
        (
            "swapped",
            |one, other| {
                let (a, b) = (fs::read(one).unwrap(), fs::read(other).unwrap());
                fs::write(one, b).unwrap();
                fs::write(other, a).unwrap();
            },
            2,
        ),
    ];
    for (kind, damage, hit) in kinds {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path());
        let files = tide_files(dir.path());
        damage(&dir.path().join(&files[0]), &dir.path().join(&files[1]));
        let store = reopen(dir.path());
        let found = findings(&store);
        let paths: Vec<&String> = found.iter().map(|finding| &finding.path).collect();
        assert_eq!(paths, files[..hit].iter().collect::<Vec<_>>(), "{kind}: {found:?}");
        assert!(found[0].range.is_some(), "{kind}");
    }
}

#[test]
fn damage_to_manifest_and_log_is_named() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    for file in manifests(dir.path()) {
        let path = dir.path().join(&file);
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(13) {
            flip(&path, at);
            // Where the newest is hit the other one helps; a store that does not open says which file.
            match Options::new().read_only(true).open(dir.path()) {
                Ok(reader) => {
                    let found = findings(&reader);
                    assert!(found.iter().any(|f| f.path == file), "{file} {at}: {found:?}");
                }
                Err(error) => assert!(error.to_string().contains(&file), "{file} {at}: {error}"),
            }
            fs::write(&path, &good).unwrap();
        }
    }
    let log = fs::read_dir(dir.path().join("wal")).unwrap().next().unwrap().unwrap();
    let len = log.metadata().unwrap().len() as usize;
    let name = format!("wal/{}", log.file_name().to_str().unwrap());
    for at in [10, 100, len / 2] {
        flip(&log.path(), at);
        let reader = Options::new().read_only(true).open(dir.path()).unwrap();
        let found = findings(&reader);
        assert!(found.iter().all(|finding| finding.path == name), "byte {at}: {found:?}");
        assert!(!found.is_empty(), "byte {at}");
        flip(&log.path(), at);
    }
}
