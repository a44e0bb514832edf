//! Times of a rate that does not divide a second into whole nanoseconds: 360 Hz steps by
//! 2,777,777 and 2,777,778. Exact as `start + floor((i * numerator + phase) / denominator)`.

use super::CodecError;
use super::integers::Whole;
use super::wire::{Reader, put_varint};

/// A rising line with a rational slope, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    start: u64,
    /// Whole part of the slope.
    step: u64,
    /// The rest of the slope and the offset, in units of `1 / denominator`; both below it.
    numerator: u64,
    phase: u64,
    denominator: u64,
}

impl Grid {
    /// The grid that gives exactly these values, if there is one with a small denominator.
    pub(super) fn fit<T: Whole>(values: &[T]) -> Option<Self> {
        let start = values.first()?.bits();
        let steps = || values.windows(2).map(|pair| pair[1].bits().wrapping_sub(pair[0].bits()));
        let first = steps().next()?;
        // Steps of a line differ by one at most: this ends nearly every other column at once.
        if values.len() < 16 || steps().any(|step| step.wrapping_sub(first).wrapping_add(1) > 2) {
            return None;
        }
        let step = steps().min_by_key(|step| step.wrapping_sub(first).wrapping_add(1))?;
        let extra: Vec<i64> = (0u64..)
            .zip(values)
            .map(|(i, v)| v.bits().wrapping_sub(start).wrapping_sub(i.wrapping_mul(step)) as i64)
            .collect();
        let (numerator, denominator, phase) = slope(&extra)?;
        Some(Grid { start, step, numerator, phase, denominator })
    }

    pub(super) fn put(&self, meta: &mut Vec<u8>) {
        meta.extend_from_slice(&self.start.to_le_bytes());
        for part in [self.step, self.numerator, self.phase, self.denominator] {
            put_varint(meta, part);
        }
    }

    /// Reads to the end of the metadata.
    pub(super) fn read(meta: &mut Reader<'_>) -> Result<Self, CodecError> {
        let start = u64::from_le_bytes(meta.array()?);
        let [step, numerator, phase, denominator] =
            [meta.varint()?, meta.varint()?, meta.varint()?, meta.varint()?];
        meta.finish()?;
        if denominator > MOST || numerator >= denominator || phase >= denominator {
            return Err(CodecError::Damaged("a grid whose fractions are not below one"));
        }
        Ok(Grid { start, step, numerator, phase, denominator })
    }

    /// See [`rises`].
    pub(super) fn rises(&self) -> bool {
        rises(self.step)
    }

    /// Appends the values `first..first + count`.
    pub(super) fn extend<T: Whole>(&self, first: usize, count: usize, out: &mut Vec<T>) {
        // Below 2^16 * 2^16 + 2^16: an index is below 2^16, and so are the fractions.
        let sum = first as u64 * self.numerator + self.phase;
        let line = (first as u64).wrapping_mul(self.step).wrapping_add(sum / self.denominator);
        let mut value = self.start.wrapping_add(line);
        let mut rest = sum % self.denominator;
        out.extend((0..count).map(|_| {
            let here = T::of_bits(value);
            rest += self.numerator;
            let carry = rest >= self.denominator;
            rest -= if carry { self.denominator } else { 0 };
            value = value.wrapping_add(self.step).wrapping_add(u64::from(carry));
            here
        }));
    }
}

/// A line with such a step rises by less than 2^63 over a chunk, so that it can only come out lower at
/// its end if it ran past the greatest number on its way.
pub(super) fn rises(step: u64) -> bool {
    (1..1 << 46).contains(&step)
}

/// The simplest `n / d` between 0 and 1, with a phase, whose line gives all points: found by
/// walking down the Stern-Brocot tree. A few points decide most turns, so the first 64 are asked
/// alone until they agree, then ever more.
fn slope(points: &[i64]) -> Option<(u64, u64, u64)> {
    let (mut low, mut high) = ((0i64, 1i64), (1i64, 1i64));
    let mut asked = 64.min(points.len());
    loop {
        let (n, d) = (low.0 + high.0, low.1 + high.1);
        if d > MOST_FITTED {
            return None;
        }
        // floor((i * n + p) / d) = e means e * d - i * n <= p < e * d - i * n + d.
        let bounds = (0i64..).zip(&points[..asked]).map(|(i, e)| (e * d - i * n, i));
        let (phase, at_least) = bounds.clone().max()?;
        let (end, at_most) = bounds.min().map(|(bound, i)| (bound + d, i))?;
        if phase < end && asked < points.len() {
            asked = points.len().min(8 * asked);
        } else if phase < end {
            let part = |value: i64| u64::try_from(value).ok();
            return Some((part(n)?, part(d)?, part(phase)?));
        } else if at_least > at_most {
            low = (n, d);
        } else {
            high = (n, d);
        }
    }
}

/// Largest denominator a reader takes: products with an index stay within 32 bits.
const MOST: u64 = 1 << 16;
/// Largest denominator a writer looks for.
const MOST_FITTED: i64 = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_in_nanoseconds_are_grids() {
        for rate in [3u64, 7, 24, 30, 60, 120, 360, 999, 44_100, 48_000] {
            for shift in [0, 1, rate / 2] {
                let time = |i: u64| (5 + (i * 1_000_000_000 + shift) / rate) as i64;
                let times: Vec<i64> = (0..5_000).map(time).collect();
                let Some(grid) = Grid::fit(&times) else { panic!("{rate} Hz is a grid") };
                for first in [0, 1, 777, 4_990] {
                    let mut found: Vec<i64> = Vec::new();
                    grid.extend(first, 10, &mut found);
                    assert_eq!(found, times[first..first + 10], "{rate} Hz from {first}");
                }
            }
        }
    }

    #[test]
    fn a_line_that_runs_past_the_end_comes_out_lower() {
        let steepest = (1 << 46) - 1;
        assert!(rises(1) && rises(steepest) && !rises(0) && !rises(1 << 46) && !rises(u64::MAX));
        let start = i64::MAX - 5;
        for step in [1, 7, steepest] {
            let grid = Grid { start: start as u64, step, numerator: 1, phase: 0, denominator: 2 };
            let mut found: Vec<i64> = Vec::new();
            grid.extend(0, 1 << 16, &mut found);
            assert!(found.last() < found.first(), "a step of {step}");
        }
    }

    #[test]
    fn jitter_is_no_grid() {
        let times: Vec<i64> = (0..100).map(|i| i * 10 + (i * i) % 2).collect();
        assert_eq!(Grid::fit(&times), None);
        let two: Vec<u64> = (0..100).map(|i| i * 10 + u64::from(i % 7 == 3 || i > 50)).collect();
        assert_eq!(Grid::fit(&two), None);
    }
}
