//! Sealing: making anew what rows and deletes have overtaken, for one collection in one group.

use super::dirty::Dirty;
use super::leaves::{LeafMaker, Make};
use super::rollups::{LeafDigest, SeriesNodes};
use super::settled::Settled;
use super::stored::Stored;
use super::tree::Tree;
use crate::group::{IndexCache, ReadError};
use crate::ids::Tier;
use crate::rollup::{Rollup, window_of};
use crate::rows::{FieldKey, SeriesRows};
use crate::scan::{Scan, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tidelog_model::{CollectionName, Digest, GroupId, LeafWidth, TimeRange};

/// What nodes are made of: one collection in one group, at one moment.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) name: CollectionName,
    pub(crate) group: GroupId,
    pub(crate) snapshot: Snapshot,
    pub(crate) stored: Stored,
    pub(crate) cache: Arc<IndexCache>,
    pub(crate) leaf: LeafWidth,
    /// All fields of the collection, sorted by name and type.
    pub(crate) fields: Arc<[FieldKey]>,
    /// What stands for rows that retention has cut away.
    pub(crate) settled: Settled,
}

impl Reading {
    /// The visible rows of a device in a range.
    pub(crate) fn scan(&self, device: &str, range: TimeRange) -> Result<Scan, ReadError> {
        match range.intersection(self.settled.cuts().rows()) {
            Some(range) => {
                let place = (self.group, device);
                self.snapshot.scan(&self.name, place, range, &self.fields, &self.cache)
            }
            None => Ok(self.nothing(range)),
        }
    }

    /// Of what may have been written beyond the horizon: rows whatever that is.
    pub(crate) fn scan_beyond(&self, device: &str, range: TimeRange) -> Result<Scan, ReadError> {
        match range.intersection(self.settled.cuts().rows()) {
            Some(range) => {
                let place = (self.group, device);
                self.snapshot.scan_beyond(&self.name, place, range, &self.fields, &self.cache)
            }
            None => Ok(self.nothing(range)),
        }
    }

    fn nothing(&self, range: TimeRange) -> Scan {
        Scan {
            fields: Arc::clone(&self.fields),
            range,
            sources: Vec::new(),
            tombstones: Vec::new(),
            horizon: Arc::default(),
        }
    }

    /// Leaf windows, named by their starts, as ranges without a gap inside.
    pub(super) fn ranges<'b>(&self, starts: impl IntoIterator<Item = &'b i64>) -> Vec<TimeRange> {
        let mut ranges: Vec<TimeRange> = Vec::new();
        for start in starts {
            let window = window_of(Tier::Hour, *start, self.leaf);
            match ranges.last_mut() {
                Some(last) if last.last().checked_add(1) == Some(window.first()) => {
                    *last = last.hull(window);
                }
                _ => ranges.push(window),
            }
        }
        ranges
    }

    /// From the first to the last time of rows in files and memory, hidden ones too.
    pub(super) fn extent(&self) -> Result<Option<TimeRange>, ReadError> {
        let mut ranges: Vec<TimeRange> = Vec::new();
        for open in self.snapshot.files_of(&self.name, self.group, TimeRange::ALL) {
            let file = open.readable()?;
            if let Some(section) = file.section(&self.name) {
                ranges.push(file.sections()[section as usize].range);
            }
        }
        ranges.extend(self.snapshot.memory.tables.iter().filter_map(|table| table.span()));
        ranges.extend(self.settled.extent());
        Ok(ranges.into_iter().reduce(TimeRange::hull))
    }

    /// Every device of the group that has rows in files or memory in a range, visible or not.
    pub(crate) fn devices(&self, range: TimeRange) -> Result<BTreeSet<Arc<str>>, ReadError> {
        let mut devices = BTreeSet::new();
        for open in self.snapshot.files_of(&self.name, self.group, range) {
            let file = open.readable()?;
            let Some(section) = file.section(&self.name) else { continue };
            file.each_device(section, |device, series| {
                if series.range().overlaps(range) && !devices.contains(device) {
                    devices.insert(Arc::from(device));
                }
            })?;
        }
        devices.extend(self.memory_devices());
        Ok(devices)
    }

    fn memory_devices(&self) -> Vec<Arc<str>> {
        let groups = self.snapshot.files.state.groups;
        let placer = tidelog_model::Placer::new(&self.name);
        let here = |device: &&Arc<str>| placer.place(device).group(groups) == self.group;
        let tables = self.snapshot.memory.tables.iter();
        tables.flat_map(|table| table.devices()).filter(here).cloned().collect()
    }
}

/// Takes what is made.
pub(crate) trait NodeSink {
    /// A node of a series, in the order of devices and, for each tier, of windows.
    fn node(
        &mut self,
        tier: Tier,
        device: &Arc<str>,
        start: i64,
        rows: u64,
        rollups: &[Rollup],
    ) -> io::Result<()>;

    /// Digests of leaves in a window, `None` for those that are stored no more. After all nodes, in the order of
    /// windows, by device.
    fn leaf_digests(
        &mut self,
        start: i64,
        digests: &[(Arc<str>, Option<Digest>)],
    ) -> io::Result<()>;

    /// A node of the digest tree, in the order of windows of each tier.
    fn tree(&mut self, tier: Tier, start: i64, rows: u64, digest: Option<Digest>)
    -> io::Result<()>;
}

/// Takes nodes and keeps none: the tree remembers its own.
pub(crate) struct Nowhere;

impl NodeSink for Nowhere {
    fn node(&mut self, _: Tier, _: &Arc<str>, _: i64, _: u64, _: &[Rollup]) -> io::Result<()> {
        Ok(())
    }

    fn leaf_digests(&mut self, _: i64, _: &[(Arc<str>, Option<Digest>)]) -> io::Result<()> {
        Ok(())
    }

    fn tree(&mut self, _: Tier, _: i64, _: u64, _: Option<Digest>) -> io::Result<()> {
        Ok(())
    }
}

/// Why sealing did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write the pyramid's files: free space or check the disk")]
    Write(#[from] io::Error),
    #[error("sealing was cancelled")]
    Cancelled,
}

/// What was made anew.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sealed {
    /// Leaves of series.
    pub(crate) leaves: u64,
    /// Nodes of series above leaves.
    pub(crate) parents: u64,
    /// Nodes of the digest tree: windows, days, months, years.
    pub(crate) windows: u64,
    /// Rows that were read for it.
    pub(crate) rows: u64,
}

impl std::ops::AddAssign for Sealed {
    fn add_assign(&mut self, other: Self) {
        self.leaves += other.leaves;
        self.parents += other.parents;
        self.windows += other.windows;
        self.rows += other.rows;
    }
}

/// Seals leaves whose rows are in hand, all of them: no other row of their windows is stored anywhere.
pub(crate) struct FreshSealer {
    tree: Tree,
    maker: LeafMaker,
    leaves: BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>>,
    /// Leaves with rows that no node counts when this is over.
    later: BTreeSet<i64>,
    extent: Option<TimeRange>,
    sealed: Sealed,
}

impl FreshSealer {
    pub(crate) fn new(reading: Reading) -> Result<Self, ReadError> {
        let maker = LeafMaker::new(reading.leaf, &reading.fields);
        let (leaves, later) = (BTreeMap::new(), BTreeSet::new());
        let (extent, sealed) = (reading.extent()?, Sealed::default());
        Ok(FreshSealer { tree: Tree::new(reading), maker, leaves, later, extent, sealed })
    }

    /// Makes the leaves of some rows of a device: parts in order of time. `later` are its leaves that stay uncounted.
    pub(crate) fn device(
        &mut self,
        device: &Arc<str>,
        parts: &[(&SeriesRows, Range<usize>)],
        later: &BTreeSet<i64>,
        sink: &mut dyn NodeSink,
    ) -> Result<(), SealError> {
        self.later.extend(later);
        let mut found = Vec::new();
        self.maker.each_of(parts, Make::Both, |leaf| {
            found.push(leaf);
            Ok::<(), SealError>(())
        })?;
        let starts: BTreeSet<i64> = found.iter().map(|leaf| leaf.window.first()).collect();
        let mut nodes = SeriesNodes::new(&self.tree.reading, device, &mut self.maker, self.extent);
        for leaf in found {
            let leaf = nodes.leaf(leaf, sink)?;
            let window = self.leaves.entry(leaf.window.first()).or_default();
            window.insert(Arc::clone(device), leaf);
        }
        self.sealed.parents += nodes.parents(&starts, &BTreeSet::new(), later, sink)?;
        self.sealed.leaves += starts.len() as u64;
        Ok(())
    }

    /// Makes the windows of the tree.
    pub(crate) fn finish(mut self, sink: &mut dyn NodeSink) -> Result<Sealed, SealError> {
        self.sealed.rows = self.maker.rows;
        let none = BTreeSet::new();
        self.sealed.windows = self.tree.remake(self.leaves, &none, Some(&self.later), sink)?;
        Ok(self.sealed)
    }
}

/// Seals, and keeps the tree as it is then.
pub(crate) struct Sealer {
    tree: Tree,
    sealed: Sealed,
}

impl Sealer {
    pub(crate) fn new(reading: Reading) -> Self {
        Sealer { tree: Tree::new(reading), sealed: Sealed::default() }
    }

    /// Makes all dirty nodes. `go_on` is asked after each device.
    pub(crate) fn run(
        mut self,
        dirty: &Dirty,
        sink: &mut dyn NodeSink,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(Tree, Sealed), SealError> {
        let mut leaves: BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>> = BTreeMap::new();
        let mut devices: BTreeSet<&Arc<str>> = dirty.leaves.keys().collect();
        devices.extend(dirty.parents.keys());
        let mut maker = LeafMaker::new(self.tree.reading.leaf, &self.tree.reading.fields);
        let (no_leaves, no_parents) = (BTreeSet::new(), BTreeSet::new());
        let extent = self.tree.reading.extent()?;
        for device in devices {
            let starts = dirty.leaves.get(device).unwrap_or(&no_leaves);
            let more = dirty.parents.get(device).unwrap_or(&no_parents);
            let mut nodes = SeriesNodes::new(&self.tree.reading, device, &mut maker, extent);
            for leaf in nodes.leaves(starts, sink)? {
                let window = leaves.entry(leaf.window.first()).or_default();
                window.insert(Arc::clone(device), leaf);
            }
            self.sealed.parents += nodes.parents(starts, more, &no_leaves, sink)?;
            self.sealed.leaves += starts.len() as u64;
            if !go_on() {
                return Err(SealError::Cancelled);
            }
        }
        self.sealed.rows = maker.rows;
        self.sealed.windows = self.tree.remake(leaves, &dirty.windows, None, sink)?;
        Ok((self.tree, self.sealed))
    }
}
