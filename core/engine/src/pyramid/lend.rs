//! Nodes for a store that has no rows of their windows: those that are stored and true, and made of rows where none is.

use super::dirty::Dirty;
use super::leaves::LeafMaker;
use super::rollups::SeriesNodes;
use super::seal::{Reading, SealError};
use crate::group::ReadError;
use crate::ids::Tier;
use crate::rollup::{Parcel, Rollup, window_of};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidelog_model::{LeafWidth, Stamp, TimeRange};

/// See the module documentation. One collection in one group, at one moment.
pub(crate) struct Lender {
    reading: Reading,
    dirty: Dirty,
    maker: LeafMaker,
    /// Deletes up to this stamp are applied.
    cleaned: Stamp,
}

impl Lender {
    pub(crate) fn new(reading: Reading, dirty: Dirty, cleaned: Stamp) -> Self {
        let maker = LeafMaker::new(reading.leaf, &reading.fields);
        Lender { reading, dirty, maker, cleaned }
    }

    pub(crate) fn leaf(&self) -> LeafWidth {
        self.reading.leaf
    }

    /// The windows of a tier that begin in a range and may hold anything: from the first to the last.
    pub(crate) fn extent(
        &self,
        tier: Tier,
        range: TimeRange,
    ) -> Result<Option<TimeRange>, ReadError> {
        let leaf = self.reading.leaf;
        let kept = TimeRange::inclusive(self.reading.settled.cuts().of(tier), i64::MAX);
        let around = self.reading.extent()?.map(|extent| {
            window_of(tier, extent.first(), leaf).hull(window_of(tier, extent.last(), leaf))
        });
        let parts = around.and_then(|around| around.intersection(range)?.intersection(kept?));
        Ok(parts.and_then(|part| {
            let first = window_of(tier, part.first(), leaf);
            let begins = if first.first() < part.first() {
                first.last().checked_add(1)?
            } else {
                first.first()
            };
            TimeRange::inclusive(begins, part.last())
        }))
    }

    /// The devices that may have anything in a range.
    pub(crate) fn devices(&self, range: TimeRange) -> Result<BTreeSet<Arc<str>>, ReadError> {
        let mut devices = self.reading.devices(range)?;
        devices.extend(self.reading.settled.devices(range)?);
        Ok(devices)
    }

    /// What a device has in windows of a tier, which come in order; those without rows are left out.
    pub(crate) fn parcels(
        &mut self,
        tier: Tier,
        device: &Arc<str>,
        windows: &[TimeRange],
    ) -> Result<Vec<Parcel>, SealError> {
        let (no_leaves, no_parents) = (BTreeSet::new(), BTreeSet::new());
        let leaves = self.dirty.leaves.get(device).unwrap_or(&no_leaves);
        let parents = self.dirty.parents.get(device).unwrap_or(&no_parents);
        let mut nodes = SeriesNodes::new(&self.reading, device, &mut self.maker, None);
        let held = nodes.held(tier, windows, leaves, parents)?;
        let parcel = |(window, rows, rollups): (TimeRange, u64, Vec<Rollup>)| {
            let kept = self.reading.fields.iter().cloned().zip(rollups);
            let (fields, rollups) = kept.filter(|(_, rollup)| !rollup.is_empty()).unzip();
            let (leaf, cleaned) = (self.reading.leaf, self.cleaned);
            Parcel {
                tier,
                leaf,
                window,
                device: Arc::clone(device),
                cleaned,
                rows,
                fields,
                rollups,
            }
        };
        Ok(held.into_iter().map(parcel).collect())
    }
}
