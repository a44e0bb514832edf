//! Settled nodes that differ, and rollups that are borrowed.

use super::{Look, Stepper};
use crate::compare::item::{Item, LeftOut, Scope};
use crate::compare::nodes::{Nodes, Place, SettledClaim};
use crate::compare::source::Source;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use tidelog_model::{Level, TimeRange};

/// So many settled nodes are claimed at once.
const CLAIMS_AT_ONCE: usize = 4_096;

impl<S: Source> Stepper<'_, S> {
    pub(super) fn nodes(&mut self, scope: Scope, nodes: Nodes) -> Result<(), S::Error> {
        if !self.source.shares(&scope) {
            return Ok(());
        }
        match nodes {
            Nodes::Claim { after } => self.claim_settled(scope, after),
            Nodes::Settled { after, until, entries } => {
                self.settled(scope, after, until.as_ref(), entries)
            }
            Nodes::Want(places) => self.give_settled(scope, &places),
            Nodes::Given(given) => {
                let (taken, left_out) = self.source.take_settled(&scope, &given)?;
                self.step.counts.nodes_taken += taken;
                if left_out > 0 {
                    // Cut off here later than there, or not at all.
                    self.say(Item::LeftOut { scope, why: LeftOut::Settled, windows: left_out });
                }
                Ok(())
            }
            Nodes::Borrow { level, range, after } => self.lend(scope, level, range, after),
            Nodes::Lent(rollups) => {
                self.step.counts.nodes_borrowed += self.source.borrow(&scope, &rollups)?;
                Ok(())
            }
        }
    }

    /// Says what is settled behind a place, and goes on where there is more than is said at once.
    pub(super) fn claim_settled(
        &mut self,
        scope: Scope,
        after: Option<Place>,
    ) -> Result<(), S::Error> {
        let (entries, more) = self.source.settled(&scope, after.as_ref(), CLAIMS_AT_ONCE)?;
        let until = entries.last().map(|entry| entry.place.clone()).filter(|_| more);
        if let Some(until) = &until {
            let nodes = Nodes::Claim { after: Some(until.clone()) };
            self.step.rest.push_back(Item::Nodes { scope: scope.clone(), nodes });
        }
        self.say(Item::Nodes { scope, nodes: Nodes::Settled { after, until, entries } });
        Ok(())
    }

    /// Holds what the other side has settled against what is here.
    fn settled(
        &mut self,
        scope: Scope,
        after: Option<Place>,
        until: Option<&Place>,
        theirs: Vec<SettledClaim>,
    ) -> Result<(), S::Error> {
        let mut ours: BTreeMap<Place, (u64, u64)> = BTreeMap::new();
        let mut behind = after;
        loop {
            let (own, more) = self.source.settled(&scope, behind.as_ref(), CLAIMS_AT_ONCE)?;
            behind = own.last().map(|claim| claim.place.clone());
            let past = behind.as_ref().is_some_and(|last| until.is_some_and(|until| last >= until));
            let inside = |claim: &SettledClaim| until.is_none_or(|until| claim.place <= *until);
            let own = own.into_iter().filter(inside);
            ours.extend(own.map(|claim| (claim.place, (claim.rows, claim.digest))));
            if !more || past {
                break;
            }
        }
        let theirs: BTreeMap<Place, (u64, u64)> =
            theirs.into_iter().map(|claim| (claim.place, (claim.rows, claim.digest))).collect();
        self.step.counts.digests += (ours.len() + theirs.len()) as u64;
        let (mut want, mut give) = (Vec::new(), Vec::new());
        let places: BTreeSet<&Place> = ours.keys().chain(theirs.keys()).collect();
        for place in places {
            match ours.get(place).cmp(&theirs.get(place)) {
                core::cmp::Ordering::Equal => continue,
                core::cmp::Ordering::Less => want.push(place.clone()),
                core::cmp::Ordering::Greater => give.push(place.clone()),
            }
            self.step.counts.leaves += 1;
        }
        if self.look == Look::Tell {
            let windows = (want.len() + give.len()) as u64;
            if windows > 0 {
                self.say(Item::LeftOut { scope, why: LeftOut::Settled, windows });
            }
            return Ok(());
        }
        if !give.is_empty() {
            let (scope, nodes) = (scope.clone(), Nodes::Want(give));
            self.step.rest.push_back(Item::Nodes { scope, nodes });
        }
        if !want.is_empty() {
            self.say(Item::Nodes { scope, nodes: Nodes::Want(want) });
        }
        Ok(())
    }

    fn give_settled(&mut self, scope: Scope, places: &[Place]) -> Result<(), S::Error> {
        let room = self.bytes_max.saturating_sub(self.bytes);
        let (nodes, done) = self.source.settled_nodes(&scope, places, room)?;
        let rest = places.get(done.max(1)..).unwrap_or_default();
        if !rest.is_empty() {
            let (scope, nodes) = (scope.clone(), Nodes::Want(rest.to_vec()));
            self.step.rest.push_front(Item::Nodes { scope, nodes });
        }
        if !nodes.is_empty() {
            self.step.counts.nodes_sent += nodes.len() as u64;
            self.say(Item::Nodes { scope, nodes: Nodes::Given(nodes) });
        }
        Ok(())
    }

    fn lend(
        &mut self,
        scope: Scope,
        level: Level,
        range: TimeRange,
        after: Option<Place>,
    ) -> Result<(), S::Error> {
        let room = self.bytes_max.saturating_sub(self.bytes);
        let (rollups, more) = self.source.lend(&scope, (level, range), after.as_ref(), room)?;
        if more.is_some() {
            let nodes = Nodes::Borrow { level, range, after: more };
            self.step.rest.push_front(Item::Nodes { scope: scope.clone(), nodes });
        }
        if !rollups.is_empty() {
            self.step.counts.nodes_sent += rollups.len() as u64;
            self.say(Item::Nodes { scope, nodes: Nodes::Lent(rollups) });
        }
        Ok(())
    }
}
