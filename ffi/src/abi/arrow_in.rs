//! Arrow record batches as rows of a batch: types are taken as they are, or refused by name.

use super::arrow::{ArrowArray, ArrowSchema};
use super::batch::tidelog_arrow_options;
use super::raw;
use crate::fault::Fault;
use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use tidelog_engine::model::Rows;
use tidelog_engine::{Batch, Bitmap, DeviceIndex, FieldIndex, FieldType};

/// An array that was taken over: released when this goes.
pub(super) struct Taken(ArrowArray);

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: Arrow's contract: the owner releases an array once.
            unsafe { release(&raw mut self.0) }
        }
    }
}

/// Takes an array over: the caller's struct is released from then on.
///
/// # Safety
/// `array` is NULL, or an array as Arrow has them.
pub(super) unsafe fn take(array: *mut ArrowArray) -> Result<Taken, Fault> {
    if array.is_null() {
        return Err(raw::null("array"));
    }
    // SAFETY: as promised to this function. Who takes an array over copies it and marks it as released.
    unsafe {
        if (*array).release.is_none() {
            return Err(Fault::argument("the array was released before: pass one that is not"));
        }
        let taken = Taken(array.read());
        (*array).release = None;
        Ok(taken)
    }
}

/// A schema, to be read.
///
/// # Safety
/// `schema` is NULL, or a schema as Arrow has them, which lives as long as it is used.
pub(super) unsafe fn schema<'a>(schema: *const ArrowSchema) -> Result<&'a ArrowSchema, Fault> {
    // SAFETY: as promised to this function.
    let schema = unsafe { schema.as_ref() }.ok_or_else(|| raw::null("schema"))?;
    match schema.release {
        Some(_) => Ok(schema),
        None => Err(Fault::argument("the schema was released before: pass one that is not")),
    }
}

/// One column of a record batch, with where it begins.
#[derive(Clone, Copy)]
struct Source<'a> {
    name: &'a str,
    format: &'a str,
    schema: &'a ArrowSchema,
    array: &'a ArrowArray,
    /// Of the column itself and of the batch.
    offset: usize,
    rows: usize,
}

/// Adds the rows of a record batch.
///
/// # Safety
/// Array and schema are as Arrow has them and belong together; the texts of the options are texts or NULL.
pub(super) unsafe fn append(
    batch: &mut Batch,
    array: &Taken,
    schema: &ArrowSchema,
    options: &tidelog_arrow_options,
) -> Result<(), Fault> {
    // SAFETY: as promised to this function.
    let (columns, device, device_column, time_column) = unsafe {
        (
            columns(&array.0, schema)?,
            raw::text_or_null(options.device, "device")?,
            raw::text_or_null(options.device_column, "device_column")?.unwrap_or("device"),
            raw::text_or_null(options.time_column, "time_column")?.unwrap_or("timestamp_ns"),
        )
    };
    let column = |name: &str| columns.iter().find(|column| column.name == name).copied();
    let times = column(time_column).ok_or_else(|| missing(time_column, "times"))?;
    // SAFETY: as promised to this function.
    let all_times = unsafe { times_of(times)? };
    let device_source = match device {
        Some(_) => None,
        None => Some(column(device_column).ok_or_else(|| missing(device_column, "devices"))?),
    };
    let special =
        |name: &str| name == time_column || device_source.is_some_and(|of| name == of.name);
    let mut fields = Vec::new();
    for column in columns.iter().filter(|column| !special(column.name)) {
        fields.push((*column, batch.field(column.name, kind_of(*column)?)?));
    }
    let mut rows = match (device, device_source) {
        (Some(device), _) => {
            let device = batch.device(device)?;
            batch.append_series(device, &all_times)?
        }
        (None, Some(source)) => {
            // SAFETY: as promised to this function.
            let devices = unsafe { devices_of(batch, source)? };
            batch.append(&devices, &all_times)?
        }
        (None, None) => return Err(missing(device_column, "devices")),
    };
    for (column, field) in fields {
        // SAFETY: as promised to this function.
        rows = unsafe { fill(rows, field, column)? };
    }
    Ok(())
}

fn missing(name: &str, what: &str) -> Fault {
    Fault::argument(format!(
        "the record batch has no column {name:?} of {what}: add it, or name the one there is in tidelog_arrow_options"
    ))
}

fn refused(column: Source<'_>, wanted: &str) -> Fault {
    Fault::argument(format!(
        "column {:?} has Arrow's format {:?}: cast it to {wanted}",
        column.name, column.format
    ))
}

/// The columns of a record batch.
///
/// # Safety
/// Array and schema are as Arrow has them.
unsafe fn columns<'a>(
    array: &'a ArrowArray,
    schema: &'a ArrowSchema,
) -> Result<Vec<Source<'a>>, Fault> {
    // SAFETY: as promised to this function.
    unsafe {
        if text(schema.format)? != "+s" || schema.n_children != array.n_children {
            return Err(Fault::argument(
                "the array is no record batch: pass a struct array with its schema",
            ));
        }
        let (rows, offset) = (size(array.length)?, size(array.offset)?);
        let whole = Source { name: "", format: "+s", schema, array, offset, rows };
        // Looked at bit by bit, for a count of -1 says that nobody has counted.
        if !array.buffers.is_null()
            && whole.validity()?.is_some_and(|bits| bits.count() < bits.len())
        {
            return Err(Fault::argument(
                "rows of the record batch are null as a whole: filter them out",
            ));
        }
        let children = size(array.n_children)?;
        let arrays =
            raw::slice(array.children.cast_const(), children, "the children of the array")?;
        let schemas =
            raw::slice(schema.children.cast_const(), children, "the children of the schema")?;
        let mut columns = Vec::with_capacity(children);
        for (array, schema) in arrays.iter().zip(schemas) {
            let array = array.as_ref().ok_or_else(|| raw::null("a child of the array"))?;
            let schema = schema.as_ref().ok_or_else(|| raw::null("a child of the schema"))?;
            let own = size(array.offset)?;
            if size(array.length)? < rows + offset {
                return Err(Fault::argument("a column has fewer rows than the record batch"));
            }
            let (name, format) = (text(schema.name)?, text(schema.format)?);
            columns.push(Source { name, format, schema, array, offset: own + offset, rows });
        }
        Ok(columns)
    }
}

fn size(number: i64) -> Result<usize, Fault> {
    let fits = usize::try_from(number).ok().filter(|size| *size <= i32::MAX as usize);
    fits.ok_or_else(|| {
        Fault::argument(format!(
            "a length or offset of the array is {number}: hand over parts of at most 2^31 rows"
        ))
    })
}

unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Fault> {
    if text.is_null() {
        return Ok("");
    }
    // SAFETY: names and formats of Arrow end with a NUL.
    raw::utf8(unsafe { CStr::from_ptr(text) }.to_bytes(), "a name of the schema")
}

fn kind_of(column: Source<'_>) -> Result<FieldType, Fault> {
    if !column.schema.dictionary.is_null() {
        return Err(refused(column, "its plain type, not dictionary-encoded"));
    }
    Ok(match column.format {
        "g" => FieldType::F64,
        "f" => FieldType::F32,
        "l" => FieldType::I64,
        "L" => FieldType::U64,
        "b" => FieldType::Bool,
        "u" | "U" => FieldType::String,
        "z" | "Z" => FieldType::Bytes,
        _ => return Err(refused(column, "float64, float32, int64, uint64, bool, utf8 or binary")),
    })
}

impl<'a> Source<'a> {
    /// One of its buffers; NULL when it has none.
    ///
    /// # Safety
    /// The array is as Arrow has them.
    unsafe fn buffer(&self, number: usize) -> Result<*const c_void, Fault> {
        let count = usize::try_from(self.array.n_buffers).unwrap_or(0);
        // SAFETY: as promised to this function.
        let buffers = unsafe {
            raw::slice(self.array.buffers.cast_const(), count, "the buffers of a column")?
        };
        Ok(buffers.get(number).copied().unwrap_or(ptr::null()))
    }

    /// Numbers of one width.
    ///
    /// # Safety
    /// As for [`Self::buffer`], and the column is of such numbers.
    unsafe fn numbers<T: Copy>(&self, buffer: usize, more: usize) -> Result<&'a [T], Fault> {
        let count = if self.rows == 0 { 0 } else { self.offset + self.rows + more };
        // SAFETY: as promised to this function.
        let all = unsafe { raw::slice(self.buffer(buffer)?.cast::<T>(), count, self.name)? };
        Ok(all.get(self.offset..).unwrap_or_default())
    }

    /// Which rows have a value; `None` when all have.
    ///
    /// # Safety
    /// As for [`Self::buffer`].
    unsafe fn validity(&self) -> Result<Option<Bitmap>, Fault> {
        // SAFETY: as promised to this function.
        let buffer = unsafe { self.buffer(0)? };
        if buffer.is_null() || self.array.null_count == 0 {
            return Ok(None);
        }
        // SAFETY: as promised to this function.
        unsafe { self.bits(0).map(Some) }
    }

    /// A bit for each row.
    ///
    /// # Safety
    /// As for [`Self::buffer`], and the buffer is of bits.
    unsafe fn bits(&self, buffer: usize) -> Result<Bitmap, Fault> {
        if self.rows == 0 {
            return Ok(Bitmap::new());
        }
        let count = (self.offset + self.rows).div_ceil(8);
        // SAFETY: as promised to this function.
        let bytes = unsafe { raw::slice(self.buffer(buffer)?.cast::<u8>(), count, self.name)? };
        Ok(bits(bytes, self.offset, self.rows))
    }

    /// Texts or byte strings, each by itself.
    ///
    /// # Safety
    /// As for [`Self::buffer`], and the column is of such.
    unsafe fn pieces(&self, large: bool) -> Result<Vec<&'a [u8]>, Fault> {
        // SAFETY: as promised to this function.
        let ends: Cow<'_, [i64]> = unsafe {
            if large {
                self.numbers::<i64>(1, 1)?.into()
            } else {
                self.numbers::<i32>(1, 1)?.iter().map(|end| i64::from(*end)).collect()
            }
        };
        let last = ends.last().copied().unwrap_or_default();
        let length = usize::try_from(last).map_err(|_| self.bad_offsets())?;
        // SAFETY: as promised to this function.
        let bytes: &[u8] = unsafe { raw::slice(self.buffer(2)?.cast(), length, self.name)? };
        let piece = |pair: &[i64]| {
            let start = usize::try_from(pair[0]).ok()?;
            bytes.get(start..usize::try_from(pair[1]).ok()?)
        };
        let pieces = ends.windows(2).map(|pair| piece(pair).ok_or_else(|| self.bad_offsets()));
        pieces.collect()
    }

    fn bad_offsets(&self) -> Fault {
        Fault::argument(format!(
            "the offsets of column {:?} go back: it is no Arrow array",
            self.name
        ))
    }
}

/// Bits from bytes, the lowest of each byte first.
pub(super) fn bits(bytes: &[u8], offset: usize, count: usize) -> Bitmap {
    if offset == 0 {
        let mut words: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(word)
            })
            .collect();
        if let (Some(last), rest @ 1..) = (words.last_mut(), count % 64) {
            *last &= u64::MAX >> (64 - rest);
        }
        if let Some(bits) = Bitmap::from_words(words, count) {
            return bits;
        }
    }
    let mut bits = Bitmap::new();
    (offset..offset + count).for_each(|at| bits.push(bytes[at / 8] >> (at % 8) & 1 == 1));
    bits
}

/// # Safety
/// The column is as Arrow has them.
unsafe fn times_of(column: Source<'_>) -> Result<Cow<'_, [i64]>, Fault> {
    // Its format is then that of the indexes.
    if !column.schema.dictionary.is_null() {
        return Err(refused(column, "its plain type, not dictionary-encoded"));
    }
    let unit = match column.format {
        "l" => 1,
        format if format.starts_with("tsn:") => 1,
        format if format.starts_with("tsu:") => 1_000,
        format if format.starts_with("tsm:") => 1_000_000,
        format if format.starts_with("tss:") => 1_000_000_000,
        _ => return Err(refused(column, "a timestamp, or int64 nanoseconds")),
    };
    // SAFETY: as promised to this function.
    let (times, validity) = unsafe { (column.numbers::<i64>(1, 0)?, column.validity()?) };
    if validity.is_some_and(|bits| bits.count() < bits.len()) {
        return Err(Fault::argument(format!(
            "column {:?} has rows without a time: filter them out",
            column.name
        )));
    }
    if unit == 1 {
        return Ok(times.into());
    }
    let scaled = |time: &i64| {
        time.checked_mul(unit).ok_or_else(|| {
            Fault::limit(format!(
                "a time of column {:?} does not fit 64 bits of nanoseconds",
                column.name
            ))
        })
    };
    times.iter().map(scaled).collect::<Result<Vec<i64>, _>>().map(Cow::from)
}

/// # Safety
/// The column is as Arrow has them.
unsafe fn devices_of(batch: &mut Batch, column: Source<'_>) -> Result<Vec<DeviceIndex>, Fault> {
    let nameless = || {
        Fault::argument(format!(
            "column {:?} has rows without a device: filter them out",
            column.name
        ))
    };
    // SAFETY: as promised to this function.
    let validity = unsafe { column.validity()? };
    if validity.is_some_and(|bits| bits.count() < bits.len()) {
        return Err(nameless());
    }
    // SAFETY: as promised to this function.
    let dictionary =
        unsafe { (column.schema.dictionary.as_ref(), column.array.dictionary.as_ref()) };
    if let (Some(schema), Some(array)) = dictionary {
        // SAFETY: as promised to this function.
        let (texts, present) = unsafe {
            let (name, format) = (column.name, text(schema.format)?);
            let (offset, rows) = (size(array.offset)?, size(array.length)?);
            let values = Source { name, format, schema, array, offset, rows };
            let present = values.validity()?;
            (texts_of(values, present.as_ref())?, present)
        };
        let named = |at: usize| present.as_ref().is_none_or(|bits| bits.at(at));
        let known = texts.iter().enumerate();
        let known = known.map(|(at, text)| named(at).then(|| batch.device(text)).transpose());
        let known = known.collect::<Result<Vec<_>, _>>()?;
        // SAFETY: as promised to this function.
        let numbers = unsafe { indexes(column)? };
        let device = |number: &usize| match known.get(*number) {
            Some(device) => device.ok_or_else(nameless),
            None => Err(Fault::argument(format!(
                "column {:?} has an index beyond its dictionary",
                column.name
            ))),
        };
        return numbers.iter().map(device).collect();
    }
    // SAFETY: as promised to this function.
    let texts = unsafe { texts_of(column, None)? };
    texts.iter().map(|text| Ok(batch.device(text)?)).collect()
}

/// Texts, empty where there is none: what stands there means nothing, and need not be UTF-8.
///
/// # Safety
/// The column is as Arrow has them.
unsafe fn texts_of<'a>(
    column: Source<'a>,
    present: Option<&Bitmap>,
) -> Result<Vec<&'a str>, Fault> {
    let large = match column.format {
        "u" => false,
        "U" => true,
        _ => return Err(refused(column, "utf8")),
    };
    // SAFETY: as promised to this function.
    let pieces = unsafe { column.pieces(large)? };
    let texts = pieces.iter().enumerate().map(|(at, piece)| {
        let there = present.is_none_or(|bits| bits.at(at));
        if there { raw::utf8(piece, "a text") } else { Ok("") }
    });
    texts.collect()
}

/// The indexes of a dictionary-encoded column, whatever their width.
///
/// # Safety
/// The column is as Arrow has them.
unsafe fn indexes(column: Source<'_>) -> Result<Vec<usize>, Fault> {
    macro_rules! read {
        ($type:ty) => {{
            // SAFETY: as promised to this function; the format says so.
            let numbers = unsafe { column.numbers::<$type>(1, 0)? };
            numbers.iter().map(|number| usize::try_from(*number).unwrap_or(usize::MAX)).collect()
        }};
    }
    Ok(match column.format {
        "c" => read!(i8),
        "C" => read!(u8),
        "s" => read!(i16),
        "S" => read!(u16),
        "i" => read!(i32),
        "I" => read!(u32),
        "l" => read!(i64),
        "L" => read!(u64),
        _ => return Err(refused(column, "utf8")),
    })
}

/// Gives rows one of their columns.
///
/// # Safety
/// The column is as Arrow has them.
unsafe fn fill<'b>(to: Rows<'b>, field: FieldIndex, column: Source<'_>) -> Result<Rows<'b>, Fault> {
    // SAFETY: as promised to this function.
    let present = unsafe { column.validity()? };
    macro_rules! plain {
        ($type:ty, $all:ident, $some:ident) => {{
            // SAFETY: as promised to this function; the format says so.
            let values = unsafe { column.numbers::<$type>(1, 0)? };
            match &present {
                None => to.$all(field, values)?,
                Some(present) => to.$some(field, values, present)?,
            }
        }};
    }
    let large = matches!(column.format, "U" | "Z");
    Ok(match kind_of(column)? {
        FieldType::F64 => plain!(f64, f64, sparse_f64),
        FieldType::F32 => plain!(f32, f32, sparse_f32),
        FieldType::I64 => plain!(i64, i64, sparse_i64),
        FieldType::U64 => plain!(u64, u64, sparse_u64),
        FieldType::Bool => {
            // SAFETY: as promised to this function; the format says so.
            let values: Vec<bool> = unsafe { column.bits(1)? }.iter().collect();
            match &present {
                None => to.bool(field, &values)?,
                Some(present) => to.sparse_bool(field, &values, present)?,
            }
        }
        FieldType::Bytes => {
            // SAFETY: as promised to this function; the format says so.
            let values = unsafe { column.pieces(large)? };
            match &present {
                None => to.bytes(field, &values)?,
                Some(present) => to.sparse_bytes(field, &values, present)?,
            }
        }
        FieldType::String => {
            // SAFETY: as promised to this function; the format says so.
            let texts = unsafe { texts_of(column, present.as_ref())? };
            match &present {
                None => to.strings(field, &texts)?,
                Some(present) => to.sparse_strings(field, &texts, present)?,
            }
        }
    })
}
