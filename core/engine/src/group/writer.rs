//! Writing a group file: series by series, in order, streamed to the disk.

use super::bounds::Bounds;
use super::container::{ContainerWriter, Extent, narrow};
use super::index::{ChunkIndex, ColumnIndex, PageBytes, PageIndex, Role, SeriesIndex};
use super::layout::{Directory, ENTRY_LEN, Header, Section, Summary};
use crate::codec::{
    Effort, EncodedChunk, MAX_CHUNK_VALUES, encode, encode_bools, encode_i64s, encode_u64s,
};
use crate::disk::Disk;
use crate::format::Writer;
use crate::ids::{FileId, Tier};
use crate::rows::{Cells, FieldKey, SeriesRows, Versions};
use std::io;
use std::sync::{Arc, OnceLock};
use tidelog_model::{
    Bitmap, CollectionName, GroupId, LeafWidth, Stamp, StoreId, TimeRange, Values, Version,
};

/// Pages hold whole leaf windows up to about this many rows.
pub(super) const PAGE_ROWS: usize = 1024;

/// May each page keep only the greatest of its versions?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Levelling {
    /// Every other file and memory have only older or only newer stamps: no winner can change.
    Allowed,
    /// Versions are kept cell by cell.
    Forbidden,
}

/// A finished, published file.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) id: FileId,
    pub(crate) group: GroupId,
    pub(crate) tier: Tier,
    pub(crate) len: u64,
    pub(crate) blake3: [u8; 32],
    pub(crate) summary: Summary,
    /// Of nodes: they are data.
    pub(crate) settled: bool,
    /// Of nodes: another store lent them.
    pub(crate) borrowed: bool,
    /// Of rows: which of them no node counts.
    pub(crate) uncounted: Vec<TimeRange>,
    pub(crate) collections: Vec<CollectionName>,
}

/// Writes one group file. Dropped before [`Self::finish`], it removes what it wrote.
pub(crate) struct GroupWriter {
    file: ContainerWriter,
    effort: Effort,
    levelling: Levelling,
    cleaned: Stamp,
    origins: Vec<StoreId>,
    sections: Vec<Section>,
    stamps: Option<(Stamp, Stamp)>,
    section: Option<OpenSection>,
}

struct OpenSection {
    name: CollectionName,
    leaf: LeafWidth,
    fields: Vec<FieldKey>,
    entries: Vec<Entry>,
    names: Vec<u8>,
    last_device: String,
    rows: u64,
    values: u64,
}

struct Entry {
    name_end: u32,
    offset: u64,
    len: u32,
    crc: u32,
    range: TimeRange,
}

impl GroupWriter {
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        store: StoreId,
        (group, groups): (GroupId, u32),
        id: FileId,
        effort: Effort,
        levelling: Levelling,
        cleaned: Stamp,
    ) -> io::Result<Self> {
        let header = Header { group, groups, tier: Tier::Raw, id, store };
        Ok(GroupWriter {
            file: ContainerWriter::create(disk, header)?,
            effort,
            levelling,
            cleaned,
            origins: Vec::new(),
            sections: Vec::new(),
            stamps: None,
            section: None,
        })
    }

    /// Begins the rows of a collection. `fields` are those of the rows that follow.
    pub(crate) fn begin_section(
        &mut self,
        name: CollectionName,
        leaf: LeafWidth,
        fields: Vec<FieldKey>,
    ) -> io::Result<()> {
        self.end_section()?;
        assert!(fields.windows(2).all(|pair| pair[0] < pair[1]), "fields come in order");
        self.section = Some(OpenSection {
            name,
            leaf,
            fields,
            entries: Vec::new(),
            names: Vec::new(),
            last_device: String::new(),
            rows: 0,
            values: 0,
        });
        Ok(())
    }

    /// Writes one series: its rows come in slices, in time order. Devices come in order too.
    ///
    /// # Panics
    /// When no section was begun, or devices are out of order: bugs of ours.
    pub(crate) fn series<E: From<io::Error>>(
        &mut self,
        device: &str,
        mut slices: impl FnMut() -> Result<Option<SeriesRows>, E>,
    ) -> Result<(), E> {
        let mut chunks = Vec::new();
        let mut pending: Option<SeriesRows> = None;
        while let Some(slice) = slices()? {
            if slice.is_empty() {
                continue;
            }
            match &mut pending {
                Some(rows) => rows.append(&slice),
                None => pending = Some(slice),
            }
            while pending.as_ref().is_some_and(|rows| rows.len() > MAX_CHUNK_VALUES) {
                let Some(rows) = pending.take() else { break };
                let cuts = self.page_lengths(&rows.times);
                let whole = whole_pages(&cuts);
                let end = cuts[..whole].iter().map(|rows| *rows as usize).sum();
                chunks.push(self.chunk(&rows.slice(0, end), &cuts[..whole])?);
                pending = Some(rows.slice(end, rows.len()));
            }
        }
        if let Some(rows) = pending.filter(|rows| !rows.is_empty()) {
            let cuts = self.page_lengths(&rows.times);
            chunks.push(self.chunk(&rows, &cuts)?);
        }
        if chunks.is_empty() {
            return Ok(());
        }
        self.end_series(device, chunks)?;
        Ok(())
    }

    fn end_series(&mut self, device: &str, chunks: Vec<ChunkIndex>) -> io::Result<()> {
        let pages = || chunks.iter().flat_map(|chunk| &chunk.pages);
        let first = pages().map(|page| page.first).min().unwrap_or_default();
        let last = pages().map(|page| page.last).max().unwrap_or_default();
        let rows: u64 = pages().map(|page| u64::from(page.rows)).sum();
        let values: u64 = chunks
            .iter()
            .flat_map(|chunk| &chunk.columns)
            .filter(|column| matches!(column.role, Role::Values(_)))
            .map(|column| u64::from(column.values))
            .sum();
        let block = SeriesIndex { chunks }.encode(&self.origins);
        let Extent { offset, len, crc } = self.file.put_covered(&block)?;
        let section = self.section.as_mut().expect("a section was begun");
        assert!(section.last_device.as_str() < device, "series are written in order of devices");
        section.last_device = device.to_owned();
        section.names.extend_from_slice(device.as_bytes());
        section.rows += rows;
        section.values += values;
        section.entries.push(Entry {
            name_end: narrow(section.names.len())?,
            offset,
            len,
            crc,
            range: TimeRange::inclusive(first, last).unwrap_or(TimeRange::ALL),
        });
        Ok(())
    }

    fn end_section(&mut self) -> io::Result<()> {
        let Some(section) = self.section.take() else { return Ok(()) };
        let Some(range) = section.entries.iter().map(|e| e.range).reduce(TimeRange::hull) else {
            return Ok(());
        };
        let mut table = Writer::default();
        table.bytes.reserve(section.entries.len() * ENTRY_LEN + section.names.len());
        for entry in &section.entries {
            table.u32(entry.name_end).u64(entry.offset).u32(entry.len).u32(entry.crc);
            table.i64(entry.range.first()).i64(entry.range.last());
        }
        table.raw(&section.names);
        let written = self.file.put_covered(&table.bytes)?;
        self.sections.push(Section {
            name: section.name,
            leaf: section.leaf,
            fields: section.fields,
            range,
            rows: section.rows,
            values: section.values,
            series: narrow(section.entries.len())?,
            table_offset: written.offset,
            table_len: written.len,
            table_crc: written.crc,
        });
        Ok(())
    }

    /// Ends the file and publishes it; `None` (and no file) when it has no rows.
    pub(crate) fn finish(mut self) -> io::Result<Option<Written>> {
        self.end_section()?;
        let ranges = self.sections.iter().map(|section| section.range);
        let (Some(range), Some(stamps)) = (ranges.reduce(TimeRange::hull), self.stamps) else {
            return Ok(None);
        };
        let sum = |of: fn(&Section) -> u64| self.sections.iter().map(of).sum();
        let summary = Summary {
            range,
            stamps,
            cleaned: self.cleaned,
            dense: self.effort == Effort::Dense,
            rows: sum(|section| section.rows),
            values: sum(|section| section.values),
            series: sum(|section| u64::from(section.series)),
        };
        let (origins, sections) = (self.origins.clone(), std::mem::take(&mut self.sections));
        let collections = sections.iter().map(|section| section.name.clone()).collect();
        let directory = Directory { summary, origins, sections }.encode();
        let Header { group, tier, id, .. } = *self.file.header();
        let (len, blake3) = self.file.finish(&directory)?;
        Ok(Some(Written {
            id,
            group,
            tier,
            len,
            blake3,
            summary,
            settled: false,
            borrowed: false,
            uncounted: vec![range],
            collections,
        }))
    }

    /// Lengths of the pages of rows at these times.
    fn page_lengths(&self, times: &[i64]) -> Vec<u32> {
        let leaf = self.section.as_ref().map_or_else(LeafWidth::default, |section| section.leaf);
        page_lengths(times, leaf)
    }

    /// Writes a chunk's bytes; the index of it.
    fn chunk(&mut self, rows: &SeriesRows, lengths: &[u32]) -> io::Result<ChunkIndex> {
        let offset = self.file.offset();
        let mut pages = page_index(rows, lengths);
        let mut columns = Vec::with_capacity(rows.columns.len() + 1);
        if let Some((least, greatest)) = rows.version_bounds() {
            let (a, b) = self.stamps.unwrap_or((least.stamp, greatest.stamp));
            self.stamps = Some((a.min(least.stamp), b.max(greatest.stamp)));
        }
        columns.push(self.column(
            Role::Times,
            encode_i64s(&rows.times, lengths, self.effort),
            lengths,
        )?);
        let one_each = self.levelling == Levelling::Allowed || one_version_per_page(rows, &pages);
        if one_each {
            for page in &mut pages {
                let version = greatest_version(rows, page);
                self.origin(version.origin);
                page.version = Some(version);
            }
        } else {
            let all = (Role::Stamps, Role::Origins);
            self.version_columns(&rows.versions, rows.len(), lengths, all, &mut columns)?;
        }
        for (number, cells) in rows.columns.iter().enumerate() {
            let Some(cells) = cells else { continue };
            let number = narrow(number)?;
            self.field_columns(cells, number, lengths, &mut columns)?;
            if let (false, Some(versions)) = (one_each, &cells.versions) {
                let own = (Role::CellStamps(number), Role::CellOrigins(number));
                self.version_columns(versions, rows.len(), lengths, own, &mut columns)?;
            }
        }
        Ok(ChunkIndex { offset, pages, columns })
    }

    fn version_columns(
        &mut self,
        versions: &Versions,
        rows: usize,
        lengths: &[u32],
        (stamps, origins): (Role, Role),
        columns: &mut Vec<ColumnIndex>,
    ) -> io::Result<()> {
        let all: Vec<Version> = (0..rows).map(|row| versions.at(row)).collect();
        let drawn: Vec<u64> = all.iter().map(|version| version.stamp.0).collect();
        let by: Vec<u64> = all.iter().map(|version| self.origin(version.origin)).collect();
        columns.push(self.column(stamps, encode_u64s(&drawn, lengths, self.effort), lengths)?);
        columns.push(self.column(origins, encode_u64s(&by, lengths, self.effort), lengths)?);
        Ok(())
    }

    /// Presence, where a row has no value, and the values.
    fn field_columns(
        &mut self,
        cells: &Cells,
        field: u32,
        lengths: &[u32],
        columns: &mut Vec<ColumnIndex>,
    ) -> io::Result<()> {
        // A bitmap may be left from rows that are gone: one without a gap is none.
        let gaps = |presence: &&Bitmap| presence.count() < presence.len();
        let Some(presence) = cells.column.presence().filter(gaps) else {
            let chunk = encode(cells.column.values(), lengths, self.effort);
            let mut column = self.column(Role::Values(field), chunk, lengths)?;
            set_bounds(&mut column, cells.column.values());
            columns.push(column);
            return Ok(());
        };
        let bits: Vec<bool> = presence.iter().collect();
        columns.push(self.column(
            Role::Presence(field),
            encode_bools(&bits, lengths, self.effort),
            lengths,
        )?);
        let mut values = Values::new(cells.column.field_type());
        let mut present = Vec::with_capacity(lengths.len());
        let mut row = 0;
        for length in lengths {
            let before = values.len();
            for _ in 0..*length {
                if bits[row] {
                    values.extend_from(cells.column.values(), row, row + 1);
                }
                row += 1;
            }
            present.push(narrow(values.len() - before)?);
        }
        let chunk = encode(&values, &present, self.effort);
        let mut column = self.column(Role::Values(field), chunk, &present)?;
        set_bounds(&mut column, &values);
        columns.push(column);
        Ok(())
    }

    /// Writes a column's metadata and pages; the index of it.
    fn column(
        &mut self,
        role: Role,
        chunk: EncodedChunk,
        lengths: &[u32],
    ) -> io::Result<ColumnIndex> {
        let meta = self.file.put_covered(&chunk.meta)?;
        let mut pages = Vec::with_capacity(lengths.len());
        let mut values_before = 0;
        for (number, values) in lengths.iter().enumerate() {
            let bytes = chunk.page(number).unwrap_or_default();
            let Extent { offset, len, crc } = self.file.put_covered(bytes)?;
            pages.push(PageBytes {
                offset,
                len,
                crc,
                values: *values,
                values_before,
                bounds: Bounds::Unknown,
            });
            values_before += values;
        }
        Ok(ColumnIndex {
            role,
            // Only used to know whether there are bounds; set with them.
            kind: tidelog_model::FieldType::Bytes,
            meta_offset: meta.offset,
            meta_len: meta.len,
            meta_crc: meta.crc,
            values: values_before,
            pages,
            decoder: OnceLock::new(),
        })
    }

    /// The number of an origin in this file.
    fn origin(&mut self, origin: StoreId) -> u64 {
        let known = self.origins.iter().position(|other| *other == origin);
        known.unwrap_or_else(|| {
            self.origins.push(origin);
            self.origins.len() - 1
        }) as u64
    }
}

fn set_bounds(column: &mut ColumnIndex, values: &Values) {
    column.kind = values.field_type();
    for page in &mut column.pages {
        let from = page.values_before as usize;
        page.bounds = Bounds::of(values, from, from + page.values as usize);
    }
}

/// Cuts times into pages: whole leaf windows up to about [`PAGE_ROWS`] rows, larger ones split.
fn page_lengths(times: &[i64], leaf: LeafWidth) -> Vec<u32> {
    let mut lengths = Vec::new();
    let (mut start, mut at) = (0, 0);
    let push = |lengths: &mut Vec<u32>, rows: usize| {
        lengths.push(u32::try_from(rows).expect("a page is small"));
    };
    while at < times.len() {
        let end_of_leaf =
            (i128::from(leaf.leaf_of(times[at])) + 1) * i128::from(leaf.nanoseconds());
        let rest = &times[at..];
        let next = at + rest.partition_point(|time| i128::from(*time) < end_of_leaf);
        if next - start > PAGE_ROWS && at > start {
            push(&mut lengths, at - start);
            start = at;
        }
        if next - start > PAGE_ROWS {
            while start < next {
                let rows = PAGE_ROWS.min(next - start);
                push(&mut lengths, rows);
                start += rows;
            }
        }
        at = next;
    }
    if start < times.len() {
        push(&mut lengths, times.len() - start);
    }
    lengths
}

/// How many of the pages fit a chunk; the last page of all may still grow, so it stays behind.
fn whole_pages(lengths: &[u32]) -> usize {
    let mut rows = 0;
    let fits = lengths
        .iter()
        .take_while(|length| {
            rows += **length as usize;
            rows <= MAX_CHUNK_VALUES
        })
        .count();
    fits.min(lengths.len() - 1).max(1)
}

fn page_index(rows: &SeriesRows, lengths: &[u32]) -> Vec<PageIndex> {
    let mut before = 0;
    let page = |length: &u32| {
        let (from, to) = (before as usize, (before + length) as usize);
        let index = PageIndex {
            rows: *length,
            rows_before: before,
            first: rows.times[from],
            last: rows.times[to - 1],
            version: None,
        };
        before += length;
        index
    };
    lengths.iter().map(page).collect()
}

fn versions_of(page: &PageIndex) -> std::ops::Range<usize> {
    page.rows_before as usize..(page.rows_before + page.rows) as usize
}

fn one_version_per_page(rows: &SeriesRows, pages: &[PageIndex]) -> bool {
    let own = rows.columns.iter().flatten().any(|cells| cells.versions.is_some());
    let same = |page: &PageIndex| {
        let first = rows.versions.at(page.rows_before as usize);
        versions_of(page).all(|row| rows.versions.at(row) == first)
    };
    !own && (matches!(rows.versions, Versions::One(_)) || pages.iter().all(same))
}

fn greatest_version(rows: &SeriesRows, page: &PageIndex) -> Version {
    // A row's version is the greatest of its cells', so the cells' own need no look.
    match &rows.versions {
        Versions::One(version) => *version,
        Versions::Rows(all) => all[versions_of(page)].iter().max().copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn pages_hold_whole_leaves_and_large_leaves_are_split() {
        let every_ten_seconds: Vec<i64> = (0..1080).map(|n| n * HOUR / 360).collect();
        assert_eq!(page_lengths(&every_ten_seconds, LeafWidth::Hour), [720, 360]);
        let fast: Vec<i64> = (0..2500).map(|n| n * HOUR / 2500).chain([HOUR]).collect();
        assert_eq!(page_lengths(&fast, LeafWidth::Hour), [1024, 1024, 452, 1]);
        assert_eq!(page_lengths(&[i64::MIN, 0, i64::MAX], LeafWidth::Hour), [3]);
        assert_eq!(page_lengths(&[], LeafWidth::Hour), Vec::<u32>::new());
    }

    #[test]
    fn a_chunk_takes_whole_pages_and_leaves_the_last_behind() {
        assert_eq!(whole_pages(&[60_000, 5_000, 5_000]), 2);
        assert_eq!(whole_pages(&[1024; 65]), 64);
        assert_eq!(whole_pages(&[10, 10]), 1);
    }
}
