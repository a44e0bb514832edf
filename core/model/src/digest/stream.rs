//! A leaf whose rows come in slices: cut into blocks by counting rows, so the digest is the same
//! however the rows were sliced, and at most one block of rows is held.

use super::Digest;
use super::leaf::{LEAF_BLOCK_ROWS, LeafHasher};
use crate::column::Column;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Hashes a leaf from slices of its rows.
#[derive(Clone, Debug, Default)]
pub struct LeafStream {
    hasher: LeafHasher,
    blocks: Vec<Digest>,
    /// The rows of the block that is not full yet.
    times: Vec<i64>,
    /// Its fields, ascending by (name, type).
    columns: Vec<(String, Column)>,
}

impl LeafStream {
    /// A stream without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends rows that follow those appended before. As for [`LeafHasher::whole`]; the fields of
    /// two slices may differ.
    ///
    /// # Panics
    /// When `rows` is out of bounds.
    pub fn push<'a>(
        &mut self,
        times: &[i64],
        rows: Range<usize>,
        fields: impl Iterator<Item = (&'a str, &'a Column)> + Clone,
    ) {
        let mut start = rows.start;
        while start < rows.end {
            let end = rows.end.min(start + LEAF_BLOCK_ROWS - self.times.len());
            if end - start == LEAF_BLOCK_ROWS {
                // A whole block in one slice needs no copy.
                self.blocks.push(self.hasher.block(times, start..end, fields.clone()));
            } else {
                self.hold(times, start..end, fields.clone());
            }
            start = end;
        }
    }

    /// The digest of the rows appended, `None` when there were none; then begins the next leaf.
    pub fn finish(&mut self) -> Option<Digest> {
        self.hash_held();
        let digest = self.hasher.leaf(&self.blocks);
        self.blocks.clear();
        digest
    }

    fn hold<'a>(
        &mut self,
        times: &[i64],
        rows: Range<usize>,
        fields: impl Iterator<Item = (&'a str, &'a Column)>,
    ) {
        let held = self.times.len();
        self.times.extend_from_slice(&times[rows.clone()]);
        for (name, column) in fields {
            let kind = column.field_type();
            let found = self
                .columns
                .binary_search_by(|(own, values)| (&**own, values.field_type()).cmp(&(name, kind)));
            let at = found.unwrap_or_else(|at| {
                self.columns.insert(at, (name.into(), Column::new(kind)));
                at
            });
            let own = &mut self.columns[at].1;
            own.pad(held);
            own.extend_from(column, rows.start, rows.end);
        }
        self.columns.iter_mut().for_each(|(_, column)| column.pad(self.times.len()));
        if self.times.len() == LEAF_BLOCK_ROWS {
            self.hash_held();
        }
    }

    /// Hashes the rows held, if any, as a block.
    fn hash_held(&mut self) {
        if self.times.is_empty() {
            return;
        }
        let fields = self.columns.iter().map(|(name, column)| (&**name, column));
        self.blocks.push(self.hasher.block(&self.times, 0..self.times.len(), fields));
        self.times.clear();
        self.columns.clear();
    }
}
