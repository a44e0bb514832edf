//! Proptest strategies for what users write: devices, times, values, batches, deletes.
//!
//! Drawn from few devices and few times on purpose, so that rows meet, overwrite and hide each
//! other; the odd ones are there to be met once in a while.

use crate::oracle::{Delete, RowWrite};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tidelog_model::{
    Batch, BatchError, Device, DeviceSelector, FieldType, NAME_BYTES_MAX, TimeRange, Value,
};

/// Names that break what is careless: paths, escapes, spaces, other scripts, the longest one.
#[must_use]
pub fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "../../etc/passwd",
        "..",
        ".",
        "/",
        "a b",
        "a,b",
        "k=v",
        "\\",
        "\"",
        "#",
        "é",
        "温度",
        "🌊",
    ]
    .map(String::from)
    .into();
    names.push("n".repeat(NAME_BYTES_MAX));
    names
}

fn device_of(name: &str, labels: &[(&str, &str)]) -> Device {
    Device::with_labels(name, labels.iter().copied()).expect("names without control characters")
}

/// A device: mostly one of six, at times with an odd name, odd labels or arbitrary text.
pub fn device() -> impl Strategy<Value = Device> {
    let usual = select(vec![
        device_of("pump_1", &[]),
        device_of("pump_2", &[]),
        device_of("cpu", &[("host", "a")]),
        device_of("cpu", &[("host", "b")]),
        device_of("cpu", &[("host", "b"), ("rack", "2")]),
        device_of("cp", &[]),
    ]);
    let odd = (select(odd_names()), option::of((select(odd_names()), "[ -~]{1,8}")));
    let odd = odd.prop_map(|(name, label)| {
        let labels: Vec<_> = label.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        // Three of the longest, escaped, may pass a device's limit together.
        Device::with_labels(&name, labels).unwrap_or_else(|_| device_of("pump_1", &[]))
    });
    let arbitrary = "\\PC{1,20}".prop_map(|name| device_of(&name, &[]));
    prop_oneof![12 => usual, 2 => odd, 1 => arbitrary]
}

/// Which devices a query or delete means: all, some, by prefix, by label.
pub fn devices() -> impl Strategy<Value = DeviceSelector> {
    let prefix = select(vec!["", "cp", "cpu", "pump_", "..", "nothing"]);
    let label = select(vec![("host", "a"), ("host", "b"), ("rack", "2"), ("rack", "3")]);
    prop_oneof![
        2 => Just(DeviceSelector::all()),
        2 => vec(device(), 0..3)
            .prop_map(|devices| DeviceSelector { devices: Some(devices), ..Default::default() }),
        1 => prefix.prop_map(|prefix| DeviceSelector {
            prefix: Some(prefix.into()),
            ..Default::default()
        }),
        1 => (label, option::of(select(vec!["cpu", "x"]))).prop_map(|((key, value), prefix)| {
            let labels = vec![(key.into(), value.into())];
            DeviceSelector { labels, prefix: prefix.map(Into::into), ..Default::default() }
        }),
    ]
}

/// The time around which generated rows cluster: 2026-01-01T00:00:00Z, a year's, month's, day's and
/// hour's beginning at once.
pub const EPOCH: i64 = 1_767_225_600_000_000_000;
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

/// A time: clustered in few seconds so that duplicates are common, spread over hours and days,
/// on the edges of windows, long ago, or at the ends of time.
pub fn time() -> impl Strategy<Value = i64> {
    let edge = (-2i64..3, -1i64..2).prop_map(|(hour, off)| EPOCH + hour * HOUR + off);
    prop_oneof![
        8 => (0i64..20).prop_map(|second| EPOCH + second * SECOND),
        4 => (-48i64..48, 0i64..4).prop_map(|(hour, s)| EPOCH + hour * HOUR + s * 900 * SECOND),
        3 => edge,
        1 => (0i64..400 * 24).prop_map(|hour| EPOCH - hour * HOUR),
        1 => select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
        1 => any::<i64>(),
    ]
}

/// Times of a recorder: they grow by a period with some jitter, and now and then one comes late.
pub fn regular_times(rows: usize) -> impl Strategy<Value = Vec<i64>> {
    let period = select(vec![1_000_000, SECOND, 10 * SECOND, 60 * SECOND]);
    let jitters = vec((0i64..1000, prop::bool::weighted(0.05)), rows);
    (0i64..72, period, jitters).prop_map(|(hour, period, jitters)| {
        let start = EPOCH + hour * HOUR;
        let at = |(index, (jitter, late)): (i64, (i64, bool))| {
            let late = if late { 2 * HOUR } else { 0 };
            start + index * period + jitter - late
        };
        (0i64..).zip(jitters).map(at).collect()
    })
}

/// A range of time, at least one nanosecond, either end open at times.
pub fn range() -> impl Strategy<Value = TimeRange> {
    prop_oneof![
        1 => Just(TimeRange::ALL),
        6 => (option::weighted(0.8, time()), option::weighted(0.8, time())).prop_map(|(a, b)| {
            let (first, last) = (a.unwrap_or(i64::MIN), b.unwrap_or(i64::MAX));
            TimeRange::inclusive(first.min(last), first.max(last)).unwrap_or(TimeRange::ALL)
        }),
    ]
}

/// A value of this type, odd bits included.
pub fn value(kind: FieldType) -> BoxedStrategy<Value> {
    match kind {
        FieldType::F64 => f64s().prop_map(Value::F64).boxed(),
        FieldType::F32 => f32s().prop_map(Value::F32).boxed(),
        FieldType::I64 => prop_oneof![
            4 => -100i64..100,
            1 => select(vec![i64::MIN, i64::MAX, (1 << 53) + 1, -(1 << 53) - 1]),
            1 => any::<i64>(),
        ]
        .prop_map(Value::I64)
        .boxed(),
        FieldType::U64 => prop_oneof![
            4 => 0u64..100,
            1 => select(vec![u64::MAX, (1 << 53) + 1, 1 << 63]),
            1 => any::<u64>(),
        ]
        .prop_map(Value::U64)
        .boxed(),
        FieldType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        FieldType::String => strings().prop_map(Value::String).boxed(),
        FieldType::Bytes => prop_oneof![
            8 => vec(any::<u8>(), 0..12),
            1 => (any::<u8>(), 1000usize..70_000).prop_map(|(byte, len)| vec![byte; len]),
        ]
        .prop_map(Value::Bytes)
        .boxed(),
    }
}

fn f64s() -> impl Strategy<Value = f64> {
    let odd = [
        f64::NAN,
        -f64::NAN,
        f64::from_bits(0x7ff8_0000_dead_beef),
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::MIN_POSITIVE / 2.0,
        f64::MAX,
    ];
    prop_oneof![
        3 => (-1000i32..1000).prop_map(|tenths| f64::from(tenths) / 10.0),
        1 => select(odd.to_vec()),
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
}

fn f32s() -> impl Strategy<Value = f32> {
    let odd = [
        f32::NAN,
        -f32::NAN,
        f32::from_bits(0x7fc0_beef),
        f32::from_bits(0x7f80_0001),
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        f32::MIN_POSITIVE / 2.0,
        f32::MAX,
    ];
    prop_oneof![
        3 => (-1000i16..1000).prop_map(|tenths| f32::from(tenths) / 10.0),
        1 => select(odd.to_vec()),
        1 => any::<u32>().prop_map(f32::from_bits),
    ]
}

fn strings() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["", "ok", "fault", "温度", "\0", "\n", "a,b=\"c\"\\"]).prop_map(Into::into),
        4 => "\\PC{0,12}",
        1 => ("[a-z]", 1000usize..70_000).prop_map(|(letter, len)| letter.repeat(len)),
    ]
}

/// The fields that generated rows have: one per type, two floats more, and one with a path's name.
/// Each keeps its type, so that every batch fits every other.
#[must_use]
pub fn fields() -> Vec<(String, FieldType)> {
    let mut fields: Vec<_> =
        FieldType::ALL.into_iter().map(|kind| (kind.name().to_string(), kind)).collect();
    fields.push(("temperature".into(), FieldType::F64));
    fields.push(("pressure".into(), FieldType::F64));
    fields.push(("../x".into(), FieldType::I64));
    fields
}

/// A named value of one of [`fields`].
pub fn cell() -> impl Strategy<Value = (String, Value)> {
    select(fields()).prop_flat_map(|(name, kind)| (Just(name), value(kind)))
}

/// A row, with no value at times.
pub fn row() -> impl Strategy<Value = RowWrite> {
    (device(), time(), vec(cell(), 0..5)).prop_map(|(device, time, values)| RowWrite {
        device,
        time,
        values,
    })
}

/// Up to `rows_max` rows that meet each other often.
pub fn rows(rows_max: usize) -> impl Strategy<Value = Vec<RowWrite>> {
    vec(row(), 1..=rows_max)
}

/// The rows of a recorder: one device, a value in each row of each of its fields.
pub fn series(rows: usize) -> impl Strategy<Value = Vec<RowWrite>> {
    let float = || value(FieldType::F64);
    let values = vec((float(), value(FieldType::I64)), rows);
    (device(), regular_times(rows), values).prop_map(|(device, times, values)| {
        let row = |(time, (float, integer))| RowWrite {
            device: device.clone(),
            time,
            values: vec![("temperature".into(), float), ("i64".into(), integer)],
        };
        times.into_iter().zip(values).map(row).collect()
    })
}

/// A delete of whole rows, or of one or two fields.
pub fn delete() -> impl Strategy<Value = Delete> {
    let names: Vec<String> = fields().into_iter().map(|(name, _)| name).collect();
    (devices(), option::of(vec(select(names), 1..3)), range())
        .prop_map(|(devices, fields, range)| Delete { devices, fields, range })
}

/// Adds rows to a batch, in order.
///
/// # Errors
/// As those of [`Batch`].
pub fn push_all(batch: &mut Batch, rows: &[RowWrite]) -> Result<(), BatchError> {
    for write in rows {
        let device = batch.add_device(&write.device)?;
        let mut cells = Vec::new();
        for (name, value) in &write.values {
            cells.push((batch.field(name, value.field_type())?, value));
        }
        let mut row = batch.row(device, write.time)?;
        for (field, value) in cells {
            row = row.set(field, value)?;
        }
    }
    Ok(())
}
