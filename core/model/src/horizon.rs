//! A horizon: up to which stamp of each origin the cells of two stores are compared.
//!
//! What a store has written since is still on its way to the other one, and is no difference. Bounds stand by
//! origin, because a stamp is only known to be followed by no lesser one in the log of the store that drew it.

use crate::stamp::{Stamp, StoreId, Version};
use alloc::vec::Vec;

/// Bounds by origin; an origin without one is not bounded. The default bounds nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Horizon {
    /// Strictly ascending by origin.
    bounds: Vec<(StoreId, Stamp)>,
}

impl Horizon {
    /// How many origins may have a bound: as many as stores that write to one another.
    pub const ORIGINS_MAX: usize = 64;

    /// A horizon from bounds in any order; of two for one origin the lesser one counts.
    #[must_use]
    pub fn new(bounds: impl IntoIterator<Item = (StoreId, Stamp)>) -> Self {
        let mut bounds: Vec<(StoreId, Stamp)> = bounds.into_iter().collect();
        bounds.sort_unstable();
        bounds.dedup_by_key(|bound| bound.0);
        Horizon { bounds }
    }

    /// The bounds, by origin.
    #[must_use]
    pub fn bounds(&self) -> &[(StoreId, Stamp)] {
        &self.bounds
    }

    /// Is a cell or a delete of this version compared?
    #[must_use]
    pub fn admits(&self, version: Version) -> bool {
        match self.bounds.binary_search_by_key(&version.origin, |bound| bound.0) {
            Ok(at) => version.stamp <= self.bounds[at].1,
            Err(_) => true,
        }
    }

    /// Everything up to this stamp is compared, whoever drew it.
    #[must_use]
    pub fn least(&self) -> Stamp {
        self.bounds.iter().map(|bound| bound.1).min().unwrap_or(Stamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_admitted_up_to_the_bound_of_its_origin() {
        let id = |byte| StoreId([byte; 16]);
        let horizon = Horizon::new([(id(2), Stamp(9)), (id(1), Stamp(5)), (id(2), Stamp(7))]);
        let admits =
            |origin, stamp| horizon.admits(Version { stamp: Stamp(stamp), origin: id(origin) });
        assert!(admits(1, 5) && !admits(1, 6));
        assert!(admits(2, 7) && !admits(2, 8), "the lesser of two bounds");
        assert!(admits(3, u64::MAX), "nothing bounds an origin that is not named");
        assert_eq!(horizon.least(), Stamp(5));
        assert_eq!(Horizon::default().least(), Stamp::MAX);
    }
}
