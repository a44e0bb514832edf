//! The digest of a leaf: the visible rows of one device in one leaf window.
//!
//! Nearly every leaf is one block inside one slice of columns. Its canonical bytes are gathered in
//! one buffer and hashed at once.

use super::feed::{Feed, Key, PIECE_MAX};
use super::{BLOCK_CONTEXT, Digest, LEAF_CONTEXT};
use crate::bitmap::Bitmap;
use crate::column::Column;
use crate::values::{Values, VarBytes};
use alloc::vec::Vec;
use core::ops::Range;

/// The most rows of a block. Part of the format.
pub const LEAF_BLOCK_ROWS: usize = 4_096;

/// Hashes leaves, one after the other, with one buffer.
#[derive(Clone, Debug)]
pub struct LeafHasher {
    feed: Feed,
    block: Key,
    leaf: Key,
}

impl Default for LeafHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl LeafHasher {
    /// A hasher. Keep it: it holds the keys of its contexts and a buffer.
    #[must_use]
    pub fn new() -> Self {
        let block = Key::new(BLOCK_CONTEXT);
        LeafHasher { feed: Feed::new(block), block, leaf: Key::new(LEAF_CONTEXT) }
    }

    /// The digest of the leaf that is `rows` of these columns; `None` when there is no row.
    ///
    /// `times` strictly increase, and `fields` strictly ascend by (name, type). A field without a
    /// value in these rows may stand there or not.
    ///
    /// # Panics
    /// When `rows` is out of bounds.
    pub fn whole<'a>(
        &mut self,
        times: &[i64],
        rows: Range<usize>,
        fields: impl Iterator<Item = (&'a str, &'a Column)> + Clone,
    ) -> Option<Digest> {
        if rows.len() <= LEAF_BLOCK_ROWS {
            return (!rows.is_empty()).then(|| self.block(times, rows, fields));
        }
        let starts = rows.clone().step_by(LEAF_BLOCK_ROWS);
        let blocks: Vec<Digest> = starts
            .map(|start| {
                let end = rows.end.min(start + LEAF_BLOCK_ROWS);
                self.block(times, start..end, fields.clone())
            })
            .collect();
        self.leaf(&blocks)
    }

    /// The digest of one block. Every block of a leaf but the last has [`LEAF_BLOCK_ROWS`] rows.
    ///
    /// # Panics
    /// When `rows` is empty, longer than a block or out of bounds.
    pub fn block<'a>(
        &mut self,
        times: &[i64],
        rows: Range<usize>,
        fields: impl Iterator<Item = (&'a str, &'a Column)> + Clone,
    ) -> Digest {
        assert!(!rows.is_empty() && rows.len() <= LEAF_BLOCK_ROWS, "1 to 4,096 rows in a block");
        let times = &times[rows.clone()];
        debug_assert!(times.is_sorted_by(|a, b| a < b), "times strictly increase");
        let key = |(name, column): (&'a str, &'a Column)| (name, column.field_type());
        debug_assert!(
            fields.clone().map(key).is_sorted_by(|a, b| a < b),
            "fields strictly ascend by name and type"
        );
        let feed = &mut self.feed;
        feed.start(self.block);
        feed.u64(times.len() as u64);
        put_fixed(feed, times, None, i64::to_le_bytes);
        let fields = fields.filter(|(_, column)| has_value(column, &rows));
        feed.count(fields.clone().count());
        for (name, column) in fields {
            feed.text(name);
            put_column(feed, column, &rows);
        }
        feed.pad();
        feed.finish()
    }

    /// The digest of a leaf from those of its blocks, in order of time; `None` when there is none.
    pub fn leaf(&mut self, blocks: &[Digest]) -> Option<Digest> {
        match blocks {
            [] => None,
            [single] => Some(*single),
            several => {
                self.feed.start(self.leaf);
                self.feed.u64(several.len() as u64);
                several.iter().for_each(|block| self.feed.put(&block.0));
                Some(self.feed.finish())
            }
        }
    }
}

fn has_value(column: &Column, rows: &Range<usize>) -> bool {
    column.presence().is_none_or(|bits| bits.first_in(rows.start, rows.end).is_some())
}

/// Type, presence and values of a field.
fn put_column(feed: &mut Feed, column: &Column, rows: &Range<usize>) {
    let present = column.presence().map(|bits| Present::of(bits, rows));
    let present = present.filter(|present| present.count < rows.len());
    feed.put(&[column.field_type() as u8]);
    feed.u64(present.as_ref().map_or(rows.len(), |present| present.count) as u64);
    match &present {
        None => feed.put(&[1]),
        Some(present) => {
            feed.put(&[0]);
            present.put(feed, rows.len());
        }
    }
    let (rows, present) = (rows.clone(), present.as_ref());
    match column.values() {
        Values::F64(v) => put_fixed(feed, &v[rows], present, |v| v.to_bits().to_le_bytes()),
        Values::F32(v) => put_fixed(feed, &v[rows], present, |v| v.to_bits().to_le_bytes()),
        Values::I64(v) => put_fixed(feed, &v[rows], present, i64::to_le_bytes),
        Values::U64(v) => put_fixed(feed, &v[rows], present, u64::to_le_bytes),
        Values::Bool(v) => put_fixed(feed, &v[rows], present, |v| [u8::from(v)]),
        Values::String(v) | Values::Bytes(v) => match present {
            None => rows.for_each(|row| put_text(feed, v, row)),
            Some(present) => present.rows().for_each(|row| put_text(feed, v, rows.start + row)),
        },
    }
}

/// Copies numbers. Where all are present the loop is one the compiler makes a plain copy of.
fn put_fixed<T: Copy, const N: usize>(
    feed: &mut Feed,
    values: &[T],
    present: Option<&Present>,
    to_bytes: impl Fn(T) -> [u8; N],
) {
    let count = present.map_or(values.len(), |present| present.count);
    let (slots, _) = feed.room(count * N).as_chunks_mut::<N>();
    match present {
        None => slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = to_bytes(*value)),
        Some(present) => {
            let rows = present.rows();
            slots.iter_mut().zip(rows).for_each(|(slot, row)| *slot = to_bytes(values[row]));
        }
    }
}

fn put_text(feed: &mut Feed, values: &VarBytes, row: usize) {
    let value = values.at(row);
    feed.u64(value.len() as u64);
    feed.put(value);
}

/// Which rows of a block have a value.
struct Present {
    words: [u64; LEAF_BLOCK_ROWS / 64],
    count: usize,
}

impl Present {
    fn of(bits: &Bitmap, rows: &Range<usize>) -> Self {
        let mut words = [0; LEAF_BLOCK_ROWS / 64];
        words.iter_mut().zip(bits.words_in(rows.start, rows.end)).for_each(|(to, from)| *to = from);
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Present { words, count }
    }

    /// A bit per row, lowest first.
    fn put(&self, feed: &mut Feed, rows: usize) {
        let bytes = feed.room(rows.div_ceil(8));
        let words = self.words.iter().map(|word| word.to_le_bytes());
        bytes.chunks_mut(8).zip(words).for_each(|(to, from)| to.copy_from_slice(&from[..to.len()]));
    }

    /// The rows, in order.
    fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(number, word)| {
            let mut rest = *word;
            core::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(64 * number + bit)
            })
        })
    }
}

const _: () = {
    // A column of numbers is gathered in one piece.
    assert!(LEAF_BLOCK_ROWS * 8 <= PIECE_MAX);
    assert!(LEAF_BLOCK_ROWS.is_multiple_of(64));
};
