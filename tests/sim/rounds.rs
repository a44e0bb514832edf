//! Rounds as policies meet them: recorded from random worlds in which policies that say anything decide. Policies of other
//! languages are held to the built-in ones with them.
//!
//! 300 stand in `tests/golden/rounds`: each behind its length, a `u32`, little-endian. With more:
//!
//! ```sh
//! TIDELOG_ROUNDS=/tmp/rounds TIDELOG_ROUNDS_COUNT=10000 cargo test --release -p tidelog-tests --test sim rounds
//! TIDELOG_ROUNDS_RECORDED=/tmp/rounds cargo test -p tidelog-wasm -p tidelog-ffi -p tidelog-wasm-ffi -- equal plan
//! ```

use crate::policy::{deciding, hostile, write};
use crate::world::World;
use std::collections::BTreeSet;
use tidelog_model::policy::{Cost, Recorded};
use tidelog_protocol::Config;

const HOUR: u64 = 3_600_000;
const DAY: i64 = 86_400_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;

/// What a world's policies were asked in three hours.
fn of_world(seed: u64) -> Vec<Recorded> {
    let machines = 2 + (seed % 3) as usize;
    let mut world = World::new(machines, 5_000 + seed);
    world.config = Config { interval: Some(HOUR / 6), pulse: 5_000, ..world.config };
    for a in 0..machines {
        (0..machines).filter(|b| *b != a).for_each(|b| world.net.cut(a, b));
    }
    for machine in 0..machines {
        assert!(world.start(machine));
        let mut told = deciding(hostile(seed * 8 + machine as u64));
        told.config.max_deferral = HOUR;
        told.config.bytes_per_day = seed.is_multiple_of(3).then_some(10_000);
        told.cost =
            if (seed + machine as u64).is_multiple_of(2) { Cost::Metered } else { Cost::Free };
        world.set_policy(machine, Some(told));
        for day in 1..=1 + seed as i64 % 6 {
            let device = format!("device{}", (machine as i64 + day) % 3);
            write(&world, machine, &device, START - day * DAY + machine as i64, 1 + day * 5);
        }
    }
    let now = world.now;
    world.net.heal(now);
    world.run(3 * HOUR);
    let policies = world.machines.iter_mut().filter_map(|machine| machine.policy.as_mut());
    policies.flat_map(|deciding| std::mem::take(&mut deciding.rounds)).collect()
}

#[test]
fn rounds_are_recorded_as_they_are_met() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let count: usize = number("TIDELOG_ROUNDS_COUNT").unwrap_or(60);
    let mut bytes = Vec::new();
    let (mut seen, mut recorded) = (BTreeSet::new(), 0);
    for seed in 0.. {
        for one in of_world(seed) {
            let round = &one.round;
            seen.extend([
                ("several peers", round.peers.len() > 1),
                ("many windows", round.windows.len() > 4),
                ("a budget", round.budget != u64::MAX),
                ("a metered link", round.peers.iter().any(|peer| peer.cost == Cost::Metered)),
                ("windows that wait", round.windows.iter().any(|window| window.age > 0)),
                ("borrowed rollups", round.windows.iter().any(|window| window.borrowed)),
            ]);
            let encoded = one.encode();
            assert_eq!(Recorded::decode(&encoded).as_ref(), Ok(&one));
            bytes.extend_from_slice(&u32::try_from(encoded.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(&encoded);
            recorded += 1;
            if recorded == count {
                break;
            }
        }
        if recorded == count {
            break;
        }
    }
    for what in ["several peers", "many windows", "a budget", "a metered link", "windows that wait"]
    {
        assert!(seen.contains(&(what, true)), "never met: {what}");
    }
    if let Some(path) = std::env::var_os("TIDELOG_ROUNDS") {
        std::fs::write(path, bytes).unwrap();
    }
}
