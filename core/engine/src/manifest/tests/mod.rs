//! What the manifest promises, over whole directories.

mod crash;
mod damage;
mod files;

use super::change::Edit;
use super::error::AppendError;
use super::error::Report;
use super::generation;
use super::invariants::check;
use super::test_disk::{Call, Image, TestDisk};
use super::*;
use crate::ids::{FileId, LogEnd, LogPoint, Tier};
use proptest::prelude::*;
use std::sync::Arc;
use tidelog_model::{
    CollectionName, Device, DeviceSelector, FieldType, GroupEpoch, GroupId, Incarnation, LeafWidth,
    Name, Position, Stamp, StoreId, TimeRange, Tombstone, Version,
};

fn store() -> State {
    State::new(StoreId([7; 16]), 8)
}

fn collection_name(number: u8) -> CollectionName {
    CollectionName::new("plant", &format!("boiler{number}")).unwrap()
}

fn file(id: u64) -> Arc<FileEntry> {
    Arc::new(FileEntry {
        id: FileId(id),
        group: GroupId((id % 8) as u32),
        tier: Tier::ALL[(id % 5) as usize],
        len: id + 1,
        blake3: [id as u8; 32],
        rows: 1000,
        values: 3000,
        series: 10,
        range: TimeRange::inclusive(-5, id as i64).unwrap(),
        stamps: (Stamp(3), Stamp(id + 4)),
        cleaned: Stamp(id),
        dense: id % 2 == 1,
        settled: false,
        borrowed: false,
        uncounted: uncounted(id),
        made_as: (id % 4 == 1).then_some((StoreId([9; 16]), FileId(77))),
        collections: vec![collection_name(1), collection_name(2)],
    })
}

fn uncounted(seed: u64) -> Vec<TimeRange> {
    (0..(seed % 3) as i64).map(|at| TimeRange::inclusive(9 * at, 9 * at + 5).unwrap()).collect()
}

fn version(stamp: u64) -> Version {
    Version { stamp: Stamp(stamp), origin: StoreId([stamp as u8; 16]) }
}

fn field(name: &str) -> Name {
    Name::new("field", name).unwrap()
}

fn entry(number: u64) -> Arc<CollectionEntry> {
    Arc::new(CollectionEntry {
        leaf: LeafWidth::HalfHour,
        options_version: version(number),
        fields: [
            ((field("temperature"), FieldType::F64), version(number)),
            ((field(&format!("pressure{}", number % 4)), FieldType::I64), version(number + 1)),
        ]
        .into(),
        retention: vec![(Tier::Raw, 30), (Tier::Hour, 365)],
        cuts: [(Tier::Raw, number as i64)].into(),
        evicted: i64::MIN,
    })
}

fn tombstone(number: u64) -> Arc<Tombstone> {
    Arc::new(Tombstone {
        database: field("plant"),
        collection: (!number.is_multiple_of(3)).then(|| field("boiler1")),
        devices: DeviceSelector {
            devices: Some(vec![Device::parse("a,b=c").unwrap(), Device::named("d").unwrap()]),
            prefix: number.is_multiple_of(2).then(|| "pre".to_owned()),
            labels: vec![("k".to_owned(), "v".to_owned())],
        },
        fields: number.is_multiple_of(2).then(|| vec![field("x"), field("y")]),
        range: TimeRange::inclusive(number as i64, i64::MAX).unwrap(),
        version: version(number),
    })
}

fn pin(number: u64) -> Pin {
    Pin {
        point: LogPoint { ordinal: 9, offset: number },
        bytes_max: 1 << 30,
        age_max_millis: 86_400_000,
        created_millis: number,
    }
}

/// One change of each kind.
pub(super) fn sample_edit() -> Edit {
    vec![
        Change::Store(StoreId([1; 16])),
        Change::Groups(8),
        Change::Opened(Opening { ordinal: 3, incarnation: Incarnation([2; 16]) }),
        Change::ForgetOpening(2),
        Change::Covered(LogPoint { ordinal: 3, offset: 300 }),
        Change::Ceiling(Stamp::from_millis(1_700_000_000_000)),
        Change::NextFile(FileId(300)),
        Change::AddFile(file(299)),
        Change::RemoveFile(FileId(128)),
        Change::Collection(collection_name(1), entry(5)),
        Change::Tombstone(tombstone(2)),
        Change::DropTombstone(tombstone(3)),
        Change::Pin("peer".to_owned(), pin(5)),
        Change::Unpin("other".to_owned()),
        Change::Ended(3, LogEnd { offset: 300, segment: 2 }),
        Change::Uncounted(FileId(299), uncounted(300)),
        Change::TombstoneRolledUp(tombstone(2)),
        Change::Cursor(StoreId([7; 16]), position(300)),
        Change::Replicated,
        Change::SetAside(FileId(299)),
        Change::Epoch(GroupId(5), GroupEpoch(300)),
        Change::Forgotten(StoreId([9; 16])),
    ]
}

fn position(offset: u64) -> Position {
    Position { incarnation: Incarnation([8; 16]), offset }
}

pub(super) fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|id| Change::Store(StoreId(id))),
        any::<u32>().prop_map(Change::Groups),
        any::<(u32, [u8; 16])>().prop_map(|(ordinal, id)| {
            Change::Opened(Opening { ordinal, incarnation: Incarnation(id) })
        }),
        any::<u32>().prop_map(Change::ForgetOpening),
        any::<(u32, u64)>()
            .prop_map(|(ordinal, offset)| Change::Covered(LogPoint { ordinal, offset })),
        any::<u64>().prop_map(|stamp| Change::Ceiling(Stamp(stamp))),
        any::<u64>().prop_map(|id| Change::NextFile(FileId(id))),
        (0u64..1000).prop_map(|id| Change::AddFile(file(id))),
        any::<u64>().prop_map(|id| Change::RemoveFile(FileId(id))),
        (any::<u8>(), 0u64..1000)
            .prop_map(|(name, number)| Change::Collection(collection_name(name), entry(number))),
        (0u64..1000).prop_map(|number| Change::Tombstone(tombstone(number))),
        (0u64..1000).prop_map(|number| Change::DropTombstone(tombstone(number))),
        (".{0,9}", any::<u64>()).prop_map(|(name, number)| Change::Pin(name, pin(number))),
        ".{0,9}".prop_map(Change::Unpin),
        any::<(u32, u32, u64)>().prop_map(|(ordinal, segment, offset)| {
            Change::Ended(ordinal, LogEnd { offset, segment })
        }),
        any::<u64>().prop_map(|id| Change::Uncounted(FileId(id), uncounted(id))),
        (0u64..1000).prop_map(|number| Change::TombstoneRolledUp(tombstone(number))),
        any::<([u8; 16], u64)>()
            .prop_map(|(id, offset)| Change::Cursor(StoreId(id), position(offset))),
        Just(Change::Replicated),
        any::<u64>().prop_map(|id| Change::SetAside(FileId(id))),
        any::<(u32, u64)>()
            .prop_map(|(group, epoch)| Change::Epoch(GroupId(group), GroupEpoch(epoch))),
        any::<[u8; 16]>().prop_map(|id| Change::Forgotten(StoreId(id))),
    ]
}

pub(super) fn any_edit() -> impl Strategy<Value = Edit> {
    proptest::collection::vec(any_change(), 0..6)
}

/// An edit that the state accepts, steered by `seed`.
fn fitting_edit(state: &State, seed: u64) -> Edit {
    let next = state.next_file.0;
    let mut edit = vec![Change::NextFile(FileId(next + 1)), Change::AddFile(file(next))];
    if seed & 1 == 1
        && let Some(first) = state.files.keys().next()
    {
        edit.push(Change::RemoveFile(*first));
    }
    if seed & 2 == 2 {
        edit.push(Change::Uncounted(FileId(next), uncounted(seed)));
        edit.extend(state.not_rolled_up.first().cloned().map(Change::TombstoneRolledUp));
    }
    if seed & 8 == 8 {
        edit.push(Change::Cursor(StoreId([(seed % 3) as u8; 16]), position(seed)));
        edit.push(Change::Replicated);
        edit.extend(next.is_multiple_of(5).then_some(Change::SetAside(FileId(next))));
        let epoch = state.epochs.get(&GroupId(1)).map_or(0, |epoch| epoch.0) + seed % 3;
        edit.push(Change::Epoch(GroupId(1), GroupEpoch(epoch)));
        edit.push(Change::Forgotten(StoreId([(seed % 5) as u8; 16])));
    }
    match seed % 7 {
        0 => edit = vec![Change::Ceiling(Stamp(state.ceiling.0 + seed))],
        1 => edit.push(Change::Tombstone(tombstone(seed))),
        2 => edit.push(Change::Collection(collection_name((seed % 3) as u8), entry(seed))),
        3 => edit.push(Change::Pin(format!("peer{}", seed % 3), pin(seed))),
        4 => edit.push(Change::Covered(LogPoint {
            ordinal: state.covered.ordinal,
            offset: state.covered.offset + seed,
        })),
        5 => {
            let ordinal = state.openings.last().map_or(1, |last| last.ordinal + 1);
            let incarnation = Incarnation([ordinal as u8; 16]);
            edit.push(Change::Opened(Opening { ordinal, incarnation }));
        }
        _ => edit.push(Change::Store(StoreId([seed as u8; 16]))),
    }
    edit
}

fn open(image: &Image, mode: Mode) -> Result<(Manifest, Report), ManifestError> {
    Manifest::open(TestDisk::of(image).arc(), mode)
}

fn append(manifest: &mut Manifest, seeds: std::ops::Range<u64>) -> Vec<State> {
    let mut states = Vec::new();
    for seed in seeds {
        let edit = fitting_edit(manifest.state(), seed);
        manifest.append(&edit).unwrap();
        states.push(State::clone(manifest.state()));
    }
    states
}

fn created(disk: &TestDisk) -> Manifest {
    Manifest::create(disk.arc(), store()).unwrap()
}

/// The state, or what the refusal says.
fn outcome(image: &Image, mode: Mode) -> Result<State, String> {
    match open(image, mode) {
        Ok((manifest, _)) => Ok(State::clone(manifest.state())),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_state_survives_reopening_and_its_snapshot_makes_it_again() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    let states = append(&mut manifest, 0..40);
    let last = states.last().unwrap();
    drop(manifest);
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let (manifest, report) = Manifest::open(disk.arc(), mode).unwrap();
        assert_eq!((&**manifest.state(), report.cut_bytes), (last, 0));
        assert_eq!(report.damage, []);
    }
    assert_eq!(&State::from_snapshot(last.number, &last.snapshot()).unwrap(), last);
    check(last).unwrap();
}

#[test]
fn a_directory_without_a_manifest_and_one_with_it_are_told_apart() {
    let disk = TestDisk::default();
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let opened = Manifest::open(disk.arc(), mode);
        assert!(matches!(opened, Err(ManifestError::Missing { .. })));
    }
    let manifest = created(&disk);
    assert_eq!(manifest.generation(), 2, "a new store has two generations too");
    let again = Manifest::create(disk.arc(), store());
    assert!(matches!(again, Err(ManifestError::Exists { .. })));
}

#[test]
fn an_edit_that_breaks_a_rule_leaves_no_trace() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..10);
    let (state, image) = (manifest.state().clone(), disk.image());
    let opened =
        |ordinal, id| Change::Opened(Opening { ordinal, incarnation: Incarnation([id; 16]) });
    let last = state.openings.last().unwrap().ordinal;
    let mut foreign = FileEntry::clone(&file(0));
    (foreign.id, foreign.group) = (FileId(state.next_file.0), GroupId(8));
    let sinking = [2, 1].map(|epoch| Change::Epoch(GroupId(7), GroupEpoch(epoch)));
    let broken: [Edit; 13] = [
        sinking.to_vec(),
        vec![Change::AddFile(file(state.next_file.0))],
        vec![Change::AddFile(state.files.values().next().unwrap().clone())],
        vec![Change::NextFile(FileId(99)), Change::AddFile(Arc::new(foreign))],
        vec![Change::RemoveFile(FileId(9999))],
        vec![Change::NextFile(FileId(0))],
        vec![Change::Ceiling(Stamp(0)), Change::Ceiling(Stamp(9)), Change::Ceiling(Stamp(8))],
        vec![Change::Groups(9)],
        vec![opened(last, 99)],
        vec![opened(last + 1, 98), opened(last + 2, 98)],
        vec![Change::ForgetOpening(last)],
        vec![Change::Covered(LogPoint { ordinal: last + 1, offset: 0 })],
        vec![Change::Unpin("nobody".to_owned())],
    ];
    for edit in &broken {
        let refused = manifest.append(edit);
        assert!(matches!(refused, Err(AppendError::Invalid { .. })), "{edit:?}: {refused:?}");
    }
    assert_eq!((manifest.state(), disk.image()), (&state, image));
}

#[test]
fn an_opening_is_forgotten_only_when_covered_and_unpinned() {
    let mut state = store();
    let opening = |ordinal| Opening { ordinal, incarnation: Incarnation([ordinal as u8; 16]) };
    state.apply(&[Change::Opened(opening(1)), Change::Opened(opening(2))]).unwrap();
    let covered = Change::Covered(LogPoint { ordinal: 2, offset: 0 });
    let mut held = pin(0);
    held.point.ordinal = 1;
    let forget = Change::ForgetOpening(1);
    assert!(state.clone().apply(std::slice::from_ref(&forget)).is_err());
    let pinned = [covered.clone(), Change::Pin("p".to_owned(), held), forget.clone()];
    assert!(state.clone().apply(&pinned).is_err());
    let broken_pin = [&pinned[..], &[Change::Unpin("p".to_owned())]].concat();
    assert!(state.apply(&broken_pin).is_ok());
    assert_eq!(state.openings, [opening(2)]);
}
