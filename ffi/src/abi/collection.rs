//! Collections: what there is, how long it is kept, what is deleted.

use super::entry::entry;
use super::library::*;
use super::query::{bound, selector, texts, tidelog_devices};
use super::raw::{self, Plain, Sized32};
use super::result::{hand_out, tidelog_result};
use super::store::{store_of, tidelog_store};
use crate::fault::Fault;
use crate::result::Rows;
use crate::tables;
use std::ffi::c_char;
use tidelog_engine::{CollectionName, Delete, LeafWidth, Retention, TimeRange};

/// The collections there are, one row each: "collection" (string), "devices", "rows", "values" (u64; a row that several files
/// hold counts in each until compaction), "fields" (u64), "first_ns" and "last_ns" (i64, absent when empty), "kept_from_ns"
/// (i64, absent when nothing was cut off), "retention" (string).
///
/// Threads: any. Blocks: disk; reads the device tables of all files. Since: 0.1.
/// Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_collections(
    store: *const tidelog_store,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let store = store_of(store)?;
            hand_out(Rows::of_table(tables::collections(&store)?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_collections", error, call) }
}

/// The schema of a collection, one row for each field: "name" (string), "kind" (u64: `TIDELOG_F64` and so on), "type"
/// (string).
///
/// Errors: `TIDELOG_NOT_FOUND`.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: as `tidelog_collections`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_fields(
    store: *const tidelog_store,
    collection: *const c_char,
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
            hand_out(Rows::of_table(tables::fields(&store, &name)?), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_fields", error, call) }
}

/// Creates a collection with leaf windows of 60, 30 or 15 minutes; zero: 60. Writing to one creates it with 60. One that exists
/// is left as it is.
///
/// Threads: any. Blocks: disk. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_collection_create(
    store: *mut tidelog_store,
    collection: *const c_char,
    leaf_minutes: u32,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        // SAFETY: the caller's pointer, as the header says.
        let name = CollectionName::parse(unsafe { raw::text(collection, "collection")? })?;
        store.create_collection(&name, leaf_of(leaf_minutes)?)?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_collection_create", error, call) }
}

/// The leaf windows of a collection, by their minutes; zero: an hour.
pub fn leaf_of(minutes: u32) -> Result<LeafWidth, Fault> {
    let minutes = if minutes == 0 { 60 } else { minutes };
    let leaf = u8::try_from(minutes).ok().and_then(LeafWidth::from_minutes);
    leaf.ok_or_else(|| {
        Fault::argument(format!(
            "a leaf window cannot have {minutes} minutes: 60, 30 and 15 are possible"
        ))
    })
}

/// Sets how long each tier of a collection is kept, as "raw=30d,1h=1y,1d=forever", and cuts off at once what is older; from then
/// on the store does by itself, whole days (UTC) at a time. Where rollups are kept longer than rows, they stand for them.
///
/// Errors: `TIDELOG_NOT_FOUND`, `TIDELOG_INVALID_ARGUMENT` for a text that is no retention.
///
/// Threads: any. Blocks: disk, long where years are settled. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_set_retention(
    store: *mut tidelog_store,
    collection: *const c_char,
    retention: *const c_char,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        // SAFETY: the caller's pointers, as the header says.
        let (name, retention) =
            unsafe { (raw::text(collection, "collection")?, raw::text(retention, "retention")?) };
        store.set_retention(&CollectionName::parse(name)?, retention.parse::<Retention>()?)?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_set_retention", error, call) }
}

/// What a delete hides. Zero means all of the collection.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_delete_options {
    /// `sizeof(tidelog_delete_options)`.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The first nanosecond; NULL: from the beginning.
    pub from_ns: *const i64,
    /// The nanosecond after the last; NULL: to the end.
    pub to_ns: *const i64,
    /// Only these fields: the rows stay, without them; NULL: all.
    pub fields: *const *const c_char,
    /// How many they are.
    pub field_count: usize,
    /// Only these devices.
    pub devices: tidelog_devices,
}

// SAFETY: pointers and integers; there is no padding where pointers have 4 or 8 bytes.
unsafe impl Plain for tidelog_delete_options {
    const NAME: &'static str = "tidelog_delete_options";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_delete_options {}

/// Deletes what a collection, or a whole database (a name without a dot), has of the devices, fields and times in `options`, which
/// may be NULL for all of it. What was written before is hidden, durably, when this returns; what is written after is visible.
/// Compaction frees the space. `stamp` may be NULL.
///
/// Errors: `TIDELOG_SETTLED` names the range that would be accepted, where retention has left only rollups.
///
/// Threads: any. Blocks: disk, for an fsync. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_delete(
    store: *mut tidelog_store,
    collection: *const c_char,
    options: *const tidelog_delete_options,
    stamp: *mut u64,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let store = store_of(store)?;
        // SAFETY: the caller's pointers, as the header says.
        let delete = unsafe { delete_of(raw::text(collection, "collection")?, options)? };
        let drawn = store.delete(&delete)?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(stamp, drawn.0) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_delete", error, call) }
}

/// # Safety
/// `options` is NULL or what the header says.
pub unsafe fn delete_of(
    name: &str,
    options: *const tidelog_delete_options,
) -> Result<Delete, Fault> {
    // SAFETY: as promised to this function.
    let (given, devices, range, fields) = unsafe {
        let given = raw::options(options)?;
        let fields = match given.fields.is_null() {
            true => None,
            false => Some(texts(given.fields, given.field_count, "fields")?),
        };
        let range = TimeRange::new(bound(given.from_ns), bound(given.to_ns));
        (given, selector(&given.devices)?, range, fields)
    };
    raw::check_flags(u64::from(given.reserved), 0, tidelog_delete_options::NAME)?;
    let range = range.ok_or_else(|| {
        Fault::argument(
            "from_ns is not before to_ns, so there is nothing to delete: correct the range",
        )
    })?;
    let mut delete = match name.contains('.') {
        true => Delete::collection(&CollectionName::parse(name)?),
        false => Delete::database(name)?,
    };
    delete = delete.devices(devices).range(range);
    if let Some(fields) = fields {
        delete = delete.fields(fields)?;
    }
    Ok(delete)
}
