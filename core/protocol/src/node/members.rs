//! Who may be spoken with at all: the right store, of the same kind, that was not forgotten, and goes by the same epoch.

use super::{Node, Output};
use crate::ask::Ask;
use crate::event::Event;
use crate::message::{CANONICAL, Channel, Control, Hello};
use crate::refusal::Refusal;
use alloc::format;
use alloc::vec::Vec;
use tidelog_model::{GroupEpoch, GroupId, StoreId};

fn epoch_of(epochs: &[(GroupId, GroupEpoch)], group: GroupId) -> GroupEpoch {
    let found = epochs.iter().find(|(own, _)| *own == group);
    found.map(|(_, epoch)| *epoch).unwrap_or_default()
}

impl Node {
    /// The epoch of a group in the topology.
    pub(super) fn epoch(&self, group: GroupId) -> GroupEpoch {
        self.epochs.get(&group).copied().unwrap_or_default()
    }

    /// Goes by these from now on, and parts from peers that do not.
    pub(super) fn have_epochs(&mut self, epochs: Vec<(GroupId, GroupEpoch)>) {
        self.epochs = epochs.iter().copied().collect();
        self.ask_unanswered(Ask::SeeEpochs { epochs });
        let peers: Vec<StoreId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.object_again(peer);
        }
    }

    /// Sends a peer away that has greeted, if there is anything against it by now.
    pub(super) fn object_again(&mut self, peer: StoreId) {
        let one = self.peers.get(&peer).filter(|one| one.link.is_some() && !one.refused);
        let hello = one.and_then(|one| one.hello.clone());
        if let Some(refusal) = hello.and_then(|hello| self.objection(peer, &hello)) {
            self.refuse(peer, refusal);
        }
    }

    pub(super) fn refuse(&mut self, peer: StoreId, refusal: Refusal) {
        self.send(peer, Channel::Control, Control::Goodbye(refusal.clone()).encode());
        self.part(peer, refusal);
    }

    /// The link is of no use: closes it, and says why.
    pub(super) fn part(&mut self, peer: StoreId, refusal: Refusal) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.refused = true;
        one.refusal = Some(refusal.clone());
        if let Some(link) = one.link {
            let (why, for_good) = (refusal.text.clone(), refusal.is_permanent());
            self.out.push_back(Output::Close { peer, link, why, for_good });
            self.event(Event::Refused { peer, refusal });
        }
    }

    /// Why a peer cannot be spoken with.
    pub(super) fn objection(&mut self, peer: StoreId, hello: &Hello) -> Option<Refusal> {
        if hello.store != peer {
            let why = format!("it says it is store {}, and its key is that of {peer}", hello.store);
            return Some(Refusal::permanent(why));
        }
        if hello.canonical != CANONICAL {
            let (own, other) = (CANONICAL, hello.canonical);
            return Some(Refusal::permanent(format!(
                "digests are of version {own} here and {other} there: upgrade the older store"
            )));
        }
        if hello.groups != self.me.groups {
            let (own, other) = (self.me.groups, hello.groups);
            return Some(Refusal::permanent(format!(
                "{own} groups here and {other} there: replicas are created with as many"
            )));
        }
        if self.closed.as_ref().is_some_and(|closed| closed.forgotten.contains(&peer)) {
            return Some(Refusal::forgotten(peer, self.me.store));
        }
        self.epochs_differ(peer, hello)
    }

    /// Two that go by different epochs may hold different views of who is a replica. Who comes for one comparison is no
    /// replica, and has no such view.
    fn epochs_differ(&mut self, peer: StoreId, hello: &Hello) -> Option<Refusal> {
        if self.config.once || hello.once {
            return None;
        }
        let me = self.me.store;
        let shared = self.peers.get(&peer).map(|one| one.shared.clone()).unwrap_or_default();
        let higher = |(group, epoch): &(GroupId, GroupEpoch)| *epoch > self.epoch(*group);
        let news: Vec<(GroupId, GroupEpoch)> = hello
            .epochs
            .iter()
            .filter(|one| shared.contains(&one.0) && higher(one))
            .copied()
            .collect();
        if let Some((group, theirs)) = news.first().copied() {
            let own = self.epoch(group);
            self.ask_unanswered(Ask::SeeEpochs { epochs: news });
            return Some(Refusal::epoch(group, (me, own), (peer, theirs)));
        }
        let seen = self.closed.as_ref().map(|closed| closed.epochs.clone()).unwrap_or_default();
        shared.into_iter().find_map(|group| {
            let (own, theirs) = (self.epoch(group), epoch_of(&hello.epochs, group));
            let seen = epoch_of(&seen, group);
            if own < seen {
                return Some(Refusal::epoch_sank(group, me, (own, seen)));
            }
            (theirs < own).then(|| Refusal::epoch(group, (peer, theirs), (me, own)))
        })
    }
}
