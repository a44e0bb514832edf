//! The store that is damaged: a few devices, all types, a dense and a fast file in each of two groups, a
//! tombstone, and a log with three writes and a delete. Cleanly closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::{
    Aggregate, Batch, CollectionName, Comparison, Delete, Device, DeviceSelector, Durability,
    Every, GroupBy, Options, Predicate, Query, QueryError, Store, TimeRange, Timestamp, Upkeep,
    Value,
};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::SimDisk;
use tidelog_tests::lines::{lines, lines_of};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const COLLECTIONS: [&str; 2] = ["plant.all", "plant.few"];
/// Writes and deletes that only the log holds.
const LOGGED: usize = 4;

/// A question and its answer, or what went wrong.
pub(crate) type Answers = BTreeMap<String, Result<Vec<String>, QueryError>>;
type Right = BTreeMap<String, Vec<String>>;

pub(crate) struct Sample {
    disk: SimDisk,
    /// The right answers.
    pub(crate) right: Right,
    /// The right answers if one record of the log were not there.
    pub(crate) without: Vec<Right>,
    /// The right answers if the log ended before one of its records.
    pub(crate) shorter: Vec<Right>,
    /// The group of each device.
    pub(crate) groups: BTreeMap<String, u32>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let (disk, right, groups) = build(&|_| true);
        let without = (0..LOGGED).map(|lost| build(&|record| record != lost).1).collect();
        let shorter = (0..LOGGED).map(|end| build(&|record| record < end).1).collect();
        Sample { disk, right, without, shorter, groups }
    }

    /// A copy to be damaged.
    pub(crate) fn disk(&self) -> SimDisk {
        self.disk.restart()
    }

    /// Files that have bytes.
    pub(crate) fn files(&self) -> Vec<(String, u64)> {
        self.disk.files().into_iter().filter(|(_, len)| *len > 0).collect()
    }

    pub(crate) fn len_of(&self, path: &str) -> u64 {
        self.files().into_iter().find(|(known, _)| known == path).map_or(0, |(_, len)| len)
    }
}

pub(crate) fn options() -> Options {
    let clock = SimClock::new(1_700_000_000_000, 7);
    let options = Options::new().groups(2).upkeep(Upkeep::Caller);
    options.clock(Arc::new(clock.clone())).entropy(Arc::new(clock))
}

fn collection(name: &str) -> CollectionName {
    CollectionName::parse(name).unwrap()
}

fn write(store: &Store, from: i64, rows: i64, salt: i64) {
    let mut batch = Batch::new(COLLECTIONS[0]).unwrap();
    for device in 0..4 {
        for row in from..from + rows {
            let n = row * 10 + device + salt;
            let text = ["", "on", "off", "fault 7"][n as usize % 4];
            let mut values = vec![
                ("f64", Value::F64(n as f64 / 10.0)),
                ("i64", Value::I64(-n)),
                ("string", Value::String(text.into())),
            ];
            if n % 3 != 0 {
                values.push(("f32", Value::F32(n as f32 / 4.0)));
                values.push(("u64", Value::U64(u64::MAX - n as u64)));
            }
            if n % 2 == 0 {
                values.push(("bool", Value::Bool(n % 4 == 0)));
                values.push(("bytes", Value::Bytes(vec![n as u8; n as usize % 3])));
            }
            let values = values.iter().map(|(name, value)| (*name, value.as_ref()));
            batch.push(&format!("pump_{device}"), row * SECOND, values).unwrap();
        }
    }
    store.write(&batch, Durability::Sync).unwrap();
}

fn write_few(store: &Store, from: i64, rows: i64) {
    let mut batch = Batch::new(COLLECTIONS[1]).unwrap();
    for row in from..from + rows {
        batch.push("cpu,host=a", row * SECOND, [("load", row as f64)]).unwrap();
        batch.push("cpu,host=b", row * SECOND, [("load", -row as f64)]).unwrap();
    }
    store.write(&batch, Durability::Sync).unwrap();
}

fn delete(store: &Store, device: &str, from: i64, to: i64) {
    let range = TimeRange::new(Some(Timestamp(from * SECOND)), Some(Timestamp(to * SECOND)));
    let one = DeviceSelector::one(Device::named(device).unwrap());
    let delete = Delete::collection(&collection(COLLECTIONS[0]));
    store.delete(&delete.devices(one).range(range.unwrap())).unwrap();
}

/// Makes the store, with those records of the log that are wanted.
fn build(wanted: &dyn Fn(usize) -> bool) -> (SimDisk, Right, BTreeMap<String, u32>) {
    let disk = SimDisk::new();
    let store = options().open_on(Arc::new(disk.clone())).unwrap();
    write(&store, 0, 20, 0);
    write(&store, 15, 10, 7);
    write_few(&store, 0, 12);
    store.compact().unwrap();
    write(&store, 24, 6, 2);
    delete(&store, "pump_1", 3, 6);
    store.flush().unwrap();
    if wanted(0) {
        write(&store, 28, 4, 5);
    }
    if wanted(1) {
        delete(&store, "pump_2", 10, 12);
    }
    if wanted(2) {
        write_few(&store, 12, 3);
    }
    if wanted(3) {
        write(&store, 40, 2, 0);
    }
    let right = ask(&store).into_iter().map(|(asked, answer)| (asked, answer.unwrap())).collect();
    let mut groups = BTreeMap::new();
    for (name, device) in devices() {
        let group = store.group_of(&collection(name), &Device::parse(&device).unwrap()).0;
        groups.insert(format!("{name} {device}"), group);
    }
    store.close().unwrap();
    drop(store);
    (disk, right, groups)
}

fn devices() -> Vec<(&'static str, String)> {
    let pumps = (0..4).map(|n| (COLLECTIONS[0], format!("pump_{n}")));
    pumps.chain(["a", "b"].map(|host| (COLLECTIONS[1], format!("cpu,host={host}")))).collect()
}

/// All questions: each device alone, and all together in the ways that read files differently.
pub(crate) fn ask(store: &Store) -> Answers {
    let mut answers = Answers::new();
    for (name, device) in devices() {
        let query = Query::new().devices(DeviceSelector::one(Device::parse(&device).unwrap()));
        answers.insert(format!("{name} {device}"), lines(store, &collection(name), query));
    }
    for name in COLLECTIONS {
        let name = collection(name);
        let field = if name == collection(COLLECTIONS[0]) { "f64" } else { "load" };
        let aggregates = [Aggregate::Count, Aggregate::Max, Aggregate::Mean, Aggregate::Last];
        let windows = Query::new().fields([field]).every(Every::Duration(Duration::from_secs(10)));
        let windows = windows.aggregates(aggregates).group_by(GroupBy::None).threads(1);
        answers.insert(format!("windows of {name}"), lines(store, &name, windows));
        let (field, comparison) = (field.to_owned(), Comparison::Greater);
        let high = Query::new().filter(Predicate { field, comparison, value: Value::F64(25.0) });
        answers.insert(format!("high in {name}"), lines(store, &name, high.threads(1)));
        let range = Query::new().range(Some(Timestamp(16 * SECOND)), Some(Timestamp(30 * SECOND)));
        answers.insert(format!("some of {name}"), lines(store, &name, range.threads(1)));
        let latest = store.latest(&name, Query::new());
        let latest = latest.map(|(fields, batch)| lines_of(&fields, &batch));
        answers.insert(format!("latest of {name}"), latest);
    }
    answers
}
