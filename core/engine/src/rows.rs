//! Rows of one series in columns, with the version of every cell: what memory and files hand out, and
//! the one place where the engine applies the merge rule and tombstones to them.

use crate::codec::Scratch;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;
use tidelog_model::{Bitmap, Column, Horizon, Name, Tombstone, ValueRef, Values, Version, merge};
use tidelog_model::{FieldType, TimeRange};

/// A field as files and memory know it: name and type together, since a peer may bring a second type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct FieldKey {
    pub(crate) name: Name,
    pub(crate) kind: FieldType,
}

/// The versions of a column of cells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Versions {
    /// One for all.
    One(Version),
    /// One per row.
    Rows(Vec<Version>),
}

impl Versions {
    pub(crate) fn at(&self, row: usize) -> Version {
        match self {
            Versions::One(version) => *version,
            Versions::Rows(versions) => versions[row],
        }
    }

    fn slice(&self, from: usize, to: usize) -> Versions {
        match self {
            Versions::One(version) => Versions::One(*version),
            Versions::Rows(versions) => Versions::Rows(versions[from..to].to_vec()),
        }
    }
}

/// The cells of one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cells {
    pub(crate) column: Column,
    /// `None`: each cell has the version of its row.
    pub(crate) versions: Option<Versions>,
}

/// Rows of one series. Times strictly increase, except in what [`combine`] is given.
///
/// `columns` stands beside a list of fields that whoever asked for the rows knows; `None` where no row
/// has a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SeriesRows {
    pub(crate) times: Vec<i64>,
    /// The version of each row's existence: the greatest of its cells' versions.
    pub(crate) versions: Versions,
    pub(crate) columns: Vec<Option<Cells>>,
}

impl SeriesRows {
    /// No rows, of no fields.
    pub(crate) fn none() -> Self {
        SeriesRows {
            times: Vec::new(),
            versions: Versions::One(Version::default()),
            columns: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Heap bytes taken, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of = |versions: &Versions| match versions {
            Versions::One(_) => 0,
            Versions::Rows(rows) => size_of_val(rows.as_slice()),
        };
        let cells = self.columns.iter().flatten().map(|cells| {
            let bits = cells.column.presence().map_or(0, |bits| bits.len() / 8);
            cells.column.values().heap_bytes() + bits + cells.versions.as_ref().map_or(0, of)
        });
        size_of_val(self.times.as_slice()) + of(&self.versions) + cells.sum::<usize>()
    }

    /// Leaves the room of rows that are done with to those that are read next.
    pub(crate) fn give_back(self, scratch: &mut Scratch) {
        scratch.give_back(Values::I64(self.times));
        let columns = self.columns.into_iter().flatten();
        columns.for_each(|cells| scratch.give_back(cells.column.into_parts().0));
    }

    /// The rows `from..to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> SeriesRows {
        let cut = |cells: &Cells| {
            let mut column = Column::new(cells.column.field_type());
            column.extend_from(&cells.column, from, to);
            let versions = cells.versions.as_ref().map(|versions| versions.slice(from, to));
            Cells { column, versions }
        };
        SeriesRows {
            times: self.times[from..to].to_vec(),
            versions: self.versions.slice(from, to),
            columns: self.columns.iter().map(|cells| cells.as_ref().map(cut)).collect(),
        }
    }

    /// The rows inside a range, given that times increase.
    pub(crate) fn clip(self, range: TimeRange) -> SeriesRows {
        let from = self.times.partition_point(|time| *time < range.first());
        let to = self.times.partition_point(|time| *time <= range.last());
        if from == 0 && to == self.times.len() { self } else { self.slice(from, to.max(from)) }
    }

    /// Appends rows that come after these in time, of the same fields.
    pub(crate) fn append(&mut self, other: &SeriesRows) {
        let (rows, more) = (self.len(), other.len());
        if rows == 0 {
            *self = other.clone();
            return;
        }
        if let (Versions::One(a), Versions::One(b)) = (&self.versions, &other.versions)
            && a == b
        {
            // Stays one for all.
        } else {
            let mut versions: Vec<Version> = (0..rows).map(|row| self.versions.at(row)).collect();
            versions.extend((0..more).map(|row| other.versions.at(row)));
            // Cells that shared their row's single version go on sharing the row's own.
            self.versions = Versions::Rows(versions);
        }
        self.times.extend_from_slice(&other.times);
        for (index, cells) in self.columns.iter_mut().enumerate() {
            append_cells(cells, other.columns[index].as_ref(), rows, more, &self.versions);
        }
    }

    /// The version of a cell.
    pub(crate) fn cell_version(&self, column: usize, row: usize) -> Version {
        match &self.columns[column] {
            Some(Cells { versions: Some(versions), .. }) => versions.at(row),
            _ => self.versions.at(row),
        }
    }

    /// The greatest and the least version of any cell; `None` without rows.
    pub(crate) fn version_bounds(&self) -> Option<(Version, Version)> {
        let own = self.columns.iter().flatten().filter_map(|cells| cells.versions.as_ref());
        let all = std::iter::once(&self.versions).chain(own);
        let bounds = |versions: &Versions| match versions {
            Versions::One(version) => Some((*version, *version)),
            Versions::Rows(rows) => Some((*rows.iter().min()?, *rows.iter().max()?)),
        };
        if self.is_empty() {
            return None;
        }
        all.filter_map(bounds).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

fn append_cells(
    cells: &mut Option<Cells>,
    other: Option<&Cells>,
    rows: usize,
    more: usize,
    row_versions: &Versions,
) {
    let Some(kind) = cells.as_ref().or(other).map(|cells| cells.column.field_type()) else {
        return;
    };
    let mine = cells.get_or_insert_with(|| {
        let mut column = Column::new(kind);
        column.pad(rows);
        Cells { column, versions: None }
    });
    match other {
        Some(other) => mine.column.extend_from(&other.column, 0, more),
        None => mine.column.pad(rows + more),
    }
    let theirs = other.and_then(|other| other.versions.as_ref());
    if mine.versions.is_none() && theirs.is_none() {
        return;
    }
    let mut versions: Vec<Version> = (0..rows)
        .map(|row| mine.versions.as_ref().map_or_else(|| row_versions.at(row), |v| v.at(row)))
        .collect();
    versions.extend((0..more).map(|row| {
        theirs.map_or_else(|| row_versions.at(rows + row), |versions| versions.at(row))
    }));
    mine.versions = Some(Versions::Rows(versions));
}

/// Merges rows of one series from several sources, in any order and with repeated times, by the
/// merge rule. All parts have the same fields.
pub(crate) fn combine(parts: &[SeriesRows], fields: usize) -> SeriesRows {
    let mut order: Vec<(i64, u32, u32)> = Vec::new();
    for (part, rows) in parts.iter().enumerate() {
        let number = |n: usize| u32::try_from(n).expect("merged in slices far below 2^32 rows");
        order.extend(
            rows.times.iter().enumerate().map(|(row, time)| (*time, number(part), number(row))),
        );
    }
    if !order.is_sorted_by(|a, b| a.0 <= b.0) {
        order.sort_by_key(|(time, _, _)| *time);
    }
    let runs: Vec<&[(i64, u32, u32)]> = order.chunk_by(|a, b| a.0 == b.0).collect();
    let row_versions: Vec<Version> = runs.iter().map(|run| newest(parts, run)).collect();
    let stretches = stretches(&runs);
    let cells = |field| {
        let full = combine_full(parts, field, &stretches, &row_versions);
        full.or_else(|| combine_cells(parts, field, &runs, &row_versions))
    };
    let columns = (0..fields).map(cells);
    let columns = columns.collect();
    SeriesRows {
        times: runs.iter().map(|run| run[0].0).collect(),
        versions: compact(row_versions),
        columns,
    }
}

/// The version of a row's existence: the greatest of its writes.
fn newest(parts: &[SeriesRows], run: &[(i64, u32, u32)]) -> Version {
    let versions =
        run.iter().map(|(_, part, row)| parts[*part as usize].versions.at(*row as usize));
    versions.max().unwrap_or_default()
}

/// The winner of a field among the cells of a row, and its version.
fn winner<'p>(
    parts: &'p [SeriesRows],
    field: usize,
    run: &[(i64, u32, u32)],
) -> Option<(Version, ValueRef<'p>)> {
    let candidates = run.iter().filter_map(|(_, part, row)| {
        let (part, row) = (&parts[*part as usize], *row as usize);
        let value = part.columns[field].as_ref()?.column.at(row)?;
        Some((part.cell_version(field, row), Some(value)))
    });
    let wins = |a, b| if merge::order(a, b) == Ordering::Less { b } else { a };
    candidates.reduce(wins).and_then(|(version, value)| Some((version, value?)))
}

/// What merged rows are made of: rows that one part has alone, side by side, or a row that several have.
enum Stretch<'o> {
    Alone { part: usize, rows: Range<usize> },
    Meeting(&'o [(i64, u32, u32)]),
}

fn stretches<'o>(runs: &[&'o [(i64, u32, u32)]]) -> Vec<Stretch<'o>> {
    let mut all: Vec<Stretch<'o>> = Vec::new();
    for run in runs {
        let &[(_, part, row)] = *run else {
            all.push(Stretch::Meeting(run));
            continue;
        };
        let (part, row) = (part as usize, row as usize);
        match all.last_mut() {
            Some(Stretch::Alone { part: same, rows }) if *same == part && rows.end == row => {
                rows.end += 1;
            }
            _ => all.push(Stretch::Alone { part, rows: row..row + 1 }),
        }
    }
    all
}

/// [`combine_cells`] where every row of every part has a number with the version of its row: stretches are copied.
fn combine_full(
    parts: &[SeriesRows],
    field: usize,
    stretches: &[Stretch<'_>],
    row_versions: &[Version],
) -> Option<Cells> {
    let columns: Option<Vec<&Column>> = parts
        .iter()
        .map(|part| {
            let cells = part.columns[field].as_ref().filter(|cells| cells.versions.is_none())?;
            Some(&cells.column).filter(|column| column.presence().is_none())
        })
        .collect();
    let columns = columns?;
    // Where a cell has not the version of its row.
    let mut own: Vec<(usize, Version)> = Vec::new();
    macro_rules! gather {
        ($kind:ident) => {{
            let slices: Option<Vec<_>> = columns
                .iter()
                .map(|column| match column.values() {
                    Values::$kind(values) => Some(values.as_slice()),
                    _ => None,
                })
                .collect();
            let slices = slices?;
            let mut out = Vec::with_capacity(row_versions.len());
            for stretch in stretches {
                match stretch {
                    Stretch::Alone { part, rows } => {
                        out.extend_from_slice(&slices[*part][rows.clone()]);
                    }
                    Stretch::Meeting(run) => {
                        let Some((version, ValueRef::$kind(value))) = winner(parts, field, run)
                        else {
                            return None;
                        };
                        let at = out.len();
                        own.extend((version != row_versions[at]).then_some((at, version)));
                        out.push(value);
                    }
                }
            }
            Values::$kind(out)
        }};
    }
    let values = match columns.first()?.values() {
        Values::F64(_) => gather!(F64),
        Values::F32(_) => gather!(F32),
        Values::I64(_) => gather!(I64),
        Values::U64(_) => gather!(U64),
        _ => return None,
    };
    let versions = (!own.is_empty()).then(|| {
        let mut versions = row_versions.to_vec();
        own.into_iter().for_each(|(at, version)| versions[at] = version);
        Versions::Rows(versions)
    });
    Some(Cells { column: Column::from_parts(values, None)?, versions })
}

/// The winning cell of one field in each row.
fn combine_cells(
    parts: &[SeriesRows],
    field: usize,
    runs: &[&[(i64, u32, u32)]],
    row_versions: &[Version],
) -> Option<Cells> {
    let kind = parts.iter().find_map(|part| part.columns[field].as_ref())?.column.field_type();
    let mut column = Column::new(kind);
    let mut versions = Vec::with_capacity(runs.len());
    let mut differs = false;
    for (run, row_version) in runs.iter().zip(row_versions) {
        match winner(parts, field, run) {
            Some((version, value)) => {
                let pushed = column.push(value);
                debug_assert!(pushed, "fields are keyed by name and type");
                differs |= version != *row_version;
                versions.push(version);
            }
            _ => {
                column.push_absent();
                versions.push(*row_version);
            }
        }
    }
    (column.count_present() > 0)
        .then(|| Cells { column, versions: differs.then_some(Versions::Rows(versions)) })
}

fn compact(versions: Vec<Version>) -> Versions {
    match versions.first() {
        Some(first) if versions.iter().all(|version| version == first) => Versions::One(*first),
        None => Versions::One(Version::default()),
        _ => Versions::Rows(versions),
    }
}

/// Removes what tombstones hide. `fields` are the fields of the columns; the tombstones concern the
/// collection and the device.
pub(crate) fn hide(rows: &mut SeriesRows, fields: &[FieldKey], tombstones: &[Arc<Tombstone>]) {
    let Some((least, _)) = rows.version_bounds() else { return };
    let (first, last) = (rows.times[0], rows.times[rows.len() - 1]);
    let relevant: Vec<&Arc<Tombstone>> = tombstones
        .iter()
        .filter(|tombstone| {
            let touches = TimeRange::inclusive(first, last)
                .is_some_and(|range| tombstone.range.overlaps(range));
            touches && !merge::outlives(least.stamp, tombstone.version.stamp)
        })
        .collect();
    if relevant.is_empty() {
        return;
    }
    let hidden = |row: usize, version: Version, field: Option<&str>| {
        relevant.iter().any(|tombstone| {
            tombstone.range.contains(rows.times[row])
                && tombstone.covers_field(field)
                && !merge::outlives(version.stamp, tombstone.version.stamp)
        })
    };
    let keep: Vec<usize> =
        (0..rows.len()).filter(|row| !hidden(*row, rows.versions.at(*row), None)).collect();
    let mut columns = Vec::with_capacity(rows.columns.len());
    for (index, cells) in rows.columns.iter().enumerate() {
        let name = fields[index].name.as_str();
        columns.push(cells.as_ref().and_then(|cells| {
            let visible = |row: usize| !hidden(row, rows.cell_version(index, row), Some(name));
            select(cells, &keep, visible)
        }));
    }
    let versions = match &rows.versions {
        Versions::One(version) => Versions::One(*version),
        Versions::Rows(versions) => Versions::Rows(keep.iter().map(|r| versions[*r]).collect()),
    };
    let times = keep.iter().map(|row| rows.times[*row]).collect();
    *rows = SeriesRows { times, versions, columns };
}

/// The cells of some rows, the invisible ones absent; `None` when none has a value.
fn select(cells: &Cells, keep: &[usize], visible: impl Fn(usize) -> bool) -> Option<Cells> {
    let mut column = Column::new(cells.column.field_type());
    for row in keep {
        match cells.column.at(*row) {
            Some(value) if visible(*row) => {
                column.push(value);
            }
            _ => column.push_absent(),
        }
    }
    let versions = cells.versions.as_ref().map(|versions| match versions {
        Versions::One(version) => Versions::One(*version),
        Versions::Rows(rows) => Versions::Rows(keep.iter().map(|row| rows[*row]).collect()),
    });
    (column.count_present() > 0).then_some(Cells { column, versions })
}

/// Removes the cells that a horizon does not admit, and the rows of which nothing is left: what is compared of rows
/// while others are still on their way. A row that was written again without a value cannot be told from a new one.
pub(crate) fn hide_beyond(rows: &mut SeriesRows, horizon: &Horizon) {
    let least = horizon.least();
    if rows.version_bounds().is_none_or(|(_, greatest)| greatest.stamp <= least) {
        return;
    }
    let admitted = |row: usize| {
        if horizon.admits(rows.versions.at(row)) {
            return Some(rows.versions.at(row));
        }
        let cells = (0..rows.columns.len()).filter(|at| {
            rows.columns[*at].as_ref().is_some_and(|cells| cells.column.is_present(row))
        });
        cells.map(|at| rows.cell_version(at, row)).filter(|version| horizon.admits(*version)).max()
    };
    let kept: Vec<(usize, Version)> =
        (0..rows.len()).filter_map(|row| Some((row, admitted(row)?))).collect();
    let keep: Vec<usize> = kept.iter().map(|(row, _)| *row).collect();
    let select = |(at, cells): (usize, &Option<Cells>)| {
        let mut selected =
            select(cells.as_ref()?, &keep, |row| horizon.admits(rows.cell_version(at, row)))?;
        // A row's version may have sunk below what its cells shared with it.
        let own = keep.iter().map(|row| rows.cell_version(at, *row)).collect();
        selected.versions = Some(Versions::Rows(own));
        Some(selected)
    };
    let columns = rows.columns.iter().enumerate().map(select).collect();
    let versions = Versions::Rows(kept.iter().map(|(_, version)| *version).collect());
    let times = keep.iter().map(|row| rows.times[*row]).collect();
    *rows = SeriesRows { times, versions, columns };
}

/// A column from values that are only there where a bit is set.
pub(crate) fn spread(packed: &Values, presence: &Bitmap) -> Option<Column> {
    let mut values = Values::new(packed.field_type());
    let mut next = 0;
    for bit in presence.iter() {
        if bit {
            if next == packed.len() {
                return None;
            }
            values.extend_from(packed, next, next + 1);
            next += 1;
        } else {
            values.push_zero();
        }
    }
    if next != packed.len() {
        return None;
    }
    Column::from_parts(values, Some(presence.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_model::{DeviceSelector, Stamp, StoreId, Value};

    /// What may happen to field `field` of the one row.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Write {
            field: usize,
            version: Version,
            value: i64,
        },
        /// Of one field, or of the row.
        Delete {
            field: Option<usize>,
            version: Version,
        },
    }

    const FIELDS: [&str; 2] = ["a", "b"];

    /// Two values, origins and fields under three stamps, and deletes under each.
    fn universe() -> Vec<Event> {
        let version = |stamp, id| Version { stamp: Stamp(stamp), origin: StoreId([id; 16]) };
        let mut all = Vec::new();
        for stamp in 4..7 {
            for (origin, value) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                all.push(Event::Write { field: 0, version: version(stamp, origin), value });
            }
            all.push(Event::Write { field: 1, version: version(stamp, 1), value: 3 });
            all.push(Event::Delete { field: None, version: version(stamp, 1) });
            all.push(Event::Delete { field: Some(0), version: version(stamp, 2) });
        }
        all
    }

    /// By `combine` and `hide`: the cells of the row, or no row.
    fn merged(events: &[Event]) -> Option<[Option<i64>; 2]> {
        let (mut parts, mut tombstones) = (Vec::new(), Vec::new());
        for event in events {
            match *event {
                Event::Write { field, version, value } => {
                    let mut columns = vec![None, None];
                    let mut column = Column::new(FieldType::I64);
                    column.push(Value::I64(value).as_ref());
                    columns[field] = Some(Cells { column, versions: None });
                    parts.push(SeriesRows {
                        times: vec![7],
                        versions: Versions::One(version),
                        columns,
                    });
                }
                Event::Delete { field, version } => tombstones.push(Arc::new(Tombstone {
                    database: Name::new("database", "plant").unwrap(),
                    collection: None,
                    devices: DeviceSelector::all(),
                    fields: field.map(|field| vec![Name::new("field", FIELDS[field]).unwrap()]),
                    range: TimeRange::ALL,
                    version,
                })),
            }
        }
        let mut rows = combine(&parts, 2);
        let key = |name| FieldKey { name: Name::new("field", name).unwrap(), kind: FieldType::I64 };
        hide(&mut rows, &FIELDS.map(key), &tombstones);
        let cell = |field: usize| match rows.columns[field].as_ref()?.column.at(0)?.to_owned() {
            Value::I64(value) => Some(value),
            other => panic!("{other:?}"),
        };
        (!rows.is_empty()).then(|| [cell(0), cell(1)])
    }

    /// By the words of the rule.
    fn by_rule(events: &[Event]) -> Option<[Option<i64>; 2]> {
        let outlives = |stamp: Stamp, field: Option<usize>| {
            events.iter().all(|event| match event {
                Event::Delete { field: of, version } => {
                    (of.is_some() && *of != field) || stamp > version.stamp
                }
                Event::Write { .. } => true,
            })
        };
        let writes = || {
            events.iter().filter_map(|event| match *event {
                Event::Write { field, version, value } => Some((field, version, value)),
                Event::Delete { .. } => None,
            })
        };
        let cell = |wanted: usize| {
            let own = writes().filter(|(field, ..)| *field == wanted);
            let (_, version, value) = own.max_by_key(|(_, version, value)| (*version, *value))?;
            outlives(version.stamp, Some(wanted)).then_some(value)
        };
        let row = writes().map(|(_, version, _)| version).max()?;
        outlives(row.stamp, None).then(|| [cell(0), cell(1)])
    }

    /// The table of `tidelog_model::merge` for two cells and their row, through the code that queries, flush and
    /// compaction use.
    #[test]
    fn any_three_events_in_any_order_give_what_the_rule_says() {
        let all = universe();
        let mut outcomes = std::collections::BTreeMap::new();
        for a in &all {
            for b in &all {
                for c in &all {
                    let events = [*a, *b, *c];
                    let expected = by_rule(&events);
                    assert_eq!(merged(&events), expected, "{events:?}");
                    *outcomes.entry(expected).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(outcomes.len(), 7, "no row, and one with any of its cells: {outcomes:?}");
    }

    /// Rows that one part has alone are copied; a part with a gap makes cells go one by one. Both ways agree.
    #[test]
    fn rows_of_one_part_alone_are_merged_as_all_others() {
        let version = |stamp| Version { stamp: Stamp(stamp), origin: StoreId([1; 16]) };
        let part = |times: &[i64], stamp: u64| {
            let mut column = Column::new(FieldType::I64);
            times.iter().for_each(|time| {
                assert!(column.push(Value::I64(time * 10 + stamp as i64).as_ref()))
            });
            let cells = Cells { column, versions: None };
            SeriesRows {
                times: times.to_vec(),
                versions: Versions::One(version(stamp)),
                columns: vec![Some(cells.clone()), Some(cells)],
            }
        };
        let mut parts = vec![part(&[1, 3, 5, 7], 5), part(&[2, 3, 9], 7), part(&[3, 7, 8], 6)];
        // Of the second field one part has no value in a row of its own, and older versions in others.
        let mut gap = Column::new(FieldType::I64);
        gap.push_absent();
        (0..2).for_each(|_| assert!(gap.push(Value::I64(-1).as_ref())));
        let own = Versions::Rows(vec![version(1); 3]);
        parts[1].columns[1] = Some(Cells { column: gap, versions: Some(own) });
        let rows = combine(&parts, 2);
        assert_eq!(rows.times, [1, 2, 3, 5, 7, 8, 9]);
        let value = |field: usize, row: usize| {
            let cells = rows.columns[field].as_ref().unwrap();
            cells.column.at(row).map(|value| value.to_owned())
        };
        let some = |value| Some(Value::I64(value));
        let first: Vec<_> = (0..7).map(|row| value(0, row)).collect();
        assert_eq!(first, [15, 27, 37, 55, 76, 86, 97].map(some));
        let second: Vec<_> = (0..7).map(|row| value(1, row)).collect();
        assert_eq!(second, [some(15), None, some(36), some(55), some(76), some(86), some(-1)]);
        // In the row of three the second field's winner is older than the row.
        assert_eq!((rows.versions.at(2), rows.cell_version(1, 2)), (version(7), version(6)));
        assert_eq!(rows.cell_version(0, 2), version(7));
    }
}
