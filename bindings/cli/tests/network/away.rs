//! A node that is added from nothing, and one that was away for days.

use crate::cluster::{Cluster, SEA};
use crate::rows::tide;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(40);
/// Hourly rows of three days.
const THREE_DAYS: usize = 3 * 24;
const C: usize = 2;

#[test]
fn a_node_from_nothing_and_one_that_was_away_for_three_days_catch_up() {
    let Some(mut cluster) = Cluster::new(2) else { return };
    cluster.machines.iter_mut().for_each(|machine| machine.start());
    let [honolulu, can] = tide();
    cluster.machines[0].import(SEA, &honolulu.csv(0..6_000));
    cluster.machines[1].import(SEA, &can.csv(0..6_000));
    cluster.equal("two nodes", SEA, LIMIT);
    // The others run and read of it in their configuration.
    cluster.add();
    cluster.machines[C].start();
    cluster.equal("a third from nothing", SEA, LIMIT);

    cluster.machines[C].stop();
    for day in 0..3 {
        let rows = 6_000 + day * THREE_DAYS / 3..6_000 + (day + 1) * THREE_DAYS / 3;
        cluster.machines[0].import(SEA, &honolulu.csv(rows.clone()));
        cluster.machines[1].import(SEA, &can.csv(rows));
        // As hosts do overnight: what was in the log of that day stands in files.
        cluster.machines.iter_mut().take(C).for_each(|machine| {
            machine.stop();
            machine.text(&["compact", "plant"]);
            machine.start();
        });
    }
    cluster.machines[C].start();
    cluster.equal("away for three days of rows", SEA, LIMIT);
    assert_eq!(
        cluster.rows("can1998", can.time(6_000), can.time(6_000 + THREE_DAYS)).len(),
        THREE_DAYS
    );
}
