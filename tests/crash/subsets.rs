//! Every workload of up to three operations, and every subset of what each left un-synced.

use crate::history::{History, Step, check_opens, check_recovered};
use crate::{long, report};
use tidelog_engine::Durability::{Os, Sync};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::subject;

const STEPS: [Step; 6] = [
    Step::Write(Sync),
    Step::Write(Os),
    Step::DeleteRange,
    Step::Flush,
    Step::Compact,
    Step::Reopen,
];

/// All choices up to this number are tried; beyond, so many of them.
const CHOICES_MAX: usize = 1 << 16;

#[test]
fn every_subset_of_what_up_to_three_operations_left_unsynced() {
    let mut counts = [0u64; 3];
    for first in STEPS {
        try_all(&[first], &mut counts);
        for second in STEPS {
            try_all(&[first, second], &mut counts);
            for third in STEPS {
                try_all(&[first, second, third], &mut counts);
            }
        }
    }
    let [workloads, states, sampled] = counts;
    let text =
        format!("{states} states of {workloads} workloads, {sampled} workloads only sampled");
    report("subsets", text);
    assert_eq!(sampled, 0, "every subset is to be tried");
}

fn try_all(steps: &[Step], counts: &mut [u64; 3]) {
    let disk = SimDisk::new();
    let mut history = History::default();
    history.run(&disk, &subject::clock(4), 1, steps, false);
    let states = disk.crash_states(CHOICES_MAX);
    counts[0] += 1;
    counts[2] += u64::from(!states.is_exhaustive());
    check_opens(&disk.restart(), &history, false);
    for (number, after) in states.enumerate() {
        counts[1] += 1;
        let _story = Story { before: &disk, after: &after, steps };
        if long() || number % 8 == 0 {
            check_recovered(&after, &history, true);
        } else {
            check_opens(&after, &history, true);
        }
    }
}

/// Prints how a disk came to be when its check panics.
struct Story<'a> {
    before: &'a SimDisk,
    after: &'a SimDisk,
    steps: &'a [Step],
}

impl Drop for Story<'_> {
    #[expect(clippy::print_stderr, reason = "a test that fails says what led to it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Story { before, after, steps } = self;
            eprintln!("{steps:?}\n{}\nthen\n{}", before.trace(), after.history());
        }
    }
}

/// The same with a death at each call of the last operation.
#[test]
fn every_subset_at_each_death_in_the_last_operation() {
    let limit = if long() { 1 << 12 } else { 64 };
    let mut total = tidelog_tests::disk::Sweep::default();
    for first in [Step::Write(Os), Step::Write(Sync), Step::Flush] {
        for second in STEPS {
            let start = SimDisk::new();
            let mut before = History::default();
            before.run(&start, &subject::clock(5), 1, &[Step::Write(Os), first], false);
            let work = |disk: &SimDisk| {
                let mut history = before.clone();
                history.run(disk, &subject::clock(6), 10, &[second], false);
                history
            };
            let done =
                tidelog_tests::disk::sweep(&start.restart(), limit, work, |after, history| {
                    check_opens(after, history, !after.history().is_empty());
                });
            total.calls += done.calls;
            total.states += done.states;
            total.sampled += done.sampled;
        }
    }
    report("subsets at deaths", total);
}
