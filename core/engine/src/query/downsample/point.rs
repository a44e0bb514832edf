//! Points of a series, and the number types that they have.

use crate::rollup::Number;
use tidelog_model::{Bitmap, Column, Values};

/// A value that is a number, and its time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Point<T> {
    pub(super) time: i64,
    pub(super) value: T,
}

/// A number type, as columns keep it.
pub(super) trait Numeric: Number {
    /// `None` when the values are of another type.
    fn slice(values: &Values) -> Option<&[Self]>;
    fn values(all: Vec<Self>) -> Values;

    /// The nearest `f64`: for geometry, never for what is handed out.
    fn to_f64(self) -> f64 {
        Self::sum_to_f64(self.widen())
    }
}

macro_rules! numeric {
    ($type:ty, $variant:ident) => {
        impl Numeric for $type {
            fn slice(values: &Values) -> Option<&[Self]> {
                if let Values::$variant(values) = values { Some(values) } else { None }
            }
            fn values(all: Vec<Self>) -> Values {
                Values::$variant(all)
            }
        }
    };
}

numeric!(f64, F64);
numeric!(f32, F32);
numeric!(i64, I64);
numeric!(u64, U64);

/// The points of a column, in order: rows that count, have a value, and not NaN.
pub(super) fn points<'a, T: Numeric + 'a>(
    times: &'a [i64],
    column: &'a Column,
    keep: Option<&'a Bitmap>,
) -> impl Iterator<Item = Point<T>> + 'a {
    let values = T::slice(column.values()).unwrap_or_default();
    let counts =
        move |row: &usize| keep.is_none_or(|keep| keep.at(*row)) && column.is_present(*row);
    let rows = (0..values.len()).filter(counts);
    rows.map(|row| Point { time: times[row], value: values[row] }).filter(|p| !p.value.is_nan())
}
