//! Rounds for policies in C and C++, with what the same policies in Rust plan for them.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tidelog_model::policy::{
    Action, Checked, Complete, Cost, NewestFirst, Recorded, RepairPolicy, Round, Side, Step, check,
    encode_plan,
};

/// The rounds that components are held to the built-in policies with.
#[expect(unreachable_pub, reason = "another crate has it, too, and shows it to its tests")]
#[path = "../../../plugins/host/src/testing/rounds.rs"]
pub(crate) mod seeded;

/// Out of a seed; those that were recorded come on top.
const ROUNDS: usize = 10_000;

/// Writes `first` and `rounds` into the folder of a host: entries of a `u32` length, little-endian, and as many bytes.
pub(crate) fn write(folder: &Path) {
    static ALL: OnceLock<Vec<u8>> = OnceLock::new();
    let mut first = Vec::new();
    put(&mut first, &recorded(small()));
    fs::write(folder.join("first"), first).unwrap();
    fs::write(folder.join("rounds"), ALL.get_or_init(all)).unwrap();
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    to.extend_from_slice(bytes);
}

fn recorded(round: Round) -> Vec<u8> {
    Recorded { round, plan: Vec::new() }.encode()
}

/// Each round, then for each of two policies its plan and what of it is carried out.
fn all() -> Vec<u8> {
    let mut bytes = Vec::new();
    for round in seeded::Rounds::new(20_270_115).take(ROUNDS).chain(seeded::recorded()) {
        put(&mut bytes, &recorded(round.clone()));
        for plan in [NewestFirst.plan(&round).unwrap(), echo(&round)] {
            put(&mut bytes, &encode_plan(&plan));
            // A plan that does not fit is none, and everything is repaired.
            let carried_out = check(&round, &plan).map(|Checked { steps, .. }| steps);
            let carried_out = carried_out.unwrap_or_else(|_| Complete.plan(&round).unwrap());
            put(&mut bytes, &encode_plan(&carried_out));
        }
    }
    bytes
}

/// Three windows, a peer that is up and one that is not.
fn small() -> Round {
    let seeded =
        seeded::Rounds::new(7).find(|round| round.windows.len() >= 3 && round.peers.len() >= 2);
    let mut round = seeded.unwrap();
    round.windows.truncate(3);
    round.peers.truncate(2);
    (round.peers[0].up, round.peers[1].up, round.peer) = (true, false, 0);
    round.max_deferral = u64::MAX;
    round.windows.iter_mut().for_each(|window| window.age = 0);
    round
}

/// All that a policy is told, in its plan: the twin of `echo` in `policy.h`.
fn echo(round: &Round) -> Vec<Step> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |numbers: &[u64]| {
        for number in numbers {
            hash = (hash ^ number).wrapping_mul(0x100_0000_01b3);
        }
        hash
    };
    mix(&[round.now, round.peer.into(), round.budget, round.max_deferral]);
    for peer in &round.peers {
        mix(&peer.store.0.map(u64::from));
        let metered = u64::from(peer.cost == Cost::Metered);
        mix(&[peer.up.into(), metered, peer.rtt.into(), peer.lag, peer.agreed]);
    }
    let mut plan = Vec::new();
    for (at, one) in (0..).zip(&round.windows) {
        let name = one.collection.to_string();
        mix(&name.bytes().map(u64::from).collect::<Vec<_>>());
        mix(&[one.group.0.into(), one.devices.into()]);
        mix(&[one.range.first() as u64, one.range.last() as u64]);
        for Side { rows, bytes } in [one.ours, one.theirs] {
            mix(&[rows, bytes]);
        }
        let hash = mix(&[one.age, one.borrowed.into()]);
        let action = match hash % 8 {
            1 => Action::Pull,
            3 => Action::Push,
            5 => Action::Skip,
            7 => Action::Rollups,
            _ => Action::Defer(hash),
        };
        let peer = at % u32::try_from(round.peers.len()).unwrap();
        plan.push(Step { window: at, action, peer });
    }
    plan
}
