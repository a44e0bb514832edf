//! What a query touched, counted as it does.

use crate::ids::Tier;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use tidelog_model::Level;

/// Counters of one query. Threads add to them.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    rows: AtomicU64,
    /// By tier above raw.
    nodes: [AtomicU64; 4],
    nearest: AtomicU64,
    borrowed: AtomicU64,
    /// The coarsest tier of those, as a number.
    coarsest: AtomicU8,
    rows_from: Option<i64>,
}

impl Touched {
    pub(super) fn new(rows_from: Option<i64>) -> Self {
        Touched { rows_from, ..Touched::default() }
    }

    pub(super) fn add_nearest(&self) {
        self.nearest.fetch_add(1, Relaxed);
    }

    pub(super) fn add_borrowed(&self, tier: Tier) {
        self.borrowed.fetch_add(1, Relaxed);
        self.coarsest.fetch_max(tier as u8, Relaxed);
    }

    pub(super) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Relaxed);
    }

    pub(super) fn add_node(&self, tier: Tier) {
        self.add_nodes(tier, 1);
    }

    pub(super) fn add_nodes(&self, tier: Tier, nodes: usize) {
        if let Some(count) = (tier as usize).checked_sub(1).and_then(|at| self.nodes.get(at)) {
            count.fetch_add(nodes as u64, Relaxed);
        }
    }

    pub(super) fn explain(&self) -> Explain {
        let [hours, days, months, years] =
            [0, 1, 2, 3].map(|at: usize| self.nodes[at].load(Relaxed));
        Explain {
            rows: self.rows.load(Relaxed),
            leaves: hours,
            days,
            months,
            years,
            nearest: self.nearest.load(Relaxed),
            borrowed: self.borrowed.load(Relaxed),
            borrowed_level: Tier::from_number(self.coarsest.load(Relaxed))
                .filter(|tier| *tier != Tier::Raw)
                .map(Tier::level),
            rows_from: self.rows_from,
        }
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
    /// Of these rollups, those that were taken for the nearest window because no exact answer is left.
    pub nearest: u64,
    /// Of these rollups, those that other stores lent, because the rows of their windows are not here.
    pub borrowed: u64,
    /// The coarsest level of those: finer windows could not be told of there.
    pub borrowed_level: Option<Level>,
    /// The range that was asked for reaches further back than rows are kept: this is the first nanosecond they are
    /// kept from. What the answer says of times before comes from rollups; it has no rows of them.
    pub rows_from: Option<i64>,
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explain { rows, leaves, days, months, years, nearest, .. } = self;
        write!(
            f,
            "{rows} rows, {leaves} leaf, {days} day, {months} month and {years} year rollups"
        )?;
        if *nearest > 0 {
            write!(f, ", {nearest} of them in the nearest window")?;
        }
        if let Some(level) = self.borrowed_level {
            write!(f, ", {} of them borrowed, the coarsest a {level}'s", self.borrowed)?;
        }
        match self.rows_from {
            Some(rows_from) => write!(f, "; rows are kept from {rows_from} ns on"),
            None => Ok(()),
        }
    }
}
