//! A node block in memory: its columns are read and decoded when they are first needed.

use super::layout::{BlockDirectory, BlockEntry};
use super::parts::{Part, Scope, Slot, Source, join};
use super::reader::NodeFile;
use crate::format::Malformed;
use crate::group::{Cached, Extent, ReadError};
use crate::rollup::window_of;
use crate::rollup::{Rollup, Wants};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use tidelog_model::{FieldType, TimeRange, Values};

/// A block with the file it stands in. Cheap to clone; threads may share it.
#[derive(Clone, Debug)]
pub(crate) struct NodeBlock {
    pub(super) file: Arc<NodeFile>,
    pub(super) section: u32,
    pub(super) columns: Arc<Columns>,
}

/// What a cache keeps of a block: not the file, which may be gone meanwhile.
#[derive(Debug)]
pub(crate) struct Columns {
    series: Vec<u32>,
    starts: Vec<i64>,
    rows: Vec<u64>,
    /// Sorted by number; those without values in the block are not here.
    pub(super) fields: Vec<FieldColumns>,
}

#[derive(Debug)]
pub(super) struct FieldColumns {
    pub(super) field: u32,
    pub(super) kind: FieldType,
    /// Sorted by part.
    pub(super) columns: Vec<BlockColumn>,
    present: OnceLock<Places>,
    ordered: OnceLock<Places>,
    counters: OnceLock<Places>,
}

#[derive(Debug)]
pub(super) struct BlockColumn {
    pub(super) part: Part,
    pub(super) kind: FieldType,
    pub(super) extent: Extent,
    /// Bytes of the codec's metadata; the page follows.
    pub(super) meta: usize,
    values: OnceLock<Values>,
}

/// Where the values of some nodes stand among those of a narrower scope.
#[derive(Debug)]
enum Places {
    All,
    /// A place for each, or [`NOWHERE`]; and how many have one.
    Some(Vec<u32>, usize),
}

const NOWHERE: u32 = u32::MAX;

impl NodeBlock {
    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.columns.starts.len()
    }

    /// The number of the series of a node.
    pub(crate) fn series(&self, node: usize) -> u32 {
        self.columns.series[node]
    }

    /// Where the window of a node starts.
    pub(crate) fn start(&self, node: usize) -> i64 {
        self.columns.starts[node]
    }

    /// Visible rows in the window of a node. Zero: the window is empty, whatever older files say.
    pub(crate) fn rows(&self, node: usize) -> u64 {
        self.columns.rows[node]
    }

    /// The nodes of a series whose windows start in a range.
    pub(crate) fn find(&self, series: u32, range: TimeRange) -> Range<usize> {
        let columns = &*self.columns;
        let from = columns.series.partition_point(|other| *other < series);
        let to = columns.series.partition_point(|other| *other <= series);
        let starts = &columns.starts[from..to];
        let first = starts.partition_point(|start| *start < range.first());
        let last = starts.partition_point(|start| *start <= range.last());
        from + first..from + last
    }

    /// The rollup of a field in a node. Count, first and last are always there, the rest when it is wanted.
    pub(crate) fn rollup(
        &self,
        field: u32,
        node: usize,
        wants: Wants,
    ) -> Result<Rollup, ReadError> {
        let Some(source) = self.source(field) else { return Ok(Rollup::new(self.kind(field))) };
        let read = || {
            let Some(slot) = source.slot(node, wants)? else {
                return Ok(Rollup::new(source.field.kind));
            };
            join(source.field.kind, &source, slot, wants)
        };
        read().map_err(|error| self.hit(error, node))
    }

    pub(super) fn source(&self, field: u32) -> Option<FieldSource<'_>> {
        let fields = &self.columns.fields;
        let at = fields.binary_search_by_key(&field, |columns| columns.field).ok()?;
        Some(FieldSource { block: self, field: &fields[at] })
    }

    fn kind(&self, field: u32) -> FieldType {
        self.file.sections()[self.section as usize].fields[field as usize].kind
    }

    /// The window of a node.
    pub(super) fn window(&self, node: usize) -> TimeRange {
        let leaf = self.file.sections()[self.section as usize].leaf;
        window_of(self.file.tier(), self.start(node), leaf)
    }

    fn hit(&self, error: ReadError, node: usize) -> ReadError {
        // Who asked about no node at all has no window.
        if node >= self.len() {
            return error;
        }
        self.file.hit(error, self.section, self.series(node), self.window(node))
    }
}

/// The columns of one field of a block.
#[derive(Clone, Copy)]
pub(super) struct FieldSource<'a> {
    block: &'a NodeBlock,
    pub(super) field: &'a FieldColumns,
}

impl<'a> FieldSource<'a> {
    fn slot(&self, node: usize, wants: Wants) -> Result<Option<Slot>, ReadError> {
        let Some(present) = self.places(Scope::Present)?.at(node) else { return Ok(None) };
        let within = |wanted: bool, scope| -> Result<Option<usize>, ReadError> {
            Ok(if wanted { self.places(scope)?.at(present) } else { None })
        };
        let numbers =
            !matches!(self.field.kind, FieldType::Bool | FieldType::String | FieldType::Bytes);
        Ok(Some(Slot {
            start: self.block.start(node),
            rows: self.block.rows(node),
            present,
            ordered: within(numbers && wants.extremes, Scope::Ordered)?,
            counter: within(numbers && wants.falls, Scope::Counters)?,
        }))
    }

    /// Where the nodes of a scope stand in its columns.
    fn places(&self, scope: Scope) -> Result<&'a Places, ReadError> {
        let (cell, part) = match scope {
            Scope::All => return Ok(&Places::All),
            Scope::Present => (&self.field.present, Part::Present),
            Scope::Ordered => (&self.field.ordered, Part::Ordered),
            Scope::Counters => (&self.field.counters, Part::Counter),
        };
        if let Some(places) = cell.get() {
            return Ok(places);
        }
        let places = match self.own_column(part)? {
            Some(Values::Bool(flags)) => Places::of(flags),
            _ => Places::All,
        };
        Ok(cell.get_or_init(|| places))
    }

    /// How many values the columns of a scope have.
    fn count(&self, scope: Scope) -> Result<usize, ReadError> {
        let wider = match scope {
            Scope::All => return Ok(self.block.len()),
            Scope::Present => self.block.len(),
            Scope::Ordered | Scope::Counters => self.count(Scope::Present)?,
        };
        Ok(match self.places(scope)? {
            Places::All => wider,
            Places::Some(_, count) => *count,
        })
    }

    /// Has every node of the block values?
    pub(super) fn is_everywhere(&self) -> Result<bool, ReadError> {
        Ok(matches!(self.places(Scope::Present)?, Places::All))
    }

    pub(super) fn own_column(&self, part: Part) -> Result<Option<&'a Values>, ReadError> {
        let columns = &self.field.columns;
        let Ok(at) = columns.binary_search_by_key(&part, |column| column.part) else {
            return Ok(None);
        };
        let column = &columns[at];
        if let Some(values) = column.values.get() {
            return Ok(Some(values));
        }
        let count = self.count(part.scope())?;
        let values = self.block.file.decode(column.extent, column.meta, column.kind, count)?;
        Ok(Some(column.values.get_or_init(|| values)))
    }
}

#[cfg(test)]
impl BlockColumn {
    pub(super) fn is_decoded(&self) -> bool {
        self.values.get().is_some()
    }
}

impl Source for FieldSource<'_> {
    fn column(&self, part: Part) -> Result<Option<&Values>, ReadError> {
        self.own_column(part)
    }

    fn damaged(&self, what: &'static str) -> ReadError {
        self.block.file.damaged(what)
    }
}

impl Places {
    fn of(flags: &[bool]) -> Self {
        let mut count = 0;
        let mut place = |flag: &bool| {
            count += u32::from(*flag);
            if *flag { count - 1 } else { NOWHERE }
        };
        let places = flags.iter().map(&mut place).collect();
        Places::Some(places, count as usize)
    }

    fn at(&self, node: usize) -> Option<usize> {
        match self {
            Places::All => Some(node),
            Places::Some(places, _) => {
                places.get(node).filter(|place| **place != NOWHERE).map(|place| *place as usize)
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        if let Places::Some(places, _) = self { size_of_val(places.as_slice()) } else { 0 }
    }
}

impl Columns {
    /// Reads what a block begins with, and which nodes it has.
    pub(super) fn read(
        file: &NodeFile,
        section: u32,
        entry: &BlockEntry,
    ) -> Result<Self, ReadError> {
        let malformed = |error: Malformed| file.damaged(error.0);
        let info = &file.sections()[section as usize];
        let bytes = file.container.verified(entry.directory, "the directory of a node block")?;
        let body = entry.len.checked_sub(entry.directory.len);
        let body =
            body.ok_or_else(|| file.damaged("a node block is shorter than its directory"))?;
        let directory = BlockDirectory::decode(&bytes, &info.fields, body as usize);
        let directory = directory.map_err(malformed)?;
        let mut at = entry.directory.end().unwrap_or(u64::MAX);
        let (mut own, mut fields) = (Vec::new(), Vec::<FieldColumns>::new());
        for column in &directory.columns {
            let kind = column.kind(&info.fields).map_err(malformed)?;
            // Lengths were held against that of the block, which is a `u32`.
            let len = (column.meta + column.page) as u32;
            let extent = Extent { offset: at, len, crc: column.crc };
            at = at.saturating_add(u64::from(len));
            let (part, meta) = (column.part, column.meta);
            let read = BlockColumn { part, kind, extent, meta, values: OnceLock::new() };
            match column.field {
                None => own.push(read),
                Some(field) if fields.last().is_some_and(|last| last.field == field) => {
                    fields.last_mut().expect("there is a last").columns.push(read);
                }
                Some(field) => {
                    let kind = info.fields[field as usize].kind;
                    fields.push(FieldColumns::new(field, kind, read));
                }
            }
        }
        let nodes = directory.nodes;
        let series = numbers(own_values(file, &own, Part::Series, nodes)?, nodes);
        let narrow = |series: u64| u32::try_from(series).ok().filter(|n| *n < info.series);
        let series: Option<Vec<u32>> = series.into_iter().map(narrow).collect();
        let series = series.ok_or_else(|| file.damaged("a node is of an unknown series"))?;
        let starts = match own_values(file, &own, Part::Start, nodes)? {
            Some(Values::I64(starts)) => starts,
            _ => vec![0; nodes],
        };
        let rows = numbers(own_values(file, &own, Part::Rows, nodes)?, nodes);
        let out = Columns { series, starts, rows, fields };
        let keys: Vec<(u32, i64)> = out.keys().collect();
        let ends = (keys.first().copied(), keys.last().copied());
        if ends != (Some(entry.first), Some(entry.last)) || !keys.is_sorted_by(|a, b| a < b) {
            return Err(file.damaged(
                "the nodes of a block are not in order, or not those it is said to hold",
            ));
        }
        Ok(out)
    }

    /// Series and start of each node.
    fn keys(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.series.iter().copied().zip(self.starts.iter().copied())
    }
}

impl FieldColumns {
    fn new(field: u32, kind: FieldType, first: BlockColumn) -> Self {
        FieldColumns {
            field,
            kind,
            columns: vec![first],
            present: OnceLock::new(),
            ordered: OnceLock::new(),
            counters: OnceLock::new(),
        }
    }
}

/// A column of the nodes themselves.
fn own_values(
    file: &NodeFile,
    own: &[BlockColumn],
    part: Part,
    nodes: usize,
) -> Result<Option<Values>, ReadError> {
    let column = own.iter().find(|column| column.part == part);
    column.map(|column| file.decode(column.extent, column.meta, column.kind, nodes)).transpose()
}

fn numbers(values: Option<Values>, nodes: usize) -> Vec<u64> {
    if let Some(Values::U64(values)) = values { values } else { vec![0; nodes] }
}

impl Cached for Columns {
    fn heap_bytes(&self) -> usize {
        let column = |column: &BlockColumn| {
            size_of::<BlockColumn>() + column.values.get().map_or(0, Values::heap_bytes)
        };
        let field = |field: &FieldColumns| {
            let places = [&field.present, &field.ordered, &field.counters];
            size_of::<FieldColumns>()
                + places
                    .into_iter()
                    .filter_map(OnceLock::get)
                    .map(Places::heap_bytes)
                    .sum::<usize>()
                + field.columns.iter().map(column).sum::<usize>()
        };
        // A series, a start and a number of rows each.
        self.starts.len() * 20 + self.fields.iter().map(field).sum::<usize>()
    }
}
