//! Writing a node file, streamed: nodes series by series, digests window by window.
//!
//! In memory are one block of nodes (at most 1,024, or a MiB of text) and, until the section ends, its tables: per
//! series its name and 4 bytes, per block 44 bytes, per leaf window with digests 24, per tree node 48.

use super::encode::BlockBuilder;
use super::layout::{BlockEntry, LeafEntry, NodeSection, SettledUpTo, TreeNode};
use super::reader::Digest;
use crate::codec::{Effort, MAX_CHUNK_VALUES, encode_u64s};
use crate::disk::Disk;
use crate::format::Writer;
use crate::group::{ContainerWriter, Extent, Header, Summary, Written, narrow};
use crate::ids::{FileId, Tier};
use crate::rollup::Rollup;
use crate::rollup::window_of;
use crate::rows::FieldKey;
use std::io;
use std::sync::Arc;
use tidelog_model::{CollectionName, GroupId, LeafWidth, Stamp, StoreId, TimeRange};

/// Writes one node file. Dropped before [`Self::finish`], it removes what it wrote.
///
/// What is out of order is a bug of ours, so it panics.
pub(crate) struct NodeWriter {
    file: ContainerWriter,
    effort: Effort,
    /// Of settled nodes: every tombstone up to this stamp was applied.
    cleaned: Option<Stamp>,
    /// Another store lent the nodes, and had applied every tombstone up to this stamp.
    borrowed: Option<Stamp>,
    sections: Vec<NodeSection>,
    section: Option<OpenSection>,
}

struct OpenSection {
    name: CollectionName,
    leaf: LeafWidth,
    fields: Vec<FieldKey>,
    settled: Option<SettledUpTo>,
    tier: Tier,
    block: BlockBuilder,
    range: Option<TimeRange>,
    nodes: u64,
    rollups: u64,
    /// Where each device's name ends, and the names.
    ends: Vec<u32>,
    names: Vec<u8>,
    last_node: Option<(u32, i64)>,
    last_leaf: Option<i64>,
    last_tree: Option<i64>,
    blocks: Writer,
    leaves: Writer,
    tree: Writer,
}

impl NodeWriter {
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        store: StoreId,
        (group, groups): (GroupId, u32),
        tier: Tier,
        id: FileId,
        effort: Effort,
    ) -> io::Result<Self> {
        assert!(tier != Tier::Raw, "rows have files of their own");
        let header = Header { group, groups, tier, id, store };
        let file = ContainerWriter::create(disk, header)?;
        let (sections, section) = (Vec::new(), None);
        Ok(NodeWriter { file, effort, cleaned: None, borrowed: None, sections, section })
    }

    /// The nodes are data from now on: what they are of is gone. Every tombstone up to this stamp was applied.
    pub(crate) fn settled(mut self, cleaned: Stamp) -> Self {
        self.cleaned = Some(cleaned);
        self
    }

    /// The nodes are lent by another store, which had applied every tombstone up to this stamp.
    pub(crate) fn borrowed(mut self, cleaned: Stamp) -> Self {
        self.borrowed = Some(cleaned);
        self
    }

    /// Begins what is of a collection. Its nodes have a rollup for each of these fields.
    pub(crate) fn begin_section(
        &mut self,
        name: CollectionName,
        leaf: LeafWidth,
        fields: Vec<FieldKey>,
    ) -> io::Result<()> {
        self.end_section()?;
        assert!(fields.is_sorted_by(|a, b| a < b), "fields come in order");
        self.section = Some(OpenSection {
            block: BlockBuilder::new(fields.iter().map(|field| field.kind)),
            name,
            leaf,
            fields,
            settled: None,
            tier: self.file.header().tier,
            range: None,
            nodes: 0,
            rollups: 0,
            ends: Vec::new(),
            names: Vec::new(),
            last_node: None,
            last_leaf: None,
            last_tree: None,
            blocks: Writer::default(),
            leaves: Writer::default(),
            tree: Writer::default(),
        });
        Ok(())
    }

    /// Says up to which time what the nodes of the section are of is gone.
    pub(crate) fn settled_up_to(&mut self, cut: i64) {
        let cleaned = self.cleaned.expect("the file is one of settled nodes");
        self.section().settled = Some(SettledUpTo { cut, cleaned });
    }

    /// The number of a device's series. Devices come in order; one that has digests and no nodes comes here only.
    pub(crate) fn series(&mut self, device: &str) -> io::Result<u32> {
        let section = self.section();
        let last = section.ends.len().checked_sub(1).map(|last| (last, section.device(last)));
        if let Some((number, name)) = last {
            if name == device.as_bytes() {
                return narrow(number);
            }
            assert!(name < device.as_bytes(), "devices come in order");
        }
        section.names.extend_from_slice(device.as_bytes());
        section.ends.push(narrow(section.names.len())?);
        narrow(section.ends.len() - 1)
    }

    /// The number that a device's series was given.
    pub(crate) fn number_of(&self, device: &str) -> Option<u32> {
        let section = self.section.as_ref()?;
        let (mut low, mut high) = (0, section.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if section.device(middle) < device.as_bytes() {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let found = low < section.ends.len() && section.device(low) == device.as_bytes();
        found.then(|| u32::try_from(low).ok())?
    }

    /// Writes a node, with a rollup for each field: those of nothing say that there are no values. Without rows it
    /// says that its window is empty now. Nodes come in the order of devices, then of windows.
    pub(crate) fn node(
        &mut self,
        device: &str,
        start: i64,
        rows: u64,
        rollups: &[Rollup],
    ) -> io::Result<()> {
        let series = self.series(device)?;
        let section = self.section();
        let key = Some((series, start));
        assert!(section.last_node < key, "nodes come in order");
        section.last_node = key;
        section.cover(start);
        section.nodes += 1;
        section.rollups += section.block.push(series, start, rows, rollups) as u64;
        if section.block.is_full() { self.end_block() } else { Ok(()) }
    }

    /// Writes the digests of the series of a leaf window, by their numbers, in order. Windows come in order too.
    pub(crate) fn leaf_digests(&mut self, start: i64, digests: &[(u32, Digest)]) -> io::Result<()> {
        let effort = self.effort;
        let section = self.section();
        assert!(section.tier == Tier::Hour, "only leaves have digests of series");
        assert!(section.last_leaf.is_none_or(|last| last < start), "windows come in order");
        assert!(digests.is_sorted_by(|a, b| a.0 < b.0), "series come in order");
        let known = |(number, _): &(u32, Digest)| (*number as usize) < section.ends.len();
        assert!(digests.last().is_none_or(known), "a series is named before it is digested");
        section.last_leaf = Some(start);
        section.cover(start);
        let mut block = Writer::default();
        for piece in digests.chunks(MAX_CHUNK_VALUES) {
            let numbers: Vec<u64> = piece.iter().map(|(number, _)| u64::from(*number)).collect();
            let chunk = encode_u64s(&numbers, &[narrow(numbers.len())?], effort);
            block.varint(piece.len() as u64).blob(&chunk.meta).blob(&chunk.pages);
            for (_, digest) in piece {
                block.raw(digest);
            }
        }
        let bytes = self.file.put_covered(&block.bytes)?;
        LeafEntry { start, bytes }.encode(&mut self.section().leaves);
        Ok(())
    }

    /// Writes a node of the digest tree, in the order of windows. No rows and a digest of zeros say that nothing is
    /// there now.
    pub(crate) fn tree_node(&mut self, start: i64, rows: u64, digest: Digest) -> io::Result<()> {
        let section = self.section();
        assert!(section.last_tree.is_none_or(|last| last < start), "windows come in order");
        section.last_tree = Some(start);
        section.cover(start);
        TreeNode { start, rows, digest }.encode(&mut section.tree);
        Ok(())
    }

    /// Ends the file and publishes it; `None` (and no file) when there is nothing in it.
    pub(crate) fn finish(mut self) -> io::Result<Option<Written>> {
        self.end_section()?;
        let ranges = self.sections.iter().map(|section| section.range);
        let Some(range) = ranges.reduce(TimeRange::hull) else { return Ok(None) };
        let sum = |of: fn(&NodeSection) -> u64| self.sections.iter().map(of).sum();
        let summary = Summary {
            range,
            // Nodes are of what was visible: they have no versions.
            stamps: (Stamp::ZERO, Stamp::ZERO),
            cleaned: self.cleaned.or(self.borrowed).unwrap_or(Stamp::ZERO),
            dense: self.effort == Effort::Dense,
            rows: sum(|section| section.nodes),
            values: sum(|section| section.rollups),
            series: sum(|section| u64::from(section.series)),
        };
        let collections = self.sections.iter().map(|section| section.name.clone()).collect();
        let directory = NodeSection::encode_all(&self.sections);
        let Header { group, tier, id, .. } = *self.file.header();
        let (len, blake3) = self.file.finish(&directory)?;
        Ok(Some(Written {
            id,
            group,
            tier,
            len,
            blake3,
            summary,
            settled: self.cleaned.is_some(),
            borrowed: self.borrowed.is_some(),
            uncounted: Vec::new(),
            collections,
        }))
    }

    fn section(&mut self) -> &mut OpenSection {
        self.section.as_mut().expect("a section was begun")
    }

    fn end_block(&mut self) -> io::Result<()> {
        let effort = self.effort;
        let section = self.section.as_mut().expect("a section was begun");
        let block = section.block.encode(effort);
        let offset = self.file.offset();
        let (bytes, directory) = block.bytes(offset, |at, bytes| self.file.checksum(at, bytes));
        let crc = self.file.checksum(offset, &bytes[..directory]);
        let entry = BlockEntry {
            first: block.first,
            last: block.last,
            len: narrow(bytes.len())?,
            directory: Extent { offset, len: narrow(directory)?, crc },
        };
        entry.encode(&mut section.blocks);
        self.file.put(&bytes)
    }

    fn end_section(&mut self) -> io::Result<()> {
        if self.section.as_ref().is_some_and(|section| !section.block.is_empty()) {
            self.end_block()?;
        }
        let Some(section) = self.section.take() else { return Ok(()) };
        let Some(range) = section.range else { return Ok(()) };
        let mut names = Writer::default();
        for end in &section.ends {
            names.u32(*end);
        }
        names.raw(&section.names);
        self.sections.push(NodeSection {
            name: section.name,
            leaf: section.leaf,
            fields: section.fields,
            settled: section.settled,
            borrowed: self.borrowed,
            range,
            nodes: section.nodes,
            rollups: section.rollups,
            series: narrow(section.ends.len())?,
            names: self.file.put_covered(&names.bytes)?,
            blocks: self.file.put_covered(&section.blocks.bytes)?,
            leaves: self.file.put_covered(&section.leaves.bytes)?,
            tree: self.file.put_covered(&section.tree.bytes)?,
        });
        Ok(())
    }
}

impl OpenSection {
    fn device(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.names[start..self.ends[number] as usize]
    }

    /// The section covers the window that starts here.
    fn cover(&mut self, start: i64) {
        let window = window_of(self.tier, start, self.leaf);
        assert!(window.first() == start, "a window of the tier starts there");
        self.range = Some(self.range.map_or(window, |range| range.hull(window)));
    }
}
