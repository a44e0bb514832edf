//! What all peers agreed on, told to the store a while later.
//!
//! A store may level the stamps of what was agreed on: a page then has the greatest of its stamps. A comparison whose horizon lies
//! between those stamps would find such rows on one side only, and send them. Peers tell horizons by what they heard a moment
//! ago, and a comparison keeps its own for as long as it goes on; so what is levelled is older than those.

use std::collections::VecDeque;
use tidelog_model::Stamp;

/// Longer than a comparison that nothing is heard of is kept, twice 15 s, and than pulses are apart.
const HELD_MILLIS: u64 = 60_000;

/// Stamps with the time at which they were agreed on, both ascending.
#[derive(Debug, Default)]
pub(super) struct HeldBack(VecDeque<(u64, Stamp)>);

impl HeldBack {
    pub(super) fn agreed(&mut self, now: u64, stamp: Stamp) {
        // One a second is enough to go by.
        if self.0.back().is_none_or(|(at, _)| now >= at + 1_000) {
            self.0.push_back((now, stamp));
        }
    }

    /// The greatest stamp that was agreed on long enough ago, once.
    pub(super) fn due(&mut self, now: u64) -> Option<Stamp> {
        let due = self.0.iter().take_while(|(at, _)| at + HELD_MILLIS <= now).count();
        self.0.drain(..due).next_back().map(|(_, stamp)| stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_on_is_told_a_minute_later_and_once() {
        let mut held = HeldBack::default();
        for second in 0..120 {
            held.agreed(second * 1_000, Stamp(second));
            held.agreed(second * 1_000 + 999, Stamp(second));
        }
        assert_eq!(held.due(59_999), None);
        assert_eq!(held.due(60_000), Some(Stamp(0)));
        assert_eq!(held.due(60_999), None);
        assert_eq!(held.due(70_500), Some(Stamp(10)));
        assert_eq!(held.due(1_000_000), Some(Stamp(119)));
        assert_eq!(held.due(1_000_000), None);
    }
}
