//! Rollups for a store that has no rows of their windows, and is to have an answer of a coarser resolution all the same.

use super::Store;
use super::digest::{Moment, of_seal};
use crate::ids::Tier;
use crate::pyramid::Lender;
use crate::query::QueryError;
use crate::rollup::window_of;
use std::sync::Arc;
use tidelog_model::digest::TreeHasher;
use tidelog_model::{CollectionName, GroupId, Level, TimeRange};

/// So many nodes are made at once at most, unless one window has more devices.
const NODES_AT_ONCE: usize = 4096;

/// Rollups on their way to another store, by start of their windows, then device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lent {
    /// Each the bytes of one node, for [`Store::borrow`].
    pub rollups: Vec<Vec<u8>>,
    /// There are more: behind this place (start of the window and device).
    pub more: Option<(i64, Arc<str>)>,
}

/// A node at its place.
type Placed = (i64, Arc<str>, Vec<u8>);

impl Store {
    /// Rollups of a collection in a group, of the windows of a level ([`Level::Window`] to [`Level::Year`]; others have
    /// none) that begin in a range, behind a place (start of the window and device): about `bytes_max` bytes, and one at
    /// least. Sealed nodes where there are any and nothing has overtaken them, else made of rows; what retention has
    /// settled as well. Not what was borrowed. Blocks while files are read.
    ///
    /// # Errors
    /// See [`QueryError`]; also where a file is set aside, for nobody can say what it lacks.
    pub fn lend(
        &self,
        group: GroupId,
        name: &CollectionName,
        level: Level,
        range: TimeRange,
        after: Option<(i64, &str)>,
        bytes_max: usize,
    ) -> Result<Lent, QueryError> {
        let Some(tier) = Tier::of_level(level) else { return Ok(Lent::default()) };
        // Before the tombstones are read: each up to this stamp is then among them.
        let cleaned = self.inner.cleaned();
        let moment = Moment::of(&self.inner, name)?;
        let (reading, dirty) = moment.reading(&self.inner, name, group)?;
        let mut lending = Lending {
            lender: Lender::new(reading, dirty, cleaned),
            tier,
            after,
            bytes_max,
            bytes: 0,
            hasher: TreeHasher::new(),
        };
        let lent = lending.run(range);
        if let Err(QueryError::Read(error)) = &lent
            && error.is_of_nodes()
        {
            self.inner.node_damage.add(group);
        }
        lent
    }
}

struct Lending<'a> {
    lender: Lender,
    tier: Tier,
    after: Option<(i64, &'a str)>,
    bytes_max: usize,
    /// Of what was made so far.
    bytes: usize,
    hasher: TreeHasher,
}

impl Lending<'_> {
    fn run(&mut self, range: TimeRange) -> Result<Lent, QueryError> {
        let mut lent = Lent::default();
        let from = self.after.map_or(range.first(), |(start, _)| start.max(range.first()));
        let rest = TimeRange::inclusive(from, range.last());
        let extent = match rest {
            Some(rest) => self.lender.extent(self.tier, rest)?,
            None => None,
        };
        let Some(extent) = extent else { return Ok(lent) };
        let devices: Vec<Arc<str>> = self.lender.devices(extent)?.into_iter().collect();
        let at_once = (NODES_AT_ONCE / devices.len().max(1)).max(1);
        let mut next = Some(extent.first());
        let mut last = None;
        let mut bytes = 0;
        while let Some(from) = next {
            let windows = self.windows(from, extent, at_once);
            let end = windows.last().and_then(|window| window.last().checked_add(1));
            next = end.filter(|next| *next <= extent.last());
            let (nodes, all) = self.nodes(&windows, &devices)?;
            for (start, device, rollup) in nodes {
                if bytes >= self.bytes_max && last.is_some() {
                    lent.more = last;
                    return Ok(lent);
                }
                bytes += rollup.len();
                lent.rollups.push(rollup);
                last = Some((start, device));
            }
            if !all {
                lent.more = last;
                return Ok(lent);
            }
        }
        Ok(lent)
    }

    /// Some windows from a time on.
    fn windows(&self, from: i64, extent: TimeRange, at_once: usize) -> Vec<TimeRange> {
        let (tier, leaf) = (self.tier, self.lender.leaf());
        let next = |window: &TimeRange| {
            let start = window.last().checked_add(1).filter(|start| *start <= extent.last());
            start.map(|start| window_of(tier, start, leaf))
        };
        std::iter::successors(Some(window_of(tier, from, leaf)), next).take(at_once).collect()
    }

    /// What devices have in some windows, by window, then device. Of a single window no more than is wanted: then it is
    /// said that this is not all.
    fn nodes(
        &mut self,
        windows: &[TimeRange],
        devices: &[Arc<str>],
    ) -> Result<(Vec<Placed>, bool), QueryError> {
        let mut nodes: Vec<Placed> = Vec::new();
        let mut all = true;
        for (number, device) in devices.iter().enumerate() {
            for parcel in self.lender.parcels(self.tier, device, windows).map_err(of_seal)? {
                let start = parcel.window.first();
                if self.after.is_some_and(|after| (start, &**device) <= after) {
                    continue;
                }
                let bytes = parcel.encode(&mut self.hasher);
                self.bytes += bytes.len();
                nodes.push((start, Arc::clone(device), bytes));
            }
            if windows.len() == 1 && self.bytes >= self.bytes_max && !nodes.is_empty() {
                all = number + 1 == devices.len();
                break;
            }
        }
        nodes.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        Ok((nodes, all))
    }
}
