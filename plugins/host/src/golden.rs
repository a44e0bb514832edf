//! Rounds that every policy is tried on before it is used.

use tidelog_model::policy::{Cost, Divergence, PeerFacts, Round, Side};
use tidelog_model::{CollectionName, GroupId, StoreId, TimeRange};

/// 2027-01-15 08:00 UTC.
const NOW: u64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
const HOUR_MS: u64 = 3_600_000;

/// A round with so many windows of an hour each: three peers, one of them down, a metered link, a budget that is not
/// enough, windows of which one side has nothing. Always the same.
#[must_use]
pub fn golden_round(windows: u32) -> Round {
    let peer = |at: u8| PeerFacts {
        store: StoreId([at; 16]),
        up: at != 2,
        cost: if at == 1 { Cost::Metered } else { Cost::Free },
        rtt: u32::from(at) * 40_000,
        lag: u64::from(at) * 1_000,
        agreed: if at == 3 { u64::MAX } else { 5 * HOUR_MS },
    };
    Round {
        now: NOW,
        peer: 0,
        budget: u64::from(windows) * 1_000,
        max_deferral: 24 * HOUR_MS,
        peers: (1..=3).map(peer).collect(),
        windows: (0..windows).map(window).collect(),
    }
}

fn window(at: u32) -> Divergence {
    let first = (NOW as i64 / 1_000 / 3_600 - 1_000 + i64::from(at)) * HOUR;
    let side = |rows: u64| Side { rows, bytes: rows * 24 };
    let collection = if at < 500 { "plant.air" } else { "plant.water" };
    Divergence {
        group: GroupId(1 + at / 400),
        collection: CollectionName::parse(collection).expect("a name"),
        range: TimeRange::inclusive(first, first + HOUR - 1).expect("an hour"),
        devices: at % 5,
        ours: side(u64::from(at % 3) * 30),
        theirs: side(u64::from(at % 7) * 20),
        age: u64::from(at % 30) * HOUR_MS,
        borrowed: at.is_multiple_of(4),
    }
}
