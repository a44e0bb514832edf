//! A round to try a policy with: two peers, one over a metered link, and differences of all kinds in a few hours.

use tidelog::model::StoreId;
use tidelog::model::policy::{Cost, Divergence, PeerFacts, Round, Side};
use tidelog::{CollectionName, GroupId, TimeRange};

const HOUR: i64 = 3_600_000_000_000;
/// 2026-11-27, 14:00 UTC, in milliseconds.
const NOW: u64 = 1_795_788_000_000;

pub(super) fn sample() -> Round {
    let peer = |number: u8, cost, rtt| PeerFacts {
        store: StoreId([number; 16]),
        up: true,
        cost,
        rtt,
        lag: 0,
        agreed: 3_600_000,
    };
    let collection = CollectionName::new("plant", "boiler").unwrap_or_else(|_| unreachable!());
    let sides: [(u64, u64, u64); 6] = [
        (0, 3_600, 60_000),
        (3_600, 0, 60_000),
        (3_590, 3_600, 7_200_000),
        (3_600, 3_600, 86_400_000),
        (0, 36_000, 600_000),
        (100, 0, 700_000_000),
    ];
    let window = |(at, (ours, theirs, age)): (usize, (u64, u64, u64))| {
        let first = (NOW as i64 * 1_000_000).div_euclid(HOUR) * HOUR - (6 - at as i64) * HOUR;
        let side = |rows: u64| Side { rows, bytes: rows * 24 };
        Divergence {
            group: GroupId(at as u32 % 4),
            collection: collection.clone(),
            range: TimeRange::inclusive(first, first + HOUR - 1).unwrap_or(TimeRange::ALL),
            devices: 10,
            ours: side(ours),
            theirs: side(theirs),
            age,
            borrowed: false,
        }
    };
    Round {
        now: NOW,
        peer: 0,
        budget: 1_000_000,
        max_deferral: 7 * 86_400_000,
        peers: vec![peer(1, Cost::Metered, 650_000), peer(2, Cost::Free, 900)],
        windows: sides.into_iter().enumerate().map(window).collect(),
    }
}
