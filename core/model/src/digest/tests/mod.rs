//! Digests held against a slow, obvious twin, and against what is written down.

mod golden;
mod leaves;
mod nodes;

use super::{Digest, LEAF_BLOCK_ROWS, LeafHasher};
use crate::column::Column;
use crate::values::{FieldType, Value};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The cells of a row by (name, type).
type Cells = BTreeMap<(String, FieldType), Value>;
/// The visible rows of a device.
type Leaf = BTreeMap<i64, Cells>;

/// Rows as columns, with every field that any row has.
struct Columns {
    times: Vec<i64>,
    fields: Vec<(String, Column)>,
}

impl Columns {
    fn of(leaf: &Leaf) -> Self {
        let mut fields: BTreeMap<(String, FieldType), Column> = BTreeMap::new();
        for (row, cells) in leaf.values().enumerate() {
            for (key, value) in cells {
                let column = fields.entry(key.clone()).or_insert_with(|| Column::new(key.1));
                column.pad(row);
                assert!(column.push(value.as_ref()));
            }
        }
        fields.values_mut().for_each(|column| column.pad(leaf.len()));
        let fields = fields.into_iter().map(|((name, _), column)| (name, column)).collect();
        Columns { times: leaf.keys().copied().collect(), fields }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Column)> + Clone {
        self.fields.iter().map(|(name, column)| (&**name, column))
    }

    fn digest(&self) -> Option<Digest> {
        LeafHasher::new().whole(&self.times, 0..self.times.len(), self.iter())
    }
}

/// The canonical bytes of each block, cell by cell as FORMAT.md says it.
fn naive_blocks(leaf: &Leaf) -> Vec<Vec<u8>> {
    let rows: Vec<_> = leaf.iter().collect();
    rows.chunks(LEAF_BLOCK_ROWS).map(naive_block).collect()
}

fn naive_block(rows: &[(&i64, &Cells)]) -> Vec<u8> {
    let mut out = (rows.len() as u64).to_le_bytes().to_vec();
    rows.iter().for_each(|(time, _)| out.extend(time.to_le_bytes()));
    let mut keys: Vec<_> = rows.iter().flat_map(|(_, cells)| cells.keys()).collect();
    keys.sort();
    keys.dedup();
    out.extend((keys.len() as u32).to_le_bytes());
    for key in keys {
        out.extend((key.0.len() as u32).to_le_bytes());
        out.extend(key.0.bytes());
        out.push(key.1 as u8);
        let cells: Vec<_> = rows.iter().map(|(_, cells)| cells.get(key)).collect();
        out.extend((cells.iter().flatten().count() as u64).to_le_bytes());
        if cells.iter().all(Option::is_some) {
            out.push(1);
        } else {
            out.push(0);
            for eight in cells.chunks(8) {
                let bits = eight.iter().rev();
                out.push(bits.fold(0, |byte, cell| byte << 1 | u8::from(cell.is_some())));
            }
        }
        for value in cells.into_iter().flatten() {
            value.as_ref().with_canonical_bytes(|bytes| {
                if key.1 >= FieldType::String {
                    out.extend((bytes.len() as u64).to_le_bytes());
                }
                out.extend_from_slice(bytes);
            });
        }
    }
    if out.len() > 4096 {
        out.resize(out.len().div_ceil(8192) * 8192, 0);
    }
    out
}

/// The digest of a leaf by the naive bytes.
fn naive_digest(leaf: &Leaf) -> Option<Digest> {
    let blocks: Vec<_> = naive_blocks(leaf)
        .iter()
        .map(|bytes| blake3::derive_key("tidelog 2026-11 block v1", bytes))
        .collect();
    match blocks.len() {
        0 => None,
        1 => Some(Digest(blocks[0])),
        count => {
            let bytes = [&(count as u64).to_le_bytes()[..], &blocks.concat()].concat();
            Some(Digest(blake3::derive_key("tidelog 2026-11 leaf v1", &bytes)))
        }
    }
}
