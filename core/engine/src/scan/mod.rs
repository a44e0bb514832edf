//! Scanning one series: memory and files, merged page by page, with no more than a page of each source
//! in hand.

mod snapshot;

pub(crate) use snapshot::Snapshot;

use crate::codec::Scratch;
use crate::group::{Bounds, GroupFile, IndexCache, PageAt, ReadError, SeriesIndex, SeriesRef};
use crate::rows::{FieldKey, SeriesRows, combine, hide, hide_beyond};
use std::sync::Arc;
use tidelog_model::{Horizon, Stamp, TimeRange, Tombstone};

/// Where rows of a series come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Rows in memory, in time order.
    Memory { rows: SeriesRows, next: usize },
    /// Pages of a file, in time order.
    File {
        file: Arc<GroupFile>,
        series: SeriesRef,
        index: Arc<SeriesIndex>,
        /// What the file numbers the scan's fields.
        numbers: Vec<Option<u32>>,
        pages: Vec<PageAt>,
        next: usize,
        /// A page of which a part was taken, and how many of its rows.
        loaded: Option<(SeriesRows, usize)>,
    },
}

impl Source {
    pub(crate) fn memory(rows: SeriesRows) -> Self {
        Source::Memory { rows, next: 0 }
    }

    /// The pages of a series that touch a range.
    pub(crate) fn file(
        file: &Arc<GroupFile>,
        series: SeriesRef,
        fields: &[FieldKey],
        cache: &IndexCache,
        range: TimeRange,
    ) -> Result<Self, ReadError> {
        let index = cache.index(file, &series)?;
        let pages = index.pages(range);
        let numbers = file.numbers(series.section, fields);
        let file = Arc::clone(file);
        Ok(Source::File { file, series, index, numbers, pages, next: 0, loaded: None })
    }

    /// First and last time of what can be taken next; `None` at the end.
    fn span(&self) -> Option<(i64, i64)> {
        match self {
            Source::Memory { rows, next } => Some((*rows.times.get(*next)?, *rows.times.last()?)),
            Source::File { loaded: Some((rows, taken)), .. } => {
                Some((*rows.times.get(*taken)?, *rows.times.last()?))
            }
            Source::File { pages, next, .. } => {
                pages.get(*next).map(|page| (page.first, page.last))
            }
        }
    }

    /// Takes all rows up to and including `bound`.
    fn take(
        &mut self,
        bound: i64,
        with_versions: bool,
        scratch: &mut Scratch,
    ) -> Result<SeriesRows, ReadError> {
        match self {
            Source::Memory { rows, next } => {
                let end = rows.times.partition_point(|time| *time <= bound);
                if *next == 0 && end == rows.len() {
                    return Ok(std::mem::replace(rows, SeriesRows::none()));
                }
                let taken = rows.slice(*next, end);
                *next = end;
                Ok(taken)
            }
            Source::File { file, series, index, numbers, pages, next, loaded } => {
                let (rows, taken) = match loaded.take() {
                    Some(partly) => partly,
                    None => {
                        let at = pages[*next];
                        *next += 1;
                        let rows =
                            file.read_page(series, index, at, numbers, with_versions, scratch)?;
                        (rows, 0)
                    }
                };
                let end = rows.times.partition_point(|time| *time <= bound);
                if taken == 0 && end == rows.len() {
                    return Ok(rows);
                }
                let slice = rows.slice(taken, end);
                if end < rows.len() {
                    *loaded = Some((rows, end));
                }
                Ok(slice)
            }
        }
    }

    /// What is known of a field in the page that comes next, whole; `Unknown` for anything else.
    /// `None` when no row of it has a value.
    fn bounds(&self, field: usize) -> Option<Bounds> {
        match self {
            Source::File { file, index, numbers, pages, next, loaded: None, .. } => {
                file.bounds(index, pages[*next], numbers[field])
            }
            _ => Some(Bounds::Unknown),
        }
    }

    fn skip_page(&mut self) {
        if let Source::File { next, .. } = self {
            *next += 1;
        }
    }
}

/// Rows in memory that count as a page when a range is divided.
const MEMORY_PAGE_ROWS: usize = 1024;

/// Decides by what is known of the values of a field, by its place among the scan's, whether any row of a page can matter; `None`: no row
/// has a value.
pub(crate) type PageTest<'a> = (usize, &'a dyn Fn(Option<Bounds>) -> bool);

/// The rows of one series, in slices, in time order.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) fields: Arc<[FieldKey]>,
    pub(crate) range: TimeRange,
    pub(crate) sources: Vec<Source>,
    /// Those that concern the collection and the device.
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// Cells beyond it count as not written yet.
    pub(crate) horizon: Arc<Horizon>,
}

impl Scan {
    /// Divides a range where pages begin, so that each part has about so many pages: ascending.
    pub(crate) fn split(&self, range: TimeRange, pages: usize) -> Vec<TimeRange> {
        let mut starts: Vec<i64> = Vec::new();
        for source in &self.sources {
            match source {
                Source::Memory { rows, .. } => {
                    starts.extend(rows.times.iter().step_by(pages * MEMORY_PAGE_ROWS));
                }
                Source::File { pages: all, .. } => {
                    starts.extend(all.iter().step_by(pages).map(|page| page.first));
                }
            }
        }
        starts.retain(|start| *start > range.first());
        starts.sort_unstable();
        starts.dedup();
        let mut parts = Vec::with_capacity(starts.len() + 1);
        let mut first = range.first();
        for start in starts {
            parts.extend(TimeRange::inclusive(first, start - 1));
            first = start;
        }
        parts.extend(TimeRange::inclusive(first, range.last()));
        parts
    }

    /// Leaves out pages that no part of a range needs; the parts are in order. Other rows may still come.
    pub(crate) fn only(&mut self, parts: &[TimeRange]) {
        let needed = |page: &PageAt| {
            let at = parts.partition_point(|part| part.last() < page.first);
            parts.get(at).is_some_and(|part| part.first() <= page.last)
        };
        for source in &mut self.sources {
            if let Source::File { pages, .. } = source {
                pages.retain(needed);
            }
        }
    }

    /// Are some cells left out by their versions?
    fn is_bounded(&self) -> bool {
        self.horizon.least() < Stamp::MAX
    }

    /// So many rows are still to come, at most.
    pub(crate) fn rows_left(&self) -> usize {
        let left = |source: &Source| match source {
            Source::Memory { rows, next } => rows.len() - next,
            Source::File { pages, next, loaded, .. } => {
                let partly = loaded.as_ref().map_or(0, |(rows, taken)| rows.len() - taken);
                partly + pages[*next..].iter().map(|page| page.rows as usize).sum::<usize>()
            }
        };
        self.sources.iter().map(left).sum()
    }

    /// Leaves only files.
    pub(crate) fn drop_memory(&mut self) {
        self.sources.retain(|source| matches!(source, Source::File { .. }));
    }

    /// The next slice; `None` at the end. `tests` are for pages that one source has alone: where
    /// several meet, a losing value may only be known by the winner beside it.
    pub(crate) fn next(
        &mut self,
        tests: &[PageTest<'_>],
        scratch: &mut Scratch,
    ) -> Result<Option<SeriesRows>, ReadError> {
        let with_versions = !self.tombstones.is_empty() || self.is_bounded();
        self.slice(tests, with_versions, scratch)
    }

    /// The next slice, with the versions of all cells: for what writes them on.
    pub(crate) fn next_with_versions(
        &mut self,
        scratch: &mut Scratch,
    ) -> Result<Option<SeriesRows>, ReadError> {
        self.slice(&[], true, scratch)
    }

    fn slice(
        &mut self,
        tests: &[PageTest<'_>],
        with_versions: bool,
        scratch: &mut Scratch,
    ) -> Result<Option<SeriesRows>, ReadError> {
        loop {
            let last = |source: &Source| source.span().map(|(_, last)| last);
            let Some(bound) = self.sources.iter().filter_map(last).min() else {
                return Ok(None);
            };
            let meets = |source: &Source| source.span().is_some_and(|(first, _)| first <= bound);
            let mut meeting = (0..self.sources.len()).filter(|at| meets(&self.sources[*at]));
            let (Some(one), another) = (meeting.next(), meeting.next()) else { return Ok(None) };
            let mut rows = if another.is_none() {
                let source = &mut self.sources[one];
                if !tests.iter().all(|(field, test)| test(source.bounds(*field))) {
                    source.skip_page();
                    continue;
                }
                let mut rows = source.take(bound, with_versions, scratch)?;
                hide_beyond(&mut rows, &self.horizon);
                rows
            } else {
                let mut parts = Vec::new();
                for source in self.sources.iter_mut().filter(|source| meets(source)) {
                    let mut part = source.take(bound, true, scratch)?;
                    // Before they meet: what is beyond hides nothing that is not.
                    hide_beyond(&mut part, &self.horizon);
                    parts.push(part);
                }
                combine(&parts, self.fields.len())
            };
            rows = rows.clip(self.range);
            if !self.tombstones.is_empty() {
                hide(&mut rows, &self.fields, &self.tombstones);
            }
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
    }
}
