//! The plain cases: what is written on one side is on the other.

use crate::world::World;
use tidelog_engine::{Batch, CollectionName, Delete, Durability, Level, Query, TimeRange};
use tidelog_protocol::Outcome;

const MINUTE: i64 = 60_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

fn write(world: &World, machine: usize, device: &str, minutes: std::ops::Range<i64>, value: f64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for minute in minutes {
        batch.push(device, START + minute * MINUTE, [("level", value + minute as f64)]).unwrap();
    }
    world.store(machine).write(&batch, Durability::Sync).unwrap();
}

fn answers(world: &World, machine: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let store = world.store(machine);
    for batch in store.query(&name(), Query::new()).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.rows() {
            rows.push(format!(
                "{:?} {} {:?}",
                batch.devices,
                batch.times[row],
                batch.columns.iter().map(|c| c.at(row)).collect::<Vec<_>>()
            ));
        }
    }
    rows
}

fn root(world: &World, machine: usize) -> Option<tidelog_engine::Digest> {
    let rows = world.store(machine).digests(&name(), Level::Root, TimeRange::ALL).unwrap();
    rows.first().map(|row| row.digest)
}

#[test]
fn what_was_written_before_and_after_the_link_is_on_both() {
    let mut world = World::new(2, 1);
    world.start(0);
    world.start(1);
    write(&world, 0, "a", 0..500, 0.0);
    write(&world, 1, "b", 0..500, 1000.0);
    world.run(3_000);
    assert_eq!(
        root(&world, 0),
        root(&world, 1),
        "{:?} {:?}",
        world.machines[0].events,
        world.machines[1].events
    );
    assert!(root(&world, 0).is_some());
    write(&world, 0, "a", 500..600, 0.0);
    write(&world, 1, "c", 100..200, 0.0);
    world.run(2_000);
    assert_eq!(root(&world, 0), root(&world, 1));
    assert_eq!(answers(&world, 0), answers(&world, 1));
    let outcomes: Vec<Outcome> = [world.outcomes(0), world.outcomes(1)].concat();
    assert!(outcomes.iter().all(|one| *one == Outcome::Agreed), "{outcomes:?}");
}

#[test]
fn a_crash_a_delete_and_late_rows_on_both_sides_meet() {
    let mut world = World::new(3, 2);
    (0..3).for_each(|number| {
        world.start(number);
    });
    write(&world, 0, "a", 0..500, 0.0);
    world.run(5_000);
    world.crash_lose_all(2);
    write(&world, 1, "a", 100..200, 7.0);
    let range = TimeRange::inclusive(START, START + 50 * MINUTE).unwrap();
    world.store(0).delete(&Delete::collection(&name()).range(range)).unwrap();
    write(&world, 0, "d", 0..2000, 3.0);
    world.run(5_000);
    world.start(2);
    write(&world, 2, "a", 20..30, 9.0);
    world.run(60_000);
    let roots: Vec<_> = (0..3).map(|number| root(&world, number)).collect();
    assert!(roots[0].is_some() && roots[0] == roots[1] && roots[1] == roots[2], "{roots:?}");
    assert_eq!(answers(&world, 0), answers(&world, 2));
    assert_eq!(answers(&world, 0), answers(&world, 1));
    assert_eq!(answers(&world, 0).len(), 500 - 51 + 10 + 2000);
}
