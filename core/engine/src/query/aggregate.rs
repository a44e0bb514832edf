//! Aggregates of one field in one window.
//!
//! Floats are folded one after the other in time order, so a result depends on the values and their
//! order only, not on pages, files or threads. Integer sums are exact in 128 bits. The standard deviation is
//! Welford's (Technometrics 4, 1962), merged over devices as Chan, Golub and LeVeque (1979) do.

use super::spec::Aggregate;
use std::cmp::Ordering;
use tidelog_model::{Bitmap, Column, FieldType, Value, ValueRef, Values};

/// Which parts of an accumulator are wanted: the rest is not computed.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Wants {
    sum: bool,
    extremes: bool,
    spread: bool,
}

impl Wants {
    fn any(self) -> bool {
        self.sum || self.extremes || self.spread
    }

    pub(crate) fn of(aggregates: &[Aggregate]) -> Self {
        let any = |of: &[Aggregate]| aggregates.iter().any(|aggregate| of.contains(aggregate));
        Wants {
            sum: any(&[Aggregate::Mean, Aggregate::Sum]),
            extremes: any(&[
                Aggregate::Min,
                Aggregate::Max,
                Aggregate::MinTime,
                Aggregate::MaxTime,
            ]),
            spread: any(&[Aggregate::Stddev]),
        }
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
        A::Mean | A::Stddev => Some(FieldType::F64),
        A::MinTime | A::MaxTime => Some(FieldType::I64),
        A::Min | A::Max => Some(kind),
        A::Sum if kind == FieldType::F32 => Some(FieldType::F64),
        A::Sum => Some(kind),
    }
}

/// A sum does not fit its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SumOverflow;

/// What is known of the values seen so far.
#[derive(Clone, Debug)]
pub(crate) enum Accumulator {
    F64(Numbers<f64>),
    F32(Numbers<f32>),
    I64(Numbers<i64>),
    U64(Numbers<u64>),
    Other(Others),
}

/// A number type.
pub(crate) trait Number: Copy + std::fmt::Debug {
    type Sum: Copy + Default + std::fmt::Debug + std::ops::AddAssign;
    fn widen(self) -> Self::Sum;
    fn to_f64(self) -> f64;
    fn sum_to_f64(sum: Self::Sum) -> f64;
    /// Total but for NaN; -0.0 before +0.0.
    fn compare(self, other: Self) -> Ordering;
    fn is_nan(self) -> bool;
    fn value(self) -> ValueRef<'static>;
}

macro_rules! float {
    ($type:ty, $kind:ident) => {
        impl Number for $type {
            type Sum = f64;
            fn widen(self) -> f64 {
                f64::from(self)
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn sum_to_f64(sum: f64) -> f64 {
                sum
            }
            fn compare(self, other: Self) -> Ordering {
                self.total_cmp(&other)
            }
            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }
            fn value(self) -> ValueRef<'static> {
                ValueRef::$kind(self)
            }
        }
    };
}

macro_rules! whole {
    ($type:ty, $kind:ident) => {
        impl Number for $type {
            type Sum = i128;
            fn widen(self) -> i128 {
                i128::from(self)
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn sum_to_f64(sum: i128) -> f64 {
                sum as f64
            }
            fn compare(self, other: Self) -> Ordering {
                self.cmp(&other)
            }
            fn is_nan(self) -> bool {
                false
            }
            fn value(self) -> ValueRef<'static> {
                ValueRef::$kind(self)
            }
        }
    };
}

float!(f64, F64);
float!(f32, F32);
whole!(i64, I64);
whole!(u64, U64);

/// Aggregates of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Numbers<T: Number> {
    count: u64,
    sum: T::Sum,
    least: Option<(T, i64)>,
    greatest: Option<(T, i64)>,
    first: Option<(i64, T)>,
    last: Option<(i64, T)>,
    mean: f64,
    squares: f64,
}

impl<T: Number> Numbers<T> {
    fn new() -> Self {
        Numbers {
            count: 0,
            sum: T::Sum::default(),
            least: None,
            greatest: None,
            first: None,
            last: None,
            mean: 0.0,
            squares: 0.0,
        }
    }

    /// Adds values in time order, all present.
    fn add(&mut self, times: &[i64], values: &[T], wants: Wants) {
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return };
        self.first.get_or_insert((times[0], *first));
        self.last = Some((times[times.len() - 1], *last));
        if wants.sum {
            let mut sum = self.sum;
            values.iter().for_each(|value| sum += value.widen());
            self.sum = sum;
        }
        if wants.extremes {
            for (time, value) in times.iter().zip(values) {
                self.extreme(*value, *time);
            }
        }
        if wants.spread {
            for (number, value) in (self.count + 1..).zip(values) {
                let delta = value.to_f64() - self.mean;
                self.mean += delta / number as f64;
                self.squares += delta * (value.to_f64() - self.mean);
            }
        }
        self.count += values.len() as u64;
    }

    /// Only counts, with the first and the last: what needs no look at the values between.
    fn note(&mut self, count: u64, first: (i64, T), last: (i64, T)) {
        self.first.get_or_insert(first);
        self.last = Some(last);
        self.count += count;
    }

    fn extreme(&mut self, value: T, time: i64) {
        if value.is_nan() {
            return;
        }
        // Equal values keep the earlier time: they come in time order, or devices do.
        let before = |held: (T, i64), order| {
            value.compare(held.0) == order || (value.compare(held.0).is_eq() && time < held.1)
        };
        if self.least.is_none_or(|held| before(held, Ordering::Less)) {
            self.least = Some((value, time));
        }
        if self.greatest.is_none_or(|held| before(held, Ordering::Greater)) {
            self.greatest = Some((value, time));
        }
    }

    fn merge(&mut self, other: &Self) {
        for held in [other.least, other.greatest].into_iter().flatten() {
            self.extreme(held.0, held.1);
        }
        let (n, m) = (self.count as f64, other.count as f64);
        if other.count > 0 {
            let delta = other.mean - self.mean;
            self.squares += other.squares + delta * delta * n * m / (n + m);
            self.mean += delta * m / (n + m);
        }
        self.count += other.count;
        self.sum += other.sum;
        // The first device's value stays where times are equal.
        if let Some(first) = other.first
            && self.first.is_none_or(|held| first.0 < held.0)
        {
            self.first = Some(first);
        }
        if let Some(last) = other.last
            && self.last.is_none_or(|held| last.0 > held.0)
        {
            self.last = Some(last);
        }
    }

    fn result(&self, aggregate: Aggregate) -> Option<Result<ValueRef<'static>, T::Sum>> {
        let value = match aggregate {
            Aggregate::Count => ValueRef::U64(self.count),
            _ if self.count == 0 => return None,
            Aggregate::Mean => ValueRef::F64(T::sum_to_f64(self.sum) / self.count as f64),
            Aggregate::Min => self.least?.0.value(),
            Aggregate::Max => self.greatest?.0.value(),
            Aggregate::MinTime => ValueRef::I64(self.least?.1),
            Aggregate::MaxTime => ValueRef::I64(self.greatest?.1),
            Aggregate::First => self.first?.1.value(),
            Aggregate::Last => self.last?.1.value(),
            Aggregate::Stddev if self.count < 2 => return None,
            Aggregate::Stddev => {
                // Not `max(0.0)`, which would make 0 of a NaN.
                let variance = self.squares / (self.count - 1) as f64;
                ValueRef::F64(variance.clamp(0.0, f64::INFINITY).sqrt())
            }
            Aggregate::Sum => return Some(Err(self.sum)),
        };
        Some(Ok(value))
    }
}

/// Aggregates of what has no arithmetic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    count: u64,
    first: Option<(i64, Value)>,
    last: Option<(i64, Value)>,
}

impl Accumulator {
    pub(crate) fn new(kind: FieldType) -> Self {
        match kind {
            FieldType::F64 => Accumulator::F64(Numbers::new()),
            FieldType::F32 => Accumulator::F32(Numbers::new()),
            FieldType::I64 => Accumulator::I64(Numbers::new()),
            FieldType::U64 => Accumulator::U64(Numbers::new()),
            FieldType::Bool | FieldType::String | FieldType::Bytes => {
                Accumulator::Other(Others::default())
            }
        }
    }

    /// Adds the rows `from..to` of a column; `keep` says which of its rows count.
    pub(crate) fn add(
        &mut self,
        times: &[i64],
        column: &Column,
        (from, to): (usize, usize),
        keep: Option<&Bitmap>,
        wants: Wants,
    ) {
        let whole = column.presence().is_none() && keep.is_none();
        let counts = |row: &usize| column.is_present(*row) && keep.is_none_or(|k| k.at(*row));
        macro_rules! add {
            ($numbers:expr, $values:expr) => {
                if whole {
                    $numbers.add(&times[from..to], &$values[from..to], wants);
                } else if let (false, None, Some(keep)) = (wants.any(), column.presence(), keep) {
                    let count = keep.rank(to) - keep.rank(from);
                    let (first, last) = (keep.first_in(from, to), keep.last_in(from, to));
                    if let (Some(first), Some(last)) = (first, last) {
                        let at = |row: usize| (times[row], $values[row]);
                        $numbers.note(count as u64, at(first), at(last));
                    }
                } else {
                    let rows: Vec<usize> = (from..to).filter(counts).collect();
                    let times: Vec<i64> = rows.iter().map(|row| times[*row]).collect();
                    let values: Vec<_> = rows.iter().map(|row| $values[*row]).collect();
                    $numbers.add(&times, &values, wants);
                }
            };
        }
        match (self, column.values()) {
            (Accumulator::F64(numbers), Values::F64(values)) => add!(numbers, values),
            (Accumulator::F32(numbers), Values::F32(values)) => add!(numbers, values),
            (Accumulator::I64(numbers), Values::I64(values)) => add!(numbers, values),
            (Accumulator::U64(numbers), Values::U64(values)) => add!(numbers, values),
            (Accumulator::Other(others), values) => {
                for row in (from..to).filter(counts) {
                    others.count += 1;
                    if others.first.is_none() {
                        others.first = Some((times[row], values.at(row).to_owned()));
                    }
                }
                if let Some(row) = (from..to).rev().find(counts) {
                    others.last = Some((times[row], values.at(row).to_owned()));
                }
            }
            // Fields are keyed by name and type, so the types agree.
            _ => debug_assert!(false, "an accumulator meets another type"),
        }
    }

    /// Takes in what another device has in the same window.
    pub(crate) fn merge(&mut self, other: &Accumulator) {
        match (self, other) {
            (Accumulator::F64(a), Accumulator::F64(b)) => a.merge(b),
            (Accumulator::F32(a), Accumulator::F32(b)) => a.merge(b),
            (Accumulator::I64(a), Accumulator::I64(b)) => a.merge(b),
            (Accumulator::U64(a), Accumulator::U64(b)) => a.merge(b),
            (Accumulator::Other(a), Accumulator::Other(b)) => {
                a.count += b.count;
                if let Some(first) = &b.first
                    && a.first.as_ref().is_none_or(|held| first.0 < held.0)
                {
                    a.first = Some(first.clone());
                }
                if let Some(last) = &b.last
                    && a.last.as_ref().is_none_or(|held| last.0 > held.0)
                {
                    a.last = Some(last.clone());
                }
            }
            _ => debug_assert!(false, "an accumulator meets another type"),
        }
    }

    /// Has any value been added?
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Accumulator::F64(numbers) => numbers.count == 0,
            Accumulator::F32(numbers) => numbers.count == 0,
            Accumulator::I64(numbers) => numbers.count == 0,
            Accumulator::U64(numbers) => numbers.count == 0,
            Accumulator::Other(others) => others.count == 0,
        }
    }

    /// An aggregate of floats that is a float; `None` for anything else and where there is nothing to tell.
    pub(crate) fn float(&self, aggregate: Aggregate) -> Option<f64> {
        match self {
            Accumulator::F64(numbers) if numbers.count > 0 => match numbers.result(aggregate)? {
                Ok(ValueRef::F64(value)) => Some(value),
                Err(sum) => Some(sum),
                Ok(_) => None,
            },
            _ => None,
        }
    }

    /// The value of an aggregate; `None` where there is nothing to tell.
    pub(crate) fn result(&self, aggregate: Aggregate) -> Result<Option<ValueRef<'_>>, SumOverflow> {
        let whole = |sum: i128, signed: bool| {
            let value = if signed {
                i64::try_from(sum).ok().map(ValueRef::I64)
            } else {
                u64::try_from(sum).ok().map(ValueRef::U64)
            };
            value.map(Some).ok_or(SumOverflow)
        };
        match self {
            Accumulator::F64(numbers) => {
                Ok(numbers.result(aggregate).map(|v| v.unwrap_or_else(ValueRef::F64)))
            }
            Accumulator::F32(numbers) => {
                Ok(numbers.result(aggregate).map(|v| v.unwrap_or_else(ValueRef::F64)))
            }
            Accumulator::I64(numbers) => match numbers.result(aggregate) {
                Some(Err(sum)) => whole(sum, true),
                other => Ok(other.and_then(Result::ok)),
            },
            Accumulator::U64(numbers) => match numbers.result(aggregate) {
                Some(Err(sum)) => whole(sum, false),
                other => Ok(other.and_then(Result::ok)),
            },
            Accumulator::Other(others) => Ok(match aggregate {
                Aggregate::Count => Some(ValueRef::U64(others.count)),
                Aggregate::First => others.first.as_ref().map(|(_, value)| value.as_ref()),
                Aggregate::Last => others.last.as_ref().map(|(_, value)| value.as_ref()),
                _ => None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Accumulator {
        let times: Vec<i64> = (0..values.len() as i64).collect();
        let column = Column::from_parts(Values::F64(values.to_vec()), None).unwrap();
        let mut accumulator = Accumulator::new(FieldType::F64);
        let wants = Wants::of(&Aggregate::ALL);
        accumulator.add(&times, &column, (0, values.len()), None, wants);
        accumulator
    }

    fn f64_of(accumulator: &Accumulator, aggregate: Aggregate) -> f64 {
        match accumulator.result(aggregate) {
            Ok(Some(ValueRef::F64(value))) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nan_is_counted_and_skipped_by_extremes_and_zeros_have_signs() {
        let seen = of(&[f64::NAN, 0.0, -0.0, 0.0]);
        assert_eq!(seen.result(Aggregate::Count), Ok(Some(ValueRef::U64(4))));
        assert!(f64_of(&seen, Aggregate::Mean).is_nan());
        assert!(f64_of(&seen, Aggregate::Min).is_sign_negative());
        assert!(f64_of(&seen, Aggregate::Max).is_sign_positive());
        assert_eq!(seen.result(Aggregate::MaxTime), Ok(Some(ValueRef::I64(1))), "ties: earliest");
    }

    #[test]
    fn deviation_is_that_of_a_sample() {
        let seen = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        let expected = (32.0f64 / 7.0).sqrt();
        assert!((f64_of(&seen, Aggregate::Stddev) - expected).abs() < 1e-12);
        assert_eq!(of(&[1.0]).result(Aggregate::Stddev), Ok(None));
        let mut halves = of(&[2.0, 4.0, 4.0]);
        halves.merge(&of(&[4.0, 5.0, 5.0, 7.0, 9.0]));
        assert!((f64_of(&halves, Aggregate::Stddev) - expected).abs() < 1e-12);
    }

    #[test]
    fn integer_sums_are_exact_or_refused() {
        let column = Column::from_parts(Values::I64(vec![i64::MAX, 1, -1]), None).unwrap();
        let mut sum = Accumulator::new(FieldType::I64);
        let wants = Wants::of(&[Aggregate::Sum]);
        sum.add(&[0, 1, 2], &column, (0, 2), None, wants);
        assert_eq!(sum.result(Aggregate::Sum), Err(SumOverflow));
        sum.add(&[0, 1, 2], &column, (2, 3), None, wants);
        assert_eq!(sum.result(Aggregate::Sum), Ok(Some(ValueRef::I64(i64::MAX))));
    }
}
