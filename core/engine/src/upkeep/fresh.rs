//! Sealing at a flush, from the rows that are in hand: the leaves that are over, when no other file has rows of them.
//!
//! A leaf is over when a later one of its collection has begun. What came late, and the leaves that are not over, are
//! marked in the manifest as uncounted. Nothing here may fail a flush: without this the rows are sealed from files.

use super::open_leaves::{Open, OpenLeaves, OpenRows};
use super::roll_up::Files;
use crate::files::FileSet;
use crate::group::{Levelling, ReadError, Written};
use crate::ids::{FileId, Tier};
use crate::manifest::{Change, union, without};
use crate::memory::{MemoryView, Table};
use crate::pyramid::{FreshSealer, Reading, SealError, Sealed, Settled, Stored};
use crate::retention::Cuts;
use crate::rollup::window_of;
use crate::rows::{FieldKey, SeriesRows, Versions, combine, hide};
use crate::scan::Snapshot;
use crate::store::Inner;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tidelog_model::{CollectionName, GroupId, LeafWidth, Stamp, TimeRange, Tombstone, Version};

/// A flush of which more than one row in so many came late seals nothing: its leaves would be made anew again and
/// again.
const LATE_MAX: usize = 64;
/// So many stretches of late rows are marked one by one.
const MARKS_MAX: usize = 16;

/// What a group's flush seals.
pub(super) struct Fresh<'a> {
    inner: &'a Inner,
    group: GroupId,
    files: FileSet,
    file: FileId,
    /// The version of all rows of the flush that are kept, when the file has one too: none that may come meets it.
    level: Option<Version>,
    sink: Files<'a>,
    /// As it was, and as it is when this flush is published.
    before: Arc<OpenLeaves>,
    after: OpenLeaves,
    sealed: Sealed,
    spent: Duration,
}

/// What goes into the edit of the flush.
#[derive(Default)]
pub(super) struct FreshlySealed {
    pub(super) nodes: Vec<Written>,
    pub(super) changes: Vec<Change>,
    /// Of the file that is flushed.
    pub(super) uncounted: Vec<TimeRange>,
    pub(super) open: OpenLeaves,
    pub(super) sealed: Sealed,
    pub(super) spent: Duration,
}

/// What is read for a collection.
pub(super) struct Source {
    snapshot: Snapshot,
    fields: Arc<[FieldKey]>,
    leaf: LeafWidth,
    cuts: Cuts,
    /// Leaves from here on are in hand whole.
    from: i64,
    /// Leaves from here on are not over; `None`: all are.
    open_from: Option<i64>,
    before: Option<Open>,
}

/// Seals what is over of a collection, until something goes wrong.
pub(super) struct CollectionSealing<'s, 'a> {
    fresh: &'s mut Option<Fresh<'a>>,
    running: Option<Running<'s>>,
}

/// Some rows of these.
type Part<'p> = (Cow<'p, SeriesRows>, Range<usize>);

struct Running<'s> {
    source: &'s Source,
    sealer: FreshSealer,
    tombstones: &'s [Arc<Tombstone>],
    /// What is not over.
    open: OpenRows,
    late: BTreeSet<i64>,
}

impl<'a> Fresh<'a> {
    /// `None` when there is no pyramid.
    pub(super) fn new(
        inner: &'a Inner,
        group: GroupId,
        file: FileId,
        (levelling, greatest): (Levelling, Stamp),
    ) -> Option<Self> {
        let before = inner.open_leaves(group)?;
        let mut after = OpenLeaves::default();
        // What was marked of the files stays, but for what is counted meanwhile.
        let files = inner.files();
        for open in files.group(group) {
            if let Some(more) = before.files.get(&open.entry.id) {
                after.files.insert(open.entry.id, more.clone());
            }
        }
        let sink = Files::new(inner, group);
        let (sealed, spent) = (Sealed::default(), Duration::ZERO);
        let version = Version { stamp: greatest, origin: inner.store_id };
        let level = (levelling == Levelling::Allowed).then_some(version);
        Some(Fresh { inner, group, files, file, level, sink, before, after, sealed, spent })
    }

    /// What can be sealed of a collection, of which the flush has this table if any. `None`: its rows are marked.
    pub(super) fn source(
        fresh: &mut Option<Self>,
        name: &CollectionName,
        table: Option<&Table>,
        fields: &[FieldKey],
        tombstones: &[Arc<Tombstone>],
    ) -> Option<Source> {
        let found = fresh.as_mut()?.find_source(name, table, fields, tombstones);
        found.unwrap_or_else(|error| {
            Self::leave(fresh, error.into());
            None
        })
    }

    /// Seals nothing of this flush: it is done from files.
    fn leave(fresh: &mut Option<Self>, error: SealError) {
        let Some(left) = fresh.take() else { return };
        tracing::warn!(%error, "a flush could not seal its leaves; they are sealed from files");
        if let SealError::Read(error) = &error
            && error.is_of_nodes()
        {
            left.inner.node_damage.add(left.group);
        }
    }

    fn find_source(
        &mut self,
        name: &CollectionName,
        table: Option<&Table>,
        fields: &[FieldKey],
        tombstones: &[Arc<Tombstone>],
    ) -> Result<Option<Source>, ReadError> {
        let leaf = self.inner.leaf_of(name);
        let entry = self.inner.collection_entry(name);
        let cuts = entry.map_or(Cuts::NONE, |entry| entry.cuts());
        let snapshot = Snapshot {
            memory: MemoryView { tables: Vec::new() },
            files: self.files.clone(),
            tombstones: tombstones.to_vec(),
            fields: fields.to_vec(),
            horizon: Arc::default(),
            with_aside: false,
        };
        // The last time of rows in files, but for those of leaves that are kept.
        let mut before = self.before.collections.get(name).cloned();
        let mut last: Option<i64> = None;
        for open in snapshot.files_of(name, self.group, TimeRange::ALL) {
            let file = open.readable()?;
            let Some(section) = file.section(name) else { continue };
            let range = file.sections()[section as usize].range;
            let kept = |before: &Open| before.files.contains(&open.entry.id);
            if before.as_ref().is_some_and(|open| range.last() >= open.from && !kept(open)) {
                before = None;
            }
            last = last.max(Some(range.last()));
        }
        if before.is_none() && self.before.collections.contains_key(name) {
            self.after.collections.insert(name.clone(), self.before.collections[name].clone());
            self.after.give_up(name);
        }
        let start_of = |time: i64| window_of(Tier::Hour, time, leaf).first();
        let next_of = |time: i64| window_of(Tier::Hour, time, leaf).last().checked_add(1);
        let from = match (&before, last) {
            (Some(open), _) => Some(open.from),
            (None, Some(last)) => next_of(last),
            (None, None) => Some(i64::MIN),
        };
        let span = table.and_then(Table::span);
        let open_from = span.map(|(_, newest)| start_of(newest));
        let keep = |this: &mut Self, before: Option<Open>| {
            this.after.collections.extend(before.map(|open| (name.clone(), open)));
            this.mark(span);
        };
        let Some(from) = from.map(|from| from.max(cuts.of(Tier::Raw))) else {
            keep(self, before);
            return Ok(None);
        };
        if open_from.is_some_and(|open| open < from) {
            // All of it came late; what is kept stays as it is.
            keep(self, before);
            return Ok(None);
        }
        if let Some(table) = table
            && table.rows_before(from) as u64 * LATE_MAX as u64 > table.rows()
        {
            keep(self, before);
            self.after.give_up(name);
            return Ok(None);
        }
        let fields: Arc<[FieldKey]> = fields.into();
        let before = before.map(|open| open.with_fields(&fields));
        Ok(Some(Source { snapshot, fields, leaf, cuts, from, open_from, before }))
    }

    /// No node counts these rows of the file that is flushed.
    fn mark(&mut self, span: Option<(i64, i64)>) {
        let range = span.and_then(|(first, last)| TimeRange::inclusive(first, last));
        self.after.files.entry(self.file).or_default().extend(range);
    }

    /// Begins to seal a collection.
    pub(super) fn begin<'s>(
        fresh: &'s mut Option<Self>,
        name: &'s CollectionName,
        source: Option<&'s Source>,
        tombstones: &'s [Arc<Tombstone>],
    ) -> CollectionSealing<'s, 'a>
    where
        'a: 's,
    {
        let running =
            fresh.as_mut().zip(source).map(|(one, source)| one.run(name, source, tombstones));
        match running.transpose() {
            Ok(running) => CollectionSealing { fresh, running },
            Err(error) => {
                Self::leave(fresh, error.into());
                CollectionSealing { fresh, running: None }
            }
        }
    }

    fn run<'s>(
        &mut self,
        name: &'s CollectionName,
        source: &'s Source,
        tombstones: &'s [Arc<Tombstone>],
    ) -> Result<Running<'s>, ReadError>
    where
        'a: 's,
    {
        let (inner, group) = (self.inner, self.group);
        let (leaf, cuts) = (source.leaf, source.cuts);
        let files = &source.snapshot.files;
        let stored = Stored::new(name, leaf, files.nodes(group), &inner.node_cache)?;
        let settled = files.settled(group);
        let settled = Settled::new(name, leaf, cuts, settled, tombstones, &inner.node_cache)?;
        self.sink.begin(name, leaf, &source.fields);
        let sealer = FreshSealer::new(Reading {
            name: name.clone(),
            group,
            snapshot: source.snapshot.clone(),
            stored,
            cache: Arc::clone(&inner.cache),
            leaf,
            fields: Arc::clone(&source.fields),
            settled,
        })?;
        let (open, late) = (OpenRows::new(source.fields.len()), BTreeSet::new());
        Ok(Running { source, sealer, tombstones, open, late })
    }

    /// Collections of which rows are kept and that this flush has none of.
    pub(super) fn quiet(&self, written: &BTreeSet<&CollectionName>) -> Vec<CollectionName> {
        let kept = self.before.collections.keys();
        kept.filter(|name| !written.contains(name)).cloned().collect()
    }

    /// Seals what is kept of a collection that this flush has no rows of.
    pub(super) fn seal_quiet(fresh: &mut Option<Self>, name: &CollectionName) {
        let Some(one) = fresh else { return };
        let fields: BTreeSet<FieldKey> = one.inner.fields_of(name).into_iter().collect();
        let fields: Vec<FieldKey> = fields.into_iter().collect();
        let tombstones = one.inner.tombstones_of(name);
        let source = Self::source(fresh, name, None, &fields, &tombstones);
        let mut sealing = Self::begin(fresh, name, source.as_ref(), &tombstones);
        for device in sealing.kept_devices() {
            sealing.device(&device, None);
        }
        sealing.finish(name);
    }

    /// Ends the files of nodes. Where nothing was sealed, no node counts the rows of the flush.
    pub(super) fn finish_or_leave(fresh: Option<Self>, range: TimeRange) -> FreshlySealed {
        let nothing = || FreshlySealed { uncounted: vec![range], ..FreshlySealed::default() };
        let Some(fresh) = fresh else { return nothing() };
        fresh.finish().unwrap_or_else(|error| {
            tracing::warn!(%error, "a flush could not seal its leaves; they are sealed from files");
            nothing()
        })
    }

    fn finish(mut self) -> io::Result<FreshlySealed> {
        let nodes = self.sink.finish()?;
        let most = self.inner.options.memory_budget / 4 / self.inner.groups as usize;
        if self.after.heap_bytes() > most {
            let names: Vec<CollectionName> = self.after.collections.keys().cloned().collect();
            names.iter().for_each(|name| self.after.give_up(name));
        }
        let mut changes = Vec::new();
        for open in self.files.group(self.group) {
            let entry = &open.entry;
            if !self.before.files.contains_key(&entry.id) {
                continue;
            }
            let counted =
                without(&self.before.uncounted(entry.id), &self.after.uncounted(entry.id));
            let now = without(&entry.uncounted, &counted);
            if now != entry.uncounted {
                changes.push(Change::Uncounted(entry.id, now));
            }
        }
        let uncounted = self.after.uncounted(self.file);
        let used: BTreeSet<FileId> =
            self.after.collections.values().flat_map(|open| open.files.iter().copied()).collect();
        self.after.files.retain(|file, _| used.contains(file));
        let (open, sealed, spent) = (self.after, self.sealed, self.spent);
        Ok(FreshlySealed { nodes, changes, uncounted, open, sealed, spent })
    }
}

impl CollectionSealing<'_, '_> {
    /// The devices that have kept rows.
    pub(super) fn kept_devices(&self) -> Vec<Arc<str>> {
        let before = self.running.as_ref().and_then(|running| running.source.before.as_ref());
        before.into_iter().flat_map(|open| open.rows.devices.keys().cloned()).collect()
    }

    /// Seals what is over of a device, of which the flush has these rows.
    pub(super) fn device(&mut self, device: &Arc<str>, rows: Option<&SeriesRows>) {
        let (Some(running), Some(fresh)) = (&mut self.running, self.fresh.as_mut()) else { return };
        let started = fresh.inner.clock().monotonic();
        let outcome = running.device(device, rows, fresh);
        fresh.spent += fresh.inner.clock().monotonic().saturating_sub(started);
        if let Err(error) = outcome {
            self.running = None;
            Fresh::leave(self.fresh, error);
        }
    }

    /// Makes what stands above the leaves of all devices, and keeps what is open.
    pub(super) fn finish(self, name: &CollectionName) {
        let (Some(running), Some(fresh)) = (self.running, self.fresh.as_mut()) else { return };
        let started = fresh.inner.clock().monotonic();
        let outcome = running.finish(name, fresh);
        fresh.spent += fresh.inner.clock().monotonic().saturating_sub(started);
        if let Err(error) = outcome {
            Fresh::leave(self.fresh, error);
        }
    }
}

impl<'s> Running<'s> {
    /// The visible rows that are kept of a device: some of these.
    fn kept(&self, device: &str) -> Option<(Cow<'s, SeriesRows>, Range<usize>)> {
        let source = self.source;
        let open = source.before.as_ref()?;
        let (all, range) = (&open.rows.rows, open.rows.devices.get(device)?.clone());
        let cut = source.cuts.of(Tier::Raw);
        let concerns = |tombstone: &&Arc<Tombstone>| tombstone.devices.matches(device);
        let relevant: Vec<Arc<Tombstone>> =
            self.tombstones.iter().filter(concerns).cloned().collect();
        if relevant.is_empty() && all.times.get(range.start).is_some_and(|first| *first >= cut) {
            return Some((Cow::Borrowed(all), range));
        }
        let after_cut = TimeRange::inclusive(cut, i64::MAX)?;
        let mut visible = all.slice(range.start, range.end).clip(after_cut);
        hide(&mut visible, &source.fields, &relevant);
        let rows = visible.len();
        (rows > 0).then_some((Cow::Owned(visible), 0..rows))
    }

    fn device(
        &mut self,
        device: &Arc<str>,
        rows: Option<&SeriesRows>,
        fresh: &mut Fresh<'_>,
    ) -> Result<(), SealError> {
        let source = self.source;
        let kept = self.kept(device);
        let mut later = BTreeSet::new();
        // Rows of this flush: late ones, then those that count.
        let mut at = 0;
        if let Some(rows) = rows {
            at = rows.times.partition_point(|time| *time < source.from);
            for time in &rows.times[..at] {
                later.insert(window_of(Tier::Hour, *time, source.leaf).first());
            }
            self.late.extend(&later);
        }
        let parts = self.parts(kept.as_ref(), rows.map(|rows| (rows, at..rows.len())));
        let (mut sealed, mut is_open) = (Vec::new(), false);
        for (rows, range) in &parts {
            let times = &rows.times[range.clone()];
            let over = source
                .open_from
                .map_or(times.len(), |open| times.partition_point(|time| *time < open));
            let to = range.start + over;
            if range.start < to {
                sealed.push((&**rows, range.start..to));
            }
            if to < range.end {
                is_open = true;
                let mut rest = rows.slice(to, range.end);
                if let Some(level) = fresh.level {
                    rest.versions = Versions::One(level);
                    rest.columns.iter_mut().flatten().for_each(|cells| cells.versions = None);
                }
                self.open.add(device, &rest);
            }
        }
        later.extend(source.open_from.filter(|_| is_open));
        self.sealer.device(device, &sealed, &later, &mut fresh.sink)
    }

    /// Kept rows and rows of this flush, in order of time.
    fn parts<'p>(
        &self,
        kept: Option<&'p (Cow<'_, SeriesRows>, Range<usize>)>,
        rows: Option<(&'p SeriesRows, Range<usize>)>,
    ) -> Vec<Part<'p>> {
        let new = rows.filter(|(_, range)| !range.is_empty());
        if let (Some((kept, of_kept)), Some((new, of_new))) = (kept, &new)
            && kept.times[of_kept.end - 1] >= new.times[of_new.start]
        {
            let both =
                [kept.slice(of_kept.start, of_kept.end), new.slice(of_new.start, of_new.end)];
            let merged = combine(&both, self.source.fields.len());
            let rows = merged.len();
            return vec![(Cow::Owned(merged), 0..rows)];
        }
        let kept = kept.map(|(rows, range)| (Cow::Borrowed(&**rows), range.clone()));
        let new = new.map(|(rows, range)| (Cow::Borrowed(rows), range));
        kept.into_iter().chain(new).collect()
    }

    fn finish(self, name: &CollectionName, fresh: &mut Fresh<'_>) -> Result<(), SealError> {
        let source = self.source;
        fresh.sealed += self.sealer.finish(&mut fresh.sink)?;
        let file = fresh.file;
        let window = |start: &i64| window_of(Tier::Hour, *start, source.leaf);
        let mut late = union(self.late.iter().map(window));
        if late.len() > MARKS_MAX {
            late = late.into_iter().reduce(TimeRange::hull).into_iter().collect();
        }
        fresh.after.files.entry(file).or_default().extend(late);
        if let Some(from) = source.open_from {
            let mut files = BTreeSet::from([file]);
            if let Some(before) = source.before.as_ref().filter(|before| before.from == from) {
                files.extend(&before.files);
            }
            let (fields, rows) = (Arc::clone(&source.fields), Arc::new(self.open));
            fresh.after.collections.insert(name.clone(), Open { from, fields, files, rows });
        }
        Ok(())
    }
}
