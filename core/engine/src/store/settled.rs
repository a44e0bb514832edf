//! What stands for rows that retention has cut away, told to other stores, given to them, and taken from them.
//!
//! Comparisons of rows leave it out, for there are no rows. Two stores that settled a window from different rows say so by
//! their claims; of two nodes for one window and device the greater wins on both sides.

use super::Store;
use super::digest::Moment;
use crate::error::RollupError;
use crate::ids::Tier;
use crate::pyramid::{Settled, StoredNode};
use crate::query::QueryError;
use crate::rollup::{Parcel, Wants, window_of};
use crate::rows::FieldKey;
use crate::upkeep::Takings;
use std::sync::Arc;
use tidelog_model::digest::TreeHasher;
use tidelog_model::{CollectionName, Digest, GroupId, LeafWidth, Level, TimeRange};

/// That a store holds a settled node, and which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettledClaim {
    /// [`Level::Window`] to [`Level::Year`]: of what the window is one.
    pub level: Level,
    /// The window.
    pub window: TimeRange,
    /// The device, canonical.
    pub device: Arc<str>,
    /// Rows that it stands for. Of two claims the one with the greater (rows, digest) wins.
    pub rows: u64,
    /// Of all that it says.
    pub digest: Digest,
}

/// Claims, by start of their windows, then device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SettledClaims {
    /// The claims.
    pub claims: Vec<SettledClaim>,
    /// There are more behind the last of them.
    pub more: bool,
}

/// Settled nodes on their way to another store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SettledNodes {
    /// Each the bytes of one node, for [`Store::take_settled`].
    pub nodes: Vec<Vec<u8>>,
    /// How many of those that were asked for were looked at; the rest did not fit.
    pub done: usize,
}

/// What became of settled nodes that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SettledTaken {
    /// Nodes that are held now.
    pub taken: u64,
    /// Nodes that lost against what is here, or are the same.
    pub known: u64,
    /// Nodes whose windows are not settled here at that level, or are deleted.
    pub left_out: u64,
}

impl Store {
    /// The settled nodes of a collection in a group whose windows begin in a range, behind a place (start of the window and
    /// device): `max` of them at most, and one at least. Deleted ones are not among them. Reads files, a stretch of time after the other.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn settled_claims(
        &self,
        group: GroupId,
        name: &CollectionName,
        range: TimeRange,
        after: Option<(i64, &str)>,
        max: usize,
    ) -> Result<SettledClaims, QueryError> {
        let moment = Moment::of(&self.inner, name)?;
        let leaf = moment.leaf.unwrap_or_default();
        let (settled, fields) = moment.settled(&self.inner, name, group)?;
        let mut found = SettledClaims::default();
        let mut hasher = TreeHasher::new();
        let rest = after.map_or(Some(range), |(start, _)| {
            TimeRange::inclusive(start.max(range.first()), range.last())
        });
        let extent = rest.and_then(|rest| settled.extent()?.intersection(rest));
        let mut next = extent.map(|extent| extent.first());
        while let (Some(from), Some(extent)) = (next, extent) {
            let stretch = stretch_at(from, &settled, leaf);
            let part = TimeRange::inclusive(from, stretch.last().min(extent.last()));
            let Some(part) = part else { break };
            let mut claims = claims_in(&settled, part, &fields, &mut hasher)?;
            claims.retain(|claim| {
                let place = (claim.window.first(), &*claim.device);
                after.is_none_or(|after| place > after)
            });
            let room = max.max(1) - found.claims.len();
            found.more = claims.len() > room;
            claims.truncate(room);
            found.claims.append(&mut claims);
            if found.more {
                break;
            }
            next = part.last().checked_add(1).filter(|next| *next <= extent.last());
        }
        Ok(found)
    }

    /// The settled nodes of a collection in a group at some places (start of the window and device), in the order they are
    /// asked for, about `bytes_max` bytes of them and one at least. What is not there, or not any more, is passed over.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn settled_nodes(
        &self,
        group: GroupId,
        name: &CollectionName,
        wanted: &[(i64, &str)],
        bytes_max: usize,
    ) -> Result<SettledNodes, QueryError> {
        let moment = Moment::of(&self.inner, name)?;
        let leaf = moment.leaf.unwrap_or_default();
        let (settled, fields) = moment.settled(&self.inner, name, group)?;
        let mut found = SettledNodes::default();
        let (mut hasher, mut bytes) = (TreeHasher::new(), 0);
        for (start, device) in wanted {
            if bytes >= bytes_max && !found.nodes.is_empty() {
                break;
            }
            found.done += 1;
            let at = TimeRange::inclusive(*start, *start).unwrap_or(TimeRange::ALL);
            let nodes = settled.nodes(device, at, &fields)?;
            let Some((tier, node)) = nodes.iter().find(|(_, n)| n.window.first() == *start) else {
                continue;
            };
            let parcel = parcel_of((*tier, node), device, leaf, &fields)?;
            let encoded = parcel.encode(&mut hasher);
            bytes += encoded.len();
            found.nodes.push(encoded);
        }
        Ok(found)
    }

    /// Takes settled nodes of another store: of two for one level, window and device the one with the greater (rows, digest)
    /// stays, whichever came first, so that stores that have exchanged theirs hold the same. Durable when this returns,
    /// all of them together. A node is taken where this store has cut its rows away and keeps nodes of that level; what is
    /// deleted here is not brought back.
    ///
    /// Waits for upkeep that is under way, and for an fsync.
    ///
    /// # Errors
    /// See [`RollupError`]; nothing was taken then.
    pub fn take_settled(
        &self,
        group: GroupId,
        name: &CollectionName,
        nodes: &[Vec<u8>],
    ) -> Result<SettledTaken, RollupError> {
        let parcels = self.inner.read_parcels(group, name, nodes)?;
        let sent = nodes.len() as u64;
        let Takings { taken, left_out } = self.inner.take_settled(group, name, parcels)?;
        let known = sent.saturating_sub(taken + left_out);
        Ok(SettledTaken { taken, known, left_out })
    }
}

/// A stretch of time that is looked at in one go: some dozen windows of what is settled there.
fn stretch_at(time: i64, settled: &Settled, leaf: LeafWidth) -> TimeRange {
    let coarser = match settled.cuts().finest(time) {
        Some(Tier::Raw | Tier::Hour) => Tier::Day,
        Some(Tier::Day) => Tier::Month,
        _ => Tier::Year,
    };
    window_of(coarser, time, leaf)
}

/// The claims whose windows begin in a range, in order.
fn claims_in(
    settled: &Settled,
    range: TimeRange,
    fields: &[FieldKey],
    hasher: &mut TreeHasher,
) -> Result<Vec<SettledClaim>, QueryError> {
    let mut claims = Vec::new();
    for device in settled.devices(range)? {
        for (tier, node) in settled.nodes(&device, range, fields)? {
            if !range.contains(node.window.first()) {
                continue;
            }
            let digest = Settled::digest(hasher, tier, &device, &node, fields)?;
            let (device, rows) = (Arc::clone(&device), node.rows);
            let (level, window) = (tier.level(), node.window);
            claims.push(SettledClaim { level, window, device, rows, digest });
        }
    }
    claims.sort_by(|a, b| (a.window.first(), &a.device).cmp(&(b.window.first(), &b.device)));
    Ok(claims)
}

/// A stored node as it travels: its fields without values are left behind.
pub(super) fn parcel_of(
    (tier, node): (Tier, &StoredNode),
    device: &str,
    leaf: LeafWidth,
    fields: &[FieldKey],
) -> Result<Parcel, QueryError> {
    let rollups = node.rollups(fields, Wants::ALL)?.into_iter();
    let kept = fields.iter().cloned().zip(rollups).filter(|(_, rollup)| !rollup.is_empty());
    let (fields, rollups) = kept.unzip();
    let (window, cleaned, rows) = (node.window, node.cleaned, node.rows);
    Ok(Parcel { tier, leaf, window, device: device.into(), cleaned, rows, fields, rollups })
}
