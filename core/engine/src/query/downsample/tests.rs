//! The methods against slow, obvious twins, and the answer of a store.

use super::choose::Typed;
use super::extent::Extent;
use super::point::Point;
use super::*;
use crate::query::{Comparison, Predicate};
use crate::{
    Batch, Delete, DeviceSelector, Durability, FieldType, Options, Store, Timestamp, Upkeep, Value,
    ValueRef,
};
use proptest::prelude::*;

type Pair = (i64, f64);

fn chosen(all: &[Pair], method: Downsample, asked: Option<TimeRange>) -> Vec<Pair> {
    let Some(range) = TimeRange::inclusive(all[0].0, all[all.len() - 1].0) else { return vec![] };
    let extent = Extent { count: all.len() as u64, range };
    let mut typed = Typed::new(method, extent, asked);
    all.iter().for_each(|(time, value)| typed.push(Point { time: *time, value: *value }));
    typed.end().iter().map(|point| (point.time, point.value)).collect()
}

/// The greatest or the least; the first of equals.
fn extreme(run: &[Pair], greatest: bool) -> Pair {
    let better = |a: &Pair, b: &Pair| if greatest { b.1 > a.1 } else { b.1 < a.1 };
    run.iter().copied().reduce(|a, b| if better(&a, &b) { b } else { a }).unwrap()
}

fn in_order(mut points: Vec<Pair>) -> Vec<Pair> {
    points.sort_by_key(|point| point.0);
    points.dedup_by_key(|point| point.0);
    points
}

/// The points between the first and the last, in runs as the thesis has them.
fn runs(all: &[Pair], count: usize) -> Vec<&[Pair]> {
    let inner = &all[1..all.len() - 1];
    let border = |run: usize| run * inner.len() / count;
    (0..count).map(|run| &inner[border(run)..border(run + 1)]).collect()
}

fn naive_min_max(all: &[Pair], points: usize) -> Vec<Pair> {
    let mut out = vec![all[0], all[all.len() - 1]];
    for run in runs(all, (points - 2) / 2) {
        out.extend([extreme(run, false), extreme(run, true)]);
    }
    in_order(out)
}

fn naive_lttb(all: &[Pair], points: usize) -> Vec<Pair> {
    let runs = runs(all, points - 2);
    let x = |point: Pair| (point.0 - all[0].0) as f64;
    let mut out = vec![all[0]];
    for (at, run) in runs.iter().enumerate() {
        let last = [all[all.len() - 1]];
        let next = runs.get(at + 1).copied().unwrap_or(&last);
        let count = next.len() as f64;
        let sum = next.iter().fold((0.0, 0.0), |sum, p| (sum.0 + x(*p), sum.1 + p.1));
        let (cx, cy) = (sum.0 / count, sum.1 / count);
        let (ax, ay) = (x(out[at]), out[at].1);
        let area = |b: Pair| ((ax - cx) * (b.1 - ay) - (ax - x(b)) * (cy - ay)).abs();
        let areas: Vec<f64> = run.iter().map(|point| area(*point)).collect();
        let largest = areas.iter().copied().fold(0.0, f64::max);
        out.push(run[areas.iter().position(|area| *area == largest).unwrap()]);
    }
    out.push(all[all.len() - 1]);
    out
}

fn naive_m4(all: &[Pair], columns: i64, stretch: TimeRange) -> Vec<Pair> {
    let width = stretch.last() - stretch.first() + 1;
    let column = |point: &Pair| (point.0 - stretch.first()) * columns / width;
    let mut out = Vec::new();
    for one in 0..columns {
        let run: Vec<Pair> = all.iter().copied().filter(|point| column(point) == one).collect();
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            out.extend([*first, *last, extreme(&run, false), extreme(&run, true)]);
        }
    }
    in_order(out)
}

/// Times with gaps, values that repeat.
fn series() -> impl Strategy<Value = Vec<Pair>> {
    let step = prop_oneof![4 => 1i64..4, 1 => 1i64..5_000];
    let value = prop_oneof![3 => (-20i32..20).prop_map(f64::from), 1 => -1e9..1e9];
    (-10_000i64..10_000, proptest::collection::vec((step, value), 1..160)).prop_map(
        |(start, all)| {
            let mut time = start;
            let at = |(step, value)| {
                time += step;
                (time, value)
            };
            all.into_iter().map(at).collect()
        },
    )
}

proptest! {
    #[test]
    fn each_method_chooses_what_its_twin_does(all in series(), size in 4usize..90, pad in 0i64..900) {
        let count = all.len();
        let (first, last) = (all[0], all[count - 1]);
        let min_max = chosen(&all, Downsample::MinMax { points: size }, None);
        let lttb = chosen(&all, Downsample::Lttb { points: size }, None);
        let m4 = chosen(&all, Downsample::M4 { columns: size }, None);
        if count <= size {
            prop_assert!([&min_max, &lttb, &m4].iter().all(|chosen| **chosen == all));
            return Ok(());
        }
        prop_assert_eq!(&min_max, &naive_min_max(&all, size));
        prop_assert_eq!(&lttb, &naive_lttb(&all, size));
        let stretch = TimeRange::inclusive(first.0, last.0).unwrap();
        prop_assert_eq!(&m4, &naive_m4(&all, size as i64, stretch));
        prop_assert_eq!(lttb.len(), size);
        prop_assert!(min_max.len() <= size && m4.len() <= 4 * size);
        for chosen in [&min_max, &lttb, &m4] {
            prop_assert!(chosen.iter().all(|point| all.contains(point)));
            prop_assert!(chosen.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert_eq!((chosen[0], chosen[chosen.len() - 1]), (first, last));
        }
        for chosen in [&min_max, &m4] {
            for greatest in [false, true] {
                prop_assert_eq!(extreme(chosen, greatest).1, extreme(&all, greatest).1);
            }
        }
        let wide = TimeRange::inclusive(first.0 - pad, last.0 + pad).unwrap();
        let m4 = chosen(&all, Downsample::M4 { columns: size }, Some(wide));
        prop_assert_eq!(m4, naive_m4(&all, size as i64, wide));
    }
}

/// The same series through an implementation in Python, written apart from this one.
#[test]
fn lttb_agrees_with_another_implementation() {
    let all: Vec<Pair> = (0..40).map(|t: i64| (t, ((t * t * 7 + t * 13) % 101) as f64)).collect();
    let times: Vec<i64> =
        chosen(&all, Downsample::Lttb { points: 12 }, None).iter().map(|point| point.0).collect();
    assert_eq!(times, PYTHON);
}

const PYTHON: [i64; 12] = [0, 2, 6, 9, 13, 16, 20, 23, 27, 31, 38, 39];

const NAME: &str = "plant.boiler";

fn name() -> CollectionName {
    CollectionName::parse(NAME).unwrap()
}

/// Two devices; a float, an integer that a float holds, and a text.
fn store(path: &std::path::Path) -> Store {
    let store = Options::new().upkeep(Upkeep::Caller).open(path).unwrap();
    let mut batch = Batch::new(NAME).unwrap();
    for (number, device) in ["a", "b"].into_iter().enumerate() {
        for time in 0..5000i64 {
            let nan = time % 500 == 7;
            let temp = if nan { f64::NAN } else { ((time * (3 + number as i64)) % 71) as f64 };
            let count = time * 31 % 7;
            let values = [
                ("temp", ValueRef::F64(temp)),
                ("count", ValueRef::I64(count)),
                ("state", ValueRef::String("on")),
            ];
            let present = if time % 2 == 0 { &values[..] } else { &values[..1] };
            batch.push(device, time * 1_000_000_000, present.to_vec()).unwrap();
        }
    }
    store.write(&batch, Durability::Os).unwrap();
    store
}

fn all(store: &Store, query: Query, method: Downsample) -> Vec<Points> {
    let found = store.downsample(&name(), query, method).unwrap();
    found.collect::<Result<_, _>>().unwrap()
}

fn floats(points: &Points) -> Vec<Pair> {
    let number = |row| match points.values.at(row) {
        Some(ValueRef::F64(value)) => value,
        Some(ValueRef::I64(value)) => value as f64,
        other => panic!("{other:?}"),
    };
    points.times.iter().enumerate().map(|(row, time)| (*time, number(row))).collect()
}

/// What the rows of a query have of a field, without NaN.
fn rows(store: &Store, device: &str, field: &str, query: Query) -> Vec<Pair> {
    let one = DeviceSelector::one(crate::Device::parse(device).unwrap());
    let rows = store.query(&name(), query.devices(one).fields([field])).unwrap();
    let rows = rows.collect_rows().unwrap();
    let values = Points {
        device: device.into(),
        field: AnswerField { name: field.into(), kind: rows.columns[0].field_type() },
        times: rows.times,
        values: rows.columns[0].clone(),
    };
    floats(&values).into_iter().filter(|(_, value)| !value.is_nan()).collect()
}

#[test]
fn a_store_answers_by_device_and_numeric_field_from_rows_and_nodes_alike() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let hot = Predicate {
        field: "temp".into(),
        comparison: Comparison::GreaterOrEqual,
        value: Value::F64(30.0),
    };
    let range = |query: Query| query.range(Some(Timestamp(400_000_000_777)), None);
    let queries = [Query::new(), Query::new().filter(hot), range(Query::new())];
    let check = |store: &Store| {
        for query in &queries {
            for method in [
                Downsample::MinMax { points: 50 },
                Downsample::Lttb { points: 50 },
                Downsample::M4 { columns: 13 },
            ] {
                let found = all(store, query.clone(), method);
                let of: Vec<(&str, &str)> =
                    found.iter().map(|points| (&*points.device, &*points.field.name)).collect();
                assert_eq!(of, [("a", "count"), ("a", "temp"), ("b", "count"), ("b", "temp")]);
                for points in &found {
                    let rows = rows(store, &points.device, &points.field.name, query.clone());
                    let expected = match method {
                        Downsample::MinMax { points } => naive_min_max(&rows, points),
                        Downsample::Lttb { points } => naive_lttb(&rows, points),
                        Downsample::M4 { columns } => {
                            let asked = query.range.map_or(i64::MIN, TimeRange::first);
                            let first = rows[0].0;
                            let from = if asked == i64::MIN { first } else { asked };
                            let to = rows[rows.len() - 1].0;
                            let stretch = TimeRange::inclusive(from, to).unwrap();
                            naive_m4(&rows, columns as i64, stretch)
                        }
                    };
                    assert_eq!(floats(points), expected, "{} {method:?}", points.field.name);
                }
            }
        }
    };
    check(&store);
    store.flush().unwrap();
    store.seal().unwrap();
    check(&store);
    let late = TimeRange::new(Some(Timestamp(0)), Some(Timestamp(90_000_000_000)));
    store.delete(&Delete::collection(&name()).range(late.unwrap())).unwrap();
    check(&store);
}

#[test]
fn integers_are_compared_and_come_back_exactly_and_what_is_few_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().upkeep(Upkeep::Caller).open(dir.path()).unwrap();
    let mut batch = Batch::new(NAME).unwrap();
    // As floats all of these are 2^53.
    let values: Vec<i64> = [0, 1, 0, 1, -1, 0].map(|more| (1 << 53) + more).to_vec();
    for (time, value) in values.iter().enumerate() {
        batch.push("a", time as i64, [("count", *value)]).unwrap();
    }
    store.write(&batch, Durability::Os).unwrap();
    for (points, times) in [(4, vec![0, 1, 4, 5]), (6, vec![0, 1, 2, 3, 4, 5])] {
        let found = all(&store, Query::new(), Downsample::MinMax { points });
        assert_eq!(found[0].times, times);
        for (row, time) in times.iter().enumerate() {
            let value = values[usize::try_from(*time).unwrap()];
            assert_eq!(found[0].values.at(row), Some(ValueRef::I64(value)));
        }
    }
}

#[test]
fn what_cannot_be_downsampled_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let refused = |query: Query, method| store.downsample(&name(), query, method).unwrap_err();
    let lttb = Downsample::Lttb { points: 3 };
    let text = refused(Query::new().fields(["state"]), lttb);
    assert!(matches!(text, QueryError::NotNumeric { kind: FieldType::String, .. }), "{text}");
    for (method, least) in [
        (Downsample::MinMax { points: 3 }, 4),
        (Downsample::Lttb { points: 2 }, 3),
        (Downsample::M4 { columns: 0 }, 1),
    ] {
        let few = refused(Query::new(), method);
        assert!(matches!(few, QueryError::TooFewPoints { least: l, .. } if l == least), "{few}");
    }
    for query in [Query::new().limit(3), Query::new().group_by(GroupBy::None)] {
        let both = refused(query, lttb);
        assert!(matches!(both, QueryError::NotDownsampled { .. }), "{both}");
    }
    assert!(
        all(&store, Query::new().range(Some(Timestamp(5)), Some(Timestamp(5))), lttb).is_empty()
    );
}

#[test]
fn a_cancelled_answer_ends_with_an_error_and_then_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let begin = || store.downsample(&name(), Query::new(), Downsample::Lttb { points: 3 }).unwrap();
    let mut found = begin();
    found.canceller().cancel();
    assert!(matches!(found.next(), Some(Err(QueryError::Cancelled))));
    assert!(found.next().is_none());
    let mut found = begin();
    assert!(found.next().is_some_and(|points| points.is_ok()));
    let canceller = found.canceller();
    canceller.cancel();
    // The other field of the device was ready.
    assert!(found.next().is_some_and(|points| points.is_ok()));
    assert!(matches!(found.next(), Some(Err(QueryError::Cancelled))));
    assert!(found.next().is_none());
}
