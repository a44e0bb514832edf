//! Totals as rows of an answer: gaps filled, in the order asked for.

use super::aggregate::{float, result};
use super::answer::{AnswerField, RowBatch};
use super::plan::{Context, QueryError};
use super::spec::{Aggregate, Fill};
use super::totals::Totals;
use crate::rollup::Rollup;
use std::sync::Arc;
use tidelog_model::{Column, FieldType, TimeRange, ValueRef, Values};

/// More windows than these are not filled.
const FILLED_WINDOWS_MAX: u64 = 10_000_000;

/// Turns totals into rows, fills gaps, puts them in the order asked for.
pub(super) fn push_totals(
    context: &Context,
    fields: &[AnswerField],
    device: Option<&Arc<str>>,
    totals: &Totals,
    batch: &mut RowBatch,
) -> Result<(), QueryError> {
    if totals.windows.is_empty() {
        return Ok(());
    }
    if context.query.fill == Fill::None && !context.is_descending() {
        return push_plain(context, device, totals, batch);
    }
    let mut rows = context.empty_batch(fields);
    let columns: Vec<(usize, Aggregate, FieldType)> = context.aggregate_columns().collect();
    let whole = |window: TimeRange, first| context.windows.name(window, first);
    let filling = context.query.fill != Fill::None;
    let mut windows = Vec::new();
    let mut next = if filling { first_window(context) } else { None };
    for (number, total) in totals.windows.iter().enumerate() {
        while let Some(gap) = next.filter(|gap| gap.last() < total.window.first()) {
            windows.push(gap);
            rows.times.push(gap.first());
            rows.columns.iter_mut().for_each(Column::push_absent);
            next = context.windows.after(gap);
            check_windows(&windows)?;
        }
        windows.push(total.window);
        rows.times.push(whole(total.window, total.first));
        for ((at, aggregate, kind), column) in columns.iter().zip(&mut rows.columns) {
            push_result(context, &totals.of(number)[*at], *aggregate, *kind, *at, column)?;
        }
        next = if filling { context.windows.after(total.window) } else { None };
    }
    let end = context.query.range.filter(|range| range.last() != i64::MAX);
    while let (Some(gap), Some(end)) = (next, end) {
        if gap.first() > end.last() {
            break;
        }
        windows.push(gap);
        rows.times.push(gap.first());
        rows.columns.iter_mut().for_each(Column::push_absent);
        next = context.windows.after(gap);
        check_windows(&windows)?;
    }
    if filling {
        for column in &mut rows.columns {
            *column = fill_column(&context.query.fill, &windows, column);
        }
    }
    let count = rows.times.len();
    let order: Vec<usize> =
        if context.is_descending() { (0..count).rev().collect() } else { (0..count).collect() };
    if let Some(device) = device {
        let number = batch.device_number(device);
        batch.row_devices.resize(batch.rows() + count, number);
    }
    batch.times.extend(order.iter().map(|row| rows.times[*row]));
    for (all, column) in batch.columns.iter_mut().zip(&rows.columns) {
        if !context.is_descending() {
            all.extend_from(column, 0, count);
            continue;
        }
        for row in &order {
            match column.at(*row) {
                Some(value) => {
                    all.push(value);
                }
                None => all.push_absent(),
            }
        }
    }
    Ok(())
}

/// Rows of windows as they are: no gaps to fill, oldest first.
fn push_plain(
    context: &Context,
    device: Option<&Arc<str>>,
    totals: &Totals,
    batch: &mut RowBatch,
) -> Result<(), QueryError> {
    if let Some(device) = device {
        let number = batch.device_number(device);
        batch.row_devices.resize(batch.rows() + totals.windows.len(), number);
    }
    let names = totals.windows.iter().map(|w| context.windows.name(w.window, w.first));
    batch.times.extend(names);
    for ((at, aggregate, kind), column) in context.aggregate_columns().zip(&mut batch.columns) {
        // The common case at once: floats without a gap.
        let floats =
            (0..totals.windows.len()).map(|number| float(&totals.of(number)[at], aggregate));
        if kind == FieldType::F64
            && let Some(floats) = floats.collect::<Option<Vec<f64>>>()
        {
            column.extend(&Values::F64(floats));
            continue;
        }
        for number in 0..totals.windows.len() {
            push_result(context, &totals.of(number)[at], aggregate, kind, at, column)?;
        }
    }
    Ok(())
}

fn check_windows(windows: &[TimeRange]) -> Result<(), QueryError> {
    if windows.len() as u64 > FILLED_WINDOWS_MAX {
        return Err(QueryError::TooManyWindows { max: FILLED_WINDOWS_MAX });
    }
    Ok(())
}

/// Where filling starts: at the range's start, if it has one.
fn first_window(context: &Context) -> Option<TimeRange> {
    let range = context.query.range?;
    (range.first() != i64::MIN && context.query.every.is_some())
        .then(|| context.windows.at(range.first()))
}

fn push_result(
    context: &Context,
    total: &Rollup,
    aggregate: Aggregate,
    kind: FieldType,
    at: usize,
    column: &mut Column,
) -> Result<(), QueryError> {
    // A count of nothing is absent too: the window has no such value.
    let value = if total.is_empty() {
        None
    } else {
        result(total, aggregate)
            .map_err(|_| QueryError::SumOverflow { field: context.rollup_name(at), kind })?
    };
    match value {
        Some(value) => {
            column.push(value);
        }
        None => column.push_absent(),
    }
    Ok(())
}

fn fill_column(fill: &Fill, windows: &[TimeRange], column: &Column) -> Column {
    let mut filled = Column::new(column.field_type());
    let mut before: Option<usize> = None;
    // The next row with a value, found once per gap: gaps may be millions of windows long.
    let mut ahead = 0;
    for row in 0..column.len() {
        if let Some(value) = column.at(row) {
            filled.push(value);
            before = Some(row);
            continue;
        }
        let near = |a: usize, b: usize, max: &Option<std::time::Duration>| {
            let distance = i128::from(windows[b].first()) - i128::from(windows[a].first());
            max.is_none_or(|max| distance <= i128::try_from(max.as_nanos()).unwrap_or(i128::MAX))
        };
        let value = match fill {
            Fill::None | Fill::Null => None,
            Fill::Value(number) => constant(*number, column.field_type()),
            Fill::Previous(max) => {
                before.filter(|at| near(*at, row, max)).and_then(|at| column.at(at))
            }
            Fill::Linear(max) => {
                if ahead < row {
                    let found = (row..column.len()).find(|at| column.is_present(*at));
                    ahead = found.unwrap_or(column.len());
                }
                let after = (ahead < column.len()).then_some(ahead);
                match (before, after, column.values()) {
                    (Some(a), Some(b), Values::F64(values)) if near(a, b, max) => {
                        let time = |at: usize| windows[at].first() as f64;
                        let share = (time(row) - time(a)) / (time(b) - time(a));
                        Some(ValueRef::F64(values[a] + (values[b] - values[a]) * share))
                    }
                    _ => None,
                }
            }
        };
        match value {
            Some(value) => {
                filled.push(value);
            }
            None => filled.push_absent(),
        }
    }
    filled
}

/// A number in a type, where that is exact.
fn constant(number: f64, kind: FieldType) -> Option<ValueRef<'static>> {
    let whole = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    match kind {
        FieldType::F64 => Some(ValueRef::F64(number)),
        FieldType::F32 => {
            (f64::from(number as f32) == number).then_some(ValueRef::F32(number as f32))
        }
        FieldType::I64 => whole.then_some(ValueRef::I64(number as i64)),
        FieldType::U64 => (whole && number >= 0.0).then_some(ValueRef::U64(number as u64)),
        FieldType::Bool | FieldType::String | FieldType::Bytes => None,
    }
}
