#![doc = include_str!("FORMAT.md")]

mod bools;
mod decoder;
mod error;
mod floats;
mod grid;
mod integers;
mod numbers;
mod pages;
mod pattern;
mod scratch;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use tidelog_model::Values;

pub use decoder::{ChunkDecoder, Page};
pub use error::CodecError;
pub use pages::EncodedChunk;
pub use scratch::Scratch;

/// What encoding spends its time on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// Speed first: a flush must keep up with ingest.
    Fast,
    /// Size first: compaction tries several codecs on a sample and keeps the smallest.
    Dense,
    /// The least work: numbers in the fewest whole bytes, for what is soon written anew.
    Quick,
}

/// Most values a chunk may have.
pub const MAX_CHUNK_VALUES: usize = 65_536;

/// Encodes a column chunk, cut into pages of `page_lengths` values. A page may have none.
///
/// # Panics
/// When the lengths do not sum to the number of values, or that passes [`MAX_CHUNK_VALUES`].
#[must_use]
pub fn encode(values: &Values, page_lengths: &[u32], effort: Effort) -> EncodedChunk {
    match values {
        Values::F64(values) => encode_f64s(values, page_lengths, effort),
        Values::F32(values) => encode_f32s(values, page_lengths, effort),
        Values::I64(values) => encode_i64s(values, page_lengths, effort),
        Values::U64(values) => encode_u64s(values, page_lengths, effort),
        Values::Bool(values) => encode_bools(values, page_lengths, effort),
        Values::String(values) | Values::Bytes(values) => {
            checked(values.len(), page_lengths, || text::encode(values, page_lengths, effort))
        }
    }
}

/// Encodes `f64` values.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn encode_f64s(values: &[f64], page_lengths: &[u32], effort: Effort) -> EncodedChunk {
    checked(values.len(), page_lengths, || floats::encode(values, page_lengths, effort))
}

/// Encodes `f32` values.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn encode_f32s(values: &[f32], page_lengths: &[u32], effort: Effort) -> EncodedChunk {
    checked(values.len(), page_lengths, || floats::encode(values, page_lengths, effort))
}

/// Encodes `i64` values, or times. A regular step takes 17 bytes for the chunk and none per page.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn encode_i64s(values: &[i64], page_lengths: &[u32], effort: Effort) -> EncodedChunk {
    checked(values.len(), page_lengths, || integers::encode(values, page_lengths, effort))
}

/// Encodes `u64` values, or stamps.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn encode_u64s(values: &[u64], page_lengths: &[u32], effort: Effort) -> EncodedChunk {
    checked(values.len(), page_lengths, || integers::encode(values, page_lengths, effort))
}

/// Encodes `bool` values, or which rows of a chunk have a value.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn encode_bools(values: &[bool], page_lengths: &[u32], effort: Effort) -> EncodedChunk {
    checked(values.len(), page_lengths, || bools::encode(values, page_lengths, effort))
}

/// Checks the caller's promises; a chunk without values needs no codec.
fn checked(
    count: usize,
    page_lengths: &[u32],
    encode: impl FnOnce() -> EncodedChunk,
) -> EncodedChunk {
    let sum: u64 = page_lengths.iter().map(|length| u64::from(*length)).sum();
    assert!(sum == count as u64, "page lengths sum to {sum} but there are {count} values");
    assert!(count <= MAX_CHUNK_VALUES, "a chunk has at most 65,536 values, not {count}");
    if count == 0 { EncodedChunk::without_pages(Vec::new(), page_lengths) } else { encode() }
}

/// The first byte of a chunk's metadata. 0 is never valid.
mod id {
    pub(super) const CONSTANT: u8 = 1;
    pub(super) const STEP: u8 = 2;
    pub(super) const INTEGERS: u8 = 3;
    pub(super) const PATTERN: u8 = 4;
    pub(super) const DECIMALS: u8 = 5;
    pub(super) const FLOATS: u8 = 6;
    pub(super) const WIDENED: u8 = 7;
    pub(super) const BOOL_PAGES: u8 = 8;
    pub(super) const BOOL_NUMBERS: u8 = 9;
    pub(super) const DICTIONARY: u8 = 10;
    pub(super) const TEXT_PAGES: u8 = 11;
    pub(super) const TEXT_WHOLE: u8 = 12;
    pub(super) const GRID: u8 = 13;
    pub(super) const BOOL_WHOLE: u8 = 14;
    pub(super) const PLAIN_INTEGERS: u8 = 15;
    pub(super) const PLAIN_DECIMALS: u8 = 16;
    pub(super) const PLAIN_FLOATS: u8 = 17;
}
