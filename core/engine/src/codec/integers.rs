//! Whole numbers: a constant, a regular step, or `base + divisor * latent` with latents as narrow
//! as they fit. Narrow latents cost `pco` less metadata and decode faster.

use pco::data_types::Number;
use pco::{DeltaSpec, ModeSpec};

use super::grid::Grid;
use super::numbers::{Numbers, Plan, Unpacker, pack};
use super::pages::Sample;
use super::wire::{Reader, put_varint, unzigzag, zigzag};
use super::{CodecError, Effort, EncodedChunk, Scratch, id};

/// A 64-bit integer type of the model, seen as its bits.
pub(super) trait Whole: Copy + Ord + Default {
    fn bits(self) -> u64;
    fn of_bits(bits: u64) -> Self;
}

impl Whole for i64 {
    fn bits(self) -> u64 {
        self as u64
    }
    fn of_bits(bits: u64) -> Self {
        bits as i64
    }
}

impl Whole for u64 {
    fn bits(self) -> u64 {
        self
    }
    fn of_bits(bits: u64) -> Self {
        bits
    }
}

pub(super) fn encode<T: Whole>(values: &[T], lengths: &[u32], effort: Effort) -> EncodedChunk {
    if let Some(meta) = describe(values) {
        return EncodedChunk::without_pages(meta, lengths);
    }
    if effort != Effort::Quick
        && let Some(grid) = Grid::fit(values)
    {
        let mut meta = vec![id::GRID];
        grid.put(&mut meta);
        return EncodedChunk::without_pages(meta, lengths);
    }
    let frame = Frame::fit(values.iter().copied());
    let id = if effort == Effort::Quick { id::PLAIN_INTEGERS } else { id::INTEGERS };
    let mut out = EncodedChunk { meta: vec![id], ..EncodedChunk::default() };
    frame.put(&mut out.meta);
    frame.pack(values.iter().copied(), lengths, effort, &mut out, |_, _| {});
    if effort == Effort::Dense {
        super::pattern::improve(values, lengths, &mut out);
    }
    out
}

/// Metadata that says it all: a constant or a regular step.
fn describe<T: Whole>(values: &[T]) -> Option<Vec<u8>> {
    let first = values.first()?.bits();
    let step = values.get(1).map_or(0, |second| second.bits().wrapping_sub(first));
    let regular = values.windows(2).all(|pair| pair[1].bits().wrapping_sub(pair[0].bits()) == step);
    regular.then(|| {
        let mut meta = vec![if step == 0 { id::CONSTANT } else { id::STEP }];
        meta.extend_from_slice(&first.to_le_bytes());
        if step != 0 {
            meta.extend_from_slice(&step.to_le_bytes());
        }
        meta
    })
}

/// `value = base + divisor * latent`, wrapping, with latents of `width` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) base: u64,
    pub(super) divisor: u64,
    width: u8,
}

impl Frame {
    /// The narrowest frame of all values.
    pub(super) fn fit<T: Whole>(values: impl Iterator<Item = T> + Clone) -> Self {
        let (least, most) = values.clone().fold((None, None), |(least, most), value| {
            (
                Some(least.map_or(value, |v: T| v.min(value))),
                Some(most.map_or(value, |v: T| v.max(value))),
            )
        });
        let base = least.unwrap_or_default().bits();
        let range = most.unwrap_or_default().bits().wrapping_sub(base);
        let mut divisor = 0;
        for value in values {
            let offset = value.bits().wrapping_sub(base);
            if divisor == 0 || offset % divisor != 0 {
                divisor = greatest_common_divisor(divisor, offset);
            }
            if divisor == 1 {
                break;
            }
        }
        let divisor = divisor.max(1);
        Frame { base, divisor, width: width_of(range / divisor) }
    }

    /// The frame of numbers below `end`, as they are.
    pub(super) fn below(end: u64) -> Self {
        Frame { base: 0, divisor: 1, width: width_of(end.saturating_sub(1)) }
    }

    pub(super) fn put(&self, meta: &mut Vec<u8>) {
        meta.push(self.width);
        put_varint(meta, zigzag(self.base as i64));
        put_varint(meta, self.divisor);
    }

    pub(super) fn read(meta: &mut Reader<'_>) -> Result<Self, CodecError> {
        let width = meta.byte()?;
        let base = unzigzag(meta.varint()?) as u64;
        Ok(Frame { base, divisor: meta.varint()?, width })
    }

    /// Appends pco metadata and pages of the latents.
    pub(super) fn pack<T: Whole>(
        &self,
        values: impl Iterator<Item = T>,
        lengths: &[u32],
        effort: Effort,
        out: &mut EncodedChunk,
        before_page: impl FnMut(usize, &mut Vec<u8>),
    ) {
        let offsets = values.map(|value| value.bits().wrapping_sub(self.base));
        match self.width {
            1 => self.pack_as::<u8>(offsets, lengths, effort, out, before_page),
            2 => self.pack_as::<u16>(offsets, lengths, effort, out, before_page),
            4 => self.pack_as::<u32>(offsets, lengths, effort, out, before_page),
            _ => self.pack_as::<u64>(offsets, lengths, effort, out, before_page),
        }
    }

    fn pack_as<L: Latent>(
        &self,
        offsets: impl Iterator<Item = u64>,
        lengths: &[u32],
        effort: Effort,
        out: &mut EncodedChunk,
        before_page: impl FnMut(usize, &mut Vec<u8>),
    ) {
        let latents: Vec<L> = match self.divisor {
            1 => offsets.map(L::of_u64).collect(),
            divisor => offsets.map(|offset| L::of_u64(offset / divisor)).collect(),
        };
        let plan = match effort {
            Effort::Quick => return pack_plain(&latents, lengths, out, before_page),
            Effort::Fast => Plan::classic(FAST_LEVEL, quick_order(&latents)),
            Effort::Dense => best_plan(&latents, lengths),
        };
        pack(&latents, lengths, &plan, out, before_page);
    }
}

/// Appends pages of latents as they are.
fn pack_plain<L: Latent>(
    mut latents: &[L],
    lengths: &[u32],
    out: &mut EncodedChunk,
    mut before_page: impl FnMut(usize, &mut Vec<u8>),
) {
    for (index, length) in lengths.iter().enumerate() {
        let (page, rest) = latents.split_at(*length as usize);
        latents = rest;
        if !page.is_empty() {
            before_page(index, &mut out.pages);
            L::put_all(page, &mut out.pages);
        }
        out.end_page();
    }
}

/// Bits that the first values take, roughly, under delta orders 0, 1 and 2.
fn order_costs<L: Latent>(latents: &[L]) -> [u32; 3] {
    let head: Vec<i64> = latents.iter().take(QUICK_SAMPLE).map(|l| l.to_u64() as i64).collect();
    let bits = |values: &[i64]| -> u32 {
        values.iter().map(|v| 65 - v.unsigned_abs().leading_zeros()).sum::<u32>()
    };
    let differences = |values: &[i64]| -> Vec<i64> {
        values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect()
    };
    let middle = head.get(head.len() / 2).copied().unwrap_or_default();
    let centred: Vec<i64> = head.iter().map(|v| v.wrapping_sub(middle)).collect();
    let first = differences(&head);
    let second = differences(&first);
    [bits(&centred), bits(&first), bits(&second)]
}

/// The delta order that looks cheapest.
fn quick_order<L: Latent>(latents: &[L]) -> usize {
    let costs = order_costs(latents);
    (0..3).min_by_key(|order| costs[*order]).unwrap_or_default()
}

/// The plan that makes the chunk smallest, judged by a sample.
fn best_plan<L: Latent>(latents: &[L], lengths: &[u32]) -> Plan {
    let costs = order_costs(latents);
    let least = costs.iter().min().copied().unwrap_or_default();
    let mut plans: Vec<Plan> = (0..3)
        .filter(|order| costs[*order] <= least + least / 4)
        .map(|order| Plan::classic(DENSE_LEVEL, order))
        .collect();
    // Multiples with a remainder, and repeats at a distance: worth a trial only where a value
    // takes bytes, not bits, and where the sample is a small part of the chunk.
    if size_of::<L>() >= 4 || lengths.len() >= 16 {
        let mode = ModeSpec::Auto;
        plans.extend(
            (0..2).map(|order| Plan { mode: mode.clone(), ..Plan::classic(DENSE_LEVEL, order) }),
        );
        plans.push(Plan { delta: DeltaSpec::TryLookback, ..Plan::classic(DENSE_LEVEL, 0) });
    }
    let tried = plans.len() > 1;
    let best = cheapest(plans.clone(), latents, lengths, LEAST_SAMPLED);
    if !tried || matches!(best.mode, ModeSpec::Classic) {
        return best;
    }
    // A divisor that `pco` finds in a sample it may miss in the chunk, or find another that costs
    // more than none: the whole chunk decides.
    plans.retain(|plan| matches!(plan.mode, ModeSpec::Classic));
    let safe = cheapest(plans, latents, lengths, LEAST_SAMPLED);
    let bytes = |plan: &Plan| {
        let mut out = EncodedChunk::default();
        pack(latents, lengths, plan, &mut out, |_, _| {});
        out.byte_len()
    };
    if bytes(&best) < bytes(&safe) { best } else { safe }
}

/// The plan of `plans` that makes a sample of at least `least` pages smallest; a single one wins
/// unasked.
pub(super) fn cheapest<N: Number>(
    mut plans: Vec<Plan>,
    values: &[N],
    lengths: &[u32],
    least: usize,
) -> Plan {
    if plans.len() > 1 {
        let sample = Sample::new(lengths, least);
        let (taken, taken_lengths) = (sample.gather(values), sample.lengths());
        let cost = |plan: &Plan| {
            let mut out = EncodedChunk::default();
            pack(&taken, &taken_lengths, plan, &mut out, |_, _| {});
            sample.scale(&out)
        };
        plans.sort_by_cached_key(cost);
    }
    plans.swap_remove(0)
}

fn width_of(most: u64) -> u8 {
    match most {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// An unsigned type that `pco` codes.
pub(super) trait Latent: Number + Default {
    fn of_u64(value: u64) -> Self;
    fn to_u64(self) -> u64;
    fn to_f64(self) -> f64;
    fn put_all(all: &[Self], out: &mut Vec<u8>);
    /// Reads as many as there are places, to the end of the bytes.
    fn read_all(bytes: Reader<'_>, into: &mut [Self]) -> Result<(), CodecError>;
    fn buffers(scratch: &mut Scratch) -> (&mut Vec<Self>, &mut Numbers);
}

macro_rules! latent {
    ($type:ty, $buffer:ident) => {
        impl Latent for $type {
            fn of_u64(value: u64) -> Self {
                value as $type
            }
            fn to_u64(self) -> u64 {
                u64::from(self)
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn put_all(all: &[Self], out: &mut Vec<u8>) {
                let start = out.len();
                out.resize(start + size_of_val(all), 0);
                let (slots, _) = out[start..].as_chunks_mut::<{ size_of::<$type>() }>();
                slots.iter_mut().zip(all).for_each(|(to, from)| *to = from.to_le_bytes());
            }
            fn read_all(mut bytes: Reader<'_>, into: &mut [Self]) -> Result<(), CodecError> {
                let (chunks, _) =
                    bytes.take(size_of_val(into))?.as_chunks::<{ size_of::<$type>() }>();
                into.iter_mut().zip(chunks).for_each(|(to, from)| *to = Self::from_le_bytes(*from));
                bytes.finish()
            }
            fn buffers(scratch: &mut Scratch) -> (&mut Vec<Self>, &mut Numbers) {
                (&mut scratch.$buffer, &mut scratch.numbers)
            }
        }
    };
}

latent!(u8, bytes);
latent!(u16, shorts);
latent!(u32, words);
latent!(u64, longs);

/// Latents of any width, parsed.
#[derive(Clone, Debug)]
pub(super) enum Latents {
    Bytes(Unpacker<u8>),
    Shorts(Unpacker<u16>),
    Words(Unpacker<u32>),
    Longs(Unpacker<u64>),
    /// As they are, of so many bytes.
    Plain(u8),
}

impl Latents {
    pub(super) fn parse(frame: &Frame, meta: Reader<'_>) -> Result<Self, CodecError> {
        Ok(match frame.width {
            1 => Latents::Bytes(Unpacker::parse(meta)?),
            2 => Latents::Shorts(Unpacker::parse(meta)?),
            4 => Latents::Words(Unpacker::parse(meta)?),
            8 => Latents::Longs(Unpacker::parse(meta)?),
            _ => return Err(WIDTH),
        })
    }

    /// Latents that stand in pages as they are.
    pub(super) fn plain(frame: &Frame, meta: Reader<'_>) -> Result<Self, CodecError> {
        meta.finish()?;
        match frame.width {
            1 | 2 | 4 | 8 => Ok(Latents::Plain(frame.width)),
            _ => Err(WIDTH),
        }
    }

    /// Appends `map` of every latent of a page.
    pub(super) fn extend<O>(
        &self,
        page: Reader<'_>,
        count: usize,
        scratch: &mut Scratch,
        out: &mut Vec<O>,
        map: &impl MapLatent<O>,
    ) -> Result<(), CodecError> {
        match self {
            Latents::Bytes(unpacker) => extend(unpacker, page, count, scratch, out, map),
            Latents::Shorts(unpacker) => extend(unpacker, page, count, scratch, out, map),
            Latents::Words(unpacker) => extend(unpacker, page, count, scratch, out, map),
            Latents::Longs(unpacker) => extend(unpacker, page, count, scratch, out, map),
            Latents::Plain(1) => extend_plain::<u8, O>(page, count, scratch, out, map),
            Latents::Plain(2) => extend_plain::<u16, O>(page, count, scratch, out, map),
            Latents::Plain(4) => extend_plain::<u32, O>(page, count, scratch, out, map),
            Latents::Plain(_) => extend_plain::<u64, O>(page, count, scratch, out, map),
        }
    }
}

const WIDTH: CodecError = CodecError::Damaged("a latent width other than 1, 2, 4 and 8");

fn extend_plain<L: Latent, O>(
    page: Reader<'_>,
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<O>,
    map: &impl MapLatent<O>,
) -> Result<(), CodecError> {
    let (buffer, _) = L::buffers(scratch);
    if buffer.len() < count {
        buffer.resize(count, L::default());
    }
    let latents = &mut buffer[..count];
    L::read_all(page, latents)?;
    map.extend(latents, out);
    Ok(())
}

fn extend<L: Latent, O>(
    unpacker: &Unpacker<L>,
    page: Reader<'_>,
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<O>,
    map: &impl MapLatent<O>,
) -> Result<(), CodecError> {
    let (buffer, numbers) = L::buffers(scratch);
    if buffer.len() < count {
        buffer.resize(count, L::default());
    }
    let latents = &mut buffer[..count];
    unpacker.unpack(page, latents, numbers)?;
    map.extend(latents, out);
    Ok(())
}

/// What a latent of any width stands for.
pub(super) trait MapLatent<O> {
    fn extend<L: Latent>(&self, latents: &[L], out: &mut Vec<O>);
}

impl<T: Whole> MapLatent<T> for Frame {
    fn extend<L: Latent>(&self, latents: &[L], out: &mut Vec<T>) {
        let Frame { base, divisor, .. } = *self;
        if divisor == 1 {
            out.extend(latents.iter().map(|l| T::of_bits(base.wrapping_add(l.to_u64()))));
        } else {
            out.extend(
                latents
                    .iter()
                    .map(|l| T::of_bits(base.wrapping_add(l.to_u64().wrapping_mul(divisor)))),
            );
        }
    }
}

/// Level 4 is the least that finds several bins; it encodes 720 values at 70 to 100 M/s.
pub(super) const FAST_LEVEL: usize = 4;
/// Level 12 makes whole numbers 0.1 % smaller on real data, at half the speed.
pub(super) const DENSE_LEVEL: usize = 8;
/// Pages of whole numbers that a trial codes at least.
const LEAST_SAMPLED: usize = 2;
const QUICK_SAMPLE: usize = 128;
