//! How far something has come, and how long the rest may take: an estimate from what was done so far, and none where
//! nothing was.

/// How much is done of how much is known of. What is known of may grow, for a difference is only known when what is above
/// it was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Done.
    pub done: u64,
    /// Known of, done or not.
    pub total: u64,
    /// Milliseconds that the rest may take; none while nothing tells.
    pub millis_left: Option<u64>,
}

impl Progress {
    pub(crate) fn new(done: u64, left: u64, millis_left: Option<u64>) -> Self {
        Progress { done, total: done.saturating_add(left), millis_left }
    }
}

/// How many milliseconds what is left takes, if it goes on as what was done in `millis`.
pub(crate) fn time_left(done: u64, left: u64, millis: u64) -> Option<u64> {
    if left == 0 {
        return Some(0);
    }
    if done == 0 || millis == 0 {
        return None;
    }
    let rest = (u128::from(millis) * u128::from(left)).div_ceil(u128::from(done));
    Some(u64::try_from(rest).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_was_done_took() {
        let cases = [
            ((10, 30, 500), Some(1500)),
            ((30, 10, 500), Some(167)),
            ((1, 1, 1), Some(1)),
            ((7, 0, 500), Some(0)),
            ((u64::MAX, u64::MAX, 9), Some(9)),
            ((1, u64::MAX, u64::MAX), Some(u64::MAX)),
        ];
        for ((done, left, millis), expected) in cases {
            assert_eq!(time_left(done, left, millis), expected, "{done} {left} {millis}");
        }
    }

    #[test]
    fn nothing_is_said_where_nothing_tells() {
        assert_eq!(time_left(0, 30, 500), None, "nothing was done");
        assert_eq!(time_left(10, 30, 0), None, "no time passed");
        assert_eq!(time_left(0, 0, 0), Some(0), "nothing is left");
    }
}
