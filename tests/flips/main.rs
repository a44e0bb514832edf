//! Every bit of a small, cleanly closed store is flipped, one at a time; files are cut at every length,
//! erased, emptied, zeroed and swapped. Whatever the damage: no panic and no wrong answer. Either the
//! store does not open and the error names the file; or each question gets the right rows or an error
//! that names the file; or records of the log are lost whole, and the report of the opening names it.
//!
//! `nodes` does the same to the files of the pyramid, which rows can stand in for.
//!
//! By default a spread of bits and lengths; `TIDELOG_LONG=1` tries all.

mod judge;
mod nodes;
mod sample;

use judge::{Outcomes, judge};
use sample::Sample;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use tidelog_tests::disk::SimDisk;

/// What is done to the disk.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip { path: String, byte: u64, bit: u8 },
    Cut { path: String, len: u64 },
    Zero { path: String },
    Erase { path: String },
    Swap { path: String, other: String },
}

impl Damage {
    fn apply(&self, disk: &SimDisk, sample: &Sample) {
        match self {
            Damage::Flip { path, byte, bit } => disk.flip(path, *byte, *bit),
            Damage::Cut { path, len } => disk.truncate(path, *len),
            Damage::Zero { path } => disk.zero(path, 0..sample.len_of(path)),
            Damage::Erase { path } => disk.erase(path),
            Damage::Swap { path, other } => disk.swap(path, other),
        }
    }

    /// The files that were damaged.
    pub(crate) fn paths(&self) -> Vec<&str> {
        match self {
            Damage::Flip { path, .. }
            | Damage::Cut { path, .. }
            | Damage::Zero { path }
            | Damage::Erase { path } => vec![path],
            Damage::Swap { path, other } => vec![path, other],
        }
    }
}

/// Does every damage to a copy of the sample, on two threads; panics with all that went wrong.
fn survive(what: &str, sample: &Sample, damages: &[Damage]) {
    let outcomes = Mutex::new(Outcomes::default());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for part in 0..2 {
            let (outcomes, wrong) = (&outcomes, &wrong);
            scope.spawn(move || {
                let mut own = Outcomes::default();
                for damage in damages.iter().skip(part).step_by(2) {
                    let disk = sample.disk();
                    damage.apply(&disk, sample);
                    let judged = catch_unwind(AssertUnwindSafe(|| judge(sample, &disk, damage)));
                    match judged {
                        Ok(Ok(outcome)) => own.count(outcome),
                        Ok(Err(error)) => {
                            wrong.lock().unwrap().push(format!("{damage:?}: {error}"))
                        }
                        Err(_) => wrong.lock().unwrap().push(format!("{damage:?}: a panic")),
                    }
                }
                outcomes.lock().unwrap().add(&own);
            });
        }
    });
    note(&format!("{what}: {:?}", outcomes.into_inner().unwrap()));
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    let (count, first) = (wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(wrong.is_empty(), "{count} of {} went wrong:\n{}", damages.len(), first.join("\n"));
}

#[expect(clippy::print_stderr, reason = "figures of a run")]
fn note(text: &str) {
    eprintln!("{text}");
}

/// Every how many-th place is tried: a prime, so that all bits of a byte have their turn.
fn step(spread: u64) -> usize {
    if std::env::var_os("TIDELOG_LONG").is_some() { 1 } else { spread as usize }
}

#[test]
fn a_flipped_bit_is_never_a_wrong_answer() {
    let sample = Sample::new();
    let mut damages = Vec::new();
    for (path, len) in sample.files() {
        for at in (0..len * 8).step_by(step(53)) {
            let (byte, bit) = (at / 8, (at % 8) as u8);
            damages.push(Damage::Flip { path: path.clone(), byte, bit });
        }
    }
    survive("bits flipped", &sample, &damages);
}

#[test]
fn a_file_cut_short_is_never_a_wrong_answer() {
    let sample = Sample::new();
    let mut damages = Vec::new();
    for (path, len) in sample.files() {
        for len in (0..len).step_by(step(31)) {
            damages.push(Damage::Cut { path: path.clone(), len });
        }
        // And where frames end.
        for len in (0..len).step_by(16 * step(3)) {
            damages.push(Damage::Cut { path: path.clone(), len });
        }
    }
    survive("files cut", &sample, &damages);
}

#[test]
fn files_erased_zeroed_and_swapped_are_never_a_wrong_answer() {
    let sample = Sample::new();
    let mut damages = Vec::new();
    for (path, _) in sample.files() {
        damages.push(Damage::Zero { path: path.clone() });
        damages.push(Damage::Erase { path: path.clone() });
        for (other, _) in sample.files().into_iter().filter(|(other, _)| *other > path) {
            damages.push(Damage::Swap { path: path.clone(), other });
        }
    }
    survive("files erased, zeroed, swapped", &sample, &damages);
}
