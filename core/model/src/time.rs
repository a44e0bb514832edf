//! Points and ranges of time: nanoseconds since 1970-01-01T00:00:00 UTC in an `i64`, any value.

use core::fmt;

/// A point in time: nanoseconds since the Unix epoch, UTC. Every `i64` is legal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(pub i64);

impl From<i64> for Timestamp {
    fn from(nanoseconds: i64) -> Self {
        Timestamp(nanoseconds)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range of time that holds at least one point; either end may be open.
///
/// Users write it half-open, `[from, to)`. Inside it is kept by its first and last nanosecond, so
/// that a range can also hold `i64::MAX`, which no exclusive end could.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimeRange {
    first: i64,
    last: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { first: i64::MIN, last: i64::MAX };

    /// `[from, to)`, `None` meaning open. `None` when that would be empty: an empty range has no
    /// meaning to a query or a delete.
    #[must_use]
    pub fn new(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Self> {
        let first = from.map_or(i64::MIN, |t| t.0);
        let last = match to {
            Some(t) => t.0.checked_sub(1)?,
            None => i64::MAX,
        };
        (first <= last).then_some(TimeRange { first, last })
    }

    /// From the first to the last nanosecond, both in.
    #[must_use]
    pub fn inclusive(first: i64, last: i64) -> Option<Self> {
        (first <= last).then_some(TimeRange { first, last })
    }

    /// The first nanosecond in the range.
    #[must_use]
    pub fn first(self) -> i64 {
        self.first
    }

    /// The last nanosecond in the range.
    #[must_use]
    pub fn last(self) -> i64 {
        self.last
    }

    /// Does the range hold this point?
    #[must_use]
    pub fn contains(self, time: i64) -> bool {
        self.first <= time && time <= self.last
    }

    /// Does the range hold all of the other?
    #[must_use]
    pub fn covers(self, other: TimeRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Do the ranges share a point?
    #[must_use]
    pub fn overlaps(self, other: TimeRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// What both ranges hold, if anything.
    #[must_use]
    pub fn intersection(self, other: TimeRange) -> Option<TimeRange> {
        Self::inclusive(self.first.max(other.first), self.last.min(other.last))
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn hull(self, other: TimeRange) -> TimeRange {
        TimeRange { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.first, self.last)
    }
}

/// Nanoseconds in a minute.
pub const MINUTE_NS: i64 = 60_000_000_000;

/// The width of a leaf window, fixed when a collection is created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum LeafWidth {
    /// One hour, the default.
    #[default]
    Hour = 60,
    /// Thirty minutes.
    HalfHour = 30,
    /// Fifteen minutes.
    QuarterHour = 15,
}

impl LeafWidth {
    /// The width with this many minutes, if there is one.
    #[must_use]
    pub fn from_minutes(minutes: u8) -> Option<Self> {
        [LeafWidth::Hour, LeafWidth::HalfHour, LeafWidth::QuarterHour]
            .into_iter()
            .find(|width| *width as u8 == minutes)
    }

    /// The width in nanoseconds.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        self as i64 * MINUTE_NS
    }

    /// The number of the leaf window that holds `time`: `floor(time / width)`.
    #[must_use]
    pub fn leaf_of(self, time: i64) -> i64 {
        time.div_euclid(self.nanoseconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_open_ranges_become_inclusive_and_empty_ones_do_not_exist() {
        let range = TimeRange::new(Some(Timestamp(1)), Some(Timestamp(3))).unwrap();
        assert_eq!((range.first(), range.last()), (1, 2));
        assert!(TimeRange::new(Some(Timestamp(3)), Some(Timestamp(3))).is_none());
        assert!(TimeRange::new(None, Some(Timestamp(i64::MIN))).is_none());
        assert!(TimeRange::new(None, None).unwrap().contains(i64::MAX));
    }

    #[test]
    fn leaves_are_floored_before_the_epoch_too() {
        let hour = LeafWidth::Hour.nanoseconds();
        assert_eq!(LeafWidth::Hour.leaf_of(-1), -1);
        assert_eq!(LeafWidth::Hour.leaf_of(0), 0);
        assert_eq!(LeafWidth::Hour.leaf_of(hour), 1);
        assert_eq!(LeafWidth::Hour.leaf_of(-hour), -1);
    }
}
