//! Room in memory: what a write takes is reserved before it is logged, so that rows stay within the budget however
//! many writes are on their way, and whatever their size.
//!
//! Invariant: rows in memory and what is reserved are within the budget together, up to what chunks hold ready.
//! Threads: one lock, held for moments; it is taken before that of memory.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Room {
    budget: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of writes that are not in memory yet.
    reserved: usize,
    /// Bytes of the largest write that waits.
    wanted: usize,
    /// Why the last flush failed; cleared by one that did not.
    failure: Option<String>,
}

impl Room {
    pub(crate) fn new(budget: usize) -> Self {
        Room { budget, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Reserves bytes beside those that are `used`, if there are as many.
    pub(crate) fn take(&self, bytes: usize, used: impl FnOnce() -> usize) -> bool {
        let mut state = self.lock();
        let fits = used().saturating_add(state.reserved).saturating_add(bytes) <= self.budget;
        if fits {
            state.reserved += bytes;
        }
        fits
    }

    /// The write is in memory, or will never be.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut state = self.lock();
        state.reserved = state.reserved.saturating_sub(bytes);
        if state.wanted > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for a moment, unless the last flush failed: then why. `act` sees to it that something is done
    /// meanwhile, and is told whether writes on their way hold room.
    pub(crate) fn wait(&self, bytes: usize, act: impl FnOnce(bool)) -> Result<(), String> {
        let mut state = self.lock();
        if let Some(what) = &state.failure {
            return Err(what.clone());
        }
        state.wanted = state.wanted.max(bytes);
        act(state.reserved > 0);
        // Woken by a flush or a write that landed; the timeout only bounds a wake-up that was missed.
        let _ = self.changed.wait_timeout(state, Duration::from_millis(50));
        Ok(())
    }

    /// Would a write that waits still lack room when nothing but `active` is in memory?
    pub(crate) fn is_short_beside(&self, active: usize) -> bool {
        let state = self.lock();
        state.wanted > 0 && active + state.reserved + state.wanted > self.budget
    }

    /// A flush ended: whoever waits looks again.
    pub(crate) fn flush_ended(&self, failure: Option<String>) {
        let mut state = self.lock();
        state.failure = failure;
        state.wanted = 0;
        self.changed.notify_all();
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// The store is closing.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
