//! What went wrong with replicas elsewhere, or here once: each in a few lines.

use crate::rest::{alike, come_to_rest, rows_sent};
use crate::twin::cells;
use crate::world::World;
use std::cell::RefCell;
use std::rc::Rc;
use tidelog_engine::{Batch, CollectionName, Delete, Durability};
use tidelog_model::TimeRange;
use tidelog_protocol::compare::{LeftOut, Only};
use tidelog_protocol::message::Control;
use tidelog_protocol::{Channel, Config, Event, Input, Outcome, PeerState, Reason};

const MINUTE: i64 = 60_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

fn write(
    world: &World,
    machine: usize,
    device: &str,
    times: impl Iterator<Item = i64>,
    value: f64,
) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for time in times {
        batch.push(device, time, [("level", value)]).unwrap();
    }
    world.store(machine).write(&batch, Durability::Sync).unwrap();
}

fn minutes(range: std::ops::Range<i64>) -> impl Iterator<Item = i64> {
    range.map(|minute| START + minute * MINUTE)
}

/// Machines that follow each other, and compare only when they must or are asked to.
fn following(machines: usize, seed: u64) -> World {
    let mut world = World::new(machines, seed);
    world.config = Config { interval: None, ..Config::default() };
    for machine in 0..machines {
        assert!(world.start(machine));
    }
    come_to_rest(&mut world);
    world
}

/// Counts messages of comparisons, and their bytes.
fn count_sessions(world: &mut World) -> Rc<RefCell<(u64, u64)>> {
    let counts = Rc::new(RefCell::new((0, 0)));
    let own = Rc::clone(&counts);
    world.net.tamper = Some(Box::new(move |_, channel, bytes| {
        if matches!(channel, Channel::Session(_)) {
            let mut counts = own.borrow_mut();
            *counts = (counts.0 + 1, counts.1 + bytes.len() as u64);
        }
    }));
    counts
}

/// IoTDB held back the last records of its log until more were written (IOTDB-3991).
#[test]
fn the_last_record_arrives_when_writes_stop() {
    let mut world = following(2, 1);
    for at in 0..50 {
        write(&world, 0, "a", minutes(at..at + 1), 1.0);
        world.run(7);
    }
    world.run(100);
    alike(&world);
    assert_eq!(rows_sent(&world), 0);
    let peer = world.machines[1].id.unwrap();
    assert!(world.node(0).is_drained(peer));
}

/// A message that is lost shows by the one that follows; the last one has none.
#[test]
fn the_last_record_arrives_when_its_message_was_lost() {
    let mut world = following(2, 2);
    write(&world, 0, "a", minutes(0..1), 1.0);
    world.net.lost = 1000;
    world.run(10);
    let now = world.now;
    world.net.heal(now);
    world.run(20_000);
    alike(&world);
    assert_eq!(rows_sent(&world), 0);
}

/// Scylla streamed half of all data between replicas that were equal (scylla#3134).
#[test]
fn equal_replicas_stream_nothing_while_writes_go_on() {
    let mut world = following(3, 3);
    world.net.delay = (5, 120);
    for second in 0..30 {
        for machine in 0..3 {
            write(&world, machine, "a", minutes(second..second + 5), machine as f64);
            write(&world, machine, "late", minutes(-9..-8), second as f64);
        }
        world.check(None);
        world.run(1_000);
    }
    for machine in 0..3 {
        let outcomes = world.outcomes(machine);
        assert!(outcomes.len() >= 50, "{} comparisons", outcomes.len());
        assert!(outcomes.iter().all(|one| *one == Outcome::Agreed), "{outcomes:?}");
    }
    assert_eq!(rows_sent(&world), 0);
}

/// Deletes in flight are no difference, either.
#[test]
fn equal_replicas_agree_while_deletes_go_on() {
    let mut world = following(2, 4);
    world.net.delay = (100, 100);
    write(&world, 0, "a", minutes(0..1000), 1.0);
    world.run(2_000);
    for at in 0..60 {
        let range = TimeRange::inclusive(START + at * MINUTE, START + at * MINUTE).unwrap();
        let delete = Delete::collection(&name()).range(range);
        world.store(at as usize % 2).delete(&delete).unwrap();
        if at % 5 == 0 {
            world.check(None);
        }
        world.run(70);
    }
    world.run(3_000);
    for machine in 0..2 {
        let outcomes = world.outcomes(machine);
        assert!(outcomes.iter().all(|one| *one == Outcome::Agreed), "{outcomes:?}");
    }
    assert_eq!(rows_sent(&world), 0);
    alike(&world);
}

/// What a disk forgot comes back, and only that is sent.
#[test]
fn what_an_old_copy_of_a_disk_lacks_comes_back() {
    let mut world = following(2, 5);
    write(&world, 0, "a", minutes(0..100), 1.0);
    write(&world, 1, "b", minutes(0..100), 1.0);
    come_to_rest(&mut world);
    let old = world.machines[1].disk.crash_keep_all();
    write(&world, 0, "a", minutes(100..110), 2.0);
    write(&world, 1, "b", minutes(50..57), 3.0);
    come_to_rest(&mut world);
    let before = cells(world.store(0));
    world.stop(1);
    world.machines[1].disk = old;
    assert!(world.start(1));
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(cells(world.store(0)), before);
    assert!((7..=17).contains(&rows_sent(&world)), "{} rows", rows_sent(&world));
}

/// The log is kept for a peer that is away: when it is back nothing has to be compared row by row.
#[test]
fn a_peer_that_was_away_is_sent_the_log() {
    let mut world = following(3, 6);
    world.run(3_000);
    write(&world, 0, "a", minutes(0..10), 1.0);
    come_to_rest(&mut world);
    world.crash(2);
    for round in 0..40 {
        write(&world, 0, "a", minutes(round * 100..round * 100 + 100), 2.0);
        write(&world, 1, "b", minutes(round * 100..round * 100 + 100), 2.0);
        world.store(0).flush().unwrap();
        world.run(500);
    }
    assert!(world.start(2));
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(rows_sent(&world), 0);
}

/// Scylla put a whole difference into one message (scylla#2413).
#[test]
fn a_large_difference_is_sent_in_many_messages() {
    let mut world = World::new(2, 7);
    assert!(world.start(0));
    for device in 0..10 {
        for part in 0..10 {
            let mut batch = Batch::new("plant.boiler").unwrap();
            for minute in part * 100..part * 100 + 100 {
                let text = format!("{:0>300}", minute * 7919 + device);
                let name = format!("d{device}");
                batch.push(&name, START + minute * MINUTE, [("text", text.as_str())]).unwrap();
            }
            world.store(0).write(&batch, Durability::Sync).unwrap();
        }
    }
    assert!(world.start(1));
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(rows_sent(&world), 10_000);
    let longest = world.net.longest;
    assert!(longest < 1_500_000, "a message of {longest} bytes");
}

/// What a store lost and has back from one of the others reaches those, too, who agreed with it in between.
#[test]
fn what_a_store_lost_and_has_back_reaches_all() {
    let mut world = following(3, 15);
    world.net.cut(0, 1);
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("a", START, [("level", 1.0)]).unwrap();
    world.store(0).write(&batch, Durability::Os).unwrap();
    world.run(200);
    world.crash_lose_all(0);
    let now = world.now;
    world.net.mend(now);
    world.net.cut(0, 2);
    assert!(world.start(0));
    world.run(20_000);
    assert!(cells(world.store(0)).is_empty() && !cells(world.store(2)).is_empty());
    let now = world.now;
    world.net.mend(now);
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(cells(world.store(1)).len(), 2);
}

/// What fits a message need not fit memory: small rows are packed tightly, and many batches travel together.
#[test]
fn a_difference_larger_than_memory_is_taken_in_parts() {
    let mut world = World::new(2, 14);
    world.config = Config { interval: None, ..Config::default() };
    assert!(world.start(0));
    let fill = |world: &World, from: i64| {
        for part in 0..20 {
            let times = (part * 2000..part * 2000 + 2000).map(|at| from + at * 1_000_000_000);
            write(world, 0, "a", times, part as f64);
        }
    };
    fill(&world, START);
    assert!(world.start(1));
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(rows_sent(&world), 40_000);
    world.net.more_delay.insert((0, 1), 500);
    fill(&world, START + 50_000_000_000_000);
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(rows_sent(&world), 40_000);
}

/// Comparing costs by what differs: with nothing there is one question and one answer, whatever is stored.
#[test]
fn ten_thousand_small_windows_without_a_difference_cost_300_bytes() {
    let mut world = following(2, 8);
    for part in 0..10 {
        write(&world, 0, "a", (part * 1000..part * 1000 + 1000).map(|at| at * 60 * MINUTE), 1.0);
    }
    come_to_rest(&mut world);
    world.store(0).flush().unwrap();
    world.store(0).seal().unwrap();
    let counts = count_sessions(&mut world);
    world.check(Some(0));
    world.run(1_000);
    let (messages, bytes) = *counts.borrow();
    assert_eq!(messages, 2);
    assert!(bytes <= 300, "{bytes} bytes");
    assert_eq!(world.outcomes(0).last(), Some(&Outcome::Agreed));
}

/// Redis counted heartbeats as log.
#[test]
fn heartbeats_write_no_log() {
    let mut world = following(3, 9);
    let positions = |world: &World| -> Vec<_> {
        (0..3).map(|machine| world.store(machine).position()).collect()
    };
    let (before, messages) = (positions(&world), world.net.messages);
    world.run(60_000);
    assert_eq!(positions(&world), before);
    assert!(world.net.messages - messages <= 6 * 62, "{}", world.net.messages - messages);
    for machine in 0..3 {
        assert!(world.node(machine).status().iter().all(|peer| peer.lag_millis <= 1_000));
    }
}

/// Scylla's hints brought back what was deleted and merged away meanwhile (scylla#23712).
#[test]
fn what_was_kept_for_a_peer_and_deleted_meanwhile_does_not_come_back() {
    let mut world = following(3, 10);
    write(&world, 0, "a", minutes(0..50), 1.0);
    come_to_rest(&mut world);
    world.stop(2);
    write(&world, 0, "a", minutes(50..100), 1.0);
    world.run(500);
    world.store(1).delete(&Delete::collection(&name())).unwrap();
    world.run(500);
    for machine in 0..2 {
        world.store(machine).flush().unwrap();
        world.store(machine).compact().unwrap();
        assert!(cells(world.store(machine)).is_empty());
    }
    // What it wrote itself and could not send is deleted, too: it is older than the delete.
    assert!(world.start(2));
    come_to_rest(&mut world);
    alike(&world);
    assert!(cells(world.store(2)).is_empty());
}

fn refusals(world: &World, machine: usize) -> Vec<String> {
    let events = world.machines[machine].events.iter();
    let refused = events.filter_map(|event| match event {
        Event::Refused { refusal, .. } => Some(refusal.text.clone()),
        _ => None,
    });
    refused.collect()
}

/// CockroachDB compared across versions that hash differently (cockroach#117302), and aruna tried what can never
/// succeed without a pause (aruna#309).
#[test]
fn other_canonical_versions_are_refused_by_name_and_not_tried_hot() {
    let mut world = World::new(2, 11);
    world.net.tamper = Some(Box::new(|from, channel, bytes| {
        if from == 1
            && channel == Channel::Control
            && let Ok(Control::Hello(mut hello)) = Control::decode(bytes)
        {
            hello.canonical += 1;
            *bytes = Control::Hello(hello).encode();
        }
    }));
    assert!(world.start(0) && world.start(1));
    write(&world, 0, "a", minutes(0..10), 1.0);
    let messages = world.net.messages;
    world.run(300_000);
    let refused = refusals(&world, 0);
    assert!(!refused.is_empty() && refused.len() <= 7, "{} times", refused.len());
    assert!(refused.iter().all(|why| why.contains("upgrade the older store")), "{refused:?}");
    assert!(world.net.messages - messages < 100, "{}", world.net.messages - messages);
    assert!(cells(world.store(1)).is_empty());
}

/// A peer whose clock is far ahead is heard later, and costs nobody else anything.
#[test]
fn a_clock_far_ahead_is_parked_and_comes_in_when_it_is_set() {
    let mut world = following(3, 12);
    world.skew(0, 60_000);
    write(&world, 0, "a", minutes(0..10), 1.0);
    write(&world, 1, "b", minutes(0..10), 1.0);
    world.run(5_000);
    let status = world.node(1).status();
    let ahead = status.iter().filter(|peer| peer.state == PeerState::ClockAhead).count();
    assert_eq!(ahead, 1, "{status:?}");
    assert_eq!(cells(world.store(1)), cells(world.store(2)), "the others go on");
    assert!(!cells(world.store(1)).is_empty());
    world.skew(0, 0);
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(cells(world.store(0)).len(), 40);
}

/// Rows of a clock far ahead that only a comparison can bring are left out of it, and all else is repaired; so are
/// deletes. When the clock is set, or time has gone by, they come.
#[test]
fn a_comparison_leaves_out_what_is_too_far_ahead() {
    let mut world = World::new(2, 15);
    world.config = Config { interval: None, ..Config::default() };
    assert!(world.start(0));
    write(&world, 0, "a", minutes(0..10), 1.0);
    world.skew(0, 60_000);
    write(&world, 0, "ahead", minutes(0..10), 1.0);
    let range = TimeRange::inclusive(0, 1).unwrap();
    world.store(0).delete(&Delete::collection(&name()).range(range)).unwrap();
    world.skew(0, 0);
    // A log that begins anew says nothing of what was before: it has to be found.
    world.stop(0);
    assert!(world.start(0) && world.start(1));
    write(&world, 1, "b", minutes(0..10), 1.0);
    world.run(20_000);
    let partial = world.machines.iter().flat_map(|one| &one.events).any(|event| {
        matches!(event, Event::Completed { outcome: Outcome::Partial { left_out }, .. }
            if left_out.contains_key(&LeftOut::ClockAhead))
    });
    assert!(partial, "nothing was left out");
    let devices = |machine: usize| {
        let cells = cells(world.store(machine)).into_keys();
        cells.map(|key| key.1).collect::<std::collections::BTreeSet<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
    assert_eq!(devices(1), names(&["a", "b"]));
    assert_eq!(devices(0), names(&["a", "ahead", "b"]));
    world.run(120_000);
    come_to_rest(&mut world);
    alike(&world);
    let all = cells(world.store(1)).into_keys().filter(|key| key.1 == "ahead").count();
    assert!(all > 0);
}

/// What a laptop brings in one comparison with one of three stores reaches the other two without waiting for the next
/// interval.
#[test]
fn what_a_visitor_brings_reaches_all() {
    let mut world = World::new(4, 16);
    world.config = Config { interval: None, ..Config::default() };
    (0..3).for_each(|machine| assert!(world.start(machine)));
    world.run(10_000);
    world.config = Config { interval: None, once: true, ..Config::default() };
    // The visitor knows only the first.
    for other in [1, 2] {
        world.net.cut(3, other);
        world.net.cut(other, 3);
    }
    assert!(world.start(3));
    write(&world, 3, "laptop", minutes(0..10), 1.0);
    world.run(5_000);
    world.stop(3);
    world.run(20_000);
    for machine in 0..3 {
        let brought = cells(world.store(machine)).into_keys().filter(|key| key.1 == "laptop");
        assert_eq!(brought.count(), 20, "existence and level of each row in store {machine}");
    }
}

/// A part that was asked for is repaired, and nothing else; the whole then takes what is left.
#[test]
fn a_part_is_repaired_alone() {
    let mut world = World::new(2, 17);
    world.config = Config { interval: None, initial_delay: 1 << 40, ..Config::default() };
    assert!(world.start(0));
    let hours = 6;
    write(&world, 0, "a", minutes(0..hours * 60), 1.0);
    let mut other = Batch::new("plant.other").unwrap();
    other.push("a", START, [("level", 1.0)]).unwrap();
    world.store(0).write(&other, Durability::Sync).unwrap();
    world.stop(0);
    assert!(world.start(0) && world.start(1));
    world.run(1);
    let hour = 60 * MINUTE;
    let first = START - START.rem_euclid(hour) + 2 * hour;
    let range = TimeRange::inclusive(first + MINUTE, first + 2 * MINUTE).unwrap();
    let partial = |event: &Event| match event {
        Event::Completed { outcome: Outcome::Partial { left_out }, .. } => {
            left_out.keys().eq([&LeftOut::NotAsked])
        }
        _ => false,
    };
    for _ in 0..400 {
        // Before the comparison that begins by itself.
        for machine in 0..2 {
            let now = world.now_of(machine);
            let node = &mut world.machines[machine].up.as_mut().unwrap().node;
            let only = Some(Only::new(name(), range));
            node.handle(now, Input::Check { peer: None, only });
        }
        world.run(10);
        if world.machines.iter().flat_map(|one| &one.events).any(partial) {
            break;
        }
    }
    let events: Vec<&Event> = world.machines.iter().flat_map(|one| &one.events).collect();
    assert!(events.iter().any(|event| partial(event)), "{events:#?}");
    let times: Vec<i64> = cells(world.store(1)).into_keys().map(|key| key.2).collect();
    let inside = |time: &&i64| (first..first + hour).contains(*time);
    assert_eq!((times.len(), times.iter().filter(inside).count()), (120, 120), "{times:?}");
    come_to_rest(&mut world);
    alike(&world);
}

/// What the host asks for before there is a link begins with the link, as what it is: a comparison of the start does not
/// take its place.
#[test]
fn what_was_asked_for_before_the_link_is_what_begins_with_it() {
    let mut world = World::new(2, 23);
    world.config = Config { interval: None, ..Config::default() };
    world.net.cut(0, 1);
    world.net.cut(1, 0);
    assert!(world.start(0) && world.start(1));
    write(&world, 0, "a", minutes(0..5), 1.0);
    world.run(100);
    world.check(None);
    let now = world.now;
    world.net.heal(now);
    world.run(20_000);
    for machine in &world.machines {
        let asked = |event: &&Event| matches!(event, Event::Started { reason: Reason::Asked, .. });
        assert_eq!(machine.events.iter().filter(asked).count(), 1, "{:#?}", machine.events);
    }
    alike(&world);
}

/// A comparison that only looks tells what differs, window by window, and changes neither store.
#[test]
fn what_differs_is_told_and_left_as_it_is() {
    let mut world = World::new(2, 18);
    world.config = Config { interval: None, ..Config::default() };
    assert!(world.start(0));
    let all = || minutes(0..180);
    write(&world, 0, "both", all(), 1.0);
    write(&world, 0, "here", all(), 1.0);
    // Not linked while it writes: its log begins anew below.
    world.net.cut(0, 1);
    world.net.cut(1, 0);
    assert!(world.start(1));
    write(&world, 1, "there", all(), 1.0);
    write(&world, 1, "both", all().filter(|time| *time != all().nth(7).unwrap()), 1.0);
    write(&world, 1, "both", all().skip(70).take(1), 2.0);
    let before = [0, 1].map(|machine| cells(world.store(machine)));
    world.stop(0);
    world.stop(1);
    world.config.once = true;
    world.config.tell = true;
    world.net.heal(0);
    assert!(world.start(1));
    world.config.once = false;
    world.config.tell = false;
    assert!(world.start(0));
    world.run(5_000);
    let report = world.machines[1].events.iter().find_map(|event| match event {
        Event::Completed { outcome: Outcome::Different, report, .. } => Some(report.clone()),
        _ => None,
    });
    let report = report.unwrap_or_else(|| panic!("{:?}", world.machines[1].events));
    let mut told = std::collections::BTreeMap::<_, (u64, u64, u64)>::new();
    for one in &report.differences {
        let sum = told.entry(one.device.as_str()).or_default();
        *sum = (sum.0 + one.missing, sum.1 + one.extra, sum.2 + one.mismatched);
        assert_eq!(one.rows.0 + one.missing, one.rows.1 + one.extra, "{one:?}");
    }
    let expected =
        [("both", (1, 0, 1)), ("here", (180, 0, 0)), ("there", (0, 180, 0))].into_iter().collect();
    assert_eq!(told, expected);
    assert_eq!([0, 1].map(|machine| cells(world.store(machine))), before);
}

/// The directory of a store is copied to another machine, and both are opened.
#[test]
fn a_copied_directory_is_refused_by_name() {
    let mut world = World::new(4, 13);
    world.config = Config { interval: None, ..Config::default() };
    (0..3).for_each(|machine| assert!(world.start(machine)));
    write(&world, 0, "a", minutes(0..10), 1.0);
    come_to_rest_of(&mut world, 3);
    world.machines[3].disk = world.machines[0].disk.crash_keep_all();
    world.machines[3].clock = tidelog_tests::clock::SimClock::new(0, 99);
    assert!(world.start(3));
    for round in 0..20 {
        write(&world, 0, "own", minutes(round..round + 1), 2.0);
        write(&world, 3, "copied", minutes(round..round + 1), 3.0);
        world.run(300);
    }
    let refused = [refusals(&world, 1), refusals(&world, 2)].concat();
    assert!(refused.iter().any(|why| why.contains("open on two machines")), "{refused:?}");
    assert!(refused.len() < 10, "{refused:?}");
    world.stop(3);
    world.stop(0);
    assert!(world.start(0));
    world.machines.truncate(3);
    come_to_rest(&mut world);
    alike(&world);
    let own = cells(world.store(1)).into_keys().filter(|key| key.1 == "own").count();
    assert_eq!(own, 40);
}

fn come_to_rest_of(world: &mut World, machines: usize) {
    let rest = world.machines.split_off(machines);
    come_to_rest(world);
    world.machines.extend(rest);
}
