//! The seam to `pco`: chunks of numbers of one machine type, cut into pages.

use pco::data_types::Number;
use pco::metadata::DeltaEncoding;
use pco::wrapped::{ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DecompressorScratch, DeltaSpec, ModeSpec, PagingSpec};

use super::wire::Reader;
use super::{CodecError, EncodedChunk};

/// How hard and in which form `pco` codes a chunk.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) level: usize,
    pub(super) mode: ModeSpec,
    pub(super) delta: DeltaSpec,
}

impl Plan {
    pub(super) fn classic(level: usize, order: usize) -> Self {
        let delta = match order {
            0 => DeltaSpec::NoOp,
            _ => DeltaSpec::TryConsecutive(order),
        };
        Plan { level, mode: ModeSpec::Classic, delta }
    }
}

/// Appends pco metadata and pages to `out`. `before_page` may write ahead of each page's numbers;
/// pages without values stay empty.
pub(super) fn pack<T: Number>(
    values: &[T],
    lengths: &[u32],
    plan: &Plan,
    out: &mut EncodedChunk,
    mut before_page: impl FnMut(usize, &mut Vec<u8>),
) {
    const VALID: &str =
        "pco takes 1 to 2^24 numbers in pages of 1 or more, and a Vec takes any byte";
    let filled = lengths.iter().filter(|length| **length > 0).map(|length| *length as usize);
    let config = ChunkConfig::default()
        .with_compression_level(plan.level)
        .with_mode_spec(plan.mode.clone())
        .with_delta_spec(plan.delta.clone())
        .with_enable_8_bit(true)
        .with_paging_spec(PagingSpec::Exact(filled.collect()));
    let mut chunk = FileCompressor::default().chunk_compressor(values, &config).expect(VALID);
    chunk.write_meta(&mut out.meta).expect(VALID);
    let mut written = 0;
    for (index, length) in lengths.iter().enumerate() {
        if *length > 0 {
            before_page(index, &mut out.pages);
            chunk.write_page(written, &mut out.pages).expect(VALID);
            written += 1;
        }
        out.end_page();
    }
}

/// Memory that unpacking reuses.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pco: DecompressorScratch,
    /// A page, and zeros after it.
    padded: Vec<u8>,
}

/// What pco wants to see of its source when it reads a batch of 256 numbers: 16 bytes and 14 bits of each, and a word. Where there is
/// less, it makes a buffer of twice as much, for each page.
const PADDING: usize = 256 * (16 + 2) + 9;

/// Parsed pco metadata, ready to decode any page of its chunk.
#[derive(Clone, Debug)]
pub(super) struct Unpacker<T: Number>(ChunkDecompressor<T>);

impl<T: Number> Unpacker<T> {
    pub(super) fn parse(meta: Reader<'_>) -> Result<Self, CodecError> {
        check_dictionary(meta.0, size_of::<T>())?;
        let (file, _) = FileDecompressor::new(&PCO_FORMAT[..])?;
        let (chunk, rest) = file.chunk_decompressor::<T, &[u8]>(meta.0)?;
        Reader(rest).finish()?;
        // Of pco's encodings these need memory that the page's own length does not bound.
        match &chunk.meta().delta_encoding {
            DeltaEncoding::NoOp | DeltaEncoding::Consecutive { .. } => {}
            DeltaEncoding::Lookback { config, .. }
                if config.window_n_log <= MAX_WINDOW_LOG
                    && config.state_n_log <= MAX_WINDOW_LOG => {}
            _ => return Err(CodecError::Damaged("a delta encoding that this format excludes")),
        }
        Ok(Unpacker(chunk))
    }

    /// Decodes exactly `into.len()` numbers, which must be all the page has.
    pub(super) fn unpack(
        &self,
        page: Reader<'_>,
        into: &mut [T],
        scratch: &mut Numbers,
    ) -> Result<(), CodecError> {
        if into.is_empty() {
            return page.finish();
        }
        let Numbers { pco, padded } = scratch;
        padded.clear();
        padded.extend_from_slice(page.0);
        padded.resize(page.0.len() + PADDING, 0);
        let mut numbers = self.0.page_decompressor_with_scratch(&padded[..], into.len(), pco)?;
        let progress = numbers.read(into)?;
        // All of the page and nothing of what follows it.
        if progress.n_processed != into.len()
            || !progress.finished
            || numbers.into_src().len() != PADDING
        {
            return Err(CodecError::Damaged("a page has another number of values"));
        }
        Ok(())
    }
}

/// pco allocates a dictionary by its declared length before it looks for the words: see that they
/// are there. The mode is the low 4 bits of the metadata, a dictionary's length the next 25, and
/// its words begin at the fourth byte.
fn check_dictionary(meta: &[u8], word_len: usize) -> Result<(), CodecError> {
    let mut head = [0; 4];
    head.iter_mut().zip(meta).for_each(|(to, from)| *to = *from);
    let head = u32::from_le_bytes(head);
    let words = (head >> 4) as usize & ((1 << 25) - 1);
    if head & 0xf == DICTIONARY_MODE && words.saturating_mul(word_len) > meta.len() {
        return Err(CodecError::Damaged("a dictionary is longer than the metadata"));
    }
    Ok(())
}

const DICTIONARY_MODE: u32 = 4;

/// The header of a pco file of format 4.1: implied by the codec ids, never stored.
const PCO_FORMAT: [u8; 2] = [4, 1];

/// A page has at most 65,536 values, so no lookback reaches further.
const MAX_WINDOW_LOG: u32 = 16;
