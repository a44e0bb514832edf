//! The pyramid against rows: whatever was written, deleted, flushed, merged, sealed and reopened in whatever
//! order, stored nodes say what rows say, bit for bit.

mod background;
mod borrowed;
mod counts;
mod exchange;
mod fresh;
mod history;
mod ring;
mod settled;
mod settled_history;

use history::{Op, Subject, histories, name, windows};
use proptest::prelude::*;
use tidelog_engine::{Level, TimeRange};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn nodes_say_what_rows_say(history in histories(), first in 0usize..9) {
        let (kept, plain) = (Subject::new(true), Subject::new(false));
        let (mut kept, mut plain) = (kept, plain);
        for op in &history {
            kept.apply(op);
            // The other store gets the rows and deletes alone, and no upkeep at all.
            if matches!(op, Op::Write(_) | Op::Delete(_)) {
                plain.apply(op);
            }
        }
        // A part of the questions in each case, all of them over a few cases.
        let questions = || windows().into_iter().skip(first).step_by(9);
        for (what, query) in questions() {
            let (with, without) = (kept.ask(&query), plain.ask(&query));
            prop_assert_eq!(with, without, "{}", what);
        }
        for level in Level::ALL.into_iter().filter(|level| !matches!(level, Level::Outer | Level::Inner)) {
            let with = kept.store().digests(&name(), level, TimeRange::ALL).unwrap();
            let without = plain.store().digests(&name(), level, TimeRange::ALL).unwrap();
            prop_assert_eq!(with, without, "{}", level);
        }
        let report = kept.store().compare(plain.store(), &name(), |found| panic!("{found:?}"));
        prop_assert_eq!(report.unwrap().differences, 0);
        // Sealed to the end, nothing is left to be sealed, and all is as before.
        kept.store().seal().unwrap();
        let again = kept.store().seal().unwrap();
        prop_assert_eq!((again.leaves, again.parents, again.windows), (0, 0, 0));
        let (with, without) = (kept.root(), plain.root());
        prop_assert_eq!(with, without);
        for (what, query) in questions() {
            prop_assert_eq!(kept.ask(&query), plain.ask(&query), "sealed: {}", what);
        }
    }

    #[test]
    fn a_difference_is_found_where_it_is(history in histories(), pick in any::<prop::sample::Index>()) {
        let (mut a, mut b) = (Subject::new(true), Subject::new(true));
        for op in &history {
            a.apply(op);
            b.apply(op);
        }
        let rows = a.rows();
        prop_assume!(!rows.is_empty());
        let (device, time) = rows[pick.index(rows.len())].clone();
        b.overwrite(&device, time);
        b.store().seal().unwrap();
        let mut found = Vec::new();
        let report = a.store().compare(b.store(), &name(), |one| {
            found.push(one);
            true
        }).unwrap();
        prop_assert_eq!(found.len(), 1, "{:?}", found);
        prop_assert_eq!((&*found[0].device, found[0].window.contains(time)), (&*device, true));
        prop_assert_eq!((found[0].missing, found[0].extra, found[0].mismatched), (0, 0, 1));
        prop_assert!(report.roots.0 != report.roots.1);
        // And gone again when the row is deleted on both sides.
        a.remove(&device, time);
        b.remove(&device, time);
        let report = a.store().compare(b.store(), &name(), |found| panic!("{found:?}")).unwrap();
        prop_assert_eq!(report.differences, 0);
    }
}

fn cases() -> u32 {
    if std::env::var_os("TIDELOG_LONG").is_some() { 2_000 } else { 32 }
}
