//! Stores that settled different rows exchange the nodes in which they differ, and hold the same then.

use crate::history::name;
use crate::settled::{DAY, DAYS, HOUR, KEEP, MINUTE, answer, fill, keep, open, put, questions};
use crate::settled::{range, unit};
use std::sync::Arc;
use tidelog_engine::{
    Aggregate, CollectionName, Delete, Device, DeviceSelector, GroupId, Level, Options, Query,
    RollupError, SettledClaim, SettledTaken, Store, TimeRange, Unit, Upkeep,
};
use tidelog_tests::disk::SimDisk;

const GROUPS: [GroupId; 2] = [GroupId(0), GroupId(1)];

/// All claims of a group, a few at a time.
fn claims(store: &Store, group: GroupId, at_once: usize) -> Vec<SettledClaim> {
    let mut all: Vec<SettledClaim> = Vec::new();
    loop {
        let after = all.last().map(|last| (last.window.first(), last.device.clone()));
        let after = after.as_ref().map(|(start, device)| (*start, &**device));
        let found = store.settled_claims(group, &name(), TimeRange::ALL, after, at_once).unwrap();
        assert!(found.claims.len() <= at_once);
        all.extend(found.claims);
        if !found.more {
            let place = |claim: &SettledClaim| (claim.window.first(), claim.device.clone());
            assert!(all.is_sorted_by(|a, b| place(a) < place(b)));
            return all;
        }
    }
}

/// The bytes of all nodes of a group, a few at a time.
fn nodes(store: &Store, group: GroupId, wanted: &[SettledClaim]) -> Vec<Vec<u8>> {
    let mut places: Vec<(i64, &str)> =
        wanted.iter().map(|claim| (claim.window.first(), &*claim.device)).collect();
    let mut all = Vec::new();
    while !places.is_empty() {
        let some = store.settled_nodes(group, &name(), &places, 20_000).unwrap();
        assert!(some.done > 0, "it goes on");
        places.drain(..some.done);
        all.extend(some.nodes);
    }
    all
}

/// Sends what `to` does not have or has a lesser node of.
fn send(from: &Store, to: &Store) -> SettledTaken {
    let mut sum = SettledTaken::default();
    for group in GROUPS {
        let (ours, theirs) = (claims(from, group, 100), claims(to, group, 1_000));
        let key = |claim: &SettledClaim| (claim.level, claim.window, claim.device.clone());
        let wins = |claim: &&SettledClaim| {
            let held = theirs.iter().find(|held| key(held) == key(claim));
            held.is_none_or(|held| (held.rows, held.digest) < (claim.rows, claim.digest))
        };
        let wanted: Vec<SettledClaim> = ours.iter().filter(wins).cloned().collect();
        let taken = to.take_settled(group, &name(), &nodes(from, group, &wanted)).unwrap();
        sum.taken += taken.taken;
        sum.known += taken.known;
        sum.left_out += taken.left_out;
    }
    sum
}

fn root(store: &Store) -> String {
    format!("{:?}", store.digests(&name(), Level::Root, TimeRange::ALL).unwrap())
}

/// One lacks a day and a stretch that the other has, and the other way round; of one window both have as many rows.
fn differing(a: &Store, b: &Store) {
    for (store, lacks, value) in [(a, 65, 1.0), (b, 45, 2.0)] {
        for days in [0..lacks, lacks + 1..DAYS] {
            fill(store, days);
        }
        put(store, "pump_0", 40 * DAY + 7, value);
        put(store, "pump_1", 62 * DAY + 11 * MINUTE + 3, value);
    }
    for minute in 0..90 {
        put(a, "pump_0", 63 * DAY + minute * MINUTE + 1, minute as f64);
        put(b, "valve", 64 * DAY + minute * MINUTE + 1, minute as f64);
        put(b, "valve", 12 * DAY + minute * MINUTE + 1, minute as f64);
    }
}

fn same(a: &Store, b: &Store) {
    assert_eq!(root(a), root(b));
    let report = a.compare(b, &name(), |found| panic!("{found:?}")).unwrap();
    assert_eq!(report.differences, 0);
    for (number, query) in questions().into_iter().enumerate() {
        assert_eq!(answer(a, query.clone()).unwrap().0, answer(b, query).unwrap().0, "{number}");
    }
    for level in [Level::Year, Level::Month, Level::Day, Level::Window, Level::Series] {
        let digests = |store: &Store| store.digests(&name(), level, TimeRange::ALL).unwrap();
        assert_eq!(digests(a), digests(b), "{level}");
    }
}

#[test]
fn stores_that_settled_different_rows_hold_the_same_after_an_exchange() {
    let disks = [SimDisk::new(), SimDisk::new()];
    let (a, b) = (open(&disks[0]), open(&disks[1]));
    differing(&a, &b);
    for store in [&a, &b] {
        store.seal().unwrap();
        keep(store, KEEP);
    }
    // What is above the cuts has no part in this.
    assert_ne!(root(&a), root(&b));
    let (there, back) = (send(&a, &b), send(&b, &a));
    assert!(there.taken > 5 && back.taken > 40, "{there:?} {back:?}");
    assert_eq!((there.left_out, back.left_out), (0, 0));
    same(&a, &b);
    let lines = |store: &Store| {
        let all = [Aggregate::Count, Aggregate::Sum, Aggregate::Last];
        let query = Query::new().fields(["f"]).aggregates(all);
        answer(store, query.every(unit(Unit::Year))).unwrap()
    };
    assert!(lines(&a).0.contains("valve"), "{}", lines(&a).0);
    // Once more, nothing moves; nor when all is sent, the lesser ones too.
    assert_eq!((send(&a, &b), send(&b, &a)), (SettledTaken::default(), SettledTaken::default()));
    for group in GROUPS {
        let all = nodes(&b, group, &claims(&b, group, 77));
        let again = a.take_settled(group, &name(), &all).unwrap();
        assert_eq!((again.taken, again.known), (0, all.len() as u64));
    }
    // What was made above them is what is made from them.
    for store in [&a, &b] {
        let (before, said) = (root(store), lines(store).0);
        store.compact().unwrap();
        assert_eq!((root(store), lines(store).0), (before, said));
        assert!(store.check(|_, _| true).unwrap().is_clean());
    }
    drop((a, b));
    same(&open(&disks[0]), &open(&disks[1]));
}

#[test]
fn without_a_pyramid_nodes_are_exchanged_all_the_same() {
    let plain = |disk: &SimDisk| {
        let options = Options::new().upkeep(Upkeep::Caller).groups(2).pyramid(false);
        options.open_on(Arc::new(disk.clone())).unwrap()
    };
    let (a, b) = (plain(&SimDisk::new()), open(&SimDisk::new()));
    differing(&a, &b);
    for store in [&a, &b] {
        keep(store, KEEP);
    }
    send(&a, &b);
    send(&b, &a);
    same(&a, &b);
}

#[test]
fn what_is_not_settled_or_is_deleted_here_is_left_out() {
    let (a, b) = (open(&SimDisk::new()), open(&SimDisk::new()));
    differing(&a, &b);
    keep(&a, KEEP);
    // Cut less far: the days of `a` are leaves here, and its months days.
    keep(&b, "raw=30d");
    let claimed: usize = GROUPS.iter().map(|group| claims(&a, *group, 500).len()).sum();
    let taken = send(&a, &b);
    assert_eq!((taken.taken, taken.left_out), (0, claimed as u64), "{taken:?}");
    keep(&b, KEEP);
    let device = DeviceSelector::one(Device::parse("pump_0").unwrap());
    let day = TimeRange::inclusive(63 * DAY, 63 * DAY + 2 * HOUR - 1).unwrap();
    let all = Delete::collection(&name()).devices(device.clone()).range(day);
    let month = TimeRange::inclusive(0, 31 * DAY - 1).unwrap();
    let field = Delete::collection(&name()).fields(["count"]).unwrap().range(month);
    for delete in [&all, &field] {
        b.delete(delete).unwrap();
    }
    let gone = || range(63 * DAY, 63 * DAY + 2 * HOUR).devices(device.clone());
    let gone = || gone().aggregates([Aggregate::Count]);
    assert_eq!(answer(&b, gone()).unwrap().0, "");
    let taken = send(&a, &b);
    assert!(taken.taken > 0 && taken.left_out == 2, "{taken:?}");
    assert_eq!(answer(&b, gone()).unwrap().0, "", "what was deleted stays so");
    // The deletes travel as well, and then both are the same.
    for delete in [&all, &field] {
        a.delete(delete).unwrap();
    }
    send(&b, &a);
    send(&a, &b);
    same(&a, &b);
}

#[test]
fn nodes_that_are_forged_or_do_not_fit_are_refused_and_nothing_is_taken() {
    let (a, b) = (open(&SimDisk::new()), open(&SimDisk::new()));
    differing(&a, &b);
    for store in [&a, &b] {
        keep(store, KEEP);
    }
    let before = root(&b);
    let good: Vec<Vec<u8>> = nodes(&a, GROUPS[0], &claims(&a, GROUPS[0], 50));
    let refused = |group, name: &CollectionName, nodes: &[Vec<u8>]| {
        b.take_settled(group, name, nodes).unwrap_err()
    };
    let mut bad = good.clone();
    *bad.last_mut().unwrap().last_mut().unwrap() ^= 1;
    assert!(matches!(refused(GROUPS[0], &name(), &bad), RollupError::Malformed { .. }));
    assert!(matches!(refused(GROUPS[1], &name(), &good), RollupError::Malformed { .. }));
    assert!(matches!(refused(GroupId(9), &name(), &good), RollupError::Malformed { .. }));
    let other = CollectionName::parse("plant.other").unwrap();
    assert!(matches!(refused(GROUPS[0], &other, &[]), RollupError::Schema { .. }));
    let many = vec![vec![0; 1 << 20]; 17];
    assert!(matches!(refused(GROUPS[0], &name(), &many), RollupError::TooMany { .. }));
    assert_eq!(root(&b), before);
    // A field that is not known here.
    let mut batch = tidelog_engine::Batch::new("plant.boiler").unwrap();
    batch.push("pump_0", (DAYS - 1) * DAY, [("new", 1.0)]).unwrap();
    a.write(&batch, tidelog_engine::Durability::Sync).unwrap();
    for day in 2..6 {
        put(&a, "pump_0", (DAYS + day) * DAY, 1.0);
    }
    keep(&a, KEEP);
    let all: Vec<Vec<Vec<u8>>> =
        GROUPS.iter().map(|group| nodes(&a, *group, &claims(&a, *group, 90))).collect();
    let outcomes: Vec<_> =
        GROUPS.iter().zip(&all).map(|(group, all)| b.take_settled(*group, &name(), all)).collect();
    let schema = |outcome: &&Result<_, _>| matches!(outcome, Err(RollupError::Schema { .. }));
    assert_eq!(outcomes.iter().filter(schema).count(), 1, "{outcomes:?}");
}

#[test]
fn a_year_above_settled_months_counts_each_of_them_once() {
    let (a, b) = (open(&SimDisk::new()), open(&SimDisk::new()));
    for store in [&a, &b] {
        let mut batch = tidelog_engine::Batch::new("plant.boiler").unwrap();
        for at in 0..430 * 24 {
            batch.push("pump_0", at * HOUR + 1, [("f", (at % 17) as f64)]).unwrap();
        }
        store.write(&batch, tidelog_engine::Durability::Os).unwrap();
    }
    put(&a, "pump_0", 40 * DAY, 100.0);
    for store in [&a, &b] {
        store.seal().unwrap();
        keep(store, KEEP);
    }
    let lines = |store: &Store| {
        let query = Query::new().aggregates([Aggregate::Count, Aggregate::Sum]);
        answer(store, query.every(unit(Unit::Year))).unwrap()
    };
    let (expected, touched) = lines(&a);
    assert!(touched.years > 0, "the year is stored: {touched}");
    assert_eq!(send(&a, &b).taken, 1);
    assert_eq!(lines(&b).0, expected);
    // A delete of a month as well.
    let month = TimeRange::inclusive(31 * DAY, 59 * DAY - 1).unwrap();
    for store in [&a, &b] {
        store.delete(&Delete::collection(&name()).range(month)).unwrap();
    }
    b.seal().unwrap();
    assert_eq!(lines(&b).0, lines(&a).0);
}
