//! Rollups that another store lends answer where rows are not here, and nowhere else.

use crate::history::name;
use crate::settled::{DAY, HOUR, KEEP, MINUTE, answer, fill, keep, open, put, range, unit};
use std::sync::Arc;
use tidelog_engine::{
    Aggregate, Delete, Device, DeviceSelector, Explain, GroupBy, GroupId, Level, Query,
    RollupError, Store, Taken, TimeRange, Unit, recover_on,
};
use tidelog_tests::disk::SimDisk;

const GROUPS: [GroupId; 2] = [GroupId(0), GroupId(1)];
const WHOLE: TimeRange = TimeRange::ALL;

/// Everything of a level in a range, in lots of some bytes.
fn lent(store: &Store, group: GroupId, level: Level, of: TimeRange, bytes: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut after: Option<(i64, Arc<str>)> = None;
    loop {
        let place = after.as_ref().map(|(start, device)| (*start, &**device));
        let some = store.lend(group, &name(), level, of, place, bytes).unwrap();
        all.extend(some.rollups);
        match some.more {
            Some(more) => {
                assert!(after.as_ref().is_none_or(|after| *after < more), "it goes on");
                after = Some(more);
            }
            None => return all,
        }
    }
}

fn lend(from: &Store, to: &Store, level: Level, of: TimeRange) -> Taken {
    let mut sum = Taken::default();
    for group in GROUPS {
        let taken = to.borrow(group, &name(), &lent(from, group, level, of, 1000)).unwrap();
        sum.taken += taken.taken;
        sum.known += taken.known;
        sum.left_out += taken.left_out;
    }
    sum
}

fn borrowed(store: &Store) -> u64 {
    GROUPS.iter().map(|group| store.borrowed(*group).unwrap()).sum()
}

fn root(store: &Store) -> String {
    format!("{:?}", store.digests(&name(), Level::Root, TimeRange::ALL).unwrap())
}

/// The schema of the collection, and a row far away: what a peer has before anything else.
fn knows(store: &Store) {
    fill(store, 20..21);
}

/// Questions whose windows are those of a unit, or hold whole ones.
fn ask(store: &Store, from: i64, to: i64, of: Unit) -> (String, Explain) {
    let plain: Vec<Aggregate> = Aggregate::ALL.into_iter().take(10).collect();
    let (mut all, mut touched) = (String::new(), Explain::default());
    for query in [
        range(from, to).aggregates(plain.clone()).fields(["f"]),
        range(from, to).aggregates([Aggregate::Increase, Aggregate::Rate]).fields(["count"]),
        range(from, to).aggregates([Aggregate::Count, Aggregate::Last]).fields(["state", "f"]),
        range(from, to).aggregates([Aggregate::Mean]).fields(["f"]).group_by(GroupBy::None),
        range(from, to).aggregates([Aggregate::Mean]).fields(["f"]),
    ] {
        let (text, explain) = answer(store, query.every(unit(of))).unwrap();
        all += &text;
        touched = explain;
    }
    (all, touched)
}

#[test]
fn what_was_lent_answers_as_the_lender_does() {
    let (a, b) = (open(&SimDisk::new()), open(&SimDisk::new()));
    fill(&a, 0..21);
    knows(&b);
    // Rows that no node counts yet, and a delete.
    put(&a, "pump_1", 3 * DAY + 5, 7.5);
    let some = Delete::collection(&name())
        .range(TimeRange::inclusive(5 * DAY, 5 * DAY + 9 * HOUR).unwrap());
    a.delete(&some).unwrap();
    let before = root(&b);
    let ten = TimeRange::inclusive(0, 10 * DAY - 1).unwrap();
    let taken = lend(&a, &b, Level::Window, ten);
    assert!(taken.taken > 500 && taken.left_out == 0, "{taken:?}");
    assert_eq!(borrowed(&b), taken.taken);
    for of in [Unit::Hour, Unit::Day, Unit::Month] {
        let (expected, _) = ask(&a, 0, 10 * DAY, of);
        let (found, touched) = ask(&b, 0, 10 * DAY, of);
        assert_eq!(found, expected, "{of:?}");
        assert!(touched.borrowed > 100, "{touched}");
        assert_eq!(touched.borrowed_level, Some(Level::Window));
    }
    // Days where leaves are not wanted; their hours are not known.
    let rest = TimeRange::inclusive(10 * DAY, 20 * DAY - 1).unwrap();
    assert_eq!(lend(&a, &b, Level::Day, rest).taken, 30);
    let (found, touched) = ask(&b, 0, 20 * DAY, Unit::Day);
    assert_eq!(found, ask(&a, 0, 20 * DAY, Unit::Day).0);
    assert_eq!(touched.borrowed_level, Some(Level::Day), "{touched}");
    assert_eq!(ask(&b, 10 * DAY, 20 * DAY, Unit::Hour).0, "");
    // Nothing else sees them.
    assert_eq!(root(&b), before);
    let rows = answer(&b, range(0, 20 * DAY)).unwrap();
    assert_eq!((rows.0.as_str(), rows.1.borrowed), ("", 0));
    assert!(a.compare(&b, &name(), |_| true).unwrap().differences > 100);
    assert!(lent(&b, GROUPS[0], Level::Window, ten, 100).is_empty(), "nor is it lent on");
    // Twice is once; what changed takes the place of what was.
    let again = lend(&a, &b, Level::Window, ten);
    assert_eq!((borrowed(&b), again.left_out), (taken.taken + 30, 0));
    put(&a, "pump_0", DAY + 7, 100.0);
    lend(&a, &b, Level::Window, ten);
    assert_eq!(ask(&b, 0, 10 * DAY, Unit::Hour).0, ask(&a, 0, 10 * DAY, Unit::Hour).0);
    b.compact().unwrap();
    assert_eq!(ask(&b, 0, 10 * DAY, Unit::Hour).0, ask(&a, 0, 10 * DAY, Unit::Hour).0);
    assert_eq!((borrowed(&b), root(&b)), (taken.taken + 30, before));
}

#[test]
fn settled_windows_are_lent_and_cut_ones_are_not_taken() {
    let (a, b) = (open(&SimDisk::new()), open(&SimDisk::new()));
    fill(&a, 0..70);
    fill(&b, 69..70);
    keep(&a, KEEP);
    // Leaves of days 60 to 66 are settled at the lender, days before that.
    for (level, from, to) in [(Level::Window, 61, 67), (Level::Day, 32, 66), (Level::Month, 0, 59)]
    {
        let of = TimeRange::inclusive(from * DAY, to * DAY - 1).unwrap();
        let b = open(&SimDisk::new());
        fill(&b, 69..70);
        assert!(lend(&a, &b, level, of).taken > 0, "{level}");
        let unit = match level {
            Level::Window => Unit::Hour,
            Level::Day => Unit::Day,
            _ => Unit::Month,
        };
        assert_eq!(ask(&b, from * DAY, to * DAY, unit).0, ask(&a, from * DAY, to * DAY, unit).0);
    }
    let days = TimeRange::inclusive(40 * DAY, 69 * DAY - 1).unwrap();
    assert!(lend(&a, &b, Level::Day, days).taken > 50);
    put(&b, "pump_0", 30 * DAY, 1.0);
    // Its own cut comes by: what is older is settled from here on.
    keep(&b, KEEP);
    assert_eq!(borrowed(&b), 6, "two days of three devices");
    b.compact().unwrap();
    assert_eq!(b.tiers().iter().filter(|tier| tier.borrowed).map(|tier| tier.rows).sum::<u64>(), 6);
    let old = TimeRange::inclusive(40 * DAY, 66 * DAY - 1).unwrap();
    let late = lend(&a, &b, Level::Day, old);
    assert!(late.taken == 0 && late.left_out > 50, "{late:?}");
}

#[test]
fn rows_win_and_deletes_hide() {
    let disk = SimDisk::new();
    let (a, b) = (open(&SimDisk::new()), open(&disk));
    fill(&a, 0..4);
    knows(&b);
    put(&b, "pump_0", 2 * HOUR + 5, 1.0);
    let all = TimeRange::inclusive(0, 4 * DAY - 1).unwrap();
    let taken = lend(&a, &b, Level::Window, all);
    assert_eq!(taken.left_out, 1, "the hour that has a row");
    let hours = |store: &Store, from: i64, to: i64| {
        let pump = DeviceSelector::one(Device::parse("pump_0").unwrap());
        let query = range(from, to).devices(pump).fields(["f"]).aggregates([Aggregate::Count]);
        answer(store, query.every(unit(Unit::Hour))).unwrap().0
    };
    assert!(hours(&b, 2 * HOUR, 3 * HOUR).ends_with("Some(U64(1))\n"));
    // A day is made of the row and the hours that were lent.
    let day = |store: &Store| {
        let query = range(0, DAY).fields(["f"]).aggregates([Aggregate::Count]);
        let pump = DeviceSelector::one(Device::parse("pump_0").unwrap());
        answer(store, query.devices(pump).every(unit(Unit::Day))).unwrap().0
    };
    let sum = |text: &str| -> u64 {
        let numbers = text.split("U64(").skip(1).map(|rest| rest.split(')').next().unwrap());
        numbers.map(|number| number.parse::<u64>().unwrap()).sum()
    };
    let expected = sum(&hours(&b, 0, DAY));
    assert_eq!(sum(&day(&b)), expected);
    for minute in 0..200 {
        put(&b, "pump_0", 5 * HOUR + minute * MINUTE + 3, 2.0);
    }
    let wins = |b: &Store| {
        assert!(hours(b, 5 * HOUR, 6 * HOUR).ends_with("Some(U64(60))\n"));
        assert!(hours(b, 8 * HOUR, 9 * HOUR).ends_with("Some(U64(20))\n"));
        assert_eq!(hours(b, 9 * HOUR, 2 * DAY), hours(&a, 9 * HOUR, 2 * DAY));
        assert_eq!(sum(&day(b)), sum(&hours(b, 0, DAY)));
        assert_eq!(borrowed(b), taken.taken - 4);
    };
    wins(&b);
    b.seal().unwrap();
    wins(&b);
    b.compact().unwrap();
    wins(&b);
    let kept: u64 = b.tiers().iter().filter(|tier| tier.borrowed).map(|tier| tier.rows).sum();
    assert_eq!(kept, taken.taken - 4, "what rows have taken the place of is gone");
    // Deletes: of whole windows, of a part, of others.
    let delete = |from: i64, to: i64, device: &str| {
        let range = TimeRange::inclusive(from, to - 1).unwrap();
        let device = DeviceSelector::one(Device::parse(device).unwrap());
        b.delete(&Delete::collection(&name()).devices(device).range(range)).unwrap();
    };
    delete(DAY, DAY + 2 * HOUR, "pump_0");
    delete(DAY + 150 * MINUTE, DAY + 160 * MINUTE, "pump_0");
    delete(DAY + 3 * HOUR, DAY + 4 * HOUR, "pump_1");
    let hidden = |b: &Store| {
        assert_eq!(hours(b, DAY, DAY + 3 * HOUR), "");
        assert_eq!(hours(b, DAY + 3 * HOUR, 2 * DAY), hours(&a, DAY + 3 * HOUR, 2 * DAY));
        assert_eq!(borrowed(b), taken.taken - 4 - 4);
    };
    hidden(&b);
    let late = lend(&a, &b, Level::Window, TimeRange::inclusive(DAY, DAY + HOUR - 1).unwrap());
    assert_eq!((late.taken, late.left_out), (0, 1), "the lender does not know of the delete");
    drop(b);
    let b = open(&disk);
    b.compact().unwrap();
    assert!(b.check(|_, _| true).unwrap().is_clean());
    b.delete(&Delete::collection(&name())).unwrap();
    assert_eq!((borrowed(&b), hours(&b, 0, 4 * DAY)), (0, String::new()));
    b.compact().unwrap();
    assert!(!b.tiers().iter().any(|tier| tier.borrowed), "{:?}", b.tiers());
}

#[test]
fn what_is_borrowed_is_reopened_backed_up_recovered_and_dropped_with_its_group() {
    let disk = SimDisk::new();
    let (a, b) = (open(&SimDisk::new()), open(&disk));
    fill(&a, 0..3);
    knows(&b);
    let taken = lend(&a, &b, Level::Window, WHOLE).taken;
    let (found, _) = ask(&b, 0, 3 * DAY, Unit::Hour);
    b.check(|_, _| true).unwrap();
    b.close().unwrap();
    let open_options = crate::settled::options();
    let report = recover_on(Arc::new(disk.clone()), &open_options, |_, _| true).unwrap();
    assert!(!report.manifest_replaced && report.quarantined.is_empty(), "{report:?}");
    let b = open(&disk);
    assert_eq!((borrowed(&b), &ask(&b, 0, 3 * DAY, Unit::Hour).0), (taken, &found));
    let copy = SimDisk::new();
    b.backup_to(Arc::new(copy.clone()), |_, _| true).unwrap();
    let copied = open(&copy);
    assert_eq!((borrowed(&copied), &ask(&copied, 0, 3 * DAY, Unit::Hour).0), (taken, &found));
    for group in GROUPS {
        let frozen = b.freeze_group(group).unwrap();
        b.drop_group(&frozen).unwrap();
        assert_eq!(b.borrowed(group).unwrap(), 0);
    }
    assert!(!b.tiers().iter().any(|tier| tier.borrowed));
}

#[test]
fn a_damaged_file_of_them_costs_what_was_lent_and_no_more() {
    let disk = SimDisk::new();
    let (a, b) = (open(&SimDisk::new()), open(&disk));
    fill(&a, 0..3);
    knows(&b);
    lend(&a, &b, Level::Window, WHOLE);
    let own = ask(&b, 20 * DAY, 21 * DAY, Unit::Hour).0;
    let rows = answer(&b, Query::new()).unwrap().0;
    b.close().unwrap();
    let leaves = disk.files().into_iter().map(|(path, _)| path);
    let leaves: Vec<String> = leaves.filter(|path| path.contains("/1h/")).collect();
    assert!(!leaves.is_empty());
    for path in leaves {
        let mut bytes = disk.contents(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        disk.put(&path, &bytes);
    }
    let b = open(&disk);
    assert_eq!(ask(&b, 20 * DAY, 21 * DAY, Unit::Hour).0, own);
    assert_eq!(answer(&b, Query::new()).unwrap().0, rows);
    let _ = ask(&b, 0, 3 * DAY, Unit::Hour);
    assert!(!b.check(|_, _| true).unwrap().is_clean());
    b.seal().unwrap();
    assert!(b.check(|_, _| true).unwrap().is_clean(), "given up, to be lent again");
    assert_eq!(borrowed(&b), 0);
    lend(&a, &b, Level::Window, TimeRange::inclusive(0, 3 * DAY - 1).unwrap());
    assert_eq!(ask(&b, 0, 3 * DAY, Unit::Hour).0, ask(&a, 0, 3 * DAY, Unit::Hour).0);
}

#[test]
fn rollups_that_are_forged_or_do_not_fit_are_refused() {
    let (a, b) = (open(&SimDisk::new()), open(&SimDisk::new()));
    fill(&a, 0..2);
    let good = lent(&a, GROUPS[0], Level::Window, WHOLE, 500);
    let refused = |bytes: &[Vec<u8>]| b.borrow(GROUPS[0], &name(), bytes).unwrap_err();
    assert!(matches!(refused(&good), RollupError::Schema { .. }), "nothing is known of it yet");
    put(&b, "pump_0", 20 * DAY, 1.0);
    assert!(matches!(refused(&good), RollupError::Schema { .. }), "fields are not known");
    knows(&b);
    for at in [0, 1, 2, 5, 30, 70] {
        let mut bad = good.clone();
        bad[1][at] ^= 64;
        assert!(matches!(refused(&bad), RollupError::Malformed { .. }), "byte {at}");
    }
    assert_eq!(borrowed(&b), 0);
    assert!(lent(&a, GROUPS[0], Level::Root, WHOLE, 500).is_empty(), "no rollups of that level");
    b.borrow(GROUPS[0], &name(), &good).unwrap();
    assert_eq!(borrowed(&b), good.len() as u64);
}

#[test]
fn stored_nodes_that_lack_what_was_lent_or_what_came_late_are_passed_over() {
    let (a, b, c) = (open(&SimDisk::new()), open(&SimDisk::new()), open(&SimDisk::new()));
    let dense = |store: &Store, hours: i64| {
        let mut batch = tidelog_engine::Batch::new("plant.boiler").unwrap();
        for at in 0..hours * 120 {
            batch.push("pump_0", at * MINUTE / 2, [("f", (at % 13) as f64)]).unwrap();
        }
        store.write(&batch, tidelog_engine::Durability::Os).unwrap();
        store.seal().unwrap();
    };
    knows(&b);
    knows(&c);
    knows(&a);
    dense(&a, 48);
    dense(&b, 14);
    // Late for nodes of an hour, a day and a month that are stored: one row in a file, one in memory.
    put(&a, "pump_0", DAY + 3 * HOUR + 1, 50.0);
    a.flush().unwrap();
    put(&a, "pump_0", DAY + 5 * HOUR + 1, 70.0);
    let day = |day: i64| TimeRange::inclusive(day * DAY, (day + 1) * DAY - 1).unwrap();
    let taken = lend(&a, &b, Level::Window, day(0));
    assert_eq!((taken.taken, taken.left_out), (10, 14));
    // The day is stored here, of fourteen hours.
    for of in [Unit::Hour, Unit::Day, Unit::Month] {
        assert_eq!(ask(&b, 0, DAY, of).0, ask(&a, 0, DAY, of).0, "{of:?}");
    }
    lend(&a, &b, Level::Day, day(1));
    assert_eq!(ask(&b, DAY, 2 * DAY, Unit::Day).0, ask(&a, DAY, 2 * DAY, Unit::Day).0);
    lend(&a, &c, Level::Window, day(1));
    for of in [Unit::Hour, Unit::Day] {
        assert_eq!(ask(&c, DAY, 2 * DAY, of).0, ask(&a, DAY, 2 * DAY, of).0, "{of:?}");
    }
}

#[test]
fn what_does_not_fit_is_told_of_one_window_as_of_many() {
    let a = open(&SimDisk::new());
    let mut batch = tidelog_engine::Batch::new("plant.boiler").unwrap();
    for device in 0..40 {
        batch.push(&format!("pump_{device}"), HOUR + device, [("f", 1.0)]).unwrap();
        batch.push(&format!("pump_{device}"), 30 * HOUR, [("f", 1.0)]).unwrap();
    }
    a.write(&batch, tidelog_engine::Durability::Os).unwrap();
    for (last, windows) in [(DAY, 1), (2 * DAY, 2)] {
        let of = TimeRange::inclusive(0, last - 1).unwrap();
        for bytes in [1, 300, 1_000, 1 << 20] {
            let count = |group: &GroupId| lent(&a, *group, Level::Day, of, bytes).len();
            let all: usize = GROUPS.iter().map(count).sum();
            assert_eq!(all, 40 * windows, "{bytes} bytes at once");
        }
    }
}
