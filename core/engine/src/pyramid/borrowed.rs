//! What other stores lent of one collection in one group: nodes of windows whose rows are not here.
//!
//! They are no data. A node counts where there is no row of its device in its window, as long as no delete has touched the
//! window since it was made, and no cut has passed it; digests, trees and comparisons never see it.

use super::stored::{Stored, StoredNode};
use crate::codec::Scratch;
use crate::files::OpenNodes;
use crate::group::ReadError;
use crate::ids::Tier;
use crate::nodes::NodeCache;
use crate::retention::Cuts;
use crate::rollup::Parcel;
use crate::rows::FieldKey;
use crate::scan::Scan;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidelog_model::{CollectionName, LeafWidth, Stamp, TimeRange, Tombstone};

/// The tiers, coarse to fine.
const COARSEST_FIRST: [Tier; 4] = [Tier::Year, Tier::Month, Tier::Day, Tier::Hour];

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Borrowed {
    cuts: Cuts,
    stored: Stored,
    /// Those that concern the collection.
    tombstones: Vec<Arc<Tombstone>>,
}

/// Reads the rows of one device.
pub(crate) type RowsOf<'a> = &'a mut dyn FnMut(TimeRange) -> Result<Scan, ReadError>;

impl Borrowed {
    pub(crate) fn new(
        name: &CollectionName,
        leaf: LeafWidth,
        cuts: Cuts,
        files: &[OpenNodes],
        tombstones: &[Arc<Tombstone>],
        cache: &Arc<NodeCache>,
    ) -> Result<Self, ReadError> {
        let stored = Stored::new(name, leaf, files, cache)?;
        Ok(Borrowed { cuts, stored, tombstones: tombstones.to_vec() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// The devices that have nodes in a range, whether or not they count, sorted.
    pub(crate) fn devices(&self, range: TimeRange) -> Result<BTreeSet<Arc<str>>, ReadError> {
        let mut devices = self.stored.devices()?;
        if self.stored.range().is_some_and(|all| range.covers(all)) {
            return Ok(devices);
        }
        let mut failed = Ok(());
        devices.retain(|device| {
            let any = COARSEST_FIRST.iter().try_fold(false, |any, tier| {
                Ok(any || !self.nodes(*tier, device, range, &[])?.is_empty())
            });
            any.unwrap_or_else(|error| {
                failed = Err(error);
                false
            })
        });
        failed.map(|()| devices)
    }

    /// The nodes of a device in a range that no delete has touched and no cut has passed.
    fn nodes(
        &self,
        tier: Tier,
        device: &str,
        range: TimeRange,
        fields: &[FieldKey],
    ) -> Result<Vec<StoredNode>, ReadError> {
        let mut nodes = self.stored.nodes(tier, device, range, fields)?;
        nodes.retain(|node| self.stands(device, node.window, node.cleaned));
        Ok(nodes)
    }

    /// Has no delete touched a window, nor a cut passed it?
    fn stands(&self, device: &str, window: TimeRange, cleaned: Stamp) -> bool {
        self.cuts.rows().covers(window)
            && !self.tombstones.iter().any(|tombstone| {
                tombstone.version.stamp > cleaned
                    && tombstone.range.overlaps(window)
                    && tombstone.devices.matches(device)
            })
    }

    /// Would a node count, rows apart?
    pub(crate) fn admits(&self, parcel: &Parcel) -> bool {
        self.stands(&parcel.device, parcel.window, parcel.cleaned)
    }

    /// The node of a device in a window, if there is one.
    pub(crate) fn node(
        &self,
        tier: Tier,
        device: &str,
        window: TimeRange,
        fields: &[FieldKey],
    ) -> Result<Option<StoredNode>, ReadError> {
        Ok(self.nodes(tier, device, window, fields)?.pop())
    }

    /// The nodes of a tier that count.
    pub(crate) fn of_tier(
        &self,
        tier: Tier,
        (device, range): (&str, TimeRange),
        fields: &[FieldKey],
        rows: RowsOf<'_>,
        scratch: &mut Scratch,
    ) -> Result<Vec<StoredNode>, ReadError> {
        let mut nodes = self.nodes(tier, device, range, fields)?;
        let windows: Vec<TimeRange> = nodes.iter().map(|node| node.window).collect();
        let taken = with_rows(&windows, rows, scratch)?;
        nodes.retain(|node| !taken.contains(&node.window.first()));
        Ok(nodes)
    }

    /// The nodes of a device that count in a range, in order of time: coarse ones go before finer ones. `fits` says which
    /// can be used.
    pub(crate) fn counting(
        &self,
        (device, range): (&str, TimeRange),
        fields: &[FieldKey],
        fits: &mut dyn FnMut(&StoredNode) -> Result<bool, ReadError>,
        rows: RowsOf<'_>,
        scratch: &mut Scratch,
    ) -> Result<Vec<(Tier, StoredNode)>, ReadError> {
        let mut found: Vec<(Tier, StoredNode)> = Vec::new();
        for tier in COARSEST_FIRST {
            let mut finer = Vec::new();
            for node in self.of_tier(tier, (device, range), fields, rows, scratch)? {
                let at =
                    found.partition_point(|(_, coarse)| coarse.window.last() < node.window.first());
                let inside =
                    found.get(at).is_some_and(|(_, coarse)| coarse.window.overlaps(node.window));
                if !inside && fits(&node)? {
                    finer.push((tier, node));
                }
            }
            found.append(&mut finer);
            found.sort_by_key(|(_, node)| node.window.first());
        }
        Ok(found)
    }
}

/// The starts of those of some windows, in order and apart from each other, in which a device has rows.
pub(crate) fn with_rows(
    windows: &[TimeRange],
    rows: RowsOf<'_>,
    scratch: &mut Scratch,
) -> Result<BTreeSet<i64>, ReadError> {
    let mut taken = BTreeSet::new();
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return Ok(taken) };
    let mut scan = rows(first.hull(*last))?;
    scan.only(windows);
    while let Some(rows) = scan.next(&[], scratch)? {
        let mut at = 0;
        for time in &rows.times {
            while windows.get(at).is_some_and(|window| window.last() < *time) {
                at += 1;
            }
            let Some(window) = windows.get(at) else { return Ok(taken) };
            if window.contains(*time) {
                taken.insert(window.first());
            }
        }
    }
    Ok(taken)
}
