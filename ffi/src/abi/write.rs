//! Writing: batches become durable, now or with a ticket.

use super::batch::{batch_of, tidelog_batch};
use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use super::store::{store_of, taken, tidelog_store};
use crate::fault::Fault;
use crate::handle::{self, Handled};
use std::sync::Mutex;
use std::time::Duration;
use tidelog_engine::{Durability, Position, Receipt, Ticket};

/// A write that is on its way.
pub struct tidelog_ticket {
    _opaque: [u8; 0],
}

/// What a ticket's handle stands for.
pub struct OpenTicket(Mutex<State>);

enum State {
    OnItsWay(Option<Ticket>),
    Ended(Result<Receipt, Fault>),
}

impl Handled for OpenTicket {
    const KIND: &'static str = "ticket";
}

impl OpenTicket {
    pub fn new(ticket: Ticket) -> Self {
        OpenTicket(Mutex::new(State::OnItsWay(Some(ticket))))
    }

    /// Every call says the same.
    pub fn wait(&self) -> Result<tidelog_receipt, Fault> {
        let mut state = self.0.lock().map_err(|_| Fault::poisoned_handle())?;
        if let State::OnItsWay(waiting) = &mut *state
            && let Some(waiting) = waiting.take()
        {
            *state = State::Ended(waiting.wait().map_err(Fault::from));
        }
        let State::Ended(ended) = &*state else { return Err(Fault::poisoned_handle()) };
        ended.as_ref().map(receipt_of).map_err(Fault::clone)
    }

    pub fn is_done(&self) -> bool {
        // Whoever holds it waits for it: it is not done.
        let Ok(state) = self.0.try_lock() else { return false };
        !matches!(&*state, State::OnItsWay(Some(waiting)) if !waiting.is_done())
    }
}

/// As `TIDELOG_SYNC`.
pub const TIDELOG_DURABILITY_DEFAULT: u32 = 0;
/// Acknowledged after an fsync that covers it: survives power loss. Concurrent writers share one fsync.
pub const TIDELOG_SYNC: u32 = 1;
/// Acknowledged when the system has it; an fsync follows within `interval_ns`. Survives the end of the process; power loss
/// may take the writes of the last interval.
pub const TIDELOG_INTERVAL: u32 = 2;
/// Acknowledged when the system has it. Survives the end of the process; power loss may take what the system had not
/// written yet, typically the last 30 seconds.
pub const TIDELOG_OS: u32 = 3;

/// When a write counts as done.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_write_options {
    /// `sizeof(tidelog_write_options)`.
    pub struct_size: u32,
    /// `TIDELOG_SYNC`, `TIDELOG_INTERVAL` or `TIDELOG_OS`; zero means `TIDELOG_SYNC`.
    pub durability: u32,
    /// For `TIDELOG_INTERVAL`: 1 s unless set.
    pub interval_ns: u64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_write_options {
    const NAME: &'static str = "tidelog_write_options";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_write_options {}

/// A place in a store's log. It names the same bytes for ever: every opening begins a new incarnation.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct tidelog_position {
    /// The opening of the store.
    pub incarnation: [u8; 16],
    /// The place in its log.
    pub offset: u64,
}

impl From<Position> for tidelog_position {
    fn from(at: Position) -> Self {
        tidelog_position { incarnation: at.incarnation.0, offset: at.offset }
    }
}

/// A write that was acknowledged.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_receipt {
    /// `sizeof(tidelog_receipt)`, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Rows written, after rows of one device and time in the batch were merged.
    pub rows: u64,
    /// When it happened: 48 bits of milliseconds since 1970, then a counter of 16 bits. Greater means later.
    pub stamp: u64,
    /// Where it stands in the log.
    pub position: tidelog_position,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_receipt {
    const NAME: &'static str = "tidelog_receipt";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_receipt {}

pub fn receipt_of(receipt: &Receipt) -> tidelog_receipt {
    tidelog_receipt {
        struct_size: 0,
        reserved: 0,
        rows: receipt.rows as u64,
        stamp: receipt.stamp.0,
        position: receipt.position.into(),
    }
}

pub fn durability(options: &tidelog_write_options) -> Result<Durability, Fault> {
    let interval = match options.interval_ns {
        0 => Duration::from_secs(1),
        nanos => Duration::from_nanos(nanos),
    };
    let durability = match options.durability {
        TIDELOG_DURABILITY_DEFAULT | TIDELOG_SYNC => Durability::Sync,
        TIDELOG_INTERVAL => Durability::Interval(interval),
        TIDELOG_OS => Durability::Os,
        other => {
            return Err(Fault::argument(format!(
                "durability is {other}: TIDELOG_SYNC, TIDELOG_INTERVAL and TIDELOG_OS are possible"
            )));
        }
    };
    if options.interval_ns != 0 && !matches!(durability, Durability::Interval(_)) {
        return Err(Fault::argument("interval_ns goes with TIDELOG_INTERVAL only: leave it zero"));
    }
    Ok(durability)
}

/// Writes the rows of a batch and waits until they are acknowledged. Atomic: visible whole or not at all. The batch keeps its
/// rows; clear it to fill it again. `options` and `receipt` may be NULL.
///
/// Errors: `TIDELOG_TYPE_CONFLICT`, `TIDELOG_SETTLED`, `TIDELOG_LIMIT`, `TIDELOG_READ_ONLY`, `TIDELOG_IO` and `TIDELOG_FULL`, after
/// which nothing of the batch is there; `TIDELOG_POISONED`, after which that is unknown until the store is opened again.
///
/// Threads: any; writers on several threads share fsyncs. Blocks: disk, for the fsync that is asked for and while memory is
/// full. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_write(
    store: *mut tidelog_store,
    batch: *const tidelog_batch,
    options: *const tidelog_write_options,
    receipt: *mut tidelog_receipt,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let (store, open) = (store_of(store)?, batch_of(batch)?);
        // SAFETY: the caller's pointers, as the header says.
        let options = unsafe {
            raw::check_out(receipt)?;
            raw::options(options)?
        };
        let written = store.write(&*open.lock()?, durability(&options)?)?;
        // SAFETY: as above.
        unsafe { raw::fill_if_wanted(receipt, &receipt_of(&written))? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_write", error, call) }
}

/// Writes the rows of a batch without waiting for their fsync; `tidelog_ticket_wait` tells when they are acknowledged. One
/// thread can have many writes on their way, which share fsyncs. The batch can be cleared and filled again at once.
///
/// Errors: as `tidelog_write`; what the fsync says is told by the ticket.
///
/// Threads: any. Blocks: disk, while memory is full. Since: 0.1.
/// Owns: `*ticket` is the caller's, to be ended by `tidelog_ticket_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_submit(
    store: *mut tidelog_store,
    batch: *const tidelog_batch,
    options: *const tidelog_write_options,
    ticket: *mut *mut tidelog_ticket,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(ticket, "ticket")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe { raw::put_if_wanted(ticket, std::ptr::null_mut()) };
        let (store, open) = (store_of(store)?, batch_of(batch)?);
        // SAFETY: as above.
        let options = unsafe { raw::options(options)? };
        let submitted = store.submit(&*open.lock()?, durability(&options)?)?;
        let handle = handle::insert(OpenTicket::new(submitted))?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(ticket, std::ptr::without_provenance_mut(handle)) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_submit", error, call) }
}

/// Waits until the write is durable as asked, and visible. Every call says the same. `receipt` may be NULL.
///
/// Errors: `TIDELOG_POISONED` when an fsync failed: whether the rows survive is unknown.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing; the ticket is still to be closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_ticket_wait(
    ticket: *mut tidelog_ticket,
    receipt: *mut tidelog_receipt,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = handle::find::<OpenTicket>(ticket.addr())?;
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::check_out(receipt)? };
        let waited = open.wait()?;
        // SAFETY: as above.
        unsafe { raw::fill_if_wanted(receipt, &waited)? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_ticket_wait", error, call) }
}

/// Would `tidelog_ticket_wait` return at once? `TIDELOG_OK` when so, `TIDELOG_NOTHING` when not.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_ticket_poll(
    ticket: *const tidelog_ticket,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = handle::find::<OpenTicket>(ticket.addr())?;
        Ok(if open.is_done() { TIDELOG_OK } else { TIDELOG_NOTHING })
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_ticket_poll", error, call) }
}

/// Ends a ticket. The write still happens, only nobody is told. `*ticket` is NULL afterwards; NULL is no error.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: takes `*ticket`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_ticket_close(
    ticket: *mut *mut tidelog_ticket,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    unsafe {
        entry("tidelog_ticket_close", error, || {
            taken(ticket).map_or(Ok(()), |handle| handle::take::<OpenTicket>(handle).map(drop))?;
            Ok(TIDELOG_OK)
        })
    }
}
