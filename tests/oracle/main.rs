//! The oracle gives the answers that were worked out by hand, in any order of arrival.

use proptest::collection::vec;
use proptest::prelude::*;
use tidelog_model::{
    Batch, Device, DeviceSelector, FieldType, Stamp, StoreId, TimeRange, Value, Version,
};
use tidelog_tests::generate;
use tidelog_tests::oracle::{Delete, Oracle, Query, RowWrite, Sum};

fn version(stamp: u64) -> Version {
    Version { stamp: Stamp(stamp), origin: StoreId([1; 16]) }
}

fn write(device: &str, time: i64, values: &[(&str, Value)]) -> RowWrite {
    let values = values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    RowWrite { device: Device::parse(device).unwrap(), time, values }
}

fn delete(fields: Option<&[&str]>, first: i64, last: i64) -> Delete {
    Delete {
        devices: DeviceSelector::all(),
        fields: fields.map(|names| names.iter().map(ToString::to_string).collect()),
        range: TimeRange::inclusive(first, last).unwrap(),
    }
}

/// `device time a b` per row.
fn lines(oracle: &Oracle) -> Vec<String> {
    let query = Query { fields: Some(vec!["a".into(), "b".into()]), ..Query::all() };
    let text = |value: &Option<Value>| match value {
        Some(Value::I64(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => "-".into(),
    };
    let line = |row: &tidelog_tests::oracle::RowRead| {
        let values: Vec<_> = row.values.iter().map(text).collect();
        format!("{} {} {}", row.device, row.time, values.join(" "))
    };
    oracle.rows(&query).iter().map(line).collect()
}

#[test]
fn later_writes_win_cell_by_cell_and_absent_cells_are_left_alone() {
    let mut oracle = Oracle::new();
    oracle.write(
        version(1),
        &[
            write("d", 5, &[("a", Value::I64(1)), ("b", Value::I64(1))]),
            write("d", 5, &[("b", Value::I64(2))]),
            write("c", 9, &[]),
        ],
    );
    assert_eq!(lines(&oracle), ["c 9 - -", "d 5 1 2"]);
    oracle.write(version(3), &[write("d", 5, &[("a", Value::I64(3))])]);
    oracle.write(version(2), &[write("d", 5, &[("a", Value::I64(7)), ("b", Value::I64(7))])]);
    assert_eq!(
        lines(&oracle),
        ["c 9 - -", "d 5 3 7"],
        "the late batch is older for a, newer for b"
    );
    let with_values = oracle.rows_with_values(&Query::all());
    assert_eq!(with_values.len(), 1);
    assert!(!oracle.accepts(&[write("d", 1, &[("a", Value::F64(1.0))])]));
}

#[test]
fn under_one_version_the_greater_bytes_win() {
    for values in [[1, 2], [2, 1]] {
        let mut oracle = Oracle::new();
        for value in values {
            oracle.write(version(1), &[write("d", 5, &[("a", Value::I64(value))])]);
        }
        assert_eq!(lines(&oracle), ["d 5 2 -"]);
    }
}

#[test]
fn deletes_hide_what_is_not_newer() {
    let mut oracle = Oracle::new();
    let both = [("a", Value::I64(1)), ("b", Value::I64(1))];
    oracle.write(version(1), &[write("d", 1, &both), write("d", 2, &both), write("d", 3, &both)]);
    oracle.delete(version(5), delete(None, 1, 1));
    oracle.delete(version(5), delete(Some(&["a"]), 2, 2));
    assert_eq!(lines(&oracle), ["d 2 - 1", "d 3 1 1"]);
    oracle.write(version(5), &[write("d", 1, &[("a", Value::I64(5))])]);
    assert_eq!(lines(&oracle), ["d 2 - 1", "d 3 1 1"], "equal stamps: the delete wins");
    oracle.write(version(6), &[write("d", 1, &[("b", Value::I64(6))])]);
    assert_eq!(lines(&oracle), ["d 1 - 6", "d 2 - 1", "d 3 1 1"], "its past stays hidden");
    oracle.delete(version(7), delete(Some(&["a", "b"]), 1, 1));
    assert_eq!(lines(&oracle)[0], "d 1 - -", "the row is still there");
}

#[test]
fn windows_are_aligned_to_the_epoch_and_say_what_was_worked_out_by_hand() {
    let mut oracle = Oracle::new();
    let f = |value| [("f", Value::F64(value))];
    oracle.write(
        version(1),
        &[
            write("d", -1, &f(9.0)),
            write("d", 0, &f(0.0)),
            write("d", 1, &f(f64::NAN)),
            write("d", 2, &f(-0.0)),
            write("d", 3, &f(-0.0)),
            write("d", 9, &[("i", Value::I64(i64::MAX))]),
            write("d", 10, &[("s", Value::String("x".into()))]),
            write("d", 11, &[("i", Value::I64(i64::MAX))]),
        ],
    );
    let windows = oracle.windows(&Query::all(), 10);
    let key = |field: &str, window| (Device::parse("d").unwrap(), field.to_string(), window);
    assert_eq!(windows.len(), 5);
    let float = &windows[&key("f", 0)];
    assert_eq!(float.count, 4);
    assert_eq!(float.min, Some((2, Value::F64(-0.0))), "the earliest of two, below 0.0");
    assert_eq!(float.max, Some((0, Value::F64(0.0))), "NaN is skipped");
    assert_eq!((float.first.0, float.last.0), (0, 3));
    assert!(float.mean.unwrap().is_nan());
    assert_eq!(windows[&key("f", -1)].sum, Some(Sum::Float(9.0)));
    let text = &windows[&key("s", 1)];
    assert_eq!((text.count, text.sum, text.mean, &text.min), (1, None, None, &None));
    let range = TimeRange::inclusive(9, 11).unwrap();
    let clipped = oracle.windows(&Query { range, ..Query::all() }, 100);
    assert_eq!(clipped[&key("i", 0)].sum, Some(Sum::Integer(2 * i128::from(i64::MAX))));
    assert!(!clipped.contains_key(&key("f", 0)));
    let latest = oracle.latest(&Query::all());
    assert_eq!((latest.len(), latest[0].time), (1, 11));
}

#[derive(Clone, Debug)]
enum Event {
    Write(Vec<RowWrite>),
    Delete(Delete),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => generate::rows(8).prop_map(Event::Write),
        1 => generate::delete().prop_map(Event::Delete),
    ]
}

fn oracle_of<'a>(events: impl IntoIterator<Item = &'a (Version, Event)>) -> Oracle {
    let mut oracle = Oracle::new();
    for (version, event) in events {
        match event {
            Event::Write(rows) => oracle.write(*version, rows),
            Event::Delete(delete) => oracle.delete(*version, delete.clone()),
        }
    }
    oracle
}

proptest! {
    #[test]
    fn order_of_arrival_and_repetition_do_not_matter(
        (events, shuffled) in vec((1u64..6, 0u8..2, event()), 1..10).prop_map(|events| {
            let version = |stamp, id| Version { stamp: Stamp(stamp), origin: StoreId([id; 16]) };
            let event = |(stamp, id, event)| (version(stamp, id), event);
            events.into_iter().map(event).collect::<Vec<_>>()
        }).prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))
    ) {
        let expected = oracle_of(&events).rows(&Query::all());
        prop_assert_eq!(oracle_of(&shuffled).rows(&Query::all()), expected.clone());
        let twice = oracle_of(shuffled.iter().chain(&events));
        prop_assert_eq!(twice.rows(&Query::all()), expected);
    }

    #[test]
    fn generated_rows_fit_a_batch_and_keep_their_types(rows in generate::rows(20)) {
        let mut batch = Batch::new("d.c").unwrap();
        generate::push_all(&mut batch, &rows).unwrap();
        prop_assert_eq!(batch.rows(), rows.len());
        let fields = generate::fields();
        let known = |name: &str, kind: FieldType| fields.iter().any(|f| f.0 == name && f.1 == kind);
        prop_assert!(batch.fields().all(|(name, kind)| known(name, kind)));
    }

    #[test]
    fn generated_series_name_one_device(rows in generate::series(50)) {
        prop_assert_eq!(rows.len(), 50);
        prop_assert!(rows.iter().all(|row| row.device == rows[0].device));
    }
}
