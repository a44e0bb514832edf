//! Every bit of the pyramid's files of a sealed, closed store is flipped, one at a time: a check names the file,
//! answers are those of rows all the same, and sealing makes the nodes anew, bit for bit.

use crate::sample::options;
use crate::{note, step};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Durability, Every, Explain, GroupBy, Level, Query,
    QueryError, Store, TimeRange, Timestamp, Unit,
};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::generate::EPOCH;
use tidelog_tests::lines::lines_of;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

/// A device for each tier, whose nodes of it are stored and finer ones are not: 64 rows or more, over 12 windows of
/// the tier below or more.
fn fill(store: &Store) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    let mut push = |device: &str, window: i64, row: i64| {
        let values = [("level", (window * 7 + row) as f64 / 8.0), ("flow", (row % 3) as f64)];
        batch.push(device, EPOCH + window + row * SECOND, values).unwrap();
    };
    for window in 0..14 {
        (0..6).for_each(|row| push("yearly", window * 31 * 24 * HOUR, row));
        (0..6).for_each(|row| push("monthly", window * 24 * HOUR, row));
        (0..6).for_each(|row| push("daily", window * HOUR, row));
    }
    (0..72).for_each(|row| push("hourly", 0, row));
    store.write(&batch, Durability::Sync).unwrap();
}

/// Answers that nodes give where they can. Any error is wrong: rows are whole.
fn answers(store: &Store) -> Result<(Vec<String>, Explain), QueryError> {
    let calendar =
        |unit, zone: Option<&str>| Some(Every::Calendar { unit, zone: zone.map(str::to_owned) });
    let (mut all, mut touched) = (Vec::new(), Explain::default());
    for every in [
        None,
        calendar(Unit::Hour, Some("UTC")),
        calendar(Unit::Day, None),
        calendar(Unit::Month, None),
        calendar(Unit::Week, Some("Asia/Kathmandu")),
        calendar(Unit::Year, None),
    ] {
        let aggregates = [Aggregate::Count, Aggregate::Mean, Aggregate::Min, Aggregate::Last];
        let mut query = Query::new().threads(1).aggregates(aggregates);
        match every {
            Some(every) => query = query.every(every),
            None => query = query.group_by(GroupBy::None).range(Some(Timestamp(EPOCH + 7)), None),
        }
        let mut answer = store.query(&name(), query)?;
        let fields = answer.fields().to_vec();
        for batch in answer.by_ref() {
            all.extend(lines_of(&fields, &batch?));
        }
        let more = answer.explain();
        touched.leaves += more.leaves;
        touched.days += more.days;
        touched.months += more.months;
        touched.years += more.years;
    }
    Ok((all, touched))
}

fn digests(store: &Store) -> Result<Vec<String>, QueryError> {
    let mut all = Vec::new();
    for level in [Level::Root, Level::Year, Level::Month, Level::Day, Level::Window, Level::Series]
    {
        let rows = store.digests(&name(), level, TimeRange::ALL)?;
        all.extend(rows.iter().map(|row| format!("{level} {row:?}")));
    }
    Ok(all)
}

/// The store and what it says; by a store without a pyramid, and by itself.
struct Sealed {
    disk: SimDisk,
    answers: Vec<String>,
    digests: Vec<String>,
}

fn sealed() -> Sealed {
    let plain = options().pyramid(false).open_on(Arc::new(SimDisk::new())).unwrap();
    fill(&plain);
    let disk = SimDisk::new();
    let store = options().open_on(Arc::new(disk.clone())).unwrap();
    fill(&store);
    store.seal().unwrap();
    let (answers_now, touched) = answers(&store).unwrap();
    assert!(touched.leaves * touched.days * touched.months * touched.years > 0, "{touched:?}");
    let sealed = Sealed {
        answers: answers(&plain).unwrap().0,
        digests: digests(&plain).unwrap(),
        disk: disk.clone(),
    };
    assert_eq!(
        (answers_now, digests(&store).unwrap()),
        (sealed.answers.clone(), sealed.digests.clone())
    );
    store.close().unwrap();
    sealed
}

/// What happens before the store is sealed.
#[derive(Clone, Copy, Debug)]
enum Before {
    Check,
    CheckAndQueries,
    Queries,
}

fn live_on(sealed: &Sealed, path: &str, place: u64, before: Before) -> Result<(), String> {
    let disk = sealed.disk.restart();
    disk.flip(path, place / 8, (place % 8) as u8);
    let opened = options().open_on(Arc::new(disk.clone()));
    let store = opened.map_err(|error| format!("opening: {error}"))?;
    let right = |when: &str| match answers(&store) {
        Ok((lines, _)) if lines == sealed.answers => Ok(()),
        Ok(_) => Err(format!("{when}: a wrong answer")),
        Err(error) => Err(format!("{when}: {error}")),
    };
    let findings = || store.check(|_, _| true).unwrap().findings;
    if !matches!(before, Before::Queries) {
        let found = findings();
        if found.is_empty() || found.iter().any(|finding| finding.path != path) {
            return Err(format!("a check finds {found:?}"));
        }
    }
    if !matches!(before, Before::Check) {
        right("damaged")?;
        match digests(&store) {
            Ok(lines) if lines != sealed.digests => return Err("wrong digests".into()),
            Err(error) if !error.to_string().contains(path) => {
                return Err(format!("digests: {error}"));
            }
            _ => {}
        }
    }
    store.seal().map_err(|error| format!("sealing: {error}"))?;
    right("sealed")?;
    match digests(&store) {
        Ok(lines) if lines == sealed.digests => {}
        other => return Err(format!("sealed, other digests: {:?}", other.err())),
    }
    // Without a check, damage that nobody met is still there.
    if !matches!(before, Before::Queries) && !findings().is_empty() {
        return Err(format!("sealed, a check finds {:?}", findings()));
    }
    Ok(())
}

#[test]
fn a_flipped_bit_of_a_node_is_named_harmless_and_healed_by_sealing() {
    let sealed = sealed();
    let nodes = sealed.disk.files().into_iter();
    let nodes: Vec<_> =
        nodes.filter(|(path, _)| path.contains("/1") && path.ends_with(".tide")).collect();
    assert!(
        ["/1h/", "/1d/", "/1mo/", "/1y/"]
            .iter()
            .all(|tier| nodes.iter().any(|(path, _)| path.contains(tier)))
    );
    let places = |(path, len): &(String, u64)| {
        let path = path.clone();
        (0..len * 8).step_by(step(61)).map(move |place| (path.clone(), place))
    };
    let all: Vec<_> = nodes.iter().flat_map(places).collect();
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for part in 0..2 {
            let (sealed, all, wrong) = (&sealed, &all, &wrong);
            scope.spawn(move || {
                for (number, (path, place)) in all.iter().enumerate().skip(part).step_by(2) {
                    let before =
                        [Before::Check, Before::CheckAndQueries, Before::Queries][number % 3];
                    let lived = || live_on(sealed, path, *place, before);
                    let why = match catch_unwind(AssertUnwindSafe(lived)) {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(_) => "a panic".into(),
                    };
                    wrong.lock().unwrap().push(format!("{path} bit {place}, {before:?}: {why}"));
                }
            });
        }
    });
    note(&format!("bits of nodes flipped: {} of {nodes:?}", all.len()));
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    let first = &wrong[..wrong.len().min(20)];
    assert!(wrong.is_empty(), "{} of {} went wrong:\n{}", wrong.len(), all.len(), first.join("\n"));
}
