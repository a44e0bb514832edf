//! A memory table: the rows of one collection in one group since the last flush.
//!
//! Invariants: chunks but the last are full and never change; the rows of a series are chained from
//! its newest to its oldest.
//! Threads: one writer at a time under the lock of the active generation. A reader clones the `Arc`s of
//! the chunks under the same lock and reads without it; a writer that then appends to a chunk some reader
//! holds copies it first (at most [`CHUNK_ROWS`] rows), so readers never wait and never see half a batch.

use super::chunk::{CHUNK_ROWS, Chunk, ChunkColumn, RowId};
use crate::rows::{Cells, FieldKey, SeriesRows, Versions, combine};
use hashbrown::HashMap;
use std::sync::Arc;
use tidelog_model::{Bitmap, Column, Horizon, Name, SubBatch, TimeRange, Values, Version};

/// See the module documentation.
#[derive(Debug, Default)]
pub(crate) struct Table {
    devices: HashMap<Arc<str>, u32>,
    series: Vec<Series>,
    fields: Arc<Vec<FieldKey>>,
    chunks: Vec<Arc<Chunk>>,
    span: Option<(i64, i64)>,
    rows: u64,
    values: u64,
    names_bytes: usize,
    chunks_bytes: usize,
}

/// A series of a table.
#[derive(Clone, Debug)]
struct Series {
    device: Arc<str>,
    /// The row applied last.
    head: RowId,
    /// The greatest time of any row.
    newest: i64,
}

impl Table {
    /// Applies a sub-batch; how many more bytes the table takes.
    pub(super) fn apply(&mut self, sub: &SubBatch<'_>) -> usize {
        let before = self.heap_bytes();
        let fields: Vec<usize> =
            sub.fields().map(|field| self.field_number(field.name(), field.field_type())).collect();
        if self.chunks.last().is_none_or(|chunk| chunk.rows() >= CHUNK_ROWS) {
            let next = self.chunks.last().map(|full| Chunk::with_room_of(full));
            let next = next.unwrap_or_default();
            self.chunks_bytes += next.heap_bytes();
            self.chunks.push(Arc::new(next));
        }
        let number = self.chunks.len() - 1;
        let tail = Arc::make_mut(&mut self.chunks[number]);
        let tail_before = tail.heap_bytes();
        let mut row = tail.rows();
        tail.append(sub, &fields);
        for (device, count) in sub.devices() {
            let number_of = match self.devices.get(device) {
                Some(series) => *series,
                None => {
                    let name: Arc<str> = device.into();
                    let series = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
                    self.names_bytes += device.len() + 64;
                    let (head, newest) = (RowId::NONE, i64::MIN);
                    self.series.push(Series { device: Arc::clone(&name), head, newest });
                    self.devices.insert(name, series);
                    series
                }
            };
            let series = &mut self.series[number_of as usize];
            for _ in 0..count {
                tail.previous.push(series.head);
                series.head = RowId::new(number, row);
                row += 1;
            }
            // Times increase within a sub-batch's device.
            let (first, last) = (tail.times[row - count], tail.times[row - 1]);
            series.newest = series.newest.max(last);
            self.span = Some(self.span.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
        self.rows += sub.rows() as u64;
        self.values += sub.fields().map(|field| field.count() as u64).sum::<u64>();
        self.chunks_bytes += tail.heap_bytes() - tail_before;
        self.heap_bytes() - before
    }

    fn field_number(&mut self, name: &str, kind: tidelog_model::FieldType) -> usize {
        let known = self.fields.iter().position(|f| f.kind == kind && f.name.as_str() == name);
        if let Some(number) = known {
            return number;
        }
        // The sub-batch was checked, so the name is one.
        if let Ok(name) = Name::new("field", name) {
            Arc::make_mut(&mut self.fields).push(FieldKey { name, kind });
        }
        self.fields.len() - 1
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.names_bytes + self.chunks_bytes
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many rows are before a time.
    pub(crate) fn rows_before(&self, time: i64) -> usize {
        let before = |chunk: &Arc<Chunk>| chunk.times.iter().filter(|one| **one < time).count();
        if self.span.is_some_and(|(first, _)| first >= time) {
            0
        } else {
            self.chunks.iter().map(before).sum()
        }
    }

    /// First and last time of any row.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    pub(crate) fn values(&self) -> u64 {
        self.values
    }

    pub(crate) fn fields(&self) -> &Arc<Vec<FieldKey>> {
        &self.fields
    }

    /// All series by name, and a view to read them through.
    pub(crate) fn view(&self) -> TableView {
        self.view_of(self.series.clone())
    }

    /// The series of some devices, as far as they are here.
    pub(crate) fn view_devices<'a>(&self, devices: impl Iterator<Item = &'a str>) -> TableView {
        let found = devices.filter_map(|device| self.devices.get(device));
        self.view_of(found.map(|series| self.series[*series as usize].clone()).collect())
    }

    fn view_of(&self, mut series: Vec<Series>) -> TableView {
        series.sort_unstable_by(|a, b| a.device.cmp(&b.device));
        let span = self.span.and_then(|(first, last)| TimeRange::inclusive(first, last));
        let chunks = self.chunks.clone();
        TableView { series, fields: Arc::clone(&self.fields), chunks, span }
    }
}

/// Some series of a memory table at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableView {
    /// By device, sorted, with the newest row of each.
    series: Vec<Series>,
    fields: Arc<Vec<FieldKey>>,
    chunks: Vec<Arc<Chunk>>,
    span: Option<TimeRange>,
}

impl TableView {
    /// From the first to the last time of any row of the table, those of other devices included.
    pub(crate) fn span(&self) -> Option<TimeRange> {
        self.span
    }

    pub(crate) fn devices(&self) -> impl ExactSizeIterator<Item = &Arc<str>> + '_ {
        self.series.iter().map(|series| &series.device)
    }

    /// The rows of a device inside a range, merged; `None` when there are none. Columns stand as
    /// `fields` ask for them.
    pub(crate) fn rows(
        &self,
        device: &str,
        range: TimeRange,
        fields: &[FieldKey],
    ) -> Option<SeriesRows> {
        self.rows_within(device, range, fields, &Horizon::default())
    }

    /// The same of the rows that a horizon admits. They are chosen before they are merged: what is beyond hides
    /// nothing that is not.
    pub(crate) fn rows_within(
        &self,
        device: &str,
        range: TimeRange,
        fields: &[FieldKey],
        horizon: &Horizon,
    ) -> Option<SeriesRows> {
        let at = self.series.binary_search_by(|series| (*series.device).cmp(device)).ok()?;
        let mut ids = Vec::new();
        let mut id = self.series[at].head;
        while id != RowId::NONE {
            let chunk = &self.chunks[id.chunk()];
            let admitted = horizon.admits(chunk.version_at(id.row()));
            if admitted && range.contains(chunk.times[id.row()]) {
                ids.push(id);
            }
            id = chunk.previous[id.row()];
        }
        if ids.is_empty() {
            return None;
        }
        ids.reverse();
        let rows = self.gather(&ids, fields);
        let increase = rows.times.windows(2).all(|pair| pair[0] < pair[1]);
        Some(if increase { rows } else { combine(&[rows], fields.len()) })
    }

    /// The newest time of a device inside a range.
    pub(crate) fn newest(&self, device: &str, range: TimeRange) -> Option<i64> {
        let at = self.series.binary_search_by(|series| (*series.device).cmp(device)).ok()?;
        let mut id = self.series[at].head;
        if range.contains(self.series[at].newest) {
            return Some(self.series[at].newest);
        }
        let mut newest = None;
        while id != RowId::NONE {
            let chunk = &self.chunks[id.chunk()];
            let time = chunk.times[id.row()];
            if range.contains(time) {
                newest = newest.max(Some(time));
            }
            id = chunk.previous[id.row()];
        }
        newest
    }

    fn gather(&self, ids: &[RowId], fields: &[FieldKey]) -> SeriesRows {
        let times = ids.iter().map(|id| self.chunks[id.chunk()].times[id.row()]).collect();
        let version = |id: &RowId| self.chunks[id.chunk()].version_at(id.row());
        let first = version(&ids[0]);
        let versions: Vec<Version> = ids.iter().map(version).collect();
        let versions = if versions.iter().all(|version| *version == first) {
            Versions::One(first)
        } else {
            Versions::Rows(versions)
        };
        let columns = fields.iter().map(|field| self.gather_column(ids, field)).collect();
        SeriesRows { times, versions, columns }
    }

    fn gather_column(&self, ids: &[RowId], field: &FieldKey) -> Option<Cells> {
        let number = self.fields.iter().position(|known| known == field)?;
        let column = |chunk: usize| self.chunks[chunk].columns.get(number).and_then(Option::as_ref);
        let dense = ids
            .chunk_by(|a, b| a.chunk() == b.chunk())
            .all(|run| column(run[0].chunk()).is_some_and(|column| column.presence.is_none()));
        let gathered = if dense {
            self.gather_dense(ids, number, field)
        } else {
            let mut gathered = Column::new(field.kind);
            for run in ids.chunk_by(|a, b| a.chunk() == b.chunk()) {
                gather_sparse(column(run[0].chunk()), run, &mut gathered);
            }
            gathered
        };
        (gathered.count_present() > 0).then_some(Cells { column: gathered, versions: None })
    }

    /// Every chunk has a value for every row: plain indexing.
    fn gather_dense(&self, ids: &[RowId], number: usize, field: &FieldKey) -> Column {
        macro_rules! gather {
            ($kind:ident) => {{
                let mut out = Vec::with_capacity(ids.len());
                for run in ids.chunk_by(|a, b| a.chunk() == b.chunk()) {
                    let columns = &self.chunks[run[0].chunk()].columns;
                    if let Some(Some(ChunkColumn { values: Values::$kind(values), .. })) =
                        columns.get(number)
                    {
                        out.extend(run.iter().map(|id| values[id.row()]));
                    }
                }
                Values::$kind(out)
            }};
        }
        use tidelog_model::FieldType as T;
        let values = match field.kind {
            T::F64 => gather!(F64),
            T::F32 => gather!(F32),
            T::I64 => gather!(I64),
            T::U64 => gather!(U64),
            T::Bool => gather!(Bool),
            T::String | T::Bytes => {
                let mut out = Values::new(field.kind);
                for id in ids {
                    if let Some(Some(column)) = self.chunks[id.chunk()].columns.get(number) {
                        out.extend_from(&column.values, id.row(), id.row() + 1);
                    }
                }
                out
            }
        };
        Column::from_parts(values, None).unwrap_or_else(|| Column::new(field.kind))
    }
}

fn gather_sparse(column: Option<&ChunkColumn>, run: &[RowId], out: &mut Column) {
    let Some(column) = column else {
        run.iter().for_each(|_| out.push_absent());
        return;
    };
    let ranks = column.presence.as_ref().map(Ranks::new);
    for id in run {
        let at = match &ranks {
            None => Some(id.row()),
            Some(ranks) => ranks.place(id.row()),
        };
        match at {
            Some(at) => {
                out.push(column.values.at(at));
            }
            None => out.push_absent(),
        }
    }
}

/// A bitmap with the number of bits before each word, so that a rank is one look-up.
struct Ranks<'a> {
    bits: &'a Bitmap,
    before: Vec<u32>,
}

impl<'a> Ranks<'a> {
    fn new(bits: &'a Bitmap) -> Self {
        let mut sum = 0;
        let before = bits.words().iter().map(|word| {
            let before = sum;
            sum += word.count_ones();
            before
        });
        Ranks { before: before.collect(), bits }
    }

    /// Where the value of a row stands among those that are there.
    fn place(&self, row: usize) -> Option<usize> {
        if row >= self.bits.len() || !self.bits.at(row) {
            return None;
        }
        let below = self.bits.words()[row / 64] & ((1u64 << (row % 64)) - 1);
        Some((self.before[row / 64] + below.count_ones()) as usize)
    }
}
