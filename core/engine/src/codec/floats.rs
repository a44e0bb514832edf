//! Floats: decimals as whole numbers, else `pco` on the floats themselves.
//!
//! Decimals follow ALP (Afroozeh, Kuffo, Boncz: "ALP: Adaptive Lossless floating-Point
//! Compression", SIGMOD 2023): a float that was printed with few digits is a small integer over a
//! power of ten. ALP multiplies by two powers to avoid the division; dividing is exactly rounded
//! instead, so every number of up to 15 digits comes back and exceptions stay rare.

use pco::data_types::Number;
use pco::{DeltaSpec, ModeSpec};

use super::integers::{DENSE_LEVEL, FAST_LEVEL, Frame, Latent, Latents, MapLatent, cheapest};
use super::numbers::{Plan, Unpacker, pack};
use super::pages::Sample;
use super::wire::{Reader, put_varint};
use super::{CodecError, Effort, EncodedChunk, Page, Scratch, id};

/// A float type of the model.
pub(super) trait Real: Number + Default {
    /// Bytes of one value.
    const LEN: usize;
    fn bits(self) -> u64;
    fn of_bits(bits: u64) -> Self;
    fn widen(self) -> f64;
    fn narrow(value: f64) -> Self;
}

impl Real for f64 {
    const LEN: usize = 8;
    fn bits(self) -> u64 {
        self.to_bits()
    }
    fn of_bits(bits: u64) -> Self {
        f64::from_bits(bits)
    }
    fn widen(self) -> f64 {
        self
    }
    fn narrow(value: f64) -> Self {
        value
    }
}

impl Real for f32 {
    const LEN: usize = 4;
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
    fn of_bits(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
    fn widen(self) -> f64 {
        f64::from(self)
    }
    fn narrow(value: f64) -> Self {
        value as f32
    }
}

pub(super) fn encode<T: Real>(values: &[T], lengths: &[u32], effort: Effort) -> EncodedChunk {
    if let Some(first) = values.first()
        && values.iter().all(|value| value.bits() == first.bits())
    {
        let mut meta = vec![id::CONSTANT];
        meta.extend_from_slice(&first.bits().to_le_bytes()[..T::LEN]);
        return EncodedChunk::without_pages(meta, lengths);
    }
    let decimals = Decimals::find(
        values,
        if effort == Effort::Quick { QUICK_SAMPLE } else { EXPONENT_SAMPLE },
    );
    match (effort, decimals) {
        (Effort::Quick, Some(decimals)) if decimals.are_plain(values.len()) => {
            decimals.encode(lengths, effort)
        }
        (Effort::Quick, _) => encode_plain(values, lengths),
        (_, Some(decimals)) if decimals.are_plain(values.len()) => decimals.encode(lengths, effort),
        (Effort::Fast, Some(decimals)) if decimals.are_common(values.len()) => {
            decimals.encode(lengths, effort)
        }
        (Effort::Fast, _) => encode_raw(values, lengths, effort),
        (Effort::Dense, None) => encode_raw(values, lengths, effort),
        (Effort::Dense, Some(decimals)) => {
            smaller(decimals.encode(lengths, effort), encode_raw(values, lengths, effort))
        }
    }
}

/// The floats themselves, as their bits.
fn encode_plain<T: Real>(values: &[T], lengths: &[u32]) -> EncodedChunk {
    let mut out = EncodedChunk { meta: vec![id::PLAIN_FLOATS], ..EncodedChunk::default() };
    let mut rest = values;
    for length in lengths {
        let (page, after) = rest.split_at(*length as usize);
        rest = after;
        page.iter()
            .for_each(|value| out.pages.extend_from_slice(&value.bits().to_le_bytes()[..T::LEN]));
        out.end_page();
    }
    out
}

/// Appends a page of floats that stand there as their bits.
pub(super) fn decode_plain<T: Real>(page: Page<'_>, out: &mut Vec<T>) -> Result<(), CodecError> {
    let mut bytes = Reader(page.bytes);
    let values = bytes.take(page.count.saturating_mul(T::LEN))?;
    out.extend(values.chunks_exact(T::LEN).map(|value| {
        let mut bits = [0; 8];
        bits[..T::LEN].copy_from_slice(value);
        T::of_bits(u64::from_le_bytes(bits))
    }));
    bytes.finish()
}

fn smaller(a: EncodedChunk, b: EncodedChunk) -> EncodedChunk {
    if a.byte_len() <= b.byte_len() { a } else { b }
}

/// The floats themselves in `pco`; as `f32` when they all are.
fn encode_raw<T: Real>(values: &[T], lengths: &[u32], effort: Effort) -> EncodedChunk {
    let narrowed: Option<Vec<f32>> = (T::LEN == 8)
        .then(|| values.iter().map(|value| narrow_exactly(value.widen())).collect())
        .flatten();
    let mut out = EncodedChunk::default();
    if let Some(narrowed) = narrowed {
        out.meta.push(id::WIDENED);
        pack(&narrowed, lengths, &raw_plan(&narrowed, lengths, effort), &mut out, |_, _| {});
    } else {
        out.meta.push(id::FLOATS);
        pack(values, lengths, &raw_plan(values, lengths, effort), &mut out, |_, _| {});
    }
    out
}

fn raw_plan<T: Real>(values: &[T], lengths: &[u32], effort: Effort) -> Plan {
    let auto = |level| Plan { level, mode: ModeSpec::Auto, delta: DeltaSpec::Auto };
    if effort == Effort::Fast {
        return auto(FAST_LEVEL);
    }
    let mut plans = vec![auto(DENSE_LEVEL)];
    let mut seen: Vec<u64> =
        Sample::new(lengths, LEAST_SAMPLED).gather(values).iter().map(|v| v.bits()).collect();
    let taken = seen.len();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() <= taken / 2 {
        plans.push(Plan { level: DENSE_LEVEL, mode: ModeSpec::TryDict, delta: DeltaSpec::NoOp });
        plans.push(Plan { level: DENSE_LEVEL, mode: ModeSpec::TryDict, delta: DeltaSpec::Auto });
    }
    cheapest(plans, values, lengths, LEAST_SAMPLED)
}

/// The `f32` that widens to exactly this value. NaNs are refused: what a conversion does to their
/// payload is the machine's choice.
fn narrow_exactly(value: f64) -> Option<f32> {
    let narrow = value as f32;
    (!value.is_nan() && f64::from(narrow).to_bits() == value.to_bits()).then_some(narrow)
}

/// A chunk as whole numbers over a power of ten, and the values that are none.
struct Decimals<T> {
    exponent: usize,
    wholes: Vec<i64>,
    /// Position in the chunk and value.
    exceptions: Vec<(usize, T)>,
}

impl<T: Real> Decimals<T> {
    /// `None` when no power of ten suits most of a sample.
    fn find(values: &[T], sample: usize) -> Option<Self> {
        let exponent = common_exponent(values, sample)?;
        let scale = *POWERS.get(exponent)?;
        let mut exceptions = Vec::new();
        let mut last = values.iter().find_map(|value| whole(*value, scale))?;
        let wholes = values.iter().enumerate().map(|(position, value)| {
            match whole(*value, scale) {
                Some(found) => last = found,
                None => exceptions.push((position, *value)),
            }
            // An exception repeats its neighbour, which costs the number coder least.
            last
        });
        let wholes = wholes.collect();
        Some(Decimals { exponent, wholes, exceptions })
    }

    /// So clearly decimal that nothing else needs a trial: few exceptions, few digits.
    fn are_plain(&self, count: usize) -> bool {
        let most = self.wholes.iter().map(|whole| whole.unsigned_abs()).max().unwrap_or_default();
        self.exceptions.len() * 200 <= count && most <= PLAIN
    }

    fn are_common(&self, count: usize) -> bool {
        self.exceptions.len() * 20 <= count
    }

    fn encode(self, lengths: &[u32], effort: Effort) -> EncodedChunk {
        let frame = Frame::fit(self.wholes.iter().copied());
        let patched = !self.exceptions.is_empty();
        let id = if effort == Effort::Quick { id::PLAIN_DECIMALS } else { id::DECIMALS };
        let mut out = EncodedChunk {
            meta: vec![id, self.exponent as u8 | if patched { PATCHED } else { 0 }],
            ..EncodedChunk::default()
        };
        frame.put(&mut out.meta);
        let starts: Vec<usize> = lengths
            .iter()
            .scan(0, |start, length| {
                *start += *length as usize;
                Some(*start - *length as usize)
            })
            .collect();
        let mut left = self.exceptions.as_slice();
        frame.pack(self.wholes.iter().copied(), lengths, effort, &mut out, |index, page| {
            if patched {
                let end = starts[index] + lengths[index] as usize;
                let here = left.partition_point(|(position, _)| *position < end);
                put_patches(page, starts[index], &left[..here]);
                left = &left[here..];
            }
        });
        out
    }
}

fn put_patches<T: Real>(page: &mut Vec<u8>, start: usize, patches: &[(usize, T)]) {
    put_varint(page, patches.len() as u64);
    let mut next = start;
    for (position, value) in patches {
        put_varint(page, (position - next) as u64);
        page.extend_from_slice(&value.bits().to_le_bytes()[..T::LEN]);
        next = position + 1;
    }
}

/// The least exponent that suits most of a sample.
fn common_exponent<T: Real>(values: &[T], sample: usize) -> Option<usize> {
    let stride = values.len().div_ceil(sample).max(1);
    let mut counts = [0usize; POWERS.len()];
    let mut taken = 0;
    for value in values.iter().step_by(stride) {
        taken += 1;
        if let Some(exponent) = (0..POWERS.len()).find(|e| whole(*value, POWERS[*e]).is_some()) {
            counts[exponent] += 1;
        }
    }
    let mut suited = 0;
    counts.iter().position(|count| {
        suited += count;
        suited * 100 >= taken * 90
    })
}

/// The whole number that divided by `scale` gives back exactly these bits.
fn whole<T: Real>(value: T, scale: f64) -> Option<i64> {
    let scaled = value.widen() * scale;
    // Adding and subtracting 1.5 * 2^52 rounds to even without a library call.
    let rounded = (scaled + ROUNDER) - ROUNDER;
    let found = rounded as i64;
    let exact = rounded.abs() <= MOST && T::narrow(found as f64 / scale).bits() == value.bits();
    exact.then_some(found)
}

/// Parsed metadata of a decimal chunk.
#[derive(Clone, Debug)]
pub(super) struct DecimalDecoder {
    map: DecimalMap,
    patched: bool,
    latents: Latents,
}

/// `(latent * divisor + base) / scale`.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecimalMap {
    base: f64,
    divisor: f64,
    scale: f64,
}

impl DecimalDecoder {
    /// Parses metadata; `latents` does so from where the frame ends.
    pub(super) fn parse(
        meta: &mut Reader<'_>,
        latents: fn(&Frame, Reader<'_>) -> Result<Latents, CodecError>,
    ) -> Result<Self, CodecError> {
        let head = meta.byte()?;
        let scale = POWERS.get(usize::from(head & !PATCHED)).copied();
        let scale = scale.ok_or(CodecError::Damaged("a decimal exponent above 17"))?;
        let frame = Frame::read(meta)?;
        let latents = latents(&frame, *meta)?;
        // Both are whole and below 2^52 in what `encode` writes, so the sums below are exact.
        let map =
            DecimalMap { base: frame.base as i64 as f64, divisor: frame.divisor as f64, scale };
        Ok(DecimalDecoder { map, patched: head & PATCHED != 0, latents })
    }

    pub(super) fn decode<T: Real>(
        &self,
        page: Page<'_>,
        out: &mut Vec<T>,
        scratch: &mut Scratch,
    ) -> Result<(), CodecError>
    where
        DecimalMap: MapLatent<T>,
    {
        let mut bytes = Reader(page.bytes);
        if !self.patched || page.count == 0 {
            return self.latents.extend(bytes, page.count, scratch, out, &self.map);
        }
        let patches = bytes.size()?;
        let mut found = Vec::with_capacity(patches.min(page.count));
        let mut position = 0;
        for _ in 0..patches {
            position = bytes.size()?.saturating_add(position);
            if position >= page.count {
                return Err(CodecError::Damaged("an exception lies past its page"));
            }
            let mut bits = [0; 8];
            bits[..T::LEN].copy_from_slice(bytes.take(T::LEN)?);
            found.push((position, T::of_bits(u64::from_le_bytes(bits))));
            position += 1;
        }
        let start = out.len();
        self.latents.extend(bytes, page.count, scratch, out, &self.map)?;
        for (position, value) in found {
            if let Some(slot) = out.get_mut(start + position) {
                *slot = value;
            }
        }
        Ok(())
    }
}

impl<T: Real> MapLatent<T> for DecimalMap {
    fn extend<L: Latent>(&self, latents: &[L], out: &mut Vec<T>) {
        let DecimalMap { base, divisor, scale } = *self;
        if scale == 1.0 {
            out.extend(latents.iter().map(|l| T::narrow(l.to_f64() * divisor + base)));
        } else {
            out.extend(latents.iter().map(|l| T::narrow((l.to_f64() * divisor + base) / scale)));
        }
    }
}

/// Appends a page of floats that were coded as they are.
pub(super) fn decode_raw<T: Real>(
    unpacker: &Unpacker<T>,
    page: Page<'_>,
    out: &mut Vec<T>,
    scratch: &mut Scratch,
) -> Result<(), CodecError> {
    let start = out.len();
    out.resize(start + page.count, T::default());
    unpacker.unpack(Reader(page.bytes), &mut out[start..], &mut scratch.numbers)
}

/// Appends a page of `f32`s as the `f64`s they stand for.
pub(super) fn decode_widened(
    unpacker: &Unpacker<f32>,
    page: Page<'_>,
    out: &mut Vec<f64>,
    scratch: &mut Scratch,
) -> Result<(), CodecError> {
    scratch.singles.resize(page.count, 0.0);
    unpacker.unpack(Reader(page.bytes), &mut scratch.singles, &mut scratch.numbers)?;
    out.extend(scratch.singles.iter().map(|value| f64::from(*value)));
    Ok(())
}

/// Powers of ten that are exact and leave room for a digit before the point.
const POWERS: [f64; 18] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17,
];
/// A dictionary shows its worth only over several pages.
const LEAST_SAMPLED: usize = 5;
const EXPONENT_SAMPLE: usize = 256;
/// What the least work looks at: a wrong guess costs a few bytes.
const QUICK_SAMPLE: usize = 16;
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// 2^51: the rounding trick holds up to here.
const MOST: f64 = 2_251_799_813_685_248.0;
/// Two bytes of latents: the floats themselves never code shorter.
const PLAIN: u64 = 0xffff;
/// Set in the exponent byte when pages begin with their exceptions.
const PATCHED: u8 = 0x80;
