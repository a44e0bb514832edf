//! Policies change while rounds are planned, and a round is planned by one of them.

use crate::hostile::load;
use std::sync::atomic::{AtomicBool, Ordering};
use tidelog_model::policy::{Action, RepairPolicy, Round};
use tidelog_wasm::testing::{component, module};
use tidelog_wasm::{Slot, WasmPolicy, golden_round};

/// Answers with so many steps, each of which defers until the same number.
fn policy(steps: u32) -> WasmPolicy {
    let body = format!(
        "(loop $l
          (local.set $peer (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 32))))
          (i32.store (local.get $peer) (local.get $i))
          (i32.store8 offset=8 (local.get $peer) (i32.const 4))
          (i64.store offset=16 (local.get $peer) (i64.const {steps}))
          (i32.store offset=24 (local.get $peer) (i32.const 0))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {steps}))))
        (i32.store offset=4 (global.get $answer) (i32.const 65536))
        (i32.store offset=8 (global.get $answer) (i32.const {steps}))
        (global.get $answer)"
    );
    load(&component(&module("", &body))).unwrap()
}

fn round() -> Round {
    Round { now: 666, ..golden_round(50) }
}

fn generation_of(plan: &[tidelog_model::policy::Step]) -> u64 {
    let steps = plan.len() as u64;
    assert!(plan.iter().all(|step| step.action == Action::Defer(steps)), "mixed: {plan:?}");
    steps
}

#[test]
fn no_round_is_lost_or_mixed_while_policies_are_swapped() {
    let policies = [1, 2, 3].map(policy);
    let (mut slot, swap) = Slot::new(policies[0].clone());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..1_000 {
                swap.set(policies[turn % 3].clone());
                if turn % 10 == 0 {
                    swap.roll_back().unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut rounds = 0;
        while !done.load(Ordering::Acquire) || rounds < 100 {
            let steps = generation_of(&slot.plan(&round()).unwrap());
            assert!((1..=3).contains(&steps));
            rounds += 1;
        }
    });
    assert_eq!(generation_of(&slot.plan(&round()).unwrap()), 1, "the last one was policy 999 % 3");
}

#[test]
fn a_policy_that_was_swapped_can_be_rolled_back_once() {
    let (mut slot, swap) = Slot::new(policy(1));
    assert_eq!((slot.generation(), swap.roll_back()), (1, None));
    assert_eq!(swap.set(policy(2)), 2);
    assert_eq!(slot.generation(), 1, "until it is asked");
    assert_eq!(generation_of(&slot.plan(&round()).unwrap()), 2);
    assert_eq!((slot.generation(), swap.roll_back(), swap.roll_back()), (2, Some(3), None));
    assert_eq!(generation_of(&slot.plan(&round()).unwrap()), 1);
    assert_eq!(swap.policy().manifest(), slot.policy().manifest());
}
