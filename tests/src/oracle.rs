//! The slow, obvious twin of a store: one collection in a `BTreeMap`.
//!
//! It keeps every write and delete, and to answer replays them in the order of their stamps onto an
//! empty map: a write sets the cells it names, a delete removes what it covers. Arrival order and
//! repetition cannot matter then. It shares no code with the merge rule; it is what the rule is
//! tested against.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use tidelog_model::{Device, DeviceSelector, FieldType, TimeRange, Tombstone, Value, Version};

/// A row as a caller writes it. A field that is not named is left alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowWrite {
    /// The device.
    pub device: Device,
    /// The time.
    pub time: i64,
    /// Fields and values; of two for one field the later one counts.
    pub values: Vec<(String, Value)>,
}

/// A delete as a caller asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delete {
    /// The devices.
    pub devices: DeviceSelector,
    /// The fields; `None` means whole rows.
    pub fields: Option<Vec<String>>,
    /// The times.
    pub range: TimeRange,
}

impl From<&Tombstone> for Delete {
    fn from(tombstone: &Tombstone) -> Self {
        let names = |fields: &Vec<_>| fields.iter().map(ToString::to_string).collect();
        Delete {
            devices: tombstone.devices.clone(),
            fields: tombstone.fields.as_ref().map(names),
            range: tombstone.range,
        }
    }
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The devices.
    pub devices: DeviceSelector,
    /// The fields, in the order of the answer; `None` means all, by name.
    pub fields: Option<Vec<String>>,
    /// The times.
    pub range: TimeRange,
}

impl Query {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Query { devices: DeviceSelector::all(), fields: None, range: TimeRange::ALL }
    }
}

/// A row of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowRead {
    /// The device.
    pub device: Device,
    /// The time.
    pub time: i64,
    /// A value per field asked for; all `None` for a row that merely exists.
    pub values: Vec<Option<Value>>,
}

/// A sum: exact for integers, else folded in the order of time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sum {
    /// Of `i64` and `u64`.
    Integer(i128),
    /// Of `f64` and `f32`, in `f64`. Another order of adding gives other last bits, so compare with
    /// a tolerance.
    Float(f64),
}

/// What is said of the values of one field of one device in one window, at least one value.
#[derive(Clone, PartialEq, Debug)]
pub struct Aggregate {
    /// Values, NaN included.
    pub count: u64,
    /// The sum; `None` for types that have none.
    pub sum: Option<Sum>,
    /// Sum by count; `None` for types that have none.
    pub mean: Option<f64>,
    /// The least value and its earliest time. NaN is skipped, -0.0 is less than 0.0; `None` when
    /// nothing is left or the type has no least value.
    pub min: Option<(i64, Value)>,
    /// The greatest value and its earliest time, as for the least.
    pub max: Option<(i64, Value)>,
    /// The value of the earliest row that has one, and its time.
    pub first: (i64, Value),
    /// The value of the latest row that has one, and its time.
    pub last: (i64, Value),
}

/// Device, field, and number of the window: `floor(time / every)`.
pub type WindowKey = (Device, String, i64);

type Cells = BTreeMap<String, (Version, Value)>;
type Rows = BTreeMap<(Device, i64), Cells>;

#[derive(Clone, Debug)]
enum Event {
    Write(Vec<RowWrite>),
    Delete(Delete),
}

/// One collection, all of its history.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    events: Vec<(Version, Event)>,
    fields: BTreeMap<String, FieldType>,
    /// The replayed history, as long as events came in the order of their stamps.
    rows: Rows,
}

impl Oracle {
    /// A collection without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Would a store take these rows, as far as field types go?
    #[must_use]
    pub fn accepts(&self, rows: &[RowWrite]) -> bool {
        let mut fields = self.fields.clone();
        rows.iter().flat_map(|row| &row.values).all(|(name, value)| {
            *fields.entry(name.clone()).or_insert(value.field_type()) == value.field_type()
        })
    }

    /// Applies one batch. Of two rows for one device and time the later one wins, cell by cell.
    ///
    /// # Panics
    /// When a field has another type than before; ask [`Self::accepts`] first.
    pub fn write(&mut self, version: Version, rows: &[RowWrite]) {
        assert!(self.accepts(rows), "a field has two types");
        for (name, value) in rows.iter().flat_map(|row| &row.values) {
            self.fields.insert(name.clone(), value.field_type());
        }
        self.add(version, Event::Write(rows.to_vec()));
    }

    /// Applies a delete: what it covers with a stamp up to its own is gone.
    pub fn delete(&mut self, version: Version, delete: Delete) {
        self.add(version, Event::Delete(delete));
    }

    fn add(&mut self, version: Version, event: Event) {
        let late = self.events.iter().any(|(held, other)| {
            replay_order((held, other), (&version, &event)) == Ordering::Greater
        });
        self.events.push((version, event));
        if late {
            self.events.sort_by(|(a, x), (b, y)| replay_order((a, x), (b, y)));
            self.rows.clear();
            self.events.iter().for_each(|(version, event)| apply(&mut self.rows, *version, event));
        } else if let Some((version, event)) = self.events.last() {
            apply(&mut self.rows, *version, event);
        }
    }

    /// Every field ever written, with its type, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldType)> + '_ {
        self.fields.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Every device that has a row, in order.
    #[must_use]
    pub fn devices(&self) -> BTreeSet<Device> {
        self.rows.keys().map(|(device, _)| device.clone()).collect()
    }

    /// The rows of the devices in the range, in the order of device and time, those included that
    /// have none of the fields asked for.
    #[must_use]
    pub fn rows(&self, query: &Query) -> Vec<RowRead> {
        let all = || self.fields.keys().cloned().collect();
        let fields: Vec<String> = query.fields.clone().unwrap_or_else(all);
        self.select(query)
            .map(|((device, time), cells)| {
                let value = |field| cells.get(field).map(|(_, value)| value.clone());
                let values = fields.iter().map(value).collect();
                RowRead { device: device.clone(), time: *time, values }
            })
            .collect()
    }

    /// The same, without the rows that have none of the fields asked for.
    #[must_use]
    pub fn rows_with_values(&self, query: &Query) -> Vec<RowRead> {
        let mut rows = self.rows(query);
        rows.retain(|row| row.values.iter().any(Option::is_some));
        rows
    }

    /// The latest row of each device.
    #[must_use]
    pub fn latest(&self, query: &Query) -> Vec<RowRead> {
        let mut latest: Vec<RowRead> = Vec::new();
        for row in self.rows(query) {
            latest.pop_if(|last| last.device == row.device);
            latest.push(row);
        }
        latest
    }

    /// The values of each device and field in each window of `every` nanoseconds, aligned to the
    /// epoch, clipped to the range; empty windows are left out.
    ///
    /// # Panics
    /// When `every` is not positive.
    #[must_use]
    pub fn windows(&self, query: &Query, every: i64) -> BTreeMap<WindowKey, Aggregate> {
        assert!(every > 0, "a window has a length");
        let mut windows: BTreeMap<WindowKey, Vec<(i64, Value)>> = BTreeMap::new();
        for ((device, time), cells) in self.select(query) {
            let asked = |name: &String| query.fields.as_ref().is_none_or(|all| all.contains(name));
            for (name, (_, value)) in cells.iter().filter(|(name, _)| asked(name)) {
                let key = (device.clone(), name.clone(), time.div_euclid(every));
                windows.entry(key).or_default().push((*time, value.clone()));
            }
        }
        windows.into_iter().map(|(key, values)| (key, aggregate(&values))).collect()
    }

    fn select<'a>(
        &'a self,
        query: &'a Query,
    ) -> impl Iterator<Item = (&'a (Device, i64), &'a Cells)> + 'a {
        self.rows.iter().filter(|((device, time), _)| {
            query.range.contains(*time) && query.devices.matches(device.as_str())
        })
    }
}

/// By stamp; at one stamp writes come before deletes, which hide cells up to their own stamp; then
/// by origin.
fn replay_order((a, x): (&Version, &Event), (b, y): (&Version, &Event)) -> Ordering {
    let delete = |event: &Event| matches!(event, Event::Delete(_));
    (a.stamp, delete(x), a.origin).cmp(&(b.stamp, delete(y), b.origin))
}

fn apply(rows: &mut Rows, version: Version, event: &Event) {
    match event {
        Event::Write(writes) => {
            for ((device, time), values) in merge_batch(writes) {
                let cells = rows.entry((device, time)).or_default();
                values.into_iter().for_each(|(name, value)| set(cells, version, name, value));
            }
        }
        Event::Delete(delete) => {
            let covers = |(device, time): &(Device, i64)| {
                delete.range.contains(*time) && delete.devices.matches(device.as_str())
            };
            match &delete.fields {
                None => rows.retain(|key, _| !covers(key)),
                Some(fields) => {
                    for (_, cells) in rows.iter_mut().filter(|(key, _)| covers(key)) {
                        cells.retain(|name, _| !fields.contains(name));
                    }
                }
            }
        }
    }
}

/// One row per device and time, one value per field: the later ones of the batch.
fn merge_batch(writes: &[RowWrite]) -> BTreeMap<(Device, i64), BTreeMap<String, Value>> {
    let mut merged: BTreeMap<_, BTreeMap<String, Value>> = BTreeMap::new();
    for write in writes {
        let row = merged.entry((write.device.clone(), write.time)).or_default();
        row.extend(write.values.iter().cloned());
    }
    merged
}

/// Sets a cell. Two values under one version are told apart by their bytes.
fn set(cells: &mut Cells, version: Version, name: String, value: Value) {
    if let Some((held, other)) = cells.get(&name)
        && *held == version
        && bytes(other) >= bytes(&value)
    {
        return;
    }
    cells.insert(name, (version, value));
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_ref().with_canonical_bytes(<[u8]>::to_vec)
}

/// Of values in the order of time, at least one.
fn aggregate(values: &[(i64, Value)]) -> Aggregate {
    let count = values.len() as u64;
    let sum = sum(values);
    let mean = sum.map(|sum| match sum {
        Sum::Integer(sum) => sum as f64 / count as f64,
        Sum::Float(sum) => sum / count as f64,
    });
    let (min, max) = (extreme(values, Ordering::Less), extreme(values, Ordering::Greater));
    let (first, last) = (values[0].clone(), values[values.len() - 1].clone());
    Aggregate { count, sum, mean, min, max, first, last }
}

fn sum(values: &[(i64, Value)]) -> Option<Sum> {
    let mut integer = 0;
    let mut float = None;
    for (_, value) in values {
        match value {
            Value::I64(value) => integer += i128::from(*value),
            Value::U64(value) => integer += i128::from(*value),
            Value::F64(value) => *float.get_or_insert(0.0) += value,
            Value::F32(value) => *float.get_or_insert(0.0) += f64::from(*value),
            Value::Bool(_) | Value::String(_) | Value::Bytes(_) => return None,
        }
    }
    Some(float.map_or(Sum::Integer(integer), Sum::Float))
}

/// The first value that no other one surpasses in that direction.
fn extreme(values: &[(i64, Value)], direction: Ordering) -> Option<(i64, Value)> {
    let mut best: Option<&(i64, Value)> = None;
    for candidate in values {
        // A NaN does not compare, not even with itself.
        if compare(&candidate.1, &candidate.1).is_some()
            && best.is_none_or(|best| compare(&candidate.1, &best.1) == Some(direction))
        {
            best = Some(candidate);
        }
    }
    best.cloned()
}

/// By number; `None` for NaN and for types without an order that aggregates speak of.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::F64(a), Value::F64(b)) if !a.is_nan() && !b.is_nan() => Some(a.total_cmp(b)),
        (Value::F32(a), Value::F32(b)) if !a.is_nan() && !b.is_nan() => Some(a.total_cmp(b)),
        (Value::I64(a), Value::I64(b)) => Some(a.cmp(b)),
        (Value::U64(a), Value::U64(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
