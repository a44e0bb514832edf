//! What comparisons cost, in bytes and turns. Neither depends on the machine, so they are bounds; `--nocapture` shows them.

use crate::rest::{alike, come_to_rest};
use crate::world::World;
use std::cell::RefCell;
use std::rc::Rc;
use tidelog_engine::{Batch, Durability};
use tidelog_protocol::{Channel, Config, Event};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_699_920_000_000_000_000;
const DEVICES: i64 = 40;
/// Of each device: a row each ten seconds, for six hours.
const ROWS: i64 = 2160;

/// Rows of all devices together, by number: spread over devices and hours.
fn write(world: &World, rows: impl Iterator<Item = i64>, value: f64) {
    let rows: Vec<i64> = rows.collect();
    for part in rows.chunks(2000) {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for number in part {
            let (device, at) = (number % DEVICES, number / DEVICES % ROWS);
            let name = format!("d{device}");
            batch.push(&name, START + at * 10 * SECOND, [("level", value + at as f64)]).unwrap();
        }
        world.store(0).write(&batch, Durability::Sync).unwrap();
    }
}

#[test]
fn comparing_costs_no_more_bytes_and_turns_than_this() {
    // Rows that differ; bytes both ways, and turns, that finding and sending them may take.
    const BOUNDS: [(i64, u64, u32); 4] =
        [(0, 300, 0), (1, 6_000, 3), (100, 45_000, 3), (10_000, 1_000_000, 4)];
    let mut world = World::new(2, 1);
    // The second comparison of a log that began anew comes long after what is counted.
    world.config = Config { interval: None, clock_ahead: 1 << 40, ..Config::default() };
    (0..2).for_each(|machine| assert!(world.start(machine)));
    write(&world, 0..DEVICES * ROWS, 0.0);
    come_to_rest(&mut world);
    for (round, (differing, bytes_max, turns_max)) in BOUNDS.into_iter().enumerate() {
        world.store(0).flush().unwrap();
        world.store(0).seal().unwrap();
        world.stop(1);
        let numbers = (0..differing).map(|at| at * (DEVICES * ROWS / differing.max(1)) + at % 37);
        write(&world, numbers, 1000.0 * (round as f64 + 1.0));
        // A log that begins anew says nothing of what was before: it has to be found.
        world.stop(0);
        (0..2).for_each(|machine| assert!(world.start(machine)));
        // Of the first comparison: another one may look at what was beyond its horizon.
        let bytes = Rc::new(RefCell::new((0u64, 0u64)));
        let own = Rc::clone(&bytes);
        let mut first = None;
        world.net.tamper = Some(Box::new(move |_, channel, message| {
            if let Channel::Session(number) = channel
                && *first.get_or_insert(number) == number
            {
                let mut own = own.borrow_mut();
                *own = (own.0 + 1, own.1 + message.len() as u64);
            }
        }));
        world.machines.iter_mut().for_each(|one| one.events.clear());
        come_to_rest(&mut world);
        alike(&world);
        let events = world.machines.iter().flat_map(|one| &one.events);
        let reports = events.filter_map(|event| match event {
            Event::Completed { report, .. } => Some(report.clone()),
            _ => None,
        });
        let (messages, bytes) = *bytes.borrow();
        assert!(bytes <= bytes_max, "{differing} rows that differ cost {bytes} B");
        let mut compared = 0;
        for report in reports {
            let (turns, counts) = (report.turns, report.counts);
            compared += 1;
            assert!(turns <= turns_max, "{differing} rows that differ took {turns} turns");
            // What differs goes, and nothing else.
            let moved = (counts.rows_sent + counts.rows_taken, counts.rows_sent);
            let again = compared > 1 && moved.0 == 0;
            assert!(
                again || moved.0 == differing as u64 && [0, moved.0].contains(&moved.1),
                "{counts:?}"
            );
            note(&format!(
                "{differing} rows differ of {}: {messages} messages, {turns} turns, {bytes} bytes both ways, of them rows: {} sent, {} taken; {} ms",
                DEVICES * ROWS,
                counts.rows_sent,
                counts.rows_taken,
                report.millis
            ));
        }
        assert!(compared > 0, "nothing was compared");
    }
}

#[expect(clippy::print_stderr, reason = "figures of a run")]
fn note(text: &str) {
    eprintln!("{text}");
}
