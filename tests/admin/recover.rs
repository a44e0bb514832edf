//! Recovery from what is left.

use super::*;
use tidelog_engine::{Delete, Device, DeviceSelector, RecoverError, RecoverReport, recover};

fn run(path: &Path) -> RecoverReport {
    recover(path, |done, total| done <= total).unwrap()
}

/// What the store answers after recovery; check finds nothing then, and a second recovery does nothing.
fn after(path: &Path) -> Rows {
    let store = reopen(path);
    assert!(store.open_report().is_clean(), "{:?}", store.open_report());
    assert_eq!(findings(&store), []);
    let rows = rows(&store);
    store.close().unwrap();
    drop(store);
    let again = run(path);
    assert!(!again.manifest_replaced, "{again:?}");
    rows
}

fn all(path: &Path) -> Rows {
    let store = Options::new().read_only(true).open(path).unwrap();
    rows(&store)
}

fn assert_nothing_is_deleted(path: &Path, before: &[(PathBuf, Vec<u8>)]) {
    let now = contents(path);
    for (name, bytes) in before {
        assert!(now.iter().any(|(_, held)| held == bytes), "{} is gone", name.display());
    }
}

#[test]
fn a_healthy_store_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let before = contents(dir.path());
    let report = run(dir.path());
    assert!(!report.manifest_replaced && report.findings.is_empty(), "{report:?}");
    // Of rows and, for the hours that are over, of nodes.
    assert_eq!((report.files.len(), report.notes.len()), (8, 0));
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_store_without_manifests_is_rebuilt_of_files_and_log() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let expected = all(dir.path());
    let id = reopen(dir.path()).store_id();
    for file in manifests(dir.path()) {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    assert!(Store::open(dir.path()).is_err());
    let report = run(dir.path());
    assert_eq!((report.files.len(), report.listed_again.len()), (4, 4));
    assert!(report.log_records > 0 && report.notes[0].contains("deletes"), "{report:?}");
    assert_eq!(after(dir.path()), expected);
    let store = reopen(dir.path());
    assert_eq!(store.store_id(), id);
    write(&store, TICKS + 10, TICKS + 20);
    store.compact().unwrap();
    assert_eq!(rows(&store).len(), expected.len() + 10 * DEVICES);
    assert_eq!(findings(&store), []);
}

#[test]
fn a_store_of_nothing_but_a_log_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, 0, 50);
    drop(store);
    let expected = all(dir.path());
    for file in manifests(dir.path()) {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    run(dir.path());
    assert_eq!(after(dir.path()), expected);
}

#[test]
fn damaged_manifests_are_kept_aside_and_rebuilt() {
    for both in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path());
        let expected = all(dir.path());
        let files = manifests(dir.path());
        for file in files.iter().skip(usize::from(!both)) {
            flip(&dir.path().join(file), 120);
        }
        let before = contents(dir.path());
        let report = run(dir.path());
        assert!(report.manifest_replaced, "{report:?}");
        assert_nothing_is_deleted(dir.path(), &before);
        assert_eq!(after(dir.path()), expected, "both: {both}");
    }
}

#[test]
fn deletes_survive_the_loss_of_one_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, 0, 100);
    let one = DeviceSelector::one(Device::named("pump_1").unwrap());
    store.delete(&Delete::collection(&name()).devices(one)).unwrap();
    store.flush().unwrap();
    drop(store);
    let expected = all(dir.path());
    let newest = manifests(dir.path()).pop().unwrap();
    fs::remove_file(dir.path().join(newest)).unwrap();
    run(dir.path());
    assert_eq!(after(dir.path()), expected);
}

/// A flipped byte anywhere: the rows of other pages stay, what is damaged lies in quarantine.
#[test]
fn rows_beside_the_damage_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let expected = all(dir.path());
    let path = tide_files(dir.path()).remove(0);
    let good = fs::read(dir.path().join(&path)).unwrap();
    let directory = directory_offset(&good);
    let store = TICKS as usize / 2;
    // The most rows that may be lost: a page, all of a device, all of the file.
    let (page, device, file) = (1024, store, store * DEVICES);
    let cuts = [
        (page_of(dir.path(), &path), page),
        (100, device),
        (directory - 20, file),
        (directory + 9, file),
        (good.len() - 30, file),
        (20, file),
    ];
    for (at, most) in cuts {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        flip(&copy.path().join(&path), at);
        let before = contents(copy.path());
        let report = run(copy.path());
        assert_eq!(report.quarantined.len(), 1, "byte {at}");
        assert_eq!(report.quarantined[0].0, path, "byte {at}");
        assert!(!report.notes.is_empty() && report.manifest_replaced);
        assert_nothing_is_deleted(copy.path(), &before);
        let rows = after(copy.path());
        for (key, cells) in &rows {
            assert_eq!(Some(cells), expected.get(key), "byte {at}: {key:?}");
        }
        let lost = expected.len() - rows.len();
        assert!(lost <= most, "byte {at}: {lost} rows are lost");
    }
}

#[test]
fn files_that_are_gone_cut_or_empty_cost_no_other_rows() {
    for kind in ["gone", "cut", "empty"] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path());
        let expected = all(dir.path());
        let path = tide_files(dir.path()).remove(0);
        let full = dir.path().join(&path);
        match kind {
            "gone" => fs::remove_file(&full).unwrap(),
            "cut" => fs::write(&full, &fs::read(&full).unwrap()[..500]).unwrap(),
            _ => fs::write(&full, []).unwrap(),
        }
        let report = run(dir.path());
        let hit = if kind == "gone" { &report.missing[0] } else { &report.quarantined[0].0 };
        assert_eq!(hit, &path, "{kind}");
        let rows = after(dir.path());
        assert!(rows.len() >= expected.len() / 2 && rows.len() < expected.len(), "{kind}");
        assert!(rows.iter().all(|(key, cells)| expected.get(key) == Some(cells)), "{kind}");
    }
}

#[test]
fn swapped_files_find_their_places_again() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let expected = all(dir.path());
    let files = tide_files(dir.path());
    let paths: Vec<PathBuf> = files.iter().map(|file| dir.path().join(file)).collect();
    fs::rename(&paths[0], dir.path().join("aside")).unwrap();
    fs::rename(&paths[3], &paths[0]).unwrap();
    fs::rename(dir.path().join("aside"), &paths[3]).unwrap();
    let report = run(dir.path());
    assert_eq!((report.quarantined.len(), report.files.len()), (0, 4), "{report:?}");
    assert_eq!(after(dir.path()), expected);
}

#[test]
fn what_cannot_be_recovered_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let missing = recover(dir.path(), |_, _| true);
    assert!(matches!(missing, Err(RecoverError::Missing { .. })));
    let store = open(dir.path());
    write(&store, 0, 10);
    store.flush().unwrap();
    assert!(matches!(recover(dir.path(), |_, _| true), Err(RecoverError::Locked { .. })));
    drop(store);
    let before = contents(dir.path());
    assert!(matches!(recover(dir.path(), |_, _| false), Err(RecoverError::Cancelled)));
    assert_eq!(contents(dir.path()), before);
}

/// A byte of a page that no other page's rows depend on.
fn page_of(path: &Path, file: &str) -> usize {
    let full = path.join(file);
    let good = fs::read(&full).unwrap();
    let inside = |at: &usize| {
        flip(&full, *at);
        let reader = Options::new().read_only(true).open(path).unwrap();
        let found = findings(&reader);
        fs::write(&full, &good).unwrap();
        let window = found[0].range.map(|range| (range.last() - range.first()) / STEP);
        found[0].device.is_some() && window.is_some_and(|rows| rows < 800)
    };
    (64..directory_offset(&good)).step_by(50).find(inside).expect("some byte is of a page")
}

/// Any byte of any file: recovery never invents or changes a row, and the store opens.
#[test]
fn whatever_byte_is_hit_recovery_gives_rows_that_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, 0, 600);
    store.flush().unwrap();
    write(&store, 600, 700);
    store.close().unwrap();
    drop(store);
    let expected = all(dir.path());
    let mut seed = 7usize;
    for _ in 0..60 {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let mut files = contents(copy.path());
        files.retain(|(_, bytes)| !bytes.is_empty());
        files.sort();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (file, bytes) = &files[(seed >> 33) % files.len()];
        let at = (seed >> 20) % bytes.len();
        flip(file, at);
        let before = contents(copy.path());
        run(copy.path());
        assert_nothing_is_deleted(copy.path(), &before);
        let rows = rows(&reopen(copy.path()));
        let wrong = rows.iter().find(|(key, cells)| expected.get(key) != Some(cells));
        assert_eq!(wrong, None, "{} byte {at}", file.display());
        let in_log = file.parent().unwrap().ends_with("wal");
        assert!(rows.len() >= 100 * DEVICES || in_log, "{} byte {at}", file.display());
    }
}
