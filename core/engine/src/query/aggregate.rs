//! From rollups to the aggregates that a query asks for.

use super::spec::Aggregate;
use crate::rollup::{Number, Numbers, Rollup, Wants};
use tidelog_model::{Bitmap, Column, FieldType, ValueRef, Values};

/// What has to be computed for these aggregates.
pub(crate) fn wants(aggregates: &[Aggregate]) -> Wants {
    use Aggregate as A;
    let any = |of: &[Aggregate]| aggregates.iter().any(|aggregate| of.contains(aggregate));
    Wants {
        sum: any(&[A::Mean, A::Sum]),
        extremes: any(&[A::Min, A::Max, A::MinTime, A::MaxTime]),
        spread: any(&[A::Stddev]),
        falls: any(&[A::Increase, A::Rate]),
        noise: any(&[A::Increase, A::Rate]),
    }
}

/// The type of an aggregate of a field; `None` when the field's type has no such aggregate.
pub(crate) fn result_type(aggregate: Aggregate, kind: FieldType) -> Option<FieldType> {
    use Aggregate as A;
    let number = matches!(kind, FieldType::F64 | FieldType::F32 | FieldType::I64 | FieldType::U64);
    match aggregate {
        A::Count => Some(FieldType::U64),
        A::First | A::Last => Some(kind),
        _ if !number => None,
        A::Mean | A::Stddev | A::Rate => Some(FieldType::F64),
        A::MinTime | A::MaxTime => Some(FieldType::I64),
        A::Min | A::Max => Some(kind),
        A::Sum | A::Increase if kind == FieldType::F32 => Some(FieldType::F64),
        A::Sum | A::Increase => Some(kind),
    }
}

/// A sum does not fit its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SumOverflow;

/// A number type, as values of an answer.
trait Shown: Number {
    fn value(self) -> ValueRef<'static>;
    fn sum_value(sum: Self::Sum) -> Result<ValueRef<'static>, SumOverflow>;
}

macro_rules! shown {
    ($type:ty, $kind:ident, $sum:expr) => {
        impl Shown for $type {
            fn value(self) -> ValueRef<'static> {
                ValueRef::$kind(self)
            }
            fn sum_value(sum: Self::Sum) -> Result<ValueRef<'static>, SumOverflow> {
                let convert: fn(Self::Sum) -> Result<ValueRef<'static>, SumOverflow> = $sum;
                convert(sum)
            }
        }
    };
}

shown!(f64, F64, |sum| Ok(ValueRef::F64(sum)));
shown!(f32, F32, |sum| Ok(ValueRef::F64(sum)));
shown!(i64, I64, |sum| i64::try_from(sum).map(ValueRef::I64).map_err(|_| SumOverflow));
shown!(u64, U64, |sum| u64::try_from(sum).map(ValueRef::U64).map_err(|_| SumOverflow));

/// The value of an aggregate; `None` where there is nothing to tell.
pub(crate) fn result(
    rollup: &Rollup,
    aggregate: Aggregate,
) -> Result<Option<ValueRef<'_>>, SumOverflow> {
    match rollup {
        Rollup::F64(numbers) => of_numbers(numbers, aggregate),
        Rollup::F32(numbers) => of_numbers(numbers, aggregate),
        Rollup::I64(numbers) => of_numbers(numbers, aggregate),
        Rollup::U64(numbers) => of_numbers(numbers, aggregate),
        Rollup::States(_, states) => Ok(match aggregate {
            Aggregate::Count => Some(ValueRef::U64(states.count)),
            Aggregate::First => states.first.as_ref().map(|(_, value)| value.as_ref()),
            Aggregate::Last => states.last.as_ref().map(|(_, value)| value.as_ref()),
            _ => None,
        }),
    }
}

fn of_numbers<T: Shown>(
    numbers: &Numbers<T>,
    aggregate: Aggregate,
) -> Result<Option<ValueRef<'static>>, SumOverflow> {
    if numbers.count == 0 {
        return Ok((aggregate == Aggregate::Count).then_some(ValueRef::U64(0)));
    }
    Ok(match aggregate {
        Aggregate::Count => Some(ValueRef::U64(numbers.count)),
        Aggregate::Mean => Some(ValueRef::F64(numbers.mean())),
        Aggregate::Sum => Some(T::sum_value(numbers.sum)?),
        Aggregate::Min => numbers.least.map(|(value, _)| value.value()),
        Aggregate::Max => numbers.greatest.map(|(value, _)| value.value()),
        Aggregate::MinTime => numbers.least.map(|(_, time)| ValueRef::I64(time)),
        Aggregate::MaxTime => numbers.greatest.map(|(_, time)| ValueRef::I64(time)),
        Aggregate::Increase => match numbers.increase() {
            Some(increase) => Some(T::sum_value(increase)?),
            None => None,
        },
        Aggregate::Rate => rate(numbers),
        Aggregate::First => numbers.first.map(|(_, value)| value.value()),
        Aggregate::Last => numbers.last.map(|(_, value)| value.value()),
        Aggregate::Stddev if numbers.count < 2 => None,
        Aggregate::Stddev => {
            // Not `max(0.0)`, which would make 0 of a NaN.
            let variance = T::variance(numbers.part());
            Some(ValueRef::F64(variance.clamp(0.0, f64::INFINITY).sqrt()))
        }
    })
}

/// Increase per second, from the first value to the last; none where they stand at one time.
fn rate<T: Shown>(numbers: &Numbers<T>) -> Option<ValueRef<'static>> {
    let ((first, _), (last, _)) = (numbers.first?, numbers.last?);
    let seconds = (i128::from(last) - i128::from(first)) as f64 / 1e9;
    let increase = T::sum_to_f64(numbers.increase()?);
    (seconds > 0.0).then(|| ValueRef::F64(increase / seconds))
}

/// An aggregate of floats that is a float; `None` for anything else and where there is nothing to tell.
pub(crate) fn float(rollup: &Rollup, aggregate: Aggregate) -> Option<f64> {
    match rollup {
        Rollup::F64(numbers) => match of_numbers(numbers, aggregate) {
            Ok(Some(ValueRef::F64(value))) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// Only count, first and last, of the rows that a filter keeps: what needs no look at the values between.
pub(crate) fn counted(
    times: &[i64],
    column: &Column,
    (from, to): (usize, usize),
    keep: Option<&Bitmap>,
) -> Rollup {
    let mut both = column.presence().cloned();
    if let (Some(both), Some(keep)) = (&mut both, keep) {
        both.and(keep);
    }
    let rows = both.as_ref().or(keep);
    macro_rules! numbers {
        ($values:expr) => {{
            let count = rows.map_or(to - from, |rows| rows.rank(to) - rows.rank(from));
            let ends = match rows {
                None if from < to => Some((from, to - 1)),
                None => None,
                Some(rows) => rows.first_in(from, to).zip(rows.last_in(from, to)),
            };
            let at = |row: usize| (times[row], $values[row]);
            ends.map_or_else(Numbers::new, |(first, last)| {
                Numbers::counted(count as u64, at(first), at(last))
            })
        }};
    }
    match column.values() {
        Values::F64(values) => Rollup::F64(numbers!(values)),
        Values::F32(values) => Rollup::F32(numbers!(values)),
        Values::I64(values) => Rollup::I64(numbers!(values)),
        Values::U64(values) => Rollup::U64(numbers!(values)),
        values => {
            let mut states = crate::rollup::States::default();
            for row in (from..to).filter(|row| rows.is_none_or(|rows| rows.at(*row))) {
                states.push(times[row], values.at(row));
            }
            Rollup::States(column.field_type(), states)
        }
    }
}
