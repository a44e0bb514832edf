//! Making the nodes of one series: its dirty leaves from rows, then what is above them.

use super::cover::{Piece, Windowed, cover};
use super::leaves::{Leaf, LeafMaker, Make};
use super::seal::{NodeSink, Nowhere, Reading, SealError};
use super::settled::Settled;
use super::{CHILDREN_STORED, PARENTS, ROWS_STORED};
use crate::ids::Tier;
use crate::rollup::{Rollup, TreeFold, Wants, window_of};
use crate::rows::FieldKey;
use crate::scan::Scan;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tidelog_model::{Digest, FieldType, TimeRange};

/// A node that was just made.
#[derive(Clone, Debug)]
struct Made {
    window: TimeRange,
    rows: u64,
    rollups: Vec<Rollup>,
}

/// A node below another: made just now, or stored and still true.
enum Below {
    Made(Made),
    Stored(super::stored::StoredNode),
}

impl Windowed for Below {
    fn window(&self) -> TimeRange {
        match self {
            Below::Made(made) => made.window,
            Below::Stored(node) => node.window,
        }
    }
}

/// Puts settled nodes into the place of rows that are gone.
fn settle(
    settled: &Settled,
    device: &str,
    pieces: Vec<Piece<Below>>,
    fields: &[FieldKey],
) -> Result<Vec<Piece<Below>>, SealError> {
    let mut whole = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let gap = match piece {
            Piece::Rows(gap) => gap,
            node => {
                whole.push(node);
                continue;
            }
        };
        if let Some(below) = settled.below(gap) {
            let nodes = settled.nodes(device, below, fields)?;
            whole.extend(
                nodes.into_iter().map(|(tier, node)| Piece::Node(tier, Below::Stored(node))),
            );
        }
        whole.extend(gap.intersection(settled.cuts().rows()).map(Piece::Rows));
    }
    Ok(whole)
}

/// Does one of these leaves begin in a window?
pub(super) fn holds_any(window: TimeRange, leaves: &BTreeSet<i64>) -> bool {
    leaves.range(window.first()..=window.last()).next().is_some()
}

/// The nodes of one series.
pub(super) struct SeriesNodes<'a> {
    pub(super) reading: &'a Reading,
    pub(super) device: &'a Arc<str>,
    pub(super) maker: &'a mut LeafMaker,
    /// From the first to the last time of rows, but for those that are in hand.
    extent: Option<TimeRange>,
    made: BTreeMap<(Tier, i64), Made>,
}

/// What became of a leaf: its window, rows and digest, and whether the digest is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeafDigest {
    pub(super) window: TimeRange,
    pub(super) rows: u64,
    pub(super) digest: Option<Digest>,
    pub(super) stored: bool,
}

impl<'a> SeriesNodes<'a> {
    pub(super) fn new(
        reading: &'a Reading,
        device: &'a Arc<str>,
        maker: &'a mut LeafMaker,
        extent: Option<TimeRange>,
    ) -> Self {
        SeriesNodes { reading, device, maker, extent, made: BTreeMap::new() }
    }

    /// Makes and writes the dirty leaves; what they are now.
    pub(super) fn leaves(
        &mut self,
        dirty: &BTreeSet<i64>,
        sink: &mut dyn NodeSink,
    ) -> Result<Vec<LeafDigest>, SealError> {
        let mut found: BTreeMap<i64, Leaf> = BTreeMap::new();
        let ranges = self.reading.ranges(dirty);
        if let (Some(first), Some(last)) = (ranges.first(), ranges.last()) {
            let scan = self.scan(first.hull(*last))?;
            self.maker.each_in(scan, &ranges, Make::Both, |leaf| {
                found.insert(leaf.window.first(), leaf);
                Ok::<(), SealError>(())
            })?;
        }
        let mut digests = Vec::with_capacity(dirty.len());
        for start in dirty {
            let leaf = found.remove(start).unwrap_or_else(|| Leaf {
                window: window_of(Tier::Hour, *start, self.reading.leaf),
                rows: 0,
                rollups: self.nothing(),
                digest: None,
            });
            digests.push(self.leaf(leaf, sink)?);
        }
        Ok(digests)
    }

    /// Writes a leaf.
    pub(super) fn leaf(
        &mut self,
        leaf: Leaf,
        sink: &mut dyn NodeSink,
    ) -> Result<LeafDigest, SealError> {
        let Leaf { window, rows, rollups, digest } = leaf;
        if rows >= ROWS_STORED || self.is_stored(Tier::Hour, window)? {
            sink.node(Tier::Hour, self.device, window.first(), rows, &rollups)?;
        }
        self.made.insert((Tier::Hour, window.first()), Made { window, rows, rollups });
        Ok(LeafDigest { window, rows, digest, stored: rows >= ROWS_STORED })
    }

    /// Makes and writes days, months and years: those above dirty leaves, and others that are named. Those that hold a
    /// leaf that is left for later are left with it.
    pub(super) fn parents(
        &mut self,
        leaves: &BTreeSet<i64>,
        more: &BTreeSet<(Tier, i64)>,
        later: &BTreeSet<i64>,
        sink: &mut dyn NodeSink,
    ) -> Result<u64, SealError> {
        let mut nodes = 0;
        let made = leaves.iter().map(|start| window_of(Tier::Hour, *start, self.reading.leaf));
        let extent = made.chain(self.extent).reduce(TimeRange::hull);
        for tier in PARENTS {
            let start_of = |time: i64| window_of(tier, time, self.reading.leaf).first();
            let named = more.iter().map(|(_, start)| start_of(*start));
            let starts: BTreeSet<i64> =
                leaves.iter().map(|leaf| start_of(*leaf)).chain(named).collect();
            for start in starts {
                let window = window_of(tier, start, self.reading.leaf);
                // Where the tier is settled, or finer ones are no more, no memory of it counts.
                let counts = self.reading.settled.cuts().remembers(tier, window);
                if holds_any(window, later) || !counts {
                    continue;
                }
                nodes += 1;
                let is_stored = self.is_stored(tier, window)?;
                let inside = extent.and_then(|extent| extent.intersection(window));
                if !is_stored && inside.is_none_or(|inside| !self.may_pay(tier, inside)) {
                    continue;
                }
                let (made, children) = self.fold(tier, window)?;
                let pays = made.rows >= ROWS_STORED && children >= CHILDREN_STORED;
                if pays || is_stored {
                    sink.node(tier, self.device, start, made.rows, &made.rollups)?;
                }
                self.made.insert((tier, start), made);
            }
        }
        Ok(nodes)
    }

    /// What windows of a tier hold, with their rows, one at least; they come in order. `leaves` and `more` are overtaken.
    /// Nothing is written.
    pub(super) fn held(
        &mut self,
        tier: Tier,
        windows: &[TimeRange],
        leaves: &BTreeSet<i64>,
        more: &BTreeSet<(Tier, i64)>,
    ) -> Result<Vec<(TimeRange, u64, Vec<Rollup>)>, SealError> {
        let leaf = self.reading.leaf;
        let cuts = *self.reading.settled.cuts();
        let named = |start: i64| {
            let at = windows.partition_point(|window| window.last() < start);
            windows.get(at).is_some_and(|window| window.contains(start))
        };
        let mut fresh: BTreeSet<i64> = leaves.iter().copied().filter(|at| named(*at)).collect();
        if tier == Tier::Hour {
            // One scan for all of which no node is stored.
            for window in windows.iter().filter(|window| cuts.rows().covers(**window)) {
                if !self.is_stored(tier, *window)? {
                    fresh.insert(window.first());
                }
            }
        }
        self.leaves(&fresh, &mut Nowhere)?;
        let more = more.iter().map(|(_, start)| *start).filter(|start| named(*start));
        let touched: BTreeSet<i64> = fresh.iter().copied().chain(more).collect();
        for parent in PARENTS.into_iter().filter(|parent| *parent <= tier) {
            let around: BTreeSet<i64> =
                touched.iter().map(|at| window_of(parent, *at, leaf).first()).collect();
            for start in around {
                let window = window_of(parent, start, leaf);
                if cuts.remembers(parent, window) {
                    let made = self.fold(parent, window)?.0;
                    self.made.insert((parent, start), made);
                }
            }
        }
        let mut all = Vec::with_capacity(windows.len());
        for window in windows {
            let (rows, rollups) = match self.below(tier, *window)?.pop() {
                Some(Below::Made(made)) => (made.rows, made.rollups),
                Some(Below::Stored(node)) => {
                    (node.rows, node.rollups(&self.reading.fields, Wants::ALL)?)
                }
                None => {
                    let made = self.fold(tier, *window)?.0;
                    (made.rows, made.rollups)
                }
            };
            if rows > 0 {
                all.push((*window, rows, rollups));
            }
        }
        Ok(all)
    }

    /// Are there enough windows of the tier below in a range for a node above them to be stored?
    fn may_pay(&self, tier: Tier, range: TimeRange) -> bool {
        let below = Tier::ALL[tier as usize - 1];
        let window = |time: i64| window_of(below, time, self.reading.leaf);
        let next = |window: &TimeRange| {
            let next = window.last().checked_add(1).filter(|next| *next <= range.last());
            next.map(|next| window_of(below, next, self.reading.leaf))
        };
        std::iter::successors(Some(window(range.first())), next).take(CHILDREN_STORED).count()
            == CHILDREN_STORED
    }

    /// A node from what is below it, and how many pieces that took.
    fn fold(&mut self, tier: Tier, window: TimeRange) -> Result<(Made, usize), SealError> {
        let leaf = self.reading.leaf;
        let kinds: Vec<FieldType> = self.reading.fields.iter().map(|field| field.kind).collect();
        let mut fold = TreeFold::new(window, self.reading.leaf, &kinds, Wants::ALL);
        let mut rows = 0;
        let mut children = BTreeSet::new();
        let below = [Tier::Month, Tier::Day, Tier::Hour];
        let finer = &below[below.iter().position(|below| *below < tier).unwrap_or(below.len())..];
        let child = finer.first().copied().unwrap_or(Tier::Hour);
        let pieces = cover(window, finer, &mut |tier, range| self.below(tier, range))?;
        let mut pieces = settle(&self.reading.settled, self.device, pieces, &self.reading.fields)?;
        let gaps: Vec<TimeRange> = pieces.iter().filter_map(Piece::rows).collect();
        let mut between: VecDeque<Leaf> = VecDeque::new();
        if let (Some(first), Some(last)) = (gaps.first(), gaps.last()) {
            let scan = self.scan(first.hull(*last))?;
            self.maker.each_in(scan, &gaps, Make::Rollups, |leaf| {
                between.push_back(leaf);
                Ok::<(), SealError>(())
            })?;
        }
        let mut add = |tier: Tier, window: TimeRange, count: u64, rollups: &[Rollup]| {
            if count > 0 {
                rows += count;
                fold.node(tier, window, rollups);
                children.insert(window_of(child, window.first(), leaf).first());
            }
        };
        for piece in pieces.drain(..) {
            match piece {
                Piece::Node(tier, Below::Made(made)) => {
                    add(tier, made.window, made.rows, &made.rollups);
                }
                Piece::Node(tier, Below::Stored(node)) => {
                    let rollups = node.rollups(&self.reading.fields, Wants::ALL)?;
                    add(tier, node.window, node.rows, &rollups);
                }
                Piece::Rows(range) => {
                    while let Some(leaf) =
                        between.pop_front_if(|leaf| range.contains(leaf.window.first()))
                    {
                        add(Tier::Hour, leaf.window, leaf.rows, &leaf.rollups);
                    }
                }
            }
        }
        Ok((Made { window, rows, rollups: fold.finish() }, children.len()))
    }

    /// The nodes of a tier that lie in a range: those just made stand in the place of stored ones.
    fn below(&self, tier: Tier, range: TimeRange) -> Result<Vec<Below>, SealError> {
        let stored = self.reading.stored.nodes(tier, self.device, range, &self.reading.fields)?;
        let made = self.made.range((tier, range.first())..=(tier, range.last()));
        let made = made.map(|(_, made)| made).filter(|made| range.covers(made.window));
        // Where nodes of the tier are settled, or nothing is kept, no memory counts.
        let cuts = self.reading.settled.cuts();
        let stored = stored.into_iter().filter(|node| cuts.remembers(tier, node.window));
        let mut all: BTreeMap<i64, Below> =
            stored.map(|node| (node.window.first(), Below::Stored(node))).collect();
        all.extend(made.map(|made| (made.window.first(), Below::Made(made.clone()))));
        Ok(all.into_values().collect())
    }

    fn is_stored(&self, tier: Tier, window: TimeRange) -> Result<bool, SealError> {
        Ok(!self.reading.stored.nodes(tier, self.device, window, &[])?.is_empty())
    }

    fn nothing(&self) -> Vec<Rollup> {
        self.reading.fields.iter().map(|field| Rollup::new(field.kind)).collect()
    }

    fn scan(&self, range: TimeRange) -> Result<Scan, SealError> {
        Ok(self.reading.scan(self.device, range)?)
    }
}
