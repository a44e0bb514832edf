//! The series block: where the chunks, columns and pages of one series stand.

use super::bounds::Bounds;
use crate::codec::{ChunkDecoder, MAX_CHUNK_VALUES};
use crate::format::{Malformed, Reader, Writer};
use crate::rows::FieldKey;
use std::sync::OnceLock;
use tidelog_model::{FieldType, Stamp, StoreId, Version};

/// What a column of a chunk holds. Numbers are part of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Times,
    Stamps,
    Origins,
    Values(u32),
    CellStamps(u32),
    CellOrigins(u32),
    Presence(u32),
}

impl Role {
    fn numbers(self) -> (u8, u32) {
        match self {
            Role::Times => (0, 0),
            Role::Stamps => (1, 0),
            Role::Origins => (2, 0),
            Role::Values(field) => (3, field),
            Role::CellStamps(field) => (4, field),
            Role::CellOrigins(field) => (5, field),
            Role::Presence(field) => (6, field),
        }
    }

    fn from_numbers(role: u8, field: u32) -> Result<Self, Malformed> {
        match (role, field) {
            (0, 0) => Ok(Role::Times),
            (1, 0) => Ok(Role::Stamps),
            (2, 0) => Ok(Role::Origins),
            (3, field) => Ok(Role::Values(field)),
            (4, field) => Ok(Role::CellStamps(field)),
            (5, field) => Ok(Role::CellOrigins(field)),
            (6, field) => Ok(Role::Presence(field)),
            _ => Err(Malformed("a column has an unknown role")),
        }
    }

    /// The type its codec works on.
    fn kind(self, fields: &[FieldKey]) -> Result<FieldType, Malformed> {
        match self {
            Role::Times => Ok(FieldType::I64),
            Role::Stamps | Role::Origins | Role::CellStamps(_) | Role::CellOrigins(_) => {
                Ok(FieldType::U64)
            }
            Role::Presence(_) => Ok(FieldType::Bool),
            Role::Values(field) => fields
                .get(field as usize)
                .map(|field| field.kind)
                .ok_or(Malformed("a column is of an unknown field")),
        }
    }
}

/// Where the chunks of one series stand. Parsed from a verified block.
#[derive(Debug)]
pub(crate) struct SeriesIndex {
    pub(super) chunks: Vec<ChunkIndex>,
}

#[derive(Debug)]
pub(super) struct ChunkIndex {
    pub(super) offset: u64,
    pub(super) pages: Vec<PageIndex>,
    pub(super) columns: Vec<ColumnIndex>,
}

/// One page, for all columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PageIndex {
    pub(super) rows: u32,
    /// Rows of the chunk before this page.
    pub(super) rows_before: u32,
    pub(super) first: i64,
    pub(super) last: i64,
    /// The one version of all cells; `None` when versions are columns.
    pub(super) version: Option<Version>,
}

#[derive(Debug)]
pub(super) struct ColumnIndex {
    pub(super) role: Role,
    pub(super) kind: FieldType,
    pub(super) meta_offset: u64,
    pub(super) meta_len: u32,
    pub(super) meta_crc: u32,
    pub(super) values: u32,
    pub(super) pages: Vec<PageBytes>,
    /// The metadata, parsed when it is first needed.
    pub(super) decoder: OnceLock<ChunkDecoder>,
}

/// The bytes of one page of one column.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct PageBytes {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
    pub(super) values: u32,
    pub(super) values_before: u32,
    pub(super) bounds: Bounds,
}

impl SeriesIndex {
    pub(super) fn encode(&self, origins: &[StoreId]) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.varint(self.chunks.len() as u64);
        let mut time = 0i64;
        for chunk in &self.chunks {
            chunk.encode(&mut writer, &mut time, origins);
        }
        writer.bytes
    }

    /// Reads a block of a file of `file_len` bytes with these fields and origins.
    pub(super) fn decode(
        bytes: &[u8],
        fields: &[FieldKey],
        origins: &[StoreId],
        file_len: u64,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut time = 0i64;
        let chunks =
            reader.list(8, |r| ChunkIndex::decode(r, &mut time, fields, origins, file_len))?;
        reader.end()?;
        Ok(SeriesIndex { chunks })
    }

    /// Heap bytes, roughly, decoders included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let column = |column: &ColumnIndex| {
            size_of::<ColumnIndex>()
                + column.pages.len() * size_of::<PageBytes>()
                + column.decoder.get().map_or(16 << 10, ChunkDecoder::heap_bytes)
        };
        let chunk = |chunk: &ChunkIndex| {
            chunk.pages.len() * size_of::<PageIndex>()
                + chunk.columns.iter().map(column).sum::<usize>()
        };
        self.chunks.iter().map(chunk).sum()
    }
}

impl ChunkIndex {
    fn encode(&self, writer: &mut Writer, time: &mut i64, origins: &[StoreId]) {
        writer.varint(self.offset).varint(self.pages.len() as u64);
        let levelled = self.pages.iter().all(|page| page.version.is_some());
        writer.u8(u8::from(levelled));
        let mut stamp = 0u64;
        for page in &self.pages {
            writer.varint(u64::from(page.rows));
            writer.zigzag(page.first.wrapping_sub(*time));
            writer.varint(page.last.wrapping_sub(page.first) as u64);
            *time = page.last;
            if let (true, Some(version)) = (levelled, page.version) {
                writer.zigzag(version.stamp.0.wrapping_sub(stamp) as i64);
                stamp = version.stamp.0;
                let origin = origins.iter().position(|origin| *origin == version.origin);
                writer.varint(origin.unwrap_or_default() as u64);
            }
        }
        let mut packed = None;
        writer.list(self.columns.iter(), |w, column| {
            column.encode(w, packed);
            packed = match column.role {
                Role::Presence(field) => Some(field),
                _ => None,
            };
        });
    }

    fn decode(
        reader: &mut Reader<'_>,
        time: &mut i64,
        fields: &[FieldKey],
        origins: &[StoreId],
        file_len: u64,
    ) -> Result<Self, Malformed> {
        let offset = reader.varint()?;
        let count = reader.count(3)?;
        let levelled = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed("a flag is neither 0 nor 1")),
        };
        let (mut stamp, mut rows_before) = (0u64, 0u32);
        let mut pages = Vec::with_capacity(count);
        for _ in 0..count {
            let rows = reader.varint32()?;
            let first = time.wrapping_add(reader.zigzag()?);
            let last = first.wrapping_add(reader.varint()? as i64);
            let mut version = None;
            if levelled {
                stamp = stamp.wrapping_add(reader.zigzag()? as u64);
                let origin = usize::try_from(reader.varint()?).ok();
                let origin = origin.and_then(|at| origins.get(at));
                let origin = *origin.ok_or(Malformed("a page has an unknown origin"))?;
                version = Some(Version { stamp: Stamp(stamp), origin });
            }
            if rows == 0 || last < first {
                return Err(Malformed("a page has no rows, or ends before it starts"));
            }
            pages.push(PageIndex { rows, rows_before, first, last, version });
            rows_before = rows_before.saturating_add(rows);
            *time = last;
        }
        if rows_before as usize > MAX_CHUNK_VALUES || pages.is_empty() {
            return Err(Malformed("a chunk has no rows or too many"));
        }
        let mut at = offset;
        let mut packed: Option<u32> = None;
        let columns = reader.list(7, |r| {
            let column = ColumnIndex::decode(r, &mut at, &pages, fields, packed)?;
            packed = match column.role {
                Role::Presence(field) => Some(field),
                _ => None,
            };
            Ok(column)
        })?;
        if at > file_len {
            return Err(Malformed("a chunk passes the end of the file"));
        }
        let has = |role| columns.iter().any(|column| column.role == role);
        if !has(Role::Times) || (!levelled && !(has(Role::Stamps) && has(Role::Origins))) {
            return Err(Malformed("a chunk lacks its times or versions"));
        }
        Ok(ChunkIndex { offset, pages, columns })
    }

    /// The column with this role.
    pub(super) fn column(&self, role: Role) -> Option<&ColumnIndex> {
        self.columns.iter().find(|column| column.role == role)
    }
}

impl ColumnIndex {
    /// `packed` is the field whose presence stands before: its values are counted page by page.
    fn encode(&self, writer: &mut Writer, packed: Option<u32>) {
        let (role, field) = self.role.numbers();
        writer.u8(role).varint(u64::from(field));
        writer.varint(u64::from(self.meta_len)).u32(self.meta_crc);
        let packed = matches!(self.role, Role::Values(field) if packed == Some(field));
        for page in &self.pages {
            writer.varint(u64::from(page.len)).u32(page.crc);
            if packed {
                writer.varint(u64::from(page.values));
            }
            if has_bounds(self.role, self.kind) {
                page.bounds.encode(writer);
            }
        }
    }

    fn decode(
        reader: &mut Reader<'_>,
        at: &mut u64,
        pages: &[PageIndex],
        fields: &[FieldKey],
        packed: Option<u32>,
    ) -> Result<Self, Malformed> {
        let role = Role::from_numbers(reader.u8()?, reader.varint32()?)?;
        let kind = role.kind(fields)?;
        let packed = matches!(role, Role::Values(field) if packed == Some(field));
        let (meta_len, meta_crc) = (reader.varint32()?, reader.u32()?);
        let meta_offset = *at;
        let past = Malformed("a chunk passes the end of the file");
        *at = at.checked_add(u64::from(meta_len)).ok_or(past)?;
        let mut values_before = 0u32;
        let mut found = Vec::with_capacity(pages.len());
        for page in pages {
            let (len, crc) = (reader.varint32()?, reader.u32()?);
            let values = if packed { reader.varint32()? } else { page.rows };
            if values > page.rows {
                return Err(Malformed("a page has more values than rows"));
            }
            let bounds = if has_bounds(role, kind) {
                Bounds::decode(reader, kind)?
            } else {
                Bounds::Unknown
            };
            found.push(PageBytes { offset: *at, len, crc, values, values_before, bounds });
            values_before += values;
            *at = at.checked_add(u64::from(len)).ok_or(past)?;
        }
        let decoder = OnceLock::new();
        let values = values_before;
        Ok(ColumnIndex {
            role,
            kind,
            meta_offset,
            meta_len,
            meta_crc,
            values,
            pages: found,
            decoder,
        })
    }
}

fn has_bounds(role: Role, kind: FieldType) -> bool {
    let ordered = matches!(kind, FieldType::F64 | FieldType::F32 | FieldType::I64 | FieldType::U64);
    matches!(role, Role::Values(_)) && ordered
}
