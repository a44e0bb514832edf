//! The directories and tables of a node file, as values.

use super::parts::Part;
use crate::format::{Malformed, Reader, Writer};
use crate::group::{Extent, read_collection, read_range, write_collection};
use crate::rows::FieldKey;
use tidelog_model::{CollectionName, FieldType, LeafWidth, Stamp, TimeRange};

/// Nodes of a block.
pub(super) const NODES_MAX: usize = 1024;
/// Bytes of an entry of the series table, the block index, the table of leaf digests and that of tree nodes.
pub(super) const SERIES_LEN: usize = 4;
pub(super) const BLOCK_LEN: usize = 44;
pub(super) const LEAF_LEN: usize = 24;
pub(super) const TREE_LEN: usize = 48;
const _: () = assert!(4 + 8 + 4 + 8 + 8 + 4 + 4 + 4 == BLOCK_LEN);
const _: () = assert!(8 + 8 + 4 + 4 == LEAF_LEN);
const _: () = assert!(8 + 8 + 32 == TREE_LEN);

/// What the nodes of a section are.
const MEMORY: u8 = 0;
const SETTLED: u8 = 1;
const BORROWED: u8 = 2;

/// Of nodes that are data, for what they are of is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SettledUpTo {
    /// It is gone before this time.
    pub(crate) cut: i64,
    /// Every tombstone up to this stamp was applied.
    pub(crate) cleaned: Stamp,
}

/// One collection of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeSection {
    pub(crate) name: CollectionName,
    pub(crate) leaf: LeafWidth,
    pub(crate) fields: Vec<FieldKey>,
    /// Its nodes are data.
    pub(crate) settled: Option<SettledUpTo>,
    /// Its nodes are lent by another store, which had applied every tombstone up to this stamp.
    pub(crate) borrowed: Option<Stamp>,
    /// From the start of the first window to the end of the last.
    pub(crate) range: TimeRange,
    pub(crate) nodes: u64,
    /// Rollups with values.
    pub(crate) rollups: u64,
    pub(crate) series: u32,
    pub(super) names: Extent,
    pub(super) blocks: Extent,
    pub(super) leaves: Extent,
    pub(super) tree: Extent,
}

impl NodeSection {
    pub(super) fn encode_all(sections: &[NodeSection]) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.list(sections.iter(), |w, section| section.encode(w));
        writer.bytes
    }

    pub(super) fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, Malformed> {
        let mut reader = Reader::new(bytes);
        let sections = reader.list(80, NodeSection::decode)?;
        reader.end()?;
        Ok(sections)
    }

    fn encode(&self, writer: &mut Writer) {
        write_collection(writer, &self.name, self.leaf, &self.fields);
        match (self.settled, self.borrowed) {
            (None, None) => writer.u8(MEMORY),
            (Some(settled), _) => writer.u8(SETTLED).i64(settled.cut).u64(settled.cleaned.0),
            (None, Some(cleaned)) => writer.u8(BORROWED).u64(cleaned.0),
        };
        writer.i64(self.range.first()).i64(self.range.last());
        writer.varint(self.nodes).varint(self.rollups).varint(u64::from(self.series));
        for table in [self.names, self.blocks, self.leaves, self.tree] {
            writer.u64(table.offset).u32(table.len).u32(table.crc);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (name, leaf, fields) = read_collection(reader)?;
        let (mut settled, mut borrowed) = (None, None);
        match reader.u8()? {
            MEMORY => {}
            SETTLED => {
                let (cut, cleaned) = (reader.i64()?, Stamp(reader.u64()?));
                settled = Some(SettledUpTo { cut, cleaned });
            }
            BORROWED => borrowed = Some(Stamp(reader.u64()?)),
            _ => return Err(Malformed("nodes are neither a memory, nor settled, nor borrowed")),
        }
        let range = read_range(reader)?;
        let (nodes, rollups) = (reader.varint()?, reader.varint()?);
        let series = reader.varint32()?;
        let mut table = || -> Result<Extent, Malformed> {
            Ok(Extent { offset: reader.u64()?, len: reader.u32()?, crc: reader.u32()? })
        };
        let (names, blocks, leaves, tree) = (table()?, table()?, table()?, table()?);
        let whole = |table: Extent, entry: usize| (table.len as usize).is_multiple_of(entry);
        if !whole(blocks, BLOCK_LEN) || !whole(leaves, LEAF_LEN) || !whole(tree, TREE_LEN) {
            return Err(Malformed("a table is not of whole entries"));
        }
        if u64::from(series) * SERIES_LEN as u64 > u64::from(names.len) {
            return Err(Malformed("a series table is shorter than its entries"));
        }
        Ok(NodeSection {
            name,
            leaf,
            fields,
            settled,
            borrowed,
            range,
            nodes,
            rollups,
            series,
            names,
            blocks,
            leaves,
            tree,
        })
    }

    /// How many node blocks there are.
    pub(super) fn block_count(&self) -> u32 {
        self.blocks.len / BLOCK_LEN as u32
    }
}

/// Where a node block stands, and between which nodes: series and start of its first and last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlockEntry {
    pub(super) first: (u32, i64),
    pub(super) last: (u32, i64),
    /// Of all the block.
    pub(super) len: u32,
    /// Of its directory.
    pub(super) directory: Extent,
}

impl BlockEntry {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.first.0).i64(self.first.1).u32(self.last.0).i64(self.last.1);
        writer.u64(self.directory.offset).u32(self.len);
        writer.u32(self.directory.len).u32(self.directory.crc);
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let first = (reader.u32()?, reader.i64()?);
        let last = (reader.u32()?, reader.i64()?);
        let (offset, len) = (reader.u64()?, reader.u32()?);
        let directory = Extent { offset, len: reader.u32()?, crc: reader.u32()? };
        Ok(BlockEntry { first, last, len, directory })
    }
}

/// Where the digests of the series of a leaf window stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LeafEntry {
    pub(super) start: i64,
    pub(super) bytes: Extent,
}

impl LeafEntry {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.i64(self.start).u64(self.bytes.offset).u32(self.bytes.len).u32(self.bytes.crc);
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let start = reader.i64()?;
        let (offset, len, crc) = (reader.u64()?, reader.u32()?, reader.u32()?);
        Ok(LeafEntry { start, bytes: Extent { offset, len, crc } })
    }
}

/// A node of the digest tree: a window with the digest of what is in it. Zero rows and a zero digest: nothing
/// is there now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TreeNode {
    pub(crate) start: i64,
    /// Rows below it.
    pub(crate) rows: u64,
    pub(crate) digest: [u8; 32],
}

impl TreeNode {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.i64(self.start).u64(self.rows).raw(&self.digest);
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        Ok(TreeNode { start: reader.i64()?, rows: reader.u64()?, digest: reader.array()? })
    }
}

/// What a node block begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BlockDirectory {
    pub(super) nodes: usize,
    pub(super) columns: Vec<ColumnEntry>,
}

/// A column of a node block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ColumnEntry {
    /// `None`: of the nodes themselves.
    pub(super) field: Option<u32>,
    pub(super) part: Part,
    /// Bytes of the codec's metadata and of its one page.
    pub(super) meta: usize,
    pub(super) page: usize,
    pub(super) crc: u32,
}

impl ColumnEntry {
    /// Columns stand in this order.
    fn key(&self) -> (Option<u32>, Part) {
        (self.field, self.part)
    }
}

impl BlockDirectory {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.varint(self.nodes as u64);
        writer.list(self.columns.iter(), |w, column| {
            w.varint(column.field.map_or(0, |field| u64::from(field) + 1)).u8(column.part as u8);
            w.varint(column.meta as u64).varint(column.page as u64).u32(column.crc);
        });
        writer.bytes
    }

    /// Reads the directory of a block with `body` bytes behind it, in a section with these fields.
    pub(super) fn decode(
        bytes: &[u8],
        fields: &[FieldKey],
        body: usize,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let nodes = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if nodes == 0 || nodes > NODES_MAX {
            return Err(Malformed("a block has no nodes or too many"));
        }
        let mut left = body;
        let columns = reader.list(8, |r| {
            let column = ColumnEntry::decode(r, fields)?;
            let len = column.meta.checked_add(column.page);
            let rest = len.and_then(|len| left.checked_sub(len));
            left = rest.ok_or(Malformed("the columns of a block pass its end"))?;
            Ok(column)
        })?;
        reader.end()?;
        if left != 0 || !columns.is_sorted_by(|a, b| a.key() < b.key()) {
            return Err(Malformed("the columns of a block do not fill it in order"));
        }
        let first = |field| (Some(field), Part::First);
        for column in &columns {
            let has_first = |field| columns.binary_search_by_key(&first(field), ColumnEntry::key);
            if column.field.is_some_and(|field| has_first(field).is_err()) {
                return Err(Malformed("a field of a block has no first values"));
            }
        }
        Ok(BlockDirectory { nodes, columns })
    }
}

impl ColumnEntry {
    fn decode(reader: &mut Reader<'_>, fields: &[FieldKey]) -> Result<Self, Malformed> {
        let field = reader.varint32()?.checked_sub(1);
        let part = Part::from_number(reader.u8()?).ok_or(Malformed("a part is unknown"))?;
        let size = |n: u64| usize::try_from(n).map_err(|_| Malformed("a column is too long"));
        let (meta, page) = (size(reader.varint()?)?, size(reader.varint()?)?);
        let column = ColumnEntry { field, part, meta, page, crc: reader.u32()? };
        column.kind(fields).map(|_| column)
    }

    /// The type its codec works on.
    pub(super) fn kind(&self, fields: &[FieldKey]) -> Result<FieldType, Malformed> {
        let known = |field: u32| fields.get(field as usize).map(|key| key.kind);
        let of = match self.field {
            Some(field) => Some(known(field).ok_or(Malformed("a column is of an unknown field"))?),
            None => None,
        };
        self.part.kind(of).ok_or(Malformed("a column has a part that its field has not"))
    }
}
