//! Policies that need no options, or one.

use super::{Action, PolicyError, RepairPolicy, Round, Step};
use crate::StoreId;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Repairs everything at once, in order of time. What happens without a policy, and instead of one that fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Complete;

impl RepairPolicy for Complete {
    fn name(&self) -> &str {
        "complete"
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        Ok(all(round).map(|window| both(window, round.peer)).collect())
    }
}

/// Repairs everything, what is newest first: what people look at is right soonest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NewestFirst;

impl RepairPolicy for NewestFirst {
    fn name(&self) -> &str {
        "newest-first"
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        Ok(newest_first(round).into_iter().map(|window| both(window, round.peer)).collect())
    }
}

/// Repairs with one peer as long as that can be reached, and with the others what it does not know of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PreferPeer {
    /// The peer.
    pub store: StoreId,
}

impl RepairPolicy for PreferPeer {
    fn name(&self) -> &str {
        "prefer-peer"
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        let preferred = round.peers.iter().position(|one| one.store == self.store && one.up);
        let step = |window: u32| {
            let age = round.windows.get(window as usize).map_or(0, |one| one.age);
            // After an agreement with it the difference is still there: it knows nothing of it.
            let peer = preferred.filter(|at| round.peers[*at].agreed >= age);
            both(window, peer.map_or(round.peer, |at| at as u32))
        };
        Ok(all(round).map(step).collect())
    }
}

pub(super) fn all(round: &Round) -> impl Iterator<Item = u32> {
    0..round.windows.len() as u32
}

pub(super) fn both(window: u32, peer: u32) -> Step {
    Step { window, action: Action::Both, peer }
}

/// The windows of a round by their ends, the latest first; what ends together stays in order.
pub(super) fn newest_first(round: &Round) -> Vec<u32> {
    let mut order: Vec<u32> = all(round).collect();
    order.sort_by_key(|window| Reverse(round.windows[*window as usize].range.last()));
    order
}
