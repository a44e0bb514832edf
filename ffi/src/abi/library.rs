//! The library: versions, features, errors.

use super::entry::plain;
use super::raw;
use std::ffi::{CStr, c_char};

/// What a call came to: `TIDELOG_OK`, another outcome (positive), or an error (negative). Codes are never given a new
/// meaning; later versions may add some, so treat any negative code as an error.
pub type tidelog_status = i32;

/// Done.
pub const TIDELOG_OK: i32 = 0;
/// There is no more: the end of a result.
pub const TIDELOG_DONE: i32 = 1;
/// There is nothing yet: the time to wait is over.
pub const TIDELOG_NOTHING: i32 = 2;
/// A callback said stop. What was done until then is done.
pub const TIDELOG_STOPPED: i32 = 3;

/// An argument cannot be: NULL where it may not be, text that is no UTF-8, a size or number out of range.
pub const TIDELOG_INVALID_ARGUMENT: i32 = -1;
/// A handle is NULL, closed, or of another kind.
pub const TIDELOG_INVALID_HANDLE: i32 = -2;
/// A struct carries something that this library does not know: it is older than the header. See `tidelog_abi_range`.
pub const TIDELOG_UNKNOWN_OPTION: i32 = -3;
/// It was not built into this library. See `tidelog_features`.
pub const TIDELOG_UNSUPPORTED: i32 = -4;
/// The library failed inside, and was stopped at its edge. A bug of Tidelog.
pub const TIDELOG_PANIC: i32 = -5;
/// The process was forked from one that uses the library.
pub const TIDELOG_FORKED: i32 = -6;
/// Header and library do not go together.
pub const TIDELOG_VERSION_MISMATCH: i32 = -7;
/// Somebody else has it: a store that is open for writing, a log hook.
pub const TIDELOG_LOCKED: i32 = -8;
/// There is no such store, collection or field.
pub const TIDELOG_NOT_FOUND: i32 = -9;
/// The store is open for reading only.
pub const TIDELOG_READ_ONLY: i32 = -10;
/// The store was closed, or the node stopped.
pub const TIDELOG_CLOSED: i32 = -11;
/// A field has another type.
pub const TIDELOG_TYPE_CONFLICT: i32 = -12;
/// The rows are older than what retention keeps.
pub const TIDELOG_SETTLED: i32 = -13;
/// A limit would be passed: bytes of a batch, fields of a collection, range of a number.
pub const TIDELOG_LIMIT: i32 = -14;
/// The disk refused.
pub const TIDELOG_IO: i32 = -15;
/// Memory is full and cannot be flushed.
pub const TIDELOG_FULL: i32 = -16;
/// An fsync failed: nothing more is acknowledged until the store is opened again.
pub const TIDELOG_POISONED: i32 = -17;
/// Data is damaged.
pub const TIDELOG_CORRUPT: i32 = -18;
/// The files are of a later version of Tidelog.
pub const TIDELOG_TOO_NEW: i32 = -19;
/// Cancelled.
pub const TIDELOG_CANCELLED: i32 = -20;
/// Retention has left only rollups there, and they do not answer the question.
pub const TIDELOG_RESOLUTION_GONE: i32 = -21;
/// The log does not reach back so far.
pub const TIDELOG_GONE: i32 = -22;
/// A network address or connection does not work.
pub const TIDELOG_NETWORK: i32 = -23;
/// A peer refused, or does not answer.
pub const TIDELOG_PEER: i32 = -24;

/// Nothing to be done: there is no error.
pub const TIDELOG_KIND_NONE: u32 = 0;
/// Try again later: space, descriptors or a lock were short.
pub const TIDELOG_KIND_RETRY: u32 = 1;
/// Change the call: it asks for something that cannot be.
pub const TIDELOG_KIND_FIX_CALL: u32 = 2;
/// Close the store and open it again.
pub const TIDELOG_KIND_REOPEN: u32 = 3;
/// Data is damaged: restore it.
pub const TIDELOG_KIND_RESTORE: u32 = 4;
/// Upgrade Tidelog.
pub const TIDELOG_KIND_UPGRADE: u32 = 5;
/// Report a bug of Tidelog.
pub const TIDELOG_KIND_BUG: u32 = 6;

/// What went wrong. The last argument of every function that can fail; NULL when nobody wants to know more than the
/// status. Begin with `tidelog_error error = {0};`. Each call fills it anew; after success `code` is 0 and `message` empty.
#[repr(C)]
pub struct tidelog_error {
    /// `sizeof(tidelog_error)`, or 0, which means the size it has in version 0.1.
    pub struct_size: u32,
    /// The status that the call returned, when it is an error.
    pub code: tidelog_status,
    /// What a program can do: one of `TIDELOG_KIND_*`.
    pub kind: u32,
    /// Length of the message in bytes, without its NUL, before it was cut to fit.
    pub message_length: u32,
    /// What, where, and what to do: UTF-8, for people, always with a NUL at its end.
    pub message: [c_char; 496],
}

/// The version of the ABI that this header describes. Hand it to `tidelog_open`.
pub const TIDELOG_ABI_VERSION: u32 = 1;
/// The oldest version of the ABI that this library still serves.
const ABI_OLDEST: u32 = 1;

/// Nodes and replication are built in.
pub const TIDELOG_FEATURE_REPLICATION: u64 = 1;

/// The version of the library, as "0.1.0".
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: the text is static.
#[unsafe(no_mangle)]
pub extern "C" fn tidelog_version() -> *const c_char {
    plain("tidelog_version", std::ptr::null(), || {
        const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
        VERSION.as_ptr().cast()
    })
}

/// The versions of the ABI that this library serves: a program whose `TIDELOG_ABI_VERSION` is in the range, both ends
/// included, works with it. Either pointer may be NULL.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_abi_range(oldest: *mut u32, newest: *mut u32) -> tidelog_status {
    plain("tidelog_abi_range", TIDELOG_PANIC, || {
        // SAFETY: NULL, or the caller's to be written.
        unsafe {
            raw::put_if_wanted(oldest, ABI_OLDEST);
            raw::put_if_wanted(newest, TIDELOG_ABI_VERSION);
        }
        TIDELOG_OK
    })
}

/// Is a program that was compiled with this version served?
pub(super) fn serves(abi_version: u32) -> bool {
    (ABI_OLDEST..=TIDELOG_ABI_VERSION).contains(&abi_version)
}

/// What is built in: a sum of `TIDELOG_FEATURE_*`. Functions of what is not are there all the same, and return
/// `TIDELOG_UNSUPPORTED`.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tidelog_features() -> u64 {
    plain("tidelog_features", 0, || {
        if cfg!(feature = "replication") { TIDELOG_FEATURE_REPLICATION } else { 0 }
    })
}

/// A status in a few words, "the disk refused"; for one that this library does not know, "unknown status".
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: the text is static.
#[unsafe(no_mangle)]
pub extern "C" fn tidelog_status_text(status: tidelog_status) -> *const c_char {
    plain("tidelog_status_text", c"unknown status".as_ptr(), || status_text(status).as_ptr())
}

fn status_text(status: tidelog_status) -> &'static CStr {
    match status {
        TIDELOG_OK => c"done",
        TIDELOG_DONE => c"there is no more",
        TIDELOG_NOTHING => c"there is nothing yet",
        TIDELOG_STOPPED => c"a callback said stop",
        TIDELOG_INVALID_ARGUMENT => c"an argument cannot be",
        TIDELOG_INVALID_HANDLE => c"a handle is NULL, closed or of another kind",
        TIDELOG_UNKNOWN_OPTION => c"a struct carries something this library does not know",
        TIDELOG_UNSUPPORTED => c"not built into this library",
        TIDELOG_PANIC => c"the library failed inside",
        TIDELOG_FORKED => c"the process was forked from one that uses the library",
        TIDELOG_VERSION_MISMATCH => c"header and library do not go together",
        TIDELOG_LOCKED => c"somebody else has it",
        TIDELOG_NOT_FOUND => c"there is no such store, collection or field",
        TIDELOG_READ_ONLY => c"the store is open for reading only",
        TIDELOG_CLOSED => c"the store was closed, or the node stopped",
        TIDELOG_TYPE_CONFLICT => c"a field has another type",
        TIDELOG_SETTLED => c"the rows are older than what retention keeps",
        TIDELOG_LIMIT => c"a limit would be passed",
        TIDELOG_IO => c"the disk refused",
        TIDELOG_FULL => c"memory is full and cannot be flushed",
        TIDELOG_POISONED => c"an fsync failed",
        TIDELOG_CORRUPT => c"data is damaged",
        TIDELOG_TOO_NEW => c"the files are of a later version",
        TIDELOG_CANCELLED => c"cancelled",
        TIDELOG_RESOLUTION_GONE => c"only rollups are left there",
        TIDELOG_GONE => c"the log does not reach back so far",
        TIDELOG_NETWORK => c"an address or connection does not work",
        TIDELOG_PEER => c"a peer refused, or does not answer",
        _ => c"unknown status",
    }
}
