//! From a query and a moment of the store to the rows of each device.

use super::aggregate::{Accumulator, Wants, result_type};
use super::answer::{Answer, AnswerField, RowBatch};
use super::filter;
use super::scan::{PageTest, Scan, Source};
use super::spec::{Aggregate, GroupBy, Order, Predicate, Query};
use super::window::{WindowError, Windows};
use crate::codec::Scratch;
use crate::files::FileSet;
use crate::group::{Bounds, IndexCache, ReadError};
use crate::ids::Tier;
use crate::memory::MemoryView;
use crate::rows::{FieldKey, SeriesRows};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tidelog_model::{
    Bitmap, CollectionName, Column, FieldType, GroupId, Placer, TimeRange, Tombstone,
};

/// Why a query has no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no such collection.
    #[error("there is no collection {name}: `tidelog info` lists those there are")]
    NoCollection {
        /// Its name.
        name: CollectionName,
    },
    /// The collection has no such field.
    #[error("{collection} has no field {field:?}; it has: {known}")]
    NoField {
        /// The collection.
        collection: CollectionName,
        /// What was asked for.
        field: String,
        /// The names there are.
        known: String,
    },
    /// The field's type has no such aggregate.
    #[error(
        "{aggregate} of field {field:?} is not defined for {kind}: ask for count, first or last"
    )]
    NoAggregate {
        /// The aggregate's name.
        aggregate: &'static str,
        /// The field.
        field: String,
        /// Its type.
        kind: FieldType,
    },
    /// A field cannot be compared with a value of that type.
    #[error("field {field:?} is {kind} and cannot be compared with a {with}")]
    NotComparable {
        /// The field.
        field: String,
        /// Its type.
        kind: FieldType,
        /// The value's type.
        with: FieldType,
    },
    /// Raw rows of all devices together make no sense.
    #[error("group by none needs aggregates: name some, or drop the grouping")]
    NeedsAggregates,
    /// An integer sum does not fit.
    #[error(
        "the sum of field {field:?} does not fit {kind}: ask for the mean, or for smaller windows"
    )]
    SumOverflow {
        /// The field.
        field: String,
        /// Its type.
        kind: FieldType,
    },
    /// Filling would make more windows than anyone can want.
    #[error("filling would make more than {max} windows: narrow the range or widen the windows")]
    TooManyWindows {
        /// The limit.
        max: u64,
    },
    /// The windows cannot be made.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// The answer was cancelled.
    #[error("the query was cancelled")]
    Cancelled,
    /// A thread that read for the answer panicked. Batches drawn before are right; the rest is missing.
    #[error(
        "a thread of the query panicked, so the answer is not whole: discard it and ask again, and report the panic's message as a bug of tidelog"
    )]
    ThreadPanicked,
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What a query reads: one version of the files, and memory at the same moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) memory: MemoryView,
    pub(crate) files: FileSet,
    /// Those that concern the collection, from manifest and log.
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// The collection's fields; the first of a name owns it.
    pub(crate) fields: Vec<FieldKey>,
}

/// A query, made ready.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) name: CollectionName,
    pub(crate) snapshot: Snapshot,
    pub(crate) cache: Arc<IndexCache>,
    pub(crate) range: Option<TimeRange>,
    /// Sorted; each once.
    pub(crate) devices: Vec<Arc<str>>,
    /// What is read: the fields asked for, then those only filtered by.
    pub(crate) read: Arc<[FieldKey]>,
    /// How many of `read` are asked for.
    pub(crate) asked: usize,
    /// Were fields named?
    pub(crate) named: bool,
    /// Each predicate with the place of its field in `read`.
    pub(crate) filter: Vec<(Predicate, usize)>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) wants: Wants,
    pub(crate) windows: Windows,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) query: Query,
    placer: Placer,
}

/// Makes a query ready and begins its answer.
pub(crate) fn run(
    name: &CollectionName,
    snapshot: Snapshot,
    cache: Arc<IndexCache>,
    query: Query,
) -> Result<Answer, QueryError> {
    let context = Context::new(name, snapshot, cache, query)?;
    Ok(Answer::new(Arc::new(context)))
}

impl Context {
    pub(crate) fn new(
        name: &CollectionName,
        snapshot: Snapshot,
        cache: Arc<IndexCache>,
        query: Query,
    ) -> Result<Self, QueryError> {
        let cut = snapshot.files.state.collections.get(name).and_then(|entry| {
            entry.cuts.get(&Tier::Raw).and_then(|cut| TimeRange::inclusive(*cut, i64::MAX))
        });
        let asked_range =
            if query.empty_range { None } else { Some(query.range.unwrap_or(TimeRange::ALL)) };
        let range = asked_range.and_then(|range| range.intersection(cut.unwrap_or(TimeRange::ALL)));
        let aggregating = query.every.is_some() || !query.aggregates.is_empty();
        if query.group_by == GroupBy::None && !aggregating {
            return Err(QueryError::NeedsAggregates);
        }
        let aggregates = match (aggregating, query.aggregates.is_empty()) {
            (true, true) => vec![Aggregate::Mean],
            (true, false) => query.aggregates.clone(),
            (false, _) => Vec::new(),
        };
        let find = |field: &str| find_field(name, &snapshot.fields, field);
        let mut read = match &query.fields {
            Some(fields) => fields.iter().map(|f| find(f)).collect::<Result<Vec<_>, _>>()?,
            // Without names, an aggregate is taken of the fields that have it.
            None => snapshot
                .fields
                .iter()
                .filter(|field| {
                    let has = |aggregate: &Aggregate| result_type(*aggregate, field.kind).is_some();
                    aggregates.is_empty() || aggregates.iter().any(has)
                })
                .cloned()
                .collect(),
        };
        let asked = read.len();
        if query.fields.is_some() {
            check_aggregates(&read, &aggregates)?;
        }
        let mut filters = Vec::new();
        for predicate in &query.filter {
            let field = find(&predicate.field)?;
            if !filter::comparable(field.kind, &predicate.value) {
                return Err(QueryError::NotComparable {
                    field: predicate.field.clone(),
                    kind: field.kind,
                    with: predicate.value.field_type(),
                });
            }
            let at = read.iter().position(|known| *known == field).unwrap_or_else(|| {
                read.push(field);
                read.len() - 1
            });
            filters.push((predicate.clone(), at));
        }
        let windows = Windows::new(query.every.as_ref(), range.unwrap_or(TimeRange::ALL))?;
        let mut context = Context {
            name: name.clone(),
            snapshot,
            cache,
            range,
            devices: Vec::new(),
            read: read.into(),
            asked,
            named: query.fields.is_some(),
            filter: filters,
            wants: Wants::of(&aggregates),
            aggregates,
            windows,
            cancelled: Arc::default(),
            placer: Placer::new(name),
            query,
        };
        context.devices = context.find_devices()?;
        Ok(context)
    }

    /// The fields of the answer.
    pub(crate) fn answer_fields(&self) -> Vec<AnswerField> {
        if self.aggregates.is_empty() {
            let field =
                |field: &FieldKey| AnswerField { name: self.display_name(field), kind: field.kind };
            return self.read[..self.asked].iter().map(field).collect();
        }
        self.aggregate_columns()
            .map(|(field, aggregate, kind)| {
                let name = format!("{}_{}", self.display_name(&self.read[field]), aggregate.name());
                AnswerField { name, kind }
            })
            .collect()
    }

    /// The columns of an aggregated answer: place in `read`, aggregate, type.
    pub(crate) fn aggregate_columns(
        &self,
    ) -> impl Iterator<Item = (usize, Aggregate, FieldType)> + '_ {
        (0..self.asked).flat_map(move |at| {
            let kind = self.read[at].kind;
            self.aggregates
                .iter()
                .filter_map(move |a| result_type(*a, kind).map(|result| (at, *a, result)))
        })
    }

    /// The bare name, or `name#type` of a field whose name an older field owns.
    fn display_name(&self, field: &FieldKey) -> String {
        let owner = self.snapshot.fields.iter().find(|known| known.name == field.name);
        if owner == Some(field) {
            field.name.to_string()
        } else {
            format!("{}#{}", field.name, field.kind)
        }
    }

    fn files_of(&self, group: GroupId) -> &[crate::files::OpenFile] {
        self.snapshot.files.group(group)
    }

    fn find_devices(&self) -> Result<Vec<Arc<str>>, QueryError> {
        let Some(range) = self.range else { return Ok(Vec::new()) };
        let selector = &self.query.devices;
        let mut found: BTreeSet<Arc<str>> = BTreeSet::new();
        if let Some(devices) = &selector.devices {
            let named = devices.iter().map(|device| Arc::from(device.as_str()));
            found.extend(named.filter(|device: &Arc<str>| selector.matches(device)));
            return Ok(found.into_iter().collect());
        }
        for table in &self.snapshot.memory.tables {
            found.extend(table.devices().filter(|device| selector.matches(device)).cloned());
        }
        let mut names: Vec<Arc<str>> = Vec::new();
        for open in self.snapshot.files.all() {
            let touches =
                open.entry.range.overlaps(range) && open.entry.collections.contains(&self.name);
            if !touches {
                continue;
            }
            let file = open.readable()?;
            let Some(section) = file.section(&self.name) else { continue };
            file.each_device(section, |device, series| {
                if series.range().overlaps(range) && selector.matches(device) {
                    names.push(device.into());
                }
            })?;
        }
        if found.is_empty() {
            names.sort_unstable();
            names.dedup();
            return Ok(names);
        }
        found.extend(names);
        Ok(found.into_iter().collect())
    }

    /// A scan of one device over a range.
    pub(crate) fn scan(&self, device: &str, range: TimeRange) -> Result<Scan, QueryError> {
        let mut sources = Vec::new();
        let group = self.placer.place(device).group(self.snapshot.files.state.groups);
        for open in self.files_of(group) {
            let touches =
                open.entry.range.overlaps(range) && open.entry.collections.contains(&self.name);
            if !touches {
                continue;
            }
            let file = open.readable()?;
            let Some(section) = file.section(&self.name) else { continue };
            if let Some(series) = file.find(section, device)?
                && series.range().overlaps(range)
            {
                sources.push(Source::file(file, series, &self.read, &self.cache, range)?);
            }
        }
        for table in &self.snapshot.memory.tables {
            sources.extend(table.rows(device, range, &self.read).map(Source::memory));
        }
        let tombstones = self.snapshot.tombstones.iter();
        let tombstones = tombstones
            .filter(|tombstone| {
                tombstone.range.overlaps(range) && tombstone.devices.matches(device)
            })
            .cloned()
            .collect();
        Ok(Scan { fields: Arc::clone(&self.read), range, sources, tombstones })
    }

    /// The next slice of a scan, with the rows that the filter keeps (`None`: all).
    pub(crate) fn next_slice(
        &self,
        scan: &mut Scan,
        scratch: &mut Scratch,
    ) -> Result<Option<(SeriesRows, Option<Bitmap>)>, QueryError> {
        let tests: Vec<Box<dyn Fn(Option<Bounds>) -> bool + '_>> = self
            .filter
            .iter()
            .map(|(predicate, _)| {
                let test = move |bounds| filter::may_hold(predicate, bounds);
                Box::new(test) as Box<dyn Fn(Option<Bounds>) -> bool>
            })
            .collect();
        let tests: Vec<PageTest<'_>> =
            self.filter.iter().zip(&tests).map(|((_, at), t)| (*at, &**t)).collect();
        loop {
            if self.cancelled.load(Relaxed) {
                return Err(QueryError::Cancelled);
            }
            let Some(rows) = scan.next(&tests, scratch)? else { return Ok(None) };
            let keep = self.keep(&rows);
            match keep {
                None => return Ok(Some((rows, None))),
                Some(keep) if keep.count() == 0 => {}
                Some(keep) if keep.count() == keep.len() => return Ok(Some((rows, None))),
                Some(keep) => return Ok(Some((rows, Some(keep)))),
            }
        }
    }

    /// Which rows count; `None` when all do.
    fn keep(&self, rows: &SeriesRows) -> Option<Bitmap> {
        let column = |at: usize| rows.columns[at].as_ref().map(|cells| &cells.column);
        let raw = self.aggregates.is_empty();
        // Of raw rows with named fields, only those that have one.
        let all_there = |at: usize| column(at).is_some_and(|c| c.presence().is_none());
        let needs_value = raw && self.named && !(0..self.asked).any(all_there);
        if self.filter.is_empty() && !needs_value {
            return None;
        }
        let mut bitmap = Bitmap::filled(rows.len(), true);
        for (predicate, at) in &self.filter {
            filter::apply(predicate, column(*at), &mut bitmap);
        }
        if needs_value {
            for row in 0..rows.len() {
                let has = |at: usize| column(at).is_some_and(|c| c.is_present(row));
                if !(0..self.asked).any(has) {
                    bitmap.set(row, false);
                }
            }
        }
        Some(bitmap)
    }

    /// Aggregates of one device by window, in order of time.
    pub(crate) fn windows_of(
        &self,
        device: &str,
        scratch: &mut Scratch,
    ) -> Result<Totals, QueryError> {
        let mut totals = Totals::new(self.asked);
        let Some(range) = self.range else { return Ok(totals) };
        let mut scan = self.scan(device, range)?;
        while let Some((rows, keep)) = self.next_slice(&mut scan, scratch)? {
            let mut from = 0;
            while from < rows.len() {
                let time = rows.times[from];
                if !totals.windows.last().is_some_and(|last| last.window.contains(time)) {
                    let window = self.windows.at(time);
                    // A row that is filtered out is not seen: whether it comes along depends on its page.
                    let kept = |row: &usize| keep.as_ref().is_none_or(|keep| keep.at(*row));
                    let Some(first) = (from..rows.len()).find(kept) else { break };
                    if !window.contains(rows.times[first]) {
                        from = first;
                        continue;
                    }
                    let first = rows.times[first];
                    totals.windows.push(Window { window, first });
                    let fields = self.read[..self.asked].iter();
                    totals.fields.extend(fields.map(|field| Accumulator::new(field.kind)));
                }
                let Some(open) = totals.windows.last() else { break };
                let to = from + gallop(&rows.times[from..], open.window.last());
                let at = totals.fields.len() - self.asked;
                for (field, cells) in totals.fields[at..].iter_mut().zip(&rows.columns) {
                    if let Some(cells) = cells {
                        field.add(
                            &rows.times,
                            &cells.column,
                            (from, to),
                            keep.as_ref(),
                            self.wants,
                        );
                    }
                }
                from = to;
            }
        }
        // A window whose rows were all filtered out, or have none of the fields, is empty.
        totals.drop_empty();
        Ok(totals)
    }

    /// Is it worth more than one thread?
    pub(crate) fn threads(&self) -> usize {
        if self.devices.len() < PARALLEL_DEVICES {
            return 1;
        }
        self.query.threads.unwrap_or_else(crate::clock::cores).min(16)
    }

    pub(crate) fn is_descending(&self) -> bool {
        self.query.order == Order::Descending
    }

    /// An empty batch of the answer's shape.
    pub(crate) fn empty_batch(&self, fields: &[AnswerField]) -> RowBatch {
        RowBatch {
            devices: Vec::new(),
            row_devices: Vec::new(),
            times: Vec::new(),
            columns: fields.iter().map(|field| Column::new(field.kind)).collect(),
        }
    }
}

/// Starting threads costs tens of microseconds: fewer devices than these are read by the caller.
const PARALLEL_DEVICES: usize = 24;

/// A window that has values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) window: TimeRange,
    /// The first time seen in it.
    pub(crate) first: i64,
}

/// The aggregates of some windows, in order of time.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) windows: Vec<Window>,
    /// For each window, one per field asked for.
    fields: Vec<Accumulator>,
    width: usize,
}

impl Totals {
    pub(crate) fn new(width: usize) -> Self {
        Totals { windows: Vec::new(), fields: Vec::new(), width }
    }

    pub(crate) fn push(&mut self, window: Window, fields: &[Accumulator]) {
        self.windows.push(window);
        self.fields.extend_from_slice(fields);
    }

    /// The aggregates of a window.
    pub(crate) fn of(&self, window: usize) -> &[Accumulator] {
        &self.fields[window * self.width..(window + 1) * self.width]
    }

    fn drop_empty(&mut self) {
        let empty = |fields: &[Accumulator]| fields.iter().all(Accumulator::is_empty);
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

fn check_aggregates(fields: &[FieldKey], aggregates: &[Aggregate]) -> Result<(), QueryError> {
    for field in fields {
        for aggregate in aggregates {
            if result_type(*aggregate, field.kind).is_none() {
                return Err(QueryError::NoAggregate {
                    aggregate: aggregate.name(),
                    field: field.name.to_string(),
                    kind: field.kind,
                });
            }
        }
    }
    Ok(())
}

/// A field by its bare name, or by `name#type` where two types share a name.
fn find_field(
    collection: &CollectionName,
    fields: &[FieldKey],
    asked: &str,
) -> Result<FieldKey, QueryError> {
    let bare = fields.iter().find(|field| field.name.as_str() == asked);
    let typed = || {
        let (name, kind) = asked.rsplit_once('#')?;
        let kind = FieldType::from_name(kind)?;
        fields.iter().find(|field| field.name.as_str() == name && field.kind == kind)
    };
    bare.or_else(typed).cloned().ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        QueryError::NoField {
            collection: collection.clone(),
            field: asked.to_owned(),
            known: names.join(", "),
        }
    })
}
