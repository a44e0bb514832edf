//! What policies may say, what becomes of it, and what the built-in ones say.

use super::{
    Action, Checked, Complete, Cost, Divergence, FAULTS_MAX, Health, Metered, NewestFirst,
    PeerFacts, PlanError, PreferPeer, RawHours, Recorded, RepairPolicy, Round, Side, Step, check,
    decode_plan, encode_plan,
};
use crate::{CollectionName, GroupId, StoreId, TimeRange};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000_000_000;
const HOUR_MS: u64 = 3_600_000;

/// A round with two peers and windows of the given ages, an hour each, in order of time.
fn round(ages: &[u64]) -> Round {
    let facts = |at: u8| PeerFacts {
        store: StoreId([at; 16]),
        up: true,
        cost: Cost::Metered,
        rtt: 600_000,
        lag: 0,
        agreed: u64::MAX,
    };
    let window = |(at, age): (usize, &u64)| Divergence {
        group: GroupId(1),
        collection: CollectionName::parse("plant.air").unwrap(),
        range: TimeRange::inclusive(at as i64 * HOUR, (at as i64 + 1) * HOUR - 1).unwrap(),
        devices: 1,
        ours: Side::default(),
        theirs: Side { rows: 360, bytes: 1_000 },
        age: *age,
        borrowed: false,
    };
    Round {
        now: 1_000 * HOUR_MS,
        peer: 0,
        budget: u64::MAX,
        max_deferral: 10 * HOUR_MS,
        peers: vec![facts(1), facts(2)],
        windows: ages.iter().enumerate().map(window).collect(),
    }
}

fn step(window: u32, action: Action) -> Step {
    Step { window, action, peer: 0 }
}

#[test]
fn a_plan_that_does_not_fit_its_round_is_void() {
    let mut round = round(&[0, 0]);
    round.peers[1].up = false;
    let both = |window| step(window, Action::Both);
    let to = |peer| Step { peer, ..both(0) };
    let cases = [
        (vec![both(0), both(1), both(2)], PlanError::TooLong { steps: 3, windows: 2 }),
        (vec![both(2)], PlanError::NoWindow { step: 0, window: 2, windows: 2 }),
        (vec![both(1), both(1)], PlanError::Twice { step: 1, window: 1 }),
        (vec![to(2)], PlanError::NoPeer { step: 0, peer: 2, peers: 2 }),
        (vec![to(1)], PlanError::Down { step: 0, peer: 1 }),
    ];
    for (plan, error) in cases {
        assert_eq!(check(&round, &plan), Err(error));
    }
}

#[test]
fn what_has_waited_too_long_is_repaired_whatever_the_plan_says() {
    let round = round(&[0, 10 * HOUR_MS, 4 * HOUR_MS, 11 * HOUR_MS]);
    let plan = [step(3, Action::Skip), step(2, Action::Defer(u64::MAX)), step(0, Action::Pull)];
    let Checked { steps, overdue } = check(&round, &plan).unwrap();
    let latest = Action::Defer(round.now + 6 * HOUR_MS);
    let want =
        [step(1, Action::Both), step(3, Action::Both), step(2, latest), step(0, Action::Pull)];
    assert_eq!((steps.as_slice(), overdue), (want.as_slice(), 2));
    // A window that no step names waits, and no longer than the others.
    assert_eq!(check(&round, &[]).unwrap().steps.len(), 2);
}

#[test]
fn a_policy_that_fails_is_left_alone_and_tried_again() {
    let mut health = Health::default();
    assert!(!health.failed(0) && !health.failed(70_000) && !health.failed(80_000));
    assert!(health.is_asked(80_000), "two failures in a minute are not enough");
    assert!(health.failed(81_000));
    assert_eq!(health.quarantined_until(81_000), Some(82_000));
    assert!(!health.is_asked(81_999) && health.is_asked(82_000));
    // It gets one try after each quarantine; they grow to five minutes and no further.
    let mut now = 82_000;
    let mut lasted = Vec::new();
    for _ in 0..12 {
        assert!(health.failed(now));
        let until = health.quarantined_until(now).unwrap();
        lasted.push(until - now);
        now = until;
    }
    assert_eq!(lasted[..3], [2_000, 4_000, 8_000]);
    assert_eq!(lasted[11], 300_000);
    health.well();
    assert!((0..FAULTS_MAX - 1).all(|_| !health.failed(now)), "all is forgiven after a plan");
}

#[test]
fn the_newest_windows_go_first_and_all_of_them() {
    let round = round(&[0, 0, 0]);
    let order = |plan: Vec<Step>| plan.iter().map(|step| step.window).collect::<Vec<_>>();
    assert_eq!(order(NewestFirst.plan(&round).unwrap()), [2, 1, 0]);
    assert_eq!(order(Complete.plan(&round).unwrap()), [0, 1, 2]);
}

#[test]
fn the_preferred_peer_repairs_what_it_knows_of() {
    let mut round = round(&[5_000, 1_000]);
    let mut policy = PreferPeer { store: StoreId([2; 16]) };
    let mut peers = |round: &Round| {
        policy.plan(round).unwrap().iter().map(|step| step.peer).collect::<Vec<_>>()
    };
    assert_eq!(peers(&round), [1, 1]);
    // It agreed two seconds ago, and the first difference is older: it has the same rows as this store.
    round.peers[1].agreed = 2_000;
    assert_eq!(peers(&round), [0, 1]);
    round.peers[1].up = false;
    assert_eq!(peers(&round), [0, 0]);
}

#[test]
fn over_a_metered_link_rollups_come_first_and_rows_at_night() {
    let night = RawHours { from: 22 * 60, to: 6 * 60 };
    let mut policy = Metered { raw: night };
    let mut round = round(&[0, 0, 0]);
    // 1,000 hours are 41 days and 16 hours: in the afternoon, six hours before the night.
    let until = Action::Defer(round.now + 6 * HOUR_MS);
    round.windows[1].borrowed = true;
    let plan = policy.plan(&round).unwrap();
    assert_eq!(plan, [step(2, Action::Rollups), step(1, until), step(0, Action::Rollups)]);

    round.now += 7 * HOUR_MS;
    round.budget = 2_500;
    let plan = policy.plan(&round).unwrap();
    let want = [step(2, Action::Both), step(1, Action::Both), step(0, Action::Rollups)];
    assert_eq!(plan, want, "as far as the budget reaches");
    round.windows[0].borrowed = true;
    let next_day = Action::Defer(round.now + HOUR_MS);
    assert_eq!(policy.plan(&round).unwrap()[2], step(0, next_day));

    round.now -= 7 * HOUR_MS;
    round.peers[0].cost = Cost::Free;
    assert!(policy.plan(&round).unwrap().iter().all(|step| step.action == Action::Both));
}

#[test]
fn raw_hours_end_and_begin_on_the_minute() {
    let minute = 60_000;
    let night = RawHours { from: 22 * 60, to: 6 * 60 };
    assert_eq!(night.wait(6 * HOUR_MS - 1), 0);
    assert_eq!(night.wait(6 * HOUR_MS), 16 * HOUR_MS);
    assert_eq!(night.wait(22 * HOUR_MS - minute), minute);
    let noon = RawHours { from: 12 * 60, to: 13 * 60 };
    assert_eq!((noon.wait(13 * HOUR_MS), noon.wait(12 * HOUR_MS)), (23 * HOUR_MS, 0));
    assert_eq!(RawHours::default().wait(7 * HOUR_MS), 0, "all day");
}

#[test]
fn recorded_rounds_are_read_as_they_were_written_and_their_layout_stands() {
    let mut round = round(&[1, 2]);
    round.windows[1].borrowed = true;
    let plan = vec![step(1, Action::Defer(77)), step(0, Action::Rollups)];
    let recorded = Recorded { round, plan };
    let bytes = recorded.encode();
    assert_eq!(Recorded::decode(&bytes).unwrap(), recorded);
    assert_eq!(blake3::hash(&bytes).to_hex().as_str()[..16], *"c2a0704c14a5c756");
    assert_eq!(
        encode_plan(&recorded.plan),
        [2, 1, 4, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0],
        "the layout of plans is public"
    );
    for cut in 0..bytes.len() {
        assert!(Recorded::decode(&bytes[..cut]).is_err());
    }
}

proptest! {
    #[test]
    fn bytes_that_are_no_round_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        if let Ok(recorded) = Recorded::decode(&bytes) {
            let again = Recorded::decode(&recorded.encode());
            prop_assert_eq!(again, Ok(recorded));
        }
        let _ = decode_plan(&bytes);
    }

    #[test]
    fn a_checked_plan_names_each_window_once_and_all_that_are_overdue(
        ages in prop::collection::vec(0..20 * HOUR_MS, 0..40),
        plan in prop::collection::vec((0..45u32, 0..6u8, 0..3u32), 0..45),
    ) {
        let round = round(&ages);
        let action = |number| match number {
            0 => Action::Skip,
            1 => Action::Pull,
            2 => Action::Push,
            3 => Action::Both,
            4 => Action::Defer(u64::from(number)),
            _ => Action::Rollups,
        };
        let plan: Vec<Step> = plan
            .into_iter()
            .map(|(window, number, peer)| Step { window, action: action(number), peer })
            .collect();
        if let Ok(checked) = check(&round, &plan) {
            let mut seen = vec![0u32; ages.len()];
            checked.steps.iter().for_each(|step| seen[step.window as usize] += 1);
            prop_assert!(seen.iter().all(|times| *times <= 1));
            for (window, age) in ages.iter().enumerate() {
                let own = checked.steps.iter().find(|step| step.window as usize == window);
                if *age >= round.max_deferral {
                    let both = Step { window: window as u32, action: Action::Both, peer: 0 };
                    prop_assert_eq!(own, Some(&both));
                }
            }
        }
    }
}
