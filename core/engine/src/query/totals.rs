//! Rollups of one device by window.

use super::aggregate::counted;
use super::borrowed::{borrowed, put_between};
use super::nodes::Nodes;
use super::plan::{Context, QueryError};
use super::settled::settle;
use crate::codec::Scratch;
use crate::ids::Tier;
use crate::pyramid::{Piece, StoredNode, cover};
use crate::rollup::{BLOCK_ROWS, Rollup, TreeFold, kept, window_of};
use crate::rows::SeriesRows;
use crate::scan::Scan;
use std::ops::Range;
use tidelog_model::{Bitmap, FieldType, LeafWidth, TimeRange};

/// A window that has values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) window: TimeRange,
    /// The first time of a value in it.
    pub(crate) first: i64,
}

/// The rollups of some windows, in order of time.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) windows: Vec<Window>,
    /// For each window, one per field asked for.
    fields: Vec<Rollup>,
    width: usize,
}

impl Totals {
    pub(crate) fn new(width: usize) -> Self {
        Totals { windows: Vec::new(), fields: Vec::new(), width }
    }

    pub(crate) fn push(&mut self, window: Window, fields: &[Rollup]) {
        self.windows.push(window);
        self.fields.extend_from_slice(fields);
    }

    /// The rollups of a window.
    pub(crate) fn of(&self, window: usize) -> &[Rollup] {
        &self.fields[window * self.width..(window + 1) * self.width]
    }

    fn last_fields(&mut self) -> &mut [Rollup] {
        let at = self.fields.len() - self.width;
        &mut self.fields[at..]
    }

    /// Says when the first value of each window is: not when its first row is, which may have none.
    fn date(&mut self) {
        for (at, fields) in self.fields.chunks(self.width.max(1)).enumerate() {
            let first = fields.iter().filter_map(Rollup::first_time).min();
            if let (Some(first), Some(window)) = (first, self.windows.get_mut(at)) {
                window.first = first;
            }
        }
    }

    fn drop_empty(&mut self) {
        let empty = |fields: &[Rollup]| fields.iter().all(Rollup::is_empty);
        if self.width == 0 {
            // Without a field there is no value.
            self.windows.clear();
        }
        if self.width == 0 || !self.fields.chunks(self.width).any(empty) {
            return;
        }
        let mut kept = Totals::new(self.width);
        for (at, window) in self.windows.iter().enumerate() {
            if !empty(self.of(at)) {
                kept.push(*window, self.of(at));
            }
        }
        *self = kept;
    }
}

/// Makes totals of one device: from stored nodes where they are true and lie in one window, and rows elsewhere.
pub(super) fn of_device(
    context: &Context,
    device: &str,
    range: TimeRange,
    scratch: &mut Scratch,
) -> Result<Totals, QueryError> {
    match with_nodes(context, device, range, true, scratch) {
        Err(QueryError::Read(error)) if error.is_of_nodes() => {
            // Rows tell the same, and sealing makes the nodes anew.
            tracing::warn!(%error, "a file of the pyramid is damaged; rows are read instead");
            context.node_damage.add(context.group_of(device));
            with_nodes(context, device, range, false, scratch)
        }
        other => other,
    }
}

fn with_nodes(
    context: &Context,
    device: &str,
    range: TimeRange,
    trusted: bool,
    scratch: &mut Scratch,
) -> Result<Totals, QueryError> {
    let kinds: Vec<FieldType> = context.read[..context.asked].iter().map(|f| f.kind).collect();
    let mut making = Making { context, kinds, totals: Totals::new(context.asked), open: None };
    let mut nodes = if trusted { Nodes::of(context, device, range)? } else { None };
    let lent = if trusted { borrowed(context, device, range, scratch)? } else { Vec::new() };
    if let Some(nodes) = nodes.as_mut().filter(|_| !lent.is_empty()) {
        nodes.overtaken_by(lent.iter().map(|(_, node)| node.window));
    }
    let rows_only = range.first() >= context.cuts.of(Tier::Raw);
    match nodes {
        None if rows_only && lent.is_empty() => {
            making.rows(context.scan(device, range)?, scratch)?
        }
        nodes => {
            let pieces = match nodes {
                None => vec![Piece::Rows(range)],
                Some(nodes) => {
                    cover(range, &context.tiers, &mut |tier, range| nodes.inside(tier, range))?
                }
            };
            let pieces = put_between(context, settle(context, device, pieces)?, lent);
            let gaps: Vec<TimeRange> = pieces.iter().filter_map(Piece::rows).collect();
            let around = gaps.first().zip(gaps.last()).map(|(first, last)| first.hull(*last));
            let mut rows = Between { scan: None, slice: None };
            if let Some(around) = around {
                let mut scan = context.scan(device, around)?;
                scan.only(&gaps);
                rows.scan = Some(scan);
            }
            for piece in pieces {
                match piece {
                    Piece::Node(tier, node) => making.node(tier, &node)?,
                    Piece::Rows(gap) => rows.fold(gap, &mut making, scratch)?,
                }
            }
        }
    }
    making.end();
    // A window whose rows have none of the fields is empty.
    making.totals.drop_empty();
    making.totals.date();
    Ok(making.totals)
}

struct Making<'a> {
    context: &'a Context,
    kinds: Vec<FieldType>,
    totals: Totals,
    /// The last window, while more than one slice makes it.
    open: Option<TreeFold>,
}

/// Rows between nodes: one scan for all gaps, because each has to find the device in every file.
struct Between {
    scan: Option<Scan>,
    /// A slice and how many of its rows are done with.
    slice: Option<(SeriesRows, usize)>,
}

impl Between {
    /// Adds the rows of a gap; gaps come in order of time.
    fn fold(
        &mut self,
        gap: TimeRange,
        making: &mut Making<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), QueryError> {
        loop {
            if self.slice.is_none() {
                let Some(scan) = &mut self.scan else { return Ok(()) };
                let Some((rows, keep)) = making.context.next_slice(scan, scratch)? else {
                    return Ok(());
                };
                let rows = keep.map_or_else(|| rows.clone(), |keep| kept(&rows, &keep));
                self.slice = Some((rows, 0));
            }
            let Some((rows, done)) = &mut self.slice else { return Ok(()) };
            let from = *done + rows.times[*done..].partition_point(|time| *time < gap.first());
            let to = from + rows.times[from..].partition_point(|time| *time <= gap.last());
            if from < to {
                making.context.touched.add_rows(to - from);
                let part = (from > 0 || to < rows.len()).then(|| rows.slice(from, to));
                making.add(part.as_ref().unwrap_or(rows));
            }
            *done = to;
            if to < rows.len() {
                return Ok(());
            }
            self.slice = None;
        }
    }
}

impl Making<'_> {
    /// Adds rows that all count.
    fn add(&mut self, rows: &SeriesRows) {
        if self.context.wants.any() { self.fold(rows) } else { self.count(rows, None) }
    }

    fn rows(&mut self, mut scan: Scan, scratch: &mut Scratch) -> Result<(), QueryError> {
        let context = self.context;
        while let Some((rows, keep)) = context.next_slice(&mut scan, scratch)? {
            context.touched.add_rows(rows.len());
            match keep {
                Some(keep) if context.wants.any() => self.fold(&kept(&rows, &keep)),
                Some(keep) => self.count(&rows, Some(&keep)),
                None => self.add(&rows),
            }
            rows.give_back(scratch);
        }
        Ok(())
    }

    fn node(&mut self, tier: Tier, node: &StoredNode) -> Result<(), QueryError> {
        let context = self.context;
        context.touched.add_node(tier);
        if node.rows == 0 {
            return Ok(());
        }
        let rollups = node.rollups(&context.read[..context.asked], context.wants)?;
        let first = node.window.first();
        let open = self.totals.windows.last().map(|open| open.window);
        if !open.is_some_and(|window| window.contains(first)) {
            self.end();
            let window = context.windows.at(first);
            self.totals.windows.push(Window { window, first });
            let stretch = context.range.and_then(|range| range.intersection(window));
            if stretch == Some(node.window) {
                // The common case: the node is the window.
                self.totals.fields.extend(rollups);
                return Ok(());
            }
            self.totals.fields.extend(self.kinds.iter().map(|kind| Rollup::new(*kind)));
        }
        if context.wants.any() {
            self.open_fold().node(tier, node.window, &rollups);
        } else {
            let fields = self.totals.last_fields().iter_mut();
            fields.zip(&rollups).for_each(|(field, rollup)| field.merge(rollup));
        }
        Ok(())
    }

    /// The fold of the last window.
    fn open_fold(&mut self) -> &mut TreeFold {
        let context = self.context;
        let window = self.totals.windows.last().map_or(TimeRange::ALL, |open| open.window);
        self.open.get_or_insert_with(|| {
            let stretch = context.range.and_then(|range| range.intersection(window));
            TreeFold::new(stretch.unwrap_or(window), context.leaf, &self.kinds, context.wants)
        })
    }

    /// Counts rows by window: no fold, so nothing depends on an order.
    fn count(&mut self, rows: &SeriesRows, keep: Option<&Bitmap>) {
        let mut from = 0;
        while from < rows.len() {
            let open = self.totals.windows.last();
            if !open.is_some_and(|last| last.window.contains(rows.times[from])) {
                // A row that is filtered out is not seen: whether it comes along depends on its page.
                let seen = keep.map_or(Some(from), |keep| keep.first_in(from, rows.len()));
                let Some(first) = seen else { return };
                from = first;
                self.begin(rows.times[first]);
            }
            let Some(open) = self.totals.windows.last() else { return };
            let to = from + gallop(&rows.times[from..], open.window.last());
            for (field, cells) in self.totals.last_fields().iter_mut().zip(&rows.columns) {
                if let Some(cells) = cells {
                    field.merge(&counted(&rows.times, &cells.column, (from, to), keep));
                }
            }
            from = to;
        }
    }

    /// Folds rows that all count.
    fn fold(&mut self, rows: &SeriesRows) {
        let context = self.context;
        let mut from = 0;
        while from < rows.len() {
            let time = rows.times[from];
            let open = self.totals.windows.last().map(|open| open.window);
            let begun = open.filter(|window| window.contains(time));
            let window = begun.unwrap_or_else(|| context.windows.at(time));
            let to = from + gallop(&rows.times[from..], window.last());
            if begun.is_none() {
                self.end();
                self.totals.windows.push(Window { window, first: time });
                if to < rows.len() && self.is_block(window, to - from) {
                    // The common case of many small windows: one block, all here.
                    self.push_block(rows, from..to);
                    from = to;
                    continue;
                }
                self.totals.fields.extend(self.kinds.iter().map(|kind| Rollup::new(*kind)));
            }
            self.open_fold().rows(rows, from..to);
            from = to;
        }
    }

    fn push_block(&mut self, rows: &SeriesRows, range: Range<usize>) {
        for (kind, cells) in self.kinds.iter().zip(&rows.columns) {
            self.totals.fields.push(match cells {
                Some(cells) => {
                    let wants = self.context.wants;
                    Rollup::of_block(&rows.times, &cells.column, range.clone(), wants)
                }
                None => Rollup::new(*kind),
            });
        }
    }

    /// Does the window lie in one leaf, with so few rows that they make one block?
    fn is_block(&self, window: TimeRange, rows: usize) -> bool {
        rows <= BLOCK_ROWS && lies_in_leaf(window, self.context.leaf)
    }

    fn begin(&mut self, time: i64) {
        let window = self.context.windows.at(time);
        self.totals.windows.push(Window { window, first: time });
        self.totals.fields.extend(self.kinds.iter().map(|kind| Rollup::new(*kind)));
    }

    fn end(&mut self) {
        if let Some(fold) = self.open.take() {
            let fields = fold.finish();
            self.totals.last_fields().clone_from_slice(&fields);
        }
    }
}

fn lies_in_leaf(window: TimeRange, leaf: LeafWidth) -> bool {
    let width = leaf.nanoseconds();
    let short =
        window.last().checked_sub(window.first()).is_some_and(|width_less_1| width_less_1 < width);
    short && window_of(Tier::Hour, window.first(), leaf).contains(window.last())
}

/// How many leading times are at most `last`: windows are short, so look near first.
fn gallop(times: &[i64], last: i64) -> usize {
    let mut step = 1;
    let mut low = 0;
    while low + step < times.len() && times[low + step] <= last {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + times[low..high].partition_point(|time| *time <= last)
}
