//! Rollups of numbers: see ROLLUP.md for every rule and its source.

use ethnum::U256;
use std::cmp::Ordering;

/// Lanes of a float fold: part of the definition of a sum, so never a matter of the machine.
const LANES: usize = 8;
/// Values that are looked through at once.
const RUN: usize = 64;
/// A field that falls more than once, and at more than every so-many-th value, is no counter: its drops are not
/// summed.
const COUNTER_FALLS: u64 = 8;
/// Integers whose size is below this have squares that fit 64 bits when a block of them is summed.
const SMALL: u64 = 1 << 25;

/// Which parts of a rollup are computed: a query asks for few, sealing for all.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Wants {
    pub(crate) sum: bool,
    pub(crate) extremes: bool,
    pub(crate) spread: bool,
    pub(crate) falls: bool,
    /// The sum of what is dropped at falls also of what is no counter: queries answer for short windows too, nodes do
    /// not keep it.
    pub(crate) noise: bool,
}

impl Wants {
    /// All that nodes keep.
    pub(crate) const ALL: Wants =
        Wants { sum: true, extremes: true, spread: true, falls: true, noise: false };

    /// Does it need a look at every value?
    pub(crate) fn any(self) -> bool {
        self != Wants::default()
    }
}

/// What is known of some numbers, in the order of their times.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Numbers<T: Number> {
    /// Values, NaN included.
    pub(crate) count: u64,
    pub(crate) sum: T::Sum,
    /// Floats: the sum of squared differences from the mean. Integers: the sum of squares.
    pub(crate) spread: T::Spread,
    /// Value and its earliest time; `None` when all values are NaN.
    pub(crate) least: Option<(T, i64)>,
    pub(crate) greatest: Option<(T, i64)>,
    pub(crate) first: Option<(i64, T)>,
    pub(crate) last: Option<(i64, T)>,
    /// How often a value is below the one before.
    pub(crate) falls: u64,
    /// The sum of the values before a fall, for what may be a counter: `None` when there are too many falls.
    pub(crate) dropped: Option<T::Sum>,
}

/// A number type.
pub(crate) trait Number: Copy + PartialOrd + PartialEq + std::fmt::Debug {
    type Sum: Copy + Default + PartialEq + std::fmt::Debug;
    type Spread: Copy + Default + PartialEq + std::fmt::Debug;

    /// Of the values of one block.
    fn sum(values: &[Self]) -> Self::Sum;
    fn add(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    fn widen(self) -> Self::Sum;
    fn sum_to_f64(sum: Self::Sum) -> f64;
    fn increase(first: Self, last: Self, dropped: Self::Sum) -> Self::Sum;
    /// Of the values of one block, whose sum is known.
    fn spread(values: &[Self], sum: Self::Sum) -> Self::Spread;
    /// Of two parts, each with its count and sum.
    fn merge_spread(a: Part<Self>, b: Part<Self>) -> Self::Spread;
    /// Of a sample: divided by count - 1.
    fn variance(part: Part<Self>) -> f64;
    /// Total but for NaN; -0.0 before +0.0.
    fn compare(self, other: Self) -> Ordering;
    fn is_nan(self) -> bool;
    /// Where the least and the greatest value stand, each at its first place; `None` when all are NaN.
    fn extremes(values: &[Self]) -> Option<(usize, usize)>;
}

/// Count, sum and spread.
pub(crate) type Part<T> = (u64, <T as Number>::Sum, <T as Number>::Spread);

impl<T: Number> Numbers<T> {
    pub(crate) fn new() -> Self {
        Numbers {
            count: 0,
            sum: T::Sum::default(),
            spread: T::Spread::default(),
            least: None,
            greatest: None,
            first: None,
            last: None,
            falls: 0,
            dropped: Some(T::Sum::default()),
        }
    }

    /// Of the values of one block, in the order of their times.
    pub(crate) fn of_block(times: &[i64], values: &[T], wants: Wants) -> Self {
        let mut out = Numbers::new();
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return out };
        out.count = values.len() as u64;
        out.first = Some((times[0], *first));
        out.last = Some((times[values.len() - 1], *last));
        if wants.sum || wants.spread {
            out.sum = T::sum(values);
        }
        if wants.spread {
            out.spread = T::spread(values, out.sum);
        }
        if wants.extremes
            && let Some((least, greatest)) = T::extremes(values)
        {
            out.least = Some((values[least], times[least]));
            out.greatest = Some((values[greatest], times[greatest]));
        }
        if wants.falls {
            out.falls = values.windows(2).map(|pair| u64::from(pair[1] < pair[0])).sum();
            let counts = wants.noise || out.falls <= 1 || out.falls * COUNTER_FALLS <= out.count;
            out.dropped = counts.then(|| {
                let falls = values.windows(2).filter(|pair| pair[1] < pair[0]);
                falls.fold(T::Sum::default(), |sum, pair| T::add(sum, pair[0].widen()))
            });
        }
        out
    }

    /// Only counted, with the first and the last: what needs no look at the values between.
    pub(crate) fn counted(count: u64, first: (i64, T), last: (i64, T)) -> Self {
        Numbers { count, first: Some(first), last: Some(last), ..Numbers::new() }
    }

    /// Takes in what comes later in time.
    pub(crate) fn merge(&mut self, next: &Self) {
        if next.count == 0 {
            return;
        }
        let (Some((_, last)), Some((_, first))) = (self.last, next.first) else {
            *self = next.clone();
            return;
        };
        let falls = u64::from(first < last);
        self.dropped = match (self.dropped, next.dropped) {
            (Some(a), Some(b)) if falls == 1 => Some(T::add(T::add(a, last.widen()), b)),
            (Some(a), Some(b)) => Some(T::add(a, b)),
            _ => None,
        };
        self.falls += falls + next.falls;
        self.last = next.last;
        self.merge_amounts(next);
    }

    /// Takes in what another device has in the same time. Where times are equal the earlier device stays.
    pub(crate) fn merge_beside(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.falls += other.falls;
        // One device alone is still a counter.
        self.dropped = if self.count == 0 { other.dropped } else { None };
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
        self.merge_amounts(other);
    }

    /// What does not depend on who comes first but for the bits of float sums.
    fn merge_amounts(&mut self, other: &Self) {
        if self.count == 0 {
            (self.sum, self.spread) = (other.sum, other.spread);
        } else {
            self.spread = T::merge_spread(self.part(), other.part());
            self.sum = T::add(self.sum, other.sum);
        }
        self.count += other.count;
        if let Some((value, time)) = other.least
            && self.least.is_none_or(|held| earlier(value.compare(held.0), time, held.1))
        {
            self.least = Some((value, time));
        }
        if let Some((value, time)) = other.greatest
            && self.greatest.is_none_or(|held| earlier(held.0.compare(value), time, held.1))
        {
            self.greatest = Some((value, time));
        }
    }

    pub(crate) fn part(&self) -> Part<T> {
        (self.count, self.sum, self.spread)
    }

    pub(crate) fn mean(&self) -> f64 {
        T::sum_to_f64(self.sum) / self.count as f64
    }

    /// By how much a counter went up, a fall being a restart at zero; `None` for what is no counter.
    pub(crate) fn increase(&self) -> Option<T::Sum> {
        Some(T::increase(self.first?.1, self.last?.1, self.dropped?))
    }
}

fn earlier(order: Ordering, time: i64, held: i64) -> bool {
    order.then(time.cmp(&held)).is_lt()
}

/// One bit pattern for whatever is not a number: which one an operation gives is the machine's choice.
fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value }
}

/// Value i goes to lane i mod 8; the lanes are added pairwise. Fixed, so that every replica gets the same
/// bits, and in lanes, so that it is fast.
fn lanes<T: Copy>(values: &[T], of: impl Fn(T) -> f64) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += of(chunk[lane]);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += of(*value);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    canonical(((a + b) + (c + d)) + ((e + f) + (g + h)))
}

macro_rules! float {
    ($type:ty) => {
        impl Number for $type {
            type Sum = f64;
            type Spread = f64;

            fn sum(values: &[Self]) -> f64 {
                lanes(values, f64::from)
            }
            fn add(a: f64, b: f64) -> f64 {
                canonical(a + b)
            }
            fn widen(self) -> f64 {
                f64::from(self)
            }
            fn sum_to_f64(sum: f64) -> f64 {
                sum
            }
            fn increase(first: Self, last: Self, dropped: f64) -> f64 {
                canonical((f64::from(last) - f64::from(first)) + dropped)
            }
            fn spread(values: &[Self], sum: f64) -> f64 {
                let mean = sum / values.len() as f64;
                lanes(values, |value| (f64::from(value) - mean) * (f64::from(value) - mean))
            }
            fn merge_spread((n, sum, a): Part<Self>, (m, other, b): Part<Self>) -> f64 {
                let (n, m) = (n as f64, m as f64);
                let delta = other / m - sum / n;
                canonical((a + b) + delta * delta * (n * m / (n + m)))
            }
            fn variance((count, _, spread): Part<Self>) -> f64 {
                spread / (count - 1) as f64
            }
            fn compare(self, other: Self) -> Ordering {
                self.total_cmp(&other)
            }
            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }
            fn extremes(values: &[Self]) -> Option<(usize, usize)> {
                // NaN is never less or greater, so it never gets into a lane.
                let mut least = [<$type>::INFINITY; LANES];
                let mut greatest = [<$type>::NEG_INFINITY; LANES];
                let chunks = values.chunks_exact(LANES);
                let rest = chunks.remainder();
                for chunk in chunks {
                    for lane in 0..LANES {
                        let value = chunk[lane];
                        least[lane] = if value < least[lane] { value } else { least[lane] };
                        greatest[lane] =
                            if value > greatest[lane] { value } else { greatest[lane] };
                    }
                }
                for value in rest {
                    least[0] = if *value < least[0] { *value } else { least[0] };
                    greatest[0] = if *value > greatest[0] { *value } else { greatest[0] };
                }
                let least = least.into_iter().fold(<$type>::INFINITY, <$type>::min);
                let greatest = greatest.into_iter().fold(<$type>::NEG_INFINITY, <$type>::max);
                // Comparison takes the zeros for equal; -0.0 is the lesser.
                let place = |wanted: $type, zero: $type| {
                    let signed = (wanted == 0.0)
                        .then(|| values.iter().position(|value| value.to_bits() == zero.to_bits()));
                    signed.flatten().or_else(|| {
                        // Runs without a match are passed over side by side.
                        let holds = |run: &&[$type]| {
                            run.iter().fold(false, |found, value| found | (*value == wanted))
                        };
                        let run = values.chunks(RUN).position(|run| holds(&run))? * RUN;
                        Some(run + values[run..].iter().position(|value| *value == wanted)?)
                    })
                };
                Some((place(least, -0.0)?, place(greatest, 0.0)?))
            }
        }
    };
}

float!(f64);
float!(f32);

macro_rules! whole {
    ($type:ty) => {
        impl Number for $type {
            type Sum = i128;
            type Spread = U256;

            fn sum(values: &[Self]) -> i128 {
                // A block is far below 2^31 values, so neither half can overflow.
                let low: u64 = values.iter().map(|value| *value as u64 & 0xffff_ffff).sum();
                let high: i64 = values.iter().map(|value| (*value >> 32) as i64).sum();
                (i128::from(high) << 32) + i128::from(low)
            }
            // Real sums stay far below 2^127 and 2^256; wrapping is for damaged files, which must not panic.
            fn add(a: i128, b: i128) -> i128 {
                a.wrapping_add(b)
            }
            fn widen(self) -> i128 {
                i128::from(self)
            }
            fn sum_to_f64(sum: i128) -> f64 {
                sum as f64
            }
            fn increase(first: Self, last: Self, dropped: i128) -> i128 {
                (i128::from(last) - i128::from(first)).wrapping_add(dropped)
            }
            fn spread(values: &[Self], _: i128) -> U256 {
                let size = |value: &Self| i128::from(*value).unsigned_abs();
                if values.iter().all(|value| size(value) < u128::from(SMALL)) {
                    let square = |value: &Self| {
                        let small = *value as i32;
                        (i64::from(small) * i64::from(small)) as u64
                    };
                    return U256::from(values.iter().map(square).sum::<u64>());
                }
                values.iter().fold(U256::ZERO, |sum, value| {
                    let size = U256::from(size(value));
                    sum.wrapping_add(size * size)
                })
            }
            fn merge_spread((_, _, a): Part<Self>, (_, _, b): Part<Self>) -> U256 {
                a.wrapping_add(b)
            }
            fn variance((count, sum, squares): Part<Self>) -> f64 {
                // (n * sum of squares - square of sum) / (n * (n - 1)), exact up to the division.
                let (count, sum) = (U256::from(count), U256::from(sum.unsigned_abs()));
                let numerator = count.wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum));
                numerator.as_f64() / (count.as_f64() * (count - U256::ONE).as_f64())
            }
            fn compare(self, other: Self) -> Ordering {
                self.cmp(&other)
            }
            fn is_nan(self) -> bool {
                false
            }
            fn extremes(values: &[Self]) -> Option<(usize, usize)> {
                let least = values.iter().min()?;
                let greatest = values.iter().max()?;
                let place = |wanted: &Self| values.iter().position(|value| value == wanted);
                Some((place(least)?, place(greatest)?))
            }
        }
    };
}

whole!(i64);
whole!(u64);
