//! Reading a group file: every byte is verified before it is believed, at the moment it is used.

use super::bounds::Bounds;
use super::container::{Container, Extent};
use super::index::{ChunkIndex, ColumnIndex, Role, SeriesIndex};
use super::layout::{Directory, Section, Summary, parse_file_name};
use super::table::{Fences, Malformed, Table};
use crate::codec::{ChunkDecoder, Page, Scratch};
use crate::disk::Disk;
use crate::ids::{FileId, Tier};
use crate::rows::{Cells, FieldKey, SeriesRows, Versions, spread};
use std::borrow::Cow;
use std::io;
use std::sync::OnceLock;
use tidelog_model::{
    Bitmap, CollectionName, Column, FieldType, GroupId, Stamp, StoreId, TimeRange, Version,
};

/// Why something cannot be read from a group file.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Bytes are not what was written: the disk or something that writes to it is at fault.
    #[error(
        "{path} is damaged ({what}{}): run `tidelog verify`, then restore the file or `tidelog recover`",
        where_of(.window.as_ref())
    )]
    Damaged {
        /// The file, in the store's directory.
        path: String,
        /// The series and the times that are hit, where that is known.
        window: Option<(String, TimeRange)>,
        /// Which part.
        what: &'static str,
    },
    /// The file was written by a later version.
    #[error("{path} has format {found}, this build reads up to {newest}: upgrade tidelog")]
    TooNew {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
        /// The newest version this build knows.
        newest: u32,
    },
    /// A file that could not be opened when the store was.
    #[error(
        "{path} cannot be read ({what}): run `tidelog verify`, then restore the file or `tidelog recover`"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// The disk would not give the bytes.
    #[error("cannot read {path}: check the disk and its permissions")]
    Io {
        /// The file.
        path: String,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A file of rollups whose rows retention has cut away: nothing else says what it says.
    #[error("{0}. The rows it stands for are gone, so only a copy of it can take its place")]
    Settled(#[source] Box<ReadError>),
}

impl ReadError {
    /// What went wrong with a file of settled nodes.
    pub(crate) fn of_settled(self) -> Self {
        ReadError::Settled(Box::new(self))
    }

    /// The file that cannot be read.
    fn path(&self) -> &str {
        match self {
            ReadError::Damaged { path, .. }
            | ReadError::TooNew { path, .. }
            | ReadError::Unreadable { path, .. }
            | ReadError::Io { path, .. } => path,
            ReadError::Settled(error) => error.path(),
        }
    }

    /// Is it a file of the pyramid's nodes, which rows can stand in for?
    pub(crate) fn is_of_nodes(&self) -> bool {
        !matches!(self, ReadError::Settled(_)) && !self.path().contains("/raw/")
    }
}

/// The part of a message that names the series and times that are hit.
fn where_of(window: Option<&(String, TimeRange)>) -> String {
    window
        .map(|(series, range)| format!("; {series}, from {} to {} ns", range.first(), range.last()))
        .unwrap_or_default()
}

/// An open group file. Cheap to share; verified part by part as it is read.
#[derive(Debug)]
pub(crate) struct GroupFile {
    pub(super) container: Container,
    id: FileId,
    directory: Directory,
    /// Per section.
    tables: Vec<Known>,
}

/// What is known of a series table.
#[derive(Debug)]
enum Known {
    /// Did it pass its checksum?
    Mapped(OnceLock<bool>),
    /// Where its blocks begin, once it was read.
    Read(OnceLock<Fences>),
}

/// A series of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SeriesRef {
    pub(crate) section: u32,
    pub(crate) series: u32,
    pub(super) offset: u64,
    pub(super) len: u32,
    crc: u32,
    first: i64,
    last: i64,
}

impl SeriesRef {
    /// From an entry of the series table, behind the end of its name.
    pub(super) fn decode(entry: &[u8], section: u32, series: u32) -> Option<Self> {
        let mut reader = crate::format::Reader::new(entry);
        Some(SeriesRef {
            section,
            series,
            offset: reader.u64().ok()?,
            len: reader.u32().ok()?,
            crc: reader.u32().ok()?,
            first: reader.i64().ok()?,
            last: reader.i64().ok()?,
        })
    }

    pub(crate) fn range(&self) -> TimeRange {
        TimeRange::inclusive(self.first, self.last).unwrap_or(TimeRange::ALL)
    }
}

/// Which page of a series, with its times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageAt {
    pub(super) chunk: u32,
    pub(super) page: u32,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) rows: u32,
}

impl GroupFile {
    /// Opens a file and verifies its header, footer and directory.
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self, ReadError> {
        Self::of(Container::open(disk, path)?)
    }

    /// The same file with nothing believed: its parts are verified again as they are read.
    pub(crate) fn reopened(&self) -> Result<Self, ReadError> {
        Self::of(self.container.reopened()?)
    }

    /// The file's bytes.
    pub(crate) fn container(&self) -> &Container {
        &self.container
    }

    pub(crate) fn of(container: Container) -> Result<Self, ReadError> {
        if container.header.tier != Tier::Raw {
            return Err(container.damaged("the file is not of rows"));
        }
        let directory = {
            let bytes = container.verified(container.directory(), "directory")?;
            Directory::decode(&bytes).map_err(|error| container.damaged(error.0))?
        };
        let known = || match container.is_mapped() {
            true => Known::Mapped(OnceLock::new()),
            false => Known::Read(OnceLock::new()),
        };
        let tables = directory.sections.iter().map(|_| known()).collect();
        let name = container.path.rsplit('/').next().unwrap_or_default();
        let id = parse_file_name(name).unwrap_or(container.header.id);
        Ok(GroupFile { container, id, directory, tables })
    }

    /// Its id in this store: that of its name. A file that another store made has another one in its header.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// Who made it, and as which.
    pub(crate) fn made_as(&self) -> (StoreId, FileId) {
        (self.container.header.store, self.container.header.id)
    }

    pub(crate) fn group(&self) -> (GroupId, u32) {
        (self.container.header.group, self.container.header.groups)
    }

    pub(crate) fn store(&self) -> StoreId {
        self.container.header.store
    }

    pub(crate) fn len(&self) -> u64 {
        self.container.len()
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.directory.summary
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.directory.sections
    }

    /// The number of a collection's section.
    pub(crate) fn section(&self, name: &CollectionName) -> Option<u32> {
        let at = self.directory.sections.iter().position(|section| section.name == *name)?;
        u32::try_from(at).ok()
    }

    /// Bytes without a check, for a copy.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Result<Cow<'_, [u8]>, ReadError> {
        self.container.read(offset, len)
    }

    /// Bytes that must pass a checksum.
    pub(super) fn verified(
        &self,
        offset: u64,
        len: u32,
        crc: u32,
        what: &'static str,
    ) -> Result<Cow<'_, [u8]>, ReadError> {
        self.container.verified(Extent { offset, len, crc }, what)
    }

    fn damaged(&self, what: &'static str) -> ReadError {
        self.container.damaged(what)
    }

    /// Damage of a series, with the device and the times that are hit.
    fn hit(&self, error: ReadError, series: &SeriesRef, range: TimeRange) -> ReadError {
        let ReadError::Damaged { path, window: None, what } = error else { return error };
        let device = self.table(series.section).ok().and_then(|table| {
            let (_, name) = table.entry(series.series as usize)?;
            Some(std::str::from_utf8(name).ok()?.to_owned())
        });
        let window = device.map(|device| {
            let collection = &self.directory.sections[series.section as usize].name;
            (format!("{} of {collection}", tidelog_model::device::to_text(&device)), range)
        });
        ReadError::Damaged { path, window, what }
    }

    /// The series table of a section, verified: mapped bytes when they are first used, others whenever they
    /// are read.
    fn table(&self, section: u32) -> Result<Table<'_>, ReadError> {
        let info = &self.directory.sections[section as usize];
        let bytes = self.read(info.table_offset, info.table_len as usize)?;
        let (offset, len, crc) = (info.table_offset, info.table_len, info.table_crc);
        let verify = || self.container.passes(Extent { offset, len, crc }, &bytes);
        let good = match &self.tables[section as usize] {
            Known::Mapped(good) => *good.get_or_init(verify),
            Known::Read(_) => verify(),
        };
        if !good {
            return Err(self.damaged("series table"));
        }
        Table::whole(bytes, info.series as usize, section)
            .ok_or_else(|| self.damaged("series table"))
    }

    /// The series of a device, if the section has one: O(log n), once the section was looked at.
    pub(crate) fn find(&self, section: u32, device: &str) -> Result<Option<SeriesRef>, ReadError> {
        let damaged = |_: Malformed| self.damaged("series table");
        let Known::Read(known) = &self.tables[section as usize] else {
            return self.table(section)?.find(device).map_err(damaged);
        };
        let fences = match known.get() {
            Some(fences) => fences,
            None => {
                let fences = Fences::of(&self.table(section)?).ok_or_else(|| damaged(Malformed))?;
                known.get_or_init(|| fences)
            }
        };
        let offset = self.directory.sections[section as usize].table_offset;
        fences.find(device, |at, len| self.read(offset + at as u64, len), damaged)
    }

    /// Gives every series of a section with its device, sorted.
    pub(crate) fn each_device(
        &self,
        section: u32,
        mut each: impl FnMut(&str, SeriesRef),
    ) -> Result<(), ReadError> {
        let table = self.table(section)?;
        let damaged = || self.damaged("series table");
        for at in 0..table.len() {
            let (series, name) = table.entry(at).ok_or_else(damaged)?;
            each(std::str::from_utf8(name).map_err(|_| damaged())?, series);
        }
        Ok(())
    }

    /// Reads and verifies a series block.
    pub(crate) fn index(&self, series: &SeriesRef) -> Result<SeriesIndex, ReadError> {
        self.parse_index(series).map_err(|error| self.hit(error, series, series.range()))
    }

    fn parse_index(&self, series: &SeriesRef) -> Result<SeriesIndex, ReadError> {
        let bytes = self.verified(series.offset, series.len, series.crc, "series index")?;
        let section = &self.directory.sections[series.section as usize];
        SeriesIndex::decode(&bytes, &section.fields, &self.directory.origins, self.len())
            .map_err(|error| self.damaged(error.0))
    }

    /// The numbers that fields have in a section; `None` for those it does not have.
    pub(crate) fn numbers(&self, section: u32, fields: &[FieldKey]) -> Vec<Option<u32>> {
        let section = &self.directory.sections[section as usize];
        fields.iter().map(|field| section.number_of(field)).collect()
    }

    /// Reads one page: the columns of the fields with these numbers, and versions when they are wanted.
    pub(crate) fn read_page(
        &self,
        series: &SeriesRef,
        index: &SeriesIndex,
        at: PageAt,
        fields: &[Option<u32>],
        with_versions: bool,
        scratch: &mut Scratch,
    ) -> Result<SeriesRows, ReadError> {
        self.decode_page(series, index, at, fields, with_versions, scratch).map_err(|error| {
            let range = TimeRange::inclusive(at.first, at.last).unwrap_or(series.range());
            self.hit(error, series, range)
        })
    }

    fn decode_page(
        &self,
        series: &SeriesRef,
        index: &SeriesIndex,
        at: PageAt,
        fields: &[Option<u32>],
        with_versions: bool,
        scratch: &mut Scratch,
    ) -> Result<SeriesRows, ReadError> {
        let chunk = &index.chunks[at.chunk as usize];
        let page = at.page as usize;
        let section = &self.directory.sections[series.section as usize];
        let mut reader = PageReader { file: self, chunk, page, scratch };
        let rows = chunk.pages[page].rows as usize;
        let mut times = reader.scratch.times();
        let rises = reader.times(&mut times)?;
        let info = &chunk.pages[page];
        if !rises || times.first() != Some(&info.first) || times.last() != Some(&info.last) {
            return Err(self.damaged("the times of a page do not fit its index"));
        }
        let versions = match info.version {
            Some(version) => Versions::One(version),
            None if !with_versions => Versions::One(Version::default()),
            None => reader.versions(Role::Stamps, Role::Origins)?,
        };
        let mut columns = Vec::with_capacity(fields.len());
        for number in fields {
            columns.push(match number {
                Some(number) => {
                    let kind = section.fields[*number as usize].kind;
                    reader.cells(*number, kind, rows, with_versions)?
                }
                None => None,
            });
        }
        Ok(SeriesRows { times, versions, columns })
    }

    /// What is known of the values of a field in a page; `None` when no row has one.
    pub(crate) fn bounds(
        &self,
        index: &SeriesIndex,
        at: PageAt,
        field: Option<u32>,
    ) -> Option<Bounds> {
        let role = Role::Values(field?);
        let page = index.chunks[at.chunk as usize].column(role)?.pages[at.page as usize];
        (page.values > 0).then_some(page.bounds)
    }
}

impl SeriesIndex {
    /// The pages that touch a range, in order.
    pub(crate) fn pages(&self, range: TimeRange) -> Vec<PageAt> {
        let mut found = Vec::new();
        for (number, chunk) in (0u32..).zip(&self.chunks) {
            let from = chunk.pages.partition_point(|page| page.last < range.first());
            for (page, info) in (0u32..).zip(&chunk.pages).skip(from) {
                if info.first > range.last() {
                    break;
                }
                let (first, last, rows) = (info.first, info.last, info.rows);
                found.push(PageAt { chunk: number, page, first, last, rows });
            }
        }
        found
    }
}

/// Decodes columns of one page.
struct PageReader<'a> {
    file: &'a GroupFile,
    chunk: &'a ChunkIndex,
    page: usize,
    scratch: &'a mut Scratch,
}

impl<'a> PageReader<'a> {
    fn column(&self, role: Role) -> Result<&'a ColumnIndex, ReadError> {
        self.chunk.column(role).ok_or_else(|| self.damage("a column is missing"))
    }

    fn damage(&self, what: &'static str) -> ReadError {
        self.file.damaged(what)
    }

    fn decoder(&self, column: &'a ColumnIndex) -> Result<&'a ChunkDecoder, ReadError> {
        if let Some(decoder) = column.decoder.get() {
            return Ok(decoder);
        }
        let what = "the metadata of a chunk";
        let meta =
            self.file.verified(column.meta_offset, column.meta_len, column.meta_crc, what)?;
        let decoder = ChunkDecoder::parse(&meta, column.kind, column.values as usize)
            .map_err(|_| self.damage(what))?;
        Ok(column.decoder.get_or_init(|| decoder))
    }

    fn decode(
        &mut self,
        column: &'a ColumnIndex,
        decode: impl FnOnce(
            &ChunkDecoder,
            Page<'_>,
            &mut Scratch,
        ) -> Result<(), crate::codec::CodecError>,
    ) -> Result<(), ReadError> {
        let decoder = self.decoder(column)?;
        let info = &column.pages[self.page];
        let what = "a page";
        let bytes = self.file.verified(info.offset, info.len, info.crc, what)?;
        let (first, count) = (info.values_before as usize, info.values as usize);
        let page = Page { first, count, bytes: &bytes };
        decode(decoder, page, self.scratch).map_err(|_| self.file.damaged(what))
    }

    /// Reads the times; do they increase, given that the last is not before the first?
    fn times(&mut self, out: &mut Vec<i64>) -> Result<bool, ReadError> {
        let column = self.column(Role::Times)?;
        self.decode(column, |decoder, page, scratch| decoder.decode_i64s(page, out, scratch))?;
        Ok(self.decoder(column)?.rises() || out.windows(2).all(|pair| pair[0] < pair[1]))
    }

    fn u64s(&mut self, role: Role) -> Result<Vec<u64>, ReadError> {
        let column = self.column(role)?;
        let mut out = Vec::new();
        self.decode(column, |decoder, page, scratch| decoder.decode_u64s(page, &mut out, scratch))?;
        Ok(out)
    }

    fn versions(&mut self, stamps: Role, origins: Role) -> Result<Versions, ReadError> {
        let (stamps, origins) = (self.u64s(stamps)?, self.u64s(origins)?);
        let known = &self.file.directory.origins;
        let mut versions = Vec::with_capacity(stamps.len());
        for (stamp, origin) in stamps.into_iter().zip(origins) {
            let origin = usize::try_from(origin).ok().and_then(|at| known.get(at));
            let origin = *origin.ok_or_else(|| self.damage("an unknown origin"))?;
            versions.push(Version { stamp: Stamp(stamp), origin });
        }
        Ok(Versions::Rows(versions))
    }

    fn cells(
        &mut self,
        field: u32,
        kind: FieldType,
        rows: usize,
        with_versions: bool,
    ) -> Result<Option<Cells>, ReadError> {
        let Some(column) = self.chunk.column(Role::Values(field)) else { return Ok(None) };
        let count = column.pages[self.page].values as usize;
        if count == 0 {
            return Ok(None);
        }
        let mut values = self.scratch.column(kind);
        self.decode(column, |decoder, page, scratch| {
            decoder.decode_page(page, &mut values, scratch)
        })?;
        let column = if count == rows {
            Column::from_parts(values, None)
        } else {
            let column = spread(&values, &self.presence(field)?);
            self.scratch.give_back(values);
            column
        };
        let column = column.ok_or_else(|| self.damage("presence and values do not fit"))?;
        let own = self.chunk.column(Role::CellStamps(field)).is_some();
        let versions = if with_versions && own {
            Some(self.versions(Role::CellStamps(field), Role::CellOrigins(field))?)
        } else {
            None
        };
        Ok(Some(Cells { column, versions }))
    }

    fn presence(&mut self, field: u32) -> Result<Bitmap, ReadError> {
        let column = self.column(Role::Presence(field))?;
        let mut bits = Vec::new();
        self.decode(column, |decoder, page, scratch| {
            decoder.decode_bools(page, &mut bits, scratch)
        })?;
        let mut bitmap = Bitmap::new();
        bits.into_iter().for_each(|bit| bitmap.push(bit));
        Ok(bitmap)
    }
}
