//! What the manifest promises, over whole directories.

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

/// A closed store: generations and its state.
fn closed() -> (Image, State) {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..3);
    manifest.close().unwrap();
    let state = State::clone(manifest.state());
    let calls = disk.calls();
    manifest.close().unwrap();
    assert_eq!(disk.calls(), calls, "closing twice does nothing");
    let names: Vec<String> = disk.image().into_keys().collect();
    assert_eq!(names, ["MANIFEST-00000002", "MANIFEST-00000003"]);
    (disk.image(), state)
}

fn flips(image: &Image) -> impl Iterator<Item = (String, usize, Image)> {
    image.iter().flat_map(move |(name, bytes)| {
        (0..bytes.len() * 8).map(move |bit| {
            let mut flipped = image.clone();
            flipped.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            (name.clone(), bit, flipped)
        })
    })
}

#[test]
fn after_a_clean_close_no_flipped_bit_matters() {
    let (image, state) = closed();
    for (name, bit, flipped) in flips(&image) {
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let disk = TestDisk::of(&flipped);
            let (mut manifest, report) = Manifest::open(disk.arc(), mode)
                .unwrap_or_else(|error| panic!("{name} bit {bit}: {error}"));
            assert_eq!(**manifest.state(), state, "{name} bit {bit}");
            let reported = report.damage.iter().any(|damage| damage.file == name);
            assert!(reported, "{name} bit {bit}: {report:?}");
            // Every 97th, because it is the same work each time.
            if mode == Mode::ReadWrite && bit % 97 == 0 {
                let next = append(&mut manifest, 9..10);
                assert_eq!(outcome(&disk.image(), Mode::ReadOnly).as_ref(), Ok(&next[0]));
                manifest.close().unwrap();
                let (_, report) = open(&disk.image(), Mode::ReadWrite).unwrap();
                assert_eq!(report.damage, [], "healed by the first edit");
            }
        }
    }
}

#[test]
fn in_an_open_store_a_flipped_bit_costs_at_most_the_last_edit_and_says_so() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    let states = append(&mut manifest, 0..4);
    let [.., before_last, last] = &states[..] else { unreachable!() };
    let mut seen = [0; 3];
    for (name, bit, flipped) in flips(&disk.image()) {
        match open(&flipped, Mode::ReadWrite) {
            Ok((manifest, _)) if **manifest.state() == *last => seen[0] += 1,
            Ok((manifest, report)) => {
                assert_eq!(**manifest.state(), *before_last, "{name} bit {bit}");
                assert!(report.cut_bytes > 0);
                seen[1] += 1;
            }
            Err(ManifestError::Damaged { .. }) => seen[2] += 1,
            Err(error) => panic!("{name} bit {bit}: {error}"),
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

#[test]
fn damage_behind_which_edits_may_be_missing_is_refused() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..3);
    let (old, new) = (generation::name(1), generation::name(2));
    let image = disk.image();
    let begins = usize::try_from(generation::read(2, &image[&new]).unwrap().fresh_len).unwrap();
    let refused = |what: &str, change: &dyn Fn(&mut Image)| {
        let mut image = image.clone();
        change(&mut image);
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let disk = TestDisk::of(&image);
            match Manifest::open(disk.arc(), mode) {
                Err(error @ ManifestError::Damaged { .. }) => {
                    assert!(error.to_string().contains("tidelog recover"), "{error}");
                }
                other => panic!("{what}: {other:?}"),
            }
            assert_eq!(disk.image(), image, "{what}: a refused store is left alone");
        }
    };
    refused("newest missing", &|image| drop(image.remove(&new)));
    refused("newest empty", &|image| image.get_mut(&new).unwrap().clear());
    refused("newest cut into its snapshot", &|image| image.get_mut(&new).unwrap().truncate(90));
    refused("snapshot and an edit", &|image| {
        let bytes = image.get_mut(&new).unwrap();
        bytes[100] ^= 1;
        bytes[begins + 60] ^= 1;
    });
    refused("snapshot to end", &|image| image.get_mut(&new).unwrap()[100..].fill(0));
    refused("snapshot, and no generation before", &|image| {
        image.get_mut(&new).unwrap()[100] ^= 1;
        image.remove(&old);
    });
    refused("an edit in the middle", &|image| image.get_mut(&new).unwrap()[begins + 60] ^= 1);
    refused("newest put back to what it was, from before the generation before", &|image| {
        let (bytes, _) = generation::begin(3, &store()).unwrap();
        image.insert(generation::name(3), bytes);
    });
    refused("snapshot, and bytes behind the seal before", &|image| {
        image.get_mut(&new).unwrap()[100] ^= 1;
        image.get_mut(&old).unwrap().push(1);
    });
    refused("a number left out", &|image| {
        let bytes = image.get_mut(&new).unwrap();
        let found = generation::read(2, bytes).unwrap();
        let number = found.state.number + 2;
        let kind = generation::EDIT;
        bytes.extend(generation::frame(kind, number, found.end, found.seed, &[0; 16]).unwrap());
    });
    refused("a file under another's name", &|image| {
        let bytes = image.remove(&new).unwrap();
        image.insert(generation::name(3), bytes);
    });
    refused("files exchanged", &|image| {
        let (a, b) = (image[&old].clone(), image[&new].clone());
        image.insert(old.clone(), b);
        image.insert(new.clone(), a);
    });
}

#[test]
fn a_bad_snapshot_gives_way_to_the_generation_before_and_the_edits_behind_it() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..5);
    manifest.roll().unwrap();
    let states = append(&mut manifest, 5..9);
    for at in [3, 90, 200] {
        let mut image = disk.image();
        image.get_mut("MANIFEST-00000003").unwrap()[at] ^= 0xff;
        let disk = TestDisk::of(&image);
        let (mut manifest, report) = Manifest::open(disk.arc(), Mode::ReadWrite).unwrap();
        assert_eq!(**manifest.state(), states[3]);
        assert_eq!(report.damage[0].file, "MANIFEST-00000003");
        let next = append(&mut manifest, 9..10);
        let names: Vec<String> = disk.image().into_keys().collect();
        assert_eq!(names, ["MANIFEST-00000004", "MANIFEST-00000005"]);
        assert_eq!(outcome(&disk.image(), Mode::ReadOnly), Ok(next[0].clone()));
    }
}

#[test]
fn a_later_version_is_refused_and_no_older_generation_opened_in_its_place() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..1);
    let name = generation::name(2);
    let mut image = disk.image();
    let generation = generation::read(2, &image[&name]).unwrap();
    let mut payload = [0; 16];
    payload[..2].copy_from_slice(&[1, 200]);
    for kind in [generation::EDIT, 9] {
        let number = generation.state.number + 1;
        let frame =
            generation::frame(kind, number, generation.end, generation.seed, &payload).unwrap();
        let mut bytes = disk.image()[&name].clone();
        bytes.extend(frame);
        image.insert(name.clone(), bytes);
        let opened = open(&image, Mode::ReadWrite);
        assert!(matches!(opened, Err(ManifestError::TooNew { .. })), "{opened:?}");
    }
}

/// Runs a store's life, and gives the states it was told are durable, each with the calls made by then.
fn life(disk: &TestDisk) -> Vec<(usize, State)> {
    let mut told = Vec::new();
    let mut manifest = created(disk);
    told.push((disk.images().len(), State::clone(manifest.state())));
    for seed in 0..12 {
        if seed % 4 == 3 {
            manifest.close().unwrap();
            manifest = Manifest::open(disk.arc(), Mode::ReadWrite).unwrap().0;
        }
        if seed % 5 == 2 {
            manifest = Manifest::open(disk.arc(), Mode::ReadWrite).unwrap().0;
        }
        let edit = fitting_edit(manifest.state(), seed);
        manifest.append(&edit).unwrap();
        told.push((disk.images().len(), State::clone(manifest.state())));
    }
    told
}

#[test]
fn a_crash_after_any_call_leaves_every_edit_that_was_told_to_be_durable() {
    let disk = TestDisk::default();
    disk.record();
    let told = life(&disk);
    let born = told[0].0;
    for (call, (killed, power_cut)) in disk.images().iter().enumerate() {
        let durable = told.iter().rposition(|(calls, _)| *calls <= call + 1);
        // Content may be durable while the name is not, and the other way round.
        for image in [killed, power_cut] {
            let state = match outcome(image, Mode::ReadWrite) {
                Ok(state) => state,
                Err(error) => {
                    assert!(call + 1 < born && durable.is_none(), "call {call}: {error}");
                    continue;
                }
            };
            assert_eq!(Ok(&state), outcome(image, Mode::ReadOnly).as_ref());
            let at = told.iter().position(|(_, one)| *one == state);
            let at = at.unwrap_or_else(|| panic!("call {call}: a state that never was"));
            let newest = durable.map_or(0, |durable| durable + 1);
            assert!(durable.is_none_or(|durable| at >= durable) && at <= newest, "call {call}");
        }
    }
}

#[test]
fn what_an_opening_has_read_outlives_a_power_cut() {
    let disk = TestDisk::default();
    disk.record();
    life(&disk);
    let mut opened = 0;
    for (call, (killed, power_cut)) in disk.images().iter().enumerate() {
        let disk = TestDisk::of_live_and_durable(killed, power_cut);
        // Before the first generation has its name there is nothing to open.
        let Ok((mut manifest, _)) = Manifest::open(disk.arc(), Mode::ReadWrite) else { continue };
        let found = outcome(&disk.durable_image(), Mode::ReadWrite);
        assert_eq!(found.as_ref(), Ok(&**manifest.state()), "call {call}");
        opened += 1;
        append(&mut manifest, 20..21);
        let mut image = disk.durable_image();
        assert!(image.remove(&generation::name(manifest.generation())).is_some());
        let refused = outcome(&image, Mode::ReadWrite);
        assert!(refused.is_err(), "call {call}: a lost file of edits is noticed");
    }
    assert!(opened > 100, "{opened}");
}

#[test]
fn the_first_edit_after_an_unclean_close_begins_a_generation_and_after_a_clean_one_not() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..2);
    let reopened = |image: &Image| {
        let (mut manifest, _) = open(image, Mode::ReadWrite).unwrap();
        append(&mut manifest, 2..4);
        manifest.generation()
    };
    // Two, so that none of the two that count is one whose last edits a failed sync may have left in doubt.
    assert_eq!((manifest.generation(), reopened(&disk.image())), (2, 4));
    manifest.close().unwrap();
    let mut image = disk.image();
    assert_eq!((manifest.generation(), reopened(&image)), (3, 3));
    // Without the seal of the one before, an edit in the newest could be lost unnoticed.
    image.remove(&generation::name(2));
    assert_eq!(reopened(&image), 4);
}

#[test]
fn recovery_may_crash_after_any_call_too() {
    let disk = TestDisk::default();
    disk.record();
    let told = life(&disk);
    let images = disk.images();
    // Every 7th: among them are all kinds of calls.
    for (call, (image, _)) in images.iter().enumerate().skip(told[0].0).step_by(7) {
        let expected = outcome(image, Mode::ReadOnly).unwrap();
        let disk = TestDisk::of(image);
        disk.record();
        let (mut manifest, _) = Manifest::open(disk.arc(), Mode::ReadWrite).unwrap();
        manifest.roll().unwrap();
        for (killed, power_cut) in disk.images() {
            assert_eq!(outcome(&killed, Mode::ReadWrite).as_ref(), Ok(&expected), "call {call}");
            assert_eq!(outcome(&power_cut, Mode::ReadWrite).as_ref(), Ok(&expected), "call {call}");
        }
    }
}

#[test]
fn a_full_disk_refuses_edits_and_takes_them_when_there_is_room_again() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..3);
    let (state, image) = (manifest.state().clone(), disk.image());
    let edit = fitting_edit(&state, 4);
    disk.fail(&[Call::Write]);
    for _ in 0..3 {
        assert!(matches!(manifest.append(&edit), Err(AppendError::NotWritten { .. })));
        assert!(matches!(manifest.roll(), Err(AppendError::NotWritten { .. })));
    }
    assert_eq!((manifest.state(), disk.image()), (&state, image));
    disk.fail(&[]);
    manifest.append(&edit).unwrap();
    assert_eq!(outcome(&disk.image(), Mode::ReadOnly).as_ref(), Ok(&**manifest.state()));
}

#[test]
fn after_a_failed_sync_nothing_is_taken_until_the_store_is_opened_again() {
    for calls in [&[Call::Sync][..], &[Call::Write, Call::SetLen], &[Call::Write, Call::Sync]] {
        let disk = TestDisk::default();
        let mut manifest = created(&disk);
        append(&mut manifest, 0..3);
        let state = manifest.state().clone();
        disk.fail(calls);
        let failed = manifest.append(&fitting_edit(&state, 4));
        assert!(matches!(failed, Err(AppendError::Unknown { .. })));
        disk.fail(&[]);
        for _ in 0..2 {
            let refused = manifest.append(&fitting_edit(&state, 4));
            assert!(matches!(refused, Err(AppendError::Poisoned { .. })));
            assert!(matches!(manifest.close(), Err(AppendError::Poisoned { .. })));
        }
        assert_eq!(manifest.state(), &state);
        let (mut manifest, _) = Manifest::open(disk.arc(), Mode::ReadWrite).unwrap();
        assert!(manifest.state().number - state.number <= 1);
        append(&mut manifest, 5..7);
        assert_eq!(outcome(&disk.image(), Mode::ReadOnly).as_ref(), Ok(&**manifest.state()));
    }
}

#[test]
fn a_disk_that_fails_from_any_call_on_costs_no_edit_that_was_told_to_be_durable() {
    let start = TestDisk::default();
    let mut manifest = created(&start);
    append(&mut manifest, 0..2);
    let image = start.image();
    for from in 1.. {
        let disk = TestDisk::of(&image);
        let before = outcome(&image, Mode::ReadOnly).unwrap();
        disk.fail_from(from);
        let (mut told, mut tried) = (before.clone(), before);
        let mut failed = false;
        if let Ok((mut manifest, _)) = Manifest::open(disk.arc(), Mode::ReadWrite) {
            for seed in 2..5 {
                let edit = fitting_edit(manifest.state(), seed);
                tried = State::clone(manifest.state());
                tried.apply(&edit).unwrap();
                failed |= manifest.append(&edit).is_err() || manifest.roll().is_err();
                told = State::clone(manifest.state());
                if failed {
                    break;
                }
            }
        } else {
            failed = true;
        }
        let found = outcome(&disk.image(), Mode::ReadWrite).unwrap();
        assert!(found == told || found == tried, "failing from call {from}");
        if !failed {
            return;
        }
    }
}

#[test]
fn generations_follow_each_other_and_two_are_kept() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    let first = manifest.generation();
    append(&mut manifest, 0..1500);
    assert!(manifest.generation() > first, "enough edits make a new generation");
    assert_eq!(disk.image().len(), 2);
    assert_eq!(outcome(&disk.image(), Mode::ReadOnly).as_ref(), Ok(&**manifest.state()));
}

#[test]
fn a_reader_writes_nothing_and_may_not_append() {
    let disk = TestDisk::default();
    let mut writer = created(&disk);
    append(&mut writer, 0..3);
    let mut image = disk.image();
    image.get_mut("MANIFEST-00000002").unwrap().extend([1; 33]);
    image.insert("MANIFEST-00000003.tmp".to_owned(), vec![1]);
    let disk = TestDisk::of(&image);
    let (mut reader, report) = Manifest::open(disk.arc(), Mode::ReadOnly).unwrap();
    assert_eq!((reader.state(), report.cut_bytes), (writer.state(), 33));
    let refused = reader.append(&fitting_edit(reader.state(), 0));
    assert!(matches!(refused, Err(AppendError::ReadOnly { .. })));
    assert!(matches!(reader.close(), Err(AppendError::ReadOnly { .. })));
    assert_eq!(disk.image(), image);
    let (_, report) = Manifest::open(disk.arc(), Mode::ReadWrite).unwrap();
    assert_eq!(report.cut_bytes, 33);
    assert_eq!(disk.image().len(), 2, "what was not published is swept");
    assert_eq!(Manifest::open(disk.arc(), Mode::ReadWrite).unwrap().1.cut_bytes, 0);
}

#[test]
fn readers_beside_a_writer_see_states_that_were() {
    let disk = TestDisk::default();
    let mut writer = created(&disk);
    let disk_of_reader = disk.clone();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = done.clone();
    let reader = std::thread::spawn(move || {
        let (mut last, mut rounds) = (0, 0);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) || rounds == 0 {
            let (manifest, _) = Manifest::open(disk_of_reader.arc(), Mode::ReadOnly).unwrap();
            assert!(manifest.state().number >= last, "time does not go back");
            last = manifest.state().number;
            rounds += 1;
        }
    });
    for seed in 0..200 {
        writer.append(&fitting_edit(writer.state(), seed)).unwrap();
        if seed % 5 == 0 {
            writer.roll().unwrap();
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    reader.join().unwrap();
}

#[test]
fn salvage_finds_every_good_frame_and_a_manifest_can_be_made_of_it() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..4);
    manifest.roll().unwrap();
    let states = append(&mut manifest, 4..8);
    let last = states.last().unwrap();
    let (salvaged, report) = Manifest::salvage(&disk).unwrap();
    assert_eq!((salvaged.as_ref(), report.damage.len()), (Some(last), 0));
    // The newest snapshot and the edit right behind it: one run of bad bytes.
    let mut image = disk.image();
    let bytes = image.get_mut("MANIFEST-00000003").unwrap();
    let begins = usize::try_from(generation::read(3, bytes).unwrap().fresh_len).unwrap();
    bytes[100] ^= 1;
    bytes[begins + 60] ^= 1;
    assert!(open(&image, Mode::ReadWrite).is_err());
    let disk = TestDisk::of(&image);
    let (salvaged, report) = Manifest::salvage(&disk).unwrap();
    let salvaged = salvaged.unwrap();
    assert_eq!((salvaged.number, report.damage.len()), (last.number, 1));
    let missing =
        |state: &State| last.files.keys().filter(|id| !state.files.contains_key(id)).count();
    assert!(missing(&salvaged) <= 1, "one edit is lost");
    let manifest = Manifest::replace(disk.arc(), salvaged.clone()).unwrap();
    assert_eq!(outcome(&disk.image(), Mode::ReadWrite), Ok(salvaged));
    assert_eq!(manifest.generation(), 5);
    // A single file with a bad header.
    image.remove("MANIFEST-00000002");
    image.get_mut("MANIFEST-00000003").unwrap()[0] ^= 1;
    let (salvaged, _) = Manifest::salvage(&TestDisk::of(&image)).unwrap();
    assert_eq!(salvaged.unwrap().number, last.number);
    assert_eq!(Manifest::salvage(&TestDisk::default()).unwrap().0, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_cut_of_the_newest_generation_gives_an_earlier_state_or_a_refusal(
        seeds in proptest::collection::vec((0u64..1000, 0u8..8), 1..8),
    ) {
        let disk = TestDisk::default();
        let mut manifest = created(&disk);
        let mut states = vec![State::clone(manifest.state())];
        for (seed, then) in seeds {
            manifest.append(&fitting_edit(manifest.state(), seed)).unwrap();
            states.push(State::clone(manifest.state()));
            match then {
                0 => manifest.roll().unwrap(),
                1 => manifest = Manifest::open(disk.arc(), Mode::ReadWrite).unwrap().0,
                2 => manifest.close().unwrap(),
                _ => {}
            }
        }
        let image = disk.image();
        let newest = generation::name(manifest.generation());
        let fresh = generation::read(manifest.generation(), &image[&newest]).unwrap().fresh_len;
        let mut last = 0;
        for cut in 0..=image[&newest].len() {
            let mut image = image.clone();
            image.get_mut(&newest).unwrap().truncate(cut);
            match outcome(&image, Mode::ReadWrite) {
                Ok(state) => {
                    let at = states.iter().position(|one| *one == state);
                    prop_assert!(at.is_some_and(|at| at >= last), "cut at {}", cut);
                    last = at.unwrap();
                }
                Err(error) => prop_assert!((cut as u64) < fresh, "cut at {}: {}", cut, error),
            }
        }
        prop_assert_eq!(last + 1, states.len());
    }

    #[test]
    fn any_bytes_open_without_panic(
        old in proptest::collection::vec(any::<u8>(), 0..300),
        new in proptest::collection::vec(any::<u8>(), 0..300),
        header in any::<bool>(),
    ) {
        let mut image = Image::new();
        for (ordinal, bytes) in [(1, old), (2, new)] {
            let mut file = Vec::new();
            if header {
                file.extend(generation::header(ordinal, StoreId([1; 16])).encode());
            }
            file.extend(bytes);
            image.insert(generation::name(ordinal), file);
        }
        prop_assert!(open(&image, Mode::ReadOnly).is_err());
        let _ = Manifest::salvage(&TestDisk::of(&image)).unwrap();
    }
}

/// A death while the generation before was being sealed left a part of the seal. It was reported as damage, so
/// that a strict opening refused a store to which nothing had happened but a crash.
#[test]
fn a_seal_that_a_death_interrupted_is_no_damage() {
    let disk = TestDisk::default();
    let mut manifest = created(&disk);
    append(&mut manifest, 0..4);
    manifest.roll().unwrap();
    let image = disk.image();
    let newest = generation::read(3, &image["MANIFEST-00000003"]).unwrap();
    assert_eq!(newest.seal, None);
    let sealed = &image["MANIFEST-00000002"];
    let seal_len = 64;
    let start = sealed.len() - seal_len;
    let opened = |before: Vec<u8>| {
        let mut image = image.clone();
        image.insert("MANIFEST-00000002".to_owned(), before);
        let (manifest, report) = open(&image, Mode::ReadWrite).unwrap();
        assert_eq!(manifest.state().number, newest.state.number);
        report.damage.len()
    };
    for kept in 0..=seal_len {
        assert_eq!(opened(sealed[..start + kept].to_vec()), 0, "{kept} bytes");
    }
    let lost = [&sealed[..start], &[0; 64]].concat();
    assert_eq!(opened(lost), 0, "the sector was not written");
    for bit in 0..seal_len * 8 {
        let mut flipped = sealed.clone();
        flipped[start + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opened(flipped), 1, "bit {bit}");
    }
}
