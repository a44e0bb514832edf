//! Folding a stretch of time along the tree: see ROLLUP.md.

use super::{BlockSink, Blocks, Rollup, Wants};
use crate::ids::Tier;
use crate::rows::{Cells, SeriesRows};
use std::ops::Range;
use tidelog_model::{FieldType, LeafWidth, TimeRange, calendar};

/// The window of a tier that holds a time; leaves for the finest.
pub(crate) fn window_of(tier: Tier, time: i64, leaf: LeafWidth) -> TimeRange {
    match tier {
        Tier::Raw | Tier::Hour => calendar::leaf_window(time, leaf),
        Tier::Day => calendar::day_window(time),
        Tier::Month => calendar::month_window(time),
        Tier::Year => calendar::year_window(time),
    }
}

/// The tiers above leaves, coarse to fine.
const PARENTS: [Tier; 3] = [Tier::Year, Tier::Month, Tier::Day];

/// Rollups of some fields over one stretch of time, from rows and nodes that come in order of time.
/// Nothing shows of which parts came as rows and which as nodes.
pub(crate) struct TreeFold {
    stretch: TimeRange,
    leaf: LeafWidth,
    wants: Wants,
    /// The coarsest tier of which a window can lie in the stretch.
    coarsest: Option<Tier>,
    /// Windows that are being folded, coarse to fine; all lie in the stretch.
    open: Vec<Open>,
    blocks: Blocks,
    /// The part of the leaf that lies in the stretch, while its rows come.
    leaf_rows: Option<LeafRows>,
    total: Fields,
}

struct Open {
    tier: Tier,
    window: TimeRange,
    fields: Fields,
}

struct LeafRows {
    window: TimeRange,
    fields: Fields,
}

/// A rollup per field.
#[derive(Clone, Debug)]
struct Fields(Vec<Rollup>);

impl Fields {
    fn new(kinds: &[FieldType]) -> Self {
        Fields(kinds.iter().map(|kind| Rollup::new(*kind)).collect())
    }

    fn merge(&mut self, next: &[Rollup]) {
        self.0.iter_mut().zip(next).for_each(|(mine, next)| mine.merge(next));
    }
}

/// Folds blocks of a leaf.
struct Folding<'a> {
    fields: &'a mut Fields,
    wants: Wants,
}

impl BlockSink for Folding<'_> {
    fn block(&mut self, times: &[i64], columns: &[Option<Cells>], rows: Range<usize>) {
        for (field, cells) in self.fields.0.iter_mut().zip(columns) {
            if let Some(cells) = cells {
                let block = Rollup::of_block(times, &cells.column, rows.clone(), self.wants);
                field.merge_owned(block);
            }
        }
    }
}

impl TreeFold {
    pub(crate) fn new(
        stretch: TimeRange,
        leaf: LeafWidth,
        kinds: &[FieldType],
        wants: Wants,
    ) -> Self {
        // A year is 366 days at most, a month 31: most windows hold no day, and need not ask the calendar.
        let days = (i128::from(stretch.last()) - i128::from(stretch.first()) + 1) / DAY;
        let coarsest = match days {
            ..1 => None,
            1..28 => Some(Tier::Day),
            28..365 => Some(Tier::Month),
            _ => Some(Tier::Year),
        };
        TreeFold {
            stretch,
            leaf,
            wants,
            coarsest,
            open: Vec::new(),
            blocks: Blocks::default(),
            leaf_rows: None,
            total: Fields::new(kinds),
        }
    }

    /// Adds rows of the stretch.
    pub(crate) fn rows(&mut self, rows: &SeriesRows, range: Range<usize>) {
        let mut from = range.start;
        while from < range.end {
            let time = rows.times[from];
            if self.leaf_rows.as_ref().is_none_or(|open| !open.window.contains(time)) {
                self.end_leaf();
                let window = window_of(Tier::Hour, time, self.leaf);
                let window = window.intersection(self.stretch).unwrap_or(window);
                let kinds: Vec<FieldType> = self.total.0.iter().map(Rollup::kind).collect();
                self.leaf_rows = Some(LeafRows { window, fields: Fields::new(&kinds) });
            }
            let Some(leaf) = &mut self.leaf_rows else { return };
            let last = leaf.window.last();
            let to = from + rows.times[from..range.end].partition_point(|time| *time <= last);
            let ends = to < range.end;
            let mut sink = Folding { fields: &mut leaf.fields, wants: self.wants };
            self.blocks.push(rows, from..to, ends, &mut sink);
            from = to;
        }
    }

    /// Adds a node that lies in the stretch and begins after all that was added before.
    pub(crate) fn node(&mut self, tier: Tier, window: TimeRange, rollups: &[Rollup]) {
        self.end_leaf();
        self.add(tier, window, rollups);
    }

    /// A rollup for every field.
    pub(crate) fn finish(mut self) -> Vec<Rollup> {
        self.end_leaf();
        while !self.open.is_empty() {
            self.close();
        }
        self.total.0
    }

    fn end_leaf(&mut self) {
        let Some(mut leaf) = self.leaf_rows.take() else { return };
        self.blocks.end(&mut Folding { fields: &mut leaf.fields, wants: self.wants });
        self.add(Tier::Hour, leaf.window, &leaf.fields.0);
    }

    fn add(&mut self, tier: Tier, window: TimeRange, rollups: &[Rollup]) {
        while self.open.last().is_some_and(|open| !open.window.contains(window.first())) {
            self.close();
        }
        for parent in PARENTS.into_iter().filter(|parent| *parent > tier) {
            let finest = self.open.last().map(|open| open.tier);
            if self.coarsest.is_none_or(|coarsest| parent > coarsest)
                || finest.is_some_and(|finest| finest <= parent)
            {
                continue;
            }
            let around = window_of(parent, window.first(), self.leaf);
            if self.stretch.intersection(around) == Some(around) {
                let kinds: Vec<FieldType> = self.total.0.iter().map(Rollup::kind).collect();
                let fields = Fields::new(&kinds);
                self.open.push(Open { tier: parent, window: around, fields });
            }
        }
        let into = self.open.last_mut().map_or(&mut self.total, |open| &mut open.fields);
        into.merge(rollups);
    }

    /// Merges the finest open window into what holds it.
    fn close(&mut self) {
        let Some(done) = self.open.pop() else { return };
        let into = self.open.last_mut().map_or(&mut self.total, |open| &mut open.fields);
        into.merge(&done.fields.0);
    }
}

/// Nanoseconds in a day.
const DAY: i128 = 86_400_000_000_000;
