//! From bytes back to values: metadata once, then any page.

use tidelog_model::{FieldType, Values, VarBytes};

use super::floats::{self, DecimalDecoder};
use super::grid::{self, Grid};
use super::integers::{Frame, Latents, Whole};
use super::numbers::Unpacker;
use super::scratch::Scratch;
use super::text::{self, DictionaryDecoder};
use super::wire::Reader;
use super::{CodecError, MAX_CHUNK_VALUES, bools, id, pattern};

/// One page of a chunk, as the page index describes it.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// How many values of the chunk stand before this page.
    pub first: usize,
    /// How many values the page has.
    pub count: usize,
    /// The page's bytes.
    pub bytes: &'a [u8],
}

/// A chunk's metadata, parsed: decodes any page of the chunk. Worth caching: parsing costs about
/// as much as decoding a page.
#[derive(Clone, Debug)]
pub struct ChunkDecoder {
    kind: FieldType,
    total: usize,
    codec: Codec,
}

#[derive(Clone, Debug)]
enum Codec {
    Empty,
    /// The constant's bits.
    Constant(u64),
    ConstantText(Vec<u8>),
    Step {
        start: u64,
        step: u64,
    },
    Grid(Grid),
    Integers(Frame, Latents),
    Pattern(Vec<u64>),
    Decimals(DecimalDecoder),
    Doubles(Unpacker<f64>),
    Singles(Unpacker<f32>),
    Widened(Unpacker<f32>),
    PlainFloats,
    BoolPages,
    BoolNumbers(Unpacker<u8>),
    BoolWhole(Vec<bool>),
    Dictionary(DictionaryDecoder),
    TextPages,
    TextWhole(VarBytes),
}

impl ChunkDecoder {
    /// Parses the metadata of a chunk of `total` values. Times are `I64`, stamps `U64`, presence
    /// bitmaps `Bool`.
    ///
    /// # Errors
    /// [`CodecError::UnknownCodec`] and [`CodecError::Damaged`] on bytes that `encode` did not
    /// write for such a chunk.
    pub fn parse(meta: &[u8], kind: FieldType, total: usize) -> Result<Self, CodecError> {
        if total > MAX_CHUNK_VALUES {
            return Err(CodecError::Damaged("a chunk has more than 65,536 values"));
        }
        let mut bytes = Reader(meta);
        let codec = if total == 0 {
            bytes.finish()?;
            Codec::Empty
        } else {
            Codec::parse(&mut bytes, kind, total)?
        };
        Ok(ChunkDecoder { kind, total, codec })
    }

    /// The type of the chunk's values.
    #[must_use]
    pub fn field_type(&self) -> FieldType {
        self.kind
    }

    /// How many values the chunk has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total
    }

    /// True when the chunk has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Do the values rise by how they are coded, as long as the last is not below the first? Spares a look at
    /// each of them.
    #[must_use]
    pub fn rises(&self) -> bool {
        match &self.codec {
            Codec::Step { step, .. } => grid::rises(*step),
            Codec::Grid(grid) => grid.rises(),
            _ => false,
        }
    }

    /// Heap bytes the decoder takes, roughly: what a cache's budget counts.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.codec {
            Codec::Empty | Codec::Constant(_) | Codec::Step { .. } | Codec::Grid(_) => 0,
            Codec::BoolPages | Codec::TextPages | Codec::PlainFloats => 0,
            Codec::ConstantText(value) => value.len(),
            Codec::Pattern(values) => size_of_val(values.as_slice()),
            Codec::BoolWhole(values) => values.len(),
            Codec::TextWhole(values) => values.byte_len() + 4 * values.len(),
            Codec::Dictionary(dictionary) => dictionary.heap_bytes() + TYPICAL_TABLES,
            _ => TYPICAL_TABLES,
        }
    }

    /// Appends the values of a page to a vector of the chunk's type. On an error `out` is as long
    /// as before.
    ///
    /// # Errors
    /// [`CodecError::WrongType`] when `out` is of another type, else as [`Self::decode_f64s`].
    pub fn decode_page(
        &self,
        page: Page<'_>,
        out: &mut Values,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        match out {
            Values::F64(out) => self.decode_f64s(page, out, scratch),
            Values::F32(out) => self.decode_f32s(page, out, scratch),
            Values::I64(out) => self.decode_i64s(page, out, scratch),
            Values::U64(out) => self.decode_u64s(page, out, scratch),
            Values::Bool(out) => self.decode_bools(page, out, scratch),
            Values::String(out) if self.kind == FieldType::String => {
                self.decode_strings(page, out, scratch)
            }
            Values::Bytes(out) if self.kind == FieldType::Bytes => {
                self.decode_strings(page, out, scratch)
            }
            other => Err(self.wrong_type(other.field_type())),
        }
    }

    /// Appends the values of a page of `f64`. On an error `out` is as before.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] or [`CodecError::Numbers`] when the page's bytes do not hold
    /// exactly its count of values; [`CodecError::WrongType`] when the chunk is not `f64`.
    pub fn decode_f64s(
        &self,
        page: Page<'_>,
        out: &mut Vec<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        self.check(page, FieldType::F64)?;
        restoring(out, |out| match &self.codec {
            Codec::Constant(bits) => repeat(page, f64::from_bits(*bits), out),
            Codec::Decimals(decimals) => decimals.decode(page, out, scratch),
            Codec::Doubles(unpacker) => floats::decode_raw(unpacker, page, out, scratch),
            Codec::Widened(unpacker) => floats::decode_widened(unpacker, page, out, scratch),
            Codec::PlainFloats => floats::decode_plain(page, out),
            _ => Reader(page.bytes).finish(),
        })
    }

    /// Appends the values of a page of `f32`. On an error `out` is as before.
    ///
    /// # Errors
    /// As [`Self::decode_f64s`].
    pub fn decode_f32s(
        &self,
        page: Page<'_>,
        out: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        self.check(page, FieldType::F32)?;
        restoring(out, |out| match &self.codec {
            Codec::Constant(bits) => repeat(page, f32::from_bits(*bits as u32), out),
            Codec::Decimals(decimals) => decimals.decode(page, out, scratch),
            Codec::Singles(unpacker) => floats::decode_raw(unpacker, page, out, scratch),
            Codec::PlainFloats => floats::decode_plain(page, out),
            _ => Reader(page.bytes).finish(),
        })
    }

    /// Appends the values of a page of `i64` or times. On an error `out` is as before.
    ///
    /// # Errors
    /// As [`Self::decode_f64s`].
    pub fn decode_i64s(
        &self,
        page: Page<'_>,
        out: &mut Vec<i64>,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        self.check(page, FieldType::I64)?;
        restoring(out, |out| self.decode_whole(page, out, scratch))
    }

    /// Appends the values of a page of `u64` or stamps. On an error `out` is as before.
    ///
    /// # Errors
    /// As [`Self::decode_f64s`].
    pub fn decode_u64s(
        &self,
        page: Page<'_>,
        out: &mut Vec<u64>,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        self.check(page, FieldType::U64)?;
        restoring(out, |out| self.decode_whole(page, out, scratch))
    }

    /// Appends the values of a page of `bool` or presence. On an error `out` is as before.
    ///
    /// # Errors
    /// As [`Self::decode_f64s`].
    pub fn decode_bools(
        &self,
        page: Page<'_>,
        out: &mut Vec<bool>,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        self.check(page, FieldType::Bool)?;
        restoring(out, |out| match &self.codec {
            Codec::Constant(bits) => repeat(page, *bits == 1, out),
            Codec::BoolPages => bools::decode_paged(page, out),
            Codec::BoolWhole(values) => {
                let found = values.get(page.first..page.first + page.count).unwrap_or_default();
                out.extend_from_slice(found);
                Reader(page.bytes).finish()
            }
            Codec::BoolNumbers(unpacker) => bools::decode_numbers(unpacker, page, out, scratch),
            _ => Reader(page.bytes).finish(),
        })
    }

    /// Appends the values of a page of strings or byte strings; strings are valid UTF-8. On an
    /// error `out` is as before.
    ///
    /// # Errors
    /// As [`Self::decode_f64s`].
    pub fn decode_strings(
        &self,
        page: Page<'_>,
        out: &mut VarBytes,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        let asked = if self.kind == FieldType::Bytes { self.kind } else { FieldType::String };
        self.check(page, asked)?;
        match &self.codec {
            Codec::ConstantText(value) => text::repeat(page, value, out),
            Codec::Dictionary(dictionary) => dictionary.decode(page, out, scratch),
            Codec::TextPages => text::decode_page(page, asked == FieldType::String, out),
            Codec::TextWhole(values) => {
                Reader(page.bytes).finish()?;
                out.extend_from(values, page.first, page.first + page.count);
                Ok(())
            }
            _ => Reader(page.bytes).finish(),
        }
    }

    fn decode_whole<T: Whole>(
        &self,
        page: Page<'_>,
        out: &mut Vec<T>,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        match &self.codec {
            Codec::Constant(bits) => repeat(page, T::of_bits(*bits), out),
            Codec::Step { start, step } => {
                let mut value = start.wrapping_add(step.wrapping_mul(page.first as u64));
                out.extend((0..page.count).map(|_| {
                    let here = T::of_bits(value);
                    value = value.wrapping_add(*step);
                    here
                }));
                Reader(page.bytes).finish()
            }
            Codec::Grid(grid) => {
                grid.extend(page.first, page.count, out);
                Reader(page.bytes).finish()
            }
            Codec::Integers(frame, latents) => {
                latents.extend(Reader(page.bytes), page.count, scratch, out, frame)
            }
            Codec::Pattern(values) => {
                let found = values.get(page.first..page.first + page.count).unwrap_or_default();
                out.extend(found.iter().map(|bits| T::of_bits(*bits)));
                Reader(page.bytes).finish()
            }
            _ => Reader(page.bytes).finish(),
        }
    }

    /// The page lies inside the chunk and the caller asks for the chunk's type.
    fn check(&self, page: Page<'_>, asked: FieldType) -> Result<(), CodecError> {
        if asked != self.kind {
            return Err(self.wrong_type(asked));
        }
        match page.first.checked_add(page.count) {
            Some(end) if end <= self.total => Ok(()),
            _ => Err(CodecError::Damaged("a page lies past the end of its chunk")),
        }
    }

    fn wrong_type(&self, asked: FieldType) -> CodecError {
        CodecError::WrongType { chunk: self.kind, asked }
    }
}

impl Codec {
    fn parse(meta: &mut Reader<'_>, kind: FieldType, total: usize) -> Result<Self, CodecError> {
        use FieldType::{Bool, Bytes, F32, F64, I64, String, U64};
        let utf8 = kind == String;
        Ok(match (meta.byte()?, kind) {
            (id::CONSTANT, String | Bytes) => {
                Codec::ConstantText(text::checked(core::mem::take(&mut meta.0), utf8)?)
            }
            (id::CONSTANT, _) => Codec::parse_constant(*meta, kind)?,
            (id::STEP, I64 | U64) => {
                let start = u64::from_le_bytes(meta.array()?);
                let step = u64::from_le_bytes(meta.array()?);
                meta.finish()?;
                Codec::Step { start, step }
            }
            (id::GRID, I64 | U64) => Codec::Grid(Grid::read(meta)?),
            (id::INTEGERS, I64 | U64) => {
                let frame = Frame::read(meta)?;
                Codec::Integers(frame, Latents::parse(&frame, *meta)?)
            }
            (id::PLAIN_INTEGERS, I64 | U64) => {
                let frame = Frame::read(meta)?;
                Codec::Integers(frame, Latents::plain(&frame, *meta)?)
            }
            (id::PATTERN, I64 | U64) => Codec::Pattern(pattern::parse(meta, total)?),
            (id::DECIMALS, F64 | F32) => {
                Codec::Decimals(DecimalDecoder::parse(meta, Latents::parse)?)
            }
            (id::PLAIN_DECIMALS, F64 | F32) => {
                Codec::Decimals(DecimalDecoder::parse(meta, Latents::plain)?)
            }
            (id::PLAIN_FLOATS, F64 | F32) => {
                meta.finish()?;
                Codec::PlainFloats
            }
            (id::FLOATS, F64) => Codec::Doubles(Unpacker::parse(*meta)?),
            (id::FLOATS, F32) => Codec::Singles(Unpacker::parse(*meta)?),
            (id::WIDENED, F64) => Codec::Widened(Unpacker::parse(*meta)?),
            (id::BOOL_PAGES, Bool) => {
                meta.finish()?;
                Codec::BoolPages
            }
            (id::BOOL_NUMBERS, Bool) => Codec::BoolNumbers(Unpacker::parse(*meta)?),
            (id::BOOL_WHOLE, Bool) => Codec::BoolWhole(bools::parse_whole(meta, total)?),
            (id::DICTIONARY, String | Bytes) => {
                Codec::Dictionary(DictionaryDecoder::parse(meta, total, utf8)?)
            }
            (id::TEXT_PAGES, String | Bytes) => {
                meta.finish()?;
                Codec::TextPages
            }
            (id::TEXT_WHOLE, String | Bytes) => {
                Codec::TextWhole(text::parse_whole(meta, total, utf8)?)
            }
            (id, kind) => return Err(CodecError::UnknownCodec { id, kind }),
        })
    }

    fn parse_constant(mut meta: Reader<'_>, kind: FieldType) -> Result<Self, CodecError> {
        let bits = match kind {
            FieldType::F32 => u64::from(u32::from_le_bytes(meta.array()?)),
            FieldType::Bool => u64::from(meta.byte()?),
            _ => u64::from_le_bytes(meta.array()?),
        };
        meta.finish()?;
        if kind == FieldType::Bool && bits > 1 {
            return Err(CodecError::Damaged("a bool is neither 0 nor 1"));
        }
        Ok(Codec::Constant(bits))
    }
}

/// Runs `decode` and takes back what it appended if it fails.
fn restoring<T>(
    out: &mut Vec<T>,
    decode: impl FnOnce(&mut Vec<T>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let len = out.len();
    let result = decode(out);
    if result.is_err() {
        out.truncate(len);
    }
    result
}

fn repeat<T: Clone>(page: Page<'_>, value: T, out: &mut Vec<T>) -> Result<(), CodecError> {
    Reader(page.bytes).finish()?;
    out.resize(out.len() + page.count, value);
    Ok(())
}

/// Decode tables of a pco chunk: a few KiB for 2^8 to 2^12 states.
const TYPICAL_TABLES: usize = 8 << 10;
