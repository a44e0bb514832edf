//! A link of 1 Mbit/s that is full for longer than a silent peer is waited for: what keeps a link alive gets through.

use crate::cluster::{Cluster, sum};
use crate::note;
use crate::rows::wheels;
use std::time::{Duration, Instant};

const WHEEL: &str = "car.wheel";
/// How often the series is written, each time as another device.
const COPIES: usize = 24;
const C: usize = 2;

#[test]
fn a_full_link_of_1_mbit_stays_linked_and_carries_little_more_than_what_was_written() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.settled();
    let series = wheels();
    cluster.machines[0].import(WHEEL, &series.renamed("car_0"));
    cluster.equal("before", WHEEL, Duration::from_secs(30));
    cluster.net.limit(C, "1mbit");
    let (links, wire) = (cluster.links(), cluster.net.wire_bytes(0) + cluster.net.wire_bytes(1));
    let before = sum(&cluster.machines[0].status(), "bytes_sent");
    let begun = Instant::now();
    for copy in 1..=COPIES {
        cluster.machines[0].import(WHEEL, &series.renamed(&format!("car_{copy}")));
    }
    let written = begun.elapsed();
    cluster.equal("1 Mbit/s", WHEEL, Duration::from_secs(120));
    let took = begun.elapsed();
    // To b and to c.
    let sent = sum(&cluster.machines[0].status(), "bytes_sent") - before;
    let wire = cluster.net.wire_bytes(0) + cluster.net.wire_bytes(1) - wire;
    let raw = (2 * COPIES * series.len() * 5 * 8) as u64;
    note(&format!(
        "1 Mbit/s: {} rows written in {:.1} s, equal after {:.1} s; {sent} bytes of messages to two peers, {wire} on the wire, {raw} as plain numbers",
        COPIES * series.len(),
        written.as_secs_f64(),
        took.as_secs_f64()
    ));
    assert_eq!(cluster.links(), links, "links ended while the link was full\n{}", cluster.told());
    assert!(sent < raw + raw / 10, "{sent} bytes of messages for {raw}");
    assert!(wire < sent + sent / 4 + 500_000, "{wire} bytes on the wire for {sent}");
    assert!(took > Duration::from_secs(15), "the link was not full long enough to tell");
}
