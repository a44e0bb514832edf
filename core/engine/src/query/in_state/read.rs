//! The values of states in order of time: from stored nodes in which they do not change, and from rows elsewhere.

use super::super::explain::Touched;
use super::super::filter::compare;
use super::super::nodes::Nodes;
use super::super::plan::{Context, QueryError};
use super::super::settled::{gone, settle};
use super::State;
use super::clock::Clock;
use crate::codec::Scratch;
use crate::ids::Tier;
use crate::pyramid::{Piece, Windowed, cover};
use crate::rollup::{Number, Numbers, Rollup};
use crate::rows::SeriesRows;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;
use tidelog_model::{Bitmap, TimeRange, Value, ValueRef};

/// A stored node in which every field has one value, or none.
struct Constant {
    window: TimeRange,
    fields: Vec<Option<Lasting>>,
}

/// One value, from its first time to its last.
struct Lasting {
    first: i64,
    last: i64,
    value: Value,
}

impl Windowed for Constant {
    fn window(&self) -> TimeRange {
        self.window
    }
}

/// Runs the clock of each state over the values of its field; `reading` reads those fields alone.
pub(super) struct Reader<'a> {
    pub(super) reading: &'a Context,
    pub(super) touched: &'a Touched,
    pub(super) states: &'a [State],
    pub(super) clocks: Vec<Clock<'a>>,
}

impl Reader<'_> {
    /// Reads one device; `trusted`: nodes may stand for rows.
    pub(super) fn device(
        &mut self,
        device: &str,
        range: TimeRange,
        trusted: bool,
        scratch: &mut Scratch,
    ) -> Result<(), QueryError> {
        let reading = self.reading;
        let nodes = if trusted { Nodes::of(reading, device, range)? } else { None };
        let pieces = match &nodes {
            None => vec![Piece::Rows(range)],
            Some(nodes) => cover(range, &reading.tiers, &mut |tier, range| {
                constants_of(reading, nodes, tier, range)
            })?,
        };
        let mut constants = VecDeque::new();
        let mut gaps = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Node(tier, constant) => {
                    self.touched.add_node(tier);
                    constants.push_back(constant);
                }
                Piece::Rows(gap) => {
                    for (tier, constant) in settled_constants(reading, device, gap)? {
                        self.touched.add_node(tier);
                        constants.push_back(constant);
                    }
                    gaps.extend(gap.intersection(reading.cuts.rows()));
                }
            }
        }
        let around = gaps.first().zip(gaps.last()).map(|(first, last)| first.hull(*last));
        let Some(around) = around else {
            return constants.iter().try_for_each(|node| self.constant(node));
        };
        let mut scan = reading.scan(device, around)?;
        scan.only(&gaps);
        // Up to here nodes have told.
        let mut told: Option<i64> = None;
        while let Some((rows, keep)) = reading.next_slice(&mut scan, scratch)? {
            self.touched.add_rows(rows.len());
            let mut from = 0;
            while from < rows.len() {
                // Some pages reach into a node beside others that were left out for it: their rows may have lost.
                let of_nodes = |time: &i64| told.is_some_and(|last| *time <= last);
                from += rows.times[from..].partition_point(of_nodes);
                let Some(time) = rows.times.get(from) else { break };
                if let Some(node) = constants.pop_front_if(|node| node.window.first() <= *time) {
                    self.constant(&node)?;
                    told = Some(node.window.last());
                    continue;
                }
                let next = constants.front().map(|node| node.window.first());
                let to = next.map_or(rows.len(), |next| {
                    from + rows.times[from..].partition_point(|time| *time < next)
                });
                self.rows(&rows, keep.as_ref(), from..to)?;
                from = to;
            }
        }
        constants.iter().try_for_each(|node| self.constant(node))
    }

    fn constant(&mut self, node: &Constant) -> Result<(), QueryError> {
        for (state, clock) in self.states.iter().zip(&mut self.clocks) {
            if let Some(Some(lasting)) = node.fields.get(state.at) {
                clock.run(lasting.first, lasting.last, state.is(lasting.value.as_ref()))?;
            }
        }
        Ok(())
    }

    fn rows(
        &mut self,
        rows: &SeriesRows,
        keep: Option<&Bitmap>,
        range: Range<usize>,
    ) -> Result<(), QueryError> {
        for (state, clock) in self.states.iter().zip(&mut self.clocks) {
            let Some(Some(cells)) = rows.columns.get(state.at) else { continue };
            for row in range.clone().filter(|row| keep.is_none_or(|keep| keep.at(*row))) {
                if let Some(value) = cells.column.at(row) {
                    let time = rows.times[row];
                    clock.run(time, time, state.is(value))?;
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn is(&self, value: ValueRef<'_>) -> bool {
        compare(value, self.value.as_ref()) == Some(Ordering::Equal)
    }
}

/// The nodes of a tier in which nothing changes; where something does, finer ones may tell when.
fn constants_of(
    reading: &Context,
    nodes: &Nodes<'_>,
    tier: Tier,
    range: TimeRange,
) -> Result<Vec<Constant>, QueryError> {
    let fields = &reading.read[..reading.asked];
    let mut constants = Vec::new();
    for node in nodes.inside(tier, range)? {
        let lasting: Option<Vec<Option<Lasting>>> = if node.rows == 0 {
            Some(Vec::new())
        } else {
            node.rollups(fields, reading.wants)?.iter().map(lasting).collect()
        };
        constants.extend(lasting.map(|fields| Constant { window: node.window, fields }));
    }
    Ok(constants)
}

/// What stands for rows that are gone: each has to have one value, for nobody knows when it changed.
fn settled_constants(
    reading: &Context,
    device: &str,
    gap: TimeRange,
) -> Result<Vec<(Tier, Constant)>, QueryError> {
    let fields = &reading.read[..reading.asked];
    let mut constants = Vec::new();
    for piece in settle(reading, device, vec![Piece::Rows(gap)])? {
        let Piece::Node(tier, node) = piece else { continue };
        let rollups = node.rollups(fields, reading.wants)?;
        let Some(lasting) = rollups.iter().map(lasting).collect() else {
            return Err(gone(reading, device, tier, &node, "a state changes in it"));
        };
        constants.push((tier, Constant { window: node.window, fields: lasting }));
    }
    Ok(constants)
}

/// The one value of a rollup, if any; `None` when it may have several.
fn lasting(rollup: &Rollup) -> Option<Option<Lasting>> {
    if rollup.is_empty() {
        return Some(None);
    }
    match rollup {
        Rollup::States(_, states) if states.changes == 0 => {
            let (first, value) = states.first.as_ref()?;
            let (last, _) = states.last.as_ref()?;
            Some(Some(Lasting { first: *first, last: *last, value: value.clone() }))
        }
        Rollup::I64(numbers) => one_number(numbers, Value::I64),
        Rollup::U64(numbers) => one_number(numbers, Value::U64),
        Rollup::States(..) | Rollup::F64(_) | Rollup::F32(_) => None,
    }
}

fn one_number<T: Number>(numbers: &Numbers<T>, to: fn(T) -> Value) -> Option<Option<Lasting>> {
    let ((least, _), (greatest, _)) = (numbers.least?, numbers.greatest?);
    let ((first, value), (last, _)) = (numbers.first?, numbers.last?);
    (least == greatest).then(|| Some(Lasting { first, last, value: to(value) }))
}
