//! How much is compared and sent at once, as `[sync]` of a node's configuration says.

use crate::rest::{alike, come_to_rest};
use crate::twin::cells;
use crate::world::World;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use tidelog_engine::{Batch, Durability};
use tidelog_model::GroupId;
use tidelog_protocol::compare::{Item, LeftOut};
use tidelog_protocol::message::{SessionMessage, TailBatch};
use tidelog_protocol::{Channel, Config, Event, Outcome, Portion};

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// What the clocks of the simulated world begin with.
const START: i64 = 1_700_000_000_000_000_000;

fn write(world: &World, machine: usize, device: &str, time: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push(device, time, [("level", 1.0)]).unwrap();
    world.store(machine).write(&batch, Durability::Sync).unwrap();
}

/// The first has what the third wrote, long ago and now; the second was never linked with that one, which is gone.
fn second_lacks_what_the_third_wrote(window: Option<u64>) -> World {
    let mut world = World::new(3, 60);
    world.config.window = window;
    world.net.cut(1, 2);
    world.net.cut(2, 1);
    (0..3).for_each(|machine| assert!(world.start(machine)));
    // What a start compares is over then.
    world.run(20_000);
    write(&world, 2, "old", START - 10 * DAY);
    write(&world, 2, "new", START - 60 * MINUTE);
    world.run(2_000);
    assert_eq!(cells(world.store(0)).len(), 4);
    world.stop(2);
    world.run(120_000);
    world
}

#[test]
fn a_window_bounds_what_is_compared_at_intervals_and_nothing_else() {
    let whole = second_lacks_what_the_third_wrote(None);
    assert_eq!(cells(whole.store(1)).len(), 4);

    let mut world = second_lacks_what_the_third_wrote(Some(2 * 86_400_000));
    assert_eq!(cells(world.store(1)).len(), 2, "of the last two days alone");
    let left_out = [(LeftOut::NotAsked, 1)].into();
    let last = |world: &World| [world.outcomes(0), world.outcomes(1)].concat().last().cloned();
    assert_eq!(last(&world), Some(Outcome::Partial { left_out }), "it is not said to agree");
    world.check(Some(0));
    world.run(3_000);
    assert_eq!(cells(world.store(1)).len(), 4, "what is asked for is compared whole");
}

/// Rows of each message of a tail of a hundred writes that wait together.
fn rows_of_messages(portion: Portion) -> Vec<usize> {
    let mut world = World::new(2, 61);
    world.config = Config { interval: None, portion, ..Config::default() };
    (0..2).for_each(|machine| assert!(world.start(machine)));
    come_to_rest(&mut world);
    let rows = Rc::new(RefCell::new(Vec::new()));
    let own = Rc::clone(&rows);
    world.net.tamper = Some(Box::new(move |_, channel, bytes| {
        if channel == Channel::Tail {
            let batches = TailBatch::decode(bytes).unwrap().batches.len();
            own.borrow_mut().extend((batches > 0).then_some(batches));
        }
    }));
    (0..100).for_each(|minute| write(&world, 0, "a", START + minute * MINUTE));
    come_to_rest(&mut world);
    alike(&world);
    rows.take()
}

#[test]
fn a_message_of_the_log_has_no_more_rows_and_bytes_than_were_asked_for() {
    assert_eq!(rows_of_messages(Portion::default()), [100]);
    assert_eq!(rows_of_messages(Portion { rows: 30, bytes: 1 << 20 }), [30, 30, 30, 10]);
    let few = rows_of_messages(Portion { rows: usize::MAX, bytes: 4096 });
    assert!(few.len() > 4 && few.iter().sum::<usize>() == 100, "{few:?}");
}

fn group_of(item: &Item) -> Option<GroupId> {
    match item {
        Item::Windows { scope, .. }
        | Item::Series { scope, .. }
        | Item::Prints { scope, .. }
        | Item::WantRange { scope, .. }
        | Item::Suspects { scope, .. } => Some(scope.group),
        _ => None,
    }
}

/// The groups that turns of a comparison are about.
fn groups_of_turns(groups_at_once: usize) -> Vec<BTreeSet<GroupId>> {
    let mut world = World::new(2, 62);
    world.config.groups_at_once = groups_at_once;
    (0..2).for_each(|machine| assert!(world.start(machine)));
    world.net.cut(0, 1);
    for device in 0..40 {
        for machine in 0..2 {
            write(&world, machine, &format!("d{device}"), START + machine as i64);
        }
    }
    let turns = Rc::new(RefCell::new(Vec::new()));
    let own = Rc::clone(&turns);
    world.net.tamper = Some(Box::new(move |_, channel, bytes| {
        if let (Channel::Session(_), Ok(SessionMessage::Turn { items, .. })) =
            (channel, SessionMessage::decode(bytes))
        {
            own.borrow_mut().push(items.iter().filter_map(group_of).collect());
        }
    }));
    world.net.mend(world.now);
    come_to_rest(&mut world);
    alike(&world);
    let ended = world.machines.iter().flat_map(|one| &one.events);
    let ended = ended.filter(|event| matches!(event, Event::Completed { .. })).count();
    assert!(ended > 0);
    turns.take()
}

#[test]
fn groups_wait_for_those_that_are_compared() {
    let one = groups_of_turns(1);
    assert!(one.iter().all(|groups| groups.len() <= 1), "{one:?}");
    let all: BTreeSet<&GroupId> = one.iter().flatten().collect();
    assert_eq!(all.len(), 2, "both are compared: {one:?}");
    let both = groups_of_turns(2);
    assert!(both.iter().any(|groups| groups.len() == 2), "{both:?}");
    assert!(one.len() > both.len(), "{one:?} {both:?}");
}
