//! What the store cannot read of its own, for a file is damaged: comparisons with those who share it bring it back.

use super::{Node, Output};
use crate::event::Reason;
use crate::peer::Peer;
use alloc::vec::Vec;
use tidelog_model::{GroupId, Horizon, Stamp, StoreId};

/// As long as something is lacking, peers are compared with so often.
const LOOK_EVERY: u64 = 60_000;

/// Rows that a store had and cannot read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lack {
    /// The group that they are of.
    pub group: GroupId,
    /// No row of them has a greater stamp.
    pub newest: Stamp,
}

/// All that is lacking. A comparison proves something only of what was known when it began: before, it may have gone by rows that
/// could be read then.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    known: Vec<(Lack, u64)>,
    /// Goes up each time something is said to be lacking.
    number: u64,
}

impl Lacks {
    /// To be kept with a comparison that begins.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Node {
    /// The host says what is lacking, all of it.
    pub(super) fn lacks_these(&mut self, lacks: Vec<Lack>) {
        let Lacks { known, number } = &mut self.lacking;
        known.retain(|(lack, _)| lacks.contains(lack));
        let new: Vec<Lack> =
            lacks.into_iter().filter(|lack| !known.iter().any(|(one, _)| one == lack)).collect();
        if new.is_empty() {
            return;
        }
        *number += 1;
        known.extend(new.into_iter().map(|lack| (lack, *number)));
        self.look_for_lacks(0);
        self.ask_closed();
    }

    /// Who shares what is lacking is compared with within so many milliseconds.
    pub(super) fn look_for_lacks(&mut self, within: u64) {
        let (at, lacking) = (self.now.monotonic + within, &self.lacking.known);
        let shares = |one: &Peer| lacking.iter().any(|(lack, _)| one.shared.contains(&lack.group));
        let up = self.peers.values_mut().filter(|one| one.is_up() && !one.is_once());
        for one in up.filter(|one| shares(one)) {
            if one.check_at.is_none_or(|(known, _)| known > at) {
                one.check_at = Some((at, Reason::Damage));
            }
        }
    }

    pub(super) fn tick_lacks(&mut self) {
        self.look_for_lacks(LOOK_EVERY);
    }

    /// A comparison agreed that began when so many lacks were known.
    pub(super) fn healed(&mut self, peer: StoreId, horizon: &Horizon, number: u64) {
        let Some(one) = self.peers.get(&peer) else { return };
        let is_healed = |(lack, since): &(Lack, u64)| {
            *since <= number && lack.newest <= horizon.least() && one.shared.contains(&lack.group)
        };
        let healed: Vec<Lack> =
            self.lacking.known.iter().filter(|one| is_healed(one)).map(|(lack, _)| *lack).collect();
        if !healed.is_empty() {
            self.lacking.known.retain(|(lack, _)| !healed.contains(lack));
            self.out.push_back(Output::Healed { peer, lacks: healed });
        }
    }
}
