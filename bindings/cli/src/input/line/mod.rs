//! InfluxDB line protocol as rows: a measurement is a collection, a series is a device.
//!
//! The device is named as the measurement, with the tags as labels, so that its canonical text is
//! the series key that users know (`cpu,host=a,region=b`). Every measurement gets a collection of
//! its own in one database, so one text fills several batches.
//!
//! The crate `influxdb-line-protocol` parses; where a line ends is ours to find (`lines.rs`).

mod lines;

use super::devices::DeviceTable;
use super::nudge::{Nudger, Order, SameTime};
use super::source::{Input, Source};
use super::{BadLine, BatchReader, Counts, InputError};
use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};
use lines::LogicalLines;
use std::collections::HashMap;
use tidelog::model::{
    BATCH_BYTES_MAX, Batch, BatchError, CollectionName, Device, DeviceIndex, FIELDS_MAX, FieldType,
    Name, NameError, VALUE_BYTES_MAX, ValueRef,
};

/// How line protocol is read.
#[derive(Clone, Debug)]
pub(crate) struct LineOptions {
    /// The database of all collections, from [`parse_target`].
    pub(crate) database: Name,
    /// By collection: the types its fields have already.
    pub(crate) known_types: HashMap<Box<str>, HashMap<Box<str>, FieldType>>,
    /// The time of lines that give none, in nanoseconds: when the import began.
    pub(crate) now: i64,
    /// What happens to rows of one device with equal times.
    pub(crate) same_time: SameTime,
    /// Rows per [`BatchReader::read`], over all collections.
    pub(crate) batch_rows: usize,
    /// Stop at the first bad line.
    pub(crate) strict: bool,
}

/// Why the target of an import of line protocol was not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("each measurement of line protocol is a collection: write DB.* instead of {given:?}")]
    NotAll { given: String },
    #[error(transparent)]
    Name(#[from] NameError),
}

/// The database that `DB.*` means.
///
/// # Errors
/// When the text is not of this form.
pub(crate) fn parse_target(text: &str) -> Result<Name, TargetError> {
    let refuse = || TargetError::NotAll { given: text.to_string() };
    let database = text.strip_suffix(".*").ok_or_else(refuse)?;
    // Checks that the name can be one: no dots, no control characters.
    Ok(CollectionName::new(database, "any")?.database().clone())
}

/// Reads one text of line protocol.
///
/// With [`SameTime::Nudge`] all times in use are remembered, about 40 bytes per row, for there is
/// no first reading that could tell which devices step back.
pub(crate) struct LineReader {
    lines: LogicalLines<Source>,
    options: LineOptions,
    collections: HashMap<Box<str>, usize>,
    /// By collection number.
    batches: Vec<Batch>,
    known: Vec<Known>,
    devices: DeviceTable,
    nudger: Nudger,
    rows: usize,
    bytes: usize,
    counts: Counts,
}

/// What a collection's lines had so far.
#[derive(Debug, Default)]
struct Known {
    types: HashMap<Box<str>, FieldType>,
    /// By series key, as it stands in the text: the device's number over all collections and its
    /// index in the batch.
    series: HashMap<Box<str>, (usize, DeviceIndex)>,
}

impl LineReader {
    /// Opens an input; it is read once, as it comes.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(input: &Input, options: LineOptions) -> Result<Self, InputError> {
        Ok(LineReader {
            lines: LogicalLines::new(input.open()?),
            options,
            collections: HashMap::new(),
            batches: Vec::new(),
            known: Vec::new(),
            devices: DeviceTable::default(),
            nudger: Nudger::new(Order::default()),
            rows: 0,
            bytes: 0,
            counts: Counts::default(),
        })
    }

    /// Goes on with another input: types and times in use stay known.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open_next(&mut self, input: &Input) -> Result<(), InputError> {
        self.lines = LogicalLines::new(input.open()?);
        Ok(())
    }

    fn begin_batches(&mut self) {
        (self.rows, self.bytes) = (0, 0);
        let devices_max = DEVICES_MAX.max(16 * self.options.batch_rows);
        for (batch, known) in self.batches.iter_mut().zip(&mut self.known) {
            // Writing a batch costs time for every device it knows.
            if known.series.len() > devices_max {
                *batch = Batch::for_collection(batch.collection().clone());
                known.series.clear();
            }
            batch.clear();
        }
    }

    fn push(&mut self, line: &ParsedLine<'_>, size: usize) -> Result<(), LineError> {
        let collection = self.collection(line.series.measurement.as_str())?;
        let known = &mut self.known[collection];
        known.check(line)?;
        let batch = &mut self.batches[collection];
        let key = line.series.to_string();
        let (device, index) = match known.series.get(key.as_str()) {
            Some(found) => *found,
            None => {
                let device = device_of(line)?;
                let found = (self.devices.add(device.clone()), batch.add_device(&device)?);
                known.series.insert(key.into(), found);
                found
            }
        };
        let mut time = line.timestamp.unwrap_or(self.options.now);
        if self.options.same_time == SameTime::Nudge {
            // Device numbers are unique over collections, for a device's name is its collection's.
            time = self.nudger.place(device, time).ok_or(LineError::NoFreeTime)?;
        }
        let mut row_fields = Vec::with_capacity(line.field_set.len());
        for (name, value) in &line.field_set {
            let value = value_of(value);
            known.types.entry(name.as_str().into()).or_insert(value.field_type());
            row_fields.push((batch.field(name.as_str(), value.field_type())?, value));
        }
        let mut row = batch.row(index, time)?;
        for (field, value) in row_fields {
            row = row.set(field, value)?;
        }
        self.rows += 1;
        self.bytes += size + ROW_BYTES;
        Ok(())
    }

    fn collection(&mut self, measurement: &str) -> Result<usize, NameError> {
        if let Some(number) = self.collections.get(measurement) {
            return Ok(*number);
        }
        let name = CollectionName::new(&self.options.database, measurement)?;
        self.batches.push(Batch::for_collection(name));
        let types = self.options.known_types.get(measurement).cloned().unwrap_or_default();
        self.known.push(Known { types, series: HashMap::new() });
        self.collections.insert(measurement.into(), self.batches.len() - 1);
        Ok(self.batches.len() - 1)
    }
}

impl BatchReader for LineReader {
    fn read(&mut self, report: &mut dyn FnMut(&BadLine)) -> Result<bool, InputError> {
        self.begin_batches();
        while self.rows < self.options.batch_rows.max(1) && self.bytes < BATCH_BYTES_ENOUGH {
            let next = self.lines.next();
            let (number, bytes) = match next {
                Ok(None) => break,
                Ok(Some(line)) => line,
                Err(source) => return Err(self.lines.input().error(source)),
            };
            let result = match std::str::from_utf8(&bytes) {
                _ if bytes.len() > LINE_BYTES_MAX => Err(LineError::TooLong),
                Err(_) => Err(LineError::Encoding),
                Ok(text) => match parse_lines(text).next() {
                    None => continue,
                    Some(Ok(line)) => self.push(&line, bytes.len()),
                    Some(Err(error)) => {
                        self.lines.keep_only_first();
                        Err(LineError::Syntax(error))
                    }
                },
            };
            if let Err(error) = result {
                self.counts.rejected += 1;
                let input = self.lines.input().name().clone();
                let bad = BadLine { input, line: number, why: error.to_string() };
                if self.options.strict {
                    return Err(InputError::Strict(bad));
                }
                report(&bad);
            }
        }
        self.counts.rows += self.rows as u64;
        self.counts.values += self.batches.iter().map(|b| b.count_values() as u64).sum::<u64>();
        Ok(self.rows > 0)
    }

    fn batches(&self) -> &[Batch] {
        &self.batches
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn bytes_read(&self) -> u64 {
        self.lines.input().bytes_read()
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("this is not line protocol: {0}")]
    Syntax(influxdb_line_protocol::Error),
    #[error(
        "field {field:?} has type {known} already, not {given}: use another field name for {given}"
    )]
    Conflict { field: String, known: FieldType, given: FieldType },
    #[error("field {field:?} is beyond the range of f64")]
    Infinite { field: String },
    #[error("a value has more than {VALUE_BYTES_MAX} bytes: cut it into several")]
    ValueTooLong,
    #[error("the line has more than {LINE_BYTES_MAX} bytes: is a quote left open?")]
    TooLong,
    #[error("the text is not UTF-8: convert the file")]
    Encoding,
    #[error("no nanosecond is free after this time: give the row an earlier one")]
    NoFreeTime,
    #[error(
        "measurement {measurement:?} would have more than {FIELDS_MAX} fields: use tags instead of field names"
    )]
    Fields { measurement: String },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl Known {
    /// Refuses a line before anything of it is kept: a batch does not forget a field.
    fn check(&self, line: &ParsedLine<'_>) -> Result<(), LineError> {
        let mut added = 0;
        for (index, (name, value)) in line.field_set.iter().enumerate() {
            let value = value_of(value);
            let given = value.field_type();
            let earlier = || {
                let same = line.field_set[..index].iter().find(|(other, _)| other == name);
                same.map(|(_, value)| value_of(value).field_type())
            };
            let field = || name.as_str().to_string();
            match self.types.get(name.as_str()).copied().or_else(earlier) {
                Some(known) if known != given => {
                    return Err(LineError::Conflict { field: field(), known, given });
                }
                Some(_) => {}
                None => {
                    Name::new("field", name.as_str())?;
                    added += 1;
                }
            }
            match value {
                ValueRef::F64(v) if !v.is_finite() => {
                    return Err(LineError::Infinite { field: field() });
                }
                ValueRef::String(v) if v.len() > VALUE_BYTES_MAX => {
                    return Err(LineError::ValueTooLong);
                }
                _ => {}
            }
        }
        if self.types.len() + added > FIELDS_MAX {
            let measurement = line.series.measurement.as_str().to_string();
            return Err(LineError::Fields { measurement });
        }
        Ok(())
    }
}

fn device_of(line: &ParsedLine<'_>) -> Result<Device, NameError> {
    let tags = line.series.tag_set.iter().flatten();
    let labels = tags.map(|(key, value)| (key.as_str(), value.as_str()));
    Device::with_labels(line.series.measurement.as_str(), labels)
}

fn value_of<'a>(value: &'a FieldValue<'_>) -> ValueRef<'a> {
    match value {
        FieldValue::I64(v) => ValueRef::I64(*v),
        FieldValue::U64(v) => ValueRef::U64(*v),
        FieldValue::F64(v) => ValueRef::F64(*v),
        FieldValue::String(v) => ValueRef::String(v.as_str()),
        FieldValue::Boolean(v) => ValueRef::Bool(*v),
    }
}

/// The most bytes of one line. With what a batch holds before and twice the line (many short
/// numbers) it still fits into one batch.
const LINE_BYTES_MAX: usize = 20 << 20;
const BATCH_BYTES_ENOUGH: usize = 8 << 20;
/// What a batch counts for a row without values.
const ROW_BYTES: usize = 12;
const _: () = assert!(2 * (LINE_BYTES_MAX + BATCH_BYTES_ENOUGH) < BATCH_BYTES_MAX);
const DEVICES_MAX: usize = 16_384;

#[cfg(test)]
mod tests;
