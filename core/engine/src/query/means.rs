//! Sums and means of floats whose windows are whole stored nodes, straight from the columns of these: the same bits as from
//! rollups, which take ten times as much memory as what is told of them here.

use super::answer::RowBatch;
use super::nodes::Nodes;
use super::plan::{Context, QueryError};
use super::spec::{Aggregate, Every, Fill, GroupBy, Unit};
use crate::ids::Tier;
use crate::rollup::window_of;
use std::sync::Arc;
use std::time::Duration;
use tidelog_model::{FieldType, LeafWidth, TimeRange, Values};

/// More stretches without a node are looked at as everything else is.
const GAPS_MAX: usize = 8;

/// The tier whose windows are those of a query that asks for nothing else; `None` when it asks for more.
pub(super) fn tier(context: &Context) -> Option<Tier> {
    let query = &context.query;
    let sums = |aggregate: &Aggregate| matches!(aggregate, Aggregate::Mean | Aggregate::Sum);
    let plain = query.group_by == GroupBy::Device
        && query.fill == Fill::None
        && context.filter.is_empty()
        && context.in_state.is_none()
        && !context.is_descending()
        && context.aggregates.iter().all(sums)
        && context.read[..context.asked].iter().all(|field| field.kind == FieldType::F64);
    let hour = context.leaf == LeafWidth::Hour;
    let tier = match query.every.as_ref()? {
        Every::Duration(width) if *width == Duration::from_secs(3600) && hour => Tier::Hour,
        Every::Duration(width) if *width == Duration::from_secs(86_400) => Tier::Day,
        Every::Calendar { unit: Unit::Hour, zone: None } if hour => Tier::Hour,
        Every::Calendar { unit: Unit::Day, zone: None } => Tier::Day,
        Every::Calendar { unit: Unit::Month, zone: None } => Tier::Month,
        Every::Calendar { unit: Unit::Year, zone: None } => Tier::Year,
        _ => return None,
    };
    (plain && context.asked > 0 && context.tiers.contains(&tier)).then_some(tier)
}

/// Adds the windows of a device; `false`, and nothing is added, when rows or several nodes have a say.
pub(super) fn push(
    context: &Context,
    tier: Tier,
    device: &Arc<str>,
    batch: &mut RowBatch,
) -> Result<bool, QueryError> {
    match try_push(context, tier, device, batch) {
        // Who reads rollups notes the damage, and reads rows.
        Err(QueryError::Read(error)) if error.is_of_nodes() => Ok(false),
        other => other,
    }
}

fn try_push(
    context: &Context,
    tier: Tier,
    device: &Arc<str>,
    batch: &mut RowBatch,
) -> Result<bool, QueryError> {
    let Some(range) = context.range else { return Ok(false) };
    if context.borrows && !context.borrowed(context.group_of(device))?.is_empty() {
        return Ok(false);
    }
    let cut = range.first() < context.cuts.of(Tier::Raw);
    let nodes = if cut { None } else { Nodes::of(context, device, range)? };
    let Some(nodes) = nodes.filter(Nodes::are_all_fresh) else { return Ok(false) };
    let fields = &context.read[..context.asked];
    let Some(run) = nodes.run(tier, range, fields)? else { return Ok(false) };
    let mut starts = Vec::new();
    let mut columns = vec![Vec::new(); context.asked];
    for (block, range) in &run.blocks {
        starts.extend(range.clone().map(|node| block.start(node)));
        for (number, column) in run.numbers.iter().zip(&mut columns) {
            let Some(number) = number else { return Ok(false) };
            match block.float_sums(*number, range.clone())? {
                Some(sums) => column.extend(sums),
                None => return Ok(false),
            }
        }
    }
    let Some(gaps) = gaps(range, tier, &starts, context.leaf) else { return Ok(false) };
    if has_rows(context, device, &gaps)? {
        return Ok(false);
    }
    context.touched.add_nodes(tier, starts.len());
    let number = batch.device_number(device);
    batch.row_devices.resize(batch.rows() + starts.len(), number);
    batch.times.extend_from_slice(&starts);
    for ((at, aggregate, _), column) in context.aggregate_columns().zip(&mut batch.columns) {
        let values = columns[at].iter().map(|(sum, count)| match aggregate {
            Aggregate::Mean => sum / *count as f64,
            _ => *sum,
        });
        column.extend(&Values::F64(values.collect()));
    }
    Ok(true)
}

/// The parts of a range in which there is no window; `None` when there are many, or a window is cut.
fn gaps(range: TimeRange, tier: Tier, starts: &[i64], leaf: LeafWidth) -> Option<Vec<TimeRange>> {
    let mut gaps = Vec::new();
    let mut next = Some(range.first());
    for start in starts {
        let from = next?;
        if *start != from {
            gaps.extend(start.checked_sub(1).and_then(|last| TimeRange::inclusive(from, last)));
        }
        let window = window_of(tier, *start, leaf);
        if !range.covers(window) || gaps.len() > GAPS_MAX {
            return None;
        }
        next = window.last().checked_add(1);
    }
    gaps.extend(next.and_then(|from| TimeRange::inclusive(from, range.last())));
    (gaps.len() <= GAPS_MAX).then_some(gaps)
}

/// Are there pages of rows in some ranges? Nothing is in memory, or nodes would not be fresh.
fn has_rows(context: &Context, device: &str, gaps: &[TimeRange]) -> Result<bool, QueryError> {
    let group = context.group_of(device);
    for open in context.snapshot.files_of(&context.name, group, TimeRange::ALL) {
        if !gaps.iter().any(|gap| gap.overlaps(open.entry.range)) {
            continue;
        }
        let file = open.readable()?;
        let Some(section) = file.section(&context.name) else { continue };
        let Some(series) = file.find(section, device)? else { continue };
        let near: Vec<&TimeRange> =
            gaps.iter().filter(|gap| gap.overlaps(series.range())).collect();
        if near.is_empty() {
            continue;
        }
        let index = context.cache.index(file, &series)?;
        if near.iter().any(|gap| !index.pages(**gap).is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}
