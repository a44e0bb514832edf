//! Stretches of time as lists: which rows of a file the pyramid's stored nodes do not count.

use tidelog_model::TimeRange;

/// The times that any of the ranges holds, as ranges in order that do not touch.
pub(crate) fn union(ranges: impl IntoIterator<Item = TimeRange>) -> Vec<TimeRange> {
    let mut all: Vec<TimeRange> = ranges.into_iter().collect();
    all.sort_unstable_by_key(|range| range.first());
    all.dedup_by(|next, held| {
        let joins = next.first() <= held.last().saturating_add(1);
        if joins {
            *held = held.hull(*next);
        }
        joins
    });
    all
}

/// The times of some ranges that none of the others holds; both are in order and apart.
pub(crate) fn without(ranges: &[TimeRange], others: &[TimeRange]) -> Vec<TimeRange> {
    let mut left = Vec::new();
    for range in ranges {
        let mut from = Some(range.first());
        for other in others.iter().filter(|other| other.overlaps(*range)) {
            let before = other.first().checked_sub(1);
            left.extend(from.zip(before).and_then(|(a, b)| TimeRange::inclusive(a, b)));
            from = other.last().checked_add(1);
        }
        left.extend(from.and_then(|from| TimeRange::inclusive(from, range.last())));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64) -> TimeRange {
        TimeRange::inclusive(first, last).unwrap()
    }

    #[test]
    fn what_others_hold_is_taken_off() {
        let ranges = [range(0, 9), range(20, i64::MAX)];
        assert_eq!(without(&ranges, &[]), ranges);
        assert_eq!(
            without(&ranges, &[range(3, 4), range(9, 21), range(30, i64::MAX)]),
            [range(0, 2), range(5, 8), range(22, 29)]
        );
        assert_eq!(without(&ranges, &[TimeRange::ALL]), []);
        assert_eq!(without(&[TimeRange::ALL], &[range(i64::MIN, 5)]), [range(6, i64::MAX)]);
    }

    #[test]
    fn ranges_that_touch_are_joined() {
        let some = [range(20, 30), range(0, 9), range(10, 12), range(25, i64::MAX), range(14, 15)];
        assert_eq!(union(some), [range(0, 12), range(14, 15), range(20, i64::MAX)]);
        assert_eq!(union([]), []);
        assert_eq!(union([range(5, i64::MAX), range(i64::MIN, 3)]).len(), 2);
    }
}
