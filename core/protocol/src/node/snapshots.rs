//! Snapshots with peers: what is received before a comparison, one at a time, and what is given.

use super::{For, Node, Output};
use crate::ask::{Answer, Ask, Failure, FailureKind};
use crate::event::{Event, Reason};
use crate::message::{Channel, SessionMessage};
use crate::snapshot::{Act, End, Giver, Receiver, SnapshotMessage, Transfer, Turn, held, lacks};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::StoreId;

/// A peer may be given so many at once: those of links that broke are over when it is linked again.
const GIVERS_MAX: usize = 2;

/// What a snapshot comes before.
#[derive(Debug)]
pub(super) enum Then {
    /// A comparison that this side begins.
    Begin(Reason),
    /// One that the peer has begun.
    Answer(u32, SessionMessage),
}

/// A snapshot that is being received.
#[derive(Debug)]
pub(super) struct Fetch {
    peer: StoreId,
    number: u32,
    receiver: Receiver,
    then: Vec<Then>,
}

impl Node {
    /// Has this store next to nothing of a group of which the peer has much?
    pub(super) fn lacks(&self, peer: StoreId) -> bool {
        let (Some(one), Some(closed)) = (self.peers.get(&peer), &self.closed) else { return false };
        // Files come whole, whatever a policy says.
        if self.policy.config.is_some() {
            return false;
        }
        let theirs = one.hello.as_ref().map_or(0, |hello| hello.held);
        !one.no_snapshot
            && closed.takes_files
            && theirs >= self.config.snapshot_bytes_min
            && lacks(&closed.held, &one.shared, theirs, self.me.groups)
    }

    /// How far the snapshot of a peer has come, if there is one.
    pub(super) fn receiving_from(&self, peer: StoreId) -> Option<Transfer> {
        let fetch = self.fetch.as_ref().filter(|fetch| fetch.peer == peer)?;
        Some(fetch.receiver.transfer)
    }

    pub(super) fn is_receiving_from(&self, peer: StoreId) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.peer == peer)
    }

    /// Receives what the peer has before a comparison with it goes on.
    pub(super) fn receive_before(&mut self, peer: StoreId, then: Then) {
        if let Some(fetch) = &mut self.fetch {
            if fetch.peer == peer {
                fetch.then.push(then);
                return;
            }
            let why = "another peer is giving this store its files: compared after that";
            self.put_off(peer, vec![then], why);
            return;
        }
        let now = self.now.monotonic;
        let Some(closed) = &self.closed else { return };
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let number = one.next_session;
        one.next_session = one.next_session.wrapping_add(2);
        let (shared, held) = (one.shared.clone(), held(&closed.held, &one.shared));
        let (receiver, acts) = Receiver::new(peer, shared, held, now);
        self.fetch = Some(Fetch { peer, number, receiver, then: vec![then] });
        self.receive(acts);
    }

    /// A message of a snapshot. Numbers tell whose it is, as those of comparisons do.
    pub(super) fn snapshot(&mut self, peer: StoreId, number: u32, message: SnapshotMessage) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.is_up()) else { return };
        if number % 2 == u32::from(self.me.store > peer) {
            let own = |fetch: &&mut Fetch| fetch.peer == peer && fetch.number == number;
            if let Some(fetch) = self.fetch.as_mut().filter(own) {
                let acts = fetch.receiver.hear(message, now);
                self.receive(acts);
            }
            return;
        }
        if let Some((_, session)) = &mut one.session {
            // It waits for the peer to have what it receives first.
            session.active = now;
        }
        let shared = one.shared.clone();
        let key = (peer, number);
        if !self.givers.contains_key(&key) {
            let many = self.givers.keys().filter(|(other, _)| *other == peer).count();
            if !matches!(message, SnapshotMessage::Request { .. }) || many >= GIVERS_MAX {
                return;
            }
            self.givers.insert(key, Giver::new(peer, self.config.snapshot_bytes_min, now));
        }
        let Some(giver) = self.givers.get_mut(&key) else { return };
        let turns = giver.hear(message, &shared, now);
        self.give(key, turns);
    }

    pub(super) fn giver_answered(&mut self, peer: StoreId, number: u32, answer: Answer) {
        let now = self.now.monotonic;
        if let Some(giver) = self.givers.get_mut(&(peer, number)) {
            let turns = giver.answered(answer, now);
            self.give((peer, number), turns);
        }
    }

    pub(super) fn receiver_answered(&mut self, peer: StoreId, answer: Answer) {
        let now = self.now.monotonic;
        if let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.peer == peer) {
            let acts = fetch.receiver.answered(answer, now);
            self.receive(acts);
        }
    }

    fn give(&mut self, (peer, number): (StoreId, u32), turns: Vec<Turn>) {
        for turn in turns {
            match turn {
                Turn::Say(message) => self.send(peer, Channel::Bulk(number), message.encode()),
                Turn::Ask(ask) => self.ask(ask, For::Giver(peer, number)),
                Turn::LetGo => self.ask_unanswered(Ask::EndSnapshot { peer }),
                Turn::End => {
                    self.givers.remove(&(peer, number));
                    self.finish_bulk(peer, number);
                }
            }
        }
    }

    fn receive(&mut self, acts: Vec<Act>) {
        for act in acts {
            let Some(fetch) = &self.fetch else { return };
            let (peer, number) = (fetch.peer, fetch.number);
            match act {
                Act::Say(message) => self.send(peer, Channel::Bulk(number), message.encode()),
                Act::Ask(ask) => self.ask(ask, For::Receiver(peer)),
                Act::Tell(transfer) => self.event(Event::Receiving { peer, transfer }),
                Act::End(end) => self.received(end),
            }
        }
    }

    /// What comes before comparisons is over: those go on, or are put off.
    fn received(&mut self, end: End) {
        let Some(Fetch { peer, number, receiver, then }) = self.fetch.take() else { return };
        self.finish_bulk(peer, number);
        self.forget_receiver_asks();
        let transfer = receiver.transfer;
        let Failure { kind, text } = match end {
            End::Done => {
                if let Some(one) = self.peers.get_mut(&peer) {
                    one.no_snapshot = true;
                }
                if transfer.files_total > 0 {
                    self.event(Event::Received { peer, transfer });
                }
                then.into_iter().for_each(|then| self.go_on_with(peer, then));
                return;
            }
            End::Failed(failure) => failure,
        };
        self.event(Event::NotReceived { peer, why: text.clone(), transfer });
        if let (FailureKind::Peer, Some(one)) = (kind, self.peers.get_mut(&peer)) {
            // What it sends as files is none. Rows are checked one by one.
            one.no_snapshot = true;
        }
        self.put_off(peer, then, &text);
    }

    fn go_on_with(&mut self, peer: StoreId, then: Then) {
        match then {
            Then::Begin(reason) => self.begin_session(peer, reason),
            Then::Answer(number, message) => self.session(peer, number, message, 0),
        }
    }

    fn put_off(&mut self, peer: StoreId, then: Vec<Then>, why: &str) {
        let now = self.now.monotonic;
        for then in then {
            match then {
                Then::Begin(_) => {
                    let Some(one) = self.peers.get_mut(&peer) else { continue };
                    one.failures += 1;
                    let failures = one.failures;
                    let at = now + self.pause_after(failures);
                    if let Some(one) = self.peers.get_mut(&peer) {
                        one.check_at = Some((at, Reason::Retry));
                    }
                }
                Then::Answer(number, _) => {
                    let channel = Channel::Session(number);
                    let text: String = why.chars().take(200).collect();
                    self.send(peer, channel, SessionMessage::Abort(text).encode());
                    self.finish(peer, channel);
                }
            }
        }
    }

    /// A comparison agreed: what was received of files that nobody goes on with can go.
    pub(super) fn sweep_partials(&mut self, peer: StoreId) {
        let left = self.closed.as_ref().is_some_and(|closed| closed.partials);
        if left && self.fetch.is_none() {
            self.ask(Ask::ChooseFiles { peer, files: Vec::new() }, For::Nobody);
        }
    }

    /// The link is gone, and what was on its way over it.
    pub(super) fn end_snapshots(&mut self, peer: StoreId, why: &str) {
        self.givers.retain(|(other, _), _| *other != peer);
        if let Some(fetch) = self.fetch.take_if(|fetch| fetch.peer == peer) {
            let transfer = fetch.receiver.transfer;
            self.event(Event::NotReceived { peer, why: why.into(), transfer });
        }
    }

    pub(super) fn tick_snapshots(&mut self) {
        let (now, limit) = (self.now.monotonic, 2 * self.config.silence);
        if let Some(fetch) = &mut self.fetch {
            let acts = fetch.receiver.tick(now, limit);
            self.receive(acts);
        }
        let stale = |giver: &Giver| now.saturating_sub(giver.active) > 2 * limit;
        let old = self.givers.iter().filter(|(_, giver)| stale(giver)).map(|(key, _)| *key);
        for (peer, number) in old.collect::<Vec<_>>() {
            self.givers.remove(&(peer, number));
            self.finish_bulk(peer, number);
        }
    }

    fn forget_receiver_asks(&mut self) {
        let receivers = self.asks.values_mut().filter(|who| matches!(who, For::Receiver(_)));
        receivers.for_each(|who| *who = For::Nobody);
    }

    fn finish_bulk(&mut self, peer: StoreId, number: u32) {
        self.finish(peer, Channel::Bulk(number));
    }

    fn finish(&mut self, peer: StoreId, channel: Channel) {
        if let Some(link) = self.peers.get(&peer).and_then(|one| one.link) {
            self.out.push_back(Output::Finish { peer, link, channel });
        }
    }
}
