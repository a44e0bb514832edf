//! A plan held against its round: what does not fit makes the plan void, and what has waited too long is repaired.

use super::{Action, Round, Step};
use alloc::vec;
use alloc::vec::Vec;

/// A plan that can be carried out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// In the order of repair: each window of the round once, but for those that are skipped.
    pub steps: Vec<Step>,
    /// So many of the first steps are for windows that have waited too long: they are taken whatever the budget says.
    pub overdue: usize,
}

/// Why a plan is void.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// More steps than windows.
    #[error("{steps} steps for {windows} windows: name each window once at most")]
    TooLong {
        /// Steps.
        steps: usize,
        /// Windows.
        windows: usize,
    },
    /// An index past the windows.
    #[error("step {step} names window {window} of {windows}")]
    NoWindow {
        /// The step.
        step: usize,
        /// What it names.
        window: u32,
        /// So many there are.
        windows: usize,
    },
    /// A window named before.
    #[error("step {step} names window {window}, which a step before it named")]
    Twice {
        /// The step.
        step: usize,
        /// What it names.
        window: u32,
    },
    /// An index past the peers.
    #[error("step {step} names peer {peer} of {peers}")]
    NoPeer {
        /// The step.
        step: usize,
        /// What it names.
        peer: u32,
        /// So many there are.
        peers: usize,
    },
    /// A peer that cannot be reached.
    #[error("step {step} names peer {peer}, which is not connected")]
    Down {
        /// The step.
        step: usize,
        /// What it names.
        peer: u32,
    },
}

/// Holds a plan against its round. Windows that have differed for `max_deferral` come first, in both directions and
/// with the peer of the round, whatever the plan says of them; a delay ends when that time does.
///
/// # Errors
/// See [`PlanError`]; nothing of the plan is carried out then.
pub fn check(round: &Round, plan: &[Step]) -> Result<Checked, PlanError> {
    let windows = round.windows.len();
    if plan.len() > windows {
        return Err(PlanError::TooLong { steps: plan.len(), windows });
    }
    let mut named = vec![false; windows];
    for (step, Step { window, peer, .. }) in plan.iter().copied().enumerate() {
        let Some(named) = named.get_mut(window as usize) else {
            return Err(PlanError::NoWindow { step, window, windows });
        };
        if core::mem::replace(named, true) {
            return Err(PlanError::Twice { step, window });
        }
        match round.peers.get(peer as usize) {
            None => return Err(PlanError::NoPeer { step, peer, peers: round.peers.len() }),
            Some(facts) if !facts.up => return Err(PlanError::Down { step, peer }),
            Some(_) => {}
        }
    }
    Ok(with_overdue(round, plan))
}

fn with_overdue(round: &Round, plan: &[Step]) -> Checked {
    let is_overdue = |window: &u32| {
        let one = round.windows.get(*window as usize);
        one.is_some_and(|one| one.age >= round.max_deferral)
    };
    let all = 0..round.windows.len() as u32;
    let mut steps: Vec<Step> = all
        .filter(is_overdue)
        .map(|window| Step { window, action: Action::Both, peer: round.peer })
        .collect();
    let overdue = steps.len();
    for step in plan.iter().filter(|step| !is_overdue(&step.window)) {
        let age = round.windows.get(step.window as usize).map_or(0, |one| one.age);
        let latest = round.now.saturating_add(round.max_deferral.saturating_sub(age));
        let action = match step.action {
            Action::Skip => continue,
            Action::Defer(until) => Action::Defer(until.min(latest)),
            action => action,
        };
        steps.push(Step { action, ..*step });
    }
    Checked { steps, overdue }
}
