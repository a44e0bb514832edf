//! Random histories, seed by seed; and planted bugs, which they must catch.

use crate::plant::Plant;
use crate::rest::{run, run_with_a_liar, run_with_hostile_policies};
use std::panic;
use std::time::Instant;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// `TIDELOG_SIM_SEEDS` says how many (16 unless set), `TIDELOG_SIM_SEED` which one alone.
#[test]
fn random_histories_end_in_equal_stores_that_hold_what_was_acknowledged() {
    let one = number("TIDELOG_SIM_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("TIDELOG_SIM_FROM").unwrap_or(1);
            from..from + number("TIDELOG_SIM_SEEDS").unwrap_or(16)
        }
    };
    let (started, count) = (Instant::now(), seeds.end - seeds.start);
    let mut messages = 0;
    let mut failed = Vec::new();
    for seed in seeds {
        match run(seed, Plant::Nothing) {
            Ok(sent) => messages += sent,
            Err(what) => {
                note(&format!("seed {seed}:\n{what}\n"));
                failed.push(seed);
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    note(&format!("{count} seeds, {messages} messages, {:.1} seeds/s", count as f64 / seconds));
    assert!(failed.is_empty(), "seeds {failed:?} failed; what happened stands above");
}

/// Each of these found a fault that is mended.
#[test]
fn histories_that_went_wrong_once_end_well() {
    for seed in [394, 530, 869, 1028, 1257, 1381, 1513, 1986] {
        if let Err(what) = run(seed, Plant::Nothing) {
            panic!("seed {seed}:\n{what}");
        }
    }
}

/// Six seeds unless `TIDELOG_SIM_SEEDS` says more. One store lies about what it has, and changes what it sends: nobody panics, runs on for ever or keeps from others
/// what the lies made of it.
#[test]
fn honest_stores_come_to_hold_the_same_beside_a_liar() {
    for seed in 1..=number("TIDELOG_SIM_SEEDS").unwrap_or(6) {
        run_with_a_liar(seed);
    }
}

/// Eight seeds unless `TIDELOG_SIM_SEEDS` says more. Whatever policies say, at rest all is as without them.
#[test]
fn histories_with_hostile_policies_end_as_others_do() {
    for seed in 1..=number("TIDELOG_SIM_SEEDS").unwrap_or(8) {
        if let Err(what) = run_with_hostile_policies(seed) {
            panic!("seed {seed}: {what}");
        }
    }
}

/// Each is caught within 1,000 seeds, by one that passes without it.
#[test]
fn planted_bugs_are_caught() {
    let most = number("TIDELOG_SIM_PLANT_SEEDS").unwrap_or(1000);
    let only = std::env::var("TIDELOG_SIM_PLANT").ok();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for (plant, first) in Plant::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{plant:?}")) {
            continue;
        }
        let started = Instant::now();
        let from = number("TIDELOG_SIM_FROM").unwrap_or(1);
        let seeds = [first].into_iter().chain((from..=most).filter(|seed| *seed != first));
        let catches = |seed| Some((seed, run(seed, plant).err()?));
        let caught = seeds.filter_map(catches).find(|(seed, _)| run(*seed, Plant::Nothing).is_ok());
        match caught {
            Some((seed, what)) => {
                let last = what.lines().rev().nth(1).unwrap_or_default();
                let last: String = last.chars().take(120).collect();
                let seconds = started.elapsed().as_secs_f64();
                note(&format!("{plant:?}: caught by seed {seed} in {seconds:.1} s: {last}"));
            }
            None => missed.push(plant),
        }
    }
    panic::set_hook(hook);
    assert!(missed.is_empty(), "{missed:?} are not caught by {most} seeds");
}

#[expect(clippy::print_stderr, reason = "figures of a run")]
fn note(text: &str) {
    eprintln!("{text}");
}
