//! Manifests that are damaged, cut or of a later version.

use super::*;

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
