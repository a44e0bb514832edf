//! Whole numbers that repeat a pattern (a timetable, a duty cycle): differences as varints, the
//! whole chunk in one zstd block. zstd sees repeats of many values, which `pco` codes one by one.

use super::integers::Whole;
use super::text::{put_block, read_block};
use super::wire::{Reader, put_varint, unzigzag, zigzag};
use super::{CodecError, Effort, EncodedChunk, id};

/// Replaces `out` where the pattern form is clearly smaller: it makes the first read of a page
/// decode the whole chunk, which a few per cent would not pay, nor less than half of a large one.
pub(super) fn improve<T: Whole>(values: &[T], lengths: &[u32], out: &mut EncodedChunk) {
    let bound = if values.len() <= SMALL { out.byte_len() * 9 / 10 } else { out.byte_len() / 2 };
    let encode = |order, effort| {
        let mut meta = vec![id::PATTERN, order];
        put_block(&mut meta, &differences(values, order), effort);
        meta
    };
    // A quick pass tells whether the slow one, which gains up to two fifths, can win.
    let quick = [1, 2].map(|order| encode(order, Effort::Fast).len());
    let order = if quick[0] <= quick[1] { 1 } else { 2 };
    if quick[0].min(quick[1]) > bound * 5 / 3 {
        return;
    }
    let meta = encode(order, Effort::Dense);
    if meta.len() < bound {
        *out = EncodedChunk::without_pages(meta, lengths);
    }
}

fn differences<T: Whole>(values: &[T], order: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * values.len());
    let (mut last, mut last_step) = (0u64, 0u64);
    for value in values {
        let step = value.bits().wrapping_sub(last);
        let stored = if order == 2 { step.wrapping_sub(last_step) } else { step };
        put_varint(&mut out, zigzag(stored as i64));
        (last, last_step) = (value.bits(), step);
    }
    out
}

/// All values of the chunk, as bits.
pub(super) fn parse(meta: &mut Reader<'_>, total: usize) -> Result<Vec<u64>, CodecError> {
    let order = meta.byte()?;
    if !(1..=2).contains(&order) {
        return Err(CodecError::Damaged("a pattern chunk of an order other than 1 and 2"));
    }
    if Reader(meta.0).size()? > 10 * total {
        return Err(CodecError::Damaged("a pattern block is longer than its values"));
    }
    let mut buffer = Vec::new();
    let mut raw = Reader(read_block(meta, &mut buffer)?);
    meta.finish()?;
    let mut values = Vec::with_capacity(total);
    let (mut value, mut step) = (0u64, 0u64);
    for _ in 0..total {
        let stored = unzigzag(raw.varint()?) as u64;
        step = if order == 2 { step.wrapping_add(stored) } else { stored };
        value = value.wrapping_add(step);
        values.push(value);
    }
    raw.finish()?;
    Ok(values)
}

/// A chunk that decodes in a tenth of a millisecond and takes 128 KiB.
const SMALL: usize = 1 << 14;
