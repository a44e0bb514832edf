//! Policies decide when and in which direction differences are repaired, never whether: whatever one says, at the end
//! the stores are equal.

use crate::rest::alike;
use crate::twin::cells;
use crate::world::{Deciding, World};
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Device, DeviceSelector, Durability, Every, GroupId, Level,
    Query, TimeRange, Unit, ValueRef,
};
use tidelog_model::policy::{
    Action, Complete, Cost, Metered, NewestFirst, PolicyError, PolicyErrorKind, PreferPeer,
    RawHours, RepairPolicy, Round, Step,
};
use tidelog_protocol::{Config, Event, Outcome, PolicyConfig};

const HOUR: u64 = 3_600_000;
const DAY: i64 = 86_400_000_000_000;
/// What the clocks of the simulated world begin with: 22:13:20 UTC.
const START: i64 = 1_700_000_000_000_000_000;

/// A policy of a closure.
struct Told<F>(F);

impl<F: FnMut(&Round) -> Result<Vec<Step>, PolicyError> + Send> RepairPolicy for Told<F> {
    fn name(&self) -> &str {
        "told"
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        (self.0)(round)
    }
}

/// The same for each window, with the peer of the round.
fn all(action: Action) -> Box<dyn RepairPolicy> {
    Box::new(Told(move |round: &Round| {
        let windows = 0..round.windows.len() as u32;
        Ok(windows.map(|window| Step { window, action, peer: round.peer }).collect())
    }))
}

pub fn deciding(policy: Box<dyn RepairPolicy>) -> Deciding {
    let config = PolicyConfig {
        name: policy.name().to_owned(),
        hash: 7,
        max_deferral: 24 * HOUR,
        timeout: 1_000,
        bytes_per_day: None,
    };
    Deciding { policy, config, cost: Cost::Free, kept: None, rounds: Vec::new() }
}

pub fn write(world: &World, machine: usize, device: &str, time: i64, rows: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for row in 0..rows {
        batch.push(device, time + row * 1_000_000_000, [("level", row as f64)]).unwrap();
    }
    world.store(machine).write(&batch, Durability::Sync).unwrap();
}

/// Two stores that never met, each with rows of five days that the other lacks.
fn apart(seed: u64, rows: i64) -> World {
    apart_with(seed, rows, HOUR / 2, 1_000)
}

/// The same where days go by: a pulse each second of them would be most of what is simulated.
fn apart_for_days(seed: u64, rows: i64) -> World {
    apart_with(seed, rows, HOUR / 2, 20_000)
}

fn apart_with(seed: u64, rows: i64, interval: u64, pulse: u64) -> World {
    let mut world = World::new(2, seed);
    let silence = pulse * 15;
    world.config = Config { interval: Some(interval), pulse, silence, ..world.config };
    world.net.cut(0, 1);
    world.net.cut(1, 0);
    (0..2).for_each(|machine| assert!(world.start(machine)));
    for day in 1..=5 {
        write(&world, 0, "ours", START - day * DAY, rows);
        write(&world, 1, "theirs", START - day * DAY, rows);
    }
    world
}

fn meet(world: &mut World) {
    let now = world.now;
    world.net.heal(now);
}

/// So many cells each store has of rows of the other.
fn crossed(world: &World) -> (usize, usize) {
    let of = |machine: usize, device: &str| {
        cells(world.store(machine)).keys().filter(|key| format!("{key:?}").contains(device)).count()
    };
    (of(0, "theirs"), of(1, "ours"))
}

fn planned(world: &World, machine: usize) -> Vec<Event> {
    let is = |event: &&Event| matches!(event, Event::Planned { .. });
    world.machines[machine].events.iter().filter(is).cloned().collect()
}

#[test]
fn what_a_policy_wants_first_goes_first() {
    let mut world = apart(100, 100);
    world.set_policy(0, Some(deciding(Box::new(NewestFirst))));
    meet(&mut world);
    world.run(300_000);
    alike(&world);
    let rounds = &world.machines[0].policy.as_ref().unwrap().rounds;
    assert_eq!(rounds.len(), 1, "one question for all windows");
    let round = &rounds[0].round;
    let (ours, theirs): (Vec<u64>, Vec<u64>) =
        round.windows.iter().map(|window| (window.ours.rows, window.theirs.rows)).unzip();
    assert_eq!(ours.iter().sum::<u64>(), 500, "{round:?}");
    assert_eq!(theirs.iter().sum::<u64>(), 500, "{round:?}");
    assert!(matches!(
        planned(&world, 0)[..],
        [Event::Planned { windows, repaired, fault: None, .. }] if windows == repaired
    ));
    assert_eq!(world.outcomes(0).last(), Some(&Outcome::Agreed));
}

#[test]
fn rows_go_in_the_direction_that_the_policy_says() {
    for (action, want) in [(Action::Pull, (false, true)), (Action::Push, (true, false))] {
        let mut world = apart(101, 50);
        let mut one_way = deciding(all(action));
        one_way.config.max_deferral = HOUR;
        world.set_policy(0, Some(one_way));
        meet(&mut world);
        world.run(300_000);
        let (here, there) = crossed(&world);
        assert_eq!((here == 0, there == 0), want, "{action:?}: {here} and {there} cells");
        let last = world.outcomes(0).last().cloned();
        assert!(matches!(last, Some(Outcome::Partial { .. })), "it is not said to agree: {last:?}");
        assert!(world.node(0).is_ready(), "what is left is known");
        // Whatever the policy says, the other direction comes in time.
        world.run(2 * HOUR);
        alike(&world);
    }
}

#[test]
fn what_is_deferred_comes_when_the_policy_said_or_when_it_has_waited_too_long() {
    let mut world = apart(102, 50);
    let until = START as u64 / 1_000_000 + 2 * HOUR;
    let mut told = deciding(Box::new(Told(move |round: &Round| {
        let action = if round.now < until { Action::Defer(until) } else { Action::Both };
        let windows = 0..round.windows.len() as u32;
        Ok(windows.map(|window| Step { window, action, peer: round.peer }).collect())
    })));
    told.config.max_deferral = 100 * HOUR;
    world.set_policy(0, Some(told));
    meet(&mut world);
    world.run(HOUR);
    assert_eq!(crossed(&world), (0, 0));
    world.run(HOUR + 600_000);
    alike(&world);

    let mut world = apart_for_days(103, 50);
    world.set_policy(0, Some(deciding(all(Action::Skip))));
    meet(&mut world);
    world.run(23 * HOUR);
    assert_eq!(crossed(&world), (0, 0));
    // A machine that is restarted each day does not begin to count anew.
    world.crash(0);
    assert!(world.start(0));
    world.run(3 * HOUR);
    alike(&world);
    world.run(HOUR);
    assert_eq!(world.node(0).policy_status().unwrap().waiting, 0, "what is settled is forgotten");
}

#[test]
fn the_side_whose_policy_decides_begins_and_the_other_leaves_it_to_it() {
    for decider in 0..2 {
        let mut world = apart(104, 50);
        world.set_policy(decider, Some(deciding(all(Action::Skip))));
        meet(&mut world);
        world.run(3 * HOUR);
        assert_eq!(crossed(&world), (0, 0), "the policy of {decider} skips all");
        // A host that asks for it gets it.
        world.check(Some(1 - decider));
        world.run(300_000);
        alike(&world);
    }
}

#[test]
fn a_policy_that_fails_loses_its_round_and_nothing_is_left() {
    let error = |kind| move |_: &Round| Err(PolicyError::new(kind, "planted"));
    let void = |round: &Round| {
        let step = Step { window: round.windows.len() as u32, action: Action::Skip, peer: 0 };
        Ok(vec![step])
    };
    let faults: [(Box<dyn RepairPolicy>, PolicyErrorKind); 3] = [
        (Box::new(Told(error(PolicyErrorKind::Trap))), PolicyErrorKind::Trap),
        (Box::new(Told(error(PolicyErrorKind::Deadline))), PolicyErrorKind::Deadline),
        (Box::new(Told(void)), PolicyErrorKind::Plan),
    ];
    for (policy, kind) in faults {
        let mut world = apart(105, 50);
        world.set_policy(0, Some(deciding(policy)));
        meet(&mut world);
        world.run(300_000);
        alike(&world);
        let events = planned(&world, 0);
        assert!(
            matches!(&events[0], Event::Planned { fault: Some(fault), .. } if fault.kind == kind),
            "{events:?}"
        );
        let status = world.node(0).policy_status().unwrap();
        assert_eq!((status.rounds, status.fallbacks), (0, 1));
    }
}

#[test]
fn over_a_metered_link_rows_come_by_night_and_as_far_as_the_budget_reaches() {
    let mut world = apart_for_days(106, 3_000);
    let night = RawHours { from: 23 * 60, to: 4 * 60 };
    let mut metered = deciding(Box::new(Metered { raw: night }));
    metered.cost = Cost::Metered;
    metered.config.max_deferral = 20 * 24 * HOUR;
    metered.config.bytes_per_day = Some(100_000);
    world.set_policy(0, Some(metered));
    meet(&mut world);
    world.run(40 * 60_000);
    assert_eq!(crossed(&world), (0, 0), "it is not night yet");
    let mut before = 0;
    for day in 0..12 {
        world.run(24 * HOUR);
        let bytes = world.node(0).status()[0].bytes;
        let spent = bytes.0 + bytes.1 - before;
        before = bytes.0 + bytes.1;
        // Pulses go on all the time; they are no repair.
        let pulses = 24 * 180 * 2 * 130;
        assert!(spent < pulses + 100_000 + 150_000, "day {day}: {spent} bytes");
    }
    alike(&world);
}

/// Rows by day of a device, as a machine answers, and how many windows of it are borrowed.
fn by_day(world: &World, machine: usize, device: &str) -> (Vec<u64>, u64) {
    let name = CollectionName::parse("plant.boiler").unwrap();
    let day = Every::Calendar { unit: Unit::Day, zone: None };
    let device = Device::named(device).unwrap();
    let query = Query::new().every(day).aggregates([Aggregate::Count]);
    let query = query.devices(DeviceSelector::one(device));
    let mut answer = world.store(machine).query(&name, query).unwrap();
    let mut counts = Vec::new();
    for batch in answer.by_ref() {
        let batch = batch.unwrap();
        for row in 0..batch.rows() {
            let counted = batch.columns.iter().find_map(|column| column.at(row));
            counts.push(match counted {
                Some(ValueRef::U64(count)) => count,
                other => panic!("{other:?}"),
            });
        }
    }
    (counts, answer.explain().borrowed)
}

#[test]
fn rollups_are_borrowed_by_day_and_give_way_to_the_rows() {
    let mut world = apart(108, 200);
    let night = RawHours { from: 5 * 60, to: 8 * 60 };
    let mut metered = deciding(Box::new(Metered { raw: night }));
    metered.cost = Cost::Metered;
    world.set_policy(0, Some(metered));
    let root = |world: &World| {
        let name = CollectionName::parse("plant.boiler").unwrap();
        format!("{:?}", world.store(0).digests(&name, Level::Root, TimeRange::ALL).unwrap())
    };
    let before = root(&world);
    meet(&mut world);
    world.run(HOUR);
    assert_eq!(crossed(&world), (0, 0), "no row crosses in the evening");
    let (counts, borrowed) = by_day(&world, 0, "theirs");
    assert_eq!(counts, [200; 5], "the days are answered all the same");
    assert!(borrowed >= 5, "and said to be borrowed: {borrowed}");
    assert_eq!(root(&world), before, "no digest counts them");
    let held: u64 = (0..2).map(|group| world.store(0).borrowed(GroupId(group)).unwrap()).sum();
    assert!(held >= 5, "{held}");
    world.run(8 * HOUR);
    alike(&world);
    assert_eq!(by_day(&world, 0, "theirs"), (vec![200; 5], 0), "rows answer now");
    let held: u64 = (0..2).map(|group| world.store(0).borrowed(GroupId(group)).unwrap()).sum();
    assert_eq!(held, 0, "nothing is borrowed any more");
}

#[test]
fn a_preferred_peer_repairs_and_what_it_does_not_know_comes_from_the_others() {
    let mut world = World::new(3, 107);
    (0..3).for_each(|a| (0..3).filter(|b| *b != a).for_each(|b| world.net.cut(a, b)));
    (0..3).for_each(|machine| assert!(world.start(machine)));
    for day in 1..=3 {
        write(&world, 1, "everywhere", START - day * DAY, 50);
        write(&world, 2, "everywhere", START - day * DAY, 50);
        write(&world, 2, "only", START - day * DAY, 50);
    }
    let store = world.machines[1].id.unwrap();
    world.set_policy(0, Some(deciding(Box::new(PreferPeer { store }))));
    meet(&mut world);
    world.run(2 * HOUR);
    alike(&world);
    let rounds = &world.machines[0].policy.as_ref().unwrap().rounds;
    let left = |recorded: &&tidelog_model::policy::Recorded| {
        recorded.plan.iter().any(|step| step.peer != recorded.round.peer)
    };
    assert!(rounds.iter().any(|recorded| left(&recorded)), "something was left to it");
}

/// Says anything.
pub fn hostile(seed: u64) -> Box<dyn RepairPolicy> {
    let mut state = seed;
    let mut below = move |most: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most.max(1)
    };
    Box::new(Told(move |round: &Round| {
        let kinds = [PolicyErrorKind::Trap, PolicyErrorKind::Deadline, PolicyErrorKind::Limit];
        match below(8) {
            0 => return Err(PolicyError::new(kinds[below(3) as usize], "planted")),
            1 => return Ok(Vec::new()),
            _ => {}
        }
        let odd = below(4) == 0;
        let windows = round.windows.len() as u64 + u64::from(odd);
        let mut steps: Vec<Step> = Vec::new();
        for window in 0..windows as u32 {
            let action = match below(6) {
                0 => Action::Skip,
                1 => Action::Pull,
                2 => Action::Push,
                3 => Action::Both,
                4 => Action::Defer(round.now.wrapping_add(below(u64::MAX))),
                _ => Action::Rollups,
            };
            let peer = below(round.peers.len() as u64 + u64::from(odd)) as u32;
            let at = below(steps.len() as u64 + 1) as usize;
            steps.insert(at, Step { window, action, peer });
        }
        Ok(steps)
    }))
}

#[test]
fn hostile_policies_delay_repair_and_do_not_prevent_it() {
    let seeds = std::env::var("TIDELOG_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(20) {
        let mut world = apart(1_000 + seed, 20);
        for machine in 0..2 {
            let mut told = deciding(hostile(seed * 2 + machine as u64));
            told.config.max_deferral = HOUR;
            told.config.bytes_per_day = (seed % 3 == 0).then_some(10_000);
            told.cost = if seed % 2 == 0 { Cost::Metered } else { Cost::Free };
            if seed % 5 != machine as u64 {
                world.set_policy(machine, Some(told));
            }
        }
        meet(&mut world);
        world.run(2 * HOUR);
        alike(&world);
    }
}

/// Milliseconds until two stores that differ are equal, where comparisons come every two seconds and a window waits for one at most.
fn time_to_equal(seed: u64, policy: Box<dyn RepairPolicy>) -> u64 {
    let mut world = apart_with(2_000 + seed, 20, 2_000, 1_000);
    let mut told = deciding(policy);
    told.config.max_deferral = 1_000;
    world.set_policy(0, Some(told));
    meet(&mut world);
    let begun = world.now;
    let equal = |world: &World| cells(world.store(0)) == cells(world.store(1));
    while !equal(&world) {
        world.run(100);
        assert!(world.now < begun + HOUR, "seed {seed}");
    }
    world.now - begun
}

#[test]
#[expect(clippy::print_stdout, reason = "figures are what it is for")]
fn what_a_hostile_policy_costs_is_bounded_by_how_long_a_window_may_wait() {
    let seeds = std::env::var("TIDELOG_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds: u64 = seeds.unwrap_or(20);
    let (mut slowest, mut worst, mut sum) = (0, 0.0f64, 0.0);
    for seed in 0..seeds {
        let ordinary = time_to_equal(seed, Box::new(Complete));
        let hostile = time_to_equal(seed, hostile(seed));
        let times = hostile as f64 / ordinary as f64;
        (slowest, worst, sum) = (slowest.max(hostile), worst.max(times), sum + times);
    }
    let mean = sum / seeds as f64;
    println!(
        "{seeds} seeds: {worst:.2} times as long at most, {mean:.2} in the mean, {slowest} ms at most"
    );
    assert!(worst <= 3.0, "{worst}");
}

#[test]
fn comparisons_several_times_a_second_survive_a_policy_that_leaves_all() {
    let mut world = apart_with(109, 5, 500, 1_000);
    let mut told = deciding(all(Action::Skip));
    told.config.max_deferral = 60_000;
    world.set_policy(0, Some(told));
    meet(&mut world);
    world.run(30_000);
    assert_eq!(crossed(&world), (0, 0));
    world.run(90_000);
    alike(&world);
}
