//! Bits of a replica's files rot: what is lacking is asked back from another one, and until then no answer passes over it.

use crate::rest::{alike, come_to_rest, rows_sent};
use crate::world::World;
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Delete, Durability, Every, Level, Query, QueryError, Unit,
};
use tidelog_model::TimeRange;
use tidelog_protocol::{Config, Event, Reason};
use tidelog_tests::lines::lines_of;

const MINUTE: i64 = 60_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;
const ROWS: i64 = 5_000;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

fn write(world: &World, machine: usize, device: &str, rows: std::ops::Range<i64>, value: f64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for row in rows {
        batch.push(device, START + row * MINUTE, [("level", value + row as f64)]).unwrap();
    }
    world.store(machine).write(&batch, Durability::Sync).unwrap();
}

/// Two machines with the same rows in files, sealed, that follow each other.
fn two(seed: u64) -> World {
    let mut world = World::new(2, seed);
    world.config = Config { interval: None, ..Config::default() };
    assert!(world.start(0) && world.start(1));
    come_to_rest(&mut world);
    for device in ["a", "b", "c", "d"] {
        write(&world, 0, device, 0..ROWS, 0.5);
    }
    write(&world, 1, "a", 100..200, 0.25);
    come_to_rest(&mut world);
    for machine in 0..2 {
        world.store(machine).seal().unwrap();
    }
    alike(&world);
    world
}

/// The files of rows of a machine, by size.
fn files(world: &World, machine: usize) -> Vec<(String, u64)> {
    let mut files = world.machines[machine].disk.files();
    files.retain(|(path, _)| path.contains("/raw/") && path.ends_with(".tide"));
    files.sort_by_key(|(_, len)| std::cmp::Reverse(*len));
    files
}

fn rows(world: &World, machine: usize) -> Result<usize, QueryError> {
    let answer = world.store(machine).query(&name(), Query::new())?;
    Ok(answer.collect_rows()?.rows())
}

/// A sum by day, which nodes of the pyramid answer.
fn sums(world: &World, machine: usize) -> Result<Vec<String>, QueryError> {
    let day = Every::Calendar { unit: Unit::Day, zone: None };
    let query = Query::new().every(day).aggregates([Aggregate::Sum]);
    let mut answer = world.store(machine).query(&name(), query)?;
    let fields = answer.fields().to_vec();
    let mut all = Vec::new();
    for batch in answer.by_ref() {
        all.extend(lines_of(&fields, &batch?));
    }
    Ok(all)
}

/// What is lacking is not passed over: an answer is refused or, where it needs no more than can be read, right. How many were refused.
fn refused_or_right(world: &World, machine: usize, rows_in_all: usize) -> usize {
    assert!(root(world, machine).is_err(), "nobody knows what it held");
    let other = sums(world, 1 - machine).unwrap();
    let rows = rows(world, machine).map(|rows| assert_eq!(rows, rows_in_all));
    let sums = sums(world, machine).map(|sums| assert!(sums == other));
    usize::from(rows.is_err()) + usize::from(sums.is_err())
}

fn root(world: &World, machine: usize) -> Result<(), QueryError> {
    world.store(machine).digests(&name(), Level::Root, TimeRange::ALL).map(drop)
}

fn asked_for_damage(world: &World, machine: usize) -> usize {
    let is = |event: &&Event| matches!(event, Event::Started { reason: Reason::Damage, .. });
    world.machines[machine].events.iter().filter(is).count()
}

#[test]
fn a_rotten_page_comes_back_from_a_peer() {
    let (mut refused, mut least) = (0, u64::MAX);
    for (seed, part) in [(1, 1), (2, 2), (3, 4), (4, 7)] {
        let mut world = two(seed);
        let (path, len) = files(&world, 0).remove(0);
        let all = rows(&world, 0).unwrap();
        world.machines[0].disk.flip(&path, len * part / 8, 3);
        assert_eq!(world.store(0).aside(), []);
        world.net.cut(0, 1);
        assert_eq!(world.scrub(0), 1, "{path}");
        // Nobody is there: nothing answers as if it were whole, nodes of the pyramid neither.
        refused += refused_or_right(&world, 0, all);
        world.store(0).seal().unwrap();
        refused += refused_or_right(&world, 0, all);
        assert_eq!(world.scrub(0), 0, "it is not set aside twice");
        let before = rows_sent(&world);
        let now = world.now;
        world.net.heal(now);
        come_to_rest(&mut world);
        world.run(70_000);
        assert_eq!(world.store(0).aside(), []);
        alike(&world);
        assert_eq!(rows(&world, 0).unwrap(), all);
        assert!(sums(&world, 0).unwrap() == sums(&world, 1).unwrap());
        let sent = rows_sent(&world) - before;
        // None when it is in what rows do not need; a page; all of a series when its index is hit, and of a file when its table of devices is.
        assert!(sent <= 4 * ROWS as u64, "{sent} rows for one flipped bit");
        least = if sent == 0 { least } else { least.min(sent) };
        assert!(asked_for_damage(&world, 0) > 0);
        let check = world.store(0).check(|_, _| true).unwrap();
        assert!(check.is_clean(), "{check:?}");
        let kept = world.machines[0].disk.files();
        assert!(kept.iter().any(|(path, _)| path.starts_with("quarantine/")), "{kept:?}");
    }
    assert!(refused >= 4, "{refused} answers were refused");
    assert!(least <= 1_024, "{least} rows for a page at the least");
}

/// Of a file whose directory is damaged nothing can be read, and one may be gone.
#[test]
fn a_whole_file_comes_back_from_a_peer() {
    for lost in [false, true] {
        let mut world = two(4);
        let (path, len) = files(&world, 0).remove(0);
        world.stop(0);
        match lost {
            true => world.machines[0].disk.erase(&path),
            false => world.machines[0].disk.flip(&path, len - 9, 0),
        }
        assert!(world.start(0));
        assert!(world.store(0).is_damage_suspected());
        assert_eq!(world.scrub(0), 1);
        come_to_rest(&mut world);
        world.run(70_000);
        assert_eq!(world.store(0).aside(), []);
        alike(&world);
        assert!(!world.store(0).is_damage_suspected());
    }
}

/// The power fails in between: what was set aside stays so, and is healed by the next opening.
#[test]
fn what_is_set_aside_outlives_a_crash() {
    let mut world = two(5);
    let (path, len) = files(&world, 1).remove(0);
    world.machines[1].disk.flip(&path, len / 2, 1);
    world.net.cut(0, 1);
    assert_eq!(world.scrub(1), 1);
    let aside = world.store(1).aside();
    write(&world, 0, "late", 0..10, 1.0);
    world.crash_lose_all(1);
    assert!(world.start(1));
    assert_eq!(world.store(1).aside(), aside);
    assert!(root(&world, 1).is_err());
    let now = world.now;
    world.net.heal(now);
    come_to_rest(&mut world);
    world.run(70_000);
    assert_eq!(world.store(1).aside(), []);
    alike(&world);
}

/// What was deleted meanwhile stays deleted, and what was overwritten overwritten.
#[test]
fn writes_and_deletes_go_on_beside_what_is_set_aside() {
    let mut world = two(6);
    let (path, len) = files(&world, 0).remove(0);
    world.machines[0].disk.flip(&path, len / 2, 1);
    world.net.cut(0, 1);
    assert_eq!(world.scrub(0), 1);
    write(&world, 0, "a", 0..ROWS, 7.5);
    let range = TimeRange::inclusive(START, START + 3_000 * MINUTE).unwrap();
    let delete = Delete::collection(&name()).range(range);
    world.store(1).delete(&delete).unwrap();
    world.store(0).compact().unwrap();
    assert!(root(&world, 0).is_err());
    let now = world.now;
    world.net.heal(now);
    come_to_rest(&mut world);
    world.run(70_000);
    assert_eq!(world.store(0).aside(), []);
    alike(&world);
}

/// A comparison that began before the damage was known went by rows that could be read then.
#[test]
fn only_a_comparison_that_began_later_heals() {
    let mut world = two(7);
    write(&world, 0, "a", 0..1, 3.0);
    world.net.delay = (300, 300);
    world.check(Some(0));
    world.run(400);
    let (path, len) = files(&world, 0).remove(0);
    world.machines[0].disk.flip(&path, len / 2, 1);
    assert_eq!(world.scrub(0), 1);
    let asked = world.outcomes(0).len();
    // The one that runs ends, and nothing is healed by it.
    while world.outcomes(0).len() == asked {
        world.run(10);
        assert_eq!(world.store(0).aside().len(), 1);
    }
    come_to_rest(&mut world);
    world.run(70_000);
    assert_eq!(world.store(0).aside(), []);
    alike(&world);
}
