//! Over links where each byte is paid for: rollups at once, rows at night and as far as the budget reaches.
//!
//! The same plans as Tidelog's built-in `metered` with raw hours from 22:00 to 06:00 UTC.

use tidelog_policy::{Action, Cost, Policy, PolicyError, Round, Step};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Rows may cross from this minute of the UTC day ...
const FROM: u64 = 22 * 60 * MINUTE;
/// ... over midnight until this one.
const TO: u64 = 6 * 60 * MINUTE;

/// The policy.
#[derive(Debug)]
pub struct MeteredUplink;

impl Policy for MeteredUplink {
    fn plan(round: &Round) -> Result<Vec<Step>, PolicyError> {
        let free = round.with().is_none_or(|peer| peer.cost == Cost::Free);
        let wait = wait(round.now);
        let mut left = round.budget;
        let step = |window: u32| {
            let one = &round.windows[window as usize];
            let bytes = one.to_move();
            let action = if free {
                Action::Both
            } else if wait == 0 && bytes <= left {
                left -= bytes;
                Action::Both
            } else if one.theirs.rows > 0 && !one.borrowed {
                Action::Rollups
            } else {
                // Where the budget is the limit, it is filled up again with the next UTC day.
                let until_day = DAY - round.now % DAY;
                Action::Defer(round.now.saturating_add(if wait > 0 { wait } else { until_day }))
            };
            Step { window, action, peer: round.peer }
        };
        Ok(round.newest_first().map(step).collect())
    }
}

tidelog_policy::export!(MeteredUplink);

/// Milliseconds until rows may cross; 0: they may.
fn wait(now: u64) -> u64 {
    let day = now % DAY;
    if (TO..FROM).contains(&day) { FROM - day } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_policy::{Divergence, PeerFacts, Side, StoreId};

    const HOUR: u64 = 60 * MINUTE;

    fn round(hour: u64, budget: u64, cost: Cost) -> Round {
        let window = |at: i64| Divergence {
            group: 1,
            collection: 0,
            first: at * 10,
            last: at * 10 + 9,
            devices: 1,
            ours: Side { rows: 0, bytes: 0 },
            theirs: Side { rows: 360, bytes: 1_000 },
            age: 0,
            borrowed: at == 1,
        };
        let peer =
            PeerFacts { store: StoreId::new(1), up: true, cost, rtt: 0, lag: 0, agreed: u64::MAX };
        Round {
            now: 1_000 * DAY + hour * HOUR,
            peer: 0,
            budget,
            max_deferral: DAY,
            collections: vec!["plant.air".into()],
            peers: vec![peer],
            windows: (0..3).map(window).collect(),
        }
    }

    fn actions(round: &Round) -> Vec<(u32, Action)> {
        let plan = MeteredUplink::plan(round).unwrap();
        plan.into_iter().map(|step| (step.window, step.action)).collect()
    }

    #[test]
    fn by_day_rollups_cross_and_what_has_them_waits_for_the_night() {
        let day = round(16, u64::MAX, Cost::Metered);
        let night = Action::Defer(day.now + 6 * HOUR);
        let want = [(2, Action::Rollups), (1, night), (0, Action::Rollups)];
        assert_eq!(actions(&day), want);
    }

    #[test]
    fn at_night_rows_cross_as_far_as_the_budget_reaches() {
        for hour in [22, 5] {
            let night = round(hour, 2_500, Cost::Metered);
            let want = [(2, Action::Both), (1, Action::Both), (0, Action::Rollups)];
            assert_eq!(actions(&night), want);
        }
        let spent = round(23, 0, Cost::Metered);
        assert_eq!(actions(&spent)[1], (1, Action::Defer(spent.now + HOUR)), "the next day");
    }

    #[test]
    fn over_a_free_link_everything_is_repaired() {
        let free = round(16, 0, Cost::Free);
        assert!(actions(&free).iter().all(|(_, action)| *action == Action::Both));
    }
}
