//! A death at each call of setting a damaged file aside, of taking back what it lacked, and of dropping it: whatever is left
//! goes on from there, and until it is healed no answer passes over what is lacking.

use crate::{long, report};
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Durability, Every, Level, Query, QueryError, Store, Unit,
};
use tidelog_model::TimeRange;
use tidelog_tests::disk::{SimDisk, sweep};
use tidelog_tests::generate::EPOCH;
use tidelog_tests::lines::lines;
use tidelog_tests::subject;

const NAME: &str = "plant.boiler";
const SECOND: i64 = 1_000_000_000;
const ROWS: i64 = 3_000;

fn name() -> CollectionName {
    CollectionName::parse(NAME).unwrap()
}

/// The same rows each time, as a peer would send them back; `false` when the disk died.
fn write(store: &Store) -> bool {
    let mut batch = Batch::new(NAME).unwrap();
    for row in 0..ROWS {
        batch.push("pump_1", EPOCH + row * 10 * SECOND, [("level", row as f64 / 8.0)]).unwrap();
    }
    store.write(&batch, Durability::Sync).is_ok()
}

/// Answers of rows and of nodes.
fn answers(store: &Store) -> Result<Vec<String>, QueryError> {
    let day = Every::Calendar { unit: Unit::Day, zone: None };
    let mut all = lines(store, &name(), Query::new().threads(1))?;
    let sums = Query::new().threads(1).every(day).aggregates([Aggregate::Sum, Aggregate::Count]);
    all.extend(lines(store, &name(), sums)?);
    Ok(all)
}

fn root(store: &Store) -> Result<String, QueryError> {
    Ok(format!("{:?}", store.digests(&name(), Level::Root, TimeRange::ALL)?))
}

/// Sets aside, takes back, drops; how far that came.
fn heal(store: &Store) -> usize {
    if store.set_damage_aside(true, |_, _| true).is_err() {
        return 0;
    }
    if !write(store) || store.flush().is_err() {
        return 1;
    }
    let dropped = store.aside().iter().all(|aside| store.drop_aside(aside).is_ok());
    2 + usize::from(dropped)
}

#[test]
fn setting_aside_and_healing() {
    let start = SimDisk::new();
    let store = subject::open(&start, &subject::clock(1)).unwrap();
    assert!(write(&store));
    store.seal().unwrap();
    let (right, whole) = (answers(&store).unwrap(), root(&store).unwrap());
    store.close().unwrap();
    let start = start.restart();
    let files = start.files().into_iter().filter(|(path, _)| path.contains("/raw/"));
    let (path, len) = files.max_by_key(|(_, len)| *len).unwrap();
    // In the values of a page, which sums need.
    start.flip(&path, len / 3, 5);
    let work = |disk: &SimDisk| {
        let Ok(store) = subject::open(disk, &subject::clock(2)) else { return 0 };
        let far = heal(&store);
        disk.kill();
        far
    };
    let seen = std::cell::RefCell::new([0u64; 3]);
    let done = sweep(&start, if long() { 256 } else { 6 }, work, |disk, far| {
        let disk = disk.restart();
        let store = subject::open(&disk, &subject::clock(3)).unwrap();
        let aside = store.aside().len();
        let listed = store.check(|_, _| true).unwrap().findings.iter().any(|one| one.path == path);
        assert_eq!(listed, *far < 3 && disk.contents(&path).is_some(), "after {far}");
        let found = answers(&store);
        match (listed, aside) {
            // Rows that were taken back lie beside what cannot be read: answers need both until it is dropped.
            (true, 0) => {
                assert!(found.is_err());
                seen.borrow_mut()[0] += 1;
            }
            (true, _) => {
                assert!(found.is_err() && root(&store).is_err());
                seen.borrow_mut()[1] += 1;
            }
            (false, _) => {
                assert_eq!((aside, found.unwrap()), (0, right.clone()));
                seen.borrow_mut()[2] += 1;
            }
        }
        assert_eq!(heal(&store), 3, "goes on from there");
        assert_eq!(answers(&store).unwrap(), right);
        assert_eq!(root(&store).unwrap(), whole);
        store.seal().unwrap();
        assert_eq!(answers(&store).unwrap(), right);
        assert_eq!(store.check(|_, _| true).unwrap().findings, []);
    });
    let seen = seen.into_inner();
    report("set aside and healed", format!("{done}; not yet, aside and healed {seen:?}"));
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
