//! The answer to a query: an iterator over batches of rows, read as it is drawn.
//!
//! Few devices are read by the caller's thread. Many are read by a few threads, each a run of devices at
//! a time; their batches come out in the order of the devices through bounded channels, so neither order
//! nor results depend on timing, and memory stays bounded. Dropping the answer stops them.

use super::explain::Explain;
use super::means;
use super::plan::{Context, QueryError};
use super::shape::push_totals;
use super::spec::GroupBy;
use super::totals::{Totals, Window};
use crate::codec::Scratch;
use crate::rollup::Rollup;
use crate::scan::Scan;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tidelog_model::{Column, FieldType, TimeRange};

/// Batches are given out when they have about this many rows.
const BATCH_ROWS: usize = 8192;
/// Batches one thread may have ready before it waits.
const READY_BATCHES: usize = 2;
/// Pages read at once when rows are wanted newest first.
const DESCENDING_PAGES: usize = 16;

/// A column of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerField {
    /// The field, or `<field>_<aggregate>`.
    pub name: String,
    /// The type of its values.
    pub kind: FieldType,
}

/// Rows of an answer, in columns that stand as [`Answer::fields`] does.
#[derive(Clone, Debug, Default)]
pub struct RowBatch {
    /// The devices of the batch, canonical.
    pub devices: Vec<Arc<str>>,
    /// Which device each row is of; empty when the query is grouped by none.
    pub row_devices: Vec<u32>,
    /// The time of each row, or the start of its window.
    pub times: Vec<i64>,
    /// The values.
    pub columns: Vec<Column>,
}

impl RowBatch {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// Makes room for all that comes to a batch whose next slice has so many rows, of which the device has so many more: once, for
    /// batches go out as they are, with room that is not used.
    fn make_room(&mut self, slice: usize, more: impl FnOnce() -> usize) {
        let most = BATCH_ROWS + slice;
        let rows = match self.rows() {
            0 => most.min(slice + more()),
            // Other devices follow the first.
            rows if self.times.capacity() < BATCH_ROWS => most - rows,
            _ => return,
        };
        self.row_devices.reserve_exact(rows);
        self.times.reserve_exact(rows);
        self.columns.iter_mut().for_each(|column| column.reserve_exact(rows));
    }

    /// The device of a row; `None` when the query is grouped by none.
    ///
    /// # Panics
    /// When `row` is out of bounds.
    #[must_use]
    pub fn device(&self, row: usize) -> Option<&Arc<str>> {
        self.row_devices.get(row).map(|device| &self.devices[*device as usize])
    }

    pub(super) fn device_number(&mut self, device: &Arc<str>) -> u32 {
        if self.devices.last().is_none_or(|last| last != device) {
            self.devices.push(Arc::clone(device));
        }
        u32::try_from(self.devices.len() - 1).unwrap_or(u32::MAX)
    }

    /// Keeps the first `rows` rows.
    fn truncate(&mut self, rows: usize) {
        self.times.truncate(rows);
        self.row_devices.truncate(rows);
        for column in &mut self.columns {
            let mut shorter = Column::new(column.field_type());
            shorter.extend_from(column, 0, rows.min(column.len()));
            *column = shorter;
        }
    }
}

/// Cancels a query from another thread.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<AtomicBool>);

impl Context {
    /// A handle that cancels the query.
    pub(super) fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.cancelled))
    }
}

impl Canceller {
    /// The answer ends with [`QueryError::Cancelled`] within about the time of one page.
    pub fn cancel(&self) {
        self.0.store(true, Relaxed);
    }
}

/// The rows of an answer, batch by batch.
#[derive(Debug)]
pub struct Answer {
    context: Arc<Context>,
    fields: Arc<[AnswerField]>,
    state: State,
    left: Option<u64>,
}

#[derive(Debug)]
enum State {
    Here { reader: Box<Reader>, together: Together },
    Threads { runs: VecDeque<Receiver<Message>>, together: Together },
    Done,
}

/// What a thread sends of a run. `None` is its end, said in so many words: a channel that is closed before tells of a
/// thread that died, and not of an answer that is shorter.
type Message = Result<Option<Output>, QueryError>;

/// What one thread gives to the answer.
#[derive(Debug)]
enum Output {
    Batch(RowBatch),
    /// Of some devices, each by itself, so that floats are folded in one order.
    Totals(Vec<Totals>),
}

/// Totals of all devices, folded in their order.
type Together = BTreeMap<i64, (Window, Vec<Rollup>)>;

impl Answer {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self::started_by(spawn, context)
    }

    fn started_by(spawn: Spawn, context: Arc<Context>) -> Self {
        let fields: Arc<[AnswerField]> = context.answer_fields().into();
        let left = context.query.limit;
        let together = Together::new();
        let state = if context.range.is_none() || context.devices.is_empty() || left == Some(0) {
            State::Done
        } else if let Some(runs) = start(&context, &fields, spawn) {
            State::Threads { runs, together }
        } else {
            let all = 0..context.devices.len();
            let reader = Reader::new(Arc::clone(&context), Arc::clone(&fields), all);
            State::Here { reader: Box::new(reader), together }
        };
        Answer { context, fields, state, left }
    }

    /// The columns of every batch.
    #[must_use]
    pub fn fields(&self) -> &[AnswerField] {
        &self.fields
    }

    /// A handle that cancels the query.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.context.canceller()
    }

    /// What was touched so far: whole once the answer is drawn to its end.
    #[must_use]
    pub fn explain(&self) -> Explain {
        self.context.touched.explain()
    }

    /// All rows in one batch: for answers that are known to be small.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn collect_rows(self) -> Result<RowBatch, QueryError> {
        let mut all = self.context.empty_batch(&self.fields);
        for batch in self {
            let batch = batch?;
            let base = u32::try_from(all.devices.len()).unwrap_or(u32::MAX);
            all.devices.extend(batch.devices);
            all.row_devices.extend(batch.row_devices.iter().map(|device| device + base));
            all.times.extend(batch.times);
            for (all, column) in all.columns.iter_mut().zip(&batch.columns) {
                all.extend_from(column, 0, column.len());
            }
        }
        Ok(all)
    }

    fn next_batch(&mut self) -> Option<Result<RowBatch, QueryError>> {
        loop {
            match &mut self.state {
                State::Done => return None,
                State::Here { reader, together } => match reader.next_output() {
                    Ok(Some(Output::Batch(batch))) => return Some(Ok(batch)),
                    Ok(Some(Output::Totals(devices))) => {
                        devices.into_iter().for_each(|totals| fold(together, totals));
                    }
                    Ok(None) => {
                        let together = std::mem::take(together);
                        self.state = State::Done;
                        return self.finish(together);
                    }
                    Err(error) => {
                        self.state = State::Done;
                        return Some(Err(error));
                    }
                },
                State::Threads { runs, together } => {
                    let Some(run) = runs.front() else {
                        let together = std::mem::take(together);
                        self.state = State::Done;
                        return self.finish(together);
                    };
                    match run.recv().unwrap_or(Err(QueryError::ThreadPanicked)) {
                        Ok(Some(Output::Batch(batch))) => return Some(Ok(batch)),
                        Ok(Some(Output::Totals(devices))) => {
                            devices.into_iter().for_each(|totals| fold(together, totals));
                        }
                        Ok(None) => {
                            runs.pop_front();
                        }
                        Err(error) => {
                            self.state = State::Done;
                            return Some(Err(error));
                        }
                    }
                }
            }
        }
    }

    /// The one batch of a query that is grouped by none.
    fn finish(&self, together: Together) -> Option<Result<RowBatch, QueryError>> {
        if self.context.query.group_by == GroupBy::Device || together.is_empty() {
            return None;
        }
        let mut batch = self.context.empty_batch(&self.fields);
        let mut totals = Totals::new(self.context.width());
        for (window, fields) in together.into_values() {
            totals.push(window, &fields);
        }
        Some(push_totals(&self.context, &self.fields, None, &totals, &mut batch).map(|()| batch))
    }
}

impl Iterator for Answer {
    type Item = Result<RowBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = match self.next_batch()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        if let Some(left) = &mut self.left {
            let rows = usize::try_from(*left).unwrap_or(usize::MAX);
            if batch.rows() >= rows {
                batch.truncate(rows);
                self.state = State::Done;
            }
            *left -= batch.rows() as u64;
        }
        Some(Ok(batch))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Threads stop at their next page, or when they find the channel closed.
        self.context.cancelled.store(true, Relaxed);
    }
}

/// What a thread is started with: its number and its work. `false` when there can be no more threads.
type Spawn = fn(usize, Box<dyn FnOnce() + Send>) -> bool;

fn spawn(number: usize, work: Box<dyn FnOnce() + Send>) -> bool {
    let name = format!("tidelog-query-{number}");
    std::thread::Builder::new().name(name).spawn(work).is_ok()
}

/// Starts the threads. Each takes the next run of devices until there is none, so that a few do the work of
/// those that could not be started. `None` when one reader is enough, or there is no thread to be had: then
/// the caller's thread reads as it draws. It could not work ahead here, for nobody empties the channels yet.
fn start(
    context: &Arc<Context>,
    fields: &Arc<[AnswerField]>,
    spawn: Spawn,
) -> Option<VecDeque<Receiver<Message>>> {
    let threads = context.threads();
    if threads <= 1 {
        return None;
    }
    let devices = context.devices.len();
    let run = devices.div_ceil(threads * 8).max(1);
    let (senders, receivers): (Vec<_>, VecDeque<_>) =
        (0..devices.div_ceil(run)).map(|_| sync_channel(READY_BATCHES)).unzip();
    let senders: Arc<Vec<std::sync::Mutex<Option<SyncSender<_>>>>> =
        Arc::new(senders.into_iter().map(|sender| std::sync::Mutex::new(Some(sender))).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut started = 0;
    for number in 0..threads {
        let (context, fields) = (Arc::clone(context), Arc::clone(fields));
        let (senders, next) = (Arc::clone(&senders), Arc::clone(&next));
        let work = move || {
            loop {
                let at = next.fetch_add(1, Relaxed);
                let Some(slot) = senders.get(at) else { return };
                let sender = slot.lock().ok().and_then(|mut sender| sender.take());
                let Some(sender) = sender else { return };
                let range = at * run..((at + 1) * run).min(devices);
                let mut reader = Reader::new(Arc::clone(&context), Arc::clone(&fields), range);
                if !reader.send_all(&sender) {
                    return;
                }
            }
        };
        started += usize::from(spawn(number, Box::new(work)));
    }
    (started > 0).then_some(receivers)
}

fn fold(together: &mut Together, totals: Totals) {
    for (at, window) in totals.windows.iter().enumerate() {
        match together.get_mut(&window.window.first()) {
            Some((held, fields)) => {
                held.first = held.first.min(window.first);
                fields.iter_mut().zip(totals.of(at)).for_each(|(a, b)| a.merge_beside(b));
            }
            None => {
                together.insert(window.window.first(), (*window, totals.of(at).to_vec()));
            }
        }
    }
}

/// Reads a run of devices, one after the other.
struct Reader {
    context: Arc<Context>,
    fields: Arc<[AnswerField]>,
    devices: std::ops::Range<usize>,
    device: Option<DeviceRows>,
    scratch: Scratch,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({:?})", self.devices)
    }
}

/// The device being read, raw.
struct DeviceRows {
    device: Arc<str>,
    scan: Scan,
    /// Ranges still to be scanned, last one first, when rows are wanted newest first.
    earlier: Vec<TimeRange>,
}

impl Reader {
    fn new(
        context: Arc<Context>,
        fields: Arc<[AnswerField]>,
        devices: std::ops::Range<usize>,
    ) -> Self {
        Reader { context, fields, devices, device: None, scratch: Scratch::default() }
    }

    /// Sends everything, its end included; `false` when nobody wants more.
    fn send_all(&mut self, to: &SyncSender<Message>) -> bool {
        loop {
            let message = self.next_output();
            let (over, failed) = (matches!(message, Ok(None)), message.is_err());
            if to.send(message).is_err() || failed {
                return false;
            }
            if over {
                return true;
            }
        }
    }

    fn next_device(&mut self) -> Option<usize> {
        let at = self.devices.next()?;
        #[cfg(test)]
        assert_ne!(&*self.context.devices[at], tests::PANICS, "a test planted it");
        Some(at)
    }

    fn next_output(&mut self) -> Result<Option<Output>, QueryError> {
        let context = Arc::clone(&self.context);
        if !context.aggregates.is_empty() && context.query.group_by == GroupBy::None {
            return self.next_totals();
        }
        let mut batch = context.empty_batch(&self.fields);
        while batch.rows() < BATCH_ROWS {
            if context.aggregates.is_empty() {
                if !self.raw_slice(&mut batch)? {
                    break;
                }
                continue;
            }
            let Some(at) = self.next_device() else { break };
            let device = &context.devices[at];
            if let Some(tier) = context.means
                && means::push(&context, tier, device, &mut batch)?
            {
                continue;
            }
            let totals = context.windows_of(device, &mut self.scratch)?;
            push_totals(&context, &self.fields, Some(device), &totals, &mut batch)?;
        }
        Ok((batch.rows() > 0).then_some(Output::Batch(batch)))
    }

    /// Totals of the next devices, as many as make a message worth sending.
    fn next_totals(&mut self) -> Result<Option<Output>, QueryError> {
        let mut devices = Vec::new();
        let mut windows = 0;
        while windows < BATCH_ROWS {
            let Some(at) = self.next_device() else { break };
            let device = &self.context.devices[at];
            let totals = self.context.windows_of(device, &mut self.scratch)?;
            windows += totals.windows.len();
            devices.push(totals);
        }
        Ok((!devices.is_empty()).then_some(Output::Totals(devices)))
    }

    /// Adds the next slice of raw rows; `false` when there is none.
    fn raw_slice(&mut self, batch: &mut RowBatch) -> Result<bool, QueryError> {
        let context = Arc::clone(&self.context);
        loop {
            if self.device.is_none() {
                let Some(at) = self.next_device() else { return Ok(false) };
                self.device = Some(self.begin(&context.devices[at])?);
            }
            let Some(current) = &mut self.device else { return Ok(false) };
            if context.is_descending() {
                // One range is small; it is read whole and turned round.
                let Some(range) = current.earlier.pop() else {
                    self.device = None;
                    continue;
                };
                let mut scan = context.scan(&current.device, range)?;
                let mut slices = Vec::new();
                while let Some(slice) = context.next_slice(&mut scan, &mut self.scratch)? {
                    slices.push(slice);
                }
                let device = Arc::clone(&current.device);
                for (rows, keep) in slices.into_iter().rev() {
                    let order: Vec<usize> = (0..rows.len())
                        .rev()
                        .filter(|row| keep.as_ref().is_none_or(|keep| keep.at(*row)))
                        .collect();
                    push_picked(batch, &device, &rows, &order);
                }
                return Ok(true);
            }
            match context.next_slice(&mut current.scan, &mut self.scratch)? {
                None => self.device = None,
                Some((rows, None)) => {
                    batch.make_room(rows.len(), || current.scan.rows_left());
                    push_all(batch, &current.device, &rows);
                    rows.give_back(&mut self.scratch);
                    return Ok(true);
                }
                Some((rows, Some(keep))) => {
                    let order: Vec<usize> = (0..rows.len()).filter(|row| keep.at(*row)).collect();
                    batch.make_room(order.len(), || 0);
                    push_picked(batch, &current.device, &rows, &order);
                    rows.give_back(&mut self.scratch);
                    return Ok(true);
                }
            }
        }
    }

    fn begin(&self, device: &Arc<str>) -> Result<DeviceRows, QueryError> {
        let range = self.context.range.unwrap_or(TimeRange::ALL);
        let scan = self.context.scan(device, range)?;
        let earlier = if self.context.is_descending() {
            scan.split(range, DESCENDING_PAGES)
        } else {
            Vec::new()
        };
        Ok(DeviceRows { device: Arc::clone(device), scan, earlier })
    }
}

fn push_all(batch: &mut RowBatch, device: &Arc<str>, rows: &crate::rows::SeriesRows) {
    let number = batch.device_number(device);
    let end = batch.rows() + rows.len();
    batch.row_devices.resize(end, number);
    batch.times.extend_from_slice(&rows.times);
    for (at, column) in batch.columns.iter_mut().enumerate() {
        match &rows.columns[at] {
            Some(cells) => column.extend_from(&cells.column, 0, rows.len()),
            None => column.pad(end),
        }
    }
}

fn push_picked(
    batch: &mut RowBatch,
    device: &Arc<str>,
    rows: &crate::rows::SeriesRows,
    order: &[usize],
) {
    if order.is_empty() {
        return;
    }
    let number = batch.device_number(device);
    let end = batch.rows() + order.len();
    batch.row_devices.resize(end, number);
    batch.times.extend(order.iter().map(|row| rows.times[*row]));
    for (at, column) in batch.columns.iter_mut().enumerate() {
        let Some(cells) = &rows.columns[at] else {
            column.pad(end);
            continue;
        };
        for row in order {
            match cells.column.at(*row) {
                Some(value) => {
                    column.push(value);
                }
                None => column.push_absent(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, CollectionName, Durability, Every, Options, Query, Store, Upkeep};
    use std::time::Duration;
    use tidelog_model::DeviceSelector;

    const DEVICES: usize = 100;
    /// Whoever reads this device panics.
    pub(super) const PANICS: &str = "pump_panics";

    fn store(path: &std::path::Path) -> Store {
        let store = Options::new().upkeep(Upkeep::Caller).open(path).unwrap();
        let mut batch = Batch::new("plant.boiler").unwrap();
        for device in 0..DEVICES {
            let times = 0..3000;
            times.for_each(|t| {
                batch.push(&format!("pump_{device:03}"), t, [("level", t as f64)]).unwrap();
            });
        }
        store.write(&batch, Durability::Os).unwrap();
        store
    }

    fn rows(store: &Store, query: &Query, spawn: Spawn) -> RowBatch {
        let name = CollectionName::parse("plant.boiler").unwrap();
        let snapshot = store.inner.snapshot(&name, &DeviceSelector::all()).unwrap();
        let caches = store.inner.caches();
        let context = Context::new(&name, snapshot, caches, query.clone().threads(2)).unwrap();
        Answer::started_by(spawn, Arc::new(context)).collect_rows().unwrap()
    }

    /// Without a thread the caller's did the work before anyone drew from the bounded channels, and waited
    /// for itself for ever.
    #[test]
    fn an_answer_is_the_same_when_threads_cannot_be_started() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let windows = Query::new().every(Every::Duration(Duration::from_nanos(7)));
        let queries = [
            Query::new(),
            windows.clone(),
            windows.aggregates([crate::query::Aggregate::Mean]).group_by(GroupBy::None),
        ];
        let none: Spawn = |_, _| false;
        let one_late: Spawn = |number, work| number == 1 && spawn(number, work);
        for query in queries {
            let expected = rows(&store, &query, spawn);
            assert!(expected.rows() > 0);
            for few in [none, one_late] {
                let found = rows(&store, &query, few);
                assert_eq!(found.times, expected.times);
                assert_eq!(found.columns, expected.columns);
                assert_eq!(found.row_devices, expected.row_devices);
            }
        }
    }
    /// The panic closed the channel of the run, which read as its end: the answer was shorter, and nobody was told.
    #[test]
    fn a_thread_that_panics_ends_the_answer_with_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Options::new().upkeep(Upkeep::Caller).open(dir.path()).unwrap();
        let mut batch = Batch::new("plant.boiler").unwrap();
        for device in (0..DEVICES).map(|device| format!("pump_{device:03}")).chain([PANICS.into()])
        {
            batch.push(&device, 0, [("level", 1.0)]).unwrap();
        }
        store.write(&batch, Durability::Os).unwrap();
        let name = CollectionName::parse("plant.boiler").unwrap();
        let windows = Query::new().every(Every::Duration(Duration::from_nanos(7)));
        for query in [Query::new(), windows.clone(), windows.group_by(GroupBy::None)] {
            let mut answer = store.query(&name, query.threads(2)).unwrap();
            let last = answer.by_ref().last().unwrap();
            assert!(matches!(last, Err(QueryError::ThreadPanicked)), "{last:?}");
            assert!(answer.next().is_none());
        }
    }
}
