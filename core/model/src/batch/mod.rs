//! Batches: rows of one collection in columns, built row-wise or column-wise, reused without
//! allocating, and cut into one sub-batch per group when they are written (`cut`).

mod cut;
mod rows;

pub use cut::Cutter;
pub use rows::{Row, Rows};

use crate::column::Column;
use crate::device::Device;
use crate::name::{CollectionName, Name, NameError};
use crate::placement::{PlacementHash, Placer};
use crate::values::{FieldType, ValueRef, Values};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hashbrown::HashMap;

/// The most fields one collection may have.
pub const FIELDS_MAX: usize = 10_000;
/// The most bytes one string or bytes value may have.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// The most bytes one batch may hold.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// A device of one batch, as [`Batch::device`] numbered it. Valid as long as the batch lives,
/// across [`Batch::clear`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceIndex(u32);

impl DeviceIndex {
    /// The number, for callers that cannot hold the type.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// From a number. One that the batch did not give out is refused where it is used.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        DeviceIndex(number)
    }
}

/// A field of one batch, as [`Batch::field`] numbered it. Valid as long as the batch lives, across
/// [`Batch::clear`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldIndex(u32);

impl FieldIndex {
    /// The number, for callers that cannot hold the type.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// From a number. One that the batch did not give out is refused where it is used.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        FieldIndex(number)
    }
}

/// How far a batch was filled, to go back to: see [`Batch::mark`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    rows: usize,
    bytes: usize,
}

/// Why something could not be added to a batch. The batch is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A name was refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A field is used with two types.
    #[error("field {field:?} has type {known}, not {given}: use another field name for {given}")]
    TypeConflict {
        /// The field.
        field: String,
        /// The type it has.
        known: FieldType,
        /// The type that was given.
        given: FieldType,
    },
    /// Columns of one call differ in length.
    #[error("{what} has {given} values for {rows} rows: give one value per row")]
    Length {
        /// The column.
        what: String,
        /// How many values it has.
        given: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// A device or field number that this batch did not give out.
    #[error("{what} number {number} is not of this batch: ask the batch for it by name")]
    Unknown {
        /// "device" or "field".
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// A column was given twice for the same rows.
    #[error("field {field:?} was given twice for the same rows: give it once")]
    Twice {
        /// The field.
        field: String,
    },
    /// A limit was reached.
    #[error("{what} would pass the limit of {max}: {advice}")]
    Limit {
        /// What would grow too large.
        what: &'static str,
        /// The limit.
        max: usize,
        /// What to do.
        advice: &'static str,
    },
}

/// Rows of one collection, in columns.
///
/// ```
/// use tidelog_model::{Batch, FieldType};
/// let mut batch = Batch::new("plant.boiler")?;
/// let pump = batch.device("pump_1")?;
/// let pressure = batch.field("pressure", FieldType::F64)?;
/// for second in 0..3 {
///     batch.row(pump, second * 1_000_000_000)?.set(pressure, 4.2)?;
/// }
/// assert_eq!(batch.rows(), 3);
/// batch.clear(); // keeps devices, fields and memory
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    collection: CollectionName,
    placer: Placer,
    devices: Vec<BatchDevice>,
    device_numbers: HashMap<Box<str>, u32>,
    fields: Vec<BatchField>,
    field_numbers: HashMap<Name, u32>,
    row_devices: Vec<u32>,
    times: Vec<i64>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct BatchDevice {
    text: Box<str>,
    place: PlacementHash,
}

#[derive(Clone, Debug)]
struct BatchField {
    name: Name,
    /// May be shorter than the batch: the missing rows are absent.
    column: Column,
}

impl Batch {
    /// An empty batch for the collection `database.collection`.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn new(collection: &str) -> Result<Self, NameError> {
        Ok(Self::for_collection(CollectionName::parse(collection)?))
    }

    /// An empty batch for a collection.
    #[must_use]
    pub fn for_collection(collection: CollectionName) -> Self {
        Batch {
            placer: Placer::new(&collection),
            collection,
            devices: Vec::new(),
            device_numbers: HashMap::new(),
            fields: Vec::new(),
            field_numbers: HashMap::new(),
            row_devices: Vec::new(),
            times: Vec::new(),
            bytes: 0,
        }
    }

    /// The collection the rows are for.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        &self.collection
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// True when there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// How many values the rows have, absent ones not counted.
    #[must_use]
    pub fn count_values(&self) -> usize {
        self.fields.iter().map(|field| field.column.count_present()).sum()
    }

    /// Bytes that the rows take in a store's memory, the names of their devices included: times, where the
    /// series goes on, values, and what says where texts begin.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let rows = self.rows();
        let of_device = |device: &BatchDevice| device.text.len() + 64;
        let devices: usize = if rows < self.devices.len() {
            self.row_devices.iter().map(|at| of_device(&self.devices[*at as usize])).sum()
        } else {
            self.devices.iter().map(of_device).sum()
        };
        let is_text = |field: &&BatchField| {
            matches!(field.column.values(), Values::String(_) | Values::Bytes(_))
        };
        let texts: usize =
            self.fields.iter().filter(is_text).map(|field| field.column.count_present()).sum();
        // Of a row 12 bytes are counted already.
        self.bytes + 4 * rows + 4 * texts + devices
    }

    /// How many rows are before a time.
    #[must_use]
    pub fn count_before(&self, time: i64) -> usize {
        self.times.iter().filter(|at| **at < time).count()
    }

    /// Names and types of the fields, in the order they were named.
    pub fn fields(&self) -> impl Iterator<Item = (&Name, FieldType)> + '_ {
        self.fields.iter().map(|field| (&field.name, field.column.field_type()))
    }

    /// Removes the rows; devices, fields and memory stay.
    pub fn clear(&mut self) {
        self.row_devices.clear();
        self.times.clear();
        self.bytes = 0;
        self.fields.iter_mut().for_each(|field| field.column.clear());
    }

    /// The number of a device in this batch. `text` is a name, or `name,label=value,…`.
    ///
    /// # Errors
    /// When the text is no device.
    pub fn device(&mut self, text: &str) -> Result<DeviceIndex, BatchError> {
        // A text without escapes or labels is its own canonical form.
        if let Some(number) = self.device_numbers.get(text) {
            return Ok(DeviceIndex(*number));
        }
        self.add_device(&Device::parse(text)?)
    }

    /// The number of a device in this batch.
    ///
    /// # Errors
    /// When there are too many devices.
    pub fn add_device(&mut self, device: &Device) -> Result<DeviceIndex, BatchError> {
        let text = device.as_str();
        if let Some(number) = self.device_numbers.get(text) {
            return Ok(DeviceIndex(*number));
        }
        let number = u32::try_from(self.devices.len()).map_err(|_| BatchError::Limit {
            what: "the devices of one batch",
            max: u32::MAX as usize,
            advice: "start a new batch",
        })?;
        let place = self.placer.place(text);
        self.devices.push(BatchDevice { text: text.into(), place });
        self.device_numbers.insert(text.into(), number);
        Ok(DeviceIndex(number))
    }

    /// The number of a field in this batch; new names are added.
    ///
    /// # Errors
    /// When the name is not one, or the field already has another type.
    pub fn field(&mut self, name: &str, kind: FieldType) -> Result<FieldIndex, BatchError> {
        if let Some(number) = self.field_numbers.get(name) {
            let known = self.fields[*number as usize].column.field_type();
            if known != kind {
                let field = name.to_string();
                return Err(BatchError::TypeConflict { field, known, given: kind });
            }
            return Ok(FieldIndex(*number));
        }
        if self.fields.len() == FIELDS_MAX {
            return Err(BatchError::Limit {
                what: "the fields of one collection",
                max: FIELDS_MAX,
                advice: "use labels or devices instead of field names",
            });
        }
        let name = Name::new("field", name)?;
        let number = u32::try_from(self.fields.len()).expect("at most FIELDS_MAX");
        self.fields.push(BatchField { name: name.clone(), column: Column::new(kind) });
        self.field_numbers.insert(name, number);
        Ok(FieldIndex(number))
    }

    /// Begins a row without values; set them on what is returned.
    ///
    /// # Errors
    /// When the device is not of this batch, or the batch is full.
    pub fn row(&mut self, device: DeviceIndex, time: i64) -> Result<Row<'_>, BatchError> {
        self.check_device(device)?;
        self.reserve_bytes(12)?;
        self.row_devices.push(device.0);
        self.times.push(time);
        Ok(Row { batch: self })
    }

    /// The row that was begun last, to set more of its values.
    pub fn last_row(&mut self) -> Option<Row<'_>> {
        (!self.is_empty()).then_some(Row { batch: self })
    }

    /// How far the batch is filled now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { rows: self.rows(), bytes: self.bytes }
    }

    /// Takes back the rows that were begun since `mark`; devices and fields that were named since stay. A mark of
    /// another batch, or from before it was cleared, takes back nothing that is not there.
    pub fn go_back(&mut self, mark: Mark) {
        self.truncate(mark.rows);
        self.bytes = self.bytes.min(mark.bytes);
    }

    /// Adds a row by names: convenient, and slower than [`Self::row`] for each value's name is
    /// looked up.
    ///
    /// # Errors
    /// As [`Self::device`], [`Self::field`] and [`Row::set`]. No part of the row is kept then.
    pub fn push<'v, V: Into<ValueRef<'v>>>(
        &mut self,
        device: &str,
        time: i64,
        values: impl IntoIterator<Item = (&'v str, V)>,
    ) -> Result<(), BatchError> {
        let device = self.device(device)?;
        let before = self.mark();
        self.row(device, time)?;
        for (name, value) in values {
            let value = value.into();
            let set =
                self.field(name, value.field_type()).and_then(|field| self.set_last(field, value));
            if let Err(error) = set {
                self.go_back(before);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Begins as many rows as there are times; give their columns on what is returned.
    ///
    /// # Errors
    /// When the lengths differ, a device is not of this batch, or the batch is full.
    pub fn append(
        &mut self,
        devices: &[DeviceIndex],
        times: &[i64],
    ) -> Result<Rows<'_>, BatchError> {
        if devices.len() != times.len() {
            return Err(BatchError::Length {
                what: "the device column".into(),
                given: devices.len(),
                rows: times.len(),
            });
        }
        devices.iter().try_for_each(|device| self.check_device(*device))?;
        self.reserve_bytes(times.len().saturating_mul(12))?;
        let first = self.rows();
        self.row_devices.extend(devices.iter().map(|device| device.0));
        self.times.extend_from_slice(times);
        Ok(Rows { batch: self, first })
    }

    /// Begins rows of one device; give their columns on what is returned.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_series(
        &mut self,
        device: DeviceIndex,
        times: &[i64],
    ) -> Result<Rows<'_>, BatchError> {
        self.check_device(device)?;
        self.reserve_bytes(times.len().saturating_mul(12))?;
        let first = self.rows();
        self.row_devices.resize(first + times.len(), device.0);
        self.times.extend_from_slice(times);
        Ok(Rows { batch: self, first })
    }

    fn check_device(&self, device: DeviceIndex) -> Result<(), BatchError> {
        if (device.0 as usize) < self.devices.len() {
            return Ok(());
        }
        Err(BatchError::Unknown { what: "device", number: device.0 })
    }

    fn reserve_bytes(&mut self, extra: usize) -> Result<(), BatchError> {
        let bytes = self.bytes.saturating_add(extra);
        if bytes > BATCH_BYTES_MAX {
            return Err(BatchError::Limit {
                what: "the bytes of one batch",
                max: BATCH_BYTES_MAX,
                advice: "write what is there and begin a new batch",
            });
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Sets a field of the last row; the later of two values stays.
    fn set_last(&mut self, field: FieldIndex, value: ValueRef<'_>) -> Result<(), BatchError> {
        let bytes = value_bytes(value)?;
        let rows = self.rows();
        let entry = self
            .fields
            .get(field.0 as usize)
            .ok_or(BatchError::Unknown { what: "field", number: field.0 })?;
        let known = entry.column.field_type();
        if known != value.field_type() {
            let (field, given) = (entry.name.to_string(), value.field_type());
            return Err(BatchError::TypeConflict { field, known, given });
        }
        self.reserve_bytes(bytes)?;
        let column = &mut self.fields[field.0 as usize].column;
        if column.len() == rows {
            let mut shorter = Column::new(known);
            shorter.extend_from(column, 0, rows - 1);
            *column = shorter;
        }
        column.pad(rows - 1);
        column.push(value);
        Ok(())
    }

    /// Keeps the first `rows` rows.
    fn truncate(&mut self, rows: usize) {
        self.row_devices.truncate(rows);
        self.times.truncate(rows);
        for field in &mut self.fields {
            if field.column.len() > rows {
                let mut shorter = Column::new(field.column.field_type());
                shorter.extend_from(&field.column, 0, rows);
                field.column = shorter;
            }
        }
    }
}

fn value_bytes(value: ValueRef<'_>) -> Result<usize, BatchError> {
    let bytes = value.with_canonical_bytes(<[u8]>::len);
    if bytes > VALUE_BYTES_MAX {
        return Err(BatchError::Limit {
            what: "the bytes of one value",
            max: VALUE_BYTES_MAX,
            advice: "cut it into several values",
        });
    }
    Ok(bytes)
}
