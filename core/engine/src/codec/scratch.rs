//! Memory that decoding reuses.

use super::numbers::Numbers;
use tidelog_model::{FieldType, Values};

/// Memory that decoding reuses: one per thread, for chunks of any type.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) numbers: Numbers,
    pub(super) bytes: Vec<u8>,
    pub(super) shorts: Vec<u16>,
    pub(super) words: Vec<u32>,
    pub(super) longs: Vec<u64>,
    pub(super) singles: Vec<f32>,
    pub(super) codes: Vec<usize>,
    /// Columns of pages that are done with, empty.
    spare: Vec<Values>,
    /// The bytes they have room for.
    spare_bytes: usize,
}

/// Most bytes kept for columns to come: those of the pages that are read at once, also of wide rows.
const MOST_SPARE_BYTES: usize = 4 << 20;

impl Scratch {
    /// An empty column, with the room of one that was given back if there is one.
    pub(crate) fn column(&mut self, kind: FieldType) -> Values {
        match self.spare.iter().position(|values| values.field_type() == kind) {
            Some(at) => {
                let values = self.spare.swap_remove(at);
                self.spare_bytes -= values.room_bytes();
                values
            }
            None => Values::new(kind),
        }
    }

    /// Takes back a column, whose values nobody wants any more.
    pub(crate) fn give_back(&mut self, mut values: Values) {
        let bytes = values.room_bytes();
        if self.spare_bytes + bytes <= MOST_SPARE_BYTES {
            values.clear();
            self.spare_bytes += bytes;
            self.spare.push(values);
        }
    }

    /// Empty times.
    pub(crate) fn times(&mut self) -> Vec<i64> {
        match self.column(FieldType::I64) {
            Values::I64(times) => times,
            _ => Vec::new(),
        }
    }
}
