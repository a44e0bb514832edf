//! Time that moves when told to, and ids drawn from a seed.

use crate::random::SplitMix;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_engine::clock::{Clock, Entropy};

/// A clock and a source of ids that repeat exactly. Clones share both, so that a store which is
/// opened again after a crash draws other ids than before, as a real one would.
#[derive(Clone, Debug)]
pub struct SimClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    wall_millis: u64,
    ids: SplitMix,
    fails: bool,
}

impl SimClock {
    /// A clock that stands at `wall_millis`, with ids from `seed`.
    #[must_use]
    pub fn new(wall_millis: u64, seed: u64) -> Self {
        let ids = SplitMix::new(seed);
        SimClock(Arc::new(Mutex::new(State { wall_millis, ids, fails: false })))
    }

    /// Sets the wall clock, forward or back.
    pub fn set(&self, wall_millis: u64) {
        self.with(|state| state.wall_millis = wall_millis);
    }

    /// Moves the wall clock forward.
    pub fn advance(&self, millis: u64) {
        self.with(|state| state.wall_millis = state.wall_millis.saturating_add(millis));
    }

    /// From now on ids can be had, or cannot.
    pub fn fail_ids(&self, fails: bool) {
        self.with(|state| state.fails = fails);
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for SimClock {
    fn wall_millis(&self) -> u64 {
        self.with(|state| state.wall_millis)
    }
}

impl Entropy for SimClock {
    fn id(&self) -> io::Result<[u8; 16]> {
        self.with(|state| {
            if state.fails {
                return Err(io::Error::other("the simulated system has no randomness"));
            }
            let both = (u128::from(state.ids.draw()) << 64) | u128::from(state.ids.draw());
            Ok(both.to_be_bytes())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_ids_and_never_one_twice() {
        let (a, b) = (SimClock::new(7, 1), SimClock::new(7, 1));
        let again = a.clone();
        let ids = [a.id().unwrap(), again.id().unwrap()];
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids, [b.id().unwrap(), b.id().unwrap()]);
        again.advance(3);
        assert_eq!(a.wall_millis(), 10);
        a.fail_ids(true);
        assert!(a.id().is_err());
    }
}
