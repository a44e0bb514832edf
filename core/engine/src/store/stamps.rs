//! Drawing stamps: never above the ceiling that the manifest holds, and known while in flight.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tidelog_model::{Stamp, StampClock};

/// The ceiling is raised in steps of this many milliseconds.
pub(super) const CEILING_STEP_MILLIS: u64 = 10_000;

/// Stamps that run ahead of the wall clock, as after a crash, get room in steps of this many milliseconds: a store that
/// crashes again and again must not run away from its peers.
const AHEAD_STEP_MILLIS: u64 = 100;

/// The ceiling under which stamps from this one on can be drawn for a while.
pub(super) fn ceiling_after(stamp: Stamp, wall_millis: u64) -> Stamp {
    let near = wall_millis + CEILING_STEP_MILLIS;
    Stamp::from_millis(near.max(stamp.millis() + AHEAD_STEP_MILLIS))
}

/// Stamps drawn and writes in flight: those whose rows are not in memory yet.
#[derive(Debug)]
pub(crate) struct Stamps {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    clock: StampClock,
    ceiling: Stamp,
    /// By stamp: where the write's frame starts, once it is in the log.
    in_flight: BTreeMap<Stamp, Option<u64>>,
    /// What comes from other stores and is not in memory yet, by number: where its frame starts.
    arriving: BTreeMap<u64, Option<u64>>,
    next_arrival: u64,
}

impl State {
    /// Where frames start that are not in memory yet.
    fn starts(&self) -> impl Iterator<Item = u64> + '_ {
        self.in_flight.values().chain(self.arriving.values()).flatten().copied()
    }
}

/// A stamp, or the ceiling that must be made durable first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drawn {
    Stamp(Stamp),
    Raise(Stamp),
}

impl Stamps {
    pub(super) fn new(last: Stamp, ceiling: Stamp) -> Self {
        let state = State {
            clock: StampClock::after(last),
            ceiling,
            in_flight: BTreeMap::new(),
            arriving: BTreeMap::new(),
            next_arrival: 0,
        };
        Stamps { state: Mutex::new(state) }
    }

    /// Draws a stamp and notes it as in flight.
    pub(super) fn draw(&self, wall_millis: u64) -> Drawn {
        let mut state = self.lock();
        let mut clock = state.clock;
        let stamp = clock.draw(wall_millis);
        if stamp > state.ceiling {
            return Drawn::Raise(ceiling_after(stamp, wall_millis));
        }
        state.clock = clock;
        state.in_flight.insert(stamp, None);
        Drawn::Stamp(stamp)
    }

    /// The manifest holds this ceiling now.
    pub(super) fn raised(&self, ceiling: Stamp) {
        let mut state = self.lock();
        state.ceiling = state.ceiling.max(ceiling);
    }

    /// The write with this stamp is in the log.
    pub(super) fn logged(&self, stamp: Stamp, start: u64) {
        self.lock().in_flight.insert(stamp, Some(start));
    }

    /// The write with this stamp is in memory, or will never be.
    pub(super) fn landed(&self, stamp: Stamp) {
        self.lock().in_flight.remove(&stamp);
    }

    /// The least stamp in flight, and the least place in the log of any: all frames before it are in
    /// memory, given that the end of the log was read before.
    pub(crate) fn in_flight(&self) -> (Option<Stamp>, Option<u64>) {
        let state = self.lock();
        // What arrives may have any stamp.
        let stamp = match state.arriving.is_empty() {
            true => state.in_flight.keys().next().copied(),
            false => Some(Stamp::ZERO),
        };
        (stamp, state.starts().min())
    }

    /// Something comes from another store; its number.
    pub(super) fn arrive(&self) -> u64 {
        let mut state = self.lock();
        let number = state.next_arrival;
        state.next_arrival += 1;
        state.arriving.insert(number, None);
        number
    }

    /// What arrives is in the log.
    pub(super) fn arrival_logged(&self, number: u64, start: u64) {
        self.lock().arriving.insert(number, Some(start));
    }

    /// What arrived is in memory, or will never be.
    pub(super) fn arrived(&self, number: u64) {
        self.lock().arriving.remove(&number);
    }

    /// Stamps drawn from now on are greater than this one.
    pub(super) fn observe(&self, seen: Stamp) {
        self.lock().clock.observe(seen);
    }

    /// No write of this store with a stamp up to this one is still to come into the log or into memory. A store
    /// that is not written to closes with the wall clock.
    pub(super) fn close_up(&self, wall_millis: u64) -> Stamp {
        let mut state = self.lock();
        match state.in_flight.keys().next() {
            Some(least) => Stamp(least.0.saturating_sub(1)),
            None => {
                state.clock.observe(Stamp::from_millis(wall_millis));
                state.clock.last()
            }
        }
    }

    /// The latest stamp drawn.
    pub(crate) fn last(&self) -> Stamp {
        self.lock().clock.last()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stamp_passes_the_ceiling() {
        let stamps = Stamps::new(Stamp::ZERO, Stamp::ZERO);
        let Drawn::Raise(ceiling) = stamps.draw(1_000) else { panic!("nothing was reserved") };
        stamps.raised(ceiling);
        let Drawn::Stamp(stamp) = stamps.draw(1_000) else { panic!("there is room") };
        assert!(stamp <= ceiling);
        assert!(matches!(stamps.draw(1_000 + CEILING_STEP_MILLIS), Drawn::Stamp(_)));
        assert!(matches!(stamps.draw(1_001 + CEILING_STEP_MILLIS), Drawn::Raise(_)));
    }

    #[test]
    fn writes_in_flight_hold_the_log_back() {
        let stamps = Stamps::new(Stamp::ZERO, Stamp::MAX);
        let draw = || match stamps.draw(5) {
            Drawn::Stamp(stamp) => stamp,
            Drawn::Raise(_) => panic!("the ceiling is far"),
        };
        let (first, second) = (draw(), draw());
        stamps.logged(second, 100);
        assert_eq!(stamps.in_flight(), (Some(first), Some(100)));
        stamps.logged(first, 200);
        stamps.landed(second);
        assert_eq!(stamps.in_flight(), (Some(first), Some(200)));
        stamps.landed(first);
        assert_eq!(stamps.in_flight(), (None, None));
    }
}
