//! Files of another store, received and installed: a death at each call leaves each group as it was or with all of its
//! files, what was received before is not asked for again, and nothing that was there is touched. What is forged is refused.

use crate::{long, report};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_engine::{
    ApplyError, CollectionName, Durability, Level, Options, SnapshotError, SnapshotFile, Store,
    recover_on,
};
use tidelog_model::{Device, Digest, GroupId, StoreId, TimeRange, Value};
use tidelog_tests::disk::{At, Call, ENOSPC, Fault, SimDisk, sweep};
use tidelog_tests::generate::EPOCH;
use tidelog_tests::oracle::{RowRead, RowWrite};
use tidelog_tests::subject::{self, whole_answer, write};

const NAME: &str = "plant.boiler";
const PEER: StoreId = StoreId([7; 16]);
const GROUPS: [GroupId; 2] = [GroupId(0), GroupId(1)];

/// Rows that do not compress: `text` bytes of noise in each.
fn rows(device: &str, from: i64, count: i64, text: usize) -> Vec<RowWrite> {
    let device = Device::named(device).unwrap();
    let row = |at: i64| {
        let mut state = at.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut letter = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 90) as u8)
        };
        let noise: String = (0..text).map(|_| letter()).collect();
        let mut values = vec![("level".into(), Value::F64(at as f64 / 8.0))];
        if text > 0 {
            values.push(("note".into(), Value::String(noise)));
        }
        RowWrite { device: device.clone(), time: EPOCH + at * 60_000_000_000, values }
    };
    (from..from + count).map(row).collect()
}

fn fill(store: &Store, rows: Vec<RowWrite>) {
    for some in rows.chunks(100) {
        write(store, NAME, some, Durability::Os).unwrap();
    }
    store.flush().unwrap();
}

/// With the sums and bytes of its pieces.
type GivenFile = (SnapshotFile, Vec<[u8; 32]>, Vec<Vec<u8>>);

/// What a source gives.
struct Given {
    files: Vec<GivenFile>,
}

impl Given {
    fn by(store: &Store) -> Self {
        let groups = GROUPS.map(|group| (group, 0));
        let offer = store.offer_snapshot(PEER, &groups, 1, &|_, _| true).unwrap();
        let file = |file: SnapshotFile| {
            let sums = store.snapshot_sums(PEER, file.digest, 0, 1 << 20).unwrap();
            let piece = |number| store.snapshot_piece(PEER, file.digest, number).unwrap();
            let pieces = (0..sums.len() as u64).map(piece).collect();
            (file, sums, pieces)
        };
        Given { files: offer.into_iter().map(file).collect() }
    }

    fn of(&self, group: GroupId) -> Vec<SnapshotFile> {
        self.files.iter().map(|(file, ..)| *file).filter(|file| file.group == group).collect()
    }

    /// Receives and installs what is not there yet; how many pieces were needed for it.
    fn take(&self, store: &Store) -> Result<u64, SnapshotError> {
        let mut needed = 0;
        self.take_counting(store, &mut needed, &mut 0)?;
        Ok(needed)
    }

    /// The same, with the number of files that were whole and durable.
    fn take_counting(
        &self,
        store: &Store,
        needed: &mut u64,
        whole: &mut u64,
    ) -> Result<(), SnapshotError> {
        for group in GROUPS {
            let own = self.files.iter().filter(|(file, ..)| file.group == group);
            for (file, sums, pieces) in own.filter(|(file, ..)| !store.is_installed(file.digest)) {
                let mut partial = store.partial(*file, sums.clone())?;
                for number in partial.done()..pieces.len() as u64 {
                    partial.add(number, &pieces[number as usize])?;
                    *needed += 1;
                }
                partial.finish()?;
                *whole += 1;
            }
            store.install(group, &self.of(group), &|_| true)?;
        }
        Ok(())
    }
}

/// Two files of each group, in which rows of the target meet older and newer ones.
fn source() -> (SimDisk, Store) {
    let disk = SimDisk::new();
    let store = subject::open(&disk, &subject::clock(11)).unwrap();
    for (device, from) in [("pump_1", 0), ("valve", 0), ("pump_2", 60)] {
        fill(&store, rows(device, from, 200, 0));
    }
    (disk, store)
}

/// A store with rows of its own in files and in the log.
fn target() -> SimDisk {
    let disk = SimDisk::new();
    let store = subject::open(&disk, &subject::clock(12)).unwrap();
    store.set_replicated().unwrap();
    fill(&store, rows("pump_1", 150, 100, 5));
    write(&store, NAME, &rows("own", 0, 10, 5), Durability::Sync).unwrap();
    store.close().unwrap();
    disk.restart()
}

fn digests(store: &Store) -> Vec<String> {
    let name = CollectionName::parse(NAME).unwrap();
    let levels = [Level::Root, Level::Day, Level::Series];
    let of = |level| store.digests(&name, level, TimeRange::ALL).unwrap();
    levels.into_iter().flat_map(of).map(|row| format!("{row:?}")).collect()
}

/// The rows of some devices.
fn of_group(store: &Store, rows: &[RowRead], group: GroupId) -> Vec<RowRead> {
    let name = CollectionName::parse(NAME).unwrap();
    let is = |row: &&RowRead| store.group_of(&name, &row.device) == group;
    rows.iter().filter(is).cloned().collect()
}

#[test]
fn installing() {
    let (_disk, source) = source();
    let given = Given::by(&source);
    assert!(given.files.len() > 2 && given.files.iter().all(|(_, sums, _)| sums.len() == 1));
    let start = target();
    // The same by rows alone: what both hold, merged.
    let by_rows = start.restart();
    let store = subject::open(&by_rows, &subject::clock(13)).unwrap();
    let before = whole_answer(&store, NAME).unwrap();
    given.take(&store).unwrap();
    let merged = whole_answer(&store, NAME).unwrap();
    assert_eq!(merged.len(), before.len() + 600 - 50, "50 rows are on both");
    store.seal().unwrap();
    let expected = digests(&store);
    store.compact().unwrap();
    assert_eq!(
        (whole_answer(&store, NAME).unwrap(), digests(&store)),
        (merged.clone(), expected.clone())
    );
    drop(store);
    let work = |disk: &SimDisk| {
        let mut whole = 0;
        if let Ok(store) = subject::open(disk, &subject::clock(13)) {
            let _ = given.take_counting(&store, &mut 0, &mut whole);
        }
        disk.kill();
        whole
    };
    let done = sweep(&start, if long() { 256 } else { 6 }, work, |disk, whole| {
        let power_failed = !disk.history().is_empty();
        let store = subject::open(disk, &subject::clock(14)).unwrap();
        assert!(store.open_report().is_clean(), "{:?}", store.open_report());
        let rows = whole_answer(&store, NAME).unwrap();
        for group in GROUPS {
            let found = of_group(&store, &rows, group);
            let whole = found == of_group(&store, &merged, group);
            assert!(whole || found == of_group(&store, &before, group), "a part of group {group}");
        }
        let needed = given.take(&store).unwrap();
        let left = given.files.len() as u64 - whole;
        assert!(needed <= left || power_failed, "{needed} pieces were needed, and {left} missing");
        assert_eq!(whole_answer(&store, NAME).unwrap(), merged);
        assert_eq!(digests(&store), expected);
        // A name that was moved may be there under both.
        store.keep_partials(&[]).unwrap();
        assert!(!store.has_partials());
        assert_eq!(store.check(|_, _| true).unwrap().findings, []);
    });
    report("install", done);
}

/// One file of several pieces.
fn large() -> Given {
    let store = subject::open(&SimDisk::new(), &subject::clock(11)).unwrap();
    fill(&store, rows("pump_1", 0, 1500, 3000));
    store.compact().unwrap();
    let given = Given::by(&store);
    assert_eq!((given.files.len(), given.files[0].1.len()), (1, 4));
    given
}

#[test]
fn what_was_received_before_a_kill_is_not_asked_for_again() {
    let given = large();
    let (file, sums, pieces) = &given.files[0];
    let disk = SimDisk::new();
    let store = subject::open(&disk, &subject::clock(12)).unwrap();
    let mut partial = store.partial(*file, sums.clone()).unwrap();
    partial.add(0, &pieces[0]).unwrap();
    partial.add(1, &pieces[1]).unwrap();
    partial.add(0, &pieces[0]).unwrap();
    let refused = partial.add(3, &pieces[3]).unwrap_err();
    assert!(matches!(refused, SnapshotError::Refused(ApplyError::Malformed { .. })), "{refused}");
    let early = partial.finish().unwrap_err();
    assert!(early.to_string().contains("fewer pieces"), "{early}");
    disk.kill();
    // A death in the middle of a write leaves a part of a piece, and may leave one that was never written.
    let disk = disk.restart();
    let path = disk.files().into_iter().map(|(path, _)| path).find(|path| path.ends_with(".part"));
    let path = path.unwrap();
    let mut bytes = disk.contents(&path).unwrap();
    bytes.extend_from_slice(&pieces[2][..1000]);
    disk.put(&path, &bytes);
    let store = subject::open(&disk, &subject::clock(12)).unwrap();
    assert!(store.has_partials());
    assert_eq!(store.partial(*file, sums.clone()).unwrap().done(), 2);
    bytes[(1 << 20) + 7] ^= 1;
    disk.put(&path, &bytes);
    assert_eq!(store.partial(*file, sums.clone()).unwrap().done(), 1, "a damaged piece is none");
    assert_eq!(given.take(&store).unwrap(), 3);
    assert_eq!(whole_answer(&store, NAME).unwrap().len(), 1500);
    // What nobody goes on with is swept.
    store
        .partial(
            SnapshotFile { len: 5, digest: digest_of(b"abcde"), ..*file },
            vec![digest_of(b"abcde").0],
        )
        .unwrap();
    assert!(store.has_partials());
    store.keep_partials(&[]).unwrap();
    assert!(!store.has_partials());
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

#[test]
fn a_full_disk_is_told_and_what_was_received_stays() {
    let given = large();
    let disk = SimDisk::new();
    let store = subject::open(&disk, &subject::clock(12)).unwrap();
    disk.fail(At::nth(3).of(&[Call::Write]), Fault::Error(ENOSPC));
    let error = given.take(&store).unwrap_err();
    assert!(matches!(error, SnapshotError::Disk { .. }), "{error}");
    assert_eq!(error.kind(), tidelog_engine::Kind::Retry);
    disk.heal();
    assert_eq!(given.take(&store).unwrap(), 2, "two pieces were here");
    assert_eq!(whole_answer(&store, NAME).unwrap().len(), 1500);
}

/// Installs a file made of these bytes, and says why not.
fn refused(store: &Store, group: GroupId, bytes: &[u8]) -> SnapshotError {
    let file = SnapshotFile { group, len: bytes.len() as u64, digest: digest_of(bytes) };
    let mut partial = store.partial(file, vec![file.digest.0]).unwrap();
    partial.add(0, bytes).unwrap();
    partial.finish().unwrap();
    store.install(group, &[file], &|_| true).unwrap_err()
}

#[test]
fn what_is_forged_is_refused_and_not_kept() {
    // Several series in a file: what is damaged of one leaves the rest.
    let source = subject::open(&SimDisk::new(), &subject::clock(11)).unwrap();
    let devices = ["pump_1", "pump_2", "valve", "fan", "tank"];
    fill(&source, devices.iter().flat_map(|device| rows(device, 0, 20, 0)).collect());
    let given = Given::by(&source);
    let (file, sums, pieces) = given.files.iter().max_by_key(|(file, ..)| file.len).unwrap();
    let disk = target();
    let store = subject::open(&disk, &subject::clock(12)).unwrap();
    let before = whole_answer(&store, NAME).unwrap();
    let malformed = |error: &SnapshotError| {
        matches!(error, SnapshotError::Refused(ApplyError::Malformed { .. }))
    };
    // A piece that is not what its sum says, and sums that are not those of the file.
    let mut partial = store.partial(*file, sums.clone()).unwrap();
    let mut bent = pieces[0].clone();
    bent[100] ^= 1;
    assert!(malformed(&partial.add(0, &bent).unwrap_err()));
    assert!(malformed(&partial.add(0, &bent[1..]).unwrap_err()));
    assert!(malformed(&store.partial(*file, vec![[1; 32]]).unwrap_err()));
    let longer = SnapshotFile { len: u64::MAX, ..*file };
    assert!(malformed(&store.partial(longer, sums.clone()).unwrap_err()));
    store.keep_partials(&[]).unwrap();
    // A file of whatever bytes, of another group, or with a flipped bit anywhere: its digest is right.
    assert!(malformed(&refused(&store, file.group, b"not a file of rows")));
    let other = GROUPS.into_iter().find(|group| *group != file.group).unwrap();
    assert!(malformed(&refused(&store, other, &pieces[0])));
    for at in (0..pieces[0].len()).step_by(if long() { 1 } else { 3 }) {
        let mut bent = pieces[0].clone();
        bent[at] ^= 1 << (at % 8);
        let error = refused(&store, file.group, &bent);
        assert!(malformed(&error) || error.to_string().contains("upgrade"), "byte {at}: {error}");
        assert!(!store.has_partials(), "byte {at}");
    }
    // No right to send it.
    let mut partial = store.partial(*file, sums.clone()).unwrap();
    partial.add(0, &pieces[0]).unwrap();
    partial.finish().unwrap();
    assert!(malformed(
        &store.install(file.group, &given.of(file.group)[..1], &|_| false).unwrap_err()
    ));
    assert_eq!(whole_answer(&store, NAME).unwrap(), before);
    // A source whose clock is far ahead: not now, and what was received stays.
    let clock = subject::clock(15);
    clock.advance(3_600_000);
    let ahead = subject::open(&SimDisk::new(), &clock).unwrap();
    fill(&ahead, rows("pump_1", 0, 10, 0));
    let error = Given::by(&ahead).take(&store).unwrap_err();
    assert!(matches!(error, SnapshotError::Refused(ApplyError::ClockAhead { .. })), "{error}");
    assert!(store.has_partials());
    assert_eq!(whole_answer(&store, NAME).unwrap(), before);
}

#[test]
fn files_under_lease_are_given_whatever_is_compacted_and_not_for_ever() {
    let clock = subject::clock(11);
    let store = subject::open(&SimDisk::new(), &clock).unwrap();
    fill(&store, rows("pump_1", 0, 200, 10));
    fill(&store, rows("pump_1", 200, 200, 10));
    let given = Given::by(&store);
    store.compact().unwrap();
    assert_eq!(
        Given::by(&store).files.len(),
        given.files.len(),
        "the same files for as long as it lasts"
    );
    let digest = given.files[0].0.digest;
    assert_eq!(store.snapshot_piece(PEER, digest, 0).unwrap(), given.files[0].2[0]);
    let gone = |error: &SnapshotError| matches!(error, SnapshotError::Gone);
    assert!(gone(&store.snapshot_piece(PEER, digest, 1).unwrap_err()), "no such piece");
    assert!(gone(&store.snapshot_piece(StoreId([8; 16]), digest, 0).unwrap_err()), "another's");
    clock.advance(599_000);
    store.snapshot_piece(PEER, digest, 0).unwrap();
    clock.advance(599_000);
    assert_eq!(store.snapshots_kept(), 1);
    clock.advance(2_000);
    assert_eq!(store.snapshots_kept(), 0);
    assert!(gone(&store.snapshot_piece(PEER, digest, 0).unwrap_err()));
    // Who has as much, or may not see what is in them, is offered nothing.
    let offer = |held, allowed| {
        store.offer_snapshot(PEER, &GROUPS.map(|group| (group, held)), 1, &|_, _| allowed).unwrap()
    };
    assert_eq!((offer(1 << 20, true), offer(0, false)), (Vec::new(), Vec::new()));
    assert_eq!(store.snapshots_kept(), 0);
    assert!(!offer(0, true).is_empty());
    store.end_snapshot(PEER);
    assert_eq!(store.snapshots_kept(), 0);
}

#[test]
fn installed_files_are_found_again_when_every_manifest_is_lost() {
    let (_disk, source) = source();
    let given = Given::by(&source);
    let start = target();
    let store = subject::open(&start, &subject::clock(12)).unwrap();
    given.take(&store).unwrap();
    let merged = whole_answer(&store, NAME).unwrap();
    let own = store.store_id();
    store.close().unwrap();
    for keep_log in [true, false] {
        let disk = start.restart();
        let names: BTreeMap<String, u64> = disk.files().into_iter().collect();
        let files: BTreeSet<&String> =
            names.keys().filter(|name| name.ends_with(".tide")).collect();
        for name in names.keys() {
            let log = name.starts_with("wal/");
            if name.starts_with("MANIFEST") || log && !keep_log {
                disk.erase(name);
            }
        }
        let clock = subject::clock(17);
        let options: Options = subject::options(&clock);
        let found = recover_on(Arc::new(disk.clone()), &options, |_, _| true).unwrap();
        assert_eq!(found.quarantined, [], "log: {keep_log}");
        let store = subject::open(&disk, &clock).unwrap();
        assert_eq!(store.store_id(), own, "log: {keep_log}");
        let left: BTreeSet<String> = disk.files().into_iter().map(|(name, _)| name).collect();
        assert!(files.iter().all(|file| left.contains(*file)), "files stay where they are");
        if keep_log {
            assert_eq!(whole_answer(&store, NAME).unwrap(), merged);
        }
        assert_eq!(store.check(|_, _| true).unwrap().findings, []);
    }
}
