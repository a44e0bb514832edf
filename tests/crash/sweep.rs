//! A death at each call of each operation, and at each call of the recovery that follows.

use crate::history::{History, Step, check_opens, check_recovered};
use crate::{long, report};
use std::cell::Cell;
use tidelog_engine::Durability::{Os, Sync};
use tidelog_tests::disk::{SimDisk, sweep};
use tidelog_tests::subject;

/// A disk on which some steps were made, and what they were told; closed cleanly or killed.
fn prepared(steps: &[Step], close: bool) -> (SimDisk, History) {
    let disk = SimDisk::new();
    let mut history = History::default();
    history.run(&disk, &subject::clock(1), 1, steps, close);
    assert_eq!(history.failures, Vec::<String>::new());
    (disk.restart(), history)
}

/// Sweeps over `steps` after `before`; each disk that is left is recovered, and recovered again after a
/// death at each call of the recovery.
fn sweep_steps(name: &str, before: &[Step], before_closed: bool, steps: &[Step], close: bool) {
    let (limit, inner_limit) = if long() { (256, 16) } else { (10, 2) };
    let (start, history) = prepared(before, before_closed);
    let work = |disk: &SimDisk| {
        let mut history = history.clone();
        history.run(disk, &subject::clock(2), 20, steps, close);
        history
    };
    let recovered = Cell::new(0);
    let done = sweep(&start, limit, work, |disk, history| {
        let power_failed = !disk.history().is_empty();
        check_recovered(disk, history, power_failed);
        // All but one in sixty of the deaths in recovery are left to the long run.
        recovered.set(recovered.get() + 1);
        if !long() && recovered.get() % 60 != 1 {
            return;
        }
        let recover = |disk: &SimDisk| {
            drop(subject::open(disk, &subject::clock(3)));
            disk.kill();
        };
        let deaths = sweep(disk, inner_limit, recover, |twice, ()| {
            check_opens(twice, history, power_failed || !twice.history().is_empty());
        });
        DEATHS.with(|count| count.set(count.get() + deaths.states));
    });
    report(name, format!("{done}; {} states after deaths in recovery", DEATHS.take()));
}

thread_local! {
    static DEATHS: Cell<u64> = const { Cell::new(0) };
}

/// Rows in two files and in the log, a delete in the manifest and one in the log.
const SOME: [Step; 8] = [
    Step::Write(Sync),
    Step::DeleteField,
    Step::Flush,
    Step::Write(Os),
    Step::Flush,
    Step::Write(Sync),
    Step::DeleteRange,
    Step::Write(Os),
];

#[test]
fn creating_a_store() {
    sweep_steps("create", &[], true, &[Step::Write(Sync)], false);
}

#[test]
fn writing() {
    let steps = [Step::Write(Sync), Step::Write(Os), Step::Tickets, Step::Write(Sync)];
    sweep_steps("write", &SOME, true, &steps, false);
}

#[test]
fn writing_across_segments() {
    let steps = [
        Step::WriteLarge(Os),
        Step::Write(Os),
        Step::WriteLarge(Sync),
        Step::Write(Os),
        Step::WriteLarge(Os),
        Step::Write(Os),
    ];
    sweep_steps("write across segments", &SOME[..1], true, &steps, false);
}

#[test]
fn deleting() {
    let steps = [Step::DeleteDevice, Step::Write(Os), Step::DeleteField, Step::DeleteRange];
    sweep_steps("delete", &SOME, true, &steps, false);
}

#[test]
fn flushing() {
    let steps = [Step::Write(Os), Step::Flush, Step::Write(Sync), Step::Write(Os)];
    sweep_steps("flush", &SOME, true, &steps, false);
}

#[test]
fn flushing_what_an_earlier_opening_wrote() {
    sweep_steps("flush after a kill", &SOME, false, &[Step::Flush, Step::Write(Os)], false);
}

#[test]
fn flushing_with_a_pin() {
    let steps = [Step::Write(Os), Step::Pin, Step::Flush, Step::Write(Os), Step::Flush];
    sweep_steps("flush with a pin", &SOME[..4], false, &steps, false);
}

#[test]
fn compacting() {
    let steps = [Step::Compact, Step::Write(Os)];
    sweep_steps("compact", &SOME, true, &steps, false);
}

#[test]
fn compacting_away_all_rows() {
    let before = [Step::Write(Sync), Step::Flush, Step::DeleteRange, Step::Write(Sync)];
    let steps = [Step::DeleteDevice, Step::DeleteRange, Step::Compact];
    sweep_steps("compact deleted rows", &before, true, &steps, false);
}

#[test]
fn closing() {
    sweep_steps("close", &SOME, true, &[Step::Write(Os)], true);
}

#[test]
fn recovering_a_killed_store() {
    sweep_steps("recover", &SOME, false, &[], false);
}

#[test]
fn recovering_again_and_again() {
    let steps = [Step::Write(Os), Step::Reopen, Step::Write(Os), Step::Reopen];
    sweep_steps("reopen", &SOME[..5], false, &steps, false);
}

#[test]
fn flushing_several_segments() {
    let before = [Step::WriteLarge(Sync), Step::WriteLarge(Os), Step::WriteLarge(Sync)];
    let steps = [Step::WriteLarge(Os), Step::Flush, Step::Write(Sync), Step::Write(Os)];
    sweep_steps("flush of several segments", &before, false, &steps, false);
    let steps = [Step::WriteLarge(Os), Step::WriteLarge(Os), Step::Flush, Step::Write(Sync)];
    sweep_steps("flush of several own segments", &[], true, &steps, false);
}
