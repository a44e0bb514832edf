//! Pins: a part of the log that is kept for somebody.

use super::entry::entry;
use super::library::*;
use super::raw;
use super::store::{store_of, tidelog_store};
use super::tail::position_of;
use super::write::tidelog_position;
use crate::fault::Fault;
use std::ffi::c_char;
use std::time::Duration;
use tidelog_engine::{Position, Store};

/// Where the next thing that is written will stand in the log.
///
/// Errors: `TIDELOG_READ_ONLY`.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_position_now(
    store: *const tidelog_store,
    position: *mut tidelog_position,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(position, "position")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            let now = position_of(&store_of(store)?, std::ptr::null())?;
            raw::put_if_wanted(position, now.into());
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_position_now", error, call) }
}

/// Keeps the log from `position` (NULL: from now) on, so that a tail from there finds all of it, until it holds `bytes_max` more or
/// `age_max_ns` has passed; zero: no bound of that kind. A pin that breaks is told in a log line. One with the same `name` is replaced.
///
/// Errors: `TIDELOG_INVALID_ARGUMENT`, `TIDELOG_IO` when the position is of another opening, `TIDELOG_READ_ONLY`.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_pin(
    store: *mut tidelog_store,
    name: *const c_char,
    position: *const tidelog_position,
    bytes_max: u64,
    age_max_ns: u64,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        // SAFETY: the caller's pointers, as the header says.
        let (name, at) = unsafe { (raw::text(name, "name")?, position_of(&store, position)?) };
        pin(&store, name, at, bytes_max, age_max_ns)?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_pin", error, call) }
}

/// Zero: no bound of that kind.
pub fn pin(
    store: &Store,
    name: &str,
    at: Position,
    bytes_max: u64,
    age_max_ns: u64,
) -> Result<(), Fault> {
    let bytes = if bytes_max == 0 { u64::MAX } else { bytes_max };
    let age = if age_max_ns == 0 { Duration::MAX } else { Duration::from_nanos(age_max_ns) };
    Ok(store.pin(name, at, bytes, age)?)
}

/// Lets go of the log. A name that is not pinned is no error.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_unpin(
    store: *mut tidelog_store,
    name: *const c_char,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointer, as the header says.
        store_of(store)?.unpin(unsafe { raw::text(name, "name")? })?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_unpin", error, call) }
}
