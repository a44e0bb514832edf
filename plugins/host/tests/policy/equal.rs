//! A policy plans the same as a component as it does natively.

use std::cmp::Reverse;
use std::path::Path;
use tidelog_model::StoreId;
use tidelog_model::policy::{
    Action, Divergence, Metered, NewestFirst, PolicyError, PreferPeer, RawHours, RepairPolicy,
    Round, Step, encode_plan,
};
use tidelog_wasm::Loader;
use tidelog_wasm::testing::{Rounds, recorded};

/// Rounds out of a seed that each pair is asked for; those that were recorded come on top.
const ROUNDS: usize = 10_000;

fn equal(file: &str, native: &mut dyn RepairPolicy) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let mut component = Loader::new().load_file(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
    let mut steps = 0;
    let rounds = Rounds::new(20_270_115).take(ROUNDS).chain(recorded());
    for (number, round) in rounds.enumerate() {
        let want = native.plan(&round).unwrap();
        let found = component.plan(&round).unwrap_or_else(|e| panic!("{file}, {number}: {e}"));
        let (a, b) = (encode_plan(&found), encode_plan(&want));
        assert!(a == b, "{file}, round {number}: {found:?} and natively {want:?}");
        steps += found.len();
    }
    assert!(steps > 10 * ROUNDS, "only {steps} steps: the rounds are too small");
}

#[test]
fn metered_uplink_is_the_built_in_metered() {
    let raw = RawHours { from: 22 * 60, to: 6 * 60 };
    equal("examples/built/metered-uplink.wasm", &mut Metered { raw });
}

#[test]
fn trusted_peer_is_the_built_in_prefer_peer() {
    equal("examples/built/trusted-peer.wasm", &mut PreferPeer { store: StoreId([2; 16]) });
}

#[test]
fn newest_first_in_c_is_the_built_in_one() {
    equal("c/newest-first.wasm", &mut NewestFirst);
}

#[test]
fn freshness_budget_is_its_twin_in_the_words_of_the_model() {
    equal("examples/built/freshness-budget.wasm", &mut Freshness);
}

/// The example once more, written apart from it.
struct Freshness;

impl RepairPolicy for Freshness {
    fn name(&self) -> &str {
        "freshness"
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        let mut order: Vec<(u32, &Divergence)> = (0..).zip(&round.windows).collect();
        order.sort_by_key(|(_, one)| Reverse(one.range.last()));
        let half = if round.budget == u64::MAX { 0 } else { round.budget / 2 };
        let day_ago = round.now.saturating_sub(86_400_000);
        let mut spent = 0;
        let mut plan = Vec::new();
        for (window, one) in order {
            let bytes = one.ours.bytes.abs_diff(one.theirs.bytes);
            let bytes = bytes.saturating_add(one.ours.bytes.min(one.theirs.bytes) / 16);
            let is_fresh = (one.range.last() / 1_000_000).max(0) as u64 >= day_ago;
            let left = round.budget - spent;
            let fits = bytes <= if is_fresh { left } else { left.saturating_sub(half) };
            spent += if fits { bytes } else { 0 };
            let later = Action::Defer(round.now.saturating_add(3_600_000));
            let action = if fits { Action::Both } else { later };
            plan.push(Step { window, action, peer: round.peer });
        }
        Ok(plan)
    }
}
