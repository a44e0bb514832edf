//! Tails: what is written, as it is written.

use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use super::result::{c_text, hand_out, tidelog_result};
use super::store::{store_of, taken, tidelog_store};
use super::write::tidelog_position;
use crate::fault::Fault;
use crate::handle::{self, Handled};
use crate::tail::{Kind, Told, read};
use std::ffi::{CString, c_char};
use std::sync::Mutex;
use std::time::Duration;
use tidelog_engine::{Incarnation, Position, Store, Tail, TailRecord};

/// Follows what a store writes itself.
pub struct tidelog_tail {
    _opaque: [u8; 0],
}

/// What a tail's handle stands for.
pub(crate) struct OpenTail(Mutex<State>);

struct State {
    tail: Tail,
    /// Of the last record.
    collection: CString,
}

impl Handled for OpenTail {
    const KIND: &'static str = "tail";
}

/// Rows that were written.
pub const TIDELOG_RECORD_ROWS: u32 = 1;
/// A delete.
pub const TIDELOG_RECORD_DELETE: u32 = 2;

/// Something that was written.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_record {
    /// `sizeof(tidelog_record)`, set by the caller.
    pub struct_size: u32,
    /// `TIDELOG_RECORD_ROWS` or `TIDELOG_RECORD_DELETE`; skip others, which later versions may add.
    pub kind: u32,
    /// Where it stands in the log.
    pub position: tidelog_position,
    /// Where the next one stands: open a tail from here to go on after this one.
    pub next: tidelog_position,
    /// When it happened, as in `tidelog_receipt`.
    pub stamp: u64,
    /// The collection, or the database for a delete in all of it; good until the next call with this tail.
    pub collection: *const c_char,
}

// SAFETY: pointers and integers; where pointers have 4 bytes there may be 4 of padding at the end, which are never looked at.
unsafe impl Plain for tidelog_record {
    const NAME: &'static str = "tidelog_record";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_record {}

/// Follows what is written to the store from `from` on; NULL: from now on. It holds no lock, and stops no log from being
/// deleted: who falls far behind gets `TIDELOG_GONE` and reads the store anew.
///
/// Errors: `TIDELOG_GONE` when the log does not reach back so far, or the position is of another opening; `TIDELOG_READ_ONLY`.
///
/// Threads: any; calls with one tail wait for each other. Blocks: no. Since: 0.1.
/// Owns: `*tail` is the caller's, to be ended by `tidelog_tail_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_tail_open(
    store: *const tidelog_store,
    from: *const tidelog_position,
    tail: *mut *mut tidelog_tail,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(tail, "tail")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe { raw::put_if_wanted(tail, std::ptr::null_mut()) };
        let store = store_of(store)?;
        // SAFETY: as above.
        let state =
            State { tail: unsafe { tail_of(&store, from)? }, collection: CString::default() };
        let handle = handle::insert(OpenTail(Mutex::new(state)))?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(tail, std::ptr::without_provenance_mut(handle)) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_tail_open", error, call) }
}

/// The next thing that was written, waiting for it up to `timeout_ns`: `TIDELOG_OK`, or `TIDELOG_NOTHING` when there is none by
/// then. It may come before its fsync has returned. What came from other stores is not told.
///
/// `*rows` are the rows, by device and time; of a delete, one row for each device and field that is named: "database", "collection",
/// "device", "device_prefix", "labels", "field" (string, absent where not narrowed), "first_ns", "last_ns" (i64). `rows` may be NULL.
///
/// Errors: `TIDELOG_GONE`, `TIDELOG_IO`.
///
/// Threads: any; calls with one tail wait for each other. Blocks: up to the timeout, and disk. Since: 0.1.
/// Owns: `*rows` is the caller's, to be ended by `tidelog_result_close`; it is NULL unless `TIDELOG_OK` is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_tail_next(
    tail: *mut tidelog_tail,
    timeout_ns: u64,
    record: *mut tidelog_record,
    rows: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(rows, std::ptr::null_mut());
            raw::check_put(record, "record")?;
            raw::check_out(record)?;
        }
        let open = handle::find::<OpenTail>(tail.addr())?;
        let mut state = open.0.lock().map_err(|_| Fault::poisoned_handle())?;
        let Some(found) = state.tail.next(Duration::from_nanos(timeout_ns))? else {
            return Ok(TIDELOG_NOTHING);
        };
        let (kind, told) = record_of(&found)?;
        state.collection = c_text(&told.place);
        let filled = tidelog_record {
            struct_size: 0,
            kind,
            position: found.position.into(),
            next: found.next.into(),
            stamp: told.stamp.0,
            collection: state.collection.as_ptr(),
        };
        // SAFETY: as above.
        unsafe {
            raw::fill(record, &filled)?;
            if rows.is_null() { Ok(TIDELOG_OK) } else { hand_out(told.rows, rows) }
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_tail_next", error, call) }
}

/// # Safety
/// `from` is NULL or can be read.
pub unsafe fn tail_of(store: &Store, from: *const tidelog_position) -> Result<Tail, Fault> {
    // SAFETY: as promised to this function.
    Ok(store.tail(unsafe { position_of(store, from)? })?)
}

/// A position of a store's log; NULL: where it stands now.
///
/// # Safety
/// `at` is NULL or can be read.
pub unsafe fn position_of(store: &Store, at: *const tidelog_position) -> Result<Position, Fault> {
    let now = store.position().ok_or_else(|| {
        let message =
            "the store is open for reading only and has no log to follow: open it for writing";
        Fault::new(TIDELOG_READ_ONLY, TIDELOG_KIND_FIX_CALL, message)
    })?;
    // SAFETY: as promised to this function.
    Ok(match unsafe { at.as_ref() } {
        Some(at) => Position { incarnation: Incarnation(at.incarnation), offset: at.offset },
        None => now,
    })
}

/// A record, and which kind it is of.
pub fn record_of(record: &TailRecord) -> Result<(u32, Told), Fault> {
    let told = read(record)?;
    let kind = match told.kind {
        Kind::Rows => TIDELOG_RECORD_ROWS,
        Kind::Delete => TIDELOG_RECORD_DELETE,
    };
    Ok((kind, told))
}

/// Ends a tail. `*tail` is NULL afterwards; NULL is no error.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: takes `*tail`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_tail_close(
    tail: *mut *mut tidelog_tail,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    unsafe {
        entry("tidelog_tail_close", error, || {
            taken(tail).map_or(Ok(()), |handle| handle::take::<OpenTail>(handle).map(drop))?;
            Ok(TIDELOG_OK)
        })
    }
}
