//! The digest tree of one collection in one group: nodes that are stored, nodes just made, and where there is
//! neither, the rows below.

use super::cover::{Piece, Windowed, cover};
use super::leaves::{LeafMaker, Make};
use super::rollups::{LeafDigest, holds_any};
use super::seal::{NodeSink, Reading, SealError};
use super::settled::Settled;
use super::stored::TreeWindow;
use super::{PARENTS, ROWS_STORED};
use crate::codec::Scratch;
use crate::group::ReadError;
use crate::ids::Tier;
use crate::rollup::window_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::digest::{Bucket, Buckets, Entry, TreeHasher};
use tidelog_model::{Digest, Level, Placer, TimeRange};

/// A leaf at the foot of the tree.
#[derive(Clone, Debug)]
pub(crate) struct TreeLeaf {
    /// Its rows, where they were counted.
    rows: Option<u64>,
    pub(crate) digest: Digest,
}

/// A device, and the digest of its leaf that is stored from now on.
type Changed = (Arc<str>, Option<Digest>);

/// See the module documentation.
pub(crate) struct Tree {
    pub(crate) reading: Reading,
    placer: Placer,
    hasher: TreeHasher,
    maker: LeafMaker,
    made: BTreeMap<(Tier, i64), TreeWindow>,
    /// Leaves that were made anew, by window and device.
    leaves: BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>>,
}

/// So many windows are made anew at once: a bound on the leaves in memory.
const WINDOWS_AT_ONCE: usize = 256;

impl Tree {
    pub(super) fn new(reading: Reading) -> Self {
        Tree {
            placer: Placer::new(&reading.name),
            hasher: TreeHasher::new(),
            maker: LeafMaker::new(reading.leaf, &reading.fields),
            made: BTreeMap::new(),
            leaves: BTreeMap::new(),
            reading,
        }
    }

    /// The content root; `None` when there is no row.
    pub(crate) fn root(&mut self) -> Result<Option<Digest>, ReadError> {
        let years = self.nodes(Tier::Year, TimeRange::ALL)?;
        Ok(self.parent(Level::Root, &years))
    }

    /// The nodes of a tier that lie in a range and are not empty, in order: all of them.
    pub(crate) fn nodes(
        &mut self,
        tier: Tier,
        range: TimeRange,
    ) -> Result<Vec<TreeWindow>, ReadError> {
        let pieces = cover(range, &[tier], &mut |tier, range| self.known(tier, range))?;
        let mut nodes = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Node(_, node) => nodes.extend(node.digest.is_some().then_some(node)),
                Piece::Rows(gap) => self.unstored(tier, gap, &mut nodes)?,
            }
        }
        Ok(nodes)
    }

    /// The leaves of a window, by device.
    pub(crate) fn leaves(&mut self, start: i64) -> Result<BTreeMap<Arc<str>, TreeLeaf>, ReadError> {
        let mut windows = self.stored_leaves([start])?;
        let made = self.leaves.get(&start).map(|made| (start, made.clone()));
        let made: BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>> = made.into_iter().collect();
        let known = windows.entry(start).or_default();
        known.retain(|device, _| !made.get(&start).is_some_and(|made| made.contains_key(device)));
        self.add_unstored(&mut windows, &made)?;
        let mut leaves = windows.remove(&start).unwrap_or_default();
        leaves.extend(made.values().flat_map(there));
        Ok(leaves)
    }

    /// The window and the rows of what is settled of a device and stands in a leaf window.
    pub(super) fn settled_in(
        &self,
        leaf: TimeRange,
        device: &str,
    ) -> Result<Option<(TimeRange, u64)>, ReadError> {
        let nodes = self.reading.settled.nodes(device, leaf, &[])?;
        let there = nodes.iter().find(|(_, node)| node.window.first() == leaf.first());
        Ok(there.map(|(_, node)| (node.window, node.rows)))
    }

    /// The bucket of a device.
    pub(crate) fn bucket(&self, device: &str) -> Bucket {
        Bucket::of(self.placer.place(device))
    }

    /// Memory for decoding.
    pub(crate) fn scratch(&mut self) -> &mut Scratch {
        self.maker.scratch()
    }

    /// What it is read from, and memory for decoding.
    pub(crate) fn reading(&mut self) -> (&Reading, &mut Scratch) {
        (&self.reading, self.maker.scratch())
    }

    /// The nodes of a tier that were made or are stored, empty ones too.
    fn known(&self, tier: Tier, range: TimeRange) -> Result<Vec<TreeWindow>, ReadError> {
        let stored = self.reading.stored.windows(tier, range)?;
        let mut all: BTreeMap<i64, TreeWindow> =
            stored.into_iter().map(|node| (node.window.first(), node)).collect();
        let made = self.made.range((tier, range.first())..=(tier, range.last()));
        all.extend(made.map(|((_, start), node)| (*start, *node)));
        // A cut leaves nothing below it, whatever was stored before.
        let kept = self.reading.settled.cuts().kept();
        let holds = |node: &TreeWindow| range.covers(node.window) && kept.covers(node.window);
        Ok(all.into_values().filter(holds).collect())
    }

    /// Makes the nodes of a range in which none is stored.
    fn unstored(
        &mut self,
        tier: Tier,
        gap: TimeRange,
        nodes: &mut Vec<TreeWindow>,
    ) -> Result<(), ReadError> {
        let Some(gap) = self.reading.extent()?.and_then(|extent| extent.intersection(gap)) else {
            return Ok(());
        };
        let leaf = self.reading.leaf;
        let whole = window_of(tier, gap.first(), leaf).hull(window_of(tier, gap.last(), leaf));
        if tier == Tier::Hour {
            let mut windows = BTreeMap::new();
            self.add_rows(&[whole], &BTreeMap::new(), &mut windows)?;
            for (start, leaves) in windows {
                nodes.push(self.window(start, &leaves));
            }
            return Ok(());
        }
        let finer = Tier::ALL[tier as usize - 1];
        let below = self.nodes(finer, whole)?;
        for children in below.chunk_by(|a, b| {
            let of = |node: &TreeWindow| window_of(tier, node.window.first(), leaf);
            of(a) == of(b)
        }) {
            let window = window_of(tier, children[0].window.first(), self.reading.leaf);
            nodes.push(self.parent_window(tier, window, children));
        }
        Ok(())
    }

    /// The stored digests of leaves, by window and device.
    fn stored_leaves(
        &self,
        starts: impl IntoIterator<Item = i64>,
    ) -> Result<BTreeMap<i64, BTreeMap<Arc<str>, TreeLeaf>>, ReadError> {
        let mut windows = BTreeMap::new();
        for start in starts {
            if start < self.reading.settled.cuts().of(Tier::Raw) {
                // Those were of rows.
                windows.insert(start, BTreeMap::new());
                continue;
            }
            let stored = self.reading.stored.leaf_digests(start)?;
            let there = stored.into_iter().filter_map(|(device, digest)| {
                Some((Arc::from(device), TreeLeaf { rows: None, digest: digest? }))
            });
            windows.insert(start, there.collect());
        }
        Ok(windows)
    }

    /// Adds to windows the leaves of devices that are neither there nor `made`.
    fn add_unstored(
        &mut self,
        windows: &mut BTreeMap<i64, BTreeMap<Arc<str>, TreeLeaf>>,
        made: &BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>>,
    ) -> Result<(), ReadError> {
        let ranges = self.reading.ranges(windows.keys());
        self.add_rows(&ranges, made, windows)
    }

    /// Adds the leaves that devices have in ranges of whole windows, but for those that are there or `made`.
    fn add_rows(
        &mut self,
        ranges: &[TimeRange],
        made: &BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>>,
        windows: &mut BTreeMap<i64, BTreeMap<Arc<str>, TreeLeaf>>,
    ) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Ok(()) };
        self.add_settled(ranges, windows)?;
        for device in self.reading.devices(first.hull(*last))? {
            let mut gaps = Vec::new();
            for range in ranges {
                gaps.extend(self.gaps(*range, &device, made, windows));
            }
            let (Some(first), Some(last)) = (gaps.first(), gaps.last()) else { continue };
            let mut found = Vec::new();
            let scan = self.reading.scan(&device, first.hull(*last))?;
            self.maker.each_in(scan, &gaps, Make::Digests, |leaf| {
                found.push(leaf);
                Ok::<(), ReadError>(())
            })?;
            for leaf in found {
                let Some(digest) = leaf.digest else { continue };
                let leaves = windows.entry(leaf.window.first()).or_default();
                leaves.insert(Arc::clone(&device), TreeLeaf { rows: Some(leaf.rows), digest });
            }
        }
        Ok(())
    }

    /// Adds what is settled: in the leaf window that begins where the settled window does.
    fn add_settled(
        &mut self,
        ranges: &[TimeRange],
        windows: &mut BTreeMap<i64, BTreeMap<Arc<str>, TreeLeaf>>,
    ) -> Result<(), ReadError> {
        let settled = &self.reading.settled;
        for below in ranges.iter().filter_map(|range| settled.below(*range)) {
            for device in settled.devices(below)? {
                for (tier, node) in settled.nodes(&device, below, &self.reading.fields)? {
                    let start = node.window.first();
                    if !below.contains(start) {
                        continue;
                    }
                    let fields = &self.reading.fields;
                    let digest = Settled::digest(&mut self.hasher, tier, &device, &node, fields)?;
                    let leaf = TreeLeaf { rows: Some(node.rows), digest };
                    windows.entry(start).or_default().insert(Arc::clone(&device), leaf);
                }
            }
        }
        Ok(())
    }

    /// The parts of a range of windows whose leaves of a device are not known.
    fn gaps(
        &self,
        range: TimeRange,
        device: &Arc<str>,
        made: &BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>>,
        windows: &BTreeMap<i64, BTreeMap<Arc<str>, TreeLeaf>>,
    ) -> Vec<TimeRange> {
        let inside = range.first()..=range.last();
        let stored =
            windows.range(inside.clone()).filter(|(_, leaves)| leaves.contains_key(device));
        let fresh = made.range(inside).filter(|(_, leaves)| leaves.contains_key(device));
        let known: BTreeSet<i64> =
            stored.map(|(start, _)| *start).chain(fresh.map(|(start, _)| *start)).collect();
        let mut gaps = Vec::new();
        let mut from = Some(range.first());
        for covered in self.reading.ranges(&known) {
            let before = covered.first().checked_sub(1);
            gaps.extend(from.zip(before).and_then(|(a, b)| TimeRange::inclusive(a, b)));
            from = covered.last().checked_add(1);
        }
        gaps.extend(from.and_then(|from| TimeRange::inclusive(from, range.last())));
        gaps
    }

    /// Makes windows anew, those of `made` leaves and others that are named, and all nodes above them; how many.
    /// With leaves that are left for later, `made` has all leaves of its windows that are not stored, and what holds one
    /// of those is left with them.
    pub(super) fn remake(
        &mut self,
        made: BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>>,
        more: &BTreeSet<(Tier, i64)>,
        later: Option<&BTreeSet<i64>>,
        sink: &mut dyn NodeSink,
    ) -> Result<u64, SealError> {
        let named = more.iter().filter(|(tier, _)| *tier == Tier::Hour).map(|(_, start)| *start);
        let starts: BTreeSet<i64> = made.keys().copied().chain(named).collect();
        let all: Vec<i64> = starts.iter().copied().collect();
        for some in all.chunks(WINDOWS_AT_ONCE) {
            self.remake_leaf_windows(some, &made, later.is_none(), sink)?;
        }
        self.leaves.extend(made);
        let mut count = starts.len() as u64;
        for tier in PARENTS {
            let above = |time: i64| window_of(tier, time, self.reading.leaf).first();
            let named = more.iter().map(|(_, start)| above(*start));
            let parents: BTreeSet<i64> = starts.iter().map(|s| above(*s)).chain(named).collect();
            for start in parents {
                let window = window_of(tier, start, self.reading.leaf);
                if later.is_some_and(|later| holds_any(window, later)) {
                    continue;
                }
                let children = self.nodes(Tier::ALL[tier as usize - 1], window)?;
                let node = self.parent_window(tier, window, &children);
                self.put(tier, node, sink)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Makes leaf windows anew out of leaves that were made and those that are stored, and where neither is, with `more`, of rows.
    fn remake_leaf_windows(
        &mut self,
        starts: &[i64],
        made: &BTreeMap<i64, BTreeMap<Arc<str>, LeafDigest>>,
        more: bool,
        sink: &mut dyn NodeSink,
    ) -> Result<(), SealError> {
        let mut windows = self.stored_leaves(starts.iter().copied())?;
        let mut changes: BTreeMap<i64, Vec<Changed>> = BTreeMap::new();
        let made_of = |start: i64| made.get(&start).into_iter().flatten();
        for start in starts {
            let known = windows.entry(*start).or_default();
            for (device, leaf) in made_of(*start) {
                let stored = known.remove(device).is_some();
                if leaf.stored || stored {
                    let digest = leaf.digest.filter(|_| leaf.stored);
                    changes.entry(*start).or_default().push((Arc::clone(device), digest));
                }
            }
        }
        if more {
            self.add_unstored(&mut windows, made)?;
        }
        for start in starts {
            let mut leaves = windows.remove(start).unwrap_or_default();
            leaves.extend(made.get(start).into_iter().flat_map(there));
            if let Some(changed) = changes.get(start) {
                sink.leaf_digests(*start, changed)?;
            }
            let node = self.window(*start, &leaves);
            self.put(Tier::Hour, node, sink)?;
        }
        Ok(())
    }

    /// Keeps a node, and writes it where it pays or where an older one has to give way.
    fn put(
        &mut self,
        tier: Tier,
        node: TreeWindow,
        sink: &mut dyn NodeSink,
    ) -> Result<(), SealError> {
        let start = node.window.first();
        let stored =
            || Ok::<_, ReadError>(!self.reading.stored.windows(tier, node.window)?.is_empty());
        if node.rows >= ROWS_STORED || stored()? {
            sink.tree(tier, start, node.rows, node.digest)?;
        }
        self.made.insert((tier, start), node);
        Ok(())
    }

    /// The node of a leaf window.
    fn window(&mut self, start: i64, leaves: &BTreeMap<Arc<str>, TreeLeaf>) -> TreeWindow {
        let entries = leaves.iter().map(|(device, leaf)| Entry {
            bucket: Bucket::of(self.placer.place(device)),
            device,
            digest: leaf.digest,
        });
        let digest = Buckets::new(entries).window(&mut self.hasher);
        // A stored digest stands for at least so many rows.
        let rows = leaves.values().map(|leaf| leaf.rows.unwrap_or(ROWS_STORED)).sum();
        TreeWindow { window: window_of(Tier::Hour, start, self.reading.leaf), rows, digest }
    }

    fn parent_window(
        &mut self,
        tier: Tier,
        window: TimeRange,
        children: &[TreeWindow],
    ) -> TreeWindow {
        let level = match tier {
            Tier::Year => Level::Year,
            Tier::Month => Level::Month,
            _ => Level::Day,
        };
        let rows = children.iter().map(|child| child.rows).sum();
        TreeWindow { window, rows, digest: self.parent(level, children) }
    }

    fn parent(&mut self, level: Level, children: &[TreeWindow]) -> Option<Digest> {
        let children: Vec<(i64, Digest)> = children
            .iter()
            .filter_map(|child| Some((child.window().first(), child.digest?)))
            .collect();
        self.hasher.parent(level, &children)
    }
}

/// The leaves of a window that were made and have rows.
fn there(made: &BTreeMap<Arc<str>, LeafDigest>) -> impl Iterator<Item = (Arc<str>, TreeLeaf)> + '_ {
    made.iter().filter_map(|(device, leaf)| {
        Some((Arc::clone(device), TreeLeaf { rows: Some(leaf.rows), digest: leaf.digest? }))
    })
}
