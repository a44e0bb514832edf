//! Packets that do not arrive: between two sides, in one direction, at random. Both sides go on writing.

use crate::cluster::{Cluster, SEA};
use crate::note;
use crate::rows::tide;
use std::time::{Duration, Instant};

/// Longer than a peer is waited for that says nothing (15 s): links end, and have to be made anew.
const PARTED: Duration = Duration::from_secs(18);
/// Shorter than that: the links outlive it.
const ONE_WAY: Duration = Duration::from_secs(6);
/// Between two writes.
const PACE: Duration = Duration::from_millis(500);
/// What takes longer after a fault is over is no repair. Measured: see benches/SYNC.md.
const LIMIT: Duration = Duration::from_secs(40);

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

#[test]
fn what_both_sides_wrote_is_on_both_after_a_partition_a_one_way_loss_and_random_loss() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.settled();
    let [honolulu, can] = tide();
    // Rows 3,500 to 3,600 come late.
    cluster.machines[A].import(SEA, &honolulu.csv(0..3_500));
    cluster.machines[A].import(SEA, &honolulu.csv(3_600..4_000));
    cluster.machines[C].import(SEA, &can.csv(0..1_000));
    cluster.equal("before", SEA, LIMIT);
    cluster.stamps_are_of_now();

    for (from, at) in [(A, C), (B, C), (C, A), (C, B)] {
        cluster.net.cut(from, at);
    }
    let begun = Instant::now();
    let range = |from: usize, to: usize| [honolulu.time(from), honolulu.time(to)];
    let delete = |machine: usize, range: [i64; 2]| {
        let [from, to] = range.map(|time| time.to_string());
        let part = ["--device", "honolulu2010", "--from", &from, "--to", &to];
        cluster.machines[machine].text(&[&["delete", "plant", SEA][..], &part].concat());
    };
    // Late rows and corrections on one side, a delete and a later correction on the other.
    cluster.machines[C].import(SEA, &honolulu.csv(3_500..3_600));
    cluster.machines[C].import(SEA, &honolulu.corrected(100..120, "1.5"));
    cluster.machines[A].import(SEA, &honolulu.corrected(110..130, "2.5"));
    delete(B, range(200, 300));
    cluster.machines[C].import(SEA, &honolulu.corrected(250..251, "3.5"));
    delete(C, range(600, 700));
    let mut written = 0;
    while begun.elapsed() < PARTED {
        cluster.machines[A].import(SEA, &honolulu.csv(4_000 + written * 20..4_020 + written * 20));
        cluster.machines[C].import(SEA, &can.csv(1_000 + written * 20..1_020 + written * 20));
        written += 1;
        std::thread::sleep(PACE);
    }
    let apart = [A, C].map(|machine| cluster.machines[machine].told(&["digest", "plant", SEA]));
    assert_ne!(apart[0], apart[1], "nothing was held back: the partition is none");
    cluster.net.heal();
    cluster.equal("partition of 18 s", SEA, LIMIT);
    let values = |from: usize, to: usize| -> Vec<String> {
        let [from, to] = range(from, to);
        let rows = cluster.rows("honolulu2010", from, to);
        rows.iter().map(|row| row.rsplit_once(',').unwrap().1.to_owned()).collect()
    };
    assert_eq!(values(100, 130), [["1.5"; 10], ["2.5"; 10], ["2.5"; 10]].concat());
    assert_eq!(values(200, 300), ["3.5"], "what was written after a delete stays");
    assert_eq!(values(600, 700).len(), 0);
    assert_eq!(values(3_500, 3_600).len(), 100);
    assert_eq!(values(4_000, 4_000 + written * 20).len(), written * 20);

    one_way(&cluster);
    at_random(&cluster);
}

/// What c sends does not arrive at a, which c hears.
fn one_way(cluster: &Cluster) {
    let [honolulu, can] = tide();
    cluster.net.cut(C, A);
    let begun = Instant::now();
    let mut written = 0;
    while begun.elapsed() < ONE_WAY {
        let rows = |first: usize| first + written * 20..first + 20 + written * 20;
        cluster.machines[A].import(SEA, &honolulu.csv(rows(6_000)));
        cluster.machines[C].import(SEA, &can.csv(rows(3_000)));
        written += 1;
        std::thread::sleep(PACE);
    }
    cluster.net.heal();
    cluster.equal("one-way loss of 6 s", SEA, LIMIT);
}

/// A fifth of all packets is lost, and stays so until all are equal.
fn at_random(cluster: &Cluster) {
    let [honolulu, can] = tide();
    (0..3).for_each(|machine| cluster.net.lose(machine, 20));
    for part in 0..10 {
        let rows = |first: usize| first + part * 150..first + 150 + part * 150;
        cluster.machines[A].import(SEA, &honolulu.csv(rows(7_000)));
        cluster.machines[C].import(SEA, &can.csv(rows(7_000)));
    }
    let links = cluster.links();
    cluster.equal("20 % random loss", SEA, LIMIT);
    cluster.net.heal();
    note(&format!(
        "linked {} times in all, {} while packets were lost",
        cluster.links(),
        cluster.links() - links
    ));
}
