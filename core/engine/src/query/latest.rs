//! The latest row of each device.
//!
//! What files hold of it is kept per collection until files or deletes change, so asking again costs
//! one look-up per device; what memory holds is looked at each time.

use super::answer::{AnswerField, RowBatch};
use super::plan::{Context, QueryError};
use crate::codec::Scratch;
use crate::rows::{SeriesRows, combine};
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_model::{CollectionName, Stamp, TimeRange};

/// The latest rows that files hold, for one version of the files.
#[derive(Debug, Default)]
pub(crate) struct LatestCache {
    collections: Mutex<HashMap<CollectionName, Arc<Mutex<Known>>>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Number of the manifest's edit, the newest tombstone, and the number of fields: what rows depend on. A new
    /// tombstone may take the place of others, so their number says nothing.
    version: (u64, Option<Stamp>, usize),
    rows: HashMap<Arc<str>, Option<Arc<SeriesRows>>>,
}

/// The latest row of each device of a prepared query, devices in order. A device without visible rows
/// is left out.
pub(crate) fn latest(
    context: &Context,
    cache: &LatestCache,
) -> Result<(Vec<AnswerField>, RowBatch), QueryError> {
    let fields = context.answer_fields();
    let mut batch = context.empty_batch(&fields);
    let known = {
        let mut collections = cache.collections.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(collections.entry(context.name.clone()).or_default())
    };
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let snapshot = &context.snapshot;
    let deleted = snapshot.tombstones.iter().map(|tombstone| tombstone.version.stamp).max();
    let version = (snapshot.files.state.number, deleted, snapshot.fields.len());
    // Rows are kept with all fields, in the schema's order; a narrower query has its own answer.
    let whole =
        !context.named && context.filter.is_empty() && context.range == Some(TimeRange::ALL);
    if known.version != version {
        *known = Known { version, rows: HashMap::new() };
    }
    let mut scratch = Scratch::default();
    for device in &context.devices {
        let from_files = match known.rows.get(device) {
            Some(rows) if whole => rows.clone(),
            _ => {
                let rows = newest_in_files(context, device, &mut scratch)?.map(Arc::new);
                if whole {
                    known.rows.insert(Arc::clone(device), rows.clone());
                }
                rows
            }
        };
        let row = match newest_in_memory(context, device, from_files.as_deref()) {
            Newest::Files => from_files,
            Newest::Memory(rows) => Some(Arc::new(rows)),
            Newest::Look => newest_of_all(context, device, &mut scratch)?.map(Arc::new),
        };
        if let Some(row) = row {
            push(&mut batch, device, &row);
        }
    }
    Ok((fields, batch))
}

fn push(batch: &mut RowBatch, device: &Arc<str>, row: &SeriesRows) {
    let number = u32::try_from(batch.devices.len()).unwrap_or(u32::MAX);
    batch.devices.push(Arc::clone(device));
    batch.row_devices.push(number);
    batch.times.push(row.times[0]);
    for (column, cells) in batch.columns.iter_mut().zip(&row.columns) {
        match cells.as_ref().and_then(|cells| cells.column.at(0)) {
            Some(value) => {
                column.push(value);
            }
            None => column.push_absent(),
        }
    }
}

/// What memory says about a device's newest row.
enum Newest {
    /// Memory has nothing as new.
    Files,
    /// It is in memory alone.
    Memory(SeriesRows),
    /// Deletes or several sources have a say.
    Look,
}

fn newest_in_memory(context: &Context, device: &str, files: Option<&SeriesRows>) -> Newest {
    let range = context.range.unwrap_or(TimeRange::ALL);
    let tables = &context.snapshot.memory.tables;
    let times = || tables.iter().filter_map(|table| table.newest(device, range));
    let Some(newest) = times().max() else { return Newest::Files };
    let in_files = files.map(|rows| rows.times[0]);
    if in_files.is_some_and(|time| time > newest) {
        return Newest::Files;
    }
    let deleted = context
        .snapshot
        .tombstones
        .iter()
        .any(|tombstone| tombstone.range.contains(newest) && tombstone.devices.matches(device));
    // The newest row may not be one that the query selects.
    let selective = context.named || !context.filter.is_empty();
    if deleted || selective || in_files == Some(newest) {
        return Newest::Look;
    }
    let Some(at) = TimeRange::inclusive(newest, newest) else { return Newest::Look };
    let parts: Vec<SeriesRows> =
        tables.iter().filter_map(|table| table.rows(device, at, &context.read)).collect();
    Newest::Memory(combine(&parts, context.read.len()))
}

/// The newest visible row in files alone.
fn newest_in_files(
    context: &Context,
    device: &str,
    scratch: &mut Scratch,
) -> Result<Option<SeriesRows>, QueryError> {
    newest(context, device, false, scratch)
}

fn newest_of_all(
    context: &Context,
    device: &str,
    scratch: &mut Scratch,
) -> Result<Option<SeriesRows>, QueryError> {
    newest(context, device, true, scratch)
}

/// Looks backwards, a page at a time, until a row is visible.
fn newest(
    context: &Context,
    device: &str,
    with_memory: bool,
    scratch: &mut Scratch,
) -> Result<Option<SeriesRows>, QueryError> {
    let Some(range) = context.range else { return Ok(None) };
    let mut parts = context.scan(device, range)?.split(range, 1);
    while let Some(part) = parts.pop() {
        let mut scan = context.scan(device, part)?;
        if !with_memory {
            scan.drop_memory();
        }
        let mut last = None;
        while let Some((rows, keep)) = context.next_slice(&mut scan, scratch)? {
            let row =
                (0..rows.len()).rev().find(|row| keep.as_ref().is_none_or(|keep| keep.at(*row)));
            if let Some(row) = row {
                last = Some(rows.slice(row, row + 1));
            }
        }
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}
