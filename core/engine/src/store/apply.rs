//! What comes from other stores: checked, logged with the place it came from, made durable, made visible.

use super::{Inner, Store};
use crate::error::{ApplyError, EditProblem, WriteError};
use crate::manifest::Change;
use crate::wal::{AppendError, AppliedPayload, KIND_APPLIED, RowsPayload, Span, Wal};
use rkyv::util::AlignedVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use tidelog_model::{
    Batch, CollectionName, Cutter, Device, FIELDS_MAX, GroupId, Name, Position, Stamp, StoreId,
    SubBatch, Tombstone, Values,
};

/// What another store sent, to be applied whole or not at all.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Sub-batches, each the bytes of a `BatchV1` archive with the version of whoever drew it.
    pub batches: Vec<AlignedVec>,
    /// Deletes.
    pub tombstones: Vec<Tombstone>,
    /// With this, all that the store wrote to its log before the position is here.
    pub cursor: Option<(StoreId, Position)>,
}

/// What became of [`Incoming`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Applied {
    /// Rows that were taken, known ones included.
    pub rows: u64,
    /// Rows before the raw cut of their collection, which were left out.
    pub below_cut: u64,
    /// Deletes that were taken, known ones included.
    pub tombstones: u64,
}

/// How far this store's own writes have come, for those who follow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// No write of this store with a stamp up to this one is still to come.
    pub stamp: Stamp,
    /// All of those with such a stamp stand in the log before this.
    pub position: Position,
    /// All that stands in the log before this is visible.
    pub visible: Position,
    /// The latest stamp that was drawn or seen.
    pub latest: Stamp,
}

impl Store {
    /// Applies what came from another store: durable and visible when this returns, rows, deletes and cursor
    /// together. What is known already changes nothing. Merged by the one rule, so order does not matter.
    ///
    /// Blocks for an fsync, and while memory is full.
    ///
    /// # Errors
    /// See [`ApplyError`]; nothing was taken then.
    pub fn apply(&self, incoming: &Incoming) -> Result<Applied, ApplyError> {
        self.apply_allowed(incoming, |_, _| true)
    }

    /// [`Self::apply`] of what comes from somebody who may not send everything: `allowed` is asked for the group and
    /// database of each sub-batch, and for the database of each delete, which has no group.
    ///
    /// # Errors
    /// [`ApplyError::Forbidden`] for what is not allowed. See [`ApplyError`]; nothing was taken then.
    pub fn apply_allowed(
        &self,
        incoming: &Incoming,
        allowed: impl Fn(Option<GroupId>, &str) -> bool,
    ) -> Result<Applied, ApplyError> {
        self.inner.apply_incoming(incoming, &allowed)
    }

    /// How far the log of another store is followed here.
    #[must_use]
    pub fn cursor(&self, origin: StoreId) -> Option<Position> {
        self.inner.cursors().get(&origin).copied()
    }

    /// How far the logs of other stores are followed here.
    #[must_use]
    pub fn all_cursors(&self) -> Vec<(StoreId, Position)> {
        self.inner.cursors().iter().map(|(store, at)| (*store, *at)).collect()
    }

    /// Waits until the log has grown beyond a position of this opening, or the timeout; where it ends then. `None` when the
    /// store is open for reading only.
    #[must_use]
    pub fn wait_for_log(&self, beyond: Position, timeout: std::time::Duration) -> Option<Position> {
        let wal = self.inner.wal.as_ref()?;
        let offset = wal.wait_beyond(beyond.offset, timeout);
        Some(Position { incarnation: wal.identity().incarnation, offset })
    }

    /// How far the stamps of others may be ahead of the clock here ([`crate::Options::clock_ahead_max`]).
    #[must_use]
    pub fn clock_ahead_max(&self) -> std::time::Duration {
        self.inner.options.clock_ahead_max
    }

    /// How far this store's own writes have come; `None` when it is open for reading only. A store that nobody writes
    /// to closes with the wall clock: no later write has an earlier stamp.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        let inner = &self.inner;
        let wal = inner.wal.as_ref()?;
        let incarnation = wal.identity().incarnation;
        let at = |offset| Position { incarnation, offset };
        // The end before the look at what is in flight, and after it: see `Closed`.
        let before = wal.end();
        let start = inner.stamps.in_flight().1;
        let stamp = inner.stamps.close_up(inner.clock().wall_millis());
        let visible = at(start.map_or(before, |start| start.min(before)));
        let latest = inner.stamps.last();
        Some(Closed { stamp, position: at(wal.end()), visible, latest })
    }

    /// Says that this store has peers from now on: stamps stay as they were drawn until all of them have agreed, for a
    /// stamp that is raised before could win over a write that is still to come. Durable; cannot be taken back.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn set_replicated(&self) -> Result<(), WriteError> {
        let inner = &self.inner;
        inner.writer()?;
        let mut manifest = inner.manifest();
        if !manifest.state().replicated {
            inner.edit(&mut manifest, &vec![Change::Replicated]).map_err(EditProblem)?;
            inner.refresh_state(&manifest);
        }
        Ok(())
    }

    /// Every store that writes here has agreed on all writes up to a stamp: none with a lesser one is still to come, from
    /// anywhere. It only goes up, and is forgotten when the store closes.
    pub fn set_agreed(&self, stamp: Stamp) {
        self.inner.agreed.fetch_max(stamp.0, Relaxed);
    }
}

/// Something that arrives; forgotten when it is in memory or will never be.
struct Arrival<'a> {
    inner: &'a Inner,
    number: u64,
    room: usize,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.inner.stamps.arrived(self.number);
        self.inner.room.give_back(self.room);
    }
}

impl Inner {
    pub(super) fn cursors(&self) -> std::sync::MutexGuard<'_, BTreeMap<StoreId, Position>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_incoming(
        &self,
        incoming: &Incoming,
        allowed: &dyn Fn(Option<GroupId>, &str) -> bool,
    ) -> Result<Applied, ApplyError> {
        let wal = self.writer()?;
        let mut subs = Vec::with_capacity(incoming.batches.len());
        for bytes in &incoming.batches {
            let sub = SubBatch::read(bytes)
                .map_err(|error| ApplyError::Malformed { what: error.to_string() })?;
            subs.push((sub, &bytes[..]));
        }
        check_allowed(&subs, &incoming.tombstones, allowed)?;
        self.check_incoming(&subs, &incoming.tombstones)?;
        let room = subs.iter().map(|(sub, bytes)| memory_bytes(sub, bytes.len())).sum();
        self.make_room(wal, room)?;
        // From here on a cut waits for this; one that began before is seen below.
        let arrival = Arrival { inner: self, number: self.stamps.arrive(), room };
        let mut rows = RowsPayload::default();
        let mut applied = Applied::default();
        for (sub, bytes) in &subs {
            self.admit_sub(sub, bytes, &mut rows, &mut applied)?;
        }
        applied.tombstones = incoming.tombstones.len() as u64;
        if rows.is_empty() && incoming.tombstones.is_empty() && incoming.cursor.is_none() {
            return Ok(applied);
        }
        let deletes = incoming.tombstones.iter();
        let mut frame = AppliedPayload::frame(incoming.cursor, deletes, &rows);
        let span = self.log_arrival(wal, &arrival, &mut frame)?;
        wal.sync_to(span.end).map_err(|_| {
            wal.poison();
            WriteError::Poisoned
        })?;
        if applied.below_cut == 0 {
            // What was logged is what came, and that was checked.
            let subs: Vec<SubBatch<'_>> = subs.into_iter().map(|(sub, _)| sub).collect();
            self.take_in(&incoming.tombstones, &subs, incoming.cursor);
        } else {
            let record = AppliedPayload::read(&frame[crate::log::FRAME_HEADER_LEN..])
                .map_err(|error| ApplyError::Malformed { what: error.to_string() })?;
            self.take_in(&record.tombstones, &record.subs, record.cursor);
        }
        drop(arrival);
        self.counters.rows_applied.fetch_add(applied.rows, Relaxed);
        self.counters.rows_settled.fetch_add(applied.below_cut, Relaxed);
        if applied.tombstones > 0 {
            self.threads.compact_soon();
        }
        Ok(applied)
    }

    fn log_arrival(
        &self,
        wal: &Wal,
        arrival: &Arrival<'_>,
        frame: &mut AlignedVec,
    ) -> Result<Span, ApplyError> {
        let logged = |span: Span| self.stamps.arrival_logged(arrival.number, span.start);
        wal.append(KIND_APPLIED, frame, logged).map_err(|error| {
            ApplyError::Write(match error {
                AppendError::Io(error) => WriteError::Io(error),
                AppendError::Poisoned => WriteError::Poisoned,
                AppendError::Ended => WriteError::Closed,
            })
        })
    }

    /// Makes visible what a durable record holds: deletes first, so that no reader sees what they hide.
    fn take_in(
        &self,
        tombstones: &[Tombstone],
        subs: &[SubBatch<'_>],
        cursor: Option<(StoreId, Position)>,
    ) {
        let newest = newest_stamp(tombstones, subs);
        {
            let mut catalog = self.catalog();
            for tombstone in tombstones {
                catalog.add_tombstone(Arc::new(tombstone.clone()));
            }
        }
        let with = || {
            let mut catalog = self.catalog();
            subs.iter().for_each(|sub| observe(&mut catalog, sub));
        };
        let bytes = self.memory.apply(subs, with);
        if bytes >= self.options.memory_budget / 2 {
            self.threads.flush_soon();
        }
        if let Some((origin, position)) = cursor {
            self.cursors().insert(origin, position);
        }
        // What is written here from now on comes after what was seen.
        self.stamps.observe(newest);
    }

    /// Refuses what no store may take from another.
    fn check_incoming(
        &self,
        subs: &[(SubBatch<'_>, &[u8])],
        tombstones: &[Tombstone],
    ) -> Result<(), ApplyError> {
        let malformed = |what: &str| ApplyError::Malformed { what: what.to_owned() };
        let mut newest = tombstones.iter().map(|one| one.version.stamp).max().unwrap_or_default();
        let mut new_fields: BTreeMap<CollectionName, BTreeSet<Name>> = BTreeMap::new();
        for (sub, _) in subs {
            let (group, groups) = sub.group();
            if groups != self.groups {
                return Err(ApplyError::Groups { found: groups, own: self.groups });
            }
            let name = sub.collection();
            let devices = sub.devices().map(|(device, _)| device);
            if !self.placed.all_in(&name, GroupId(group), devices) {
                return Err(malformed("a device is not of the group it was sent for"));
            }
            newest = newest.max(sub.version().stamp);
            let catalog = self.catalog();
            for field in sub.fields() {
                let Ok(field_name) = Name::new("field", field.name()) else {
                    return Err(malformed("a field's name is not one"));
                };
                let known = catalog.collections.get(&name).is_some_and(|entry| {
                    entry.fields.contains_key(&(field_name.clone(), field.field_type()))
                });
                if !known {
                    new_fields.entry(name.clone()).or_default().insert(field_name);
                }
            }
        }
        for (name, fields) in new_fields {
            if self.catalog().count_fields(&name) + fields.len() > FIELDS_MAX {
                return Err(WriteError::TooManyFields { collection: name, max: FIELDS_MAX }.into());
            }
        }
        self.check_ahead(newest)
    }

    /// Refuses what is stamped too far ahead of the clock here.
    pub(super) fn check_ahead(&self, newest: Stamp) -> Result<(), ApplyError> {
        let bound = u64::try_from(self.options.clock_ahead_max.as_millis()).unwrap_or(u64::MAX);
        let ahead = newest.millis().saturating_sub(self.clock().wall_millis());
        if ahead > bound {
            return Err(ApplyError::ClockAhead { by_millis: ahead, bound_millis: bound });
        }
        Ok(())
    }

    /// Adds a sub-batch to what is logged, without its rows before the cut.
    fn admit_sub(
        &self,
        sub: &SubBatch<'_>,
        bytes: &[u8],
        rows: &mut RowsPayload,
        applied: &mut Applied,
    ) -> Result<(), ApplyError> {
        let cut = self.catalog().cut_for_writes(&sub.collection());
        let mut times = Vec::with_capacity(sub.rows());
        sub.times_into(&mut times);
        let below = times.iter().filter(|time| **time < cut).count();
        applied.below_cut += below as u64;
        applied.rows += (sub.rows() - below) as u64;
        if below == 0 {
            rows.push_archive(bytes);
        } else if below < sub.rows() {
            let batch = rows_from(sub, &times, cut)?;
            let (groups, version) = (sub.group().1, sub.version());
            batch.cut(groups, version, sub.leaf(), &mut Cutter::default(), |sub| rows.push(sub));
        }
        Ok(())
    }
}

/// Takes the fields of a sub-batch into the catalog.
pub(super) fn observe(catalog: &mut super::catalog::Catalog, sub: &SubBatch<'_>) {
    let fields = sub.fields().filter_map(|field| {
        let name = Name::new("field", field.name()).ok()?;
        Some((name, field.field_type()))
    });
    catalog.observe(&sub.collection(), sub.leaf(), fields, sub.version());
}

/// The greatest stamp of anything in a record.
pub(super) fn newest_stamp(tombstones: &[Tombstone], subs: &[SubBatch<'_>]) -> Stamp {
    let of_subs = subs.iter().map(|sub| sub.version().stamp);
    of_subs.chain(tombstones.iter().map(|one| one.version.stamp)).max().unwrap_or_default()
}

fn check_allowed(
    subs: &[(SubBatch<'_>, &[u8])],
    tombstones: &[Tombstone],
    allowed: &dyn Fn(Option<GroupId>, &str) -> bool,
) -> Result<(), ApplyError> {
    for (sub, _) in subs {
        let (group, name) = (sub.group().0, sub.collection());
        if !allowed(Some(GroupId(group)), name.database()) {
            return Err(ApplyError::Forbidden { database: name.database().to_string(), group });
        }
    }
    match tombstones.iter().find(|one| !allowed(None, &one.database)) {
        Some(one) => Err(ApplyError::Forbidden { database: one.database.to_string(), group: 0 }),
        None => Ok(()),
    }
}

/// What the rows of a sub-batch take in memory, about: its bytes where columns are plain, and what chunks and
/// names add.
fn memory_bytes(sub: &SubBatch<'_>, archive: usize) -> usize {
    let devices: usize = sub.devices().map(|(device, _)| device.len() + 64).sum();
    let cells: usize = sub.fields().map(|field| field.count()).sum();
    archive + devices + 24 * sub.rows() + 8 * cells
}

/// The rows of a sub-batch from a time on.
fn rows_from(sub: &SubBatch<'_>, times: &[i64], cut: i64) -> Result<Batch, ApplyError> {
    let malformed = |what: &dyn std::fmt::Display| ApplyError::Malformed { what: what.to_string() };
    let mut columns: Vec<(Values, usize)> = Vec::new();
    let fields: Vec<_> = sub.fields().collect();
    for field in &fields {
        let mut values = Values::new(field.field_type());
        field.values_into(&mut values);
        columns.push((values, 0));
    }
    let mut batch = Batch::for_collection(sub.collection());
    let indexes = fields
        .iter()
        .map(|field| batch.field(field.name(), field.field_type()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(&error))?;
    let mut row = 0;
    for (text, rows) in sub.devices() {
        let device = Device::from_canonical(text).map_err(|error| malformed(&error))?;
        let device = batch.add_device(&device).map_err(|error| malformed(&error))?;
        for (at, time) in times.iter().enumerate().skip(row).take(rows) {
            let kept = *time >= cut;
            let mut open = if kept {
                Some(batch.row(device, *time).map_err(|error| malformed(&error))?)
            } else {
                None
            };
            for ((field, index), (values, next)) in fields.iter().zip(&indexes).zip(&mut columns) {
                if !field.is_present(at) {
                    continue;
                }
                if let Some(row) = open.take() {
                    open = Some(row.set(*index, values.at(*next)).map_err(|e| malformed(&e))?);
                }
                *next += 1;
            }
        }
        row += rows;
    }
    Ok(batch)
}
