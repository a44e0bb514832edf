//! Which leaves the stored nodes do not count yet: those of rows in files, and under deletes, that came after the
//! last sealing.

use super::PARENTS;
use super::stored::Stored;
use crate::codec::Scratch;
use crate::group::{IndexCache, ReadError};
use crate::ids::Tier;
use crate::retention::Cuts;
use crate::rollup::window_of;
use crate::scan::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::{CollectionName, Device, GroupId, LeafWidth, Placer, TimeRange};

/// The nodes of one collection in one group that have to be made anew. Windows are named by their first
/// nanosecond.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Dirty {
    /// Leaves by device.
    pub(crate) leaves: BTreeMap<Arc<str>, BTreeSet<i64>>,
    /// Nodes of days, months and years by device, beyond those above dirty leaves: rows below them may be gone
    /// without a trace.
    pub(crate) parents: BTreeMap<Arc<str>, BTreeSet<(Tier, i64)>>,
    /// Windows of the tree, in the same way.
    pub(crate) windows: BTreeSet<(Tier, i64)>,
}

impl Dirty {
    pub(crate) fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.parents.is_empty() && self.windows.is_empty()
    }

    /// How many nodes of series are to be made anew: leaves, days, months and years.
    pub(crate) fn count(&self, leaf: LeafWidth) -> [u64; 4] {
        let mut counts = [0; 4];
        let none = (BTreeSet::new(), BTreeSet::new());
        let devices: BTreeSet<&Arc<str>> = self.leaves.keys().chain(self.parents.keys()).collect();
        for device in devices {
            let leaves = self.leaves.get(device).unwrap_or(&none.0);
            let named = self.parents.get(device).unwrap_or(&none.1);
            counts[0] += leaves.len() as u64;
            for tier in PARENTS {
                let above = |time: &i64| window_of(tier, *time, leaf).first();
                let starts: BTreeSet<i64> = leaves
                    .iter()
                    .map(above)
                    .chain(named.iter().map(|(_, start)| above(start)))
                    .collect();
                counts[tier as usize - 1] += starts.len() as u64;
            }
        }
        counts
    }

    /// What the rows and deletes of a snapshot leave to be done.
    pub(crate) fn find(
        name: &CollectionName,
        group: GroupId,
        snapshot: &Snapshot,
        stored: &Stored,
        (leaf, cuts): (LeafWidth, &Cuts),
    ) -> Result<Self, ReadError> {
        let mut dirty = Dirty::default();
        let rows = cuts.rows();
        let mut finder = Finder { leaf, cache: IndexCache::new(0), scratch: Scratch::default() };
        let horizon = &snapshot.horizon;
        for open in snapshot.files_of(name, group, TimeRange::ALL) {
            if open.entry.stamps.1 > horizon.least() {
                // Nodes that count rows beyond the horizon say too much.
                finder.add_file(open.readable()?, name, rows, |_| true, &mut dirty)?;
                continue;
            }
            for range in open.entry.uncounted.iter().filter_map(|one| one.intersection(rows)) {
                finder.add_file(open.readable()?, name, range, |_| true, &mut dirty)?;
            }
        }
        if !snapshot.with_aside {
            let aside = snapshot.files.aside(group).iter();
            for open in aside.filter(|open| open.entry.collections.contains(name)) {
                // Leaves may have lost all of their rows, so no rows tell of them.
                for range in open.entry.uncounted.iter().filter_map(|one| one.intersection(rows)) {
                    dirty.add_stored(|_| true, range, stored, rows)?;
                }
            }
        }
        let placer = Placer::new(name);
        let state = &snapshot.files.state;
        let here = |device: &str| placer.place(device).group(state.groups) == group;
        for tombstone in &snapshot.tombstones {
            let counted =
                state.tombstones.contains(tombstone) && !state.not_rolled_up.contains(tombstone);
            let listed = tombstone.devices.devices.as_ref();
            let elsewhere = |devices: &Vec<Device>| !devices.iter().any(|one| here(one.as_str()));
            let applies = horizon.admits(tombstone.version);
            if counted == applies || listed.is_some_and(elsewhere) {
                continue;
            }
            let concerned = |device: &str| tombstone.devices.matches(device);
            if let Some(range) = tombstone.range.intersection(rows) {
                for open in snapshot.files_of(name, group, range) {
                    finder.add_file(open.readable()?, name, range, concerned, &mut dirty)?;
                }
            }
            dirty.add_stored(concerned, tombstone.range, stored, rows)?;
        }
        for table in &snapshot.memory.tables {
            for device in table.devices().filter(|device| here(device)) {
                let Some(of_device) = table.rows(device, rows, &[]) else { continue };
                let leaves = dirty.leaves.entry(Arc::clone(device)).or_default();
                add_leaves(&of_device.times, rows, leaf, leaves);
            }
        }
        Ok(dirty)
    }

    /// Nodes of some devices in a range that a delete or a loss touches. Rows below them may be gone already, so all of the
    /// stored ones count, and all windows of the tree: a device with few rows stands in no other list.
    /// Leaves of rows that are gone are not made anew; settled nodes stand for them.
    fn add_stored(
        &mut self,
        concerned: impl Fn(&str) -> bool,
        range: TimeRange,
        stored: &Stored,
        rows: TimeRange,
    ) -> Result<(), ReadError> {
        for device in stored.devices()? {
            if !concerned(&device) {
                continue;
            }
            let starts = stored.starts(Tier::Hour, &device, range)?;
            for start in starts.into_iter().filter(|start| rows.contains(*start)) {
                self.leaves.entry(Arc::clone(&device)).or_default().insert(start);
            }
            for tier in PARENTS {
                for start in stored.starts(tier, &device, range)? {
                    let parents = self.parents.entry(Arc::clone(&device)).or_default();
                    parents.insert((tier, start));
                }
            }
        }
        for tier in [Tier::Hour, Tier::Day, Tier::Month, Tier::Year] {
            let touched = stored.windows(tier, range)?;
            self.windows.extend(touched.iter().map(|node| (tier, node.window.first())));
        }
        Ok(())
    }
}

struct Finder {
    leaf: LeafWidth,
    /// Indexes are read once here and then done with.
    cache: IndexCache,
    scratch: Scratch,
}

impl Finder {
    /// Adds the leaves of which a file has rows: exactly those, so the times of its pages are read.
    fn add_file(
        &mut self,
        file: &Arc<crate::group::GroupFile>,
        name: &CollectionName,
        range: TimeRange,
        concerned: impl Fn(&str) -> bool,
        dirty: &mut Dirty,
    ) -> Result<(), ReadError> {
        let Some(section) = file.section(name) else { return Ok(()) };
        let mut series = Vec::new();
        file.each_device(section, |device, found| {
            if found.range().overlaps(range) && concerned(device) {
                series.push((Arc::<str>::from(device), found));
            }
        })?;
        for (device, found) in series {
            let index = self.cache.index(file, &found)?;
            let leaves = dirty.leaves.entry(device).or_default();
            for page in index.pages(range) {
                let window = window_of(Tier::Hour, page.first, self.leaf);
                if window.contains(page.last) {
                    leaves.insert(window.first());
                    continue;
                }
                let rows = file.read_page(&found, &index, page, &[], false, &mut self.scratch)?;
                add_leaves(&rows.times, range, self.leaf, leaves);
            }
        }
        dirty.leaves.retain(|_, leaves| !leaves.is_empty());
        Ok(())
    }
}

/// Adds the leaves of times, in their order.
fn add_leaves(times: &[i64], range: TimeRange, leaf: LeafWidth, leaves: &mut BTreeSet<i64>) {
    let mut known: Option<TimeRange> = None;
    for time in times.iter().filter(|time| range.contains(**time)) {
        if !known.is_some_and(|window| window.contains(*time)) {
            let window = window_of(Tier::Hour, *time, leaf);
            leaves.insert(window.first());
            known = Some(window);
        }
    }
}
