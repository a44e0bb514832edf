//! Links to peers: who is greeted, what is refused, and how far each side has come.

use super::{For, Node, Output};
use crate::ask::{Answer, Ask, Closed};
use crate::event::{Event, Reason};
use crate::message::{
    CANONICAL, Channel, Control, Hello, Pulse, SessionMessage, TailBatch, VERSION,
};
use crate::peer::{EARLY_BYTES_MAX, LinkId, Peer};
use crate::refusal::Refusal;
use crate::snapshot::SnapshotMessage;
use crate::tail::Heard;
use crate::wire::Malformed;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::{GroupId, Horizon, Stamp, StoreId};

impl Node {
    pub(super) fn shares(&mut self, peer: StoreId, groups: Vec<GroupId>) {
        if peer == self.me.store {
            return;
        }
        if groups.is_empty() {
            self.end_snapshots(peer, "it is no replica any more");
            if let Some(gone) = self.peers.remove(&peer)
                && let Some(link) = gone.link
            {
                let why = String::from("it is no replica any more");
                self.out.push_back(Output::Close { peer, link, why, for_good: true });
            }
            return;
        }
        // Each side numbers its comparisons so that the two never meet.
        let first = u32::from(self.me.store > peer);
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(peer, Vec::new(), first));
        entry.shared = groups;
    }

    pub(super) fn linked(&mut self, peer: StoreId, link: LinkId) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else {
            let why = String::from("it is no replica of this store");
            self.out.push_back(Output::Close { peer, link, why, for_good: true });
            return;
        };
        if let Some(old) = one.link.filter(|old| *old != link) {
            let why = String::from("another connection took its place");
            self.break_session(peer, &why);
            let Some(one) = self.peers.get_mut(&peer) else { return };
            one.unlink();
            self.end_snapshots(peer, &why);
            self.out.push_back(Output::Close { peer, link: old, why, for_good: false });
            self.forget_asks(peer);
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.link = Some(link);
        one.refused = false;
        one.heard_at = now;
        self.ask_closed();
    }

    pub(super) fn unlinked(&mut self, peer: StoreId, link: LinkId, why: String) {
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.link == Some(link)) else {
            return;
        };
        let brought: u64 = one.responders.values().map(|one| one.counts.rows_taken).sum();
        let own = one.session.as_ref();
        let brought = brought + own.map_or(0, |(_, session)| session.report.counts.rows_taken);
        let responders: Vec<u32> = one.responders.keys().copied().collect();
        self.pass_on(peer, brought);
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let was_up = one.is_up();
        one.check_groups = None;
        self.break_session(peer, &why);
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.unlink();
        responders.into_iter().for_each(|number| self.forget(peer, number));
        self.end_snapshots(peer, &why);
        self.forget_asks(peer);
        if was_up {
            self.event(Event::Disconnected { peer, why });
        }
    }

    /// The link over which a comparison went is gone.
    fn break_session(&mut self, peer: StoreId, why: &str) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if let Some((number, session)) = one.session.take() {
            one.sessions.1 += 1;
            let (why, report) = (String::from(why), session.report);
            self.event(Event::Failed { peer, session: number, why, report });
            self.forget(peer, number);
        }
    }

    /// Answers to what was asked for a link that is gone are for nobody.
    pub(super) fn forget_asks(&mut self, peer: StoreId) {
        for one in self.asks.values_mut() {
            let gone = match one {
                For::Session(of, _) | For::Responder(of, _) => *of == peer,
                For::Tail(of, ..) | For::Apply(of, _) => *of == peer,
                For::Receiver(of) | For::Giver(of, _) => *of == peer,
                For::Closed | For::Nobody => false,
            };
            if gone {
                *one = For::Nobody;
            }
        }
    }

    pub(super) fn frame(&mut self, peer: StoreId, link: LinkId, channel: Channel, bytes: &[u8]) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.link == Some(link)) else {
            return;
        };
        one.heard_at = now;
        one.bytes.1 += bytes.len() as u64;
        if one.refused {
            return;
        }
        if !one.is_up() && channel != Channel::Control {
            let kept: usize = one.early.iter().map(|(_, bytes)| bytes.len() + 64).sum();
            if kept + bytes.len() <= EARLY_BYTES_MAX {
                one.early.push((channel, bytes.to_vec()));
            }
            return;
        }
        self.take_frame(peer, channel, bytes);
    }

    pub(super) fn take_frame(&mut self, peer: StoreId, channel: Channel, bytes: &[u8]) {
        let taken = match channel {
            Channel::Control => Control::decode(bytes).map(|message| self.control(peer, message)),
            Channel::Tail => TailBatch::decode(bytes).map(|batch| self.tail(peer, batch)),
            Channel::Session(number) => SessionMessage::decode(bytes)
                .map(|message| self.session(peer, number, message, bytes.len())),
            Channel::Bulk(number) => {
                SnapshotMessage::decode(bytes).map(|message| self.snapshot(peer, number, message))
            }
        };
        if let Err(error) = taken {
            self.violation(peer, &error);
        }
    }

    pub(super) fn violation(&mut self, peer: StoreId, error: &Malformed) {
        if let Some(one) = self.peers.get_mut(&peer) {
            one.violations += 1;
        }
        let why = format!("a message could not be read ({error}): one of the two is damaged");
        self.refuse(peer, Refusal::passing(why));
    }

    pub(super) fn control(&mut self, peer: StoreId, message: Control) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        match message {
            Control::Hello(hello) => self.hello(peer, hello),
            Control::Pulse(pulse) => self.pulsed(peer, pulse),
            Control::Ack(position) => {
                one.tail_out.ack(position);
                if let Some(from) = one.tail_out.pin() {
                    self.ask_unanswered(Ask::Pin { peer, from });
                }
                self.read_tails();
            }
            Control::Resend(position) => {
                match position {
                    Some(position) => one.tail_out.resend(position),
                    None => {
                        self.closed.iter().for_each(|closed| one.tail_out.begin_late(closed));
                        self.start_check(peer);
                    }
                }
                self.read_tails();
            }
            Control::Goodbye(refusal) => self.part(peer, refusal),
            Control::Compare => self.compare_for(peer),
        }
    }

    pub(super) fn pulsed(&mut self, peer: StoreId, pulse: Pulse) {
        let (now, silence) = (self.now.monotonic, self.config.silence);
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.tail_in.promised(pulse.closed, pulse.position);
        one.pulse = Some(pulse);
        let follows = one.is_up() && !one.is_once() && !self.config.once;
        if follows && let Some(Heard::Gap(from)) = one.tail_in.is_overdue(now, silence) {
            self.send(peer, Channel::Control, Control::Resend(from).encode());
        }
        self.agree();
        self.begin_sessions();
    }

    pub(super) fn hello(&mut self, peer: StoreId, hello: Hello) {
        if let Some(refusal) = self.objection(peer, &hello) {
            self.refuse(peer, refusal);
            return;
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if one.hello.is_some() {
            return;
        }
        if !one.is_opened(hello.incarnation) {
            let why = format!(
                "store {peer} is open on two machines, one of them with a copy of its directory: stop that one, and adopt the copy before it is opened again"
            );
            self.refuse(peer, Refusal::permanent(why));
            return;
        }
        one.hello = Some(hello);
        if one.greeted {
            self.up(peer);
        }
    }

    /// Both have greeted.
    pub(super) fn up(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let me = self.me;
        let once = self.config.once;
        let initial_delay = self.config.initial_delay;
        let jitter = self.jitter(initial_delay / 10 + 1);
        let Some(closed) = self.closed.clone() else { return };
        let first = self.begins(peer);
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some(hello) = &one.hello else { return };
        let mut late = false;
        if once || hello.once {
            one.tail_out.stop();
        } else {
            match hello.cursor.filter(|cursor| cursor.incarnation == me.incarnation) {
                Some(cursor) => one.tail_out.begin(cursor),
                None => {
                    one.tail_out.begin_late(&closed);
                    late = true;
                }
            }
            let own = closed.cursors.iter().find(|(store, _)| *store == peer).map(|(_, at)| *at);
            let own = own.filter(|own| own.incarnation == hello.incarnation);
            late |= own.is_none();
            one.tail_in.begin(own, now);
        }
        one.up_at = now;
        one.refusal = None;
        one.verdict |= !late && !once;
        let asked = one.check_at.filter(|_| one.is_asked());
        one.check_at = if once {
            Some((now, Reason::Asked))
        } else if hello.once || !first {
            None
        } else if late {
            one.again = true;
            Some((now, Reason::Startup))
        } else {
            self.config.interval.map(|_| (now + initial_delay + jitter, Reason::Interval))
        };
        one.check_at = asked.or(one.check_at);
        let early = core::mem::take(&mut one.early);
        self.event(Event::Connected { peer });
        early.into_iter().for_each(|(channel, bytes)| self.take_frame(peer, channel, &bytes));
        self.read_tails();
        self.look_for_lacks(0);
        self.begin_sessions();
        self.look_ready();
    }

    /// The store said how far it has come: greet, say so to all, and begin what waits for it.
    pub(super) fn closed(&mut self, answer: Answer) {
        self.closing = false;
        let Answer::Closed(closed) = answer else {
            self.pulse_at = self.now.monotonic + self.config.pulse;
            return;
        };
        self.closed = Some(closed.clone());
        let ungreeted = |one: &&Peer| one.link.is_some() && !one.greeted;
        let ungreeted: Vec<StoreId> =
            self.peers.values().filter(ungreeted).map(|one| one.store).collect();
        for peer in ungreeted {
            let cursor = closed.cursors.iter().find(|(store, _)| *store == peer).map(|(_, at)| *at);
            let hello = Hello {
                version: VERSION,
                canonical: CANONICAL,
                store: self.me.store,
                incarnation: self.me.incarnation,
                groups: self.me.groups,
                cursor,
                closed: closed.stamp,
                wall: self.now.wall,
                once: self.config.once,
                held: closed.held.iter().map(|(_, bytes)| bytes).sum(),
                epochs: self.epochs.iter().map(|(group, epoch)| (*group, *epoch)).collect(),
                policy: self.policy.config.as_ref().map_or(0, |config| config.hash),
            };
            self.send(peer, Channel::Control, Control::Hello(hello).encode());
            let Some(one) = self.peers.get_mut(&peer) else { continue };
            one.greeted = true;
            // What is kept of members is known only now.
            self.object_again(peer);
            let ready = |one: &Peer| one.hello.is_some() && !one.refused;
            if self.peers.get(&peer).is_some_and(ready) {
                self.up(peer);
            }
        }
        if self.now.monotonic >= self.pulse_at {
            self.pulse(&closed);
        }
        self.begin_sessions();
    }

    pub(super) fn pulse(&mut self, closed: &Closed) {
        self.pulse_at = self.now.monotonic + self.config.pulse;
        let followed = self.peers.values().filter(|one| one.is_up() && one.tail_in.is_on());
        let known: Vec<(StoreId, Stamp)> =
            followed.map(|one| (one.store, one.tail_in.known)).take(Horizon::ORIGINS_MAX).collect();
        let pulse = Pulse { closed: closed.stamp, position: closed.position, known };
        let bytes = Control::Pulse(pulse).encode();
        let up: Vec<StoreId> =
            self.peers.values().filter(|one| one.is_up()).map(|one| one.store).collect();
        for peer in up {
            let passed = self.peers.get_mut(&peer).and_then(|one| {
                one.tail_out.retry();
                one.tail_out.pass_over()
            });
            if let Some(batch) = passed {
                self.send(peer, Channel::Tail, batch.encode());
            }
            self.send(peer, Channel::Control, bytes.clone());
        }
        self.read_tails();
    }
}
