//! What is newest first, and bytes for what is old only as long as there are bytes for what is new.

use tidelog_policy::{Action, Policy, PolicyError, Round, Step};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const NANOSECONDS: i64 = 1_000_000;

/// A window is fresh when it ends less than so many milliseconds ago.
const FRESH: u64 = DAY;
/// What does not fit is tried again after so many milliseconds.
const LATER: u64 = HOUR;

/// The policy.
#[derive(Debug)]
pub struct FreshnessBudget;

impl Policy for FreshnessBudget {
    fn plan(round: &Round) -> Result<Vec<Step>, PolicyError> {
        // Half of the budget is for fresh windows alone.
        let reserved = if round.budget == u64::MAX { 0 } else { round.budget / 2 };
        let fresh_from = round.now.saturating_sub(FRESH);
        let mut left = round.budget;
        let step = |window: u32| {
            let one = &round.windows[window as usize];
            // A window before 1970 is not fresh.
            let ended = u64::try_from(one.last / NANOSECONDS).unwrap_or(0);
            let may_use = if ended >= fresh_from { left } else { left.saturating_sub(reserved) };
            let bytes = one.to_move();
            let action = if bytes <= may_use {
                left -= bytes;
                Action::Both
            } else {
                Action::Defer(round.now.saturating_add(LATER))
            };
            Step { window, action, peer: round.peer }
        };
        Ok(round.newest_first().map(step).collect())
    }
}

tidelog_policy::export!(FreshnessBudget);

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_policy::{Divergence, Side};

    const NOW: u64 = 20_000 * DAY;

    /// Windows that ended so many hours ago, 1,000 bytes each.
    fn round(budget: u64, hours: &[u64]) -> Round {
        let window = |hours: &u64| {
            let last = (NOW - hours * HOUR) as i64 * NANOSECONDS;
            Divergence {
                group: 1,
                collection: 0,
                first: last - 9,
                last,
                devices: 1,
                ours: Side { rows: 0, bytes: 0 },
                theirs: Side { rows: 40, bytes: 1_000 },
                age: 0,
                borrowed: false,
            }
        };
        Round {
            now: NOW,
            peer: 0,
            budget,
            max_deferral: 7 * DAY,
            collections: vec!["plant.air".into()],
            peers: vec![],
            windows: hours.iter().map(window).collect(),
        }
    }

    fn repaired(round: &Round) -> Vec<u32> {
        let plan = FreshnessBudget::plan(round).unwrap();
        assert_eq!(plan.len(), round.windows.len(), "each window is decided on");
        let later = Action::Defer(NOW + LATER);
        assert!(plan.iter().all(|step| [Action::Both, later].contains(&step.action)));
        let both = plan.iter().filter(|step| step.action == Action::Both);
        both.map(|step| step.window).collect()
    }

    #[test]
    fn without_a_bound_everything_is_repaired_the_newest_first() {
        assert_eq!(repaired(&round(u64::MAX, &[900, 2, 48])), [1, 2, 0]);
    }

    #[test]
    fn old_windows_leave_half_of_the_budget_to_fresh_ones() {
        assert_eq!(repaired(&round(4_000, &[900, 800, 700, 600])), [3, 2]);
        assert_eq!(repaired(&round(4_000, &[900, 3, 2, 1])), [3, 2, 1], "no bytes for the old one");
        assert_eq!(repaired(&round(2_000, &[3, 2, 1])), [2, 1]);
    }

    #[test]
    fn with_nothing_left_everything_waits() {
        assert_eq!(repaired(&round(0, &[1, 2])), []);
    }
}
