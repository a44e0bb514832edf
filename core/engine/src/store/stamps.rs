//! Drawing stamps: never above the ceiling that the manifest holds, and known while in flight.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tidelog_model::{Stamp, StampClock};

/// The ceiling is raised in steps of this many milliseconds.
pub(super) const CEILING_STEP_MILLIS: u64 = 10_000;

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
}

/// A stamp, or the ceiling that must be made durable first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drawn {
    Stamp(Stamp),
    Raise(Stamp),
}

impl Stamps {
    pub(super) fn new(last: Stamp, ceiling: Stamp) -> Self {
        let state = State { clock: StampClock::after(last), ceiling, in_flight: BTreeMap::new() };
        Stamps { state: Mutex::new(state) }
    }

    /// Draws a stamp and notes it as in flight.
    pub(super) fn draw(&self, wall_millis: u64) -> Drawn {
        let mut state = self.lock();
        let mut clock = state.clock;
        let stamp = clock.draw(wall_millis);
        if stamp > state.ceiling {
            return Drawn::Raise(Stamp::from_millis(stamp.millis() + CEILING_STEP_MILLIS));
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
        let stamp = state.in_flight.keys().next().copied();
        (stamp, state.in_flight.values().flatten().min().copied())
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
