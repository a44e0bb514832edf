//! From rows to leaves: what is folded and hashed of the rows of one device in one leaf window.

use crate::codec::Scratch;
use crate::group::ReadError;
use crate::ids::Tier;
use crate::rollup::{BlockSink, Blocks, Rollup, Wants, window_of};
use crate::rows::{Cells, FieldKey, SeriesRows};
use crate::scan::Scan;
use std::ops::Range;
use std::sync::Arc;
use tidelog_model::digest::LeafHasher;
use tidelog_model::{Digest, LeafWidth, TimeRange};

/// A leaf with rows.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) window: TimeRange,
    pub(crate) rows: u64,
    /// One per field; none unless they are wanted.
    pub(crate) rollups: Vec<Rollup>,
    /// Unless only rollups are wanted.
    pub(crate) digest: Option<Digest>,
}

/// What is made of leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Make {
    Rollups,
    Digests,
    Both,
}

/// Makes leaves, one device after the other.
pub(crate) struct LeafMaker {
    width: LeafWidth,
    /// Sorted: the order in which a leaf is hashed.
    fields: Arc<[FieldKey]>,
    hasher: LeafHasher,
    blocks: Blocks,
    scratch: Scratch,
    /// Rows that were looked at.
    pub(crate) rows: u64,
}

struct Making<'a> {
    fields: &'a [FieldKey],
    hasher: &'a mut LeafHasher,
    make: Make,
    rows: u64,
    rollups: Vec<Rollup>,
    digests: Vec<Digest>,
}

impl BlockSink for Making<'_> {
    fn block(&mut self, times: &[i64], columns: &[Option<Cells>], rows: Range<usize>) {
        self.rows += rows.len() as u64;
        if self.make != Make::Digests {
            for (mine, cells) in self.rollups.iter_mut().zip(columns) {
                if let Some(cells) = cells {
                    let column = &cells.column;
                    let block = Rollup::of_block(times, column, rows.clone(), Wants::ALL);
                    mine.merge_owned(block);
                }
            }
        }
        if self.make != Make::Rollups {
            let there = self.fields.iter().zip(columns);
            let there = there
                .filter_map(|(field, cells)| Some((field.name.as_str(), &cells.as_ref()?.column)));
            self.digests.push(self.hasher.block(times, rows, there));
        }
    }
}

impl LeafMaker {
    /// `fields` are sorted, and those of the scans.
    pub(crate) fn new(width: LeafWidth, fields: &Arc<[FieldKey]>) -> Self {
        debug_assert!(fields.is_sorted(), "a leaf is hashed in the order of fields");
        LeafMaker {
            width,
            fields: Arc::clone(fields),
            hasher: LeafHasher::new(),
            blocks: Blocks::default(),
            scratch: Scratch::default(),
            rows: 0,
        }
    }

    /// Memory for decoding.
    pub(super) fn scratch(&mut self) -> &mut Scratch {
        &mut self.scratch
    }

    /// Gives the leaves that a scan has rows of and that lie in one of the ranges, in order of time. The ranges are
    /// of whole leaves, in order: pages that none of them needs are not read.
    pub(crate) fn each_in<E: From<ReadError>>(
        &mut self,
        mut scan: Scan,
        ranges: &[TimeRange],
        make: Make,
        mut each: impl FnMut(Leaf) -> Result<(), E>,
    ) -> Result<(), E> {
        scan.only(ranges);
        self.each(scan, make, |leaf| {
            let at = ranges.partition_point(|range| range.last() < leaf.window.first());
            let wanted = ranges.get(at).is_some_and(|range| range.contains(leaf.window.first()));
            if wanted { each(leaf) } else { Ok(()) }
        })
    }

    /// Gives the leaves that a scan has rows of, in order of time.
    fn each<E: From<ReadError>>(
        &mut self,
        mut scan: Scan,
        make: Make,
        mut each: impl FnMut(Leaf) -> Result<(), E>,
    ) -> Result<(), E> {
        let (width, fields) = (self.width, Arc::clone(&self.fields));
        let mut run = Run::new(width, &fields, &mut self.hasher, &mut self.blocks, make);
        while let Some(rows) = scan.next(&[], &mut self.scratch)? {
            self.rows += rows.len() as u64;
            run.rows(&rows, 0..rows.len(), false, &mut each)?;
            rows.give_back(&mut self.scratch);
        }
        run.end(&mut each)
    }

    /// Gives the leaves of rows that are in hand: parts in order of time, of all of which it takes the rows named.
    pub(crate) fn each_of<E>(
        &mut self,
        parts: &[(&SeriesRows, Range<usize>)],
        make: Make,
        mut each: impl FnMut(Leaf) -> Result<(), E>,
    ) -> Result<(), E> {
        let (width, fields) = (self.width, Arc::clone(&self.fields));
        let mut run = Run::new(width, &fields, &mut self.hasher, &mut self.blocks, make);
        for (number, (rows, range)) in parts.iter().enumerate() {
            self.rows += range.len() as u64;
            run.rows(rows, range.clone(), number + 1 == parts.len(), &mut each)?;
        }
        run.end(&mut each)
    }
}

/// Rows of one device, leaf by leaf.
struct Run<'a> {
    width: LeafWidth,
    open: Option<TimeRange>,
    making: Making<'a>,
    blocks: &'a mut Blocks,
}

impl<'a> Run<'a> {
    fn new(
        width: LeafWidth,
        fields: &'a [FieldKey],
        hasher: &'a mut LeafHasher,
        blocks: &'a mut Blocks,
        make: Make,
    ) -> Self {
        let (rollups, digests) = (Vec::new(), Vec::new());
        let making = Making { fields, hasher, make, rows: 0, rollups, digests };
        Run { width, open: None, making, blocks }
    }

    /// Takes some rows; `all` says that no more will come.
    fn rows<E>(
        &mut self,
        rows: &SeriesRows,
        range: Range<usize>,
        all: bool,
        each: &mut impl FnMut(Leaf) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut from = range.start;
        while from < range.end {
            let time = rows.times[from];
            if self.open.is_some_and(|window| !window.contains(time)) {
                self.end(each)?;
            }
            let window = *self.open.get_or_insert_with(|| {
                self.making.begin();
                window_of(Tier::Hour, time, self.width)
            });
            let rest = &rows.times[from..range.end];
            let to = from + rest.partition_point(|time| *time <= window.last());
            self.blocks.push(rows, from..to, all || to < range.end, &mut self.making);
            from = to;
        }
        Ok(())
    }

    /// The leaf that is open has all its rows.
    fn end<E>(&mut self, each: &mut impl FnMut(Leaf) -> Result<(), E>) -> Result<(), E> {
        let Some(window) = self.open.take() else { return Ok(()) };
        self.blocks.end(&mut self.making);
        each(self.making.finish(window))
    }
}

impl Making<'_> {
    fn begin(&mut self) {
        self.rows = 0;
        self.digests.clear();
        if self.make != Make::Digests {
            self.rollups = self.fields.iter().map(|field| Rollup::new(field.kind)).collect();
        }
    }

    fn finish(&mut self, window: TimeRange) -> Leaf {
        Leaf {
            window,
            rows: self.rows,
            rollups: std::mem::take(&mut self.rollups),
            digest: self.hasher.leaf(&self.digests),
        }
    }
}
