//! Prints of rows: what two stores compare inside a leaf whose digests differ. They find a row and prove nothing; what
//! was found is compared by digests again.

use super::ROW_CONTEXT;
use crate::values::{FieldType, ValueRef};
use alloc::vec::Vec;

/// Makes prints, salted: a chance that hides a difference once does not hide it twice.
#[derive(Clone, Debug)]
pub struct RowPrinter {
    key: [u8; 32],
    salt: u64,
    bytes: Vec<u8>,
}

impl RowPrinter {
    /// A printer for one comparison.
    #[must_use]
    pub fn new(salt: u64) -> Self {
        let key = blake3::Hasher::new_derive_key(ROW_CONTEXT).finalize();
        RowPrinter { key: *key.as_bytes(), salt, bytes: Vec::new() }
    }

    /// The print of a row: the first 8 bytes, little-endian, of BLAKE3, keyed with the hash of nothing in
    /// [`ROW_CONTEXT`], over the salt, the time, and name, type and value of each cell, names and values after their
    /// lengths as `u32`. Cells ascend by name and type; their versions are no part of it.
    pub fn print<'a>(
        &mut self,
        time: i64,
        cells: impl IntoIterator<Item = (&'a str, FieldType, ValueRef<'a>)>,
    ) -> u64 {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&time.to_le_bytes());
        // Names and values are capped far below 4 GiB.
        let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        for (name, kind, value) in cells {
            bytes.extend_from_slice(&len(name.len()));
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(kind as u8);
            value.with_canonical_bytes(|value| {
                bytes.extend_from_slice(&len(value.len()));
                bytes.extend_from_slice(value);
            });
        }
        let hash = blake3::keyed_hash(&self.key, bytes);
        u64::from_le_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_changes_with_every_part_of_a_row_and_with_the_salt() {
        let print = |salt, time, cells: &[(&str, ValueRef<'_>)]| {
            let cells = cells.iter().map(|(name, value)| (*name, value.field_type(), *value));
            RowPrinter::new(salt).print(time, cells)
        };
        let all = [
            print(1, 5, &[("a", ValueRef::F64(1.0))]),
            print(2, 5, &[("a", ValueRef::F64(1.0))]),
            print(1, 6, &[("a", ValueRef::F64(1.0))]),
            print(1, 5, &[("b", ValueRef::F64(1.0))]),
            print(1, 5, &[("a", ValueRef::F64(2.0))]),
            print(1, 5, &[("a", ValueRef::U64(1.0f64.to_bits()))]),
            print(1, 5, &[]),
            print(1, 5, &[("a", ValueRef::String("")), ("b", ValueRef::String("x"))]),
            print(1, 5, &[("a", ValueRef::String("x")), ("b", ValueRef::String(""))]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "print {at} is another's too");
        }
        assert_eq!(all[0], print(1, 5, &[("a", ValueRef::F64(1.0))]));
    }
}
