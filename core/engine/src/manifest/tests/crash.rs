//! Disks that die, are full or fail, at any call.

use super::*;

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
