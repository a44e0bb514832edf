//! What is settled of one collection in one group: where rows are gone, the nodes that stand for them.
//!
//! They are data. A delete that is newer than a node hides it, or some of its fields, when it covers all of its
//! window; one that covers a part is refused when it is made.

use super::stored::{Stored, StoredNode};
use crate::files::OpenNodes;
use crate::group::ReadError;
use crate::ids::Tier;
use crate::nodes::NodeCache;
use crate::retention::Cuts;
use crate::rollup::{Parcel, Wants, digest_of, window_of};
use crate::rows::FieldKey;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidelog_model::digest::TreeHasher;
use tidelog_model::{CollectionName, Digest, LeafWidth, TimeRange, Tombstone};

/// The tiers that can be settled, in the order of time: what is older is coarser.
const OLDEST_FIRST: [Tier; 4] = [Tier::Year, Tier::Month, Tier::Day, Tier::Hour];

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Settled {
    cuts: Cuts,
    leaf: LeafWidth,
    stored: Stored,
    /// Those that concern the collection.
    tombstones: Vec<Arc<Tombstone>>,
}

impl Settled {
    pub(crate) fn new(
        name: &CollectionName,
        leaf: LeafWidth,
        cuts: Cuts,
        files: &[OpenNodes],
        tombstones: &[Arc<Tombstone>],
        cache: &Arc<NodeCache>,
    ) -> Result<Self, ReadError> {
        let stored = Stored::new(name, leaf, files, cache).map_err(ReadError::of_settled)?;
        Ok(Settled { cuts, leaf, stored, tombstones: tombstones.to_vec() })
    }

    pub(crate) fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// The devices that may have nodes in a range, sorted.
    pub(crate) fn devices(&self, range: TimeRange) -> Result<BTreeSet<Arc<str>>, ReadError> {
        let Some(range) = self.below(range).filter(|_| !self.stored.is_empty()) else {
            return Ok(BTreeSet::new());
        };
        let mut devices = self.stored.devices().map_err(ReadError::of_settled)?;
        let Some(all) = self.stored.range() else { return Ok(BTreeSet::new()) };
        if !range.covers(all) {
            let mut kept = BTreeSet::new();
            for device in devices {
                if !self.nodes(&device, range, &[])?.is_empty() {
                    kept.insert(device);
                }
            }
            devices = kept;
        }
        Ok(devices)
    }

    /// The nodes of a device whose windows overlap a range, in order of time, with their tiers: those that are
    /// hidden are left out.
    pub(crate) fn nodes(
        &self,
        device: &str,
        range: TimeRange,
        fields: &[FieldKey],
    ) -> Result<Vec<(Tier, StoredNode)>, ReadError> {
        let mut found = Vec::new();
        if self.stored.is_empty() {
            return Ok(found);
        }
        for tier in OLDEST_FIRST {
            let Some(region) = self.cuts.settled(tier) else { continue };
            let Some(part) = region.intersection(range) else { continue };
            let first = window_of(tier, part.first(), self.leaf);
            let around = first.hull(window_of(tier, part.last(), self.leaf));
            let nodes = self.stored.nodes(tier, device, around, fields);
            for mut node in nodes.map_err(ReadError::of_settled)? {
                if self.hide(device, &mut node, fields) {
                    found.push((tier, node));
                }
            }
        }
        Ok(found)
    }

    /// Takes what deletes hide out of a node; is anything left?
    fn hide(&self, device: &str, node: &mut StoredNode, fields: &[FieldKey]) -> bool {
        for tombstone in &self.tombstones {
            let hides = tombstone.version.stamp > node.cleaned
                && tombstone.range.covers(node.window)
                && tombstone.devices.matches(device);
            if !hides {
                continue;
            }
            match &tombstone.fields {
                None => return false,
                Some(names) => node.forget(fields, |field| names.contains(&field.name)),
            }
        }
        node.rows > 0
    }

    /// Takes what deletes hide out of a node that comes from elsewhere; is anything left?
    pub(crate) fn clean(&self, parcel: &mut Parcel) -> bool {
        for tombstone in &self.tombstones {
            let hides = tombstone.version.stamp > parcel.cleaned
                && tombstone.range.covers(parcel.window)
                && tombstone.devices.matches(&parcel.device);
            match &tombstone.fields {
                None if hides => return false,
                Some(names) if hides => parcel.forget(|field| names.contains(&field.name)),
                _ => {}
            }
        }
        true
    }

    /// The digest that stands for a node.
    pub(crate) fn digest(
        hasher: &mut TreeHasher,
        tier: Tier,
        device: &str,
        node: &StoredNode,
        fields: &[FieldKey],
    ) -> Result<Digest, ReadError> {
        let rollups = node.rollups(fields, Wants::ALL).map_err(ReadError::of_settled)?;
        Ok(digest_of(hasher, (tier, node.window), device, (node.rows, fields, &rollups)))
    }

    /// From the first to the last window of nodes.
    pub(crate) fn extent(&self) -> Option<TimeRange> {
        self.stored.range().and_then(|range| self.below(range))
    }

    /// The part of a range where rows are gone and something is kept.
    pub(crate) fn below(&self, range: TimeRange) -> Option<TimeRange> {
        let last = self.cuts.of(Tier::Raw).checked_sub(1)?;
        TimeRange::inclusive(self.cuts.of(Tier::Year), last)?.intersection(range)
    }
}
