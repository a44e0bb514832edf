//! What a collection holds in one group, up to a horizon, as a comparison with another store descends it: digests
//! by window and series, and rows with their versions.

use super::Store;
use super::digest::Moment;
use crate::codec::Scratch;
use crate::ids::Tier;
use crate::pyramid::{Reading, Tree};
use crate::query::QueryError;
use crate::rows::FieldKey;
use rkyv::util::AlignedVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::digest::Bucket;
use tidelog_model::{
    Batch, BatchError, CollectionName, Cutter, Device, Digest, FieldType, GroupId, Horizon,
    LeafWidth, Level, Stamp, TimeRange, ValueRef, Version,
};

/// See the module documentation. One moment of the store: what is written later is not in it.
pub struct Content {
    tree: Tree,
    name: CollectionName,
    groups: u32,
    leaf: LeafWidth,
}

/// A row, with the version of each cell.
#[derive(Clone, Debug)]
pub struct ContentRow<'a> {
    /// Nanoseconds.
    pub time: i64,
    /// The greatest version of its cells, that of its being there included.
    pub version: Version,
    /// Name, type, value and version of each cell, by name and type.
    pub cells: Vec<(&'a str, FieldType, ValueRef<'a>, Version)>,
}

/// Rows on their way to another store: sub-batches, one for each version.
#[derive(Debug)]
pub struct RowPacker {
    name: CollectionName,
    groups: u32,
    leaf: LeafWidth,
    batches: BTreeMap<Version, Vec<Batch>>,
    rows: usize,
    bytes: usize,
}

impl Store {
    /// What a collection holds in a group, up to a horizon. A collection that is not there holds nothing.
    ///
    /// What was written since the last sealing is read and hashed at once, the rest when it is asked for.
    ///
    /// # Errors
    /// See [`QueryError`]; damaged nodes of the pyramid are made anew at the next sealing.
    pub fn content(
        &self,
        name: &CollectionName,
        group: GroupId,
        horizon: &Arc<Horizon>,
    ) -> Result<Content, QueryError> {
        let mut moment = Moment::of(&self.inner, name)?;
        moment.bound(horizon);
        let tree = moment.tree(&self.inner, name, group);
        if let Err(QueryError::Read(error)) = &tree
            && error.is_of_nodes()
        {
            self.inner.node_damage.add(group);
        }
        let leaf = moment.leaf.unwrap_or_default();
        Ok(Content { tree: tree?, name: name.clone(), groups: self.inner.groups, leaf })
    }
}

impl Store {
    /// The names of all collections, ascending; those without a row, too.
    #[must_use]
    pub fn collection_names(&self) -> Vec<CollectionName> {
        self.inner.catalog().collections.keys().cloned().collect()
    }

    /// Over how many groups devices are spread.
    #[must_use]
    pub fn group_count(&self) -> u32 {
        self.inner.groups
    }
}

impl Content {
    /// Rows before this are cut off.
    #[must_use]
    pub fn cut(&self) -> i64 {
        self.tree.reading.settled.cuts().of(Tier::Raw)
    }

    /// The leaf width of the collection.
    #[must_use]
    pub fn leaf(&self) -> LeafWidth {
        self.leaf
    }

    /// The content root; `None` when there is nothing.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn root(&mut self) -> Result<Option<Digest>, QueryError> {
        Ok(self.tree.root()?)
    }

    /// The windows of a level, from years down to leaf windows, that lie in a range and hold anything, with their
    /// digests, in order of time.
    ///
    /// # Errors
    /// When a file cannot be read.
    ///
    /// # Panics
    /// When the level has no windows.
    pub fn windows(
        &mut self,
        level: Level,
        range: TimeRange,
    ) -> Result<Vec<(TimeRange, Digest)>, QueryError> {
        let tier = match level {
            Level::Year => Tier::Year,
            Level::Month => Tier::Month,
            Level::Day => Tier::Day,
            Level::Window => Tier::Hour,
            other => panic!("a {other} has no windows"),
        };
        let nodes = self.tree.nodes(tier, range)?;
        Ok(nodes.into_iter().filter_map(|node| Some((node.window, node.digest?))).collect())
    }

    /// The series of the leaf window that begins at a time, with their buckets and digests, by device.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn series(&mut self, start: i64) -> Result<Vec<(Arc<str>, Bucket, Digest)>, QueryError> {
        let leaves = self.tree.leaves(start)?;
        let entry = |(device, leaf): (Arc<str>, crate::pyramid::TreeLeaf)| {
            let bucket = self.tree.bucket(&device);
            (device, bucket, leaf.digest)
        };
        Ok(leaves.into_iter().map(entry).collect())
    }

    /// The devices that may have rows in a range.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn devices(&self, range: TimeRange) -> Result<BTreeSet<Arc<str>>, QueryError> {
        Ok(self.tree.reading.devices(range)?)
    }

    /// The visible rows of a device in a range, in order of time. `each` stops by returning `false`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn rows(
        &mut self,
        device: &str,
        range: TimeRange,
        mut each: impl FnMut(&ContentRow<'_>) -> bool,
    ) -> Result<(), QueryError> {
        let fields = Arc::clone(&self.tree.reading.fields);
        let mut scan = self.tree.reading.scan(device, range)?;
        while let Some(rows) = scan.next_with_versions(self.tree.scratch())? {
            for (at, time) in rows.times.iter().enumerate() {
                let cell = |(column, field): (usize, &'_ FieldKey)| {
                    let value = rows.columns[column].as_ref()?.column.at(at)?;
                    Some((column, field.kind, value))
                };
                let present = fields.iter().enumerate().filter_map(cell);
                let cells = present.map(|(column, kind, value)| {
                    (fields[column].name.as_str(), kind, value, rows.cell_version(column, at))
                });
                let row = ContentRow {
                    time: *time,
                    version: rows.versions.at(at),
                    cells: cells.collect(),
                };
                if !each(&row) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The times of rows that were written to beyond the horizon, ascending. What that superseded may be merged away here
    /// while another store, which does not have it yet, goes on showing it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn overtaken(&mut self, device: &str, range: TimeRange) -> Result<Vec<i64>, QueryError> {
        let horizon = Arc::clone(&self.tree.reading.snapshot.horizon);
        let mut times = Vec::new();
        if horizon.least() == Stamp::MAX {
            return Ok(times);
        }
        let mut scan = self.tree.reading.scan_beyond(device, range)?;
        while let Some(rows) = scan.next_with_versions(self.tree.scratch())? {
            for (at, time) in rows.times.iter().enumerate() {
                let columns = 0..rows.columns.len();
                let mut cells = columns.filter(|column| {
                    rows.columns[*column].as_ref().is_some_and(|cells| cells.column.is_present(at))
                });
                if !horizon.admits(rows.versions.at(at))
                    || cells.any(|column| !horizon.admits(rows.cell_version(column, at)))
                {
                    times.push(*time);
                }
            }
        }
        Ok(times)
    }

    /// What it is read from, and memory for decoding.
    pub(super) fn reading(&mut self) -> (&Reading, &mut Scratch) {
        self.tree.reading()
    }

    /// Packs rows of the collection, to be sent.
    #[must_use]
    pub fn packer(&self) -> RowPacker {
        let (name, groups, leaf) = (self.name.clone(), self.groups, self.leaf);
        RowPacker { name, groups, leaf, batches: BTreeMap::new(), rows: 0, bytes: 0 }
    }
}

impl RowPacker {
    /// About how many bytes have been packed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many rows have been packed.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What was packed, as the bytes of `BatchV1` archives.
    #[must_use]
    pub fn finish(self) -> Vec<AlignedVec> {
        let mut archives = Vec::new();
        let mut cutter = Cutter::default();
        for (version, batches) in self.batches {
            for batch in batches {
                batch.cut(self.groups, version, self.leaf, &mut cutter, |sub| {
                    archives.push(sub.write_to(AlignedVec::new()));
                });
            }
        }
        archives
    }

    /// Packs a row of a device. It goes into one batch for each version of its cells; into that of its own version
    /// even if no cell has it.
    ///
    /// # Errors
    /// When more was packed than a batch may hold.
    pub fn push(&mut self, device: &Device, row: &ContentRow<'_>) -> Result<(), BatchError> {
        let mut versions: Vec<Version> = row.cells.iter().map(|cell| cell.3).collect();
        versions.push(row.version);
        versions.sort_unstable();
        versions.dedup();
        for version in versions {
            let cells = row.cells.iter().filter(|cell| cell.3 == version);
            let mut rest: Vec<(&str, ValueRef<'_>)> = cells.map(|cell| (cell.0, cell.2)).collect();
            self.bytes += 16 + rest.iter().map(|(_, value)| value_bytes(*value)).sum::<usize>();
            let batches = self.batches.entry(version).or_default();
            let mut number = 0;
            loop {
                if batches.len() == number {
                    batches.push(Batch::for_collection(self.name.clone()));
                    self.bytes += ARCHIVE_BYTES;
                }
                rest = push_row(&mut batches[number], device, row.time, rest)?;
                number += 1;
                if rest.is_empty() {
                    break;
                }
            }
        }
        self.rows += 1;
        Ok(())
    }
}

/// What an archive takes beside its rows, about.
const ARCHIVE_BYTES: usize = 200;

fn value_bytes(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(text) => 4 + text.len(),
        ValueRef::Bytes(bytes) => 4 + bytes.len(),
        _ => 8,
    }
}

/// Adds a row to a batch; the values that it could not take, because their field has another type in it: levelled
/// pages give one version to cells of one name and two types.
fn push_row<'v>(
    batch: &mut Batch,
    device: &Device,
    time: i64,
    values: Vec<(&'v str, ValueRef<'v>)>,
) -> Result<Vec<(&'v str, ValueRef<'v>)>, BatchError> {
    let mut left = Vec::new();
    let mut taken = Vec::with_capacity(values.len());
    for (name, value) in values {
        match batch.field(name, value.field_type()) {
            Ok(field) => taken.push((field, value)),
            Err(BatchError::TypeConflict { .. }) => left.push((name, value)),
            Err(error) => return Err(error),
        }
    }
    let device = batch.add_device(device)?;
    let mut row = batch.row(device, time)?;
    for (field, value) in taken {
        row = row.set(field, value)?;
    }
    Ok(left)
}
