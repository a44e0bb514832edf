//! Many rows on both sides of a partition, and comparisons beside writes that go on. A few seconds with few rows unless
//! `TIDELOG_LONG=1`, which wants a release build.

use crate::cluster::{Cluster, sum};
use crate::machine::Machine;
use crate::{is_long, note};
use serde_json::Value;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const METER: &str = "load.meter";
/// Rows of one second are of so many devices.
const DEVICES: u64 = 1_000;
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Each second of some has rows written to a machine; what a second's took at most.
fn ingest(machine: &Machine, from: u64, seconds: u64, rows: u64) -> Duration {
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    for second in from..from + seconds {
        let due = Duration::from_secs(second - from);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let mut csv = String::from("device,timestamp_ns,level\n");
        for row in 0..rows {
            let (device, tick) = (row % DEVICES, second * rows / DEVICES + row / DEVICES);
            let time = 1_795_132_800_000_000_000 + tick * 10_000_000;
            let value = (row * 31 + second * 7) % 9_973;
            let _ = writeln!(csv, "{}_{device},{time},{value}.5", machine.name);
        }
        let writing = Instant::now();
        machine.import(METER, &csv);
        longest = longest.max(writing.elapsed());
    }
    longest
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Waits until every node has everything that any wrote before a moment, by what it says.
fn in_step(cluster: &Cluster, since: u64, limit: Duration) -> Duration {
    let begun = Instant::now();
    let has_all = |machine: &Machine| {
        let status = machine.status();
        let peers = status["peers"].as_array().cloned().unwrap_or_default();
        let has = |peer: &Value| peer["known_ms"].as_u64().is_some_and(|known| known >= since);
        peers.len() == 2 && peers.iter().all(has)
    };
    while !cluster.machines.iter().all(has_all) {
        assert!(begun.elapsed() < limit, "not in step after {limit:?}\n{}", cluster.told());
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

#[test]
fn what_was_written_fast_on_both_sides_of_a_partition_is_soon_on_all() {
    // Asked is 10 s after the long one. How long it takes is up to the cores there are, so it is told and not held: 18 M rows
    // take 18 s of work on the three nodes.
    let (seconds, rows, limit) = if is_long() { (60, 100_000, 60) } else { (4, 2_000, 10) };
    let Some(cluster) = Cluster::start() else { return };
    cluster.settled();
    cluster.stamps_are_of_now();
    for (from, at) in [(A, C), (B, C), (C, A), (C, B)] {
        cluster.net.cut(from, at);
    }
    let sent = || -> u64 {
        cluster.machines.iter().map(|machine| sum(&machine.status(), "bytes_sent")).sum()
    };
    let before = sent();
    let longest = std::thread::scope(|scope| {
        let write = |machine: usize| {
            let machine = &cluster.machines[machine];
            scope.spawn(move || ingest(machine, 0, seconds, rows))
        };
        let writing = [write(A), write(C)];
        writing.map(|one| one.join().unwrap())
    });
    let worked = || cluster.machines.iter().map(Machine::worked).sum::<f64>();
    let (healed, worked_before) = (now_ms(), worked());
    cluster.net.heal();
    let took = in_step(&cluster, healed, Duration::from_secs(120));
    note(&format!(
        "partition of {seconds} s with {rows} rows/s on each side (the slowest second took {longest:.2?}): in step {:.1} s after it, with {:.1} s of work by the nodes; {} bytes sent in all",
        took.as_secs_f64(),
        worked() - worked_before,
        sent() - before
    ));
    // What was said holds at once: nothing is waited for here but the command.
    cluster.equal(
        "after the partition",
        METER,
        Duration::from_secs(if is_long() { 60 } else { 5 }),
    );
    assert!(took < Duration::from_secs(limit), "in step only after {took:?}\n{}", cluster.told());
}

#[test]
fn comparisons_beside_writes_stream_no_row() {
    let (seconds, rows) = if is_long() { (600, 10_000) } else { (15, 4_000) };
    let Some(cluster) = Cluster::start() else { return };
    cluster.settled();
    cluster.stamps_are_of_now();
    let (checks, agreed) = std::thread::scope(|scope| {
        let write = |machine: usize| {
            let machine = &cluster.machines[machine];
            scope.spawn(move || ingest(machine, 0, seconds, rows))
        };
        let writing = [write(A), write(C)];
        let (mut checks, mut agreed) = (0, 0);
        while writing.iter().any(|one| !one.is_finished()) {
            let begun = Instant::now();
            for machine in &cluster.machines {
                for line in machine.told(&["repair", "plant", "--json"]).lines() {
                    let report: Value = serde_json::from_str(line).unwrap();
                    let rows = (&report["rows_sent"], &report["rows_taken"]);
                    assert_eq!(rows, (&0.into(), &0.into()), "{}: {report}", machine.name);
                    checks += 1;
                    agreed += u64::from(report["outcome"] == "agreed");
                }
            }
            std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        }
        writing.into_iter().for_each(|one| {
            one.join().unwrap();
        });
        (checks, agreed)
    });
    note(&format!(
        "{checks} comparisons beside {rows} rows/s on each of two for {seconds} s: no row streamed, {agreed} agreed"
    ));
    assert!(agreed > 0 && agreed * 10 >= checks * 9, "only {agreed} of {checks} agreed");
    in_step(&cluster, now_ms(), Duration::from_secs(30));
    cluster.equal("after the writes", METER, Duration::from_secs(if is_long() { 120 } else { 5 }));
}
