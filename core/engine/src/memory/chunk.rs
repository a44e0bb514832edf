//! A chunk of a memory table: rows in arrival order, in columns.

use tidelog_model::{Bitmap, FieldType, SubBatch, Values, Version};

/// A chunk is full when it has this many rows.
pub(super) const CHUNK_ROWS: usize = 4096;
/// A new chunk has room for so many rows at most.
const ROOM_ROWS: usize = 2 * CHUNK_ROWS;

/// Which row: chunk number in the high half, row in it in the low half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RowId(u64);

impl RowId {
    /// No row.
    pub(super) const NONE: RowId = RowId(u64::MAX);

    pub(super) fn new(chunk: usize, row: usize) -> Self {
        RowId((chunk as u64) << 32 | row as u64)
    }

    pub(super) fn chunk(self) -> usize {
        (self.0 >> 32) as usize
    }

    pub(super) fn row(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

/// Rows of many series, in the order they were applied. Immutable once a reader holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    pub(super) times: Vec<i64>,
    /// The row of the same series before this one.
    pub(super) previous: Vec<RowId>,
    /// The version of all rows from a row number on.
    pub(super) versions: Vec<(u32, Version)>,
    /// By the table's field number; shorter than the table's list while fields are new.
    pub(super) columns: Vec<Option<ChunkColumn>>,
}

/// The cells of one field in one chunk.
#[derive(Clone, Debug)]
pub(super) struct ChunkColumn {
    /// Only the values that are there.
    pub(super) values: Values,
    /// `None` while every row so far has one. May be shorter than the chunk: the rest is absent.
    pub(super) presence: Option<Bitmap>,
}

impl Chunk {
    /// An empty chunk with as much room as one that filled up: then the next will too, unless it was one large batch.
    pub(super) fn with_room_of(full: &Chunk) -> Self {
        let column = |column: &Option<ChunkColumn>| {
            let values = with_capacity(&column.as_ref()?.values);
            Some(ChunkColumn { values, presence: None })
        };
        Chunk {
            times: Vec::with_capacity(full.times.len().min(ROOM_ROWS)),
            previous: Vec::with_capacity(full.previous.len().min(ROOM_ROWS)),
            versions: Vec::new(),
            columns: full.columns.iter().map(column).collect(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.times.len()
    }

    pub(super) fn version_at(&self, row: usize) -> Version {
        let after = self.versions.partition_point(|(first, _)| *first as usize <= row);
        self.versions[after.saturating_sub(1)].1
    }

    /// Appends the rows of a sub-batch; `fields` are the table's numbers of its fields. The caller
    /// has filled `previous` for them.
    pub(super) fn append(&mut self, sub: &SubBatch<'_>, fields: &[usize]) {
        let before = self.rows();
        let version = sub.version();
        if self.versions.last().is_none_or(|(_, last)| *last != version) {
            self.versions.push((u32::try_from(before).unwrap_or(u32::MAX), version));
        }
        sub.times_into(&mut self.times);
        for (field, number) in sub.fields().zip(fields) {
            if self.columns.len() <= *number {
                self.columns.resize_with(*number + 1, || None);
            }
            let column =
                self.columns[*number].get_or_insert_with(|| ChunkColumn::new(field.field_type()));
            column.pad(before);
            field.values_into(&mut column.values);
            if field.all_present() {
                if let Some(bits) = &mut column.presence {
                    bits.extend_with(true, sub.rows());
                }
            } else {
                let bits = column.presence.get_or_insert_with(|| Bitmap::filled(before, true));
                (0..sub.rows()).for_each(|row| bits.push(field.is_present(row)));
            }
        }
        for column in self.columns.iter_mut().flatten() {
            column.pad(self.times.len());
        }
    }

    /// Heap bytes taken, reserve included.
    pub(super) fn heap_bytes(&self) -> usize {
        let columns = self.columns.iter().flatten().map(|column| {
            let bits = column.presence.as_ref().map_or(0, |bits| bits.len() / 8);
            capacity_bytes(&column.values) + bits
        });
        self.times.capacity() * 8
            + self.previous.capacity() * 8
            + self.versions.capacity() * size_of::<(u32, Version)>()
            + columns.sum::<usize>()
    }
}

impl ChunkColumn {
    fn new(kind: FieldType) -> Self {
        ChunkColumn { values: Values::new(kind), presence: None }
    }

    /// Rows up to `rows` that have no value yet are absent.
    fn pad(&mut self, rows: usize) {
        let have = self.presence.as_ref().map_or(self.values.len(), Bitmap::len);
        if have < rows {
            let bits = self.presence.get_or_insert_with(|| Bitmap::filled(have, true));
            bits.extend_with(false, rows - have);
        }
    }
}

fn with_capacity(like: &Values) -> Values {
    match like {
        Values::F64(v) => Values::F64(Vec::with_capacity(v.len().min(ROOM_ROWS))),
        Values::F32(v) => Values::F32(Vec::with_capacity(v.len().min(ROOM_ROWS))),
        Values::I64(v) => Values::I64(Vec::with_capacity(v.len().min(ROOM_ROWS))),
        Values::U64(v) => Values::U64(Vec::with_capacity(v.len().min(ROOM_ROWS))),
        Values::Bool(v) => Values::Bool(Vec::with_capacity(v.len().min(ROOM_ROWS))),
        Values::String(_) | Values::Bytes(_) => Values::new(like.field_type()),
    }
}

fn capacity_bytes(values: &Values) -> usize {
    match values {
        Values::F64(v) => v.capacity() * 8,
        Values::F32(v) => v.capacity() * 4,
        Values::I64(v) => v.capacity() * 8,
        Values::U64(v) => v.capacity() * 8,
        Values::Bool(v) => v.capacity(),
        Values::String(v) | Values::Bytes(v) => v.byte_len() + 4 * v.len(),
    }
}
