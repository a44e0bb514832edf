//! Generations, readers beside a writer, and what is salvaged.

use super::*;

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
