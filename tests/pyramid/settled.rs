//! Retention by tier: where rows are gone, rollups answer as the rows would have, or the question is refused.

use crate::history::name;
use std::sync::Arc;
use tidelog_engine::{
    Aggregate, Batch, Delete, Device, DeviceSelector, Durability, Every, Explain, GroupBy, Level,
    Options, Query, QueryError, Retention, Store, TimeRange, Timestamp, Unit, Upkeep, UpkeepError,
    ValueRef, WriteError,
};
use tidelog_model::Stamp;
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::{Fault, Part, SimDisk};

pub(crate) const MINUTE: i64 = 60_000_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Rows for 3 days, leaves for 10, days since February, the rest for ever.
pub(crate) const KEEP: &str = "raw=3d,1h=10d,1d=38d";
const KEEP_SHORT: &str = "raw=1d,1h=2d";
pub(crate) const DAYS: i64 = 70;

pub(crate) fn options() -> Options {
    Options::new().upkeep(Upkeep::Caller).groups(2)
}

pub(crate) fn open(disk: &SimDisk) -> Store {
    options().open_on(Arc::new(disk.clone())).unwrap()
}

pub(crate) fn put(store: &Store, device: &str, time: i64, value: f64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push(device, time, [("f", ValueRef::F64(value))]).unwrap();
    store.write(&batch, Durability::Sync).unwrap();
}

/// Rows of some days: too few for a node of their own in most leaves, with counters that restart, states, absent values
/// and rows without any.
pub(crate) fn fill(store: &Store, days: std::ops::Range<i64>) {
    for day in days {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for device in 0..3i64 {
            let step = [7 * MINUTE, 11 * MINUTE + 1, 49 * MINUTE][device as usize];
            for (at, time) in (day * DAY..(day + 1) * DAY).step_by(step as usize).enumerate() {
                let at = at as i64 + day * 3;
                let mut values = Vec::new();
                if at % 5 != 0 {
                    values.push(("f", ValueRef::F64((at * 37 % 101) as f64 / 8.0 - 3.0)));
                }
                if at % 7 != 3 {
                    values.push(("count", ValueRef::I64(at % 83 * 5)));
                }
                if at % 3 == 1 {
                    values.push((
                        "state",
                        ValueRef::String(["on", "off", "idle"][(at / 40) as usize % 3]),
                    ));
                }
                batch.push(&format!("pump_{device}"), time, values).unwrap();
            }
        }
        store.write(&batch, Durability::Os).unwrap();
        if day % 9 == 4 {
            store.flush().unwrap();
        }
        if day % 20 == 10 {
            store.seal().unwrap();
        }
    }
}

pub(crate) fn keep(store: &Store, retention: &str) {
    store.set_retention(&name(), retention.parse().unwrap()).unwrap();
}

pub(crate) fn range(from: i64, to: i64) -> Query {
    Query::new().range(Some(Timestamp(from)), Some(Timestamp(to)))
}

pub(crate) fn unit(unit: Unit) -> Every {
    Every::Calendar { unit, zone: None }
}

pub(crate) fn answer(store: &Store, query: Query) -> Result<(String, Explain), QueryError> {
    let mut answer = store.query(&name(), query)?;
    let mut text = String::new();
    for batch in answer.by_ref() {
        let batch = batch?;
        for row in 0..batch.rows() {
            let device =
                batch.row_devices.get(row).map(|at| batch.devices[*at as usize].to_string());
            text += &format!("{device:?} {}", batch.times[row]);
            for column in &batch.columns {
                match column.at(row) {
                    Some(ValueRef::F64(value)) => text += &format!(" {:x}", value.to_bits()),
                    value => text += &format!(" {value:?}"),
                }
            }
            text.push('\n');
        }
    }
    let explain = answer.explain();
    Ok((text, explain))
}

/// Questions that rollups answer exactly under [`KEEP`].
pub(crate) fn questions() -> Vec<Query> {
    // `f` falls too often to be a counter, which rollups do not keep.
    let plain = || Aggregate::ALL.into_iter().take(10);
    let leaves = (DAYS - 10) * DAY;
    let days = 31 * DAY;
    let from = |from: i64| range(from, i64::MAX);
    let with = |query: Query| query.aggregates(plain()).fields(["f"]);
    let counter =
        |query: Query| query.aggregates([Aggregate::Increase, Aggregate::Rate]).fields(["count"]);
    let states = |query: Query| {
        query
            .aggregates([Aggregate::Count, Aggregate::First, Aggregate::Last])
            .fields(["state", "f"])
    };
    let local = |zone: &str| Every::Calendar { unit: Unit::Day, zone: Some(zone.into()) };
    vec![
        with(from(leaves).every(unit(Unit::Hour))),
        counter(from(leaves).every(unit(Unit::Hour))),
        states(from(leaves).every(unit(Unit::Hour))),
        with(from(leaves).every(unit(Unit::Day))),
        with(from(days).every(unit(Unit::Day))),
        counter(from(days).every(unit(Unit::Day))),
        with(from(32 * DAY).every(unit(Unit::Week))),
        with(Query::new().every(unit(Unit::Month))),
        counter(Query::new().every(unit(Unit::Month))),
        states(Query::new().every(unit(Unit::Year))),
        with(Query::new()),
        counter(Query::new()),
        with(Query::new()).group_by(GroupBy::None).every(unit(Unit::Month)),
        with(range(leaves + 5 * HOUR, leaves + 30 * HOUR)),
        // Local days of a zone of whole hours are made of leaves.
        with(from(leaves + 15 * HOUR).every(local("Asia/Tokyo"))),
    ]
}

/// A store that has cut, and one with the same rows that keeps all.
fn twins() -> (SimDisk, Store, Store) {
    let disk = SimDisk::new();
    let (cut, whole) = (open(&disk), open(&SimDisk::new()));
    for store in [&cut, &whole] {
        fill(store, 0..DAYS);
    }
    keep(&cut, KEEP);
    (disk, cut, whole)
}

fn same_answers(cut: &Store, whole: &Store) {
    for (number, query) in questions().into_iter().enumerate() {
        let (found, touched) =
            answer(cut, query.clone()).unwrap_or_else(|e| panic!("{number}: {e}"));
        let (expected, _) = answer(whole, query).unwrap();
        assert!(!expected.is_empty(), "{number} asks for something");
        assert_eq!(found, expected, "question {number}");
        assert_eq!((touched.nearest, touched.rows_from.is_some()), (0, true), "question {number}");
    }
}

#[test]
fn what_is_cut_off_answers_from_rollups_bit_for_bit() {
    let (disk, cut, whole) = twins();
    same_answers(&cut, &whole);
    let stats = |store: &Store| store.collections().unwrap().swap_remove(0);
    assert_eq!(stats(&cut).cut, Some((DAYS - 3) * DAY));
    cut.compact().unwrap();
    same_answers(&cut, &whole);
    assert!(stats(&cut).rows < stats(&whole).rows / 15, "space is freed");
    drop(cut);
    let cut = open(&disk);
    same_answers(&cut, &whole);
    // Settled files are merged as they pile up.
    for day in DAYS..DAYS + 12 {
        for store in [&cut, &whole] {
            fill(store, day..day + 1);
        }
        keep(&cut, KEEP);
    }
    cut.compact().unwrap();
    let tiers = cut.tiers();
    let settled = tiers.iter().filter(|tier| tier.settled);
    assert!(
        settled.clone().count() == 3 && settled.map(|tier| tier.files).sum::<u64>() <= 6,
        "{tiers:?}"
    );
    let query =
        || Query::new().every(unit(Unit::Month)).aggregates([Aggregate::Mean, Aggregate::Count]);
    assert_eq!(answer(&cut, query()).unwrap().0, answer(&whole, query()).unwrap().0);
    assert!(cut.check(|_, _| true).unwrap().is_clean());
}

#[test]
fn without_a_pyramid_retention_settles_all_the_same() {
    let disk = SimDisk::new();
    let whole = open(&SimDisk::new());
    fill(&whole, 0..DAYS);
    let cut = open(&disk);
    fill(&cut, 0..DAYS);
    cut.seal().unwrap();
    drop(cut);
    let cut = options().pyramid(false).open_on(Arc::new(disk.clone())).unwrap();
    keep(&cut, KEEP);
    same_answers(&cut, &whole);
    drop(cut);
    let cut = open(&disk);
    cut.seal().unwrap();
    same_answers(&cut, &whole);
}

#[test]
fn what_rollups_cannot_answer_exactly_is_refused_or_marked() {
    let (_, cut, whole) = twins();
    let refused = |query: Query| match answer(&cut, query) {
        Err(QueryError::ResolutionGone { finest, rows_from, .. }) => {
            assert_eq!(rows_from, (DAYS - 3) * DAY);
            finest
        }
        other => panic!("{other:?}"),
    };
    let mean = |query: Query| query.aggregates([Aggregate::Mean]).fields(["f"]);
    let leaves = (DAYS - 10) * DAY;
    assert_eq!(refused(mean(range(leaves, leaves + DAY)).every(unit(Unit::QuarterHour))), "1h");
    assert_eq!(refused(mean(range(leaves + MINUTE, leaves + DAY))), "1h");
    assert_eq!(refused(mean(range(40 * DAY, 41 * DAY)).every(unit(Unit::Hour))), "1d");
    assert_eq!(refused(mean(range(2 * DAY, 31 * DAY))), "1mo");
    let kolkata = || Every::Calendar { unit: Unit::Day, zone: Some("Asia/Kolkata".into()) };
    assert_eq!(refused(mean(range(leaves, leaves + 5 * DAY)).every(kolkata())), "1h");
    let hot = tidelog_engine::Predicate {
        field: "f".into(),
        comparison: tidelog_engine::Comparison::Greater,
        value: tidelog_engine::Value::F64(1.0),
    };
    assert_eq!(refused(mean(range(40 * DAY, 42 * DAY)).filter(hot)), "1d");
    // How long a state held is known where it did not change; where it did, nobody knows when.
    let held = |store: &Store, query: Query| answer(store, query.time_in_state("state", "on"));
    assert!(matches!(held(&cut, range(leaves, i64::MAX)), Err(QueryError::ResolutionGone { .. })));
    let calm = open(&SimDisk::new());
    let calm_twin = open(&SimDisk::new());
    for store in [&calm, &calm_twin] {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for day in 0..9 {
            for (hour, state) in [(0, "on"), (1, "on"), (7, "off"), (12, "on"), (13, "on")] {
                let time = day * DAY + hour * HOUR + 60;
                batch.push("pump_0", time, [("state", ValueRef::String(state))]).unwrap();
            }
        }
        store.write(&batch, Durability::Os).unwrap();
    }
    keep(&calm, "raw=2d");
    let (found, touched) = held(&calm, Query::new().every(unit(Unit::Day))).unwrap();
    assert_eq!(found, held(&calm_twin, Query::new().every(unit(Unit::Day))).unwrap().0);
    assert!(touched.leaves > 20, "{touched}");
    // Points are chosen among the rows that are left.
    let method = tidelog_engine::Downsample::Lttb { points: 50 };
    let points = |store: &Store, query: Query| {
        let query = query.fields(["f"]);
        let all = store.downsample(&name(), query, method).unwrap();
        all.map(|points| points.map(|points| points.times)).collect::<Result<Vec<_>, _>>().unwrap()
    };
    let since = range((DAYS - 3) * DAY, i64::MAX);
    assert_eq!(points(&cut, Query::new()), points(&whole, since));
    // Asked for, the nearest windows come, and say so: nothing is lost on the way.
    let counts =
        |query: Query| query.aggregates([Aggregate::Count]).fields(["f"]).group_by(GroupBy::None);
    let (_, touched) =
        answer(&cut, counts(range(leaves, i64::MAX)).every(kolkata()).nearest(true)).unwrap();
    assert!(touched.nearest > 0, "{touched}");
    let total = |store: &Store, query: Query| answer(store, counts(query)).unwrap().0;
    let all = |query: Query| query.range(None, None);
    assert_eq!(total(&cut, all(Query::new()).nearest(true)), total(&whole, all(Query::new())));
    // Rows are those that are left, and the answer says since when.
    let (rows, touched) = answer(&cut, Query::new()).unwrap();
    let (kept, _) = answer(&whole, range((DAYS - 3) * DAY, i64::MAX)).unwrap();
    assert_eq!((rows, touched.rows_from), (kept, Some((DAYS - 3) * DAY)));
    let (_, touched) = answer(&cut, range((DAYS - 2) * DAY, i64::MAX)).unwrap();
    assert_eq!(touched.rows_from, None, "all that was asked for is there");
}

#[test]
fn writes_and_deletes_below_a_cut_are_refused_or_whole() {
    let (_, cut, whole) = twins();
    let rows_from = (DAYS - 3) * DAY;
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push("pump_0", rows_from - 1, [("f", ValueRef::F64(1.0))]).unwrap();
    let refused = cut.write(&batch, Durability::Sync).unwrap_err();
    assert!(
        matches!(refused, WriteError::BelowCut { rows: 1, cut, .. } if cut == rows_from),
        "{refused}"
    );
    let delete = |first: i64, last: i64| {
        let range = TimeRange::inclusive(first, last).unwrap();
        let pump = DeviceSelector::one(Device::parse("pump_1").unwrap());
        Delete::collection(&name()).devices(pump).range(range)
    };
    let leaves = (DAYS - 10) * DAY;
    for ((first, last), (from, to)) in [
        ((leaves + 1, leaves + HOUR), (leaves, leaves + 2 * HOUR - 1)),
        ((40 * DAY + HOUR, 41 * DAY - 1), (40 * DAY, 41 * DAY - 1)),
        ((5, leaves - 1), (0, leaves - 1)),
        ((rows_from - HOUR + 3, rows_from + 7), (rows_from - HOUR, rows_from + 7)),
    ] {
        match cut.delete(&delete(first, last)) {
            Err(WriteError::DeleteBelowCut { accepted, .. }) => {
                assert_eq!((accepted.first(), accepted.last()), (from, to));
                cut.delete(&delete(from, to)).unwrap();
                whole.delete(&delete(from, to)).unwrap();
            }
            other => panic!("{other:?}"),
        }
        same_answers(&cut, &whole);
    }
    // A field alone, of all devices.
    let field = Delete::collection(&name()).fields(["count"]).unwrap();
    let field = field.range(TimeRange::inclusive(0, 50 * DAY - 1).unwrap());
    for store in [&cut, &whole] {
        store.delete(&field).unwrap();
    }
    same_answers(&cut, &whole);
    cut.compact().unwrap();
    same_answers(&cut, &whole);
}

#[test]
fn settled_stores_with_the_same_rows_have_the_same_digests() {
    let (_, a, _) = twins();
    // The same rows in another order, and cut in other steps.
    let b = open(&SimDisk::new());
    for days in [0..20, 40..50, 20..40] {
        fill(&b, days);
    }
    keep(&b, "raw=15d");
    b.compact().unwrap();
    fill(&b, 50..DAYS);
    keep(&b, KEEP);
    for level in [Level::Root, Level::Month, Level::Window, Level::Series] {
        let of = |store: &Store| store.digests(&name(), level, TimeRange::ALL).unwrap();
        assert_eq!(of(&a), of(&b), "{level}");
    }
    let report = a.compare(&b, &name(), |found| panic!("{found:?}")).unwrap();
    assert_eq!(report.differences, 0);
    a.seal().unwrap();
    a.compact().unwrap();
    let report = a.compare(&b, &name(), |found| panic!("{found:?}")).unwrap();
    assert_eq!(report.differences, 0);
    // One value more, settled since, is found in its window.
    let c = open(&SimDisk::new());
    fill(&c, 0..DAYS);
    put(&c, "pump_2", 45 * DAY + 1, 1.0);
    keep(&c, KEEP);
    let mut found = Vec::new();
    a.compare(&c, &name(), |one| {
        found.push((one.device.to_string(), one.window.first(), one.missing, one.extra));
        true
    })
    .unwrap();
    assert_eq!(found, [("pump_2".to_owned(), 45 * DAY, 1, 0)]);
}

/// Dead at any call, a store has cut or it has not, and nothing is lost between.
#[test]
fn a_cut_that_dies_is_made_or_not() {
    let base = SimDisk::new();
    let whole = open(&SimDisk::new());
    let store = open(&base);
    for store in [&store, &whole] {
        fill(store, 66..DAYS);
    }
    store.flush().unwrap();
    drop(store);
    let counts = |store: &Store| {
        let query =
            Query::new().every(unit(Unit::Day)).aggregates([Aggregate::Count, Aggregate::Mean]);
        answer(store, query).unwrap().0
    };
    let expected = counts(&whole);
    let retention: Retention = KEEP_SHORT.parse().unwrap();
    let rehearsal = base.restart();
    let store = open(&rehearsal);
    let before = rehearsal.calls();
    store.set_retention(&name(), retention).unwrap();
    let calls = rehearsal.calls();
    drop(store);
    let mut cuts = std::collections::BTreeSet::new();
    // Some of them here, all when there is time.
    let step = if std::env::var_os("TIDELOG_LONG").is_some() { 1 } else { 3 };
    for at in (before + 1..=calls).step_by(step) {
        let disk = base.restart();
        let store = open(&disk);
        disk.fail_at(at, Fault::Kill(if at % 2 == 0 { Part::Nothing } else { Part::Whole }));
        let outcome = store.set_retention(&name(), retention);
        // The last calls remove files that nothing lists any more.
        assert!(outcome.is_err() || at + 4 > calls, "call {at} of {calls}: {outcome:?}");
        drop(store);
        let disk = disk.random_crash(at);
        let store = open(&disk);
        assert_eq!(counts(&store), expected, "dead at call {at}");
        cuts.insert(store.collections().unwrap()[0].cut);
        keep(&store, KEEP_SHORT);
        assert_eq!(counts(&store), expected, "dead at call {at}, and done again");
        assert!(store.check(|_, _| true).unwrap().is_clean());
    }
    assert_eq!(cuts.len(), 2, "made or not: {cuts:?}");
}

/// Without a manifest, the files themselves say what is settled and what was cut off.
#[test]
fn recovery_finds_settled_files_again() {
    let (disk, cut, whole) = twins();
    // Rows that were cut off are still in files, and must not show again.
    cut.close().unwrap();
    drop(cut);
    let paths = |part: &str| -> Vec<(String, u64)> {
        disk.files().into_iter().filter(|(path, _)| path.contains(part)).collect()
    };
    assert!(!paths("MANIFEST").is_empty());
    paths("MANIFEST").iter().for_each(|(path, _)| disk.truncate(path, 0));
    let report =
        tidelog_engine::recover_on(Arc::new(disk.clone()), &options(), |_, _| true).unwrap();
    assert!(report.manifest_replaced, "{report:?}");
    let cut = open(&disk);
    same_answers(&cut, &whole);
    drop(cut);
    // A settled file that is damaged is named, and its queries fail by name.
    assert!(!paths("/1mo/").is_empty());
    paths("/1mo/").iter().for_each(|(path, len)| disk.zero(path, 64..len / 2));
    let cut = open(&disk);
    let months = Query::new().every(unit(Unit::Month)).aggregates([Aggregate::Mean]).fields(["f"]);
    let refused = answer(&cut, months).unwrap_err();
    assert!(
        matches!(refused, QueryError::Read(tidelog_engine::ReadError::Settled(_))),
        "{refused}"
    );
    assert!(!cut.check(|_, _| true).unwrap().is_clean());
    let leaves = (DAYS - 10) * DAY;
    let hours = range(leaves, i64::MAX).every(unit(Unit::Hour)).aggregates([Aggregate::Mean]);
    let (found, _) = answer(&cut, hours.clone().fields(["f"])).unwrap();
    assert_eq!(found, answer(&whole, hours.fields(["f"])).unwrap().0, "the rest is readable");
}

/// A full disk refuses the cut, and nothing is cut.
#[test]
fn a_cut_that_fails_leaves_rows_where_they_are() {
    let base = SimDisk::new();
    let store = open(&base);
    fill(&store, 60..DAYS);
    store.flush().unwrap();
    let before = answer(&store, Query::new()).unwrap();
    let mut failed = 0;
    for at in 1.. {
        base.fail_at(base.calls() + at, Fault::Error(28));
        match store.set_retention(&name(), Retention::rows(3)) {
            Ok(()) => break,
            Err(UpkeepError::Io(_) | UpkeepError::Edit(_)) => failed += 1,
            Err(other) => panic!("{other}"),
        }
        if store.stats().poisoned || failed > 3 {
            break;
        }
        assert_eq!(answer(&store, Query::new()).unwrap(), before);
        put(&store, "pump_0", 60 * DAY + 7, 1.0);
        let pump = DeviceSelector::one(Device::parse("pump_0").unwrap());
        let at = TimeRange::inclusive(60 * DAY + 7, 60 * DAY + 7).unwrap();
        store.delete(&Delete::collection(&name()).devices(pump).range(at)).unwrap();
    }
    assert!(failed > 0, "nothing failed");
}

/// Writers beside a cut: what was acknowledged is a row or in a rollup, and what was refused is neither.
#[test]
fn rows_written_beside_a_cut_are_counted_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Options::new().groups(2).open(directory.path()).unwrap();
    fill(&store, 40..DAYS);
    let before: u64 = count_all(&store);
    let acknowledged: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3i64)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    let mut done = 0;
                    for number in 0..400i64 {
                        let mut batch = Batch::new("plant.boiler").unwrap();
                        let time = (45 + number % 24) * DAY + number * 1000 + writer * 7 + 1;
                        batch.push("late", time, [("f", ValueRef::F64(1.0))]).unwrap();
                        let how = if number % 3 == 0 { Durability::Sync } else { Durability::Os };
                        match store.write(&batch, how) {
                            Ok(_) => done += 1,
                            Err(WriteError::BelowCut { .. }) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    done
                })
            })
            .collect();
        for days in [20, 12, 5, 2] {
            store.set_retention(&name(), Retention::rows(days)).unwrap();
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(count_all(&store), before + acknowledged);
    drop(store);
    let store = Options::new().groups(2).open(directory.path()).unwrap();
    assert_eq!(count_all(&store), before + acknowledged);
    drop(store);
}

fn count_all(store: &Store) -> u64 {
    let query = Query::new().aggregates([Aggregate::Count]).fields(["f"]).group_by(GroupBy::None);
    let rows = store.query(&name(), query).unwrap().collect_rows().unwrap();
    match rows.columns[0].at(0) {
        Some(ValueRef::U64(count)) => count,
        other => panic!("{other:?}"),
    }
}

/// Rows that peers wrote in time may still be on their way: rollups for ever would lack them.
#[test]
fn a_cut_waits_for_peers_but_not_for_ever() {
    const NOON: u64 = 1_700_006_400_000 + 43_200_000;
    const DAY_MILLIS: u64 = 86_400_000;
    let today = i64::try_from(NOON).unwrap() * 1_000_000;
    // By agreement before what became due today was said to be here, at it, and by the longest wait alone.
    let cases = [
        (Some(NOON - DAY_MILLIS), 0, false),
        (Some(NOON), 0, true),
        (None, 6, false),
        (None, 7, true),
    ];
    for (agreed, later, is_cut) in cases {
        let clock = SimClock::new(NOON, 1);
        let shared = Arc::new(clock.clone());
        let options = options().clock(shared.clone()).entropy(shared);
        let store = options.open_on(Arc::new(SimDisk::new())).unwrap();
        for day in 0..10 {
            put(&store, "pump", today - day * DAY, 1.0);
        }
        store.set_replicated().unwrap();
        keep(&store, "raw=3d");
        let held = |store: &Store| {
            let answer = store.query(&name(), Query::new()).unwrap();
            answer.collect_rows().unwrap().rows()
        };
        assert_eq!(held(&store), 10, "nothing is known of peers");
        if let Some(agreed) = agreed {
            store.set_agreed(Stamp::from_millis(agreed));
        }
        clock.set(NOON + later * DAY_MILLIS);
        // A store that nobody writes to looks at its cuts when it is merged.
        store.compact().unwrap();
        let what = format!("agreed on {agreed:?}, {later} days later");
        assert_eq!(held(&store) < 10, is_cut, "{what}");
    }
}
