//! Reading a node file: every byte is verified before it is believed, at the moment it is used.

use super::block::{Columns, NodeBlock};
use super::layout::{
    BLOCK_LEN, BlockEntry, LEAF_LEN, LeafEntry, NodeSection, SERIES_LEN, TREE_LEN, TreeNode,
};
use crate::codec::{ChunkDecoder, MAX_CHUNK_VALUES, Page, Scratch};
use crate::disk::Disk;
use crate::format::{Malformed, Reader};
use crate::group::{Container, Extent, ReadError};
use crate::ids::{FileId, Tier};
use crate::rollup::window_of;
use crate::rows::FieldKey;
use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use tidelog_model::{CollectionName, FieldType, GroupId, TimeRange, Values};

/// A BLAKE3 digest.
pub(crate) type Digest = [u8; 32];

thread_local! {
    /// Kept from one column to the next: making it costs more than decoding the few values most columns have.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// An open node file. Cheap to share; verified part by part as it is read.
#[derive(Debug)]
pub(crate) struct NodeFile {
    pub(super) container: Container,
    sections: Vec<NodeSection>,
    /// Per section and table: did it pass its checksum?
    tables: Vec<[OnceLock<bool>; 4]>,
}

/// A table of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Table {
    Names,
    Blocks,
    Leaves,
    Tree,
}

impl NodeFile {
    /// Opens a file and verifies its header, footer and directory.
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self, ReadError> {
        Self::of(Container::open(disk, path)?)
    }

    /// Opens a file whose checksums are not looked at, but for those of header and footer.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn trusting(mut container: Container) -> Result<Self, ReadError> {
        container.trusting = true;
        Self::of(container)
    }

    pub(crate) fn of(container: Container) -> Result<Self, ReadError> {
        if container.header.tier == Tier::Raw {
            return Err(container.damaged("the file is not of nodes"));
        }
        let sections = {
            let bytes = container.verified(container.directory(), "directory")?;
            NodeSection::decode_all(&bytes).map_err(|error| container.damaged(error.0))?
        };
        let leaves = sections.iter().any(|section| section.leaves.len > 0);
        if leaves && container.header.tier != Tier::Hour {
            return Err(container.damaged("only files of leaves have digests of series"));
        }
        let tables = sections.iter().map(|_| [const { OnceLock::new() }; 4]).collect();
        Ok(NodeFile { container, sections, tables })
    }

    pub(crate) fn id(&self) -> FileId {
        self.container.header.id
    }

    pub(crate) fn group(&self) -> (GroupId, u32) {
        (self.container.header.group, self.container.header.groups)
    }

    pub(crate) fn tier(&self) -> Tier {
        self.container.header.tier
    }

    pub(crate) fn len(&self) -> u64 {
        self.container.len()
    }

    pub(crate) fn sections(&self) -> &[NodeSection] {
        &self.sections
    }

    /// The file's bytes.
    pub(crate) fn container(&self) -> &Container {
        &self.container
    }

    /// The numbers that fields have in a section; `None` for those it does not have.
    pub(crate) fn numbers(&self, section: u32, fields: &[FieldKey]) -> Vec<Option<u32>> {
        let known = &self.sections[section as usize].fields;
        let number = |field| u32::try_from(known.binary_search(field).ok()?).ok();
        fields.iter().map(number).collect()
    }

    /// The number of a collection's section.
    pub(crate) fn section(&self, name: &CollectionName) -> Option<u32> {
        let at = self.sections.iter().position(|section| section.name == *name)?;
        u32::try_from(at).ok()
    }

    /// The number of a device's series, if the section has one.
    pub(crate) fn find(&self, section: u32, device: &str) -> Result<Option<u32>, ReadError> {
        let names = self.names(section)?;
        let (mut low, mut high) = (0, names.count);
        while low < high {
            let middle = low.midpoint(high);
            match names.at(middle).ok_or_else(|| self.damaged(NAMES))?.cmp(device.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    /// The device of a series.
    pub(crate) fn device(&self, section: u32, series: u32) -> Result<String, ReadError> {
        let names = self.names(section)?;
        let name = names.at(series).filter(|_| series < names.count);
        let text = name.and_then(|name| std::str::from_utf8(name).ok());
        text.map(str::to_owned).ok_or_else(|| self.damaged(NAMES))
    }

    /// Gives every series of a section with its device, sorted.
    pub(crate) fn each_series(
        &self,
        section: u32,
        mut each: impl FnMut(u32, &str),
    ) -> Result<(), ReadError> {
        let names = self.names(section)?;
        for series in 0..names.count {
            let text = names.at(series).and_then(|name| std::str::from_utf8(name).ok());
            each(series, text.ok_or_else(|| self.damaged(NAMES))?);
        }
        Ok(())
    }

    /// The blocks that may hold nodes of a series whose windows start in a range.
    pub(crate) fn blocks(
        &self,
        section: u32,
        series: u32,
        range: TimeRange,
    ) -> Result<Range<u32>, ReadError> {
        let table = self.table(section, Table::Blocks)?;
        let entries = Entries::<BLOCK_LEN>(&table);
        let read = |at| entries.get(at, BlockEntry::decode);
        let first = entries.first_that(|at| Ok(read(at)?.last >= (series, range.first())));
        let end = entries.first_that(|at| Ok(read(at)?.first > (series, range.last())));
        let malformed = |error: Malformed| self.damaged(error.0);
        let (first, end) = (first.map_err(malformed)?, end.map_err(malformed)?);
        Ok(first..end.max(first))
    }

    /// A block of nodes.
    ///
    /// # Panics
    /// When the section has no such block: a bug of ours.
    pub(crate) fn block(
        self: &Arc<Self>,
        section: u32,
        number: u32,
    ) -> Result<NodeBlock, ReadError> {
        let columns = Arc::new(self.columns(section, number)?);
        Ok(NodeBlock { file: Arc::clone(self), section, columns })
    }

    pub(super) fn columns(&self, section: u32, number: u32) -> Result<Columns, ReadError> {
        let entry = self.block_entry(section, number)?;
        Columns::read(self, section, &entry).map_err(|error| {
            let (first, last) = (entry.first, entry.last);
            let end = window_of(self.tier(), last.1, self.sections[section as usize].leaf).last();
            match TimeRange::inclusive(first.1, end) {
                Some(range) if first.0 == last.0 => self.hit(error, section, first.0, range),
                _ => error,
            }
        })
    }

    pub(super) fn block_entry(&self, section: u32, number: u32) -> Result<BlockEntry, ReadError> {
        let table = self.table(section, Table::Blocks)?;
        let entry = Entries::<BLOCK_LEN>(&table).get(number, BlockEntry::decode);
        entry.map_err(|error| self.damaged(error.0))
    }

    /// The windows of the leaves that have digests of series, in order.
    pub(crate) fn digest_windows(&self, section: u32) -> Result<Vec<i64>, ReadError> {
        Ok(self.leaf_entries(section)?.into_iter().map(|entry| entry.start).collect())
    }

    pub(super) fn leaf_entries(&self, section: u32) -> Result<Vec<LeafEntry>, ReadError> {
        let table = self.table(section, Table::Leaves)?;
        let entries = Entries::<LEAF_LEN>(&table);
        let all = (0..entries.len()).map(|at| entries.get(at, LeafEntry::decode));
        all.collect::<Result<_, _>>().map_err(|error| self.damaged(error.0))
    }

    /// The digests of the series of a leaf window, by the numbers of the series; `None` when there are none.
    pub(crate) fn leaf_digests(
        &self,
        section: u32,
        start: i64,
    ) -> Result<Option<Vec<(u32, Digest)>>, ReadError> {
        let malformed = |error: Malformed| self.damaged(error.0);
        let entry = {
            let table = self.table(section, Table::Leaves)?;
            let entries = Entries::<LEAF_LEN>(&table);
            let read = |at| entries.get(at, LeafEntry::decode);
            let at = entries.first_that(|at| Ok(read(at)?.start >= start)).map_err(malformed)?;
            if at == entries.len() {
                return Ok(None);
            }
            read(at).map_err(malformed)?
        };
        if entry.start != start {
            return Ok(None);
        }
        let bytes = self.container.verified(entry.bytes, "the digests of a leaf")?;
        let digests = self.decode_digests(&bytes, self.sections[section as usize].series);
        digests.map(Some)
    }

    fn decode_digests(&self, bytes: &[u8], series: u32) -> Result<Vec<(u32, Digest)>, ReadError> {
        let malformed = |error: Malformed| self.damaged(error.0);
        let what = "the digests of a leaf";
        let mut reader = Reader::new(bytes);
        let mut found: Vec<(u32, Digest)> = Vec::new();
        while reader.remaining() > 0 {
            let count = reader.count(32).map_err(malformed)?;
            if count > MAX_CHUNK_VALUES {
                return Err(self.damaged(what));
            }
            let meta = reader.blob().map_err(malformed)?;
            let page = reader.blob().map_err(malformed)?;
            let numbers = self.decoded(meta, page, FieldType::U64, count)?;
            let Values::U64(numbers) = numbers else { return Err(self.damaged(what)) };
            for number in numbers {
                let number = u32::try_from(number).ok().filter(|number| *number < series);
                let number = number.filter(|n| found.last().is_none_or(|last| last.0 < *n));
                let number = number.ok_or_else(|| self.damaged(what))?;
                found.push((number, reader.array().map_err(malformed)?));
            }
        }
        Ok(found)
    }

    /// The nodes of the digest tree whose windows start in a range, in order.
    pub(crate) fn tree_nodes(
        &self,
        section: u32,
        range: TimeRange,
    ) -> Result<Vec<TreeNode>, ReadError> {
        let table = self.table(section, Table::Tree)?;
        let entries = Entries::<TREE_LEN>(&table);
        let read = |at| entries.get(at, TreeNode::decode);
        let find = || {
            let first = entries.first_that(|at| Ok(read(at)?.start >= range.first()))?;
            let end = entries.first_that(|at| Ok(read(at)?.start > range.last()))?;
            (first..end).map(read).collect::<Result<Vec<_>, _>>()
        };
        find().map_err(|error| self.damaged(error.0))
    }

    /// Reads, verifies and decodes a column.
    pub(super) fn decode(
        &self,
        extent: Extent,
        meta: usize,
        kind: FieldType,
        count: usize,
    ) -> Result<Values, ReadError> {
        let bytes = self.container.verified(extent, "a column of nodes")?;
        let (meta, page) =
            bytes.split_at_checked(meta).ok_or_else(|| self.damaged("a column of nodes"))?;
        self.decoded(meta, page, kind, count)
    }

    /// As many values of a type as the caller has a right to expect.
    fn decoded(
        &self,
        meta: &[u8],
        page: &[u8],
        kind: FieldType,
        count: usize,
    ) -> Result<Values, ReadError> {
        let mut values = Values::new(kind);
        let page = Page { first: 0, count, bytes: page };
        let decoder = ChunkDecoder::parse(meta, kind, count);
        let decoded = SCRATCH.with_borrow_mut(|scratch| {
            decoder.and_then(|decoder| decoder.decode_page(page, &mut values, scratch))
        });
        match decoded {
            Ok(()) if values.len() == count => Ok(values),
            _ => Err(self.damaged("a column of nodes")),
        }
    }

    pub(super) fn damaged(&self, what: &'static str) -> ReadError {
        self.container.damaged(what)
    }

    /// Damage of a series, with the device and the times that are hit.
    pub(super) fn hit(
        &self,
        error: ReadError,
        section: u32,
        series: u32,
        range: TimeRange,
    ) -> ReadError {
        let ReadError::Damaged { path, window: None, what } = error else { return error };
        let collection = &self.sections[section as usize].name;
        let window = self.device(section, series).ok().map(|device| {
            (format!("{} of {collection}", tidelog_model::device::to_text(&device)), range)
        });
        ReadError::Damaged { path, window, what }
    }

    /// A table of a section, verified when it is first used.
    fn table(&self, section: u32, table: Table) -> Result<Cow<'_, [u8]>, ReadError> {
        let info = &self.sections[section as usize];
        let (extent, what) = match table {
            Table::Names => (info.names, NAMES),
            Table::Blocks => (info.blocks, "block index"),
            Table::Leaves => (info.leaves, "table of leaf digests"),
            Table::Tree => (info.tree, "table of tree nodes"),
        };
        let bytes = self.container.read(extent.offset, extent.len as usize)?;
        let passed = &self.tables[section as usize][table as usize];
        if *passed.get_or_init(|| self.container.passes(extent, &bytes)) {
            Ok(bytes)
        } else {
            Err(self.damaged(what))
        }
    }

    fn names(&self, section: u32) -> Result<Names<'_>, ReadError> {
        let count = self.sections[section as usize].series;
        Ok(Names { bytes: self.table(section, Table::Names)?, count })
    }
}

const NAMES: &str = "series table";

/// The names of a section's devices, sorted: where each ends, then the texts.
struct Names<'a> {
    bytes: Cow<'a, [u8]>,
    count: u32,
}

impl Names<'_> {
    fn at(&self, series: u32) -> Option<&[u8]> {
        // Checked: where pointers have 32 bits, damage can say more than there is memory.
        let entries = (self.count as usize).checked_mul(SERIES_LEN)?;
        let start = match series.checked_sub(1) {
            Some(before) => self.end(before)?,
            None => 0,
        };
        self.bytes.get(entries..)?.get(start..self.end(series)?)
    }

    fn end(&self, series: u32) -> Option<usize> {
        let at = (series as usize).checked_mul(SERIES_LEN)?;
        let end = self.bytes.get(at..)?.first_chunk::<SERIES_LEN>()?;
        Some(u32::from_le_bytes(*end) as usize)
    }
}

/// A table of entries of one length.
struct Entries<'a, const LEN: usize>(&'a [u8]);

impl<const LEN: usize> Entries<'_, LEN> {
    fn len(&self) -> u32 {
        (self.0.len() / LEN) as u32
    }

    fn get<T>(
        &self,
        at: u32,
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        let start = at as usize * LEN;
        decode(self.0.get(start..start + LEN).ok_or(Malformed("a table is too short"))?)
    }

    /// The first entry for which something holds that holds for all behind it, by binary search.
    fn first_that(
        &self,
        mut holds: impl FnMut(u32) -> Result<bool, Malformed>,
    ) -> Result<u32, Malformed> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if holds(middle)? { high = middle } else { low = middle + 1 }
        }
        Ok(low)
    }
}
