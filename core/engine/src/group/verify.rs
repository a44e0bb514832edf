//! Verifying a whole group file: every byte against its checksum, every number against what it counts.
//!
//! All that is wrong is collected; what damage hides (the pages of a damaged series block, say) is
//! reported once, by what hides it. One page is in memory at a time.

use super::bounds::Bounds;
use super::index::{ChunkIndex, Role, SeriesIndex};
use super::layout::{HEADER_LEN, Section};
use super::reader::{GroupFile, PageAt, ReadError, SeriesRef};
use super::writer::PAGE_ROWS;
use crate::codec::Scratch;
use crate::rows::{Cells, FieldKey, SeriesRows};
use std::sync::OnceLock;
use tidelog_model::{CollectionName, Placer, TimeRange, ValueRef, Values, device};

/// Something wrong in a file, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Flaw {
    pub(crate) collection: Option<CollectionName>,
    /// In its canonical form.
    pub(crate) device: Option<String>,
    pub(crate) range: Option<TimeRange>,
    pub(crate) what: String,
}

/// What was read, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    pub(crate) pages: u64,
    pub(crate) rows: u64,
    pub(crate) values: u64,
    pub(crate) flaws: Vec<Flaw>,
    /// BLAKE3 of the file; `None` when it could not be read to its end.
    pub(crate) digest: Option<[u8; 32]>,
}

/// Verification was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cancelled;

impl GroupFile {
    /// Verifies everything. `go_on` is told the rows read so far, and stops the work with `false`.
    pub(crate) fn verify(&self, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Verified, Cancelled> {
        let mut found = Verified::default();
        if !go_on(0) {
            return Err(Cancelled);
        }
        match self.container.digest() {
            Ok(digest) => found.digest = Some(digest),
            Err(error) => found.flaws.push(Flaw::of_file(plain(&error))),
        }
        let mut walk = Walk { file: self, found, at: Some(HEADER_LEN as u64), go_on };
        let mut sums = (0u64, 0u64, 0u64);
        for (number, section) in (0u32..).zip(self.sections()) {
            let twice = self.section(&section.name) != Some(number);
            walk.expect(!twice, "the collection stands in the directory twice", section);
            walk.section(number, section)?;
            sums.0 = sums.0.saturating_add(section.rows);
            sums.1 = sums.1.saturating_add(section.values);
            sums.2 = sums.2.saturating_add(u64::from(section.series));
        }
        let directory = self.container.directory().offset;
        walk.stands_at(directory, || Flaw::of_file("bytes before the directory are of no part"));
        let summary = self.summary();
        if sums != (summary.rows, summary.values, summary.series) {
            walk.found
                .flaws
                .push(Flaw::of_file("the file's sums are not those of its collections"));
        }
        let hull = self.sections().iter().map(|section| section.range).reduce(TimeRange::hull);
        if hull != Some(summary.range) {
            walk.found
                .flaws
                .push(Flaw::of_file("the file's times are not those of its collections"));
        }
        Ok(walk.found)
    }
}

impl Flaw {
    pub(crate) fn of_file(what: impl Into<String>) -> Self {
        Flaw { collection: None, device: None, range: None, what: what.into() }
    }
}

/// The error without the path and advice that whoever reports it gives anyway.
pub(crate) fn plain(error: &ReadError) -> String {
    match error {
        ReadError::Damaged { what, .. } => (*what).to_owned(),
        ReadError::Unreadable { what, .. } => what.clone(),
        ReadError::Io { source, .. } => format!("it cannot be read: {source}"),
        ReadError::TooNew { .. } => error.to_string(),
        ReadError::Settled(error) => plain(error),
    }
}

struct Walk<'a> {
    file: &'a GroupFile,
    found: Verified,
    /// The parts stand without gaps: where the next one must be; `None` behind a part that is lost.
    at: Option<u64>,
    go_on: &'a mut dyn FnMut(u64) -> bool,
}

/// Whose series is verified.
struct Place<'a> {
    section: &'a Section,
    device: &'a str,
    series: SeriesRef,
}

impl Place<'_> {
    fn flaw(&self, range: TimeRange, what: impl Into<String>) -> Flaw {
        Flaw {
            collection: Some(self.section.name.clone()),
            device: Some(self.device.to_owned()),
            range: Some(range),
            what: what.into(),
        }
    }
}

impl Walk<'_> {
    fn expect(&mut self, holds: bool, otherwise: &str, section: &Section) {
        if !holds {
            self.found.flaws.push(Flaw {
                collection: Some(section.name.clone()),
                device: None,
                range: Some(section.range),
                what: otherwise.to_owned(),
            });
        }
    }

    fn stands_at(&mut self, offset: u64, flaw: impl FnOnce() -> Flaw) {
        if self.at.is_some_and(|at| at != offset) {
            self.found.flaws.push(flaw());
        }
    }

    fn section(&mut self, number: u32, section: &Section) -> Result<(), Cancelled> {
        let before = (self.found.rows, self.found.values, self.found.flaws.len());
        let mut series = Vec::new();
        let listed = self.file.each_device(number, |device, found| {
            series.push((device.to_owned(), found));
        });
        if let Err(error) = listed {
            self.expect(false, &plain(&error), section);
            self.at = None;
            // Names in a table that fails its checksum are nothing to go by.
            series.clear();
        }
        let sorted = series.is_sorted_by(|a, b| a.0 < b.0);
        self.expect(sorted, "the devices of a table are not in order", section);
        let (groups, placer) = (self.file.group(), Placer::new(&section.name));
        for (device, found) in &series {
            let place = Place { section, device, series: *found };
            if !device::is_canonical(device) {
                let flaw =
                    place.flaw(found.range(), "the device's name is not in its canonical form");
                self.found.flaws.push(flaw);
            }
            if groups.1 == 0 || placer.place(device).group(groups.1) != groups.0 {
                let flaw = place.flaw(found.range(), "the device belongs to another group");
                self.found.flaws.push(flaw);
            }
            self.series(&place)?;
        }
        let hull = series.iter().map(|(_, found)| found.range()).reduce(TimeRange::hull);
        if self.found.flaws.len() == before.2 {
            let same = self.found.rows - before.0 == section.rows
                && self.found.values - before.1 == section.values
                && series.len() == section.series as usize;
            self.expect(same, "the counts in the directory are wrong", section);
            self.expect(
                hull == Some(section.range),
                "the times in the directory are wrong",
                section,
            );
        }
        let range = section.range;
        let collection = section.name.clone();
        self.stands_at(section.table_offset, || Flaw {
            collection: Some(collection),
            device: None,
            range: Some(range),
            what: "bytes before the series table are of no series".to_owned(),
        });
        self.at = section.table_offset.checked_add(u64::from(section.table_len));
        Ok(())
    }

    fn series(&mut self, place: &Place<'_>) -> Result<(), Cancelled> {
        let series = &place.series;
        match self.file.index(series) {
            Ok(index) => self.chunks(place, index)?,
            Err(error) => {
                self.found.flaws.push(place.flaw(series.range(), plain(&error)));
                self.at = None;
            }
        }
        self.stands_at(series.offset, || {
            place.flaw(series.range(), "bytes before the series block are of no page")
        });
        self.at = series.offset.checked_add(u64::from(series.len));
        Ok(())
    }

    fn chunks(&mut self, place: &Place<'_>, mut index: SeriesIndex) -> Result<(), Cancelled> {
        let pages = index.pages(TimeRange::ALL);
        let count: usize = index.chunks.iter().map(|chunk| chunk.pages.len()).sum();
        let hull = || TimeRange::inclusive(pages.first()?.first, pages.last()?.last);
        let increase = pages.windows(2).all(|pair| pair[0].last < pair[1].first);
        if !increase || count != pages.len() {
            let what = "pages overlap, or are not in the order of their times";
            self.found.flaws.push(place.flaw(place.series.range(), what));
        } else if hull() != Some(place.series.range()) {
            let what = "the times of the series are not those of its pages";
            self.found.flaws.push(place.flaw(place.series.range(), what));
        }
        let leaf = place.section.leaf;
        for pair in pages.windows(2) {
            let shared = leaf.leaf_of(pair[0].last) == leaf.leaf_of(pair[1].first);
            if shared && (pair[0].rows as usize) < PAGE_ROWS {
                let what = "a leaf window is divided between pages";
                self.found.flaws.push(place.flaw(range_of(&pair[0]), what));
            }
        }
        let mut scratch = Scratch::default();
        for number in 0..index.chunks.len() {
            let damaged = self.bytes(place, &index.chunks[number]);
            for at in pages.iter().filter(|page| page.chunk as usize == number) {
                self.found.pages += 1;
                if !damaged.contains(&(at.page as usize)) {
                    self.page(place, &index, *at, &mut scratch);
                }
            }
            // Decoders are large; those of one chunk are enough.
            for column in &mut index.chunks[number].columns {
                column.decoder = OnceLock::new();
            }
            if !(self.go_on)(self.found.rows) {
                return Err(Cancelled);
            }
        }
        Ok(())
    }

    /// Verifies the bytes of a chunk, columns that no reader asks for included; the pages that are
    /// damaged.
    fn bytes(&mut self, place: &Place<'_>, chunk: &ChunkIndex) -> Vec<usize> {
        self.stands_at(chunk.offset, || {
            place.flaw(place.series.range(), "the chunks of the series are not where they belong")
        });
        self.at = Some(chunk.offset);
        let mut damaged = Vec::new();
        let (first, last) = (chunk.pages[0].first, chunk.pages[chunk.pages.len() - 1].last);
        let whole = TimeRange::inclusive(first, last).unwrap_or(place.series.range());
        for column in &chunk.columns {
            let name = name_of(column.role, &place.section.fields);
            let meta = (column.meta_offset, column.meta_len, column.meta_crc);
            if let Err(error) = self.file.verified(meta.0, meta.1, meta.2, "metadata") {
                let what = format!("{} of {name}", plain(&error));
                self.found.flaws.push(place.flaw(whole, what));
                damaged.extend(0..chunk.pages.len());
            }
            for (number, page) in column.pages.iter().enumerate() {
                if let Err(error) = self.file.verified(page.offset, page.len, page.crc, "page") {
                    let info = &chunk.pages[number];
                    let range = TimeRange::inclusive(info.first, info.last).unwrap_or(whole);
                    let what = format!("{} of {name}", plain(&error));
                    self.found.flaws.push(place.flaw(range, what));
                    damaged.push(number);
                }
                self.at = page.offset.checked_add(u64::from(page.len));
            }
        }
        damaged
    }

    /// Decodes a page whose bytes are good, and holds its numbers against its content.
    fn page(&mut self, place: &Place<'_>, index: &SeriesIndex, at: PageAt, scratch: &mut Scratch) {
        let fields = &place.section.fields;
        let numbers = self.file.numbers(place.series.section, fields);
        let rows = self.file.read_page(&place.series, index, at, &numbers, true, scratch);
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                self.found.flaws.push(place.flaw(range_of(&at), plain(&error)));
                return;
            }
        };
        self.found.rows += rows.len() as u64;
        let cells = rows.columns.iter().flatten();
        self.found.values += cells.map(|cells| cells.column.count_present() as u64).sum::<u64>();
        let mut flaw = |what: String| self.found.flaws.push(place.flaw(range_of(&at), what));
        if rows.len() != at.rows as usize {
            flaw("a page has another number of rows than its index says".to_owned());
        }
        let stamps = self.file.summary().stamps;
        if let Some((least, greatest)) = rows.version_bounds()
            && (least.stamp < stamps.0 || greatest.stamp > stamps.1)
        {
            flaw("a stamp is outside of what the file says it holds".to_owned());
        }
        for ((field, number), cells) in fields.iter().zip(numbers).zip(&rows.columns) {
            let bounds = self.file.bounds(index, at, number);
            if !holds(bounds, cells.as_ref(), &rows) {
                flaw(format!("values of field {} are outside of the page's bounds", field.name));
            }
        }
    }
}

fn range_of(page: &PageAt) -> TimeRange {
    TimeRange::inclusive(page.first, page.last).unwrap_or(TimeRange::ALL)
}

fn name_of(role: Role, fields: &[FieldKey]) -> String {
    let field = |number: u32| {
        fields.get(number as usize).map_or_else(String::new, |field| field.name.to_string())
    };
    match role {
        Role::Times => "the times".to_owned(),
        Role::Stamps | Role::Origins => "the versions".to_owned(),
        Role::Values(number) => format!("field {}", field(number)),
        Role::Presence(number) => format!("the presence of field {}", field(number)),
        Role::CellStamps(number) | Role::CellOrigins(number) => {
            format!("the versions of field {}", field(number))
        }
    }
}

/// Do the values of a page lie within its bounds?
fn holds(bounds: Option<Bounds>, cells: Option<&Cells>, rows: &SeriesRows) -> bool {
    let (Some(bounds), Some(cells)) = (bounds, cells) else {
        return bounds.is_none() && cells.is_none();
    };
    let column = &cells.column;
    if column.presence().is_none() {
        return within(bounds, column.values());
    }
    (0..rows.len()).filter_map(|row| column.at(row)).all(|value| match (bounds, value) {
        (Bounds::Unknown, _) => true,
        (Bounds::AllNan, ValueRef::F64(v)) => v.is_nan(),
        (Bounds::AllNan, ValueRef::F32(v)) => v.is_nan(),
        (Bounds::Float(a, b), ValueRef::F64(v)) => v.is_nan() || (a <= v && v <= b),
        (Bounds::Float(a, b), ValueRef::F32(v)) => v.is_nan() || (a <= v.into() && b >= v.into()),
        (Bounds::I64(a, b), ValueRef::I64(v)) => a <= v && v <= b,
        (Bounds::U64(a, b), ValueRef::U64(v)) => a <= v && v <= b,
        _ => false,
    })
}

/// As above, for a column without gaps.
fn within(bounds: Bounds, values: &Values) -> bool {
    match (bounds, Bounds::of(values, 0, values.len())) {
        (Bounds::Unknown, _) => true,
        (Bounds::Float(..), Bounds::AllNan) => true,
        (Bounds::Float(a, b), Bounds::Float(c, d)) => a <= c && d <= b,
        (Bounds::I64(a, b), Bounds::I64(c, d)) => a <= c && d <= b,
        (Bounds::U64(a, b), Bounds::U64(c, d)) => a <= c && d <= b,
        (stored, found) => stored == found,
    }
}
