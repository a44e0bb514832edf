//! Following a peer's log, and being followed: each batch that a store wrote goes to its peers as it stands in its log,
//! with its own stamps, and nothing that came from elsewhere. Duplicates are harmless; a gap is asked for again.

use crate::ask::Closed;
use crate::message::TailBatch;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use tidelog_model::{Position, Stamp};

/// So many bytes may be on their way to a peer and not acknowledged.
pub(crate) const WINDOW_BYTES: usize = 8 << 20;
/// What has come meanwhile is taken together up to about so many bytes: one fsync serves it.
const TAKE_BYTES: usize = 4 << 20;
/// A pin follows the acknowledged position at such a distance: each move is an edit of the manifest.
const PIN_STEP_BYTES: u64 = 64 << 20;

/// What is missing is asked for again after so many milliseconds.
const ASK_AGAIN: u64 = 1_000;

/// Sending the own log to one peer.
#[derive(Debug, Default)]
pub(crate) struct TailOut {
    /// Where to read on; none: the peer is not sent this log yet.
    next: Option<Position>,
    /// Where the last message ended, and the next begins: before what holds nothing for the peer.
    said: Option<Position>,
    /// The first message says so.
    floor: Option<Stamp>,
    /// Bytes of messages that are not acknowledged, with where they end.
    in_flight: VecDeque<(Position, usize)>,
    bytes_in_flight: usize,
    /// The store is reading the log from here.
    reading: Option<Position>,
    at_end: bool,
    /// The log has grown since the store was asked to read: its answer may not know.
    grew: bool,
    /// The log could not be read.
    failed: bool,
    pub(crate) acked: Option<Position>,
    pinned: Option<Position>,
}

impl TailOut {
    /// Begins where the peer has come to.
    pub(crate) fn begin(&mut self, cursor: Position) {
        let (next, pinned) = (Some(cursor), self.pinned);
        *self = TailOut { next, said: next, acked: next, pinned, ..TailOut::default() };
    }

    /// Begins with what is written from now on: what was before comes by comparison.
    pub(crate) fn begin_late(&mut self, closed: &Closed) {
        let (next, floor) = (Some(closed.visible), Some(closed.latest));
        *self = TailOut { next, said: next, floor, pinned: self.pinned, ..TailOut::default() };
    }

    /// What was on its way is lost, or the peer is gone.
    pub(crate) fn stop(&mut self) {
        *self = TailOut { pinned: self.pinned, ..TailOut::default() };
    }

    pub(crate) fn is_on(&self) -> bool {
        self.next.is_some()
    }

    /// Has everything been sent and acknowledged?
    pub(crate) fn is_drained(&self) -> bool {
        self.is_on() && self.at_end && self.in_flight.is_empty() && self.reading.is_none()
    }

    /// From where to read, if it is time to.
    pub(crate) fn read_next(&mut self) -> Option<Position> {
        if self.reading.is_some() || self.at_end || self.bytes_in_flight >= WINDOW_BYTES {
            return None;
        }
        self.reading = self.next;
        self.grew = false;
        self.next
    }

    /// The log has grown.
    pub(crate) fn grew(&mut self) {
        self.at_end = false;
        self.grew = true;
    }

    /// Does this wait for what was read from there? It does not where it began elsewhere meanwhile.
    pub(crate) fn is_reading(&self, from: Position) -> bool {
        self.reading == Some(from)
    }

    /// The store has read; what to send.
    pub(crate) fn read(
        &mut self,
        next: Position,
        tombstones: Vec<Vec<u8>>,
        batches: Vec<Vec<u8>>,
        at_end: bool,
    ) -> Option<TailBatch> {
        self.reading = None;
        self.at_end = at_end && !self.grew;
        self.next = Some(next);
        if tombstones.is_empty() && batches.is_empty() && self.floor.is_none() {
            return None;
        }
        self.say(next, tombstones, batches)
    }

    /// What was read and holds nothing for the peer is passed over with a message of its own, now and then: every store
    /// logs what comes from others, and would keep all others busy with saying so.
    pub(crate) fn pass_over(&mut self) -> Option<TailBatch> {
        let next = self.next.filter(|next| self.said != Some(*next))?;
        self.say(next, Vec::new(), Vec::new())
    }

    fn say(
        &mut self,
        next: Position,
        tombstones: Vec<Vec<u8>>,
        batches: Vec<Vec<u8>>,
    ) -> Option<TailBatch> {
        let from = self.said.replace(next)?;
        let floor = self.floor.take();
        let batch = TailBatch { from, next, floor, tombstones, batches };
        let bytes = batch.tombstones.iter().chain(&batch.batches).map(|b| b.len() + 64).sum();
        self.bytes_in_flight += bytes;
        self.in_flight.push_back((next, bytes));
        Some(batch)
    }

    /// The log could not be read now. Not at once again: with the next pulse.
    pub(crate) fn failed(&mut self) {
        self.reading = None;
        self.at_end = true;
        self.failed = true;
    }

    /// Reads again what could not be read.
    pub(crate) fn retry(&mut self) {
        if core::mem::take(&mut self.failed) {
            self.at_end = false;
        }
    }

    /// The peer has everything before a position.
    pub(crate) fn ack(&mut self, position: Position) {
        while let Some((end, bytes)) = self.in_flight.front().copied() {
            if end.incarnation != position.incarnation || end.offset > position.offset {
                break;
            }
            self.bytes_in_flight = self.bytes_in_flight.saturating_sub(bytes);
            self.in_flight.pop_front();
        }
        let newer = self.acked.is_none_or(|acked| {
            acked.incarnation != position.incarnation || acked.offset < position.offset
        });
        if newer {
            self.acked = Some(position);
        }
    }

    /// The peer lacks what is behind a position.
    pub(crate) fn resend(&mut self, from: Position) {
        if self.next.is_some_and(|next| next.incarnation == from.incarnation) {
            self.begin(from);
        }
    }

    /// Where to move the pin, if that is due.
    pub(crate) fn pin(&mut self) -> Option<Position> {
        let acked = self.acked?;
        let due = self.pinned.is_none_or(|pinned| {
            pinned.incarnation != acked.incarnation
                || acked.offset.saturating_sub(pinned.offset) >= PIN_STEP_BYTES
        });
        if due {
            self.pinned = Some(acked);
            return self.pinned;
        }
        None
    }
}

/// Following the log of one peer.
#[derive(Debug, Default)]
pub(crate) struct TailIn {
    /// Where the next message must begin.
    expected: Option<Position>,
    /// Everything before what was followed has a stamp up to this, and is not known to be here.
    floor: Option<Stamp>,
    /// Heard, and not taken by the store yet.
    waiting: VecDeque<TailBatch>,
    bytes_waiting: usize,
    /// The store is taking this.
    taking: Option<TailBatch>,
    /// When what is missing was asked for.
    asked_at: Option<u64>,
    /// When something was heard last.
    heard_at: u64,
    /// What held nothing was passed over up to here, and nobody was told yet.
    pub(crate) passed: Option<Position>,
    /// The store could not; not before then again.
    pub(crate) retry_at: Option<u64>,
    /// All of the peer's writes up to this stamp are here, as far as the floor lets that be known.
    pub(crate) known: Stamp,
    /// What the peer said last: up to this stamp its writes stand before this position.
    promise: Option<(Stamp, Position)>,
}

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// It waits for the store.
    Waits,
    /// It was here before: say so again.
    Known(Position),
    /// Something is missing before it: what is behind this position, or all.
    Gap(Option<Position>),
    /// It is passed over: what is missing before it was asked for.
    Passed,
    /// More than may be on its way.
    Flood,
}

impl TailIn {
    /// Begins with what the store knows of the peer's log.
    pub(crate) fn begin(&mut self, cursor: Option<Position>, now: u64) {
        *self = TailIn { expected: cursor, heard_at: now, ..TailIn::default() };
    }

    /// Is the peer's log followed from a position before which all is here?
    pub(crate) fn is_whole(&self) -> bool {
        self.expected.is_some() && self.floor.is_none()
    }

    /// Is the peer's log followed at all?
    pub(crate) fn is_on(&self) -> bool {
        self.expected.is_some()
    }

    pub(crate) fn hear(&mut self, batch: TailBatch, now: u64) -> Heard {
        self.heard_at = now;
        if batch.floor.is_some() {
            // The peer begins anew; what waits is part of what it said before.
            self.expected = None;
            self.floor = batch.floor;
            self.known = Stamp::ZERO;
        } else {
            let last = self.waiting.back().or(self.taking.as_ref()).map(|batch| batch.next);
            let Some(expected) = last.or(self.expected) else { return self.gap(None, now) };
            if batch.from != expected {
                let same = batch.from.incarnation == expected.incarnation;
                return match self.expected {
                    Some(done) if same && batch.next.offset <= done.offset => Heard::Known(done),
                    Some(done) if !same || batch.from.offset > expected.offset => {
                        self.gap(Some(done), now)
                    }
                    // In the middle of what waits.
                    _ => Heard::Passed,
                };
            }
        }
        self.asked_at = None;
        self.bytes_waiting += batch.encode_len();
        if self.bytes_waiting > 2 * WINDOW_BYTES + crate::message::TAIL_BYTES_MAX {
            return Heard::Flood;
        }
        self.waiting.push_back(batch);
        Heard::Waits
    }

    /// Is this known to be whole only after a comparison that has not come to its end?
    pub(crate) fn needs_comparison(&self) -> bool {
        self.floor.is_some()
    }

    /// The peer's log goes on behind what was heard of it, and nothing comes: the last message was lost, and none follows
    /// that would show it. Patience is long, for asking means that all is sent again.
    pub(crate) fn is_overdue(&mut self, now: u64, patience: u64) -> Option<Heard> {
        let idle = self.waiting.is_empty() && self.taking.is_none();
        if !idle || now < self.heard_at.saturating_add(patience) {
            return None;
        }
        let promised = self.promise.map(|(_, position)| position)?;
        match self.expected {
            Some(done)
                if done.incarnation == promised.incarnation && done.offset >= promised.offset =>
            {
                None
            }
            done => Some(self.gap(done, now)),
        }
    }

    /// What is missing is asked for once, and again when nothing came of it.
    fn gap(&mut self, from: Option<Position>, now: u64) -> Heard {
        if self.asked_at.is_some_and(|at| now < at + ASK_AGAIN) {
            return Heard::Passed;
        }
        self.asked_at = Some(now);
        Heard::Gap(from)
    }

    /// What the store is to take next, with the position that all before is here then; none: that is not known.
    pub(crate) fn take_next(&mut self, now: u64) -> Option<(&TailBatch, Option<Position>)> {
        if self.taking.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        self.retry_at = None;
        while self.waiting.front().is_some_and(TailBatch::is_empty) {
            self.taking = self.waiting.pop_front();
            self.passed = self.taken();
        }
        let mut batch = self.waiting.pop_front()?;
        let mut bytes = batch.encode_len();
        self.bytes_waiting = self.bytes_waiting.saturating_sub(bytes);
        while let Some(next) =
            self.waiting.pop_front_if(|next| bytes + next.encode_len() <= TAKE_BYTES)
        {
            self.bytes_waiting = self.bytes_waiting.saturating_sub(next.encode_len());
            bytes += next.encode_len();
            batch.next = next.next;
            batch.tombstones.extend(next.tombstones);
            batch.batches.extend(next.batches);
        }
        let cursor = self.floor.is_none().then_some(batch.next);
        self.taking = Some(batch);
        self.taking.as_ref().map(|batch| (batch, cursor))
    }

    /// The store took it; up to where.
    pub(crate) fn taken(&mut self) -> Option<Position> {
        let batch = self.taking.take()?;
        self.expected = Some(batch.next);
        self.keep_promise();
        Some(batch.next)
    }

    /// The store could not take it: again later.
    pub(crate) fn not_taken(&mut self, retry_at: u64) {
        if let Some(batch) = self.taking.take() {
            self.bytes_waiting += batch.encode_len();
            self.waiting.push_front(batch);
        }
        self.retry_at = Some(retry_at);
    }

    /// The peer's writes up to a stamp stand in its log before a position.
    pub(crate) fn promised(&mut self, stamp: Stamp, position: Position) {
        self.promise = Some((stamp, position));
        self.keep_promise();
    }

    fn keep_promise(&mut self) {
        if let (Some((stamp, position)), Some(done)) = (self.promise, self.expected)
            && position.incarnation == done.incarnation
            && position.offset <= done.offset
        {
            self.known = self.known.max(stamp);
        }
    }

    /// A comparison has shown that all of the peer's writes up to a stamp are here; the position before which all is
    /// then known to be, if that is new.
    pub(crate) fn agreed(&mut self, up_to: Stamp) -> Option<Position> {
        if self.floor.is_some_and(|floor| floor <= up_to) && self.taking.is_none() {
            self.floor = None;
            return self.expected;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use tidelog_model::Incarnation;

    fn at(offset: u64) -> Position {
        Position { incarnation: Incarnation([1; 16]), offset }
    }

    #[test]
    fn what_is_logged_while_the_log_is_read_is_read_next() {
        let mut tail = TailOut::default();
        tail.begin(at(0));
        assert_eq!(tail.read_next(), Some(at(0)));
        // The store came to its end before this, and answers after it.
        tail.grew();
        assert!(tail.read(at(10), vec![], vec![vec![0; 8]], true).is_some());
        assert_eq!(tail.read_next(), Some(at(10)));
        assert!(tail.read(at(20), vec![], vec![vec![0; 8]], true).is_some());
        assert_eq!(tail.read_next(), None);
    }

    #[test]
    fn what_could_not_be_read_is_read_with_the_next_pulse() {
        let mut tail = TailOut::default();
        tail.begin(at(0));
        assert_eq!(tail.read_next(), Some(at(0)));
        tail.failed();
        assert_eq!(tail.read_next(), None);
        tail.retry();
        assert_eq!(tail.read_next(), Some(at(0)));
        assert!(tail.read(at(10), vec![], vec![], true).is_none());
        tail.retry();
        assert_eq!(tail.read_next(), None);
    }
}
