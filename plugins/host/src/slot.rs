//! A place for a policy that can be swapped while rounds are planned.

use crate::policy::WasmPolicy;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_model::policy::{PolicyError, RepairPolicy, Round, Step};

/// Asks the policy that its [`Swap`] says. A round that has begun is planned by the policy that it began with.
#[derive(Debug)]
pub struct Slot {
    /// Who planned last, or plans now.
    serving: WasmPolicy,
    generation: u64,
    shared: Arc<Mutex<Generations>>,
}

/// Says which policy a [`Slot`] asks. Every clone is for the same slot; from any thread.
#[derive(Clone, Debug)]
pub struct Swap {
    shared: Arc<Mutex<Generations>>,
}

#[derive(Debug)]
struct Generations {
    current: WasmPolicy,
    before: Option<WasmPolicy>,
    /// Counts what was set.
    number: u64,
}

impl Slot {
    /// A slot, generation 1, and what swaps its policy.
    #[must_use]
    pub fn new(policy: WasmPolicy) -> (Slot, Swap) {
        let current = policy.clone();
        let shared = Arc::new(Mutex::new(Generations { current, before: None, number: 1 }));
        let swap = Swap { shared: Arc::clone(&shared) };
        (Slot { serving: policy, generation: 1, shared }, swap)
    }

    /// The generation that planned last.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The policy that planned last, with its log.
    #[must_use]
    pub fn policy(&self) -> &WasmPolicy {
        &self.serving
    }
}

impl RepairPolicy for Slot {
    fn name(&self) -> &str {
        self.serving.name()
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        {
            let shared = lock(&self.shared);
            if shared.number != self.generation {
                self.generation = shared.number;
                self.serving = shared.current.clone();
            }
        }
        self.serving.plan(round)
    }
}

impl Swap {
    /// From the next round on this policy is asked. Its generation. Costs no more than a pointer: it was loaded before.
    pub fn set(&self, policy: WasmPolicy) -> u64 {
        let mut shared = lock(&self.shared);
        shared.before = Some(std::mem::replace(&mut shared.current, policy));
        shared.number += 1;
        shared.number
    }

    /// From the next round on the policy before is asked again, as a new generation. `None`: there was none; or it was
    /// rolled back already.
    pub fn roll_back(&self) -> Option<u64> {
        let mut shared = lock(&self.shared);
        shared.current = shared.before.take()?;
        shared.number += 1;
        Some(shared.number)
    }

    /// The policy that is asked from the next round on.
    #[must_use]
    pub fn policy(&self) -> WasmPolicy {
        lock(&self.shared).current.clone()
    }
}

/// Nothing panics while it is held.
fn lock(shared: &Mutex<Generations>) -> MutexGuard<'_, Generations> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
