//! What a query touched, counted as it does.

use crate::ids::Tier;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one query. Threads add to them.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    rows: AtomicU64,
    /// By tier above raw.
    nodes: [AtomicU64; 4],
}

impl Touched {
    pub(super) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Relaxed);
    }

    pub(super) fn add_node(&self, tier: Tier) {
        if let Some(count) = (tier as usize).checked_sub(1).and_then(|at| self.nodes.get(at)) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn explain(&self) -> Explain {
        let [hours, days, months, years] =
            [0, 1, 2, 3].map(|at: usize| self.nodes[at].load(Relaxed));
        Explain { rows: self.rows.load(Relaxed), leaves: hours, days, months, years }
    }
}

/// What an answer was made of, as far as it was drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Explain {
    /// Rows that were read, before the filter.
    pub rows: u64,
    /// Stored rollups of leaf windows.
    pub leaves: u64,
    /// Stored rollups of UTC days.
    pub days: u64,
    /// Stored rollups of UTC months.
    pub months: u64,
    /// Stored rollups of UTC years.
    pub years: u64,
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explain { rows, leaves, days, months, years } = self;
        write!(f, "{rows} rows, {leaves} leaf, {days} day, {months} month and {years} year rollups")
    }
}
