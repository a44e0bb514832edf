//! What differs, where that is only looked at and told.

use super::item::Scope;
use super::item_bytes::{read_device, read_range, write_range};
use crate::wire::{Malformed, Reader, Writer};
use alloc::string::String;
use tidelog_model::TimeRange;

/// Where two sides differ, and by how much. Counts are rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Where.
    pub scope: Scope,
    /// The device, canonical.
    pub device: String,
    /// The times; inside one leaf window.
    pub range: TimeRange,
    /// Those of this side and of the other one.
    pub rows: (u64, u64),
    /// Only the other side has them.
    pub missing: u64,
    /// Only this side has them.
    pub extra: u64,
    /// Both have them, with other values.
    pub mismatched: u64,
}

impl Difference {
    pub(super) fn write(&self, writer: &mut Writer) {
        write_range(writer.text(&self.device), self.range);
        writer.varint(self.rows.0).varint(self.rows.1);
        writer.varint(self.missing).varint(self.extra).varint(self.mismatched);
    }

    pub(super) fn read(reader: &mut Reader<'_>, scope: Scope) -> Result<Self, Malformed> {
        let (device, range) = (read_device(reader)?, read_range(reader)?);
        let rows = (reader.varint()?, reader.varint()?);
        let (missing, extra) = (reader.varint()?, reader.varint()?);
        let mismatched = reader.varint()?;
        Ok(Difference { scope, device, range, rows, missing, extra, mismatched })
    }

    /// The same seen from the other side.
    #[must_use]
    pub fn turned(self) -> Self {
        let (rows, missing, extra) = ((self.rows.1, self.rows.0), self.extra, self.missing);
        Difference { rows, missing, extra, ..self }
    }
}
