//! A death at each call of giving up a group beside a write: the group is there whole or gone, but for what was written after it
//! was named; the other group stays; nothing comes back from the log, and what is left has the digests of its rows alone.

use crate::{long, report};
use tidelog_engine::{CollectionName, Durability, GroupId, Level, Store, TimeRange};
use tidelog_model::{Device, Placer, Value};
use tidelog_tests::disk::{SimDisk, sweep};
use tidelog_tests::generate::EPOCH;
use tidelog_tests::oracle::RowWrite;
use tidelog_tests::subject::{self, write};

const NAME: &str = "plant.boiler";
const HALF_MINUTE: i64 = 30_000_000_000;

/// Rows of an hour of each device.
fn rows(devices: &[String], hour: i64) -> Vec<RowWrite> {
    let row = |device: &String, at: i64| RowWrite {
        device: Device::named(device).unwrap(),
        time: EPOCH + (hour * 120 + at) * HALF_MINUTE,
        values: vec![("level".into(), Value::I64(at))],
    };
    devices.iter().flat_map(|device| (0..120).map(move |at| row(device, at))).collect()
}

/// Two devices of the first group, and two of the other one.
fn devices() -> [Vec<String>; 2] {
    let placer = Placer::new(&CollectionName::parse(NAME).unwrap());
    let group = |device: &String| placer.place(device).group(2);
    let of = |wanted: u32| {
        let all = (0..).map(|number| format!("pump_{number}"));
        all.filter(|device| group(device) == GroupId(wanted)).take(2).collect()
    };
    [of(0), of(1)]
}

/// Devices and times that are answered, and the root.
fn read(store: &Store) -> (Vec<String>, String) {
    let name = CollectionName::parse(NAME).unwrap();
    let answer = store.query(&name, tidelog_engine::Query::new()).unwrap().collect_rows().unwrap();
    let mut rows: Vec<String> = (0..answer.rows())
        .map(|row| {
            let device = &answer.devices[answer.row_devices[row] as usize];
            format!("{device} {}", answer.times[row])
        })
        .collect();
    rows.sort();
    let root = store.digests(&name, Level::Root, TimeRange::ALL).unwrap();
    (rows, format!("{:?}", root.first().map(|row| row.digest)))
}

/// What a store has that only these were ever written to.
fn expected(written: &[RowWrite]) -> (Vec<String>, String) {
    let disk = SimDisk::new();
    let store = subject::open(&disk, &subject::clock(9)).unwrap();
    write(&store, NAME, written, Durability::Sync).unwrap();
    read(&store)
}

/// What is swept: was the row that came meanwhile acknowledged, and did the group go?
fn work(disk: &SimDisk) -> (bool, bool) {
    let Ok(store) = subject::open(disk, &subject::clock(2)) else { return (false, false) };
    let [first, _] = devices();
    let frozen = store.freeze_group(GroupId(0));
    let written = write(&store, NAME, &rows(&first[..1], 5), Durability::Sync).is_ok();
    let dropped = frozen.is_ok_and(|frozen| store.drop_group(&frozen).is_ok());
    disk.kill();
    (written, dropped)
}

#[test]
fn a_group_goes_whole_or_not_at_all_and_what_came_meanwhile_stays() {
    let [first, other] = devices();
    let start = SimDisk::new();
    let store = subject::open(&start, &subject::clock(1)).unwrap();
    // Sealed files, a file that is not, and rows that are in memory and the log alone.
    for hour in 0..2 {
        let both = [rows(&first, hour), rows(&other, hour)].concat();
        write(&store, NAME, &both, Durability::Sync).unwrap();
        if hour == 0 {
            store.seal().unwrap();
        }
        store.flush().unwrap();
    }
    write(&store, NAME, &[rows(&first, 2), rows(&other, 2)].concat(), Durability::Sync).unwrap();
    drop(store);
    start.kill();
    let start = start.restart();

    let of = |devices: &[String]| (0..3).flat_map(|hour| rows(devices, hour)).collect::<Vec<_>>();
    let (late, stays) = (rows(&first[..1], 5), of(&other));
    let whole = expected(&[of(&first), stays.clone()].concat());
    let whole_and_late = expected(&[of(&first), stays.clone(), late.clone()].concat());
    let gone_and_late = expected(&[stays, late].concat());
    let limit = if long() { 64 } else { 8 };
    let swept = sweep(&start, limit, work, |disk, (written, dropped)| {
        let store = subject::open(disk, &subject::clock(3)).unwrap();
        let found = read(&store);
        if *dropped {
            assert_eq!(found, gone_and_late);
        } else if *written {
            assert!(found == whole_and_late || found == gone_and_late, "{found:?}");
        } else {
            assert!(found == whole || found == whole_and_late, "{found:?}");
        }
        // What is left of the pyramid says the same, and so does what is made anew.
        store.seal().unwrap();
        assert_eq!(read(&store), found);
        assert_eq!(store.check(|_, _| true).unwrap().findings, []);
        write(&store, NAME, &rows(&first, 0), Durability::Sync).unwrap();
        assert!(read(&store).0.len() >= found.0.len(), "writes go on");
    });
    report("giving up a group", swept);
}

#[test]
fn files_that_were_merged_since_they_were_named_stay() {
    let disk = SimDisk::new();
    let store = subject::open(&disk, &subject::clock(4)).unwrap();
    let [first, _] = devices();
    for hour in 0..2 {
        write(&store, NAME, &rows(&first, hour), Durability::Sync).unwrap();
        store.flush().unwrap();
    }
    let frozen = store.freeze_group(GroupId(0)).unwrap();
    assert_eq!(frozen.rows(), 480);
    store.compact().unwrap();
    let refused = store.drop_group(&frozen);
    assert!(matches!(refused, Err(tidelog_engine::DropGroupError::Changed { .. })), "{refused:?}");
    assert_eq!(read(&store).0.len(), 480);
    assert!(matches!(
        store.freeze_group(GroupId(99)),
        Err(tidelog_engine::DropGroupError::Unknown { .. })
    ));
    store.drop_group(&store.freeze_group(GroupId(0)).unwrap()).unwrap();
    assert_eq!(read(&store), (Vec::new(), "None".to_owned()));
    assert!(store.freeze_group(GroupId(0)).unwrap().is_empty());
}
