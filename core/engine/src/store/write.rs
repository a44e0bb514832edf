//! A write: stamped, logged, made durable as asked, made visible whole.

use super::pending::Waiting;
use super::stamps::Drawn;
use super::{Inner, Store};
use crate::error::{EditProblem, Kind, WriteError};
use crate::log::FRAME_HEADER_LEN;
use crate::manifest::Change;
use crate::options::{Durability, Upkeep};
use crate::wal::{AppendError, KIND_ROWS, RowsPayload, Span, Wal};
use rkyv::util::AlignedVec;
use std::cell::RefCell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tidelog_model::{
    Batch, Cutter, FIELDS_MAX, FieldType, LeafWidth, Name, Position, Stamp, Version,
};

/// A write that was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Where it stands in the log.
    pub position: Position,
    /// Its stamp.
    pub stamp: Stamp,
    /// Rows written, after rows of one device and time in the batch were merged.
    pub rows: usize,
}

/// A write that is on its way. One thread may have many: submit, go on, wait later.
///
/// A ticket that is dropped is not taken back: the write still happens, only nobody is told.
#[derive(Debug)]
#[must_use = "a write is acknowledged by waiting for its ticket"]
pub struct Ticket {
    inner: Arc<Inner>,
    span: Span,
    receipt: Receipt,
    /// Is it visible already?
    visible: bool,
}

impl Ticket {
    /// Waits until the write is durable as asked, and visible.
    ///
    /// # Errors
    /// [`WriteError::Poisoned`] when an fsync failed: whether the batch survives is unknown.
    pub fn wait(mut self) -> Result<Receipt, WriteError> {
        if !self.visible {
            self.inner.make_durable(self.span.end)?;
            self.visible = true;
        }
        Ok(self.receipt)
    }

    /// Has it been acknowledged, so that [`Self::wait`] would not block?
    #[must_use]
    pub fn is_done(&self) -> bool {
        let durable = || self.inner.wal.as_ref().is_some_and(|wal| wal.durable() >= self.span.end);
        self.visible || durable()
    }
}

thread_local! {
    /// Memory for cutting and encoding batches, kept from one write to the next.
    static ENCODER: RefCell<(Cutter, RowsPayload)> = RefCell::default();
}

impl Store {
    /// Writes a batch and waits until it is acknowledged. Atomic: visible whole or not at all, on
    /// whatever groups its devices are.
    ///
    /// Blocks for the fsync that the durability asks for, and while memory is full.
    ///
    /// ```no_run
    /// use tidelog_engine::{Batch, Durability, Store};
    /// let store = Store::open("plant")?;
    /// let mut batch = Batch::new("plant.boiler")?;
    /// batch.push("pump_1", 1_700_000_000_000_000_000, [("pressure", 4.2)])?;
    /// store.write(&batch, Durability::Sync)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&self, batch: &Batch, durability: Durability) -> Result<Receipt, WriteError> {
        self.inner.submit(batch, durability)?.wait()
    }

    /// Writes a batch without waiting for its fsync: many can be in flight from one thread, and share
    /// fsyncs. A batch is visible when its ticket has been waited for, at the latest.
    ///
    /// # Errors
    /// As [`Self::write`]; what the fsync says is told by the ticket.
    pub fn submit(&self, batch: &Batch, durability: Durability) -> Result<Ticket, WriteError> {
        let ticket = self.inner.submit(batch, durability)?;
        if !ticket.visible {
            self.inner.threads.sync_soon(Duration::ZERO);
        }
        Ok(ticket)
    }
}

impl Inner {
    pub(super) fn writer(&self) -> Result<&Arc<Wal>, WriteError> {
        if self.is_closed() {
            return Err(WriteError::Closed);
        }
        self.wal.as_ref().ok_or(WriteError::ReadOnly)
    }

    fn submit(
        self: &Arc<Self>,
        batch: &Batch,
        durability: Durability,
    ) -> Result<Ticket, WriteError> {
        let wal = self.writer()?;
        if batch.is_empty() {
            return Ok(self.empty_ticket(wal));
        }
        let (mut leaf, mut new_fields) = self.admit(batch)?;
        // Two writers may bring one new field with two types: then they come one after the other.
        let _schema = if new_fields.is_empty() {
            None
        } else {
            let schema = self.schema.lock().unwrap_or_else(PoisonError::into_inner);
            (leaf, new_fields) = self.admit(batch)?;
            Some(schema)
        };
        let room = batch.memory_bytes();
        self.make_room(wal, room)?;
        let stamp = self.draw().inspect_err(|_| self.room.give_back(room))?;
        let version = Version { stamp, origin: self.store_id };
        // A cut on its way waits for the stamps drawn before it began, and is seen by those drawn later.
        let logged = match self.cutting.load(SeqCst) {
            0 => Ok(()),
            _ => {
                let cut = self.catalog().cut_for_writes(batch.collection());
                self.check_cut(batch, cut)
            }
        };
        let logged = logged.and_then(|()| self.log(wal, batch, leaf, version));
        let (span, rows, frame) = logged.inspect_err(|_| {
            self.stamps.landed(stamp);
            self.room.give_back(room);
        })?;
        self.catalog().claim(batch.collection(), leaf, new_fields, version);
        self.counters.writes.fetch_add(1, Relaxed);
        self.counters.rows_written.fetch_add(rows as u64, Relaxed);
        self.counters.values_written.fetch_add(batch.count_values() as u64, Relaxed);
        let position = Position { incarnation: wal.identity().incarnation, offset: span.start };
        let receipt = Receipt { position, stamp, rows };
        let waiting = Waiting { end: span.end, stamp, room, frame };
        let visible = durability != Durability::Sync;
        if visible {
            self.apply(&waiting);
            self.pending.recycle(waiting.frame);
            if let Durability::Interval(interval) = durability {
                self.sync_within(interval)?;
            }
        } else {
            self.pending.push(waiting);
        }
        Ok(Ticket { inner: Arc::clone(self), span, receipt, visible })
    }

    fn empty_ticket(self: &Arc<Self>, wal: &Arc<Wal>) -> Ticket {
        let end = wal.end();
        let position = Position { incarnation: wal.identity().incarnation, offset: end };
        let receipt = Receipt { position, stamp: self.stamps.last(), rows: 0 };
        let span = Span { start: end, end };
        Ticket { inner: Arc::clone(self), span, receipt, visible: true }
    }

    /// Cuts, encodes and appends a batch; where it stands, its rows, and its frame.
    fn log(
        &self,
        wal: &Wal,
        batch: &Batch,
        leaf: LeafWidth,
        version: Version,
    ) -> Result<(Span, usize, AlignedVec), WriteError> {
        ENCODER.with_borrow_mut(|(cutter, payload)| {
            payload.clear();
            let mut rows = 0;
            batch.cut(self.groups, version, leaf, cutter, |sub| {
                rows += sub.device_rows.iter().map(|rows| *rows as usize).sum::<usize>();
                payload.push(sub);
            });
            let mut frame = payload.frame(self.pending.buffer());
            let logged = |span: Span| self.stamps.logged(version.stamp, span.start);
            let span = wal.append(KIND_ROWS, &mut frame, logged).map_err(|error| match error {
                AppendError::Io(error) => WriteError::Io(error),
                AppendError::Poisoned => WriteError::Poisoned,
                AppendError::Ended => WriteError::Closed,
            })?;
            Ok((span, rows, frame))
        })
    }

    /// Refuses rows before a cut.
    fn check_cut(&self, batch: &Batch, cut: i64) -> Result<(), WriteError> {
        let rows = if cut == i64::MIN { 0 } else { batch.count_before(cut) };
        if rows == 0 {
            return Ok(());
        }
        self.counters.rows_settled.fetch_add(rows as u64, Relaxed);
        Err(WriteError::BelowCut { collection: batch.collection().clone(), rows, cut })
    }

    /// Checks a batch against the collection: its leaf width, and the fields that are new.
    fn admit(&self, batch: &Batch) -> Result<(LeafWidth, Vec<(Name, FieldType)>), WriteError> {
        let catalog = self.catalog();
        let name = batch.collection();
        self.check_cut(batch, catalog.cut_for_writes(name))?;
        let mut new = Vec::new();
        let mut claimed = 0;
        for (field, kind) in batch.fields() {
            let visible = catalog.type_of(name, field);
            let on_its_way =
                if visible.is_none() { catalog.claimed_type(name, field) } else { None };
            match visible.or(on_its_way) {
                Some(known) if known != kind => {
                    return Err(WriteError::TypeConflict {
                        collection: name.clone(),
                        field: field.to_string(),
                        known,
                        given: kind,
                    });
                }
                _ if visible.is_some() => {}
                // Also where another write brings it: this one may be visible before.
                known => {
                    claimed += usize::from(known.is_some());
                    new.push((field.clone(), kind));
                }
            }
        }
        if !new.is_empty() && catalog.count_fields(name) + new.len() - claimed > FIELDS_MAX {
            return Err(WriteError::TooManyFields { collection: name.clone(), max: FIELDS_MAX });
        }
        Ok((catalog.leaf_of(name).unwrap_or_default(), new))
    }

    /// Draws a stamp, raising the durable ceiling first where it must.
    pub(super) fn draw(&self) -> Result<Stamp, WriteError> {
        loop {
            match self.stamps.draw(self.clock().wall_millis()) {
                Drawn::Stamp(stamp) => return Ok(stamp),
                Drawn::Raise(ceiling) => {
                    let mut manifest = self.manifest();
                    // Another writer may have raised it while this one waited for the manifest.
                    let ceiling = ceiling.max(manifest.state().ceiling);
                    let edit = vec![Change::Ceiling(ceiling)];
                    self.edit(&mut manifest, &edit).map_err(EditProblem)?;
                    self.stamps.raised(ceiling);
                }
            }
        }
    }

    /// Makes a write visible, whole.
    pub(super) fn apply(&self, waiting: &Waiting) {
        let payload = waiting.frame.get(FRAME_HEADER_LEN..).unwrap_or_default();
        match RowsPayload::read(payload) {
            Ok(subs) => {
                let fields = || self.catalog().land(waiting.stamp);
                let bytes = self.memory.apply(&subs, fields);
                if bytes >= self.options.memory_budget / 2 {
                    self.threads.flush_soon();
                }
            }
            // Our own bytes, read back: cannot happen. If it does, the log holds the write.
            Err(error) => tracing::error!(%error, "a write could not be applied to memory"),
        }
        self.stamps.landed(waiting.stamp);
        self.room.give_back(waiting.room);
    }

    /// Waits until the log is durable up to `end`, and makes visible what became durable.
    pub(super) fn make_durable(&self, end: u64) -> Result<(), WriteError> {
        let wal = self.writer_even_closed()?;
        wal.sync_to(end).map_err(|error| {
            if let Some(error) = error {
                tracing::error!(%error, "an fsync failed: the store acknowledges nothing any more");
            }
            wal.poison();
            WriteError::Poisoned
        })?;
        self.apply_durable();
        Ok(())
    }

    fn writer_even_closed(&self) -> Result<&Arc<Wal>, WriteError> {
        self.wal.as_ref().ok_or(WriteError::ReadOnly)
    }

    pub(crate) fn apply_durable(&self) {
        if let Some(wal) = &self.wal {
            self.pending.apply(wal.durable(), |waiting| self.apply(waiting));
        }
    }

    /// Syncs everything, for the thread that does it for tickets and intervals.
    pub(crate) fn sync_all(&self) -> Result<(), WriteError> {
        let wal = self.writer_even_closed()?;
        self.make_durable(wal.end())
    }

    /// An fsync follows within `interval`.
    fn sync_within(&self, interval: Duration) -> Result<(), WriteError> {
        if self.options.upkeep == Upkeep::Background {
            self.threads.sync_soon(interval);
            return Ok(());
        }
        let now = self.clock().monotonic();
        let mut last = self.last_sync.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(*last) >= interval {
            *last = now;
            drop(last);
            self.sync_all()?;
        }
        Ok(())
    }

    /// Waits until a batch of so many bytes fits into memory, and reserves them.
    pub(super) fn make_room(&self, wal: &Wal, bytes: usize) -> Result<(), WriteError> {
        let budget = self.options.memory_budget;
        if bytes > budget {
            return Err(WriteError::TooLarge { bytes, budget });
        }
        let used = || {
            let (active, sealed) = self.memory.heap_bytes();
            active + sealed
        };
        loop {
            // Nothing is flushed any more, so that memory stays as full as it is.
            if wal.is_poisoned() {
                return Err(WriteError::Poisoned);
            }
            if self.options.upkeep == Upkeep::Caller {
                self.flush_as_caller()?;
            }
            if self.room.take(bytes, used) {
                return Ok(());
            }
            self.counters.waits_for_room.fetch_add(1, Relaxed);
            if self.options.upkeep == Upkeep::Caller {
                // Tickets that nobody waits for yet: once they are durable their rows can be flushed.
                self.sync_all()?;
                self.flush_for_room()?;
                if self.room.take(bytes, used) {
                    return Ok(());
                }
            }
            let waited = self.room.wait(bytes, |writes_hold_room| {
                self.threads.flush_soon();
                if writes_hold_room {
                    self.threads.sync_soon(Duration::ZERO);
                }
            });
            match waited {
                Err(_) if wal.is_poisoned() => return Err(WriteError::Poisoned),
                Err(what) => return Err(WriteError::Full { what }),
                Ok(()) if self.is_closed() => return Err(WriteError::Closed),
                Ok(()) => {}
            }
        }
    }

    /// Without threads the writer flushes when half is used, as a thread would.
    fn flush_as_caller(&self) -> Result<(), WriteError> {
        let (active, sealed) = self.memory.heap_bytes();
        if active >= self.options.memory_budget / 2 || sealed > 0 {
            self.flush_for_room()?;
        }
        Ok(())
    }

    fn flush_for_room(&self) -> Result<(), WriteError> {
        self.flush().map(drop).map_err(|error| match error.kind() {
            Kind::Reopen => WriteError::Poisoned,
            _ => WriteError::Full { what: error.to_string() },
        })
    }
}
