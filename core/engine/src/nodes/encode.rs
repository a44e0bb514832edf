//! Collecting the nodes of a block, and writing them as columns.

use super::layout::{BlockDirectory, ColumnEntry, NODES_MAX};
use super::numbers::{spread_near, steps};
use super::parts::{PARTS, Part, Sink, split};
use crate::codec::{Effort, EncodedChunk, encode};
use crate::rollup::Rollup;
use tidelog_model::{FieldType, ValueRef, Values};

/// A block is complete with so many rollups, so that many fields do not make it large in memory...
const ROLLUPS_MAX: usize = 1 << 17;
/// ...or so many bytes of text.
const TEXT_MAX: usize = 1 << 20;

/// The nodes of a block that is not complete.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    series: Vec<u64>,
    starts: Vec<i64>,
    rows: Vec<u64>,
    fields: Vec<FieldBuilder>,
    rollups: usize,
    text: usize,
}

#[derive(Debug)]
struct FieldBuilder {
    kind: FieldType,
    present: Vec<bool>,
    columns: [Option<Values>; PARTS],
    /// Values of each node that has some.
    counts: Vec<u64>,
    text: usize,
}

/// A block but for the places and checksums of its columns.
#[derive(Debug)]
pub(super) struct Encoded {
    effort: Effort,
    pub(super) columns: Vec<(Option<u32>, Part, EncodedChunk)>,
    pub(super) nodes: u32,
    pub(super) first: (u32, i64),
    pub(super) last: (u32, i64),
}

impl BlockBuilder {
    pub(super) fn new(kinds: impl Iterator<Item = FieldType>) -> Self {
        let field = |kind| FieldBuilder {
            kind,
            present: Vec::new(),
            columns: [const { None }; PARTS],
            counts: Vec::new(),
            text: 0,
        };
        BlockBuilder { fields: kinds.map(field).collect(), ..BlockBuilder::default() }
    }

    /// Adds a node; how many of its rollups have values.
    ///
    /// # Panics
    /// When the rollups are not one for each field, of its type: a bug of ours.
    pub(super) fn push(&mut self, series: u32, start: i64, rows: u64, rollups: &[Rollup]) -> usize {
        assert!(rollups.len() == self.fields.len(), "each field has a rollup");
        self.series.push(u64::from(series));
        self.starts.push(start);
        self.rows.push(rows);
        let mut with_values = 0;
        for (field, rollup) in self.fields.iter_mut().zip(rollups) {
            assert!(rollup.kind() == field.kind, "a rollup is of the type of its field");
            field.present.push(!rollup.is_empty());
            if !rollup.is_empty() {
                with_values += 1;
                field.counts.push(rollup.count());
                split(rollup, start, rows, field);
                self.text += std::mem::take(&mut field.text);
            }
        }
        self.rollups += with_values;
        with_values
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.starts.len() >= NODES_MAX || self.rollups >= ROLLUPS_MAX || self.text >= TEXT_MAX
    }

    /// Takes the nodes out and encodes them; there must be some.
    pub(super) fn encode(&mut self, effort: Effort) -> Encoded {
        let empty = BlockBuilder::new(self.fields.iter().map(|field| field.kind));
        let block = std::mem::replace(self, empty);
        let key = |at: usize| (block.series[at] as u32, block.starts[at]);
        let nodes = block.starts.len();
        let (first, last) = (key(0), key(nodes - 1));
        let mut out = Encoded {
            effort,
            columns: Vec::new(),
            nodes: u32::try_from(nodes).expect("a block has few nodes"),
            first,
            last,
        };
        out.column(None, Part::Series, &Values::U64(block.series));
        out.column(None, Part::Start, &Values::I64(block.starts));
        out.column(None, Part::Rows, &Values::U64(block.rows));
        for (number, mut field) in (0u32..).zip(block.fields) {
            if !field.present.contains(&true) {
                continue;
            }
            if effort != Effort::Quick {
                field.take_steps(Part::Sum, Part::SumMore);
                field.take_steps(Part::Dropped, Part::DroppedMore);
            }
            field.take_spread_steps(effort);
            field.columns[Part::Present as usize] = Some(Values::Bool(field.present));
            for (part, values) in Part::ALL.into_iter().zip(&field.columns) {
                if let Some(values) = values {
                    out.column(Some(number), part, values);
                }
            }
        }
        out
    }
}

impl Encoded {
    /// Adds a column, unless it is all zero or all true: what is left out is taken for that.
    fn column(&mut self, field: Option<u32>, part: Part, values: &Values) {
        let left_out = match values {
            Values::F64(all) => all.iter().all(|value| value.to_bits() == 0),
            Values::F32(all) => all.iter().all(|value| value.to_bits() == 0),
            Values::I64(all) => all.iter().all(|value| *value == 0),
            Values::U64(all) => all.iter().all(|value| *value == 0),
            Values::Bool(all) => {
                matches!(part, Part::Present | Part::Ordered | Part::Counter)
                    && !all.contains(&false)
            }
            Values::String(_) | Values::Bytes(_) => false,
        };
        // That there is a first tells that the field has values.
        if !left_out || part == Part::First {
            let lengths = [u32::try_from(values.len()).expect("a block has few nodes")];
            self.columns.push((field, part, encode(values, &lengths, self.effort)));
        }
    }

    /// The bytes of the block at this offset of its file, and how many of them are its directory.
    pub(super) fn bytes(
        &self,
        offset: u64,
        checksum: impl Fn(u64, &[u8]) -> u32,
    ) -> (Vec<u8>, usize) {
        let mut body = Vec::new();
        let mut ends = Vec::with_capacity(self.columns.len());
        let mut columns = Vec::with_capacity(self.columns.len());
        for (field, part, chunk) in &self.columns {
            body.extend_from_slice(&chunk.meta);
            body.extend_from_slice(&chunk.pages);
            ends.push(body.len());
            columns.push(ColumnEntry {
                field: *field,
                part: *part,
                meta: chunk.meta.len(),
                page: chunk.pages.len(),
                crc: 0,
            });
        }
        let mut directory = BlockDirectory { nodes: self.nodes as usize, columns };
        // Checksums have a fixed length, so the directory's is known before they are.
        let len = directory.encode().len();
        let mut start = 0;
        for (column, end) in directory.columns.iter_mut().zip(ends) {
            column.crc = checksum(offset + (len + start) as u64, &body[start..end]);
            start = end;
        }
        let mut bytes = directory.encode();
        bytes.append(&mut body);
        (bytes, len)
    }
}

impl FieldBuilder {
    /// Sums of decimals are a few rounding errors away from a decimal: keeps the decimals, which the codec makes
    /// short, and in a column of its own how many steps away the sums are.
    fn take_steps(&mut self, sums: Part, more: Part) {
        let Some(Values::F64(values)) = &mut self.columns[sums as usize] else { return };
        let Some(power) = best_power(values) else { return };
        let mut away = Vec::with_capacity(values.len());
        for value in values {
            let near = decimal_near(*value, power).unwrap_or(*value);
            away.push(steps(near, *value));
            *value = near;
        }
        self.columns[more as usize] = Some(Values::I64(away));
    }

    /// The squared differences of decimals from their mean sum up to a decimal once they are multiplied by their
    /// number, but for rounding errors: that product is kept, and how many steps away its quotient is.
    fn take_spread_steps(&mut self, effort: Effort) {
        let Some(Values::F64(spreads)) = &mut self.columns[Part::Spread as usize] else { return };
        let product = |(spread, count): (&f64, &u64)| {
            let product = *spread * *count as f64;
            if spread.is_finite() { product } else { *spread }
        };
        let mut products: Vec<f64> = spreads.iter().zip(&self.counts).map(product).collect();
        let power = if effort == Effort::Quick { None } else { best_power(&products) };
        if let Some(power) = power {
            for product in &mut products {
                *product = decimal_near(*product, power).unwrap_or(*product);
            }
        }
        let kept = products.iter().zip(&self.counts).zip(&*spreads);
        let away =
            kept.map(|((product, count), spread)| steps(spread_near(*product, *count), *spread));
        let away = away.collect();
        *spreads = products;
        self.columns[Part::SpreadMore as usize] = Some(Values::I64(away));
    }
}

impl Sink for FieldBuilder {
    fn put(&mut self, part: Part, value: ValueRef<'_>) {
        let kind = part.kind(Some(self.kind)).expect("a rollup has the parts of its type");
        if let ValueRef::String(_) | ValueRef::Bytes(_) = value {
            value.with_canonical_bytes(|bytes| self.text += bytes.len());
        }
        let pushed =
            self.columns[part as usize].get_or_insert_with(|| Values::new(kind)).push(value);
        assert!(pushed, "a part has one type");
    }
}

const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// The codec's own limit for whole numbers of decimals.
const WHOLE_MAX: f64 = 2_251_799_813_685_248.0;
/// Further steps than this are no rounding errors.
const STEPS_MAX: u64 = 1 << 12;
/// Bits that a sum takes as it is but for zeros at its end, and that an exception takes.
const PLAIN_BITS: u32 = 56;
const EXCEPTION_BITS: u32 = 80;

/// The nearest decimal, where it is near.
fn decimal_near(value: f64, power: f64) -> Option<f64> {
    let whole = (value * power).round();
    let near = whole / power;
    let fits = whole.abs() < WHOLE_MAX && steps(near, value).unsigned_abs() <= STEPS_MAX;
    fits.then_some(near)
}

/// The power of ten at which the numbers take the fewest bits; `None` when they take fewer as they are.
fn best_power(values: &[f64]) -> Option<f64> {
    let length = |number: u64| u64::BITS - number.leading_zeros();
    let bits = |power: f64| -> u32 {
        let of = |value: &f64| {
            decimal_near(*value, power).map_or(EXCEPTION_BITS, |near| {
                let whole = (near * power).abs() as u64;
                2 + length(steps(near, *value).unsigned_abs()) + length(whole)
            })
        };
        values.iter().map(of).sum()
    };
    let best = POWERS.into_iter().map(|power| (bits(power), power));
    let best = best.min_by_key(|(bits, _)| *bits)?;
    let zeros = values.iter().map(|value| value.to_bits().trailing_zeros()).min()?;
    let plain = PLAIN_BITS.saturating_sub(zeros) * values.len() as u32;
    (best.0 < plain).then_some(best.1)
}
