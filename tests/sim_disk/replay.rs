//! Whatever was done: keeping all gives what the process saw, losing all what was synced, and each
//! state between has nothing else in its files than what was written there.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_engine::disk::{Disk, DiskFile, OpenMode};
use tidelog_tests::disk::{At, Call, EIO, Fault, SimDisk};

const NAMES: [&str; 6] = ["a", "b", "d/a", "d/b", "e/a", "e/b"];
const DIRECTORIES: [&str; 3] = ["", "d", "e"];

#[derive(Clone, Debug)]
enum Step {
    Open(usize),
    Write { file: usize, offset: u64, len: usize },
    SetLen { file: usize, len: u64 },
    Sync { file: usize, fails: bool },
    Rename(usize, usize),
    Remove(usize),
    SyncDir { directory: usize, fails: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (file, name) = (0usize..6, 0usize..6);
    prop_oneof![
        3 => name.clone().prop_map(Step::Open),
        4 => (file.clone(), 0u64..3000, 1usize..2000)
            .prop_map(|(file, offset, len)| Step::Write { file, offset, len }),
        1 => (file.clone(), 0u64..3000).prop_map(|(file, len)| Step::SetLen { file, len }),
        2 => (file, prop::bool::weighted(0.1)).prop_map(|(file, fails)| Step::Sync { file, fails }),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => name.prop_map(Step::Remove),
        2 => (0usize..3, prop::bool::weighted(0.1))
            .prop_map(|(directory, fails)| Step::SyncDir { directory, fails }),
    ]
}

/// Runs the steps; what fails, fails.
fn run(disk: &SimDisk, steps: &[Step]) -> BTreeMap<usize, Arc<dyn DiskFile>> {
    let mut files = BTreeMap::new();
    for (fill, step) in (1u8..).zip(steps) {
        match *step {
            Step::Open(name) => {
                let path = NAMES[name];
                let file = disk
                    .open(path, OpenMode::CreateNew)
                    .or_else(|_| disk.open(path, OpenMode::Write));
                files.extend(file.ok().map(|file| (name, file)));
            }
            Step::Write { file, offset, len } => {
                if let Some(file) = files.get(&file) {
                    file.write_all_at(&vec![fill; len], offset).unwrap();
                }
            }
            Step::SetLen { file, len } => {
                files.get(&file).iter().for_each(|file| file.set_len(len).unwrap());
            }
            Step::Sync { file, fails } => {
                if let Some(file) = files.get(&file) {
                    plan(disk, Call::Sync, fails);
                    assert_eq!(file.sync().is_err(), fails);
                }
            }
            Step::Rename(from, to) => drop(disk.rename(NAMES[from], NAMES[to])),
            Step::Remove(name) => drop(disk.remove(NAMES[name])),
            Step::SyncDir { directory, fails } => {
                plan(disk, Call::SyncDir, fails);
                assert_eq!(disk.sync_dir(DIRECTORIES[directory]).is_err(), fails);
            }
        }
    }
    files
}

fn plan(disk: &SimDisk, call: Call, fails: bool) {
    if fails {
        disk.fail(At::nth(1).of(&[call]), Fault::Error(EIO));
    }
}

fn image(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    disk.files()
        .into_iter()
        .map(|(path, _)| (path.clone(), disk.contents(&path).unwrap()))
        .collect()
}

proptest! {
    #[test]
    fn keeping_all_gives_what_was_seen(steps in vec(step(), 1..40)) {
        let disk = SimDisk::new();
        disk.create_dir("d").unwrap();
        disk.create_dir("e").unwrap();
        disk.sync_dir("").unwrap();
        let files = run(&disk, &steps);
        let seen = image(&disk);
        prop_assert_eq!(image(&disk.crash_keep_all()), seen.clone());
        prop_assert_eq!(image(&disk.restart()), seen.clone());

        // No state holds a byte that was never written, or is the same after another crash.
        for state in disk.crash_states(60) {
            let held = image(&state);
            prop_assert_eq!(state.crash_states(2).choices(), 1);
            prop_assert_eq!(image(&state.crash_lose_all()), held.clone());
            let bytes = held.values().flatten();
            prop_assert!(bytes.into_iter().all(|byte| usize::from(*byte) <= steps.len()));
        }

        // Syncing all that is left makes one state of many, as long as no sync has failed.
        let failed = disk.faults_fired() > 0;
        files.values().for_each(|file| file.sync().unwrap());
        for (path, _) in disk.files() {
            disk.open(&path, OpenMode::Read).unwrap().sync().unwrap();
        }
        DIRECTORIES.iter().for_each(|directory| disk.sync_dir(directory).unwrap());
        if !failed {
            prop_assert_eq!(disk.crash_states(2).choices(), 1);
            prop_assert_eq!(image(&disk.crash_lose_all()), seen);
        }
    }
}
