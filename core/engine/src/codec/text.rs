//! Strings and byte strings: a dictionary and codes when values repeat, else zstd; small chunks
//! may go into the metadata whole.

use hashbrown::HashMap;
use tidelog_model::VarBytes;
use zstd::zstd_safe::get_frame_content_size;

use super::integers::{Frame, Latent, Latents, MapLatent};
use super::wire::{Reader, put_varint};
use super::{CodecError, Effort, EncodedChunk, Page, Scratch, id};

pub(super) fn encode(values: &VarBytes, lengths: &[u32], effort: Effort) -> EncodedChunk {
    // Quick is for numbers.
    let effort = if effort == Effort::Quick { Effort::Fast } else { effort };
    let distinct = Distinct::of(values);
    if let [only] = distinct.firsts.as_slice() {
        let mut meta = vec![id::CONSTANT];
        meta.extend_from_slice(values.at(*only as usize));
        return EncodedChunk::without_pages(meta, lengths);
    }
    let repeats = distinct.firsts.len() <= values.len() / 2;
    if effort == Effort::Fast {
        return match repeats {
            true => encode_dictionary(values, &distinct, lengths, effort),
            false => encode_pages(values, lengths, effort),
        };
    }
    let mut best = encode_pages(values, lengths, effort);
    let mut consider = |candidate: EncodedChunk| {
        if candidate.byte_len() < best.byte_len() {
            best = candidate;
        }
    };
    if repeats {
        consider(encode_dictionary(values, &distinct, lengths, effort));
        consider(encode_dictionary(values, &distinct.sorted(values), lengths, effort));
        consider(encode_dictionary(values, &distinct.by_frequency(), lengths, effort));
    }
    let flat = flatten(values, 0..values.len());
    if flat.len() <= MAX_WHOLE {
        let mut meta = vec![id::TEXT_WHOLE];
        put_block(&mut meta, &flat, effort);
        consider(EncodedChunk::without_pages(meta, lengths));
    }
    best
}

/// The different values of a chunk, and for each value which it is.
#[derive(Clone)]
struct Distinct {
    /// Where each distinct value stands first.
    firsts: Vec<u32>,
    codes: Vec<u32>,
}

impl Distinct {
    fn of(values: &VarBytes) -> Self {
        let mut known: HashMap<&[u8], u32> = HashMap::new();
        let mut firsts = Vec::new();
        let codes = (0u32..).zip(values.iter()).map(|(at, value)| {
            *known.entry(value).or_insert_with(|| {
                firsts.push(at);
                firsts.len() as u32 - 1
            })
        });
        let codes = codes.collect();
        Distinct { firsts, codes }
    }

    fn sorted(&self, values: &VarBytes) -> Self {
        self.reordered(|code| values.at(self.firsts[code as usize] as usize))
    }

    fn by_frequency(&self) -> Self {
        let mut counts = vec![0u32; self.firsts.len()];
        self.codes.iter().for_each(|code| counts[*code as usize] += 1);
        self.reordered(|code| core::cmp::Reverse(counts[code as usize]))
    }

    fn reordered<K: Ord>(&self, key: impl Fn(u32) -> K) -> Self {
        let mut order: Vec<u32> = (0..self.firsts.len() as u32).collect();
        order.sort_by_key(|code| key(*code));
        let mut ranks = vec![0; order.len()];
        (0u32..).zip(&order).for_each(|(rank, code)| ranks[*code as usize] = rank);
        Distinct {
            firsts: order.iter().map(|code| self.firsts[*code as usize]).collect(),
            codes: self.codes.iter().map(|code| ranks[*code as usize]).collect(),
        }
    }
}

fn encode_dictionary(
    values: &VarBytes,
    distinct: &Distinct,
    lengths: &[u32],
    effort: Effort,
) -> EncodedChunk {
    let mut words = VarBytes::new();
    distinct.firsts.iter().for_each(|first| words.push(values.at(*first as usize)));
    let mut out = EncodedChunk { meta: vec![id::DICTIONARY], ..EncodedChunk::default() };
    put_varint(&mut out.meta, words.len() as u64);
    put_block(&mut out.meta, &flatten(&words, 0..words.len()), effort);
    let frame = Frame::below(words.len() as u64);
    frame.put(&mut out.meta);
    frame.pack(
        distinct.codes.iter().map(|code| u64::from(*code)),
        lengths,
        effort,
        &mut out,
        |_, _| {},
    );
    out
}

fn encode_pages(values: &VarBytes, lengths: &[u32], effort: Effort) -> EncodedChunk {
    let mut out = EncodedChunk { meta: vec![id::TEXT_PAGES], ..EncodedChunk::default() };
    let mut start = 0;
    for length in lengths {
        let end = start + *length as usize;
        if start < end {
            put_block(&mut out.pages, &flatten(values, start..end), effort);
        }
        out.end_page();
        start = end;
    }
    out
}

/// Lengths as varints, then the bytes.
fn flatten(values: &VarBytes, range: core::ops::Range<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    range.clone().for_each(|at| put_varint(&mut out, values.at(at).len() as u64));
    range.for_each(|at| out.extend_from_slice(values.at(at)));
    out
}

/// The inverse of [`flatten`]: appends `count` strings, all or none.
fn unflatten(raw: &[u8], count: usize, utf8: bool, out: &mut VarBytes) -> Result<(), CodecError> {
    let mut bodies = Reader(raw);
    let mut total = 0usize;
    for _ in 0..count {
        total = total.saturating_add(bodies.size()?);
    }
    if total != bodies.0.len() || !out.has_room(total) {
        return Err(CodecError::Damaged("string lengths do not sum to the bytes stored"));
    }
    let text =
        if utf8 { Some(core::str::from_utf8(bodies.0).map_err(|_| NOT_UTF8)?) } else { None };
    let mut lengths = Reader(raw);
    let mut at = 0;
    if let Some(text) = text {
        for _ in 0..count {
            at += lengths.size()?;
            if !text.is_char_boundary(at) {
                return Err(NOT_UTF8);
            }
        }
        lengths = Reader(raw);
    }
    for _ in 0..count {
        let length = lengths.size()?;
        out.push(bodies.take(length)?);
    }
    Ok(())
}

/// A block: length, stored length (0: stored as it is), bytes.
pub(super) fn put_block(out: &mut Vec<u8>, raw: &[u8], effort: Effort) {
    let level = match effort {
        Effort::Fast | Effort::Quick => FAST_ZSTD,
        Effort::Dense => DENSE_ZSTD,
    };
    put_varint(out, raw.len() as u64);
    match zstd::bulk::compress(raw, level) {
        Ok(packed) if packed.len() < raw.len() => {
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
        }
        _ => {
            put_varint(out, 0);
            out.extend_from_slice(raw);
        }
    }
}

/// Reads a block, unpacked into `buffer` where it was packed.
pub(super) fn read_block<'a, 'b: 'a>(
    bytes: &mut Reader<'b>,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], CodecError> {
    let length = bytes.size()?;
    let stored = bytes.size()?;
    if stored == 0 {
        return bytes.take(length);
    }
    let packed = bytes.take(stored)?;
    let declared = get_frame_content_size(packed).ok().flatten();
    // zstd cannot reach more than this: 4 bytes for a block of 128 KiB.
    let bound = (stored as u64).saturating_mul(MAX_RATIO);
    if declared != Some(length as u64) || length as u64 > bound || length > u32::MAX as usize {
        return Err(BAD_BLOCK);
    }
    *buffer = zstd::bulk::decompress(packed, length).map_err(|_| BAD_BLOCK)?;
    if buffer.len() == length { Ok(buffer) } else { Err(BAD_BLOCK) }
}

/// Parsed metadata of a dictionary chunk.
#[derive(Clone, Debug)]
pub(super) struct DictionaryDecoder {
    words: VarBytes,
    codes: Latents,
}

impl DictionaryDecoder {
    pub(super) fn parse(
        meta: &mut Reader<'_>,
        total: usize,
        utf8: bool,
    ) -> Result<Self, CodecError> {
        let count = meta.size()?;
        if count > total {
            return Err(CodecError::Damaged("a dictionary has more words than the chunk values"));
        }
        let mut words = VarBytes::new();
        read_strings(meta, count, utf8, &mut words)?;
        let frame = Frame::read(meta)?;
        if frame.base != 0 || frame.divisor != 1 {
            return Err(CodecError::Damaged("dictionary codes are not numbered from 0"));
        }
        Ok(DictionaryDecoder { words, codes: Latents::parse(&frame, *meta)? })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.words.byte_len() + 4 * self.words.len()
    }

    pub(super) fn decode(
        &self,
        page: Page<'_>,
        out: &mut VarBytes,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError> {
        let mut codes = core::mem::take(&mut scratch.codes);
        codes.clear();
        let read = self.codes.extend(Reader(page.bytes), page.count, scratch, &mut codes, &AsIs);
        let pushed = read.and_then(|()| self.push(&codes, out));
        scratch.codes = codes;
        pushed
    }

    fn push(&self, codes: &[usize], out: &mut VarBytes) -> Result<(), CodecError> {
        let mut total = 0usize;
        for code in codes {
            if *code >= self.words.len() {
                return Err(CodecError::Damaged("a dictionary code has no word"));
            }
            total = total.saturating_add(self.words.at(*code).len());
        }
        if !out.has_room(total) {
            return Err(CodecError::Damaged("strings pass 4 GiB"));
        }
        codes.iter().for_each(|code| out.push(self.words.at(*code)));
        Ok(())
    }
}

struct AsIs;

impl MapLatent<usize> for AsIs {
    fn extend<L: Latent>(&self, latents: &[L], out: &mut Vec<usize>) {
        out.extend(latents.iter().map(|l| usize::try_from(l.to_u64()).unwrap_or(usize::MAX)));
    }
}

/// Strings of a chunk that lies whole in its metadata.
pub(super) fn parse_whole(
    meta: &mut Reader<'_>,
    total: usize,
    utf8: bool,
) -> Result<VarBytes, CodecError> {
    let mut look = *meta;
    if look.size()? > MAX_WHOLE {
        return Err(CodecError::Damaged("a chunk in its metadata passes 256 KiB"));
    }
    let mut values = VarBytes::new();
    read_strings(meta, total, utf8, &mut values)?;
    meta.finish()?;
    Ok(values)
}

/// Appends a page of strings.
pub(super) fn decode_page(
    page: Page<'_>,
    utf8: bool,
    out: &mut VarBytes,
) -> Result<(), CodecError> {
    let mut bytes = Reader(page.bytes);
    if page.count > 0 {
        read_strings(&mut bytes, page.count, utf8, out)?;
    }
    bytes.finish()
}

fn read_strings(
    bytes: &mut Reader<'_>,
    count: usize,
    utf8: bool,
    out: &mut VarBytes,
) -> Result<(), CodecError> {
    let mut buffer = Vec::new();
    let mut source = *bytes;
    let raw = read_block(&mut source, &mut buffer)?;
    unflatten(raw, count, utf8, out)?;
    let read = bytes.0.len() - source.0.len();
    bytes.take(read).map(|_| ())
}

/// Appends a constant string `page.count` times.
pub(super) fn repeat(page: Page<'_>, value: &[u8], out: &mut VarBytes) -> Result<(), CodecError> {
    Reader(page.bytes).finish()?;
    if !out.has_room(value.len().saturating_mul(page.count)) {
        return Err(CodecError::Damaged("strings pass 4 GiB"));
    }
    (0..page.count).for_each(|_| out.push(value));
    Ok(())
}

/// A constant string.
pub(super) fn checked(value: &[u8], utf8: bool) -> Result<Vec<u8>, CodecError> {
    if utf8 && core::str::from_utf8(value).is_err() {
        return Err(NOT_UTF8);
    }
    Ok(value.to_vec())
}

const FAST_ZSTD: i32 = 1;
const DENSE_ZSTD: i32 = 19;
/// Largest chunk that may lie whole in its metadata and, parsed, in memory.
const MAX_WHOLE: usize = 256 << 10;
const MAX_RATIO: u64 = 1 << 16;
const NOT_UTF8: CodecError = CodecError::Damaged("text is not UTF-8");
const BAD_BLOCK: CodecError =
    CodecError::Damaged("a compressed block does not unpack to its length");
