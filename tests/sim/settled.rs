//! Where rows were cut off, rollups are the data: stores that settled different rows become equal, window by window.

use crate::rest::come_to_rest;
use crate::world::World;
use tidelog_engine::{Aggregate, Batch, CollectionName, Durability, Every, Level, Query};
use tidelog_model::TimeRange;
use tidelog_protocol::Outcome;

const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;
/// What the clocks of the simulated world begin with.
const START: i64 = 1_700_000_000_000_000_000;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

fn write(world: &World, machine: usize, device: &str, day: i64, rows: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for row in 0..rows {
        let time = START - day * DAY + row * HOUR / 4;
        batch.push(device, time, [("level", row as f64)]).unwrap();
    }
    world.store(machine).write(&batch, Durability::Sync).unwrap();
}

/// Rows and sums by day, as both sides answer.
fn answer(world: &World, machine: usize) -> String {
    let day = Every::Calendar { unit: tidelog_engine::Unit::Day, zone: None };
    let query = Query::new().every(day).aggregates([Aggregate::Sum]);
    let mut text = String::new();
    for batch in world.store(machine).query(&name(), query).unwrap() {
        text += &format!("{:?}", batch.unwrap());
    }
    text
}

fn root(world: &World, machine: usize) -> String {
    format!("{:?}", world.store(machine).digests(&name(), Level::Root, TimeRange::ALL).unwrap())
}

#[test]
fn windows_that_were_settled_from_different_rows_become_equal() {
    let mut world = World::new(2, 120);
    world.net.cut(0, 1);
    world.net.cut(1, 0);
    (0..2).for_each(|machine| assert!(world.start(machine)));
    for day in 20..40 {
        write(&world, 0, "both", day, 40);
        write(&world, 1, "both", day, if day % 2 == 0 { 40 } else { 41 });
        write(&world, 0, if day % 3 == 0 { "ours" } else { "both" }, day, 9);
        write(&world, 1, if day % 3 == 1 { "theirs" } else { "both" }, day, 9);
    }
    for machine in 0..2 {
        let store = world.store(machine);
        store.set_retention(&name(), "raw=5d,1h=60d".parse().unwrap()).unwrap();
        store.flush().unwrap();
        store.compact().unwrap();
    }
    assert_ne!(root(&world, 0), root(&world, 1));
    let now = world.now;
    world.net.heal(now);
    world.run(60_000);
    come_to_rest(&mut world);
    assert_eq!(root(&world, 0), root(&world, 1));
    assert_eq!(answer(&world, 0), answer(&world, 1));
    let outcomes = [world.outcomes(0), world.outcomes(1)].concat();
    assert_eq!(outcomes.last(), Some(&Outcome::Agreed), "{outcomes:?}");
    let taken = |machine| world.node(machine).status()[0].counts.nodes_taken;
    let nodes = taken(0).min(taken(1));
    assert!(nodes > 10, "{nodes} nodes came");
}
