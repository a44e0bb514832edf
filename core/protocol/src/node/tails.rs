//! Following the logs of peers, and letting them follow this one.

use super::{For, Node};
use crate::ask::{Answer, Ask, Failure, FailureKind};
use crate::event::{Event, Reason};
use crate::message::{Channel, Control, TailBatch};
use crate::refusal::Refusal;
use crate::tail::Heard;
use alloc::vec::Vec;
use tidelog_model::{Position, Stamp, StoreId};

impl Node {
    pub(super) fn tail(&mut self, peer: StoreId, batch: TailBatch) {
        let now = self.now.monotonic;
        let first = self.begins(peer);
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.is_up()) else { return };
        let late = batch.floor.is_some();
        match one.tail_in.hear(batch, now) {
            Heard::Waits | Heard::Passed => {}
            Heard::Known(position) => {
                self.send(peer, Channel::Control, Control::Ack(position).encode());
            }
            Heard::Gap(from) => {
                self.send(peer, Channel::Control, Control::Resend(from).encode());
            }
            Heard::Flood => {
                one.violations += 1;
                self.refuse(peer, Refusal::passing("more was sent than was acknowledged"));
                return;
            }
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        // The side that does not begin comparisons does so when none that began meanwhile has shown what was missed.
        let at = if first { now } else { now + 2 * self.config.pulse };
        if late && one.check_at.is_none_or(|(known, _)| known > at) && !one.is_asked() {
            one.check_at = Some((at, Reason::Startup));
            self.ask_closed();
        }
        self.apply_next(peer);
    }

    pub(super) fn apply_next(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some(link) = one.link else { return };
        let next = one.tail_in.take_next(now);
        let next = next.map(|(batch, cursor)| {
            let (tombstones, batches) = (batch.tombstones.clone(), batch.batches.clone());
            (tombstones, batches, cursor.map(|at| (peer, at)))
        });
        if let Some(position) = one.tail_in.passed.take() {
            self.send(peer, Channel::Control, Control::Ack(position).encode());
        }
        let Some((tombstones, batches, cursor)) = next else { return };
        self.ask(Ask::Apply { peer, cursor, tombstones, batches }, For::Apply(peer, link));
    }

    pub(super) fn applied(&mut self, peer: StoreId, answer: Answer) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        match answer {
            Answer::Applied { .. } => {
                let news = one.tail_in.known;
                let position = one.tail_in.taken();
                if news == Stamp::ZERO {
                    // The peer waits to hear how far it is followed, to tell a horizon.
                    self.pulse_at = now;
                }
                let resumed = one.stalled.take().is_some();
                if let Some(position) = position {
                    self.send(peer, Channel::Control, Control::Ack(position).encode());
                }
                if resumed {
                    self.event(Event::Resumed { peer });
                }
                self.agree();
                self.apply_next(peer);
            }
            Answer::Failed(Failure { kind, text }) => {
                let ahead = match kind {
                    FailureKind::ClockAhead(by) => Some(by),
                    FailureKind::Peer => {
                        one.violations += 1;
                        self.refuse(peer, Refusal::passing(text));
                        return;
                    }
                    FailureKind::Later | FailureKind::Store => None,
                };
                one.tail_in.not_taken(now + 1_000);
                let news = one.stalled.is_none();
                one.stalled = Some((text.clone(), ahead));
                if news {
                    self.event(Event::Stalled { peer, why: text, clock_ahead: ahead });
                }
            }
            _ => {}
        }
    }

    /// Reads the log for the peers that have room for it.
    pub(super) fn read_tails(&mut self) {
        let mut asks = Vec::new();
        for one in self.peers.values_mut().filter(|one| one.is_up()) {
            if let (Some(from), Some(link)) = (one.tail_out.read_next(), one.link) {
                let groups = one.shared.clone();
                let (peer, portion) = (one.store, self.config.portion);
                asks.push((Ask::Tail { peer, from, groups, portion }, For::Tail(peer, link, from)));
            }
        }
        asks.into_iter().for_each(|(ask, who)| self.ask(ask, who));
    }

    pub(super) fn tail_read(&mut self, peer: StoreId, from: Position, answer: Answer) {
        let one = self.peers.get_mut(&peer).filter(|one| one.tail_out.is_reading(from));
        let Some(one) = one else { return };
        match answer {
            Answer::Tail { next, tombstones, batches, at_end } => {
                if let Some(batch) = one.tail_out.read(next, tombstones, batches, at_end) {
                    self.send(peer, Channel::Tail, batch.encode());
                }
                self.read_tails();
            }
            Answer::TailGone => {
                // Where the store was said to have come to may itself be gone: it says so anew with the next pulse.
                let anew = self.closed.as_ref().filter(|closed| closed.visible != from);
                let Some(closed) = anew else { return one.tail_out.failed() };
                one.tail_out.begin_late(closed);
                self.start_check(peer);
                self.read_tails();
            }
            // The log cannot be read now: with the next pulse again.
            _ => one.tail_out.failed(),
        }
    }
}
