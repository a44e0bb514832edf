//! From a query and a moment of the store to the rows of each device.

use super::aggregate::{result_type, wants};
use super::answer::{Answer, AnswerField, RowBatch};
use super::explain::Touched;
use super::filter;
use super::in_state::{self, InState};
use super::means;
use super::nodes::tiers_of;
use super::spec::{Aggregate, GroupBy, Order, Predicate, Query};
use super::totals::{self, Totals};
use super::window::{WindowError, Windows};
use crate::codec::Scratch;
use crate::group::{Bounds, IndexCache, ReadError};
use crate::ids::Tier;
use crate::nodes::{NodeCache, NodeDamage};
use crate::pyramid::{Borrowed, Settled, Stored};
use crate::retention::Cuts;
use crate::rollup::Wants;
use crate::rows::{FieldKey, SeriesRows};
use crate::scan::{PageTest, Scan, Snapshot};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tidelog_model::{
    Bitmap, CollectionName, Column, FieldType, GroupId, LeafWidth, Placer, TimeRange,
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
    /// Only numbers can be downsampled.
    #[error("field {field:?} is {kind}, and only numbers can be downsampled: leave it out")]
    NotNumeric {
        /// The field.
        field: String,
        /// Its type.
        kind: FieldType,
    },
    /// A method of downsampling cannot make so few points.
    #[error("{method} needs at least {least}: ask for more points")]
    TooFewPoints {
        /// The method's name.
        method: &'static str,
        /// The fewest points, or columns, that it can make.
        least: usize,
    },
    /// Downsampling is of raw rows, in time order.
    #[error("{what} and downsampling do not go together: leave one of them out")]
    NotDownsampled {
        /// What was asked for beside it.
        what: &'static str,
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
    /// The time in a state is of fields that have states.
    #[error(
        "field {field:?} is {kind} and has no states: ask for the time in a state of bool, string, i64 or u64"
    )]
    NotAState {
        /// The field.
        field: String,
        /// Its type.
        kind: FieldType,
    },
    /// There would be more windows than anyone can want: filled ones, or ones that a state holds in.
    #[error(
        "the answer would have more than {max} windows without values: narrow the range or widen the windows"
    )]
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
    /// Rows that the answer needs were cut off by retention, and what is left of them does not say it.
    #[error(
        "{collection} has no rows before {rows_from} ns any more, and of {device} from {} to {} ns only the rollup of {finest}: {why}. Ask for whole UTC windows of {finest} or coarser ones, begin at {rows_from}, or accept the nearest windows",
        .window.first(), .window.last()
    )]
    ResolutionGone {
        /// The collection.
        collection: CollectionName,
        /// A device that it is so for.
        device: String,
        /// A window of which only a rollup is left.
        window: TimeRange,
        /// The finest tier that is kept there.
        finest: &'static str,
        /// The first nanosecond from which on there are rows.
        rows_from: i64,
        /// What asks for more.
        why: &'static str,
    },
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What queries share with the store.
#[derive(Clone, Debug)]
pub(crate) struct Caches {
    pub(crate) indexes: Arc<IndexCache>,
    pub(crate) nodes: Arc<NodeCache>,
    pub(crate) damage: Arc<NodeDamage>,
}

/// A query, made ready.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) name: CollectionName,
    pub(crate) snapshot: Snapshot,
    pub(crate) cache: Arc<IndexCache>,
    pub(crate) range: Option<TimeRange>,
    /// Before which time rows and rollups are gone.
    pub(crate) cuts: Cuts,
    pub(crate) leaf: LeafWidth,
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
    pub(super) in_state: Option<InState>,
    /// Windows are whole nodes of this tier, and only sums of them are asked.
    pub(super) means: Option<Tier>,
    pub(crate) wants: Wants,
    pub(crate) windows: Windows,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) query: Query,
    /// Tiers of which stored nodes can lie in a window, coarse to fine; none when rows have to be read.
    pub(crate) tiers: Vec<Tier>,
    pub(crate) touched: Touched,
    placer: Placer,
    node_cache: Arc<NodeCache>,
    pub(super) node_damage: Arc<NodeDamage>,
    /// The stored nodes by group, looked up when they are first needed.
    stored: Vec<OnceLock<Stored>>,
    settled: Vec<OnceLock<Settled>>,
    borrowed: Vec<OnceLock<Borrowed>>,
    /// May rollups that other stores lent answer?
    pub(super) borrows: bool,
}

/// Makes a query ready and begins its answer.
pub(crate) fn run(
    name: &CollectionName,
    snapshot: Snapshot,
    caches: Caches,
    query: Query,
) -> Result<Answer, QueryError> {
    let context = Context::new(name, snapshot, caches, query)?;
    Ok(Answer::new(Arc::new(context)))
}

impl Context {
    pub(crate) fn new(
        name: &CollectionName,
        snapshot: Snapshot,
        caches: Caches,
        query: Query,
    ) -> Result<Self, QueryError> {
        let query = in_state::alone(query);
        let in_state = InState::new(name, &snapshot, &caches, &query)?;
        let entry = snapshot.files.state.collections.get(name);
        let cuts = snapshot.files.cuts(name);
        let leaf = entry.map_or_else(LeafWidth::default, |entry| entry.leaf);
        let asked_range =
            if query.empty_range { None } else { Some(query.range.unwrap_or(TimeRange::ALL)) };
        let aggregates = aggregates_of(&query)?;
        let rows_only = aggregates.is_empty() || query.rows_only;
        let kept = if rows_only { cuts.rows() } else { cuts.kept() };
        let range = asked_range.and_then(|range| range.intersection(kept));
        let cut_through = |range: &TimeRange| range.first() < cuts.of(Tier::Raw);
        let rows_from = asked_range.filter(cut_through).map(|_| cuts.of(Tier::Raw));
        let (mut read, asked) = fields_of(name, &snapshot.fields, &query, &aggregates)?;
        let filters = filters_of(name, &snapshot.fields, &query, &mut read)?;
        let windows = Windows::new(query.every.as_ref(), range.unwrap_or(TimeRange::ALL))?;
        let whole = !aggregates.is_empty() && filters.is_empty();
        let tiers = if whole { tiers_of(query.every.as_ref(), leaf) } else { Vec::new() };
        let groups = snapshot.files.state.groups as usize;
        let stored = std::iter::repeat_with(OnceLock::new).take(groups).collect();
        let settled = std::iter::repeat_with(OnceLock::new).take(groups).collect();
        let borrowed = std::iter::repeat_with(OnceLock::new).take(groups).collect();
        let mut context = Context {
            name: name.clone(),
            snapshot,
            cache: caches.indexes,
            range,
            cuts,
            leaf,
            devices: Vec::new(),
            read: read.into(),
            asked,
            named: query.fields.is_some(),
            filter: filters,
            wants: wants(&aggregates),
            aggregates,
            windows,
            cancelled: in_state.as_ref().map_or_else(Arc::default, InState::cancelled),
            in_state,
            means: None,
            placer: Placer::new(name),
            tiers,
            touched: Touched::new(rows_from),
            node_cache: caches.nodes,
            node_damage: caches.damage,
            stored,
            settled,
            borrowed,
            borrows: whole && !query.rows_only && query.in_state.is_empty(),
            query,
        };
        context.means = means::tier(&context);
        context.devices = context.find_devices()?;
        Ok(context)
    }

    /// The fields of the answer.
    pub(crate) fn answer_fields(&self) -> Vec<AnswerField> {
        if self.aggregates.is_empty() {
            return self.field_names();
        }
        let name = |(at, aggregate, kind): (usize, Aggregate, FieldType)| {
            let name = match self.state_name(at) {
                Some(name) => name.to_owned(),
                None => format!("{}_{}", self.display_name(&self.read[at]), aggregate.name()),
            };
            AnswerField { name, kind }
        };
        self.aggregate_columns().map(name).collect()
    }

    /// How many rollups a window has: of the fields asked for, then of states.
    pub(super) fn width(&self) -> usize {
        self.asked + self.in_state.as_ref().map_or(0, |states| states.names().count())
    }

    /// The name of a column that is the time in a state.
    fn state_name(&self, at: usize) -> Option<&str> {
        self.in_state.as_ref()?.names().nth(at.checked_sub(self.asked)?)
    }

    /// What the rollup at a place is of, for messages.
    pub(super) fn rollup_name(&self, at: usize) -> String {
        self.state_name(at).unwrap_or_else(|| self.read[at].name.as_str()).to_owned()
    }

    /// The fields asked for, by the names that they are asked for by.
    pub(super) fn field_names(&self) -> Vec<AnswerField> {
        let field =
            |field: &FieldKey| AnswerField { name: self.display_name(field), kind: field.kind };
        self.read[..self.asked].iter().map(field).collect()
    }

    /// The columns of an aggregated answer: place among the rollups of a window, aggregate, type.
    pub(crate) fn aggregate_columns(
        &self,
    ) -> impl Iterator<Item = (usize, Aggregate, FieldType)> + '_ {
        let columns = (0..self.asked).flat_map(move |at| {
            let kind = self.read[at].kind;
            self.aggregates
                .iter()
                .filter_map(move |a| result_type(*a, kind).map(|result| (at, *a, result)))
        });
        columns.chain((self.asked..self.width()).map(|at| (at, Aggregate::Sum, FieldType::I64)))
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
        let files = &self.snapshot.files;
        for open in files.rows().chain(files.all_aside()) {
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
        if !self.aggregates.is_empty() && range.first() < self.cuts.of(Tier::Raw) {
            for group in (0..self.snapshot.files.state.groups).map(GroupId) {
                let settled = self.settled(group)?.devices(range)?;
                found.extend(settled.into_iter().filter(|device| selector.matches(device)));
            }
        }
        if self.borrows {
            for group in (0..self.snapshot.files.state.groups).map(GroupId) {
                let lent = self.borrowed(group)?.devices(range)?;
                found.extend(lent.into_iter().filter(|device| selector.matches(device)));
            }
        }
        if found.is_empty() {
            names.sort_unstable();
            names.dedup();
            return Ok(names);
        }
        found.extend(names);
        Ok(found.into_iter().collect())
    }

    pub(super) fn group_of(&self, device: &str) -> GroupId {
        self.placer.place(device).group(self.snapshot.files.state.groups)
    }

    /// The stored nodes of a group.
    pub(super) fn stored(&self, group: GroupId) -> Result<&Stored, QueryError> {
        let slot = &self.stored[group.0 as usize];
        if let Some(stored) = slot.get() {
            return Ok(stored);
        }
        let files = self.snapshot.files.nodes(group);
        let stored = Stored::new(&self.name, self.leaf, files, &self.node_cache)?;
        Ok(slot.get_or_init(|| stored))
    }

    /// What is settled of a group.
    pub(super) fn settled(&self, group: GroupId) -> Result<&Settled, QueryError> {
        let slot = &self.settled[group.0 as usize];
        if let Some(settled) = slot.get() {
            return Ok(settled);
        }
        let (files, deletes) = (self.snapshot.files.settled(group), &self.snapshot.tombstones);
        let settled =
            Settled::new(&self.name, self.leaf, self.cuts, files, deletes, &self.node_cache)?;
        Ok(slot.get_or_init(|| settled))
    }

    /// What other stores lent of a group. What cannot be read is as if it had not been.
    pub(super) fn borrowed(&self, group: GroupId) -> Result<&Borrowed, QueryError> {
        let slot = &self.borrowed[group.0 as usize];
        if let Some(borrowed) = slot.get() {
            return Ok(borrowed);
        }
        let of = |files| {
            let (deletes, cache) = (&self.snapshot.tombstones, &self.node_cache);
            Borrowed::new(&self.name, self.leaf, self.cuts, files, deletes, cache)
        };
        let borrowed = of(self.snapshot.files.borrowed(group)).or_else(|error| {
            tracing::warn!(%error, "a file of borrowed rollups is damaged and is left out");
            self.node_damage.add(group);
            of(&[])
        })?;
        Ok(slot.get_or_init(|| borrowed))
    }

    /// A scan of one device over a range.
    pub(crate) fn scan(&self, device: &str, range: TimeRange) -> Result<Scan, QueryError> {
        let place = (self.group_of(device), device);
        Ok(self.snapshot.scan(&self.name, place, range, &self.read, &self.cache)?)
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

    /// Rollups of one device by window, in order of time.
    pub(crate) fn windows_of(
        &self,
        device: &str,
        scratch: &mut Scratch,
    ) -> Result<Totals, QueryError> {
        let Some(range) = self.range else { return Ok(Totals::new(self.width())) };
        let Some(states) = &self.in_state else {
            return totals::of_device(self, device, range, scratch);
        };
        let totals = match self.asked {
            0 => Totals::new(0),
            _ => totals::of_device(self, device, range, scratch)?,
        };
        states.beside(self, device, (range, totals), scratch)
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

/// What is computed: the mean, where windows are asked for and nothing else is.
fn aggregates_of(query: &Query) -> Result<Vec<Aggregate>, QueryError> {
    let aggregating = query.every.is_some() || !query.aggregates.is_empty();
    if query.group_by == GroupBy::None && !aggregating {
        return Err(QueryError::NeedsAggregates);
    }
    Ok(match (aggregating, query.aggregates.is_empty()) {
        (true, true) => vec![Aggregate::Mean],
        (true, false) => query.aggregates.clone(),
        (false, _) => Vec::new(),
    })
}

/// The fields that are asked for, and how many they are.
fn fields_of(
    name: &CollectionName,
    known: &[FieldKey],
    query: &Query,
    aggregates: &[Aggregate],
) -> Result<(Vec<FieldKey>, usize), QueryError> {
    let read: Vec<FieldKey> = match &query.fields {
        Some(fields) => {
            fields.iter().map(|field| find_field(name, known, field)).collect::<Result<_, _>>()?
        }
        // Without names, an aggregate is taken of the fields that have it.
        None => {
            let has = |field: &&FieldKey| {
                let has = |aggregate: &Aggregate| result_type(*aggregate, field.kind).is_some();
                aggregates.is_empty() || aggregates.iter().any(has)
            };
            known.iter().filter(has).cloned().collect()
        }
    };
    if query.fields.is_some() {
        check_aggregates(&read, aggregates)?;
    }
    let asked = read.len();
    Ok((read, asked))
}

/// The predicates with the places of their fields in `read`, which takes in those that are not asked for.
fn filters_of(
    name: &CollectionName,
    known: &[FieldKey],
    query: &Query,
    read: &mut Vec<FieldKey>,
) -> Result<Vec<(Predicate, usize)>, QueryError> {
    let mut filters = Vec::new();
    for predicate in &query.filter {
        let field = find_field(name, known, &predicate.field)?;
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
    Ok(filters)
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
