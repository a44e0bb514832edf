//! Rollups that other stores lend: kept beside the own ones, and read only where there are no rows.

use super::Store;
use crate::error::RollupError;
use crate::query::QueryError;
use crate::upkeep::Borrowing;
use tidelog_model::{CollectionName, GroupId};

/// What became of rollups that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Taken {
    /// Rollups that are held now.
    pub taken: u64,
    /// Rollups that were held before.
    pub known: u64,
    /// Rollups of windows that have rows here, are cut off, or were touched by a delete that the lender did not know.
    pub left_out: u64,
}

impl Store {
    /// Takes rollups that another store lends ([`Store::lend`]). Durable when this returns, all of them together. One of a
    /// window and device takes the place of what was lent before. Queries of aggregates read it where no row of the
    /// device is in the window, and say so ([`crate::Explain::borrowed`]); rows, digests, comparisons and exports never
    /// do. It goes when rows of the window come, when a delete touches the window, and when a cut passes it.
    ///
    /// Waits for upkeep that is under way, and for an fsync.
    ///
    /// # Errors
    /// See [`RollupError`]; nothing was taken then.
    pub fn borrow(
        &self,
        group: GroupId,
        name: &CollectionName,
        rollups: &[Vec<u8>],
    ) -> Result<Taken, RollupError> {
        let parcels = self.inner.read_parcels(group, name, rollups)?;
        let Borrowing { taken, left_out } = self.inner.borrow(group, name, parcels)?;
        let known = (rollups.len() as u64).saturating_sub(taken + left_out);
        Ok(Taken { taken, known, left_out })
    }

    /// How many windows of devices are answered from borrowed rollups in a group. Zero costs nothing, else files of rows
    /// are looked into.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn borrowed(&self, group: GroupId) -> Result<u64, QueryError> {
        Ok(self.inner.count_borrowed(group)?)
    }
}
