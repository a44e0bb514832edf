//! Results: rows on their way out, block by block in plain columns, or as an Arrow stream.

use super::arrow::ArrowArrayStream;
use super::arrow_out;
use super::batch::tidelog_column;
use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use super::store::taken;
use crate::block::{Block, Shape};
use crate::fault::Fault;
use crate::handle::{self, Handled};
use crate::result::Rows;
use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};
use tidelog_engine::model::device;
use tidelog_engine::{AnswerField, Canceller, Column, Values};

/// Rows that a function answered with.
pub struct tidelog_result {
    _opaque: [u8; 0],
}

/// What a result's handle stands for.
pub struct OpenResult {
    canceller: Option<Canceller>,
    names: Vec<CString>,
    state: Mutex<State>,
}

struct State {
    /// Taken by an Arrow stream.
    rows: Option<Rows>,
    /// What the caller reads now.
    shown: Option<Shown>,
    columns: Columns,
}

/// Descriptions of columns, without values.
struct Columns(Vec<tidelog_column>);

// SAFETY: they point to names that live as long as the result, and to nothing else.
unsafe impl Send for Columns {}

/// A block with what describes it to the caller.
struct Shown {
    #[expect(dead_code, reason = "held, not read: the pointers lead into it")]
    block: Block,
    #[expect(dead_code, reason = "held, not read: the pointers lead into it")]
    device_texts: Vec<String>,
    devices: Vec<tidelog_text>,
    columns: Vec<tidelog_column>,
    times: *const i64,
    row_devices: *const u32,
    rows: usize,
}

// SAFETY: the pointers lead into the block beside them, which nobody changes.
unsafe impl Send for Shown {}

impl Handled for OpenResult {
    const KIND: &'static str = "result";
}

/// Text without a NUL at its end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_text {
    /// UTF-8.
    pub data: *const c_char,
    /// Its length in bytes.
    pub length: usize,
}

/// Some rows of a result, in columns. All pointers are the library's, and good until the next call of
/// `tidelog_result_next` with this result, or its end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_block {
    /// `sizeof(tidelog_block)`, set by the caller.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// How many rows there are; at least one.
    pub rows: usize,
    /// The time of each row, or the start of its window; NULL when rows of this result have no times.
    pub times_ns: *const i64,
    /// The device of each row, as a place in `devices`; NULL when rows of this result are of no device.
    pub row_devices: *const u32,
    /// The devices of this block, as people write them.
    pub devices: *const tidelog_text,
    /// How many there are.
    pub device_count: usize,
    /// The columns.
    pub columns: *const tidelog_column,
    /// How many there are.
    pub column_count: usize,
    /// Bytes from one column to the next.
    pub column_stride: usize,
}

// SAFETY: pointers and integers; there is no padding where pointers have 4 or 8 bytes.
unsafe impl Plain for tidelog_block {
    const NAME: &'static str = "tidelog_block";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_block {}

/// What an answer was made of, as far as it was drawn.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_explain {
    /// `sizeof(tidelog_explain)`, set by the caller.
    pub struct_size: u32,
    /// 1 when the range that was asked for reaches further back than rows are kept: then `rows_from_ns` says since when.
    pub has_rows_from: u32,
    /// Rows that were read, before the filter.
    pub rows: u64,
    /// Stored rollups of leaf windows.
    pub leaves: u64,
    /// Stored rollups of UTC days.
    pub days: u64,
    /// Stored rollups of UTC months.
    pub months: u64,
    /// Stored rollups of UTC years.
    pub years: u64,
    /// Of these rollups, those taken for the nearest window because no exact answer is left.
    pub nearest: u64,
    /// The first nanosecond rows are kept from.
    pub rows_from_ns: i64,
}

// SAFETY: integers without padding.
unsafe impl Plain for tidelog_explain {
    const NAME: &'static str = "tidelog_explain";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_explain {}

/// Gives rows a handle, and puts it where the caller wants it.
///
/// # Safety
/// `result` is the caller's to be written.
pub(super) unsafe fn hand_out(
    rows: Rows,
    result: *mut *mut tidelog_result,
) -> Result<tidelog_status, Fault> {
    let handle = handle::insert(OpenResult::new(rows))?;
    // SAFETY: as promised to this function.
    unsafe { raw::put_if_wanted(result, ptr::without_provenance_mut(handle)) };
    Ok(TIDELOG_OK)
}

impl OpenResult {
    pub fn new(rows: Rows) -> Self {
        let names: Vec<CString> =
            rows.shape.fields.iter().map(|field| c_text(&field.name)).collect();
        let fields = rows.shape.fields.iter().zip(&names);
        let columns = fields.map(|(field, name)| described(name, field, None)).collect();
        let canceller = rows.canceller();
        let state = State { rows: Some(rows), shown: None, columns: Columns(columns) };
        OpenResult { canceller, names, state: Mutex::new(state) }
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, Fault> {
        self.state.lock().map_err(|_| Fault::poisoned_handle())
    }

    /// The next rows, which stand where the block says until the next call; `None` at the end.
    pub fn next(&self) -> Result<Option<tidelog_block>, Fault> {
        let mut state = self.lock()?;
        let State { rows, shown, .. } = &mut *state;
        let rows = rows.as_mut().ok_or_else(streamed)?;
        *shown = None;
        let Some(next) = rows.next()? else { return Ok(None) };
        Ok(Some(shown.insert(Shown::new(next, &rows.shape, &self.names)).block()))
    }

    /// The columns that every block has, without values, where they stand until the result ends, and how many.
    pub fn columns(&self) -> Result<(*const tidelog_column, usize), Fault> {
        let state = self.lock()?;
        Ok((state.columns.0.as_ptr(), state.columns.0.len()))
    }

    pub fn cancel(&self) {
        self.canceller.iter().for_each(Canceller::cancel);
    }

    /// What is left, as a stream.
    pub fn stream(&self) -> Result<ArrowArrayStream, Fault> {
        Ok(arrow_out::stream(self.lock()?.rows.take().ok_or_else(streamed)?))
    }

    /// `None` for results that are no query's.
    pub fn explain(&self) -> Result<Option<tidelog_explain>, Fault> {
        let state = self.lock()?;
        let touched = state.rows.as_ref().ok_or_else(streamed)?.explain();
        Ok(touched.map(|found| tidelog_explain {
            struct_size: 0,
            has_rows_from: u32::from(found.rows_from.is_some()),
            rows: found.rows,
            leaves: found.leaves,
            days: found.days,
            months: found.months,
            years: found.years,
            nearest: found.nearest,
            rows_from_ns: found.rows_from.unwrap_or_default(),
        }))
    }
}

/// Names hold no control characters, so no NUL either.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

fn described(
    name: &CString,
    field: &AnswerField,
    column: Option<(&Column, &[u64])>,
) -> tidelog_column {
    let (mut values, mut ends, mut validity) = (ptr::null(), ptr::null(), ptr::null());
    if let Some((column, words)) = column {
        (values, ends) = values_of(column.values());
        if column.presence().is_some() {
            validity = words.as_ptr().cast();
        }
    }
    tidelog_column {
        name: name.as_ptr(),
        values,
        ends,
        validity,
        kind: field.kind as u32,
        reserved: 0,
    }
}

/// Where the values of a column stand, and where strings end.
pub(super) fn values_of(values: &Values) -> (*const c_void, *const u32) {
    let none = ptr::null();
    match values {
        Values::F64(v) => (v.as_ptr().cast(), none),
        Values::F32(v) => (v.as_ptr().cast(), none),
        Values::I64(v) => (v.as_ptr().cast(), none),
        Values::U64(v) => (v.as_ptr().cast(), none),
        Values::Bool(v) => (v.as_ptr().cast(), none),
        Values::String(v) | Values::Bytes(v) => (v.bytes().as_ptr().cast(), v.ends().as_ptr()),
    }
}

// Words of 64 bits, lowest first, are bytes with the lowest bit first only where bytes stand in this order.
const _: () = assert!(cfg!(target_endian = "little"), "validity is handed out as it stands");

impl Shown {
    fn new(block: Block, shape: &Shape, names: &[CString]) -> Self {
        let device_texts: Vec<String> = block
            .batch
            .devices
            .iter()
            .map(|canonical| device::to_text(canonical).into_owned())
            .collect();
        let text = |text: &String| tidelog_text { data: text.as_ptr().cast(), length: text.len() };
        let devices = device_texts.iter().map(text).collect();
        let columns = block.batch.columns.iter().zip(&shape.fields).zip(names);
        let columns = columns
            .map(|((column, field), name)| {
                let words = column.presence().map_or(&[][..], |bits| bits.words());
                described(name, field, Some((column, words)))
            })
            .collect();
        let times = if shape.times { block.batch.times.as_ptr() } else { ptr::null() };
        let row_devices =
            if shape.devices { block.batch.row_devices.as_ptr() } else { ptr::null() };
        let rows = block.rows;
        Shown { block, device_texts, devices, columns, times, row_devices, rows }
    }

    fn block(&self) -> tidelog_block {
        tidelog_block {
            struct_size: 0,
            reserved: 0,
            rows: self.rows,
            times_ns: self.times,
            row_devices: self.row_devices,
            devices: self.devices.as_ptr(),
            device_count: self.devices.len(),
            columns: self.columns.as_ptr(),
            column_count: self.columns.len(),
            column_stride: size_of::<tidelog_column>(),
        }
    }
}

fn result_of(result: *const tidelog_result) -> Result<Arc<OpenResult>, Fault> {
    handle::find(result.addr())
}

fn streamed() -> Fault {
    Fault::argument("the result became an Arrow stream: read that")
}

/// The columns that every block of a result will have: names and types, no values. Good until the result is closed, or becomes an Arrow
/// stream.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing; `*columns` is the library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_result_columns(
    result: *const tidelog_result,
    columns: *mut *const tidelog_column,
    count: *mut usize,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(columns, "columns")?;
        raw::check_put(count, "count")?;
        let (first, known) = result_of(result)?.columns()?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(columns, first);
            raw::put_if_wanted(count, known);
        }
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_result_columns", error, call) }
}

/// The next rows of a result: `TIDELOG_OK` with at least one, `TIDELOG_DONE` when there are no more. Values are not copied.
///
/// Errors: `TIDELOG_CANCELLED`; `TIDELOG_CORRUPT` or `TIDELOG_IO` when a file that is needed cannot be read. No answer is partial
/// in silence.
///
/// Threads: one at a time with one result, for the next call ends what the last one gave; any thread. Blocks: disk.
/// Since: 0.1. Owns: nothing; what `*block` points to is the library's, until the next call with this result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_result_next(
    result: *mut tidelog_result,
    block: *mut tidelog_block,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(block, "block")?;
        let open = result_of(result)?;
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::check_out(block)? };
        let Some(next) = open.next()? else { return Ok(TIDELOG_DONE) };
        // SAFETY: as above.
        unsafe { raw::fill(block, &next)? };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_result_next", error, call) }
}

/// Turns a result, or what is left of it, into an Arrow C stream: batches of a struct with the columns "device"
/// (dictionary-encoded utf8) and "timestamp_ns" (timestamp[ns, UTC]), where rows have them, then the fields. Values are handed
/// over where they stand; only offsets of strings and bits of bools are made anew.
///
/// The stream is read as Arrow says: by one thread at a time, until its `release`. It does not need the store any more.
/// Its `get_next` blocks on the disk; in a forked child it fails.
///
/// Threads: any. Blocks: no. Since: 0.1.
/// Owns: takes `*result`, which is NULL afterwards, also after an error; `*stream` is the caller's, to be released by its
/// own `release`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_result_to_arrow(
    result: *mut *mut tidelog_result,
    stream: *mut ArrowArrayStream,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says. Taken first, so that it ends on every way out.
        let handle = unsafe { taken(result) }.unwrap_or_default();
        let open = handle::take::<OpenResult>(handle)?;
        raw::check_put(stream, "stream")?;
        let left = open.stream()?;
        // SAFETY: as above.
        unsafe { raw::put_if_wanted(stream, left) };
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_result_to_arrow", error, call) }
}

/// Cancels the query behind a result: whoever waits for its next rows gets `TIDELOG_CANCELLED` within about the time of one
/// page. Results that are no query's are not concerned.
///
/// Threads: any, while another is in `tidelog_result_next`. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_result_cancel(
    result: *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        result_of(result)?.cancel();
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_result_cancel", error, call) }
}

/// What an answer was made of so far: whole once it is drawn to its end. `TIDELOG_NOTHING` for results that are no query's.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_result_explain(
    result: *const tidelog_result,
    explain: *mut tidelog_explain,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(explain, "explain")?;
        let found = result_of(result)?.explain()?;
        // SAFETY: the caller's pointer, as the header says.
        unsafe { raw::fill(explain, &found.unwrap_or_else(raw::zeroed))? };
        Ok(if found.is_some() { TIDELOG_OK } else { TIDELOG_NOTHING })
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_result_explain", error, call) }
}

/// Ends a result, read to its end or not, and what its last block pointed to. `*result` is NULL afterwards; NULL is no error.
///
/// Threads: any. Blocks: no. Since: 0.1. Owns: takes `*result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_result_close(
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    unsafe {
        entry("tidelog_result_close", error, || {
            taken(result).map_or(Ok(()), |handle| handle::take::<OpenResult>(handle).map(drop))?;
            Ok(TIDELOG_OK)
        })
    }
}
