//! Over links where each byte is paid for: rollups at once, rows when they are cheap and as far as the budget reaches.

use super::built_in::newest_first;
use super::{Action, Cost, Divergence, PolicyError, RepairPolicy, Round, Step};
use alloc::vec::Vec;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// When rows may cross a metered link: from one minute of the UTC day to another, over midnight when the second comes
/// first. Equal: all day, as far as the budget reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RawHours {
    /// The first minute.
    pub from: u16,
    /// The minute that it ends before.
    pub to: u16,
}

impl RawHours {
    /// Milliseconds from a wall clock reading until rows may cross; 0: they may.
    #[must_use]
    pub fn wait(self, now: u64) -> u64 {
        let (from, to) = (u64::from(self.from) * MINUTE, u64::from(self.to) * MINUTE);
        let day = now % DAY;
        let inside = match from.cmp(&to) {
            core::cmp::Ordering::Equal => true,
            core::cmp::Ordering::Less => (from..to).contains(&day),
            core::cmp::Ordering::Greater => day >= from || day < to,
        };
        if inside { 0 } else { (from + DAY - day) % DAY }
    }
}

/// See the module documentation. What is newest goes first; over a link that costs nothing everything is repaired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Metered {
    /// When rows may cross.
    pub raw: RawHours,
}

impl RepairPolicy for Metered {
    fn name(&self) -> &str {
        "metered"
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        let free = round.peers.get(round.peer as usize).is_none_or(|peer| peer.cost == Cost::Free);
        let wait = self.raw.wait(round.now);
        let mut left = round.budget;
        let step = |window: u32| {
            let one = &round.windows[window as usize];
            let bytes = to_move(one);
            let action = if free || wait == 0 && bytes <= left {
                left -= if free { 0 } else { bytes };
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
        Ok(newest_first(round).into_iter().map(step).collect())
    }
}

/// About how many bytes a repair moves: what one side has more than the other, and a sixteenth of what both have for
/// finding it.
fn to_move(one: &Divergence) -> u64 {
    let common = one.ours.bytes.min(one.theirs.bytes);
    one.ours.bytes.abs_diff(one.theirs.bytes).saturating_add(common / 16)
}
