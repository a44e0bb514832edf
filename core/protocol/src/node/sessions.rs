//! Comparisons with peers: when they begin, up to which horizon, and what their end means.

use super::snapshots::Then;
use super::{For, Node, Output};
use crate::ask::{Ask, View};
use crate::compare::LeftOut;
use crate::event::{Event, Reason};
use crate::message::{Channel, SessionMessage};
use crate::peer::{Peer, RESPONDERS_MAX};
use crate::session::{Act, Begin, Initiator, Outcome, Responder};
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::{Horizon, Stamp, StoreId};

/// A comparison waits so long for what tells a horizon; then it begins with what there is.
const PATIENCE: u64 = 5_000;

fn one_needs(one: Option<&Peer>) -> bool {
    one.is_some_and(|one| one.tail_in.needs_comparison() && !one.is_once())
}

impl Node {
    /// Something is missing that only a comparison finds.
    pub(super) fn start_check(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let first = self.begins(peer);
        if let Some(one) = self.peers.get_mut(&peer).filter(|_| first) {
            // What the host asked for begins as soon, and tells it what it came to.
            if !one.is_asked() {
                one.check_at = Some((now, Reason::Startup));
            }
            self.ask_closed();
        }
    }

    pub(super) fn session(
        &mut self,
        peer: StoreId,
        number: u32,
        message: SessionMessage,
        bytes: usize,
    ) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.is_up()) else { return };
        let own = number % 2 == u32::from(self.me.store > peer);
        if own {
            let Some((_, session)) = one.session.as_mut().filter(|(own, _)| *own == number) else {
                return;
            };
            session.report.received += bytes as u64;
            let acts = session.hear(message, now);
            session.tell_progress(now);
            let report = session.report.clone();
            self.event(Event::Progress { peer, session: number, report });
            self.act(peer, number, acts);
            return;
        }
        if matches!(message, SessionMessage::Open { .. }) && self.lacks(peer) {
            self.receive_before(peer, Then::Answer(number, message));
            return;
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if let SessionMessage::Open { epoch, eager, horizon, salt, groups, roots } = message {
            if one.responders.len() >= RESPONDERS_MAX && !one.responders.contains_key(&number) {
                let text = String::from("too many comparisons at once: end others first");
                let bytes = SessionMessage::Abort(text).encode();
                self.send(peer, Channel::Session(number), bytes);
                return;
            }
            let view = View { peer, session: number, epoch, horizon, salt };
            let shared = one.shared.clone();
            let (mut responder, acts) =
                Responder::new((view, eager), &shared, (groups, roots), now);
            responder.lacks = self.lacking.number();
            if let Some(before) = one.responders.insert(number, responder) {
                // Another pass.
                one.counts.add(&before.counts);
            }
            self.respond(peer, number, acts);
            return;
        }
        let Some(responder) = one.responders.get_mut(&number) else { return };
        let acts = responder.hear(message, now);
        self.respond(peer, number, acts);
    }

    pub(super) fn respond(&mut self, peer: StoreId, number: u32, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(message) => {
                    self.send(peer, Channel::Session(number), message.encode());
                    self.answered_agreed(peer, number);
                }
                Act::Ask(ask) => self.ask(ask, For::Responder(peer, number)),
                Act::WakeAt(_) | Act::Again | Act::Plan => {}
                Act::End(_) => self.end_responder(peer, number),
            }
        }
    }

    /// The side that answers knows that both agree when it has told its roots.
    pub(super) fn answered_agreed(&mut self, peer: StoreId, number: u32) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some(responder) = one.responders.get_mut(&number) else { return };
        if core::mem::take(&mut responder.agreed) {
            let (horizon, whole) = (responder.view.horizon.clone(), responder.whole);
            let lacks = responder.lacks;
            self.end_responder(peer, number);
            if whole {
                if let Some(one) = self.peers.get_mut(&peer) {
                    // Newer than what an own one ended with.
                    (one.last_outcome, one.failures) = (None, 0);
                }
                self.agreed(peer, &horizon);
                self.healed(peer, &horizon, lacks);
            }
        }
    }

    pub(super) fn end_responder(&mut self, peer: StoreId, number: u32) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if let Some(responder) = one.responders.remove(&number) {
            one.counts.add(&responder.counts);
            let link = one.link;
            self.pass_on(peer, responder.counts.rows_taken);
            self.forget(peer, number);
            if let Some(link) = link {
                let channel = Channel::Session(number);
                self.out.push_back(Output::Finish { peer, link, channel });
            }
        }
    }

    /// Nobody follows the log of a peer that comes for one comparison: what it brought reaches the others by comparing
    /// with them, soon.
    pub(super) fn pass_on(&mut self, peer: StoreId, rows: u64) {
        if rows == 0 || !self.peers.get(&peer).is_some_and(Peer::is_once) {
            return;
        }
        let soon = self.now.monotonic + self.config.pulse;
        for other in self.peers.values_mut().filter(|one| one.store != peer && one.is_up()) {
            if other.check_at.is_none_or(|(at, _)| at > soon) {
                other.check_at = Some((soon, Reason::PassOn));
            }
        }
    }

    /// When a comparison with a peer is to begin, unless something tells more before.
    pub(super) fn check_due(&self, one: &Peer) -> Option<u64> {
        let named = one.check_groups.as_ref().map(|_| self.now.monotonic);
        // What the peer has begun may find all there is, but for groups that are not shared.
        let idle = one.is_up()
            && one.session.is_none()
            && (named.is_some() || one.responders.is_empty())
            && !self.is_receiving_from(one.store);
        let at = named.or(one.check_at.map(|(at, _)| at)).filter(|_| idle)?;
        let patience = if one.knows_enough(self.me.store) { 0 } else { one.up_at + PATIENCE };
        Some(at.max(patience))
    }

    /// The peer leaves a comparison to the policy here.
    pub(super) fn compare_for(&mut self, peer: StoreId) {
        let soon = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.is_up()) else { return };
        // One that was just made would find the same: it comes when that says so.
        let waits = one.check_at.is_some_and(|(_, reason)| reason == Reason::Policy);
        if one.session.is_none() && !waits && !one.is_asked() {
            one.check_at = Some((soon, Reason::Policy));
            self.ask_closed();
        }
    }

    /// Begins the comparisons that are due.
    pub(super) fn begin_sessions(&mut self) {
        let now = self.now.monotonic;
        let due = |one: &&Peer| self.check_due(one).is_some_and(|at| at <= now);
        let due: Vec<StoreId> = self.peers.values().filter(due).map(|one| one.store).collect();
        for peer in due {
            let Some(one) = self.peers.get_mut(&peer) else { continue };
            if one.check_groups.is_some() {
                self.begin_session(peer, Reason::Asked);
                continue;
            }
            let Some((_, reason)) = one.check_at.take() else { continue };
            if reason != Reason::Asked && !self.config.once && self.leave_to(peer) {
                continue;
            }
            // Who only looks is given nothing.
            if !self.config.tell && self.lacks(peer) {
                self.receive_before(peer, Then::Begin(reason));
            } else {
                self.begin_session(peer, reason);
            }
        }
    }

    pub(super) fn begin_session(&mut self, peer: StoreId, reason: Reason) {
        let now = self.now.monotonic;
        let salt = self.jitter(u64::MAX);
        let horizon = self.horizon(peer);
        let from = self.window_from(peer, reason);
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let number = one.next_session;
        one.next_session = one.next_session.wrapping_add(2);
        let follows = one.tail_out.is_on() || one.tail_in.is_on();
        let named = one.check_groups.take();
        let apart = named.is_some();
        let groups = named.unwrap_or_else(|| one.shared.clone());
        let begin = Begin {
            peer,
            session: number,
            horizon,
            salt,
            groups: groups.clone(),
            apart,
            second_look: follows.then_some(self.config.second_look),
            // A horizon moves with the pulses.
            pause: if follows { self.config.pulse + self.config.second_look } else { 0 },
            // Once stores have agreed differences are few, and bytes count.
            eager: one.agreed_at.is_none(),
            only: one
                .only
                .take()
                .filter(|_| reason == Reason::Asked)
                .or_else(|| self.config.only.clone()),
            from,
            groups_at_once: self.config.groups_at_once,
            tell: self.config.tell,
            asks_policy: self.policy.config.is_some() && reason != Reason::Asked && !apart,
        };
        let (mut session, acts) = Initiator::new(begin, now);
        session.lacks = self.lacking.number();
        one.session = Some((number, session));
        let epochs = groups.iter().map(|group| self.epoch(*group)).collect();
        self.event(Event::Started { peer, session: number, reason, groups, epochs });
        self.act(peer, number, acts);
    }

    /// From which time on rows are compared: from a whole day on, so that what is kept of days serves. What was asked for
    /// is compared whole, and what has to show that nothing of a log is missing.
    fn window_from(&self, peer: StoreId, reason: Reason) -> i64 {
        const DAY: u64 = 86_400_000;
        let again = matches!(reason, Reason::Interval | Reason::Retry);
        let Some(window) =
            self.config.window.filter(|_| again && !one_needs(self.peers.get(&peer)))
        else {
            return i64::MIN;
        };
        let days = self.now.wall.saturating_sub(window) / DAY;
        i64::try_from(days * DAY).map_or(i64::MIN, |millis| millis.saturating_mul(1_000_000))
    }

    /// Up to where both are expected to have everything.
    pub(super) fn horizon(&self, peer: StoreId) -> Horizon {
        let Some(one) = self.peers.get(&peer) else { return Horizon::default() };
        let me = self.me.store;
        let mut bounds: Vec<(StoreId, Stamp)> = Vec::new();
        let ours = self.closed.as_ref().map_or(Stamp::MAX, |closed| closed.stamp);
        let there = if one.tail_out.is_on() { one.known_there(me) } else { Some(ours) };
        bounds.push((me, there.unwrap_or(Stamp::ZERO).min(ours)));
        let theirs = one.pulse.as_ref().map(|pulse| pulse.closed);
        let theirs = theirs.or(one.hello.as_ref().map(|hello| hello.closed));
        let here = if one.tail_in.is_on() || !one.is_once() && !self.config.once {
            Some(one.tail_in.known)
        } else {
            theirs
        };
        bounds.push((peer, here.unwrap_or(Stamp::ZERO)));
        // What comes from others to both is in flight to both. As long as nothing is known of how far it has come, all
        // of it is compared: a delete left out would let a row pass for one that was written again after it.
        for other in self.peers.values().filter(|other| other.store != peer && other.is_up()) {
            let there = one.known_there(other.store).unwrap_or_default();
            let both = other.tail_in.known.min(there);
            if both > Stamp::ZERO {
                bounds.push((other.store, both));
            }
        }
        bounds.truncate(Horizon::ORIGINS_MAX);
        Horizon::new(bounds)
    }

    pub(super) fn act(&mut self, peer: StoreId, number: u32, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(message) => {
                    let bytes = message.encode();
                    if let Some((_, session)) =
                        self.peers.get_mut(&peer).and_then(|one| one.session.as_mut())
                    {
                        session.report.sent += bytes.len() as u64;
                    }
                    self.send(peer, Channel::Session(number), bytes);
                }
                Act::Ask(ask) => self.ask(ask, For::Session(peer, number)),
                Act::WakeAt(at) => {
                    self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
                }
                Act::Again => self.again(peer, number),
                Act::Plan => self.plan(peer, number),
                Act::End(outcome) => self.end_session(peer, number, outcome),
            }
        }
    }

    pub(super) fn again(&mut self, peer: StoreId, number: u32) {
        let horizon = self.horizon(peer);
        let one = self.peers.get_mut(&peer).and_then(|one| one.session.as_mut());
        if let Some((_, session)) = one {
            let acts = session.again(horizon);
            self.act(peer, number, acts);
        }
    }

    pub(super) fn end_session(&mut self, peer: StoreId, number: u32, outcome: Outcome) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some((_, session)) = one.session.take().filter(|(own, _)| *own == number) else {
            return;
        };
        one.counts.add(&session.report.counts);
        let apart = session.apart;
        if !apart {
            one.last_outcome = Some(outcome.clone());
        }
        let link = one.link;
        let failed = matches!(outcome, Outcome::Aborted { .. } | Outcome::Diverged);
        if failed {
            one.failures += 1;
            one.sessions.1 += u64::from(matches!(outcome, Outcome::Aborted { .. }));
        } else {
            one.failures = 0;
        }
        let failures = one.failures;
        // Of what was left out because of a clock more is to come, as soon as the clock is set.
        let ahead = matches!(&outcome, Outcome::Partial { left_out }
            if left_out.contains_key(&LeftOut::ClockAhead));
        let left = matches!(&outcome, Outcome::Partial { left_out }
            if left_out.contains_key(&LeftOut::Policy));
        let wait = if left {
            Some((self.later(peer, &session), Reason::Policy))
        } else if ahead {
            Some((30_000 + self.jitter(30_000), Reason::Retry))
        } else if failed {
            Some((self.pause_after(failures), Reason::Retry))
        } else {
            let interval = self.config.interval;
            interval.map(|every| (every - every / 10 + self.jitter(every / 5), Reason::Interval))
        };
        let once = self.config.once;
        let begins = self.begins(peer);
        let Some(one) = self.peers.get_mut(&peer) else { return };
        // A store that was given an old copy of its disk does not know what it wrote after that, with stamps that may have
        // been ahead of its clock: no horizon of its own covers those before the clock does.
        let wait = match outcome.settles() && !apart && core::mem::take(&mut one.again) {
            true => {
                Some((self.config.clock_ahead.saturating_add(self.config.pulse), Reason::Startup))
            }
            false => wait,
        };
        if one.check_at.is_none() && !once && (failed || ahead || left || begins) {
            one.check_at = wait.map(|(wait, reason)| (now + wait, reason));
        }
        self.policy_after(peer, &session, &outcome);
        self.pass_on(peer, session.report.counts.rows_taken);
        self.forget(peer, number);
        if !matches!(outcome, Outcome::Agreed | Outcome::Aborted { .. }) {
            // The side that answers would wait for more, and begin none of its own meanwhile.
            let over = SessionMessage::Abort(String::from("over")).encode();
            self.send(peer, Channel::Session(number), over);
        }
        if let Some(link) = link {
            self.out.push_back(Output::Finish { peer, link, channel: Channel::Session(number) });
        }
        self.conclude(peer, number, session, outcome);
    }

    /// Tells what a comparison came to, and what follows from it.
    fn conclude(&mut self, peer: StoreId, number: u32, session: Initiator, outcome: Outcome) {
        let (report, horizon) = (session.report, session.view.horizon);
        match outcome {
            Outcome::Aborted { why } => {
                self.event(Event::Failed { peer, session: number, why, report });
            }
            outcome => {
                // One of named groups says nothing of what is shared.
                let settled = outcome.settles() && !session.apart;
                // What rollups stand for is not lacking of any file of rows.
                let whole = match &outcome {
                    Outcome::Partial { left_out } => {
                        left_out.keys().all(|why| *why == LeftOut::Settled)
                    }
                    outcome => *outcome == Outcome::Agreed,
                };
                let left = matches!(&outcome, Outcome::Partial { left_out }
                    if left_out.contains_key(&LeftOut::Policy));
                if !settled && !left && !self.config.once && one_needs(self.peers.get(&peer)) {
                    self.check_soon(peer);
                }
                if let Some(one) = self.peers.get_mut(&peer) {
                    one.sessions.0 += 1;
                    // What a policy leaves is known, and it says when it comes.
                    one.verdict |= left && !session.apart;
                }
                self.event(Event::Completed { peer, session: number, outcome, report });
                if settled {
                    self.agreed(peer, &horizon);
                }
                if left {
                    self.look_ready();
                }
                if whole && !session.apart {
                    self.healed(peer, &horizon, session.lacks);
                }
            }
        }
    }

    /// How long to wait after so many failures.
    pub(super) fn pause_after(&mut self, failures: u32) -> u64 {
        let ceiling = (1_000u64 << failures.min(6)).min(60_000);
        ceiling / 2 + self.jitter(ceiling)
    }

    /// Both sides hold the same up to a horizon.
    pub(super) fn agreed(&mut self, peer: StoreId, horizon: &Horizon) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.agreed_at = Some(now);
        one.verdict = true;
        let bound = horizon.bounds().iter().find(|(store, _)| *store == peer);
        let up_to = bound.map_or(Stamp::MAX, |(_, stamp)| *stamp);
        if let Some(position) = one.tail_in.agreed(up_to) {
            let (tombstones, batches) = (Vec::new(), Vec::new());
            let cursor = Some((peer, position));
            self.ask(Ask::Apply { peer, cursor, tombstones, batches }, For::Nobody);
        }
        // What was written before the peer could be followed may have been beyond the horizon.
        if one_needs(self.peers.get(&peer)) {
            self.check_soon(peer);
        } else if !self.begins(peer)
            && let Some(one) = self.peers.get_mut(&peer)
        {
            // The peer has begun this one, and will begin the next.
            one.check_at = one.check_at.filter(|(_, reason)| *reason != Reason::Startup);
        }
        self.sweep_partials(peer);
        self.agree();
        self.look_ready();
    }

    fn check_soon(&mut self, peer: StoreId) {
        let soon = self.now.monotonic + self.config.pulse;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if one.check_at.is_none_or(|(at, _)| at > soon) && !one.is_asked() {
            one.check_at = Some((soon, Reason::Startup));
        }
    }

    /// Up to which stamp everything that any peer wrote is here.
    pub(super) fn agree(&mut self) {
        let known = |one: &Peer| match one.tail_in.is_whole() {
            true => one.tail_in.known,
            false => Stamp::ZERO,
        };
        let least = self.peers.values().map(known).min().unwrap_or(Stamp::ZERO);
        if least > self.agreed {
            self.agreed = least;
            self.out.push_back(Output::Agreed(least));
        }
    }

    pub(super) fn look_ready(&mut self) {
        let any = self.peers.is_empty() || self.peers.values().any(|one| one.verdict);
        if any {
            self.be_ready();
        }
    }

    pub(super) fn be_ready(&mut self) {
        if !self.ready {
            self.ready = true;
            self.event(Event::Ready);
        }
    }

    pub(super) fn tick_sessions(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let limit = 2 * self.config.silence;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if let Some((number, session)) = &mut one.session {
            let number = *number;
            let acts = if now.saturating_sub(session.active) > limit {
                session.give_up(now)
            } else {
                session.tick(now)
            };
            self.act(peer, number, acts);
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let stale = one.responders.iter().filter(|(_, r)| now.saturating_sub(r.active) > 2 * limit);
        let stale: Vec<u32> = stale.map(|(number, _)| *number).collect();
        stale.into_iter().for_each(|number| self.end_responder(peer, number));
    }
}
