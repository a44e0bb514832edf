//! Results as Arrow streams: columns are handed over where they stand.
//!
//! An array holds the block it is of for as long as it, or a child that was moved out of it, lives. Made anew are the
//! offsets of strings (Arrow begins them with a zero) and the bits of bools (the engine has bytes).

use super::arrow::{ARROW_FLAG_NULLABLE, ArrowArray, ArrowArrayStream, ArrowSchema};
use super::entry::panic_text;
use super::fork;
use super::result::{c_text, values_of};
use crate::block::{Block, Shape};
use crate::fault::Fault;
use crate::result::Rows;
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use tidelog_engine::model::device;
use tidelog_engine::{Column, FieldType, Values, VarBytes};

/// The errno that every failure gives; the text says more.
const EIO: i32 = 5;

struct Stream {
    rows: Rows,
    error: CString,
}

/// Rows as an Arrow stream.
pub(super) fn stream(rows: Rows) -> ArrowArrayStream {
    let state = Box::new(Stream { rows, error: CString::default() });
    ArrowArrayStream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release_stream),
        private_data: Box::into_raw(state).cast(),
    }
}

/// Runs a call of a stream, and keeps what went wrong for `get_last_error`.
///
/// # Safety
/// `stream` is NULL, or a stream that was made here.
unsafe fn answered(
    stream: *mut ArrowArrayStream,
    call: impl FnOnce(&mut Stream) -> Result<(), Fault>,
) -> i32 {
    // SAFETY: as promised to this function; a released stream has no state.
    let state =
        unsafe { stream.as_mut().and_then(|stream| stream.private_data.cast::<Stream>().as_mut()) };
    let Some(state) = state else { return EIO };
    if fork::in_child() {
        return EIO;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| call(state)));
    let fault = match outcome {
        Ok(Ok(())) => return 0,
        Ok(Err(fault)) => fault,
        Err(panic) => Fault::panicked("reading an Arrow stream", &panic_text(panic)),
    };
    state.error = c_text(&fault.message);
    EIO
}

unsafe extern "C" fn get_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> i32 {
    // SAFETY: Arrow's contract: the stream is one of ours, and `out` is to be written.
    unsafe {
        answered(stream, |state| {
            out.write(schema_of(&state.rows.shape));
            Ok(())
        })
    }
}

unsafe extern "C" fn get_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> i32 {
    // SAFETY: Arrow's contract: the stream is one of ours, and `out` is to be written. An array without `release` is the end.
    unsafe {
        answered(stream, |state| {
            let array = match state.rows.next()? {
                Some(block) => array_of(block, &state.rows.shape)?,
                None => empty_array(),
            };
            out.write(array);
            Ok(())
        })
    }
}

unsafe extern "C" fn get_last_error(stream: *mut ArrowArrayStream) -> *const c_char {
    // SAFETY: Arrow's contract: the stream is one of ours.
    let state =
        unsafe { stream.as_ref().and_then(|stream| stream.private_data.cast::<Stream>().as_ref()) };
    match state {
        _ if fork::in_child() => c"the process was forked from one that uses tidelog".as_ptr(),
        Some(state) if !state.error.is_empty() => state.error.as_ptr(),
        _ => ptr::null(),
    }
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: Arrow's contract: the stream is one of ours, and released once.
    unsafe {
        let Some(stream) = stream.as_mut() else { return };
        stream.release = None;
        let state = std::mem::replace(&mut stream.private_data, ptr::null_mut());
        // In a child the locks of a query may be held for ever: its memory is left.
        if !state.is_null() && !fork::in_child() {
            quietly(|| drop(Box::from_raw(state.cast::<Stream>())));
        }
    }
}

/// Runs what must not fail; a panic ends here, for nobody could be told.
fn quietly(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        std::mem::forget(panic);
    }
}

/// What a schema's `private_data` keeps.
struct SchemaParts {
    format: CString,
    name: CString,
    children: Vec<*mut ArrowSchema>,
    dictionary: *mut ArrowSchema,
}

fn schema(
    format: &str,
    name: &str,
    nullable: bool,
    children: Vec<ArrowSchema>,
    dictionary: Option<ArrowSchema>,
) -> ArrowSchema {
    let boxed = |schema| Box::into_raw(Box::new(schema));
    let mut parts = Box::new(SchemaParts {
        format: c_text(format),
        name: c_text(name),
        children: children.into_iter().map(boxed).collect(),
        dictionary: dictionary.map_or(ptr::null_mut(), boxed),
    });
    ArrowSchema {
        format: parts.format.as_ptr(),
        name: parts.name.as_ptr(),
        metadata: ptr::null(),
        flags: if nullable { ARROW_FLAG_NULLABLE } else { 0 },
        n_children: parts.children.len() as i64,
        children: parts.children.as_mut_ptr(),
        dictionary: parts.dictionary,
        release: Some(release_schema),
        private_data: Box::into_raw(parts).cast(),
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: Arrow's contract: the schema is one of ours, and released once; children that were moved have no `release`.
    unsafe {
        let Some(schema) = schema.as_mut() else { return };
        schema.release = None;
        let parts = Box::from_raw(schema.private_data.cast::<SchemaParts>());
        for child in
            parts.children.iter().chain([&parts.dictionary]).filter(|child| !child.is_null())
        {
            let mut child = Box::from_raw(*child);
            if let Some(release) = child.release {
                release(&raw mut *child);
            }
        }
    }
}

fn schema_of(shape: &Shape) -> ArrowSchema {
    let mut columns = Vec::new();
    if shape.devices {
        let names = schema("u", "", false, Vec::new(), None);
        columns.push(schema("i", "device", false, Vec::new(), Some(names)));
    }
    if shape.times {
        columns.push(schema("tsn:UTC", "timestamp_ns", false, Vec::new(), None));
    }
    for field in &shape.fields {
        columns.push(schema(format_of(field.kind), &field.name, true, Vec::new(), None));
    }
    schema("+s", "", false, columns, None)
}

/// How Arrow writes a type.
fn format_of(kind: FieldType) -> &'static str {
    match kind {
        FieldType::F64 => "g",
        FieldType::F32 => "f",
        FieldType::I64 => "l",
        FieldType::U64 => "L",
        FieldType::Bool => "b",
        FieldType::String => "u",
        FieldType::Bytes => "z",
    }
}

/// What an array's `private_data` keeps.
struct ArrayParts {
    #[expect(dead_code, reason = "held, not read: the buffers stand in it")]
    block: Arc<Block>,
    #[expect(dead_code, reason = "held, not read: a buffer stands in it")]
    own: Own,
    buffers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
    dictionary: *mut ArrowArray,
}

/// A buffer that was made for an array.
enum Own {
    None,
    Offsets(#[expect(dead_code, reason = "held, not read")] Vec<i32>),
    Bits(#[expect(dead_code, reason = "held, not read")] Vec<u8>),
    Names {
        #[expect(dead_code, reason = "held, not read")]
        offsets: Vec<i32>,
        #[expect(dead_code, reason = "held, not read")]
        bytes: Vec<u8>,
    },
}

fn array(
    block: &Arc<Block>,
    (length, null_count): (usize, usize),
    (buffers, own): (Vec<*const c_void>, Own),
    children: Vec<ArrowArray>,
    dictionary: Option<ArrowArray>,
) -> ArrowArray {
    let boxed = |array| Box::into_raw(Box::new(array));
    let mut parts = Box::new(ArrayParts {
        block: Arc::clone(block),
        own,
        buffers,
        children: children.into_iter().map(boxed).collect(),
        dictionary: dictionary.map_or(ptr::null_mut(), boxed),
    });
    ArrowArray {
        length: length as i64,
        null_count: null_count as i64,
        offset: 0,
        n_buffers: parts.buffers.len() as i64,
        n_children: parts.children.len() as i64,
        buffers: parts.buffers.as_mut_ptr(),
        children: parts.children.as_mut_ptr(),
        dictionary: parts.dictionary,
        release: Some(release_array),
        private_data: Box::into_raw(parts).cast(),
    }
}

/// The end of a stream.
fn empty_array() -> ArrowArray {
    ArrowArray {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: ptr::null_mut(),
        children: ptr::null_mut(),
        dictionary: ptr::null_mut(),
        release: None,
        private_data: ptr::null_mut(),
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: Arrow's contract: the array is one of ours, and released once; children that were moved have no `release`.
    unsafe {
        let Some(array) = array.as_mut() else { return };
        array.release = None;
        let parts = Box::from_raw(array.private_data.cast::<ArrayParts>());
        for child in
            parts.children.iter().chain([&parts.dictionary]).filter(|child| !child.is_null())
        {
            let mut child = Box::from_raw(*child);
            if let Some(release) = child.release {
                release(&raw mut *child);
            }
        }
    }
}

fn array_of(block: Block, shape: &Shape) -> Result<ArrowArray, Fault> {
    let block = Arc::new(block);
    let (rows, batch) = (block.rows, &block.batch);
    let mut columns = Vec::new();
    if shape.devices {
        let (offsets, bytes) = names_of(batch.devices.iter().map(|name| device::to_text(name)))?;
        let buffers = vec![ptr::null(), offsets.as_ptr().cast(), bytes.as_ptr().cast()];
        let count = batch.devices.len();
        let own = Own::Names { offsets, bytes };
        let names = array(&block, (count, 0), (buffers, own), Vec::new(), None);
        // Numbers of devices are small: as `i32` they have the same bits.
        let buffers = vec![ptr::null(), batch.row_devices.as_ptr().cast()];
        columns.push(array(&block, (rows, 0), (buffers, Own::None), Vec::new(), Some(names)));
    }
    if shape.times {
        let buffers = vec![ptr::null(), batch.times.as_ptr().cast()];
        columns.push(array(&block, (rows, 0), (buffers, Own::None), Vec::new(), None));
    }
    for column in &batch.columns {
        let nulls = rows - column.count_present();
        columns.push(array(&block, (rows, nulls), buffers_of(column)?, Vec::new(), None));
    }
    Ok(array(&block, (rows, 0), (vec![ptr::null()], Own::None), columns, None))
}

fn names_of<'a>(
    names: impl Iterator<Item = std::borrow::Cow<'a, str>>,
) -> Result<(Vec<i32>, Vec<u8>), Fault> {
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for name in names {
        bytes.extend_from_slice(name.as_bytes());
        offsets.push(offset(bytes.len())?);
    }
    Ok((offsets, bytes))
}

fn offset(at: usize) -> Result<i32, Fault> {
    i32::try_from(at).map_err(|_| {
        Fault::limit("a column of texts has more than 2 GiB in one block: narrow the query")
    })
}

fn buffers_of(column: &Column) -> Result<(Vec<*const c_void>, Own), Fault> {
    let validity = column.presence().map_or(ptr::null(), |bits| bits.words().as_ptr().cast());
    Ok(match column.values() {
        Values::String(texts) | Values::Bytes(texts) => {
            let offsets = offsets_of(texts)?;
            let buffers = vec![validity, offsets.as_ptr().cast(), texts.bytes().as_ptr().cast()];
            (buffers, Own::Offsets(offsets))
        }
        Values::Bool(bools) => {
            let bits = packed(bools);
            (vec![validity, bits.as_ptr().cast()], Own::Bits(bits))
        }
        plain => (vec![validity, values_of(plain).0], Own::None),
    })
}

fn offsets_of(texts: &VarBytes) -> Result<Vec<i32>, Fault> {
    // Ends only go up, so the last tells of all.
    offset(texts.byte_len())?;
    let mut offsets = Vec::with_capacity(texts.len() + 1);
    offsets.push(0);
    offsets.extend(texts.ends().iter().map(|end| end.cast_signed()));
    Ok(offsets)
}

/// Bools as bits, the lowest of each byte first.
fn packed(bools: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        eight.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at)
    };
    bools.chunks(8).map(byte).collect()
}
