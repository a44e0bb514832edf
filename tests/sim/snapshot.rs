//! A machine joins with nothing and is given files: while writes go on, while either side dies, while files are merged, and
//! by one who lies. At rest both have the same.

use crate::plant::Plant;
use crate::world::World;
use std::cell::Cell;
use std::rc::Rc;
use tidelog_engine::{Batch, CollectionName, Delete, Digest, Durability, Level, Query, TimeRange};
use tidelog_protocol::snapshot::SnapshotMessage;
use tidelog_protocol::{Channel, Event, Outcome};

const MINUTE: i64 = 60_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;
const MIB: u64 = 1 << 20;
/// Rows of a device of the source, and bytes of noise in each.
const ROWS: i64 = 1500;
const NOISE: usize = 1500;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

/// Rows with noise in them, that no codec makes smaller.
fn write(world: &World, machine: usize, device: &str, minutes: std::ops::Range<i64>, noise: usize) {
    let minutes: Vec<i64> = minutes.collect();
    for some in minutes.chunks(100) {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for minute in some {
            let mut state = minute.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let letters = (0..noise).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'!' + ((state >> 40) % 90) as u8)
            });
            let text: String = letters.collect();
            batch.push(device, START + minute * MINUTE, [("note", text.as_str())]).unwrap();
        }
        world.store(machine).write(&batch, Durability::Sync).unwrap();
    }
}

/// Four devices' rows on the first machine, in one dense file per group.
fn source(seed: u64) -> World {
    source_of(seed, false)
}

fn source_of(seed: u64, once: bool) -> World {
    let mut world = World::new(2, seed);
    world.config.snapshot_bytes_min = 64 << 10;
    world.config.once = once;
    world.start(0);
    for device in ["a", "b", "c", "d"] {
        write(&world, 0, device, 0..ROWS, NOISE);
    }
    world.store(0).compact().unwrap();
    world
}

/// Faults are over, and time passes.
fn settle_world(world: &mut World) {
    world.net.heal(world.now);
    for machine in 0..2 {
        if !world.is_up(machine) {
            assert!(world.start(machine));
        }
    }
    world.run(90_000);
    world.check(None);
    world.run(10_000);
}

fn file_bytes(world: &World) -> u64 {
    world.store(0).held().iter().map(|(_, bytes)| bytes).sum()
}

fn rows(world: &World, machine: usize) -> usize {
    let answer = world.store(machine).query(&name(), Query::new());
    answer.map_or(0, |answer| answer.collect_rows().unwrap().rows())
}

fn root(world: &World, machine: usize) -> Option<Digest> {
    let rows = world.store(machine).digests(&name(), Level::Root, TimeRange::ALL).unwrap();
    rows.first().map(|row| row.digest)
}

fn check_equal(world: &World, expected: usize) {
    let events = &world.machines[1].events;
    assert_eq!((rows(world, 0), rows(world, 1)), (expected, expected), "{events:?}");
    assert!(root(world, 0).is_some() && root(world, 0) == root(world, 1));
    let left = world.store(1).check(|_, _| true).unwrap().findings;
    assert_eq!(left, []);
    assert!(!world.store(1).has_partials());
}

/// Rows that a machine took in files, and bytes of pieces that came.
fn received(world: &World, machine: usize) -> (u64, u64) {
    let of = |event: &Event| match event {
        Event::Received { transfer, .. } | Event::NotReceived { transfer, .. } => {
            (transfer.rows, transfer.received)
        }
        _ => (0, 0),
    };
    let all = world.machines[machine].events.iter().map(of);
    all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Counts the bytes of pieces that are sent, also those of a receiver that died and told nobody.
fn count_pieces(world: &mut World) -> Rc<Cell<u64>> {
    let sent = Rc::new(Cell::new(0));
    let counted = Rc::clone(&sent);
    world.net.tamper = Some(Box::new(move |_, channel, bytes| {
        if matches!(channel, Channel::Bulk(_))
            && let Ok(SnapshotMessage::Piece { bytes, .. }) = SnapshotMessage::decode(bytes)
        {
            counted.set(counted.get() + bytes.len() as u64);
        }
    }));
    sent
}

/// Runs until something of a snapshot was received, or it is over.
fn run_until_receiving(world: &mut World, bytes: u64) {
    for _ in 0..2000 {
        world.run(10);
        let far = world.machines[1].events.iter().any(|event| match event {
            Event::Receiving { transfer, .. } => transfer.bytes >= bytes && transfer.files > 0,
            Event::Received { .. } => true,
            _ => false,
        });
        if far {
            return;
        }
    }
    panic!("nothing was received: {:?}", world.machines[1].events);
}

#[test]
fn a_machine_with_nothing_is_given_files_while_writes_go_on() {
    // Whichever of the two begins the comparison.
    for seed in 0..4 {
        let mut world = source(seed);
        let bytes = file_bytes(&world);
        assert!(bytes > 6 * MIB, "{bytes}");
        let range = TimeRange::inclusive(START, START + 99 * MINUTE).unwrap();
        world.store(0).delete(&Delete::collection(&name()).range(range)).unwrap();
        world.net.delay = (20, 60);
        world.run(50);
        world.start(1);
        let mut next = ROWS;
        for step in 0..40 {
            write(&world, 0, "a", next..next + 20, 10);
            write(&world, 1, "own", step * 5..step * 5 + 5, 10);
            next += 20;
            world.run(100);
        }
        settle_world(&mut world);
        check_equal(&world, 4 * (ROWS as usize - 100) + 40 * 20 + 40 * 5);
        let (rows, pieces) = received(&world, 1);
        assert!(rows >= 4 * ROWS as u64, "seed {seed}: {rows} rows came in files");
        assert!(pieces <= bytes + MIB / 10, "seed {seed}: {pieces} bytes for {bytes}");
        let taken = world.node(1).status()[0].counts.rows_taken
            + world.node(0).status()[0].counts.rows_taken;
        assert!(taken < 1500, "seed {seed}: {taken} rows were compared one by one");
        assert_eq!(world.store(0).snapshots_kept(), 0, "the files are let go of");
        let outcomes = [world.outcomes(0), world.outcomes(1)].concat();
        assert!(outcomes.iter().all(|one| *one == Outcome::Agreed), "{outcomes:?}");
    }
}

#[test]
fn one_comparison_alone_brings_files_in_both_directions() {
    for pushed in [true, false] {
        for seed in 30..32 {
            let mut world = source_of(seed, pushed);
            world.config.once = !pushed;
            world.start(1);
            write(&world, 1, "own", 0..50, 10);
            world.run(20_000);
            check_equal(&world, 4 * ROWS as usize + 50);
            let (rows, _) = received(&world, 1);
            assert!(rows >= 4 * ROWS as u64, "pushed: {pushed}, seed {seed}: {rows}");
            let who = usize::from(!pushed);
            assert_eq!(world.outcomes(who), [Outcome::Agreed], "pushed: {pushed}, seed {seed}");
            assert_eq!(world.outcomes(1 - who), []);
        }
    }
}

#[test]
fn either_side_dies_at_any_time_and_it_goes_on_where_it_was() {
    for seed in 0..6u64 {
        let mut world = source(100 + seed);
        let bytes = file_bytes(&world);
        let sent = count_pieces(&mut world);
        world.net.delay = (50, 150);
        world.start(1);
        let mut deaths = 0;
        for _ in 0..8 {
            let run = 300 + world.net.below(1200);
            world.run(run);
            let who = world.net.below(2) as usize;
            match world.net.below(3) {
                0 => world.crash(who),
                1 => world.crash_lose_all(who),
                _ => world.stop(who),
            }
            deaths += 1;
            world.run(100);
            world.start(who);
        }
        settle_world(&mut world);
        check_equal(&world, 4 * ROWS as usize);
        // At each death what is under way is lost, and what a second brought and was not synced yet.
        let lost = deaths * 6 * MIB;
        assert!(sent.get() <= bytes + lost, "seed {seed}: {} bytes for {bytes}", sent.get());
    }
}

#[test]
fn files_that_are_merged_meanwhile_are_given_all_the_same() {
    let mut world = source(7);
    let bytes = file_bytes(&world);
    let sent = count_pieces(&mut world);
    world.net.delay = (50, 150);
    world.start(1);
    run_until_receiving(&mut world, 3 * MIB);
    write(&world, 0, "e", 0..10, 10);
    world.store(0).compact().unwrap();
    settle_world(&mut world);
    check_equal(&world, 4 * ROWS as usize + 10);
    assert!(sent.get() <= bytes + MIB / 10, "{} bytes for {bytes}", sent.get());
}

#[test]
fn the_time_that_files_still_take_is_told_once_anything_came() {
    let mut world = source(12);
    world.net.delay = (50, 150);
    world.start(1);
    run_until_receiving(&mut world, 3 * MIB);
    let half = world.node(1).status()[0].receiving.expect("it receives");
    let began = world.now;
    while world.node(1).status()[0].receiving.is_some() {
        world.run(50);
    }
    let took = world.now - began;
    let told = half.millis_left.expect("much came already");
    assert!(half.bytes < half.bytes_total && told > 0, "{half:?}");
    assert!((took / 4..took * 4 + 200).contains(&told), "{told} ms were told, it took {took}");
    let first = world.machines[1].events.iter().find_map(|event| match event {
        Event::Receiving { transfer, .. } => Some(*transfer),
        _ => None,
    });
    let first = first.expect("it was told of at its beginning");
    assert!(first.bytes_total > 0 && first.millis_left.is_none(), "{first:?}");
    settle_world(&mut world);
    check_equal(&world, 4 * ROWS as usize);
}

#[test]
fn a_source_that_lost_its_lease_offers_what_it_has_now() {
    let mut world = source(8);
    world.net.delay = (50, 150);
    world.start(1);
    run_until_receiving(&mut world, 3 * MIB);
    write(&world, 0, "e", 0..10, 10);
    world.store(0).compact().unwrap();
    world.crash_lose_all(0);
    world.start(0);
    settle_world(&mut world);
    check_equal(&world, 4 * ROWS as usize + 10);
    assert!(received(&world, 1).0 >= 3 * ROWS as u64);
}

#[test]
fn messages_that_are_lost_or_come_twice_are_asked_for_again() {
    let mut world = source(9);
    world.net.delay = (10, 100);
    (world.net.lost, world.net.twice, world.net.disordered) = (50, 50, 200);
    world.start(1);
    world.run(60_000);
    world.net.heal(world.now);
    settle_world(&mut world);
    check_equal(&world, 4 * ROWS as usize);
}

#[test]
fn a_full_disk_is_told_of_and_it_goes_on_when_there_is_room() {
    let mut world = source(10);
    world.start(1);
    let room = world.machines[1].disk.live_bytes() + 4 * MIB;
    world.machines[1].disk.set_capacity(Some(room));
    world.run(20_000);
    let full = |event: &Event| match event {
        Event::NotReceived { why, transfer, .. } => {
            why.contains("free space") && transfer.bytes > 0
        }
        _ => false,
    };
    assert!(world.machines[1].events.iter().any(full), "{:?}", world.machines[1].events);
    assert!(!world.node(1).is_ready());
    world.machines[1].disk.set_capacity(None);
    settle_world(&mut world);
    check_equal(&world, 4 * ROWS as usize);
    let bytes = file_bytes(&world);
    assert!(received(&world, 1).1 < bytes + 20 * MIB);
}

#[test]
fn who_lies_about_files_is_refused_and_nothing_of_it_stays() {
    let mut refused = 0;
    for seed in 0..8 {
        let mut world = source(20 + seed);
        world.start(1);
        write(&world, 1, "own", 0..50, 10);
        let mut lies = crate::liar::liar(seed);
        world.net.tamper = Some(Box::new(move |from, channel, bytes| {
            if matches!(channel, Channel::Bulk(_)) {
                lies(from, channel, bytes);
            }
        }));
        world.run(8_000);
        assert!(rows(&world, 1) >= 50, "its own rows");
        assert_eq!(world.store(1).check(|_, _| true).unwrap().findings, []);
        let forged = |event: &&Event| match event {
            Event::NotReceived { why, .. } => {
                why.contains("forged")
                    || why.contains("the sums of a file")
                    || why.contains("offers files")
            }
            _ => false,
        };
        refused += world.machines[1].events.iter().filter(forged).count();
        world.net.tamper = None;
        settle_world(&mut world);
        check_equal(&world, 4 * ROWS as usize + 50);
    }
    assert!(refused > 0, "no lie was told");
}

/// What was there before is lost when files take its place: the check that no acknowledged row is missing sees it.
#[test]
fn files_that_replace_what_is_there_are_seen() {
    for plant in [Plant::Nothing, Plant::ReplaceByFiles] {
        let mut world = source(11);
        world.plant = plant;
        world.start(1);
        write(&world, 1, "own", 0..50, 10);
        settle_world(&mut world);
        let whole = rows(&world, 0) == 4 * ROWS as usize + 50;
        assert_eq!(whole, plant == Plant::Nothing, "{plant:?}");
        assert_eq!(rows(&world, 0), rows(&world, 1));
    }
}
