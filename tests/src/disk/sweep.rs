//! The loop of every crash test: die at each call, lose what may be lost, look at what is left.

use super::{Fault, Part, SimDisk};
use std::fmt;

/// What a sweep went through, for printing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sweep {
    /// How many calls the work makes when nothing fails.
    pub calls: u64,
    /// How many disks were checked.
    pub states: u64,
    /// At how many calls there were more choices than the limit, so that some were only sampled.
    pub sampled: u64,
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sweep { calls, states, sampled } = self;
        write!(
            f,
            "{states} states after a death at each of {calls} calls, {sampled} of them sampled"
        )
    }
}

/// Runs `work` on a copy of `start` once without faults, then once per call it makes, dying at that
/// call, before it and after it took place. After each death `check` gets what `work` returned and
/// every disk it may leave behind: that of a process that was killed, and at most `limit` of those
/// after a power failure.
///
/// `work` must make the same calls each time, so it may not use threads or real clocks.
///
/// # Panics
/// When `check` does, after printing how the disk came to be.
pub fn sweep<R>(
    start: &SimDisk,
    limit: usize,
    work: impl Fn(&SimDisk) -> R,
    check: impl Fn(&SimDisk, &R),
) -> Sweep {
    let whole = start.restart();
    let result = work(&whole);
    let mut sweep = Sweep { calls: whole.calls(), ..Sweep::default() };
    sweep.check_all(&whole, limit, &result, &check);
    for number in 1..=sweep.calls {
        for part in [Part::Nothing, Part::Whole] {
            let disk = start.restart();
            disk.fail_at(number, Fault::Kill(part));
            let result = work(&disk);
            assert!(disk.is_dead(), "call {number} was made the first time and not again");
            sweep.check_all(&disk, limit, &result, &check);
        }
    }
    sweep
}

impl Sweep {
    fn check_all<R>(
        &mut self,
        disk: &SimDisk,
        limit: usize,
        result: &R,
        check: &impl Fn(&SimDisk, &R),
    ) {
        let states = disk.crash_states(limit);
        self.sampled += u64::from(!states.is_exhaustive());
        for after in std::iter::once(disk.restart()).chain(states) {
            let story = Story { before: disk, after: &after };
            check(&after, result);
            drop(story);
            self.states += 1;
        }
    }
}

/// Prints how a disk came to be when its check panics.
struct Story<'a> {
    before: &'a SimDisk,
    after: &'a SimDisk,
}

impl Drop for Story<'_> {
    #[expect(clippy::print_stderr, reason = "a test that fails says what led to it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("calls before the crash:\n{}", self.before.trace());
            eprintln!("what became of un-synced operations:\n{}", self.after.history());
            eprintln!("calls after the crash:\n{}", self.after.trace());
        }
    }
}
