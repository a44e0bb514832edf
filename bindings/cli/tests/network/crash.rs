//! A node that is killed, and one that is restored from an old copy of its directory.

use crate::cluster::{Cluster, SEA};
use crate::machine::Machine;
use crate::note;
use crate::rows::tide;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(40);
/// A node is killed so often.
const KILLS: usize = 3;
const B: usize = 1;

#[test]
fn a_node_that_is_killed_while_it_writes_and_one_restored_from_an_old_copy_become_equal() {
    let Some(mut cluster) = Cluster::start() else { return };
    cluster.settled();
    let [honolulu, can] = tide();
    cluster.machines[0].import(SEA, &honolulu.csv(0..2_000));
    cluster.equal("before", SEA, LIMIT);
    for kill in 0..KILLS {
        let first = kill * 1_000;
        // Row by row, so that the kill falls between some that were written and some that are not yet.
        std::fs::write(cluster.machines[B].path("rows.csv"), can.csv(first..first + 1_000))
            .unwrap();
        let mut writing = writer(&cluster.machines[B]);
        std::thread::sleep(Duration::from_millis(60 + 30 * kill as u64));
        cluster.machines[B].kill();
        let _ = writing.wait();
        cluster.machines[0].import(SEA, &honolulu.csv(2_000 + first..2_500 + first));
        let here = &["query", "plant", SEA, "--device", "can1998", "--format", "csv"];
        let kept = cluster.machines[B].told(here).lines().count().saturating_sub(1);
        note(&format!("killed with {kept} rows written, {first} of them before"));
        cluster.machines[B].start();
        // What was not acknowledged is written again, as whoever writes does.
        cluster.machines[B].import(SEA, &can.csv(first..first + 1_000));
    }
    cluster.equal("killed three times in the middle of writing", SEA, LIMIT);
    for machine in &cluster.machines {
        let stalled = machine.log().matches("ms ahead").count();
        assert_eq!(stalled, 0, "restarts push the stamps of a node ahead:{}", machine.log());
    }

    // Yesterday's copy, and what was written since and sent to the others.
    cluster.machines[B].stop();
    let (plant, copy) = (cluster.machines[B].path("plant"), cluster.machines[B].path("copy"));
    copy_folder(&plant, &copy);
    cluster.machines[B].start();
    cluster.machines[B].import(SEA, &can.csv(4_000..5_000));
    cluster.machines[0].import(SEA, &honolulu.csv(6_000..6_500));
    cluster.equal("before the copy is restored", SEA, LIMIT);
    cluster.machines[B].stop();
    std::fs::remove_dir_all(&plant).unwrap();
    copy_folder(&copy, &plant);
    let old = cluster.machines[B].told(&["digest", "plant", SEA]);
    assert_ne!(old, cluster.machines[0].told(&["digest", "plant", SEA]), "the copy is not old");
    cluster.machines[B].start();
    cluster.equal("restored from an old copy", SEA, LIMIT);
    let back = cluster.rows("can1998", can.time(4_000), can.time(5_000));
    assert_eq!(back.len(), 1_000, "its own newer writes are not back");
    // And it can write.
    cluster.machines[B].import(SEA, &can.csv(5_000..5_100));
    cluster.equal("written after the copy was restored", SEA, LIMIT);
}

/// A process that has the node write `rows.csv`.
fn writer(machine: &Machine) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_tidelog"))
        .args(["import", "plant", SEA, "rows.csv", "--batch", "1"])
        .current_dir(machine.path(""))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}
