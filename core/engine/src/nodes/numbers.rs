//! How the numbers of rollups are kept in columns: sums of 128 bits, spreads of 256, and values near others.

use super::parts::{Part, Sink, Source, at};
use crate::group::ReadError;
use crate::rollup::Number;
use ethnum::U256;
use tidelog_model::{ValueRef, Values};

/// What a column of numbers holds.
pub(super) trait Plain: Copy + Default {
    fn slice(values: &Values) -> Option<&[Self]>;
}

/// A number type, with how its values, sums and spreads are kept.
pub(super) trait Stored: Number + Plain {
    fn value(self) -> ValueRef<'static>;
    /// Puts a value that is likely near the first.
    fn put_beside(self, first: Self, part: Part, sink: &mut impl Sink);
    fn beside(source: &impl Source, at: (Part, usize), first: Self) -> Result<Self, ReadError>;
    fn put_sum(sum: Self::Sum, parts: [Part; 2], sink: &mut impl Sink);
    /// From the columns of a sum.
    fn sum_of(columns: LeftOut<'_, 2>, place: usize) -> Self::Sum;
    fn put_spread(amounts: (u64, Self::Sum, Self::Spread), sink: &mut impl Sink);
    /// From the columns of a spread, of so many values with this sum.
    fn spread_of(columns: LeftOut<'_, 4>, place: usize, of: (u64, Self::Sum)) -> Self::Spread;
}

/// Columns of which some may have been left out: they are all zero.
pub(super) type LeftOut<'a, const N: usize> = [Option<&'a Values>; N];

pub(super) fn sum_at<T: Stored>(
    source: &impl Source,
    parts: [Part; 2],
    place: usize,
) -> Result<T::Sum, ReadError> {
    Ok(T::sum_of([source.column(parts[0])?, source.column(parts[1])?], place))
}

pub(super) fn spread_at<T: Stored>(
    source: &impl Source,
    place: usize,
    amounts: (u64, T::Sum),
) -> Result<T::Spread, ReadError> {
    let mut columns = [None; 4];
    for (part, column) in Part::LIMBS.into_iter().zip(&mut columns) {
        *column = source.column(part)?;
    }
    Ok(T::spread_of(columns, place, amounts))
}

macro_rules! plain {
    ($type:ty, $variant:ident) => {
        impl Plain for $type {
            fn slice(values: &Values) -> Option<&[Self]> {
                if let Values::$variant(values) = values { Some(values) } else { None }
            }
        }
    };
}

plain!(f64, F64);
plain!(f32, F32);
plain!(i64, I64);
plain!(u64, U64);

/// The number at a place; zero when the column was left out.
fn of<T: Plain>(column: Option<&Values>, place: usize) -> T {
    column.and_then(T::slice).and_then(|values| values.get(place)).copied().unwrap_or_default()
}

/// The float that is so many steps of the least kind away; the bits of floats of one sign are in their order.
pub(super) fn stepped(value: f64, steps: i64) -> f64 {
    f64::from_bits(value.to_bits().wrapping_add_signed(steps))
}

/// The steps from one float to another.
pub(super) fn steps(from: f64, to: f64) -> i64 {
    to.to_bits().wrapping_sub(from.to_bits()) as i64
}

/// The spread of so many values, but for some steps, from what is kept of it: their product. Which NaN an
/// operation gives is the machine's choice, so what is not finite is kept as it is.
pub(super) fn spread_near(product: f64, count: u64) -> f64 {
    if product.is_finite() { product / count as f64 } else { product }
}

macro_rules! float {
    ($type:ty, $variant:ident) => {
        impl Stored for $type {
            fn value(self) -> ValueRef<'static> {
                ValueRef::$variant(self)
            }
            fn put_beside(self, _: Self, part: Part, sink: &mut impl Sink) {
                sink.put(part, self.value());
            }
            fn beside(
                source: &impl Source,
                (part, place): (Part, usize),
                _: Self,
            ) -> Result<Self, ReadError> {
                at(source, part, place)
            }
            fn put_sum(sum: f64, parts: [Part; 2], sink: &mut impl Sink) {
                // The steps are taken off when the block is complete.
                sink.put(parts[0], ValueRef::F64(sum));
            }
            fn sum_of([sum, more]: LeftOut<'_, 2>, place: usize) -> f64 {
                stepped(of(sum, place), of(more, place))
            }
            fn put_spread((_, _, spread): (u64, f64, f64), sink: &mut impl Sink) {
                // As above.
                sink.put(Part::Spread, ValueRef::F64(spread));
            }
            fn spread_of(
                [spread, more, ..]: LeftOut<'_, 4>,
                place: usize,
                (count, _): (u64, f64),
            ) -> f64 {
                stepped(spread_near(of(spread, place), count), of(more, place))
            }
        }
    };
}

float!(f64, F64);
float!(f32, F32);

/// The least sum of squares that this many whole numbers with this sum can have, rounded down: the square
/// of the sum, divided by their number. What is kept is how far the sum of squares is above.
fn least_squares(count: u64, sum: i128) -> U256 {
    let size = sum.unsigned_abs();
    match u64::try_from(size) {
        Ok(small) => U256::from(u128::from(small) * u128::from(small) / u128::from(count.max(1))),
        Err(_) => U256::from(size).wrapping_mul(U256::from(size)) / U256::from(count.max(1)),
    }
}

macro_rules! whole {
    ($type:ty, $variant:ident) => {
        impl Stored for $type {
            fn value(self) -> ValueRef<'static> {
                ValueRef::$variant(self)
            }
            fn put_beside(self, first: Self, part: Part, sink: &mut impl Sink) {
                sink.put(
                    part,
                    match part {
                        Part::Last => ValueRef::I64(self.wrapping_sub(first) as i64),
                        Part::Least => ValueRef::U64(first.wrapping_sub(self) as u64),
                        _ => ValueRef::U64(self.wrapping_sub(first) as u64),
                    },
                );
            }
            fn beside(
                source: &impl Source,
                (part, place): (Part, usize),
                first: Self,
            ) -> Result<Self, ReadError> {
                Ok(match part {
                    Part::Last => first.wrapping_add(at::<i64>(source, part, place)? as $type),
                    Part::Least => first.wrapping_sub(at::<u64>(source, part, place)? as $type),
                    _ => first.wrapping_add(at::<u64>(source, part, place)? as $type),
                })
            }
            fn put_sum(sum: i128, parts: [Part; 2], sink: &mut impl Sink) {
                let low = sum as i64;
                // What the sign of the low half tells of the high one is taken off.
                let more = ((sum >> 64) as i64).wrapping_sub(low >> 63);
                sink.put(parts[0], ValueRef::I64(low));
                sink.put(parts[1], ValueRef::I64(more));
            }
            fn sum_of([sum, more]: LeftOut<'_, 2>, place: usize) -> i128 {
                let low: i64 = of(sum, place);
                let high = of::<i64>(more, place).wrapping_add(low >> 63);
                (i128::from(high) << 64) | i128::from(low as u64)
            }
            fn put_spread((count, sum, spread): (u64, i128, U256), sink: &mut impl Sink) {
                let above = spread.wrapping_sub(least_squares(count, sum));
                let (low, high) = (*above.low(), *above.high());
                let limbs = [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64];
                for (part, limb) in Part::LIMBS.into_iter().zip(limbs) {
                    sink.put(part, ValueRef::U64(limb));
                }
            }
            fn spread_of(limbs: LeftOut<'_, 4>, place: usize, (count, sum): (u64, i128)) -> U256 {
                let limbs = limbs.map(|limb| u128::from(of::<u64>(limb, place)));
                let above =
                    U256::from_words(limbs[2] | (limbs[3] << 64), limbs[0] | (limbs[1] << 64));
                above.wrapping_add(least_squares(count, sum))
            }
        }
    };
}

whole!(i64, I64);
whole!(u64, U64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_float_is_reached_by_its_steps(a in any::<u64>(), b in any::<u64>()) {
            let (a, b) = (f64::from_bits(a), f64::from_bits(b));
            prop_assert_eq!(stepped(a, steps(a, b)).to_bits(), b.to_bits());
        }
    }
}
