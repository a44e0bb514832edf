//! Choosing the points of one field of one device, by whatever method, from rows as they are read.

use super::Downsample;
use super::extent::Extent;
use super::lttb::Lttb;
use super::m4::M4;
use super::min_max::MinMax;
use super::point::{Numeric, Point, points};
use tidelog_model::{Bitmap, Column, FieldType, TimeRange, Values};

/// A method at work on one field.
pub(super) trait Choosing {
    /// Takes in the next rows; those that `keep` leaves out do not count.
    fn rows(&mut self, times: &[i64], column: &Column, keep: Option<&Bitmap>);
    /// The times and values that were chosen, in order.
    fn finish(self: Box<Self>) -> (Vec<i64>, Values);
}

/// Begins to choose from what an extent tells of; `asked` is the range of the query. `None` for what is no number.
pub(super) fn choosing(
    method: Downsample,
    kind: FieldType,
    extent: Extent,
    asked: Option<TimeRange>,
) -> Option<Box<dyn Choosing>> {
    Some(match kind {
        FieldType::F64 => Box::new(Typed::<f64>::new(method, extent, asked)),
        FieldType::F32 => Box::new(Typed::<f32>::new(method, extent, asked)),
        FieldType::I64 => Box::new(Typed::<i64>::new(method, extent, asked)),
        FieldType::U64 => Box::new(Typed::<u64>::new(method, extent, asked)),
        FieldType::Bool | FieldType::String | FieldType::Bytes => return None,
    })
}

pub(super) struct Typed<T> {
    method: Method<T>,
    chosen: Vec<Point<T>>,
}

enum Method<T> {
    /// There are no more points than are wanted.
    All,
    MinMax(MinMax<T>),
    Lttb(Lttb<T>),
    M4(M4<T>),
}

impl<T: Numeric> Typed<T> {
    pub(super) fn new(method: Downsample, extent: Extent, asked: Option<TimeRange>) -> Self {
        let wanted = method.size() as u64;
        let method = match method {
            _ if extent.count <= wanted => Method::All,
            Downsample::MinMax { .. } => Method::MinMax(MinMax::new(extent.count, wanted)),
            Downsample::Lttb { .. } => Method::Lttb(Lttb::new(extent.count, wanted)),
            Downsample::M4 { .. } => Method::M4(M4::new(stretch(extent, asked), wanted)),
        };
        Typed { method, chosen: Vec::new() }
    }

    pub(super) fn push(&mut self, point: Point<T>) {
        match &mut self.method {
            Method::All => self.chosen.push(point),
            Method::MinMax(method) => method.push(point, &mut self.chosen),
            Method::Lttb(method) => method.push(point, &mut self.chosen),
            Method::M4(method) => method.push(point, &mut self.chosen),
        }
    }

    pub(super) fn end(mut self) -> Vec<Point<T>> {
        if let Method::M4(method) = &mut self.method {
            method.finish(&mut self.chosen);
        }
        self.chosen
    }
}

impl<T: Numeric> Choosing for Typed<T> {
    fn rows(&mut self, times: &[i64], column: &Column, keep: Option<&Bitmap>) {
        points(times, column, keep).for_each(|point| self.push(point));
    }

    fn finish(self: Box<Self>) -> (Vec<i64>, Values) {
        let (times, values) = self.end().into_iter().map(|point| (point.time, point.value)).unzip();
        (times, T::values(values))
    }
}

/// What columns divide: the range that was asked for, and where it is open, up to the first or the last point.
fn stretch(extent: Extent, asked: Option<TimeRange>) -> TimeRange {
    let asked = asked.unwrap_or(TimeRange::ALL);
    let first = if asked.first() == i64::MIN { extent.range.first() } else { asked.first() };
    let last = if asked.last() == i64::MAX { extent.range.last() } else { asked.last() };
    TimeRange::inclusive(first, last).unwrap_or(extent.range)
}
