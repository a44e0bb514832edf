//! Covering a stretch of time with the coarsest nodes there are, and rows between them. Pure.

use crate::ids::Tier;
use tidelog_model::TimeRange;

/// A part of a covered stretch.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Piece<N> {
    /// A node that lies in the stretch.
    Node(Tier, N),
    /// Here rows are read.
    Rows(TimeRange),
}

impl<N> Piece<N> {
    /// The range whose rows are to be read, if it is one.
    pub(crate) fn rows(&self) -> Option<TimeRange> {
        match self {
            Piece::Node(..) => None,
            Piece::Rows(range) => Some(*range),
        }
    }
}

/// What has a window.
pub(crate) trait Windowed {
    fn window(&self) -> TimeRange;
}

/// Covers a stretch, in order of time. `nodes` gives the nodes of a tier that lie in a range, in order; coarse
/// tiers are asked first, and finer ones only where those leave a gap.
pub(crate) fn cover<N: Windowed, E>(
    stretch: TimeRange,
    tiers: &[Tier],
    nodes: &mut impl FnMut(Tier, TimeRange) -> Result<Vec<N>, E>,
) -> Result<Vec<Piece<N>>, E> {
    let mut pieces = Vec::new();
    fill(stretch, tiers, nodes, &mut pieces)?;
    Ok(pieces)
}

fn fill<N: Windowed, E>(
    stretch: TimeRange,
    tiers: &[Tier],
    nodes: &mut impl FnMut(Tier, TimeRange) -> Result<Vec<N>, E>,
    pieces: &mut Vec<Piece<N>>,
) -> Result<(), E> {
    let Some((tier, finer)) = tiers.split_first() else {
        pieces.push(Piece::Rows(stretch));
        return Ok(());
    };
    let mut next = Some(stretch.first());
    for node in nodes(*tier, stretch)? {
        let window = node.window();
        let Some(from) = next else { break };
        if let Some(gap) = before(from, window.first()) {
            fill(gap, finer, nodes, pieces)?;
        }
        pieces.push(Piece::Node(*tier, node));
        next = window.last().checked_add(1);
    }
    if let Some(gap) = next.and_then(|from| TimeRange::inclusive(from, stretch.last())) {
        fill(gap, finer, nodes, pieces)?;
    }
    Ok(())
}

/// From `from` to before `to`, if that is not empty.
fn before(from: i64, to: i64) -> Option<TimeRange> {
    to.checked_sub(1).and_then(|last| TimeRange::inclusive(from, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    impl Windowed for TimeRange {
        fn window(&self) -> TimeRange {
            *self
        }
    }

    fn range(first: i64, last: i64) -> TimeRange {
        TimeRange::inclusive(first, last).unwrap()
    }

    #[test]
    fn coarse_nodes_are_taken_first_and_gaps_are_filled_from_finer_ones() {
        let days = [range(10, 19), range(30, 39)];
        let leaves = [range(0, 4), range(5, 9), range(20, 24), range(30, 34), range(45, 49)];
        let mut asked = Vec::new();
        let mut nodes = |tier: Tier, within: TimeRange| {
            asked.push((tier, within));
            let all: &[TimeRange] = if tier == Tier::Day { &days } else { &leaves };
            Ok::<_, Infallible>(all.iter().copied().filter(|node| within.covers(*node)).collect())
        };
        let pieces = cover(range(5, 47), &[Tier::Day, Tier::Hour], &mut nodes).unwrap();
        let expected = vec![
            Piece::Node(Tier::Hour, range(5, 9)),
            Piece::Node(Tier::Day, range(10, 19)),
            Piece::Node(Tier::Hour, range(20, 24)),
            Piece::Rows(range(25, 29)),
            Piece::Node(Tier::Day, range(30, 39)),
            Piece::Rows(range(40, 47)),
        ];
        assert_eq!(pieces, expected);
        assert!(!asked.contains(&(Tier::Hour, range(30, 39))), "a covered range is not asked for");
    }

    #[test]
    fn all_of_time_is_covered_at_both_ends() {
        let mut nodes = |_: Tier, _: TimeRange| {
            Ok::<_, Infallible>(vec![range(i64::MIN, 5), range(7, i64::MAX)])
        };
        let pieces = cover(TimeRange::ALL, &[Tier::Year], &mut nodes).unwrap();
        assert_eq!(pieces[1], Piece::Rows(range(6, 6)));
        assert_eq!(pieces.len(), 3);
    }
}
