//! Batches: rows of one collection on their way in, row by row, by columns, or from Arrow.

use super::arrow::{ArrowArray, ArrowSchema};
use super::arrow_in;
use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain};
use super::store::taken;
use crate::fault::Fault;
use crate::handle::{self, Handled};
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, MutexGuard};
use tidelog_engine::model::Rows;
use tidelog_engine::{Batch, Bitmap, DeviceIndex, FieldIndex, FieldType, ValueRef};

/// Rows of one collection, to be written together: visible whole or not at all.
pub struct tidelog_batch {
    _opaque: [u8; 0],
}

/// What a batch's handle stands for.
pub(crate) struct OpenBatch(Mutex<Batch>);

impl Handled for OpenBatch {
    const KIND: &'static str = "batch";
}

impl OpenBatch {
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Batch>, Fault> {
        self.0.lock().map_err(|_| Fault::poisoned_handle())
    }
}

/// IEEE 754 binary64: `double`.
pub const TIDELOG_F64: u32 = 1;
/// IEEE 754 binary32: `float`.
pub const TIDELOG_F32: u32 = 2;
/// `int64_t`.
pub const TIDELOG_I64: u32 = 3;
/// `uint64_t`.
pub const TIDELOG_U64: u32 = 4;
/// `uint8_t`, 0 or 1.
pub const TIDELOG_BOOL: u32 = 5;
/// UTF-8 text of any length, NULs allowed.
pub const TIDELOG_STRING: u32 = 6;
/// Bytes of any length.
pub const TIDELOG_BYTES: u32 = 7;

/// Values of one field, one for each row. The same struct brings values in and out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_column {
    /// The field's name, with a NUL at its end.
    pub name: *const c_char,
    /// The values by type: `double[rows]`, `float[rows]`, `int64_t[rows]`, `uint64_t[rows]`, `uint8_t[rows]` of 0 and 1; of
    /// strings and bytes all of them, end to end.
    pub values: *const c_void,
    /// Of strings and bytes: where each ends in `values`; each begins where the one before ends, the first at 0. Else NULL.
    pub ends: *const u32,
    /// A bit for each row, the lowest of each byte first, set where there is a value (as Arrow has it); NULL when all rows
    /// have one. What stands in `values` where there is none means nothing.
    pub validity: *const u8,
    /// `TIDELOG_F64` and so on.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: pointers and integers; there is no padding where pointers have 4 or 8 bytes.
unsafe impl Plain for tidelog_column {
    const NAME: &'static str = "tidelog_column";
}

/// How an Arrow record batch is read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_arrow_options {
    /// `sizeof(tidelog_arrow_options)`.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The device that all rows are of; NULL: `device_column` says it, row by row.
    pub device: *const c_char,
    /// The column of devices, utf8, also dictionary-encoded. NULL: "device".
    pub device_column: *const c_char,
    /// The column of times: a timestamp in any unit, or int64 nanoseconds. NULL: "timestamp_ns".
    pub time_column: *const c_char,
}

// SAFETY: pointers and integers; there is no padding where pointers have 4 or 8 bytes.
unsafe impl Plain for tidelog_arrow_options {
    const NAME: &'static str = "tidelog_arrow_options";
}
// SAFETY: as above, with a size in front.
unsafe impl raw::Sized32 for tidelog_arrow_options {}

pub(super) fn batch_of(batch: *const tidelog_batch) -> Result<Arc<OpenBatch>, Fault> {
    handle::find(batch.addr())
}

pub fn kind_of(number: u32) -> Result<FieldType, Fault> {
    let kind = u8::try_from(number).ok().and_then(FieldType::from_number);
    kind.ok_or_else(|| {
        Fault::argument(format!("{number} is no type: TIDELOG_F64 (1) to TIDELOG_BYTES (7) are"))
    })
}

/// Begins a batch for the collection `database.collection`. A batch can be filled, written, cleared and filled again, which
/// keeps its devices, fields and memory. It holds at most 64 MiB.
///
/// Threads: any; calls with one batch wait for each other. Blocks: no. Since: 0.1.
/// Owns: `*batch` is the caller's, to be ended by `tidelog_batch_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_new(
    collection: *const c_char,
    batch: *mut *mut tidelog_batch,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(batch, "batch")?;
        // SAFETY: the caller's pointers, as the header says.
        let name = unsafe {
            raw::put_if_wanted(batch, std::ptr::null_mut());
            raw::text(collection, "collection")?
        };
        let handle = handle::insert(OpenBatch(Mutex::new(Batch::new(name)?)))?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(batch, std::ptr::without_provenance_mut(handle)) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_new", error, call) }
}

/// Ends a batch; rows that were not written are gone. `*batch` is NULL afterwards; NULL is no error.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: takes `*batch`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_close(
    batch: *mut *mut tidelog_batch,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    unsafe {
        entry("tidelog_batch_close", error, || {
            taken(batch).map_or(Ok(()), |handle| handle::take::<OpenBatch>(handle).map(drop))?;
            Ok(TIDELOG_OK)
        })
    }
}

/// Removes the rows; devices, fields, their numbers and memory stay.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_clear(
    batch: *mut tidelog_batch,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        batch_of(batch)?.lock()?.clear();
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_clear", error, call) }
}

/// How many rows there are.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_rows(
    batch: *const tidelog_batch,
    rows: *mut usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(rows, "rows")?;
        let count = batch_of(batch)?.lock()?.rows();
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::put_if_wanted(rows, count) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_rows", error, call) }
}

/// The number of a device in this batch, for as long as the batch lives. `device` is a name, or `name,label=value,...`.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `device` is read during the call only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_device(
    batch: *mut tidelog_batch,
    device: *const c_char,
    number: *mut u32,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(number, "number")?;
        let open = batch_of(batch)?;
        // SAFETY: the caller's pointer, as the header says.
        let device = unsafe { raw::text(device, "device")? };
        let found = open.lock()?.device(device)?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(number, found.number()) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_device", error, call) }
}

/// The number of a field in this batch, for as long as the batch lives; a name that is new is added with its type.
///
/// Errors: `TIDELOG_TYPE_CONFLICT` when the batch has the field with another type.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `name` is read during the call only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_field(
    batch: *mut tidelog_batch,
    name: *const c_char,
    kind: u32,
    number: *mut u32,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(number, "number")?;
        let open = batch_of(batch)?;
        // SAFETY: the caller's pointer, as the header says.
        let name = unsafe { raw::text(name, "name")? };
        let found = open.lock()?.field(name, kind_of(kind)?)?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(number, found.number()) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_field", error, call) }
}

/// Begins a row of a device at a time (nanoseconds since 1970, UTC; any `int64_t`). Set its fields next; those that are not
/// set stay absent. A row without values is a row all the same.
///
/// Errors: `TIDELOG_LIMIT` when the batch is full: write it and clear it.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_row(
    batch: *mut tidelog_batch,
    device: u32,
    time_ns: i64,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        batch_of(batch)?.lock()?.row(DeviceIndex::from_number(device), time_ns)?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_row", error, call) }
}

fn set(
    batch: *mut tidelog_batch,
    field: u32,
    value: ValueRef<'_>,
) -> Result<tidelog_status, Fault> {
    let open = batch_of(batch)?;
    let mut batch = open.lock()?;
    let row = batch.last_row();
    let row = row.ok_or_else(|| {
        Fault::argument("the batch has no row yet: begin one with tidelog_batch_row")
    })?;
    row.set(FieldIndex::from_number(field), value)?;
    Ok(TIDELOG_OK)
}

/// Sets a field of the row that was begun last, by the number from `tidelog_batch_field`. The later of two values stays.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_set_f64(
    batch: *mut tidelog_batch,
    field: u32,
    value: f64,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_set_f64", error, || set(batch, field, ValueRef::F64(value))) }
}

/// As `tidelog_batch_set_f64`, for a field of `TIDELOG_F32`.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_set_f32(
    batch: *mut tidelog_batch,
    field: u32,
    value: f32,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_set_f32", error, || set(batch, field, ValueRef::F32(value))) }
}

/// As `tidelog_batch_set_f64`, for a field of `TIDELOG_I64`.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_set_i64(
    batch: *mut tidelog_batch,
    field: u32,
    value: i64,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_set_i64", error, || set(batch, field, ValueRef::I64(value))) }
}

/// As `tidelog_batch_set_f64`, for a field of `TIDELOG_U64`.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_set_u64(
    batch: *mut tidelog_batch,
    field: u32,
    value: u64,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_set_u64", error, || set(batch, field, ValueRef::U64(value))) }
}

/// As `tidelog_batch_set_f64`, for a field of `TIDELOG_BOOL`; any value but 0 is true.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_set_bool(
    batch: *mut tidelog_batch,
    field: u32,
    value: i32,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's error, as the header says.
    unsafe {
        entry("tidelog_batch_set_bool", error, || set(batch, field, ValueRef::Bool(value != 0)))
    }
}

/// As `tidelog_batch_set_f64`, for a field of `TIDELOG_STRING`: `length` bytes of UTF-8, no NUL needed.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `text` is read during the call only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_set_string(
    batch: *mut tidelog_batch,
    field: u32,
    text: *const c_char,
    length: usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointer, as the header says.
        let bytes = unsafe { raw::slice(text.cast::<u8>(), length, "text")? };
        set(batch, field, ValueRef::String(raw::utf8(bytes, "text")?))
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_set_string", error, call) }
}

/// As `tidelog_batch_set_f64`, for a field of `TIDELOG_BYTES`.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `bytes` are read during the call only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_set_bytes(
    batch: *mut tidelog_batch,
    field: u32,
    bytes: *const c_void,
    length: usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointer, as the header says.
        let bytes = unsafe { raw::slice(bytes.cast::<u8>(), length, "bytes")? };
        set(batch, field, ValueRef::Bytes(bytes))
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_set_bytes", error, call) }
}

/// Adds `rows` rows of one device: their times, and columns of `rows` values each. Values are copied once, into the batch.
/// `column_stride` is `sizeof(tidelog_column)`. After an error the batch has the rows it had before.
///
/// Errors: `TIDELOG_TYPE_CONFLICT`, `TIDELOG_LIMIT` when the batch is full, `TIDELOG_INVALID_ARGUMENT` for a text that is no
/// UTF-8, a bool that is neither 0 nor 1, `ends` that go back, or a field that stands twice.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing; all pointers are read during the call only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_append(
    batch: *mut tidelog_batch,
    device: u32,
    times_ns: *const i64,
    rows: usize,
    columns: *const tidelog_column,
    column_count: usize,
    column_stride: usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        let open = batch_of(batch)?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            let times = raw::slice(times_ns, rows, "times_ns")?;
            let columns = raw::structs(columns, column_count, column_stride, "columns")?;
            append_columns(&mut *open.lock()?, device, times, columns.iter())?;
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_append", error, call) }
}

/// Adds rows of one device by columns. After an error the batch has the rows it had before.
///
/// # Safety
/// The columns' pointers are what the header says, for as many rows as there are times.
pub unsafe fn append_columns<'a>(
    batch: &mut Batch,
    device: u32,
    times: &[i64],
    columns: impl Iterator<Item = &'a tidelog_column> + Clone,
) -> Result<(), Fault> {
    let mut fields = Vec::new();
    for column in columns.clone() {
        // SAFETY: as promised to this function.
        let name = unsafe { raw::text(column.name, "the name of a column")? };
        raw::check_flags(u64::from(column.reserved), 0, tidelog_column::NAME)?;
        fields.push(batch.field(name, kind_of(column.kind)?)?);
    }
    let before = batch.mark();
    let mut filled = batch.append_series(DeviceIndex::from_number(device), times)?;
    for (column, field) in columns.zip(fields) {
        // SAFETY: as promised to this function.
        match unsafe { fill(filled, field, column, times.len()) } {
            Ok(rest) => filled = rest,
            Err(fault) => {
                batch.go_back(before);
                return Err(fault);
            }
        }
    }
    Ok(())
}

/// Gives rows one of their columns.
///
/// # Safety
/// The column's pointers are what the header says, for `rows` rows.
unsafe fn fill<'b>(
    to: Rows<'b>,
    field: FieldIndex,
    column: &tidelog_column,
    rows: usize,
) -> Result<Rows<'b>, Fault> {
    // SAFETY: as promised to this function.
    let present = unsafe { validity(column, rows)? };
    macro_rules! plain {
        ($type:ty, $all:ident, $some:ident) => {{
            // SAFETY: as promised to this function.
            let values = unsafe { raw::slice(column.values.cast::<$type>(), rows, "values")? };
            match &present {
                None => to.$all(field, values)?,
                Some(present) => to.$some(field, values, present)?,
            }
        }};
    }
    Ok(match kind_of(column.kind)? {
        FieldType::F64 => plain!(f64, f64, sparse_f64),
        FieldType::F32 => plain!(f32, f32, sparse_f32),
        FieldType::I64 => plain!(i64, i64, sparse_i64),
        FieldType::U64 => plain!(u64, u64, sparse_u64),
        FieldType::Bool => {
            // SAFETY: as promised to this function.
            let values = unsafe { bools(column, rows)? };
            match &present {
                None => to.bool(field, values)?,
                Some(present) => to.sparse_bool(field, values, present)?,
            }
        }
        FieldType::Bytes => {
            // SAFETY: as promised to this function.
            let values = unsafe { pieces(column, rows)? };
            match &present {
                None => to.bytes(field, &values)?,
                Some(present) => to.sparse_bytes(field, &values, present)?,
            }
        }
        FieldType::String => {
            // SAFETY: as promised to this function.
            let values = unsafe { pieces(column, rows)? };
            let here = |row: usize| present.as_ref().is_none_or(|present| present.at(row));
            let text = |(row, bytes): (usize, &&'static [u8])| {
                if here(row) { raw::utf8(bytes, "a string") } else { Ok("") }
            };
            let texts = values.iter().enumerate().map(text).collect::<Result<Vec<&str>, _>>()?;
            match &present {
                None => to.strings(field, &texts)?,
                Some(present) => to.sparse_strings(field, &texts, present)?,
            }
        }
    })
}

/// Which rows have a value; `None` when all have.
///
/// # Safety
/// `validity` is NULL, or has a bit for each row.
unsafe fn validity(column: &tidelog_column, rows: usize) -> Result<Option<Bitmap>, Fault> {
    if column.validity.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised to this function.
    let bytes = unsafe { raw::slice(column.validity, rows.div_ceil(8), "validity")? };
    Ok(Some(super::arrow_in::bits(bytes, 0, rows)))
}

/// Bytes that are 0 and 1, as what they are.
///
/// # Safety
/// `values` has a byte for each row.
unsafe fn bools<'a>(column: &tidelog_column, rows: usize) -> Result<&'a [bool], Fault> {
    // SAFETY: as promised to this function.
    let bytes = unsafe { raw::slice(column.values.cast::<u8>(), rows, "values")? };
    if let Some(other) = bytes.iter().find(|byte| **byte > 1) {
        return Err(Fault::argument(format!("a bool is {other}: 0 and 1 are bools")));
    }
    // SAFETY: each byte is 0 or 1, which is what a bool is made of.
    Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
}

/// Strings or bytes, each by itself. They live as long as the caller's memory: during the call.
///
/// # Safety
/// `ends` has a number for each row, and `values` as many bytes as the last of them says.
unsafe fn pieces(column: &tidelog_column, rows: usize) -> Result<Vec<&'static [u8]>, Fault> {
    // SAFETY: as promised to this function.
    let ends = unsafe { raw::slice(column.ends, rows, "ends")? };
    let length = ends.last().map_or(0, |end| *end as usize);
    // SAFETY: as promised to this function.
    let bytes: &'static [u8] = unsafe { raw::slice(column.values.cast(), length, "values")? };
    let mut start = 0;
    let piece = |end: &u32| {
        let piece = bytes.get(start..*end as usize);
        start = *end as usize;
        piece.ok_or_else(|| {
            Fault::argument(
                "ends go back: each is where its value ends, so none is less than the one before",
            )
        })
    };
    ends.iter().map(piece).collect()
}

/// Adds the rows of an Arrow record batch: a struct array, its columns being devices, times and fields, in any order. Types are
/// taken as they are: float64, float32, int64, uint64, bool, utf8 or large utf8, binary or large binary. Values without
/// nulls are copied once, into the batch. After an error the batch has the rows it had before.
///
/// Errors: `TIDELOG_INVALID_ARGUMENT` names the column that is missing or of a type that there is none for here.
///
/// Threads: any. Blocks: no. Since: 0.1.
/// Owns: takes `*array`, which is released whatever is returned; `*schema` stays the caller's. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_batch_append_arrow(
    batch: *mut tidelog_batch,
    array: *mut ArrowArray,
    schema: *const ArrowSchema,
    options: *const tidelog_arrow_options,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        // SAFETY: the caller's pointers, as the header says. Taken first, so that it is released on every way out.
        let array = unsafe { arrow_in::take(array)? };
        let open = batch_of(batch)?;
        let mut batch = open.lock()?;
        // SAFETY: as above.
        unsafe { append_taken(&mut batch, &array, schema, options)? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_batch_append_arrow", error, call) }
}

/// # Safety
/// The pointers are what the header says.
unsafe fn append_taken(
    batch: &mut Batch,
    array: &arrow_in::Taken,
    schema: *const ArrowSchema,
    options: *const tidelog_arrow_options,
) -> Result<(), Fault> {
    // SAFETY: as promised to this function.
    let (schema, options) = unsafe { (arrow_in::schema(schema)?, raw::options(options)?) };
    raw::check_flags(u64::from(options.reserved), 0, tidelog_arrow_options::NAME)?;
    let before = batch.mark();
    // SAFETY: as above.
    let appended = unsafe { arrow_in::append(batch, array, schema, &options) };
    if appended.is_err() {
        batch.go_back(before);
    }
    appended
}

/// Adds the rows of an Arrow record batch, which is released whatever comes of it; by then the batch is not locked any more, for its release
/// is the host's.
///
/// # Safety
/// The pointers are what the header says.
pub unsafe fn append_arrow<'a>(
    lock: impl FnOnce() -> MutexGuard<'a, Batch>,
    array: *mut ArrowArray,
    schema: *const ArrowSchema,
    options: *const tidelog_arrow_options,
) -> Result<(), Fault> {
    // SAFETY: as promised to this function.
    let array = unsafe { arrow_in::take(array)? };
    let mut batch = lock();
    // SAFETY: as above.
    unsafe { append_taken(&mut batch, &array, schema, options) }
}
