//! First, last, least and greatest of each column of pixels: a line through them covers the same pixels as one
//! through all points.
//!
//! Uwe Jugel, Zbigniew Jerzak, Gregor Hackenbroich and Volker Markl, "M4: A Visualization-Oriented Time Series
//! Data Aggregation", PVLDB 7(10), 2014.

use super::point::{Numeric, Point};
use std::cmp::Ordering;
use tidelog_model::TimeRange;

/// Chooses from a series whose stretch of time is known.
///
/// In memory: one column's four points.
#[derive(Debug)]
pub(super) struct M4<T> {
    stretch: TimeRange,
    columns: u64,
    open: Option<Open<T>>,
}

#[derive(Debug)]
struct Open<T> {
    column: u128,
    first: Point<T>,
    least: Point<T>,
    greatest: Point<T>,
    last: Point<T>,
}

impl<T: Numeric> M4<T> {
    /// Divides the stretch into so many columns of equal width.
    pub(super) fn new(stretch: TimeRange, columns: u64) -> Self {
        M4 { stretch, columns, open: None }
    }

    pub(super) fn push(&mut self, point: Point<T>, chosen: &mut Vec<Point<T>>) {
        let column = self.column(point.time);
        match &mut self.open {
            Some(open) if open.column == column => {
                // The first of equals stays.
                if point.value.compare(open.least.value) == Ordering::Less {
                    open.least = point;
                }
                if point.value.compare(open.greatest.value) == Ordering::Greater {
                    open.greatest = point;
                }
                open.last = point;
            }
            _ => {
                self.finish(chosen);
                let (first, least, greatest, last) = (point, point, point, point);
                self.open = Some(Open { column, first, least, greatest, last });
            }
        }
    }

    /// Ends the last column.
    pub(super) fn finish(&mut self, chosen: &mut Vec<Point<T>>) {
        let Some(open) = self.open.take() else { return };
        let mut of_column = [open.first, open.least, open.greatest, open.last];
        of_column.sort_unstable_by_key(|point| point.time);
        for point in of_column {
            if chosen.last().is_none_or(|last| last.time < point.time) {
                chosen.push(point);
            }
        }
    }

    fn column(&self, time: i64) -> u128 {
        let since = |time: i64| u128::from(time.abs_diff(self.stretch.first()));
        since(time) * u128::from(self.columns) / (since(self.stretch.last()) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_equal_widths_of_all_of_time_too() {
        let m4: M4<f64> = M4::new(TimeRange::ALL, 4);
        assert_eq!([i64::MIN, -1, 0, i64::MAX].map(|time| m4.column(time)), [0, 1, 2, 3]);
        let m4: M4<f64> = M4::new(TimeRange::inclusive(10, 19).unwrap(), 5);
        let columns: Vec<u128> = (10..20).map(|time| m4.column(time)).collect();
        assert_eq!(columns, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    }
}
