//! Questions, and their answers by the slow way: all rows, filtered, cut, folded one after the other.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;
use tidelog_engine::{
    Aggregate, CollectionName, Comparison, Every, Fill, GroupBy, Order, Predicate, Query,
    QueryError, Store, Timestamp,
};
use tidelog_model::{Device, DeviceSelector, FieldType, TimeRange, Value};
use tidelog_tests::generate;
use tidelog_tests::oracle::{Oracle, Query as OracleQuery, RowRead};
use tidelog_tests::subject::rows_of;

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];

/// A question about one collection.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) devices: DeviceSelector,
    pub(crate) fields: Option<Vec<String>>,
    pub(crate) range: TimeRange,
    pub(crate) filter: Option<Predicate>,
    pub(crate) descending: bool,
    pub(crate) limit: Option<u64>,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Raw,
    Latest,
    Windows { every: Option<Duration>, aggregates: Vec<Aggregate>, together: bool, fill: Fill },
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let names: Vec<String> = generate::fields().into_iter().map(|(name, _)| name).collect();
    let filter = (select(generate::fields()), select(COMPARISONS.to_vec()), any::<bool>())
        .prop_flat_map(|((field, kind), comparison, whole)| {
            let number =
                matches!(kind, FieldType::F64 | FieldType::F32 | FieldType::I64 | FieldType::U64);
            let value = if number && whole {
                (-20i64..20).prop_map(Value::I64).boxed()
            } else {
                generate::value(kind)
            };
            value.prop_map(move |value| Predicate { field: field.clone(), comparison, value })
        });
    (
        generate::devices(),
        option::of(vec(select(names), 1..4)),
        generate::range(),
        option::weighted(0.3, filter),
        any::<bool>(),
        option::weighted(0.4, 0u64..12),
        shape(),
    )
        .prop_map(|(devices, fields, range, filter, descending, limit, shape)| Ask {
            devices,
            fields,
            range,
            filter,
            descending,
            limit,
            shape,
        })
}

fn shape() -> impl Strategy<Value = Shape> {
    let every = select(vec![1u64, 7, 3600, 7 * 3600, 86_400]).prop_map(Duration::from_secs);
    let fill = prop_oneof![
        4 => Just(Fill::None),
        1 => Just(Fill::Null),
        1 => select(vec![0.0, 2.5]).prop_map(Fill::Value),
        1 => select(vec![None, Some(Duration::from_secs(7200))]).prop_map(Fill::Previous),
        1 => select(vec![None, Some(Duration::from_secs(7200))]).prop_map(Fill::Linear),
    ];
    let windows = (
        option::weighted(0.8, every),
        vec(select(Aggregate::ALL.to_vec()), 1..4),
        any::<bool>(),
        fill,
    )
        .prop_map(|(every, aggregates, together, fill)| Shape::Windows {
            every,
            aggregates,
            together,
            fill,
        });
    prop_oneof![3 => Just(Shape::Raw), 2 => Just(Shape::Latest), 4 => windows]
}

impl Ask {
    fn query(&self) -> Query {
        let from = (self.range.first() != i64::MIN).then(|| Timestamp(self.range.first()));
        let to = self.range.last().checked_add(1).map(Timestamp);
        let mut query = Query::new().devices(self.devices.clone()).range(from, to);
        if let Some(fields) = &self.fields {
            query = query.fields(fields.clone());
        }
        if let Some(filter) = &self.filter {
            query = query.filter(filter.clone());
        }
        if self.descending {
            query = query.order(Order::Descending);
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if let Shape::Windows { every, aggregates, together, fill } = &self.shape {
            query = query.aggregates(aggregates.iter().copied()).fill(fill.clone());
            if let Some(every) = every {
                query = query.every(Every::Duration(*every));
            }
            if *together {
                query = query.group_by(GroupBy::None);
            }
        }
        query
    }

    /// Asks the store and compares with the oracle. `cut` is where retention begins.
    pub(crate) fn check(&self, store: &Store, name: &str, oracle: &Oracle, cut: i64) {
        let name = CollectionName::parse(name).unwrap();
        let expected = self.expected(oracle, cut);
        if expected == Err(Refusal::Windows) {
            return;
        }
        let answer = match self.shape {
            Shape::Latest => store.latest(&name, self.query()).map(|(_, rows)| rows),
            _ => store.query(&name, self.query()).and_then(tidelog_engine::Answer::collect_rows),
        };
        match (&answer, &expected) {
            (Err(QueryError::NoCollection { .. }), _) => {
                assert_eq!(oracle.fields().count() + oracle.devices().len(), 0, "{self:?}");
            }
            (Err(QueryError::NoField { .. }), Err(Refusal::Field))
            | (Err(QueryError::NoAggregate { .. }), Err(Refusal::Aggregate)) => {}
            // A limit may spare the window that overflows.
            (Err(QueryError::SumOverflow { .. }), Err(Refusal::Overflow)) => {}
            (Ok(_), Err(Refusal::Overflow)) if self.limit.is_some() => {}
            (Ok(rows), Ok(expected)) => {
                let found = rows_of(rows);
                assert!(
                    same(&found, expected, self.deviates()),
                    "{self:?}\nexpected {}\nfound {}",
                    show(expected),
                    show(&found)
                );
            }
            (Err(error), _) => panic!("{self:?}: {error}, expected {expected:?}"),
            (Ok(rows), Err(refusal)) => {
                panic!("{self:?}: {} rows, expected {refusal:?}", rows.rows())
            }
        }
    }

    fn deviates(&self) -> bool {
        matches!(&self.shape, Shape::Windows { aggregates, .. } if aggregates.contains(&Aggregate::Stddev))
    }

    fn expected(&self, oracle: &Oracle, cut: i64) -> Result<Vec<RowRead>, Refusal> {
        let kinds: BTreeMap<&str, FieldType> = oracle.fields().collect();
        let known: Vec<&str> = kinds.keys().copied().collect();
        let column = |name: &str| known.iter().position(|known| *known == name);
        let asked: Vec<usize> = match &self.fields {
            None => (0..known.len()).collect(),
            Some(fields) => {
                fields.iter().map(|f| column(f).ok_or(Refusal::Field)).collect::<Result<_, _>>()?
            }
        };
        if let Shape::Windows { aggregates, .. } = &self.shape
            && self.fields.is_some()
            && asked.iter().any(|at| aggregates.iter().any(|a| !defined(*a, kinds[known[*at]])))
        {
            return Err(Refusal::Aggregate);
        }
        let filter = match &self.filter {
            None => None,
            Some(filter) => Some((column(&filter.field).ok_or(Refusal::Field)?, filter)),
        };
        let Some(range) =
            TimeRange::inclusive(cut, i64::MAX).and_then(|c| self.range.intersection(c))
        else {
            return Ok(Vec::new());
        };
        let whole = OracleQuery { devices: self.devices.clone(), fields: None, range };
        let mut rows = oracle.rows(&whole);
        rows.retain(|row| filter.is_none_or(|(at, filter)| holds(filter, row.values[at].as_ref())));
        if let Shape::Windows { every, aggregates, together, fill } = &self.shape {
            let wanted: Vec<(usize, Aggregate)> = asked
                .iter()
                .flat_map(|at| aggregates.iter().map(move |aggregate| (*at, *aggregate)))
                .filter(|(at, aggregate)| defined(*aggregate, kinds[known[*at]]))
                .collect();
            let kinds: Vec<FieldType> = known.iter().map(|name| kinds[name]).collect();
            let windows = Windows { ask: self, range, every: *every, fill, kinds: &kinds };
            return windows.answer(&rows, &wanted, *together);
        }
        for row in &mut rows {
            row.values = asked.iter().map(|at| row.values[*at].clone()).collect();
        }
        if self.fields.is_some() {
            rows.retain(|row| row.values.iter().any(Option::is_some));
        }
        if let Shape::Latest = self.shape {
            let mut latest: Vec<RowRead> = Vec::new();
            for row in rows {
                latest.pop_if(|last| last.device == row.device);
                latest.push(row);
            }
            return Ok(latest);
        }
        Ok(self.ordered(rows))
    }

    /// In the order asked for, and no more than asked for.
    fn ordered(&self, mut rows: Vec<RowRead>) -> Vec<RowRead> {
        if self.descending {
            rows.sort_by(|a, b| a.device.cmp(&b.device).then(b.time.cmp(&a.time)));
        }
        rows.truncate(self.limit.unwrap_or(u64::MAX) as usize);
        rows
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    Field,
    Aggregate,
    Overflow,
    /// Too many windows to compute here.
    Windows,
}

/// Is the aggregate defined for the type?
fn defined(aggregate: Aggregate, kind: FieldType) -> bool {
    matches!(aggregate, Aggregate::Count | Aggregate::First | Aggregate::Last)
        || !matches!(kind, FieldType::Bool | FieldType::String | FieldType::Bytes)
}

fn holds(predicate: &Predicate, value: Option<&Value>) -> bool {
    let Some(value) = value else { return false };
    let order = compare(value, &predicate.value);
    match predicate.comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// Of two values of one type, or a number and a small whole one.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::F64(a), Value::F64(b)) => a.partial_cmp(b),
        (Value::F32(a), Value::F32(b)) => a.partial_cmp(b),
        (Value::I64(a), Value::I64(b)) => Some(a.cmp(b)),
        (Value::U64(a), Value::U64(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::F64(a), Value::I64(b)) => a.partial_cmp(&(*b as f64)),
        (Value::F32(a), Value::I64(b)) => f64::from(*a).partial_cmp(&(*b as f64)),
        (Value::U64(a), Value::I64(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        _ => panic!("{a:?} and {b:?} are not compared here"),
    }
}

struct Windows<'a> {
    ask: &'a Ask,
    range: TimeRange,
    every: Option<Duration>,
    fill: &'a Fill,
    kinds: &'a [FieldType],
}

/// The values of each column in one window of one device, with their times.
type Members = Vec<Vec<(i64, Value)>>;

impl Windows<'_> {
    /// First and last time of the window that holds a time.
    fn window(&self, time: i64) -> (i64, i64) {
        let Some(every) = self.every else { return (self.range.first(), self.range.last()) };
        let width = every.as_nanos() as i128;
        let start = i128::from(time).div_euclid(width) * width;
        let clamp = |time: i128| time.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        (clamp(start), clamp(start + width - 1))
    }

    fn answer(
        &self,
        rows: &[RowRead],
        wanted: &[(usize, Aggregate)],
        together: bool,
    ) -> Result<Vec<RowRead>, Refusal> {
        let everybody = Device::named("(all)").unwrap();
        // By answered device, then window: the time of its first value, and members by device.
        type OfWindow = (i64, BTreeMap<Device, Members>);
        let mut answered: BTreeMap<Device, BTreeMap<i64, OfWindow>> = BTreeMap::new();
        for of_device in rows.chunk_by(|a, b| a.device == b.device) {
            for of_window in of_device.chunk_by(|a, b| self.window(a.time) == self.window(b.time)) {
                let mut members: Members = vec![Vec::new(); self.kinds.len()];
                for row in of_window {
                    for (at, value) in row.values.iter().enumerate() {
                        members[at].extend(value.iter().map(|value| (row.time, value.clone())));
                    }
                }
                let values = wanted.iter().flat_map(|(at, _)| &members[*at]);
                let Some(first) = values.map(|(time, _)| *time).min() else { continue };
                let device = &of_window[0].device;
                let named = if together { everybody.clone() } else { device.clone() };
                let windows = answered.entry(named).or_default();
                let start = self.window(of_window[0].time).0;
                let of = windows.entry(start).or_insert((first, BTreeMap::new()));
                of.0 = of.0.min(first);
                of.1.insert(device.clone(), members);
            }
        }
        let mut answer = Vec::new();
        for (device, windows) in answered {
            let mut rows = Vec::new();
            for (start, (first_seen, members)) in windows {
                let unnamed = self.every.is_none() && self.range.first() == i64::MIN;
                let time = if unnamed { first_seen } else { start };
                let value = |(at, aggregate): &(usize, Aggregate)| {
                    let parts: Vec<&[(i64, Value)]> =
                        members.values().map(|of| of[*at].as_slice()).collect();
                    fold(&parts, self.kinds[*at], *aggregate)
                };
                let values = wanted.iter().map(value).collect::<Result<_, _>>()?;
                rows.push(RowRead { device: device.clone(), time, values });
            }
            answer.extend(self.filled(rows, wanted)?);
        }
        Ok(self.ask.ordered(answer))
    }

    /// With what the filling puts between.
    fn filled(
        &self,
        rows: Vec<RowRead>,
        wanted: &[(usize, Aggregate)],
    ) -> Result<Vec<RowRead>, Refusal> {
        if *self.fill == Fill::None {
            return Ok(rows);
        }
        let mut all = rows.clone();
        if let Some(every) = self.every {
            let (first, last) = (self.ask.range.first(), self.ask.range.last());
            let from = if first == i64::MIN { rows[0].time } else { self.window(first).0 };
            let to = if last == i64::MAX { rows[rows.len() - 1].time } else { last };
            let windows = (i128::from(to) - i128::from(from)) / every.as_nanos() as i128;
            if windows > 20_000 {
                return Err(Refusal::Windows);
            }
            let mut at = from;
            while at <= to {
                if rows.binary_search_by_key(&at, |row| row.time).is_err() {
                    let values = vec![None; wanted.len()];
                    all.push(RowRead { device: rows[0].device.clone(), time: at, values });
                }
                let Some(next) = self.window(at).1.checked_add(1) else { break };
                at = next;
            }
        }
        all.sort_by_key(|row| row.time);
        let mut filled = all.clone();
        for (column, (at, aggregate)) in wanted.iter().enumerate() {
            let kind = result_kind(*aggregate, self.kinds[*at]);
            for row in 0..all.len() {
                if all[row].values[column].is_none() {
                    filled[row].values[column] = self.between(&all, row, column, kind);
                }
            }
        }
        Ok(filled)
    }

    fn between(
        &self,
        all: &[RowRead],
        row: usize,
        column: usize,
        kind: FieldType,
    ) -> Option<Value> {
        let there = |at: &usize| all[*at].values[column].is_some();
        let before = (0..row).rev().find(there);
        let after = (row..all.len()).find(there);
        let near = |a: usize, b: usize, max: &Option<Duration>| {
            let distance = i128::from(all[b].time) - i128::from(all[a].time);
            max.is_none_or(|max| distance <= max.as_nanos() as i128)
        };
        match self.fill {
            Fill::None | Fill::Null => None,
            Fill::Previous(max) => before
                .filter(|at| near(*at, row, max))
                .and_then(|at| all[at].values[column].clone()),
            Fill::Linear(max) => match (before, after) {
                (Some(a), Some(b)) if near(a, b, max) => {
                    let (Some(Value::F64(x)), Some(Value::F64(y))) =
                        (&all[a].values[column], &all[b].values[column])
                    else {
                        return None;
                    };
                    let time = |at: usize| all[at].time as f64;
                    let share = (time(row) - time(a)) / (time(b) - time(a));
                    Some(Value::F64(x + (y - x) * share))
                }
                _ => None,
            },
            Fill::Value(number) => match kind {
                FieldType::F64 => Some(Value::F64(*number)),
                FieldType::F32 => Some(Value::F32(*number as f32)),
                FieldType::I64 => (number.fract() == 0.0).then_some(Value::I64(*number as i64)),
                FieldType::U64 => (number.fract() == 0.0).then_some(Value::U64(*number as u64)),
                _ => None,
            },
        }
    }
}

fn result_kind(aggregate: Aggregate, kind: FieldType) -> FieldType {
    match aggregate {
        Aggregate::Mean | Aggregate::Stddev | Aggregate::Rate => FieldType::F64,
        Aggregate::Count => FieldType::U64,
        Aggregate::MinTime | Aggregate::MaxTime => FieldType::I64,
        Aggregate::Sum | Aggregate::Increase if kind == FieldType::F32 => FieldType::F64,
        _ => kind,
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::F64(value) => *value,
        Value::F32(value) => f64::from(*value),
        Value::I64(value) => *value as f64,
        Value::U64(value) => *value as f64,
        _ => panic!("{value:?} is no number"),
    }
}

/// The documented fold: each device in the order of time, then the devices in the order of their names.
fn fold(
    parts: &[&[(i64, Value)]],
    kind: FieldType,
    aggregate: Aggregate,
) -> Result<Option<Value>, Refusal> {
    let all: Vec<&(i64, Value)> = parts.iter().copied().flatten().collect();
    if all.is_empty() {
        return Ok(None);
    }
    let count = all.len() as u64;
    let float = matches!(kind, FieldType::F64 | FieldType::F32);
    Ok(match aggregate {
        Aggregate::Count => Some(Value::U64(count)),
        // Of equal times the first device's.
        Aggregate::First => {
            let least = all.iter().map(|(time, _)| *time).min();
            all.iter().find(|(time, _)| Some(*time) == least).map(|(_, value)| value.clone())
        }
        Aggregate::Last => {
            let greatest = all.iter().map(|(time, _)| *time).max();
            all.iter().find(|(time, _)| Some(*time) == greatest).map(|(_, value)| value.clone())
        }
        Aggregate::Min | Aggregate::MinTime => extreme(&all, Ordering::Less, aggregate),
        Aggregate::Max | Aggregate::MaxTime => extreme(&all, Ordering::Greater, aggregate),
        Aggregate::Sum | Aggregate::Mean if float => {
            let sum_of =
                |part: &&[(i64, Value)]| part.iter().fold(0.0, |sum, (_, v)| sum + number(v));
            let sums: Vec<f64> = parts.iter().filter(|part| !part.is_empty()).map(sum_of).collect();
            let sum = sums[1..].iter().fold(sums[0], |sum, part| sum + part);
            let mean = aggregate == Aggregate::Mean;
            Some(Value::F64(if mean { sum / count as f64 } else { sum }))
        }
        Aggregate::Sum | Aggregate::Mean => {
            let whole = |value: &Value| match value {
                Value::I64(value) => i128::from(*value),
                Value::U64(value) => i128::from(*value),
                _ => panic!("{value:?} is no whole number"),
            };
            let sum: i128 = all.iter().map(|(_, value)| whole(value)).sum();
            if aggregate == Aggregate::Mean {
                return Ok(Some(Value::F64(sum as f64 / count as f64)));
            }
            let fits = match kind {
                FieldType::I64 => i64::try_from(sum).ok().map(Value::I64),
                _ => u64::try_from(sum).ok().map(Value::U64),
            };
            return fits.map(Some).ok_or(Refusal::Overflow);
        }
        Aggregate::Increase | Aggregate::Rate => return increase(parts, kind, aggregate),
        Aggregate::Stddev => {
            let mean = all.iter().map(|(_, value)| number(value)).sum::<f64>() / count as f64;
            let squares: f64 = all.iter().map(|(_, value)| (number(value) - mean).powi(2)).sum();
            (count > 1).then(|| Value::F64((squares / (count - 1) as f64).sqrt()))
        }
    })
}

/// What a counter of one device went up by; of several devices it means nothing.
fn increase(
    parts: &[&[(i64, Value)]],
    kind: FieldType,
    aggregate: Aggregate,
) -> Result<Option<Value>, Refusal> {
    let mut there = parts.iter().filter(|part| !part.is_empty());
    let (Some(part), None) = (there.next(), there.next()) else { return Ok(None) };
    let (first, last) = (&part[0], &part[part.len() - 1]);
    let falls = || part.windows(2).filter(|pair| number(&pair[1].1) < number(&pair[0].1));
    let whole = |value: &Value| match value {
        Value::I64(value) => Some(i128::from(*value)),
        Value::U64(value) => Some(i128::from(*value)),
        _ => None,
    };
    let (exact, amount) = match (whole(&first.1), whole(&last.1)) {
        (Some(from), Some(to)) => {
            let falls = part.windows(2).filter(|pair| whole(&pair[1].1) < whole(&pair[0].1));
            let dropped: i128 = falls.filter_map(|pair| whole(&pair[0].1)).sum();
            let exact = to - from + dropped;
            (Some(exact), exact as f64)
        }
        _ => {
            let dropped: f64 = falls().map(|pair| number(&pair[0].1)).sum();
            (None, (number(&last.1) - number(&first.1)) + dropped)
        }
    };
    if aggregate == Aggregate::Rate {
        let seconds = (i128::from(last.0) - i128::from(first.0)) as f64 / 1e9;
        return Ok((seconds > 0.0).then(|| Value::F64(amount / seconds)));
    }
    match (exact, kind) {
        (None, _) => Ok(Some(Value::F64(amount))),
        (Some(exact), FieldType::I64) => {
            i64::try_from(exact).map(|v| Some(Value::I64(v))).map_err(|_| Refusal::Overflow)
        }
        (Some(exact), _) => {
            u64::try_from(exact).map(|v| Some(Value::U64(v))).map_err(|_| Refusal::Overflow)
        }
    }
}

/// The first of the values that none surpasses; NaN does not count.
fn extreme(all: &[&(i64, Value)], direction: Ordering, aggregate: Aggregate) -> Option<Value> {
    let order = |a: &Value, b: &Value| match (a, b) {
        (Value::F64(a), Value::F64(b)) => a.total_cmp(b),
        (Value::F32(a), Value::F32(b)) => a.total_cmp(b),
        (Value::I64(a), Value::I64(b)) => a.cmp(b),
        (Value::U64(a), Value::U64(b)) => a.cmp(b),
        _ => panic!("{a:?} has no order"),
    };
    let mut best: Option<&(i64, Value)> = None;
    for one in all.iter().filter(|(_, value)| !number(value).is_nan()) {
        let better = best.is_none_or(|best| {
            let order = order(&one.1, &best.1);
            order == direction || order == Ordering::Equal && one.0 < best.0
        });
        if better {
            best = Some(one);
        }
    }
    best.map(|(time, value)| match aggregate {
        Aggregate::MinTime | Aggregate::MaxTime => Value::I64(*time),
        _ => value.clone(),
    })
}

/// Equal bit for bit, but for the bits of computed NaNs and for standard deviations, which have another formula
/// here.
fn same(a: &[RowRead], b: &[RowRead], deviations: bool) -> bool {
    let equal = |a: &Option<Value>, b: &Option<Value>| match (a, b) {
        (Some(Value::F64(x)), Some(Value::F64(y))) => {
            x.to_bits() == y.to_bits()
                || x.is_nan() && y.is_nan()
                || deviations && (!x.is_finite() || !y.is_finite() || close(*x, *y))
        }
        _ => a == b,
    };
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (&a.device, a.time) == (&b.device, b.time)
                && a.values.len() == b.values.len()
                && a.values.iter().zip(&b.values).all(|(a, b)| equal(a, b))
        })
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= a.abs().max(b.abs()) * 1e-6
}

fn show(rows: &[RowRead]) -> String {
    let mut text = format!("{} rows\n", rows.len());
    for row in rows.iter().take(40) {
        let values: Vec<String> = row
            .values
            .iter()
            .map(|value| {
                let text = format!("{value:?}");
                text.chars().take(60).collect()
            })
            .collect();
        let device: String = row.device.as_str().chars().take(30).collect();
        text.push_str(&format!("  {device} {} {values:?}\n", row.time));
    }
    text
}
