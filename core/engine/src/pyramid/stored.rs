//! The stored nodes of one collection in one group, from all files of nodes: what a newer file says of a window
//! stands in the place of what older ones say.

use super::cover::Windowed;
use crate::files::OpenNodes;
use crate::group::ReadError;
use crate::ids::Tier;
use crate::nodes::{NodeBlock, NodeCache, NodeFile, TreeNode};
use crate::rollup::{Rollup, Wants, window_of};
use crate::rows::FieldKey;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use tidelog_model::{CollectionName, Digest, LeafWidth, Stamp, TimeRange};

/// A stored node of a series, not decoded yet.
#[derive(Debug)]
pub(crate) struct StoredNode {
    pub(crate) window: TimeRange,
    /// Visible rows in the window; none: it is empty.
    pub(crate) rows: u64,
    /// Of a settled node: tombstones up to this stamp were applied to it.
    pub(crate) cleaned: Stamp,
    /// Its block, where in it, and the numbers of its section for the fields that are asked for.
    place: (Arc<NodeBlock>, usize, Arc<[Option<u32>]>),
}

impl Windowed for StoredNode {
    fn window(&self) -> TimeRange {
        self.window
    }
}

impl StoredNode {
    /// Counts some fields as if they had no values.
    pub(super) fn forget(&mut self, fields: &[FieldKey], forgotten: impl Fn(&FieldKey) -> bool) {
        let numbers = self.place.2.iter().zip(fields);
        self.place.2 =
            numbers.map(|(number, field)| number.filter(|_| !forgotten(field))).collect();
    }

    /// The rollups of the fields that were asked for.
    pub(crate) fn rollups(
        &self,
        fields: &[FieldKey],
        wants: Wants,
    ) -> Result<Vec<Rollup>, ReadError> {
        let (block, at, numbers) = &self.place;
        let read = |(number, field): (&Option<u32>, &FieldKey)| match number {
            Some(number) => block.rollup(*number, *at, wants),
            None => Ok(Rollup::new(field.kind)),
        };
        numbers.iter().zip(fields).map(read).collect()
    }
}

/// A node of the digest tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TreeWindow {
    pub(crate) window: TimeRange,
    /// Rows below it, at least: enough to know whether it pays to store it.
    pub(crate) rows: u64,
    /// None: there is nothing in the window.
    pub(crate) digest: Option<Digest>,
}

impl Windowed for TreeWindow {
    fn window(&self) -> TimeRange {
        self.window
    }
}

/// Nodes of one series, as they stand in the blocks of one file, in order.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) blocks: Vec<(NodeBlock, Range<usize>)>,
    /// What the section numbers the fields that are asked for.
    pub(crate) numbers: Vec<Option<u32>>,
}

/// What a file has of the collection.
#[derive(Debug)]
struct Section {
    tier: Tier,
    file: Arc<NodeFile>,
    number: u32,
    cleaned: Stamp,
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Stored {
    leaf: LeafWidth,
    /// Newest first.
    files: Vec<Section>,
    cache: Arc<NodeCache>,
}

impl Stored {
    pub(crate) fn new(
        name: &CollectionName,
        leaf: LeafWidth,
        nodes: &[OpenNodes],
        cache: &Arc<NodeCache>,
    ) -> Result<Self, ReadError> {
        let mut files = Vec::new();
        for open in nodes.iter().rev() {
            if open.entry.collections.contains(name) {
                let file = open.readable()?;
                let section = |number| Section {
                    tier: open.entry.tier,
                    file: Arc::clone(file),
                    number,
                    cleaned: open.entry.cleaned,
                };
                files.extend(file.section(name).map(section));
            }
        }
        Ok(Stored { leaf, files, cache: Arc::clone(cache) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn of(&self, tier: Tier) -> impl Iterator<Item = (&Arc<NodeFile>, u32)> {
        self.sections(tier).map(|section| (&section.file, section.number))
    }

    fn sections(&self, tier: Tier) -> impl Iterator<Item = &Section> {
        self.files.iter().filter(move |section| section.tier == tier)
    }

    /// From the first to the last window of any node.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        let ranges = self.files.iter().map(|s| s.file.sections()[s.number as usize].range);
        ranges.reduce(TimeRange::hull)
    }

    /// All devices that have nodes, sorted.
    pub(crate) fn devices(&self) -> Result<BTreeSet<Arc<str>>, ReadError> {
        let mut devices = BTreeSet::new();
        for Section { file, number, .. } in &self.files {
            file.each_series(*number, |_, device| {
                if !devices.contains(device) {
                    devices.insert(Arc::from(device));
                }
            })?;
        }
        Ok(devices)
    }

    /// The nodes of a series whose windows lie in a range, in order; those of empty windows too.
    pub(crate) fn nodes(
        &self,
        tier: Tier,
        device: &str,
        range: TimeRange,
        fields: &[FieldKey],
    ) -> Result<Vec<StoredNode>, ReadError> {
        let mut all = Vec::new();
        let mut files = 0;
        for Section { file, number: section, cleaned, .. } in self.sections(tier) {
            let (section, cleaned) = (*section, *cleaned);
            let Some(series) = file.find(section, device)? else { continue };
            let before = all.len();
            let numbers: Arc<[Option<u32>]> = file.numbers(section, fields).into();
            for number in file.blocks(section, series, range)? {
                let block = Arc::new(self.cache.block(file, section, number)?);
                for at in block.find(series, range) {
                    let window = window_of(tier, block.start(at), self.leaf);
                    if range.covers(window) {
                        let place = (Arc::clone(&block), at, Arc::clone(&numbers));
                        all.push(StoredNode { window, rows: block.rows(at), cleaned, place });
                    }
                }
            }
            files += usize::from(all.len() > before);
        }
        if files > 1 {
            // Stable: of equal windows the newest file's comes first and stays.
            all.sort_by_key(|node| node.window.first());
            all.dedup_by_key(|node| node.window.first());
        }
        Ok(all)
    }

    /// The nodes of a series whose windows start in a range, as they stand in blocks; `None` when there are none, or
    /// several files have a say.
    pub(crate) fn run(
        &self,
        tier: Tier,
        device: &str,
        range: TimeRange,
        fields: &[FieldKey],
    ) -> Result<Option<Run>, ReadError> {
        let mut found = None;
        for (file, section) in self.of(tier) {
            let Some(series) = file.find(section, device)? else { continue };
            let mut run = Run { blocks: Vec::new(), numbers: Vec::new() };
            for number in file.blocks(section, series, range)? {
                let block = self.cache.block(file, section, number)?;
                let nodes = block.find(series, range);
                if !nodes.is_empty() {
                    run.blocks.push((block, nodes));
                }
            }
            if run.blocks.is_empty() {
                continue;
            }
            run.numbers = file.numbers(section, fields);
            if found.replace(run).is_some() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// Where the windows of the stored nodes of a series start that overlap a range.
    pub(crate) fn starts(
        &self,
        tier: Tier,
        device: &str,
        range: TimeRange,
    ) -> Result<Vec<i64>, ReadError> {
        let around = self.around(tier, range);
        let nodes = self.nodes(tier, device, around, &[])?;
        Ok(nodes.iter().map(|node| node.window.first()).collect())
    }

    /// From the start of the first window of a range to the end of its last.
    fn around(&self, tier: Tier, range: TimeRange) -> TimeRange {
        let first = window_of(tier, range.first(), self.leaf);
        first.hull(window_of(tier, range.last(), self.leaf))
    }

    /// The nodes of the digest tree that overlap a range, in order.
    pub(crate) fn windows(
        &self,
        tier: Tier,
        range: TimeRange,
    ) -> Result<Vec<TreeWindow>, ReadError> {
        let around = self.around(tier, range);
        let mut found: BTreeMap<i64, TreeNode> = BTreeMap::new();
        for (file, section) in self.of(tier) {
            for node in file.tree_nodes(section, around)? {
                found.entry(node.start).or_insert(node);
            }
        }
        let shown = |node: TreeNode| TreeWindow {
            window: window_of(tier, node.start, self.leaf),
            rows: node.rows,
            digest: (node.digest != [0; 32]).then_some(Digest(node.digest)),
        };
        Ok(found.into_values().map(shown).collect())
    }

    /// The stored digests of the leaves of a window; `None` where the one of a device is not stored any more.
    pub(crate) fn leaf_digests(
        &self,
        start: i64,
    ) -> Result<BTreeMap<String, Option<Digest>>, ReadError> {
        let mut found = BTreeMap::new();
        for (file, section) in self.of(Tier::Hour) {
            for (series, digest) in file.leaf_digests(section, start)?.unwrap_or_default() {
                let device = file.device(section, series)?;
                let digest = (digest != [0; 32]).then_some(Digest(digest));
                found.entry(device).or_insert(digest);
            }
        }
        Ok(found)
    }
}
