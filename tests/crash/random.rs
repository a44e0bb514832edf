//! Longer workloads, a random death, a random loss; several lives in a row.

use crate::history::{History, Step, check_recovered};
use crate::{long, report};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use std::time::Duration;
use tidelog_engine::Durability::{Interval, Os, Sync};
use tidelog_tests::disk::{Fault, Part, SimDisk};
use tidelog_tests::subject;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => select(vec![
            Step::Write(Sync),
            Step::Write(Os),
            Step::Write(Interval(Duration::ZERO)),
            Step::Write(Interval(Duration::from_secs(1))),
            Step::Tickets,
        ]),
        1 => select(vec![Step::WriteLarge(Os), Step::WriteLarge(Sync)]),
        2 => select(vec![Step::DeleteRange, Step::DeleteDevice, Step::DeleteField]),
        2 => select(vec![Step::Flush, Step::Compact, Step::Seal, Step::Reopen, Step::Pin]),
    ]
}

/// One life: what is done, at which call of so many thousandths it dies, and what the power failure takes;
/// `None`: the process dies alone.
type Life = (Vec<Step>, u64, Option<u64>);

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (prop::collection::vec(step(), 1..9), 0u64..1100, prop::option::of(any::<u64>()));
    prop::collection::vec(life, 1..4)
}

#[test]
fn random_lives_end_in_random_deaths() {
    let cases = if long() { 20_000 } else { 250 };
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let outcome = runner.run(&lives(), |lives| {
        live(&lives);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    report("random lives", cases);
}

/// Rows that a flush has put into files need no fsync of the log: the log may be torn from before the covered
/// point on, and nothing is lost.
#[test]
fn a_torn_tail_may_begin_before_the_covered_point() {
    let first = Step::Write(Interval(Duration::ZERO));
    let steps =
        vec![Step::Pin, first, Step::Write(Os), Step::Write(Os), Step::Flush, Step::Write(Os)];
    for seed in 0..400 {
        live(&[(steps.clone(), 999, Some(seed))]);
    }
}

fn live(lives: &[Life]) {
    let mut disk = SimDisk::new();
    let mut history = History::default();
    let mut power_failed = false;
    for (number, (steps, part, loss)) in lives.iter().enumerate() {
        let clock = subject::clock(number as u64);
        let run = |disk: &SimDisk, history: &History| {
            let mut history = history.clone();
            history.run(disk, &clock, number * 12 + 1, steps, false);
            history
        };
        let rehearsal = disk.restart();
        run(&rehearsal, &history);
        let calls = rehearsal.calls();
        let at = calls * part / 1000 + 1;
        let live = disk.restart();
        if at <= calls {
            let how = if part % 2 == 0 { Part::Nothing } else { Part::Whole };
            live.fail_at(at, Fault::Kill(how));
        }
        let clock = subject::clock(number as u64);
        let mut lived = history.clone();
        lived.run(&live, &clock, number * 12 + 1, steps, false);
        disk = match loss {
            None => live.restart(),
            Some(seed) => live.random_crash(*seed),
        };
        power_failed |= loss.is_some();
        check_recovered(&disk, &lived, power_failed);
        history = lived.settled(&disk);
        power_failed = false;
    }
}
