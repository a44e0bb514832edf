//! A write: stamped, logged, made durable as asked, made visible whole.

use super::pending::Waiting;
use super::stamps::Drawn;
use super::{Inner, Store};
use crate::error::{EditProblem, WriteError};
use crate::ids::Tier;
use crate::manifest::Change;
use crate::options::{Durability, Upkeep};
use crate::wal::{AppendError, KIND_ROWS, RowsPayload, Span, Wal};
use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tidelog_model::{Batch, Cutter, LeafWidth, Name, Position, Stamp, Version};

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
        let (leaf, new_fields) = self.admit(batch)?;
        self.make_room()?;
        let stamp = self.draw()?;
        let version = Version { stamp, origin: self.store_id };
        let logged = ENCODER.with_borrow_mut(|(cutter, payload)| {
            payload.clear();
            let mut rows = 0;
            batch.cut(self.groups, version, leaf, cutter, |sub| {
                rows += sub.device_rows.iter().map(|rows| *rows as usize).sum::<usize>();
                payload.push(sub);
            });
            let frame = payload.frame();
            let span = wal.append(KIND_ROWS, frame, |span| {
                self.stamps.logged(stamp, span.start);
                if durability == Durability::Sync {
                    let mut payload = self.pending.buffer();
                    payload.extend_from_slice(&frame_payload(frame_of(span, durability)));
                    let _ = payload;
                }
            });
            span.map(|span| (span, rows))
        });
        let _ = (logged, new_fields);
        unimplemented!()
    }
}
