//! Value filters: exact comparison across number types, and page bounds that let pages be skipped.

use super::spec::{Comparison, Predicate};
use crate::group::Bounds;
use std::cmp::Ordering;
use tidelog_model::{Bitmap, Column, FieldType, Value, ValueRef, Values};

impl Comparison {
    fn holds(self, ordering: Option<Ordering>) -> bool {
        match (self, ordering) {
            (Comparison::NotEqual, None) => true,
            (_, None) => false,
            (Comparison::Equal, Some(ordering)) => ordering == Ordering::Equal,
            (Comparison::NotEqual, Some(ordering)) => ordering != Ordering::Equal,
            (Comparison::Less, Some(ordering)) => ordering == Ordering::Less,
            (Comparison::LessOrEqual, Some(ordering)) => ordering != Ordering::Greater,
            (Comparison::Greater, Some(ordering)) => ordering == Ordering::Greater,
            (Comparison::GreaterOrEqual, Some(ordering)) => ordering != Ordering::Less,
        }
    }
}

/// Can a field of this type be compared with this value?
pub(super) fn comparable(kind: FieldType, value: &Value) -> bool {
    use FieldType as T;
    let number = |kind| matches!(kind, T::F64 | T::F32 | T::I64 | T::U64);
    let with = value.field_type();
    (number(kind) && number(with)) || kind == with
}

/// Clears bits of `keep` where the predicate does not hold. A row without a value never satisfies it.
pub(super) fn apply(predicate: &Predicate, column: Option<&Column>, keep: &mut Bitmap) {
    let Some(column) = column else {
        *keep = Bitmap::filled(keep.len(), false);
        return;
    };
    match (column.values(), &predicate.value) {
        (Values::F64(values), Value::F64(with)) => {
            floats(predicate.comparison, values, *with, keep)
        }
        (values, with) => {
            for row in 0..keep.len() {
                if keep.at(row) {
                    let ordering = compare(values.at(row), with.as_ref());
                    keep.set(row, predicate.comparison.holds(ordering));
                }
            }
        }
    }
    if let Some(presence) = column.presence() {
        keep.and(presence);
    }
}

/// The common case, 64 rows at a time and without branches.
fn floats(comparison: Comparison, values: &[f64], with: f64, keep: &mut Bitmap) {
    fn words(values: &[f64], keep: &mut Bitmap, holds: impl Fn(f64) -> bool) {
        for (number, chunk) in values.chunks(64).enumerate() {
            let word =
                chunk.iter().rev().fold(0u64, |word, value| word << 1 | u64::from(holds(*value)));
            keep.and_word(number, word);
        }
    }
    match comparison {
        Comparison::Equal => words(values, keep, |value| value == with),
        Comparison::NotEqual => words(values, keep, |value| value != with),
        Comparison::Less => words(values, keep, |value| value < with),
        Comparison::LessOrEqual => words(values, keep, |value| value <= with),
        Comparison::Greater => words(values, keep, |value| value > with),
        Comparison::GreaterOrEqual => words(values, keep, |value| value >= with),
    }
}

/// Can any value within the bounds satisfy the predicate? `None`: no row has a value.
pub(super) fn may_hold(predicate: &Predicate, bounds: Option<Bounds>) -> bool {
    let (least, greatest) = match bounds {
        None => return false,
        Some(Bounds::Unknown) => return true,
        Some(Bounds::AllNan) => return predicate.comparison == Comparison::NotEqual,
        // A page may hold NaN beside its bounds, which satisfies `!=`.
        Some(_) if predicate.comparison == Comparison::NotEqual => return true,
        Some(Bounds::Float(a, b)) => (ValueRef::F64(a), ValueRef::F64(b)),
        Some(Bounds::I64(a, b)) => (ValueRef::I64(a), ValueRef::I64(b)),
        Some(Bounds::U64(a, b)) => (ValueRef::U64(a), ValueRef::U64(b)),
    };
    let with = predicate.value.as_ref();
    let (below, above) = (compare(least, with), compare(greatest, with));
    match predicate.comparison {
        Comparison::Less | Comparison::LessOrEqual => predicate.comparison.holds(below),
        Comparison::Greater | Comparison::GreaterOrEqual => predicate.comparison.holds(above),
        Comparison::Equal => {
            below.is_some_and(Ordering::is_le) && above.is_some_and(Ordering::is_ge)
        }
        Comparison::NotEqual => true,
    }
}

/// Compares two values of comparable types; `None` with NaN.
pub(super) fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Option<Ordering> {
    use ValueRef as V;
    match (a, b) {
        (V::Bool(a), V::Bool(b)) => Some(a.cmp(&b)),
        (V::String(a), V::String(b)) => Some(a.cmp(b)),
        (V::Bytes(a), V::Bytes(b)) => Some(a.cmp(b)),
        (V::F64(a), V::F64(b)) => a.partial_cmp(&b),
        (V::F32(a), b) => compare(V::F64(f64::from(a)), b),
        (a, V::F32(b)) => compare(a, V::F64(f64::from(b))),
        (V::F64(a), b) => compare_float_whole(a, whole(b)?),
        (a, V::F64(b)) => compare_float_whole(b, whole(a)?).map(Ordering::reverse),
        (a, b) => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

fn whole(value: ValueRef<'_>) -> Option<i128> {
    match value {
        ValueRef::I64(v) => Some(i128::from(v)),
        ValueRef::U64(v) => Some(i128::from(v)),
        _ => None,
    }
}

/// Exact: a float beyond 2^65 is beyond every 64-bit integer; below, its floor is exact in `i128`.
fn compare_float_whole(float: f64, whole: i128) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.abs() > 3.7e19 {
        return float.partial_cmp(&0.0);
    }
    let floor = float.floor();
    let ordering = (floor as i128).cmp(&whole);
    let fraction = if float > floor { Ordering::Greater } else { Ordering::Equal };
    Some(ordering.then(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_compare_exactly_across_types() {
        let big = 1i64 << 53;
        let cases = [
            (ValueRef::I64(big + 1), ValueRef::F64(big as f64), Ordering::Greater),
            (ValueRef::F64(0.5), ValueRef::I64(0), Ordering::Greater),
            (ValueRef::F64(-0.5), ValueRef::I64(0), Ordering::Less),
            (ValueRef::U64(u64::MAX), ValueRef::I64(-1), Ordering::Greater),
            (ValueRef::F64(f64::NEG_INFINITY), ValueRef::U64(0), Ordering::Less),
            (ValueRef::F32(0.1), ValueRef::F64(0.1), Ordering::Greater),
        ];
        for (a, b, expected) in cases {
            assert_eq!(compare(a, b), Some(expected), "{a:?} {b:?}");
        }
    }

    fn comparison() -> impl Strategy<Value = Comparison> {
        use Comparison as C;
        proptest::sample::select(vec![
            C::Equal,
            C::NotEqual,
            C::Less,
            C::LessOrEqual,
            C::Greater,
            C::GreaterOrEqual,
        ])
    }

    proptest! {
        #[test]
        fn a_page_with_a_matching_value_is_never_skipped(
            values in proptest::collection::vec(prop_oneof![4 => -5.0f64..5.0, 1 => Just(f64::NAN)], 1..9),
            with in -5.0f64..5.0, comparison in comparison(),
        ) {
            let finite = values.iter().copied().filter(|v| !v.is_nan());
            let bounds = finite.clone().fold(None, |b: Option<(f64, f64)>, v| {
                Some(b.map_or((v, v), |(a, z)| (a.min(v), z.max(v))))
            });
            let bounds = bounds.map_or(Bounds::AllNan, |(a, b)| Bounds::Float(a, b));
            let predicate = Predicate { field: "x".into(), comparison, value: Value::F64(with) };
            let column = Column::from_parts(Values::F64(values.clone()), None).unwrap();
            let mut keep = Bitmap::filled(values.len(), true);
            apply(&predicate, Some(&column), &mut keep);
            let one_by_one = values.iter().map(|v| comparison.holds(v.partial_cmp(&with)));
            prop_assert!(keep.iter().eq(one_by_one));
            if keep.count() > 0 {
                prop_assert!(may_hold(&predicate, Some(bounds)));
            }
        }
    }
}
