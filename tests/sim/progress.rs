//! What is told of how far comparisons and snapshots have come: totals, and the time left as an estimate that comes true.

use crate::world::World;
use tidelog_engine::{Batch, Durability};
use tidelog_protocol::{Event, Progress};

const HOUR: i64 = 3_600_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;

/// Rows of many hours, each of them a leaf window that differs.
fn write_hours(world: &World, machine: usize, hours: i64, value: f64) {
    for device in 0..8 {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for hour in 0..hours {
            batch.push(&format!("d{device}"), START + hour * HOUR, [("level", value)]).unwrap();
        }
        world.store(machine).write(&batch, Durability::Sync).unwrap();
    }
}

#[test]
fn the_time_that_a_comparison_still_takes_is_told_and_comes_true() {
    let mut world = World::new(2, 50);
    world.start(0);
    world.start(1);
    write_hours(&world, 0, 2_000, 1.0);
    write_hours(&world, 1, 2_000, 2.0);
    // So long that what is told has to be more than a guess of a second.
    world.net.delay = (2_000, 2_000);
    let mut seen: Vec<(u64, Progress)> = Vec::new();
    while world.outcomes(0).is_empty() && world.outcomes(1).is_empty() {
        world.run(100);
        let status = [0, 1].map(|machine| world.node(machine).status()[0].comparing);
        seen.extend(status.into_iter().flatten().map(|one| (world.now, one)));
        assert!(world.now < 300_000, "{:?}", seen.last());
    }
    let ended = world.now;
    let guesses = seen.iter().filter(|(_, one)| one.done > one.total / 3 && one.done < one.total);
    let guesses: Vec<&(u64, Progress)> =
        guesses.filter(|(_, one)| one.millis_left.is_some_and(|left| left > 0)).collect();
    assert!(guesses.len() > 5, "{} of {}", guesses.len(), seen.len());
    let good = guesses.iter().filter(|(at, one)| {
        let (left, real) = (one.millis_left.unwrap_or(0) as f64, (ended - at) as f64);
        (real / 4.0..real * 4.0).contains(&left)
    });
    let good = good.count();
    assert!(2 * good > guesses.len(), "{good} of {}", guesses.len());
    let report = |event: &Event| match event {
        Event::Completed { report, .. } => Some(report.windows),
        _ => None,
    };
    let all = world.machines.iter().flat_map(|machine| &machine.events);
    let windows = all.filter_map(report).next().expect("it came to its end");
    assert!(windows.done >= 8 * 2_000 && windows.done == windows.total, "{windows:?}");
    assert!(world.node(0).status()[0].comparing.is_none());
}

#[test]
fn a_comparison_that_breaks_is_told_with_how_far_it_came() {
    let mut world = World::new(2, 51);
    world.start(0);
    world.start(1);
    write_hours(&world, 0, 2_000, 1.0);
    write_hours(&world, 1, 2_000, 2.0);
    world.net.delay = (400, 400);
    let far = |world: &World| {
        let both = [0, 1].map(|machine| world.node(machine).status()[0].comparing);
        both.into_iter().flatten().any(|one| one.done > 0)
    };
    while !far(&world) {
        world.run(100);
        assert!(world.now < 60_000);
    }
    world.unlink_all(0, "the cable was pulled");
    world.settle();
    let failed = world.machines.iter().flat_map(|one| &one.events).find_map(|event| match event {
        Event::Failed { why, report, .. } => Some((why.clone(), report.windows)),
        _ => None,
    });
    let (why, windows) = failed.expect("it is told of");
    assert!(
        why.contains("cable") && windows.done > 0 && windows.done < windows.total,
        "{windows:?}"
    );
}
