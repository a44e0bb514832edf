//! Fewer points that look like all: raw rows of a device reduced for plots.
//!
//! Each method is a pure function over points as they are read, one file each. A device is read twice: once for
//! how many points its fields have, which the pyramid knows where it can, and once to choose.

mod buckets;
mod choose;
mod extent;
mod lttb;
mod m4;
mod min_max;
mod point;
#[cfg(test)]
mod tests;

use super::answer::{AnswerField, Canceller};
use super::explain::Explain;
use super::plan::{Caches, Context, QueryError};
use super::spec::{Aggregate, Fill, GroupBy, Order, Query};
use crate::codec::Scratch;
use crate::scan::Snapshot;
use choose::choosing;
use extent::extents;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidelog_model::{CollectionName, Column, TimeRange};

/// How the points of each numeric field of each device are reduced. Every point that is left is one of the
/// field's own, at its own time; they stay in order. NaN is skipped. A field with no more points than the number
/// given here keeps all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Downsample {
    /// The first point, the last, and of each of `(points - 2) / 2` runs of about equal length between them the
    /// least and the greatest, the first of equals: nothing that sticks out is lost.
    MinMax {
        /// At most so many points: 4 or more.
        points: usize,
    },
    /// Largest triangle three buckets: the first point, the last, and of each of `points - 2` runs between them
    /// the one that matters most to the eye. Sveinn Steinarsson, "Downsampling Time Series for Visual
    /// Representation", University of Iceland, 2013. The points of two runs are held while it chooses.
    Lttb {
        /// Exactly so many points, where there are more: 3 or more.
        points: usize,
    },
    /// First, last, least and greatest of each column of pixels, so at most four times as many points: a line
    /// through them draws what one through all would. Jugel et al., "M4: A Visualization-Oriented Time Series Data
    /// Aggregation", PVLDB 7(10), 2014. Columns are equal widths of the query's range; where that is open, of the
    /// time from the field's first point or to its last.
    M4 {
        /// How many columns: 1 or more.
        columns: usize,
    },
}

impl Downsample {
    /// The name, as the command takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Downsample::MinMax { .. } => "minmax",
            Downsample::Lttb { .. } => "lttb",
            Downsample::M4 { .. } => "m4",
        }
    }

    /// Points, or columns.
    fn size(self) -> usize {
        match self {
            Downsample::MinMax { points } | Downsample::Lttb { points } => points,
            Downsample::M4 { columns } => columns,
        }
    }

    fn least_size(self) -> usize {
        match self {
            // First, last, and one run.
            Downsample::MinMax { .. } => 4,
            Downsample::Lttb { .. } => 3,
            Downsample::M4 { .. } => 1,
        }
    }
}

/// The points that are left of one field of one device, at least one.
#[derive(Clone, Debug)]
pub struct Points {
    /// The device, canonical.
    pub device: Arc<str>,
    /// The field, with its own type.
    pub field: AnswerField,
    /// When, in nanoseconds since 1970 in UTC: ascending.
    pub times: Vec<i64>,
    /// The value at each time; none is absent.
    pub values: Column,
}

/// The answer of [`Store::downsample`](crate::Store::downsample): devices in order, and of each its fields.
#[derive(Debug)]
pub struct Downsampled {
    context: Context,
    method: Downsample,
    fields: Vec<AnswerField>,
    next_device: usize,
    ready: VecDeque<Points>,
    scratch: Scratch,
}

/// Makes a query ready and begins its answer.
pub(crate) fn downsample(
    name: &CollectionName,
    snapshot: Snapshot,
    caches: Caches,
    query: Query,
    method: Downsample,
) -> Result<Downsampled, QueryError> {
    check(&query, method)?;
    // The sum says whether there is a NaN; only numbers have a mean.
    let mut query = query.aggregates([Aggregate::Mean]);
    query.rows_only = true;
    let context = Context::new(name, snapshot, caches, query).map_err(|error| match error {
        QueryError::NoAggregate { field, kind, .. } => QueryError::NotNumeric { field, kind },
        other => other,
    })?;
    let fields = context.field_names();
    let (ready, scratch) = (VecDeque::new(), Scratch::default());
    Ok(Downsampled { context, method, fields, next_device: 0, ready, scratch })
}

fn check(query: &Query, method: Downsample) -> Result<(), QueryError> {
    let least = method.least_size();
    if method.size() < least {
        return Err(QueryError::TooFewPoints { method: method.name(), least });
    }
    let beside = [
        (query.every.is_some(), "windows"),
        (!query.aggregates.is_empty(), "aggregates"),
        (!query.in_state.is_empty(), "the time in a state"),
        (query.fill != Fill::None, "filling"),
        (query.group_by == GroupBy::None, "grouping devices together"),
        (query.order == Order::Descending, "descending order"),
        (query.limit.is_some(), "a limit of rows"),
    ];
    match beside.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(QueryError::NotDownsampled { what }),
        None => Ok(()),
    }
}

impl Downsampled {
    /// The fields that can have points.
    #[must_use]
    pub fn fields(&self) -> &[AnswerField] {
        &self.fields
    }

    /// A handle that cancels the query.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.context.canceller()
    }

    /// What was touched so far: rows that were read twice count twice.
    #[must_use]
    pub fn explain(&self) -> Explain {
        self.context.touched.explain()
    }

    fn device(&mut self, device: &Arc<str>, range: TimeRange) -> Result<(), QueryError> {
        let Downsampled { context, scratch, .. } = self;
        let extents = extents(context, device, range, scratch)?;
        let asked = context.query.range;
        let mut methods: Vec<_> = extents
            .into_iter()
            .zip(&self.fields)
            .map(|(extent, field)| choosing(self.method, field.kind, extent?, asked))
            .collect();
        if methods.iter().all(Option::is_none) {
            return Ok(());
        }
        let mut scan = context.scan(device, range)?;
        while let Some((rows, keep)) = context.next_slice(&mut scan, scratch)? {
            context.touched.add_rows(rows.len());
            for (method, cells) in methods.iter_mut().zip(&rows.columns) {
                if let (Some(method), Some(cells)) = (method, cells) {
                    method.rows(&rows.times, &cells.column, keep.as_ref());
                }
            }
        }
        for (method, field) in methods.into_iter().zip(&self.fields) {
            let Some((times, values)) = method.map(|method| method.finish()) else { continue };
            let Some(values) = Column::from_parts(values, None) else { continue };
            let (device, field) = (Arc::clone(device), field.clone());
            self.ready.push_back(Points { device, field, times, values });
        }
        Ok(())
    }
}

impl Iterator for Downsampled {
    type Item = Result<Points, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(points) = self.ready.pop_front() {
                return Some(Ok(points));
            }
            let range = self.context.range?;
            let device = Arc::clone(self.context.devices.get(self.next_device)?);
            self.next_device += 1;
            let done = if self.context.cancelled.load(Relaxed) {
                Err(QueryError::Cancelled)
            } else {
                self.device(&device, range)
            };
            if let Err(error) = done {
                // Nothing more comes after an error.
                self.next_device = usize::MAX;
                return Some(Err(error));
            }
        }
    }
}
