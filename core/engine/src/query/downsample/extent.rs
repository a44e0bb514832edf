//! How many points each field of a device has, and when: what the methods have to know before they choose.

use super::super::plan::{Context, QueryError};
use super::point::{Numeric, points};
use crate::codec::Scratch;
use crate::rollup::{Number, Numbers, Rollup};
use tidelog_model::{Bitmap, Column, FieldType, TimeRange};

/// The points of one field of one device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    pub(super) count: u64,
    /// From the first to the last.
    pub(super) range: TimeRange,
}

impl Extent {
    fn add(self, time: i64) -> Self {
        let range = TimeRange::inclusive(self.range.first(), time).unwrap_or(self.range);
        Extent { count: self.count + 1, range }
    }
}

/// For each field asked for; `None` where there is no point. The pyramid knows it of fields without NaN; rows
/// are read for the others.
pub(super) fn extents(
    context: &Context,
    device: &str,
    range: TimeRange,
    scratch: &mut Scratch,
) -> Result<Vec<Option<Extent>>, QueryError> {
    let totals = context.windows_of(device, scratch)?;
    if totals.windows.is_empty() {
        return Ok(vec![None; context.asked]);
    }
    let counted: Vec<Counted> = totals.of(0).iter().map(of_rollup).collect();
    if counted.iter().all(|counted| matches!(counted, Counted::Known(_))) {
        let known = counted.into_iter().map(|counted| match counted {
            Counted::Known(extent) => extent,
            Counted::HasNan => None,
        });
        return Ok(known.collect());
    }
    let mut extents = vec![None; context.asked];
    let mut scan = context.scan(device, range)?;
    while let Some((rows, keep)) = context.next_slice(&mut scan, scratch)? {
        context.touched.add_rows(rows.len());
        for (extent, cells) in extents.iter_mut().zip(&rows.columns) {
            if let Some(cells) = cells {
                of_rows(extent, &rows.times, &cells.column, keep.as_ref());
            }
        }
    }
    Ok(extents)
}

enum Counted {
    Known(Option<Extent>),
    /// Some value is NaN, so fewer are points than the rollup counts.
    HasNan,
}

fn of_rollup(rollup: &Rollup) -> Counted {
    fn known<T: Number>(numbers: &Numbers<T>) -> Counted {
        let ends = numbers.first.zip(numbers.last);
        let range = ends.and_then(|((first, _), (last, _))| TimeRange::inclusive(first, last));
        Counted::Known(range.map(|range| Extent { count: numbers.count, range }))
    }
    match rollup {
        // A sum is NaN when a value is, and else where infinities meet: then rows are read for nothing.
        Rollup::F64(numbers) if numbers.sum.is_nan() => Counted::HasNan,
        Rollup::F32(numbers) if numbers.sum.is_nan() => Counted::HasNan,
        Rollup::F64(numbers) => known(numbers),
        Rollup::F32(numbers) => known(numbers),
        Rollup::I64(numbers) => known(numbers),
        Rollup::U64(numbers) => known(numbers),
        Rollup::States(..) => Counted::Known(None),
    }
}

fn of_rows(extent: &mut Option<Extent>, times: &[i64], column: &Column, keep: Option<&Bitmap>) {
    fn add<T: Numeric>(
        extent: &mut Option<Extent>,
        times: &[i64],
        column: &Column,
        keep: Option<&Bitmap>,
    ) {
        for point in points::<T>(times, column, keep) {
            let first = TimeRange::inclusive(point.time, point.time);
            *extent = match extent {
                Some(extent) => Some(extent.add(point.time)),
                None => first.map(|range| Extent { count: 1, range }),
            };
        }
    }
    match column.field_type() {
        FieldType::F64 => add::<f64>(extent, times, column, keep),
        FieldType::F32 => add::<f32>(extent, times, column, keep),
        FieldType::I64 => add::<i64>(extent, times, column, keep),
        FieldType::U64 => add::<u64>(extent, times, column, keep),
        FieldType::Bool | FieldType::String | FieldType::Bytes => {}
    }
}
