//! Queries: rows, windows, latest rows, points for plots.

use super::entry::entry;
use super::library::*;
use super::raw::{self, Plain, Sized32};
use super::result::{hand_out, tidelog_result};
use super::store::{store_of, tidelog_store};
use crate::fault::Fault;
use crate::result::Rows;
use crate::tables;
use std::ffi::{c_char, c_void};
use std::time::Duration;
use tidelog_engine::{
    Aggregate, CollectionName, Comparison, Device, DeviceSelector, Downsample, Every, Fill,
    GroupBy, Order, Predicate, Query, Timestamp, Unit, Value,
};

/// A label that a device must have.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_label {
    /// Its key.
    pub key: *const c_char,
    /// Its value.
    pub value: *const c_char,
}

// SAFETY: pointers.
unsafe impl Plain for tidelog_label {
    const NAME: &'static str = "tidelog_label";
}

/// Which devices are meant: all, narrowed by what is given; list, prefix and labels must all match.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_devices {
    /// Only these, as a name or `name,label=value,...`; NULL: any.
    pub names: *const *const c_char,
    /// How many they are.
    pub name_count: usize,
    /// Only devices whose name begins so; NULL: any.
    pub prefix: *const c_char,
    /// Only devices with all of these labels; NULL: any.
    pub labels: *const tidelog_label,
    /// How many they are.
    pub label_count: usize,
    /// Zero: room for later ways to choose.
    pub reserved: [usize; 3],
}

// SAFETY: pointers and integers of one width.
unsafe impl Plain for tidelog_devices {
    const NAME: &'static str = "tidelog_devices";
}

/// One value, of any type.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_value {
    /// `TIDELOG_F64` and so on: says which of the members counts.
    pub kind: u32,
    /// For `TIDELOG_BOOL`: 0 or 1.
    pub boolean: u32,
    /// For `TIDELOG_F64` and `TIDELOG_F32`.
    pub real: f64,
    /// For `TIDELOG_I64`.
    pub integer: i64,
    /// For `TIDELOG_U64`.
    pub unsigned_integer: u64,
    /// For `TIDELOG_STRING` and `TIDELOG_BYTES`.
    pub data: *const c_void,
    /// Its length in bytes.
    pub length: usize,
}

// SAFETY: pointers and integers; there is no padding where pointers have 4 or 8 bytes.
unsafe impl Plain for tidelog_value {
    const NAME: &'static str = "tidelog_value";
}

/// The field is equal to the value.
pub const TIDELOG_EQUAL: u32 = 1;
/// It is not.
pub const TIDELOG_NOT_EQUAL: u32 = 2;
/// It is less.
pub const TIDELOG_LESS: u32 = 3;
/// It is less or equal.
pub const TIDELOG_LESS_OR_EQUAL: u32 = 4;
/// It is greater.
pub const TIDELOG_GREATER: u32 = 5;
/// It is greater or equal.
pub const TIDELOG_GREATER_OR_EQUAL: u32 = 6;

/// A condition on a field. Numbers compare with numbers of any type, exactly. A row without the field never satisfies one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_predicate {
    /// The field.
    pub field: *const c_char,
    /// Zero; keeps what follows on 8 bytes where pointers have 4.
    pub reserved: u32,
    /// `TIDELOG_EQUAL` and so on.
    pub comparison: u32,
    /// With what it is compared.
    pub value: tidelog_value,
}

// SAFETY: pointers and integers; where pointers have 4 bytes there are 4 of padding, which is copied as it stands and never
// looked at.
unsafe impl Plain for tidelog_predicate {
    const NAME: &'static str = "tidelog_predicate";
}

/// Arithmetic mean.
pub const TIDELOG_MEAN: u32 = 1;
/// Least value.
pub const TIDELOG_MIN: u32 = 2;
/// Greatest value.
pub const TIDELOG_MAX: u32 = 4;
/// Sum, exact for integers.
pub const TIDELOG_SUM: u32 = 8;
/// How many values there are. Of fields of any type.
pub const TIDELOG_COUNT: u32 = 16;
/// The earliest value. Of fields of any type.
pub const TIDELOG_FIRST: u32 = 32;
/// The latest value. Of fields of any type.
pub const TIDELOG_LAST: u32 = 64;
/// Sample standard deviation.
pub const TIDELOG_STDDEV: u32 = 128;
/// When the least value stands first.
pub const TIDELOG_MIN_TIME: u32 = 256;
/// When the greatest value stands first.
pub const TIDELOG_MAX_TIME: u32 = 512;
/// By how much a counter went up, a fall being a restart at zero.
pub const TIDELOG_INCREASE: u32 = 1024;
/// The same per second.
pub const TIDELOG_RATE: u32 = 2048;
/// In the order in which their columns come.
const BITS: [(u32, Aggregate); 12] = [
    (TIDELOG_MEAN, Aggregate::Mean),
    (TIDELOG_MIN, Aggregate::Min),
    (TIDELOG_MAX, Aggregate::Max),
    (TIDELOG_SUM, Aggregate::Sum),
    (TIDELOG_COUNT, Aggregate::Count),
    (TIDELOG_FIRST, Aggregate::First),
    (TIDELOG_LAST, Aggregate::Last),
    (TIDELOG_STDDEV, Aggregate::Stddev),
    (TIDELOG_MIN_TIME, Aggregate::MinTime),
    (TIDELOG_MAX_TIME, Aggregate::MaxTime),
    (TIDELOG_INCREASE, Aggregate::Increase),
    (TIDELOG_RATE, Aggregate::Rate),
];
const AGGREGATES: u64 = 4095;

/// Calendar units of `zone`, for `every_unit`: fifteen minutes.
pub const TIDELOG_QUARTER_HOUR: u32 = 1;
/// Thirty minutes.
pub const TIDELOG_HALF_HOUR: u32 = 2;
/// An hour.
pub const TIDELOG_HOUR: u32 = 3;
/// A civil day.
pub const TIDELOG_DAY: u32 = 4;
/// Seven days from Monday.
pub const TIDELOG_WEEK: u32 = 5;
/// A civil month.
pub const TIDELOG_MONTH: u32 = 6;
/// Three months.
pub const TIDELOG_QUARTER: u32 = 7;
/// A civil year.
pub const TIDELOG_YEAR: u32 = 8;

/// Windows without rows are left out.
pub const TIDELOG_FILL_NONE: u32 = 0;
/// They are there, without values.
pub const TIDELOG_FILL_NULL: u32 = 1;
/// They have the value of the window before, at most `fill_gap_ns` back.
pub const TIDELOG_FILL_PREVIOUS: u32 = 2;
/// They lie on the line between the windows around, at most `fill_gap_ns` apart. Floats only.
pub const TIDELOG_FILL_LINEAR: u32 = 3;
/// They have `fill_value`.
pub const TIDELOG_FILL_VALUE: u32 = 4;

/// Newest rows first, inside of a device.
pub const TIDELOG_QUERY_DESCENDING: u32 = 1;
/// One result over all devices together. Needs aggregates.
pub const TIDELOG_QUERY_ALL_DEVICES: u32 = 2;
/// Take the nearest windows where retention has left no exact ones, instead of `TIDELOG_RESOLUTION_GONE`.
pub const TIDELOG_QUERY_NEAREST: u32 = 4;
const QUERY_FLAGS: u64 = 7;

/// What is asked for. Zero means all: every device, every field, all of time, raw rows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_query_options {
    /// `sizeof(tidelog_query_options)`.
    pub struct_size: u32,
    /// A sum of `TIDELOG_QUERY_*`.
    pub flags: u32,
    /// At most so many rows, the first in order; zero: all.
    pub limit: u64,
    /// The width of windows that begin at multiples of it since 1970; zero: no windows, or `every_unit`.
    pub every_ns: u64,
    /// What stands in windows without values is at most so old, or its ends so far apart; zero: any.
    pub fill_gap_ns: u64,
    /// For `TIDELOG_FILL_VALUE`.
    pub fill_value: f64,
    /// The width of windows as a calendar unit, `TIDELOG_DAY` and so on; zero: none.
    pub every_unit: u32,
    /// A sum of `TIDELOG_MEAN` and so on: a column for each of a field, named `field_mean`, in the order of their numbers.
    /// Zero with windows: the mean. Without windows, one window spans the range.
    pub aggregates: u32,
    /// `TIDELOG_FILL_*`.
    pub fill: u32,
    /// At most so many threads, the caller's included; zero: as many as there are cores.
    pub threads: u32,
    /// The time zone of `every_unit`, as "Europe/Berlin"; NULL: UTC.
    pub zone: *const c_char,
    /// The first nanosecond; NULL: from the beginning.
    pub from_ns: *const i64,
    /// The nanosecond after the last; NULL: to the end.
    pub to_ns: *const i64,
    /// Only these fields, in this order; NULL: all.
    pub fields: *const *const c_char,
    /// How many they are.
    pub field_count: usize,
    /// Only rows that satisfy all of these.
    pub predicates: *const tidelog_predicate,
    /// How many they are.
    pub predicate_count: usize,
    /// `sizeof(tidelog_predicate)`, when there are any.
    pub predicate_stride: usize,
    /// Only these devices.
    pub devices: tidelog_devices,
    /// How long fields had a value: an equality each. A column "field_in_value" (i64, nanoseconds) behind the aggregates, or without any,
    /// alone. The last value holds to the end of the range, or where that is open, to its own time. Fields of bool, string, i64 or u64.
    pub states: *const tidelog_predicate,
    /// How many they are.
    pub state_count: usize,
    /// `sizeof(tidelog_predicate)`, when there are any.
    pub state_stride: usize,
}

// SAFETY: pointers and integers; there is no padding where pointers have 4 or 8 bytes but for 4 bytes at the end where they
// have 4, which are never looked at.
unsafe impl Plain for tidelog_query_options {
    const NAME: &'static str = "tidelog_query_options";
}
// SAFETY: as above, with a size in front.
unsafe impl Sized32 for tidelog_query_options {}

/// Every two points between which the least and the greatest are kept; 4 or more points.
pub const TIDELOG_MIN_MAX: u32 = 1;
/// Largest triangle three buckets: what matters most to the eye; 3 or more points.
pub const TIDELOG_LTTB: u32 = 2;
/// First, last, least and greatest of each of so many columns of pixels.
pub const TIDELOG_M4: u32 = 3;

/// Texts with NULs at their ends.
///
/// # Safety
/// `texts` is NULL, or points to so many pointers to texts.
pub(super) unsafe fn texts<'a>(
    texts: *const *const c_char,
    count: usize,
    what: &str,
) -> Result<Vec<&'a str>, Fault> {
    // SAFETY: as promised to this function.
    unsafe { raw::slice(texts, count, what)?.iter().map(|text| raw::text(*text, what)).collect() }
}

/// # Safety
/// The pointers are what the header says.
pub(super) unsafe fn selector(given: &tidelog_devices) -> Result<DeviceSelector, Fault> {
    let mut selector = DeviceSelector::all();
    raw::check_flags(
        given.reserved.iter().fold(0, |all, one| all | *one as u64),
        0,
        tidelog_devices::NAME,
    )?;
    // SAFETY: as promised to this function.
    unsafe {
        if !given.names.is_null() {
            let names = texts(given.names, given.name_count, "devices.names")?;
            let devices = names.into_iter().map(Device::parse).collect::<Result<_, _>>()?;
            selector.devices = Some(devices);
        }
        selector.prefix = raw::text_or_null(given.prefix, "devices.prefix")?.map(str::to_owned);
        for label in raw::slice(given.labels, given.label_count, "devices.labels")? {
            let key = raw::text(label.key, "the key of a label")?.to_owned();
            let value = raw::text(label.value, "the value of a label")?.to_owned();
            selector.labels.push((key, value));
        }
    }
    Ok(selector)
}

/// # Safety
/// `bound` is NULL or can be read.
pub(super) unsafe fn bound(bound: *const i64) -> Option<Timestamp> {
    // SAFETY: as promised to this function.
    (!bound.is_null()).then(|| Timestamp(unsafe { bound.read_unaligned() }))
}

/// # Safety
/// `data` is what the header says.
unsafe fn value(given: &tidelog_value) -> Result<Value, Fault> {
    // SAFETY: as promised to this function.
    let data =
        || unsafe { raw::slice(given.data.cast::<u8>(), given.length, "the data of a value") };
    Ok(match given.kind {
        super::batch::TIDELOG_F64 => Value::F64(given.real),
        super::batch::TIDELOG_F32 => Value::F32(given.real as f32),
        super::batch::TIDELOG_I64 => Value::I64(given.integer),
        super::batch::TIDELOG_U64 => Value::U64(given.unsigned_integer),
        super::batch::TIDELOG_BOOL => Value::Bool(given.boolean != 0),
        super::batch::TIDELOG_STRING => Value::String(raw::utf8(data()?, "a value")?.to_owned()),
        super::batch::TIDELOG_BYTES => Value::Bytes(data()?.to_vec()),
        other => {
            return Err(Fault::argument(format!(
                "{other} is no type of a value: TIDELOG_F64 (1) to TIDELOG_BYTES (7) are"
            )));
        }
    })
}

/// # Safety
/// The pointers are what the header says.
unsafe fn predicates(
    given: *const tidelog_predicate,
    count: usize,
    stride: usize,
    what: &str,
) -> Result<Vec<Predicate>, Fault> {
    // SAFETY: as promised to this function.
    let all = unsafe { raw::structs(given, count, stride, what)? };
    let predicate = |given: &tidelog_predicate| {
        let comparison = match given.comparison {
            TIDELOG_EQUAL => Comparison::Equal,
            TIDELOG_NOT_EQUAL => Comparison::NotEqual,
            TIDELOG_LESS => Comparison::Less,
            TIDELOG_LESS_OR_EQUAL => Comparison::LessOrEqual,
            TIDELOG_GREATER => Comparison::Greater,
            TIDELOG_GREATER_OR_EQUAL => Comparison::GreaterOrEqual,
            other => {
                return Err(Fault::argument(format!(
                    "{other} is no comparison: TIDELOG_EQUAL (1) to TIDELOG_GREATER_OR_EQUAL (6) are"
                )));
            }
        };
        raw::check_flags(u64::from(given.reserved), 0, tidelog_predicate::NAME)?;
        // SAFETY: as promised to this function.
        unsafe {
            let field = raw::text(given.field, "the field of a predicate")?.to_owned();
            Ok(Predicate { field, comparison, value: value(&given.value)? })
        }
    };
    all.iter().map(predicate).collect()
}

/// What was asked as states: equalities.
///
/// # Safety
/// The pointers are what the header says.
unsafe fn states(given: &tidelog_query_options) -> Result<Vec<Predicate>, Fault> {
    // SAFETY: as promised to this function.
    let all = unsafe { predicates(given.states, given.state_count, given.state_stride, "states")? };
    match all.iter().find(|state| state.comparison != Comparison::Equal) {
        None => Ok(all),
        Some(other) => Err(Fault::argument(format!(
            "the state of {} is no TIDELOG_EQUAL: a state is a value that the field has",
            other.field
        ))),
    }
}

fn every(given: &tidelog_query_options, zone: Option<&str>) -> Result<Option<Every>, Fault> {
    let unit = match given.every_unit {
        0 => None,
        TIDELOG_QUARTER_HOUR => Some(Unit::QuarterHour),
        TIDELOG_HALF_HOUR => Some(Unit::HalfHour),
        TIDELOG_HOUR => Some(Unit::Hour),
        TIDELOG_DAY => Some(Unit::Day),
        TIDELOG_WEEK => Some(Unit::Week),
        TIDELOG_MONTH => Some(Unit::Month),
        TIDELOG_QUARTER => Some(Unit::Quarter),
        TIDELOG_YEAR => Some(Unit::Year),
        other => {
            return Err(Fault::argument(format!(
                "{other} is no calendar unit: TIDELOG_QUARTER_HOUR (1) to TIDELOG_YEAR (8) are"
            )));
        }
    };
    match (unit, given.every_ns) {
        (Some(_), 1..) => Err(Fault::argument("every_ns and every_unit are both set: set one")),
        (Some(unit), 0) => Ok(Some(Every::Calendar { unit, zone: zone.map(str::to_owned) })),
        (None, _) if zone.is_some() => {
            Err(Fault::argument("zone goes with every_unit only: set that, too"))
        }
        (None, 0) => Ok(None),
        (None, nanos) => Ok(Some(Every::Duration(Duration::from_nanos(nanos)))),
    }
}

fn fill_of(given: &tidelog_query_options) -> Result<Fill, Fault> {
    let gap = (given.fill_gap_ns > 0).then(|| Duration::from_nanos(given.fill_gap_ns));
    Ok(match given.fill {
        TIDELOG_FILL_NONE => Fill::None,
        TIDELOG_FILL_NULL => Fill::Null,
        TIDELOG_FILL_PREVIOUS => Fill::Previous(gap),
        TIDELOG_FILL_LINEAR => Fill::Linear(gap),
        TIDELOG_FILL_VALUE => Fill::Value(given.fill_value),
        other => {
            return Err(Fault::argument(format!(
                "{other} is no fill: TIDELOG_FILL_NONE (0) to TIDELOG_FILL_VALUE (4) are"
            )));
        }
    })
}

/// The query, and whether its rows are of devices.
///
/// # Safety
/// `given` is NULL or what the header says.
pub unsafe fn query_of(given: *const tidelog_query_options) -> Result<(Query, bool), Fault> {
    // SAFETY: as promised to this function.
    let (given, devices, fields, range, zone, predicates) = unsafe {
        let given = raw::options(given)?;
        let fields = match given.fields.is_null() {
            true => None,
            false => Some(texts(given.fields, given.field_count, "fields")?),
        };
        let range = (bound(given.from_ns), bound(given.to_ns));
        let zone = raw::text_or_null(given.zone, "zone")?;
        let (count, stride) = (given.predicate_count, given.predicate_stride);
        let predicates = predicates(given.predicates, count, stride, "predicates")?;
        (given, selector(&given.devices)?, fields, range, zone, (predicates, states(&given)?))
    };
    let (predicates, states) = predicates;
    raw::check_flags(u64::from(given.flags), QUERY_FLAGS, tidelog_query_options::NAME)?;
    raw::check_flags(u64::from(given.aggregates), AGGREGATES, tidelog_query_options::NAME)?;
    let has = |flag: u32| given.flags & flag != 0;
    let aggregates = BITS.iter().filter(|(bit, _)| given.aggregates & bit != 0);
    let mut query = Query::new()
        .devices(devices)
        .range(range.0, range.1)
        .aggregates(aggregates.map(|(_, aggregate)| *aggregate))
        .fill(fill_of(&given)?)
        .nearest(has(TIDELOG_QUERY_NEAREST));
    for state in &states {
        query = query.time_in_state(state.field.as_str(), state.value.as_ref());
    }
    if let Some(fields) = fields {
        query = query.fields(fields);
    }
    if let Some(every) = every(&given, zone)? {
        query = query.every(every);
    }
    if has(TIDELOG_QUERY_DESCENDING) {
        query = query.order(Order::Descending);
    }
    if has(TIDELOG_QUERY_ALL_DEVICES) {
        query = query.group_by(GroupBy::None);
    }
    if given.limit > 0 {
        query = query.limit(given.limit);
    }
    if given.threads > 0 {
        query = query.threads(given.threads as usize);
    }
    Ok((predicates.into_iter().fold(query, Query::filter), !has(TIDELOG_QUERY_ALL_DEVICES)))
}

/// Asks a collection. The result sees the store as it is at this moment, whole batches only, whatever is written, flushed or
/// compacted while it is read. Rows come by device and time. `options` may be NULL: everything.
///
/// Errors: `TIDELOG_NOT_FOUND` for a collection or field that is not there, `TIDELOG_INVALID_ARGUMENT`; damage is met while the
/// result is read.
///
/// Threads: any. Queries over many devices read ahead on a few threads, which end with the result. Blocks: disk.
/// Since: 0.1. Owns: `*result` is the caller's, to be ended by `tidelog_result_close`; it is NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_query(
    store: *const tidelog_store,
    collection: *const c_char,
    options: *const tidelog_query_options,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let store = store_of(store)?;
            let name = CollectionName::parse(raw::text(collection, "collection")?)?;
            let (query, devices) = query_of(options)?;
            hand_out(Rows::of_answer(store.query(&name, query)?, devices), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_query", error, call) }
}

/// The latest row of each device, all its fields as they are in that row. Of the options, those of devices, fields, range and
/// predicates count.
///
/// Errors: as `tidelog_query`.
///
/// Threads: any. Blocks: disk at first; once asked, no, until files or deletes change. Since: 0.1.
/// Owns: as `tidelog_query`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_latest(
    store: *const tidelog_store,
    collection: *const c_char,
    options: *const tidelog_query_options,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let store = store_of(store)?;
            let name = CollectionName::parse(raw::text(collection, "collection")?)?;
            let (fields, batch) = store.latest(&name, query_of(options)?.0)?;
            hand_out(Rows::of_batch(fields, batch), result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_latest", error, call) }
}

/// About as many points as a plot can show, of one numeric field, for each device: `method` is `TIDELOG_MIN_MAX`, `TIDELOG_LTTB` or
/// `TIDELOG_M4`, `points` is the number of points or, for M4, of columns of pixels. Every point is one of the field's own. The
/// result has the field's name and type. Of the options, those of devices, range and predicates count, and `fields` names
/// exactly one field.
///
/// Errors: as `tidelog_query`; `TIDELOG_INVALID_ARGUMENT` when the field is no number or the points are too few.
///
/// Threads: any. Blocks: disk; all points are chosen before it returns. Since: 0.1. Owns: as `tidelog_query`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_downsample(
    store: *const tidelog_store,
    collection: *const c_char,
    options: *const tidelog_query_options,
    method: u32,
    points: usize,
    result: *mut *mut tidelog_result,
    error: *mut tidelog_error,
) -> tidelog_status {
    let call = || {
        raw::check_put(result, "result")?;
        // SAFETY: the caller's pointers, as the header says.
        unsafe {
            raw::put_if_wanted(result, std::ptr::null_mut());
            let method = method_of(method, points)?;
            let store = store_of(store)?;
            let name = CollectionName::parse(raw::text(collection, "collection")?)?;
            let points = store.downsample(&name, one_field(options)?, method)?;
            hand_out(tables::points(points)?, result)
        }
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_downsample", error, call) }
}

pub fn method_of(method: u32, points: usize) -> Result<Downsample, Fault> {
    Ok(match method {
        TIDELOG_MIN_MAX => Downsample::MinMax { points },
        TIDELOG_LTTB => Downsample::Lttb { points },
        TIDELOG_M4 => Downsample::M4 { columns: points },
        other => {
            return Err(Fault::argument(format!(
                "{other} is no method: TIDELOG_MIN_MAX (1), TIDELOG_LTTB (2) and TIDELOG_M4 (3) are"
            )));
        }
    })
}

/// A query that names exactly one field.
///
/// # Safety
/// `options` is NULL or what the header says.
pub unsafe fn one_field(options: *const tidelog_query_options) -> Result<Query, Fault> {
    // SAFETY: as promised to this function.
    unsafe {
        if raw::options(options)?.field_count != 1 {
            return Err(Fault::argument(
                "fields names not exactly one field: name the one to plot",
            ));
        }
        Ok(query_of(options)?.0)
    }
}
