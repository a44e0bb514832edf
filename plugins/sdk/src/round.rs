//! What most policies ask of a round.

use crate::{Action, Divergence, PeerFacts, Round, Step, StoreId};
use std::cmp::Reverse;

impl Round {
    /// The peer that this comparison is with.
    #[must_use]
    pub fn with(&self) -> Option<&PeerFacts> {
        self.peers.get(self.peer as usize)
    }

    /// The windows by their ends, the latest first; what ends together stays in order.
    pub fn newest_first(&self) -> impl Iterator<Item = u32> + use<> {
        let mut order: Vec<u32> = (0..self.windows.len() as u32).collect();
        order.sort_by_key(|window| Reverse(self.windows[*window as usize].last));
        order.into_iter()
    }
}

impl Divergence {
    /// About how many bytes its repair moves: what one side has more than the other, and a sixteenth of what both have
    /// for finding it.
    #[must_use]
    pub fn to_move(&self) -> u64 {
        let common = self.ours.bytes.min(self.theirs.bytes);
        self.ours.bytes.abs_diff(self.theirs.bytes).saturating_add(common / 16)
    }
}

impl Step {
    /// A window is repaired in both directions.
    #[must_use]
    pub fn both(window: u32, peer: u32) -> Self {
        Step { window, action: Action::Both, peer }
    }
}

impl StoreId {
    /// The id of a number, as `0x0198f2d4...`: its 32 hexadecimal digits as Tidelog prints them.
    #[must_use]
    pub const fn new(number: u128) -> Self {
        StoreId { high: (number >> 64) as u64, low: number as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Side;

    fn window(last: i64, ours: u64, theirs: u64) -> Divergence {
        let side = |bytes| Side { rows: 1, bytes };
        Divergence {
            group: 1,
            collection: 0,
            first: last - 9,
            last,
            devices: 0,
            ours: side(ours),
            theirs: side(theirs),
            age: 0,
            borrowed: false,
        }
    }

    #[test]
    fn the_latest_window_is_first_and_equal_ones_stay_in_order() {
        let windows = [5, 7, 5, 9].map(|last| window(last, 0, 0)).to_vec();
        let round = Round {
            now: 0,
            peer: 0,
            budget: 0,
            max_deferral: 0,
            collections: vec![],
            peers: vec![],
            windows,
        };
        assert_eq!(round.newest_first().collect::<Vec<_>>(), [3, 1, 0, 2]);
        assert_eq!(round.with(), None);
    }

    #[test]
    fn a_repair_moves_the_difference_and_no_number_overflows() {
        assert_eq!(window(0, 160, 1_000).to_move(), 840 + 10);
        assert_eq!(window(0, 0, u64::MAX).to_move(), u64::MAX);
        assert_eq!(window(0, u64::MAX, u64::MAX).to_move(), u64::MAX / 16);
    }

    #[test]
    fn an_id_is_its_hexadecimal_digits() {
        let id = StoreId::new(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        assert_eq!((id.high, id.low), (0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10));
    }
}
