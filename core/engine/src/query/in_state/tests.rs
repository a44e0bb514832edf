//! The time in states against a slow, obvious twin, from rows and from nodes.

use super::super::spec::{Comparison, Every, GroupBy, Predicate};
use crate::{
    Aggregate, Batch, CollectionName, Delete, Device, DeviceSelector, Durability, FieldType,
    Options, Query, QueryError, RowBatch, Store, TimeRange, Timestamp, Upkeep, Value, ValueRef,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const NAME: &str = "plant.boiler";
const MINUTE: i64 = 60_000_000_000;

fn name() -> CollectionName {
    CollectionName::parse(NAME).unwrap()
}

fn store(path: &std::path::Path) -> Store {
    Options::new().upkeep(Upkeep::Caller).open(path).unwrap()
}

/// So close that an hour has a stored node.
const STEP: i64 = MINUTE / 2;

/// Rows that all have one state; of some fields only every other row.
#[derive(Clone, Debug)]
struct Stretch {
    device: usize,
    /// In minutes.
    start: i64,
    rows: i64,
    state: u8,
    sparse: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Write(Stretch),
    Delete(i64, i64),
    Flush,
    Seal,
}

const DEVICES: [&str; 2] = ["a", "b"];

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let stretch =
        (0usize..2, 0i64..4000, prop_oneof![1i64..30, 200i64..3000], 0u8..3, any::<bool>())
            .prop_map(|(device, start, rows, state, sparse)| {
                Op::Write(Stretch { device, start, rows, state, sparse })
            });
    let op = prop_oneof![
        6 => stretch,
        1 => (0i64..4000, 1i64..400).prop_map(|(from, minutes)| Op::Delete(from, minutes)),
        3 => Just(Op::Flush),
        3 => Just(Op::Seal),
    ];
    proptest::collection::vec(op, 3..14)
}

fn apply(store: &Store, op: &Op) {
    match op {
        Op::Write(stretch) => {
            let mut batch = Batch::new(NAME).unwrap();
            for row in 0..stretch.rows {
                let state = ["on", "off", ""][usize::from(stretch.state)];
                let all = [
                    ("state", ValueRef::String(state)),
                    ("open", ValueRef::Bool(stretch.state == 1)),
                    ("mode", ValueRef::I64(i64::from(stretch.state) - 1)),
                    ("temp", ValueRef::F64(row as f64)),
                ];
                let some = if stretch.sparse && row % 2 == 1 { &all[2..] } else { &all[..] };
                let time = stretch.start * MINUTE + row * STEP;
                batch.push(DEVICES[stretch.device], time, some.to_vec()).unwrap();
            }
            store.write(&batch, Durability::Os).unwrap();
        }
        Op::Delete(from, minutes) => {
            let to = (from + minutes) * MINUTE;
            let range = TimeRange::new(Some(Timestamp(from * MINUTE)), Some(Timestamp(to)));
            // Nobody may have written yet.
            let _ = store.delete(&Delete::collection(&name()).range(range.unwrap()));
        }
        Op::Flush => store.flush().unwrap(),
        Op::Seal => drop(store.seal().unwrap()),
    }
}

/// A question: minutes of a window, a range, and whether rows are filtered.
#[derive(Clone, Debug)]
struct Asked {
    width: Option<i64>,
    from: Option<i64>,
    to: Option<i64>,
    filtered: bool,
}

fn asked() -> impl Strategy<Value = Asked> {
    let width = proptest::sample::select(vec![None, Some(7), Some(60), Some(1440)]);
    let from = prop_oneof![Just(None), (0i64..3000).prop_map(Some)];
    let to = prop_oneof![Just(None), (3000i64..9000).prop_map(Some)];
    (width, from, to, proptest::bool::weighted(0.2)).prop_map(|(width, from, to, filtered)| Asked {
        width,
        from,
        to,
        filtered,
    })
}

impl Asked {
    fn narrow(&self) -> Query {
        let time = |minute: Option<i64>| minute.map(|minute| Timestamp(minute * MINUTE + 17));
        let query = Query::new().range(time(self.from), time(self.to));
        let predicate = Predicate {
            field: "temp".into(),
            comparison: Comparison::Less,
            value: Value::F64(100.0),
        };
        if self.filtered { query.filter(predicate) } else { query }
    }

    fn windows(&self) -> Query {
        let width = |width: i64| Duration::from_secs(u64::try_from(width).unwrap() * 60);
        match self.width {
            Some(minutes) => self.narrow().every(Every::Duration(width(minutes))),
            None => self.narrow(),
        }
    }

    /// Where the window of a time begins and ends.
    fn window(&self, time: i64) -> (i64, i64) {
        match self.width {
            Some(minutes) => {
                let start = time.div_euclid(minutes * MINUTE) * minutes * MINUTE;
                (start, start + minutes * MINUTE)
            }
            None => (i64::MIN, i64::MAX),
        }
    }
}

const STATES: [(&str, &str, ValueRef<'static>); 4] = [
    ("state", "state_in_on", ValueRef::String("on")),
    ("state", "state_in_", ValueRef::String("")),
    ("open", "open_in_true", ValueRef::Bool(true)),
    ("mode", "mode_in_-1", ValueRef::I64(-1)),
];

/// By window of one device: how long each state held.
type Told = BTreeMap<i64, [Option<i64>; STATES.len()]>;

/// Rows alone, and a loop over every window between two values.
fn naive(store: &Store, asked: &Asked, device: &str) -> Told {
    let mut told = Told::new();
    for (at, (field, _, state)) in STATES.iter().enumerate() {
        let one = DeviceSelector::one(Device::parse(device).unwrap());
        let query = asked.narrow().devices(one).fields([*field]);
        let rows = store.query(&name(), query).unwrap().collect_rows().unwrap();
        let values: Vec<(i64, bool)> = (0..rows.rows())
            .map(|row| (rows.times[row], rows.columns[0].at(row).unwrap() == *state))
            .collect();
        for (number, (time, holds)) in values.iter().enumerate() {
            let end = asked.to.map_or(*time, |to| to * MINUTE + 17);
            let end = values.get(number + 1).map_or(end, |next| next.0);
            let mut start = *time;
            loop {
                let (from, to) = asked.window(start);
                let part = if *holds { end.min(to) - start } else { 0 };
                *told.entry(from).or_default()[at].get_or_insert(0) += part;
                if to >= end {
                    break;
                }
                start = to;
            }
        }
    }
    told
}

fn column(rows: &RowBatch, at: usize, row: usize) -> Option<i64> {
    match rows.columns[at].at(row) {
        None => None,
        Some(ValueRef::I64(value)) => Some(value),
        Some(other) => panic!("{other:?}"),
    }
}

fn with_states(query: Query) -> Query {
    STATES.iter().fold(query, |query, (field, _, state)| query.time_in_state(*field, *state))
}

fn check(store: &Store, asked: &Asked) -> Result<(), TestCaseError> {
    let answer = store.query(&name(), with_states(asked.windows())).unwrap();
    let names: Vec<String> = answer.fields().iter().map(|field| field.name.clone()).collect();
    prop_assert_eq!(names, STATES.map(|state| state.1));
    let rows = answer.collect_rows().unwrap();
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    for row in 0..rows.rows() {
        let window = if asked.width.is_some() { rows.times[row] } else { i64::MIN };
        let states = std::array::from_fn(|at| column(&rows, at, row));
        let of_device = told.entry(rows.device(row).unwrap().to_string()).or_default();
        prop_assert!(of_device.insert(window, states).is_none(), "a window comes once");
    }
    let mut expected: BTreeMap<String, Told> = BTreeMap::new();
    for device in DEVICES {
        let of_device = naive(store, asked, device);
        if !of_device.is_empty() {
            expected.insert(device.to_owned(), of_device);
        }
    }
    prop_assert_eq!(&told, &expected);
    // Beside aggregates: the same, and all devices together add up.
    let beside = with_states(asked.windows().aggregates([Aggregate::Count]).fields(["temp"]));
    let rows = store.query(&name(), beside.group_by(GroupBy::None)).unwrap();
    let rows = rows.collect_rows().unwrap();
    let mut sums = Told::new();
    for (window, states) in expected.values().flatten() {
        let sums = sums.entry(*window).or_default();
        for (sum, state) in sums.iter_mut().zip(states) {
            *sum = sum.map_or(*state, |sum| Some(sum + state.unwrap_or(0)));
        }
    }
    for row in 0..rows.rows() {
        let window = if asked.width.is_some() { rows.times[row] } else { i64::MIN };
        let states = std::array::from_fn(|at| column(&rows, at + 1, row));
        prop_assert_eq!(states, sums.remove(&window).unwrap_or_default());
    }
    prop_assert!(sums.is_empty(), "a window is missing: {:?}", sums);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn states_last_as_long_as_rows_say(
        ops in ops(),
        asked in proptest::collection::vec(asked(), 3..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let begin = Stretch { device: 0, start: 0, rows: 3, state: 0, sparse: false };
        apply(&store, &Op::Write(begin));
        ops.iter().for_each(|op| apply(&store, op));
        for asked in &asked {
            check(&store, asked)?;
        }
        store.flush().unwrap();
        store.seal().unwrap();
        for asked in &asked {
            check(&store, asked)?;
        }
    }
}

#[test]
fn nodes_without_a_change_spare_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    // Ten days on, ten off; the change stands in the middle of an hour.
    let half = 10 * 1440 + 720 + 30;
    for (start, state) in [(0, 0), (half, 1)] {
        let rows = half * MINUTE / STEP;
        apply(&store, &Op::Write(Stretch { device: 0, start, rows, state, sparse: false }));
    }
    store.flush().unwrap();
    store.seal().unwrap();
    for (field, value) in [("state", ValueRef::String("on")), ("mode", ValueRef::I64(-1))] {
        let every = Every::Duration(Duration::from_secs(86_400));
        let query = Query::new().every(every).time_in_state(field, value);
        let mut answer = store.query(&name(), query).unwrap();
        let rows: Vec<RowBatch> = answer.by_ref().map(Result::unwrap).collect();
        let day = 1440 * MINUTE;
        let held: Vec<i64> = (0..21).map(|row| column(&rows[0], 0, row).unwrap()).collect();
        let expected =
            |at: i64| [day, day / 2 + 30 * MINUTE, 0][usize::from(at >= 10) + usize::from(at > 10)];
        assert_eq!(held, (0..21).map(expected).collect::<Vec<_>>());
        let explain = answer.explain();
        // Rows are read of the hour of the change alone, by whole pages.
        let found = (explain.days, explain.leaves, explain.rows <= 2 * 1024);
        assert_eq!(found, (20, 24, true), "{field}: {explain}");
    }
}

/// A page that is needed behind a node reaches into it, while the newer page beside it was left out for the node:
/// alone, the older rows looked visible.
#[test]
fn rows_that_lost_do_not_come_back_from_under_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let write = |start, rows, state| {
        apply(&store, &Op::Write(Stretch { device: 0, start, rows, state, sparse: false }));
    };
    // Pages are of eight hours here: the third of the older file leads over midnight.
    write(60, 2 * 1440 + 400, 1);
    store.flush().unwrap();
    write(60, 2 * (1440 - 60), 0);
    store.flush().unwrap();
    store.seal().unwrap();
    write(1450, 1, 1);
    let all = Asked { width: Some(60), from: None, to: None, filtered: false };
    check(&store, &all).unwrap();
}

#[test]
fn what_is_no_state_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    apply(&store, &Op::Write(Stretch { device: 0, start: 0, rows: 9, state: 0, sparse: false }));
    let refused = |query: Query| store.query(&name(), query).unwrap_err();
    let float = refused(Query::new().time_in_state("temp", 1.0));
    assert!(matches!(float, QueryError::NotAState { kind: FieldType::F64, .. }), "{float}");
    let text = refused(Query::new().time_in_state("open", "on"));
    assert!(matches!(text, QueryError::NotComparable { .. }), "{text}");
    let none = refused(Query::new().time_in_state("none", "on"));
    assert!(matches!(none, QueryError::NoField { .. }), "{none}");
    // A state that is asked for twice is told once; a number may be of another type.
    let twice = Query::new().time_in_state("mode", -1i64).time_in_state("mode", -1i64);
    assert_eq!(store.query(&name(), twice).unwrap().fields().len(), 1);
    let far = Some(Timestamp(i64::MAX - 1));
    let narrow = Query::new().range(None, far).every(Every::Duration(Duration::from_secs(1)));
    let many = store.query(&name(), narrow.time_in_state("mode", 0u64)).unwrap().collect_rows();
    assert!(matches!(many, Err(QueryError::TooManyWindows { .. })));
}

#[test]
fn a_cancelled_query_stops_reading_states() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    apply(&store, &Op::Write(Stretch { device: 0, start: 0, rows: 9, state: 0, sparse: false }));
    let mut answer = store.query(&name(), Query::new().time_in_state("state", "on")).unwrap();
    answer.canceller().cancel();
    assert!(matches!(answer.next(), Some(Err(QueryError::Cancelled))));
}
