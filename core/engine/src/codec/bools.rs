//! Truth values and presence bitmaps: per page a constant, runs or bits, whichever is least; or
//! the whole chunk through `pco`, which comes close to the entropy of irregular flags.

use pco::DeltaSpec;

use super::integers::{DENSE_LEVEL, cheapest};
use super::numbers::{Plan, Unpacker, pack};
use super::text::{put_block, read_block};
use super::wire::{Reader, put_varint};
use super::{CodecError, Effort, EncodedChunk, Page, Scratch, id};

pub(super) fn encode(values: &[bool], lengths: &[u32], effort: Effort) -> EncodedChunk {
    if let Some(first) = values.first()
        && values.iter().all(|value| value == first)
    {
        return EncodedChunk::without_pages(vec![id::CONSTANT, u8::from(*first)], lengths);
    }
    let paged = encode_paged(values, lengths);
    // Below 48 bytes pco's metadata cannot win.
    if effort != Effort::Dense || paged.byte_len() < 48 {
        return paged;
    }
    let latents: Vec<u8> = values.iter().map(|value| u8::from(*value)).collect();
    let lookback = Plan { delta: DeltaSpec::TryLookback, ..Plan::classic(DENSE_LEVEL, 0) };
    let plans = vec![Plan::classic(DENSE_LEVEL, 0), Plan::classic(DENSE_LEVEL, 1), lookback];
    let plan = cheapest(plans, &latents, lengths, 2);
    let mut numbers = EncodedChunk { meta: vec![id::BOOL_NUMBERS], ..EncodedChunk::default() };
    pack(&latents, lengths, &plan, &mut numbers, |_, _| {});
    let best = if numbers.byte_len() < paged.byte_len() { numbers } else { paged };
    let mut meta = vec![id::BOOL_WHOLE];
    put_block(&mut meta, &runs(values), effort);
    if meta.len() < best.byte_len() * 9 / 10 {
        return EncodedChunk::without_pages(meta, lengths);
    }
    best
}

/// The first value, then the lengths of alternating runs.
fn runs(values: &[bool]) -> Vec<u8> {
    let mut out: Vec<u8> = values.first().map(|first| u8::from(*first)).into_iter().collect();
    values.chunk_by(|a, b| a == b).for_each(|run| put_varint(&mut out, run.len() as u64));
    out
}

/// All values of a chunk that lies whole in its metadata.
pub(super) fn parse_whole(meta: &mut Reader<'_>, total: usize) -> Result<Vec<bool>, CodecError> {
    // A run takes a byte or more values than bytes.
    if Reader(meta.0).size()? > total.saturating_add(1) {
        return Err(CodecError::Damaged("runs are longer than their values"));
    }
    let mut buffer = Vec::new();
    let mut raw = Reader(read_block(meta, &mut buffer)?);
    meta.finish()?;
    let first = raw.byte()?;
    if first > 1 {
        return Err(CodecError::Damaged("a bool is neither 0 nor 1"));
    }
    let mut values = Vec::with_capacity(total);
    read_runs(&mut raw, first == 1, total, &mut values)?;
    raw.finish()?;
    Ok(values)
}

/// Appends alternating runs up to a length of `end`.
fn read_runs(
    bytes: &mut Reader<'_>,
    mut value: bool,
    end: usize,
    out: &mut Vec<bool>,
) -> Result<(), CodecError> {
    while out.len() < end {
        let run = bytes.size()?;
        if run == 0 || run > end - out.len() {
            return Err(CodecError::Damaged("a run is empty or passes its end"));
        }
        out.resize(out.len() + run, value);
        value = !value;
    }
    Ok(())
}

fn encode_paged(values: &[bool], lengths: &[u32]) -> EncodedChunk {
    let mut out = EncodedChunk { meta: vec![id::BOOL_PAGES], ..EncodedChunk::default() };
    let mut rest = values;
    for length in lengths {
        let (page, after) = rest.split_at(*length as usize);
        rest = after;
        encode_page(page, &mut out.pages);
        out.end_page();
    }
    out
}

fn encode_page(page: &[bool], out: &mut Vec<u8>) {
    let Some(first) = page.first() else { return };
    if page.iter().all(|value| value == first) {
        return out.push(if *first { ALL_TRUE } else { ALL_FALSE });
    }
    let start = out.len();
    out.push(if *first { RUNS_FROM_TRUE } else { RUNS_FROM_FALSE });
    for run in page.chunk_by(|a, b| a == b) {
        put_varint(out, run.len() as u64);
        if out.len() - start > 1 + page.len().div_ceil(8) {
            out.truncate(start);
            out.push(BITS);
            return out.extend(page.chunks(8).map(|bits| {
                bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at)
            }));
        }
    }
}

/// Appends a page of the paged form.
pub(super) fn decode_paged(page: Page<'_>, out: &mut Vec<bool>) -> Result<(), CodecError> {
    let mut bytes = Reader(page.bytes);
    if page.count == 0 {
        return bytes.finish();
    }
    let form = bytes.byte()?;
    let end = out.len() + page.count;
    match form {
        ALL_FALSE | ALL_TRUE => out.resize(end, form == ALL_TRUE),
        BITS => {
            let bits = bytes.take(page.count.div_ceil(8))?;
            out.extend(bits.iter().flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1)));
            let spare = out.get(end..).is_some_and(|spare| spare.iter().any(|bit| *bit));
            out.truncate(end);
            if spare {
                return Err(CodecError::Damaged("bits are set past the last value"));
            }
        }
        RUNS_FROM_FALSE | RUNS_FROM_TRUE => {
            read_runs(&mut bytes, form == RUNS_FROM_TRUE, end, out)?;
        }
        _ => return Err(CodecError::Damaged("an unknown form of a bool page")),
    }
    bytes.finish()
}

/// Appends a page that went through `pco`.
pub(super) fn decode_numbers(
    unpacker: &Unpacker<u8>,
    page: Page<'_>,
    out: &mut Vec<bool>,
    scratch: &mut Scratch,
) -> Result<(), CodecError> {
    scratch.bytes.resize(scratch.bytes.len().max(page.count), 0);
    let latents = &mut scratch.bytes[..page.count];
    unpacker.unpack(Reader(page.bytes), latents, &mut scratch.numbers)?;
    if latents.iter().any(|latent| *latent > 1) {
        return Err(CodecError::Damaged("a bool is neither 0 nor 1"));
    }
    out.extend(latents.iter().map(|latent| *latent == 1));
    Ok(())
}

const ALL_FALSE: u8 = 0;
const ALL_TRUE: u8 = 1;
const BITS: u8 = 2;
const RUNS_FROM_FALSE: u8 = 3;
const RUNS_FROM_TRUE: u8 = 4;
