//! A death at each call of writing, flushing, late rows, a delete and sealing, over a store that was sealed before:
//! what is left has the answers and digests of rows alone, and sealing it makes what was not published, and no more.

use crate::{long, report};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::{
    Aggregate, CollectionName, Durability, Every, Level, Query as Asked, Store, Unit,
};
use tidelog_model::{
    Device, DeviceSelector, GroupId, Stamp, StoreId, TimeRange, Timestamp, Value, Version,
};
use tidelog_tests::disk::{SimDisk, sweep};
use tidelog_tests::generate::EPOCH;
use tidelog_tests::lines::lines;
use tidelog_tests::oracle::{Delete, Oracle, Query, RowWrite};
use tidelog_tests::subject::{self, delete_of, whole_answer, write};

const NAME: &str = "plant.boiler";
const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;
/// Two in one group and one in the other.
const DEVICES: [&str; 3] = ["pump_1", "pump_2", "valve"];

/// What changes rows, in order; all of it acknowledged as durable.
#[derive(Clone)]
enum Event {
    Write(Vec<RowWrite>),
    Delete(Delete),
}

/// A row every half minute: 120 to a leaf, so that leaves are stored.
fn rows(device: &str, from: i64, to: i64, salt: f64) -> Vec<RowWrite> {
    let device = Device::named(device).unwrap();
    let row = |time: i64| RowWrite {
        device: device.clone(),
        time: EPOCH + time,
        values: vec![
            ("level".into(), Value::F64((time / MINUTE) as f64 / 8.0 + salt)),
            ("count".into(), Value::I64(time / MINUTE)),
        ],
    };
    (from..to).step_by(30_000_000_000).map(row).collect()
}

/// Three hours of each device: what is sealed before anything dies.
fn base() -> Event {
    Event::Write(DEVICES.iter().flat_map(|device| rows(device, 0, 3 * HOUR, 0.0)).collect())
}

/// The fourth hour of each; late rows, new ones and overwritten ones, in two leaves; half an hour of one device gone,
/// over the border of two leaves.
fn events() -> [Event; 3] {
    let fourth = DEVICES.iter().flat_map(|device| rows(device, 3 * HOUR, 4 * HOUR, 0.5));
    let mut late = rows("pump_1", 10 * MINUTE + 1, 12 * MINUTE, 7.0);
    late.extend(rows("valve", 2 * HOUR, 2 * HOUR + MINUTE, 9.0));
    let (from, to) = (EPOCH + HOUR - 15 * MINUTE, EPOCH + HOUR + 15 * MINUTE);
    let delete = Delete {
        devices: DeviceSelector::one(Device::named("pump_2").unwrap()),
        fields: None,
        range: TimeRange::new(Some(Timestamp(from)), Some(Timestamp(to))).unwrap(),
    };
    [Event::Write(fourth.collect()), Event::Write(late), Event::Delete(delete)]
}

/// `true` when it was acknowledged.
fn apply(store: &Store, event: &Event) -> bool {
    match event {
        Event::Write(rows) => write(store, NAME, rows, Durability::Sync).is_ok(),
        Event::Delete(delete) => store.delete(&delete_of(NAME, false, delete).unwrap()).is_ok(),
    }
}

/// What is swept: how many events were acknowledged, and whether sealing all of them said that it was done.
fn work(disk: &SimDisk) -> (usize, bool) {
    let Ok(store) = subject::open(disk, &subject::clock(2)) else { return (0, false) };
    let mut acknowledged = 0;
    for (event, flush) in events().iter().zip([true, false, false]) {
        acknowledged += usize::from(apply(&store, event));
        if flush {
            let _ = store.flush();
        }
    }
    // What does not get as far as memory leaves nothing to be done.
    let sealed = store.seal().is_ok() && acknowledged == 3;
    disk.kill();
    (acknowledged, sealed)
}

/// Leaves that events reach, by group, worked out from their rows: all of them, and those under deletes.
fn reached(events: &[Event], group: impl Fn(&str) -> GroupId) -> [BTreeMap<GroupId, u64>; 2] {
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    let leaf = |time: i64| time.div_euclid(HOUR);
    for event in events {
        match event {
            Event::Write(rows) => {
                found[0].extend(
                    rows.iter().map(|row| (row.device.as_str().to_owned(), leaf(row.time))),
                );
            }
            Event::Delete(delete) => {
                let device = delete.devices.devices.as_ref().unwrap()[0].as_str();
                let ends = [delete.range.first(), delete.range.last()];
                found.iter_mut().for_each(|all| {
                    all.extend(ends.map(|time| (device.to_owned(), leaf(time))));
                });
            }
        }
    }
    found.map(|leaves| {
        let mut by_group = BTreeMap::new();
        leaves.iter().for_each(|(device, _)| *by_group.entry(group(device)).or_default() += 1);
        by_group
    })
}

/// Digests of all levels, and answers that nodes can give.
fn read(store: &Store) -> Vec<String> {
    let name = CollectionName::parse(NAME).unwrap();
    let mut all = Vec::new();
    for level in [Level::Root, Level::Year, Level::Month, Level::Day, Level::Window, Level::Series]
    {
        let digests = store.digests(&name, level, TimeRange::ALL).unwrap();
        all.extend(digests.iter().map(|digest| format!("{level} {digest:?}")));
    }
    for every in [
        None,
        Some(Every::Duration(Duration::from_secs(3600))),
        Some(Every::Calendar { unit: Unit::Day, zone: None }),
        Some(Every::Calendar { unit: Unit::Month, zone: Some("Asia/Kathmandu".into()) }),
    ] {
        let mut query = Asked::new().threads(1).aggregates([
            Aggregate::Count,
            Aggregate::Mean,
            Aggregate::Min,
            Aggregate::Max,
            Aggregate::First,
            Aggregate::Last,
        ]);
        if let Some(every) = every {
            query = query.every(every);
        }
        all.extend(lines(store, &name, query).unwrap());
    }
    all
}

/// Rows by the oracle; digests and answers by a store without a pyramid that never died.
fn expected(events: &[Event]) -> (Vec<tidelog_tests::oracle::RowRead>, Vec<String>) {
    let mut oracle = Oracle::new();
    let options = subject::options(&subject::clock(5)).pyramid(false);
    let store = options.open_on(Arc::new(SimDisk::new())).unwrap();
    for (number, event) in (1..).zip(std::iter::once(&base()).chain(events)) {
        assert!(apply(&store, event));
        let version = Version { stamp: Stamp(number), origin: StoreId([0; 16]) };
        match event {
            Event::Write(rows) => oracle.write(version, rows),
            Event::Delete(delete) => oracle.delete(version, delete.clone()),
        }
    }
    (oracle.rows(&Query::all()), read(&store))
}

/// The leaf files of a group. Opening has swept what no manifest lists.
fn leaf_files(disk: &SimDisk, group: GroupId) -> BTreeSet<String> {
    let prefix = format!("group-{:04}/1h/", group.0);
    let paths = disk.files().into_iter().map(|(path, _)| path);
    paths.filter(|path| path.starts_with(&prefix)).collect()
}

#[test]
fn sealing() {
    let start = SimDisk::new();
    let store = subject::open(&start, &subject::clock(1)).unwrap();
    assert!(apply(&store, &base()));
    store.seal().unwrap();
    let name = CollectionName::parse(NAME).unwrap();
    let group = |device: &str| store.group_of(&name, &Device::named(device).unwrap());
    let groups = [GroupId(0), GroupId(1)];
    assert_eq!(DEVICES.map(group).iter().copied().collect::<BTreeSet<_>>().len(), 2);
    store.close().unwrap();
    let start = start.restart();
    let before = groups.map(|group| leaf_files(&start, group));
    let by_end: Vec<_> = (0..=3).map(|end| expected(&events()[..end])).collect();
    let leaves: Vec<_> = (0..=3).map(|end| reached(&events()[..end], group)).collect();
    // By the groups that were published before the death: what sealing made after it.
    let seen: RefCell<BTreeMap<_, BTreeSet<u64>>> = RefCell::default();
    // Deaths at calls that only read leave the same disk again and again.
    let distinct: RefCell<BTreeSet<_>> = RefCell::default();
    let done =
        sweep(&start, if long() { 256 } else { 10 }, work, |disk, (acknowledged, sealed)| {
            let contents = disk.files().into_iter().map(|(path, _)| (disk.contents(&path), path));
            if !distinct.borrow_mut().insert((contents.collect::<Vec<_>>(), *acknowledged, *sealed))
            {
                return;
            }
            let disk = disk.restart();
            let store = subject::open(&disk, &subject::clock(3)).unwrap();
            assert!(store.open_report().is_clean(), "{:?}", store.open_report());
            let rows = whole_answer(&store, NAME).unwrap();
            let end = (*acknowledged..=3).find(|end| by_end[*end].0 == rows);
            let end = end.unwrap_or_else(|| panic!("not what {acknowledged} or more events leave"));
            assert_eq!(read(&store), by_end[end].1, "reopened, after {end} events");
            let published = [0, 1].map(|at| leaf_files(&disk, groups[at]) != before[at]);
            let again = store.seal().unwrap().leaves;
            let [all, deleted] = &leaves[end];
            let count =
                |of: &BTreeMap<GroupId, u64>, group: GroupId| of.get(&group).copied().unwrap_or(0);
            let made = |published_too: u64| -> u64 {
                let of = |(group, published): (GroupId, bool)| {
                    if published {
                        count(deleted, group) * published_too
                    } else {
                        count(all, group)
                    }
                };
                groups.into_iter().zip(published).map(of).sum()
            };
            // That a delete is counted by all groups is an edit of its own, after theirs: until then what lies under it is
            // made again.
            let finished = published == [true, true];
            let right =
                if finished { again == made(0) || again == made(1) } else { again == made(1) };
            assert!(
                right,
                "{again} leaves made after {published:?} were published and {end} events"
            );
            assert!(
                !sealed || again == 0,
                "sealing said that it was done, and {again} leaves were left"
            );
            seen.borrow_mut().entry(published).or_default().insert(again);
            assert_eq!(read(&store), by_end[end].1, "sealed again, after {end} events");
            assert_eq!(whole_answer(&store, NAME).unwrap(), rows);
            let nothing = store.seal().unwrap();
            assert_eq!((nothing.leaves, nothing.parents, nothing.windows), (0, 0, 0));
            assert_eq!(store.check(|_, _| true).unwrap().findings, []);
        });
    let seen = seen.into_inner();
    report(
        "seal",
        format!(
            "{done}, {} distinct; leaves made by groups published {seen:?}",
            distinct.borrow().len()
        ),
    );
    let [all, _] = &leaves[3];
    assert!(seen[&[false, false]].contains(&all.values().sum()), "died before any edit");
    assert!(seen.contains_key(&[true, false]), "died between the groups");
    assert!(seen[&[true, true]].contains(&0), "died after the last edit");
}
