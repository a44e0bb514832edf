//! Digests: what a store holds in 32 bytes, and where two stores differ.

use super::entry::entry;
use super::library::*;
use super::query::bound;
use super::raw;
use super::result::{hand_out, tidelog_result};
use super::store::{store_of, tidelog_store};
use crate::fault::Fault;
use crate::result::Rows;
use crate::tables;
use std::ffi::c_char;
use tidelog_engine::{CollectionName, Level, TimeRange};

/// A collection as a whole: one digest over all groups.
pub const TIDELOG_LEVEL_ROOT: u32 = 0;
/// UTC years of each group.
pub const TIDELOG_LEVEL_YEAR: u32 = 1;
/// UTC months.
pub const TIDELOG_LEVEL_MONTH: u32 = 2;
/// UTC days.
pub const TIDELOG_LEVEL_DAY: u32 = 3;
/// Leaf windows.
pub const TIDELOG_LEVEL_WINDOW: u32 = 4;
/// Each device in a leaf window.
pub const TIDELOG_LEVEL_SERIES: u32 = 7;

/// Digests of a collection at a level of its tree, of windows that overlap a range: equal rows give equal digests, whoever wrote
/// them and in whatever files they lie. Rows: "group" (u64, absent for the root), "first_ns", "last_ns" (i64), "device" (string, absent
/// above `TIDELOG_LEVEL_SERIES`), "digest" (bytes, 32 of them). An empty collection has no row. `from_ns` and `to_ns` may be NULL.
///
/// Threads: any. Blocks: disk; what is not sealed yet is read and hashed. Since: 0.1.
/// Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_digests(
    store: *const tidelog_store,
    collection: *const c_char,
    level: u32,
    from_ns: *const i64,
    to_ns: *const i64,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let store = store_of(store)?;
            let name = CollectionName::parse(raw::text(collection, "collection")?)?;
            let digests = store.digests(&name, level_of(level)?, range_of(from_ns, to_ns)?)?;
            hand_out(Rows::of_table(tables::digests(&digests)), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_digests", error, call) }
}

/// # Safety
/// Each is NULL or can be read.
pub unsafe fn range_of(from_ns: *const i64, to_ns: *const i64) -> Result<TimeRange, Fault> {
    // SAFETY: as promised to this function.
    let range = unsafe { TimeRange::new(bound(from_ns), bound(to_ns)) };
    range.ok_or_else(|| Fault::argument("from_ns is not before to_ns: correct the range"))
}

pub fn level_of(level: u32) -> Result<Level, Fault> {
    Ok(match level {
        TIDELOG_LEVEL_ROOT => Level::Root,
        TIDELOG_LEVEL_YEAR => Level::Year,
        TIDELOG_LEVEL_MONTH => Level::Month,
        TIDELOG_LEVEL_DAY => Level::Day,
        TIDELOG_LEVEL_WINDOW => Level::Window,
        TIDELOG_LEVEL_SERIES => Level::Series,
        other => {
            return Err(Fault::argument(format!(
                "{other} is no level: TIDELOG_LEVEL_ROOT (0) to TIDELOG_LEVEL_WINDOW (4) and TIDELOG_LEVEL_SERIES (7) are"
            )));
        }
    })
}

/// Where a collection differs from that of another open store, leaf window by leaf window: "group" (u64), "first_ns", "last_ns"
/// (i64), "device" (string), "rows_here", "rows_there", "missing" (only there), "extra" (only here), "mismatched" (u64). No row:
/// they are equal. At most `limit` rows; zero: all.
///
/// Errors: `TIDELOG_INVALID_ARGUMENT` when the stores have other numbers of groups or leaves of other widths.
///
/// Threads: any. Blocks: disk; follows the difference, not the data. Since: 0.1. Owns: as `tidelog_digests`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_compare(
    store: *const tidelog_store,
    other: *const tidelog_store,
    collection: *const c_char,
    limit: u64,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let (here, there) = (store_of(store)?, store_of(other)?);
            let name = CollectionName::parse(raw::text(collection, "collection")?)?;
            let limit = if limit == 0 { u64::MAX } else { limit };
            let mut found = Vec::new();
            here.compare(&there, &name, |difference| {
                found.push(difference);
                (found.len() as u64) < limit
            })?;
            hand_out(Rows::of_table(tables::differences(&found)), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_compare", error, call) }
}
