//! Batches: rows of one collection in columns, built row-wise or column-wise, reused without
//! allocating, and cut into one sub-batch per group when they are written.

use crate::batch_v1::{BatchV1, FieldV1};
use crate::column::Column;
use crate::device::Device;
use crate::name::{CollectionName, Name, NameError};
use crate::placement::{PlacementHash, Placer};
use crate::stamp::Version;
use crate::time::LeafWidth;
use crate::values::{FieldType, Value, ValueRef, Values};
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

/// A field of one batch, as [`Batch::field`] numbered it. Valid as long as the batch lives, across
/// [`Batch::clear`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldIndex(u32);

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
        let before = self.bytes;
        self.row(device, time)?;
        for (name, value) in values {
            let value = value.into();
            let set =
                self.field(name, value.field_type()).and_then(|field| self.set_last(field, value));
            if let Err(error) = set {
                self.truncate(self.rows() - 1);
                self.bytes = before;
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

    /// Cuts the rows into one sub-batch per group that has any, under one version. `cutter` keeps
    /// the memory for the next time.
    ///
    /// Rows of one device at one time are merged first: the later row wins, cell by cell.
    ///
    /// # Panics
    /// When `groups` is 0.
    pub fn cut(
        &self,
        groups: u32,
        version: Version,
        leaf: LeafWidth,
        cutter: &mut Cutter,
        mut emit: impl FnMut(&BatchV1),
    ) {
        cutter.sort(self, groups);
        let mut from = 0;
        while from < cutter.device_order.len() {
            let group = self.group_of(cutter.device_order[from], groups);
            let to = from
                + cutter.device_order[from..]
                    .iter()
                    .take_while(|device| self.group_of(**device, groups) == group)
                    .count();
            cutter.fill(self, from..to);
            let sub = &mut cutter.sub_batch;
            sub.group = group;
            sub.groups = groups;
            sub.stamp = version.stamp.0;
            sub.origin = version.origin.0;
            sub.leaf_minutes = leaf as u8;
            emit(sub);
            from = to;
        }
    }

    fn group_of(&self, device: u32, groups: u32) -> u32 {
        self.devices[device as usize].place.group(groups).0
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

/// The last row of a batch, being given its values.
#[derive(Debug)]
pub struct Row<'a> {
    batch: &'a mut Batch,
}

impl Row<'_> {
    /// Sets one field. What is not set stays absent.
    ///
    /// # Errors
    /// When the value is of another type than the field, or too long.
    pub fn set<'v>(
        self,
        field: FieldIndex,
        value: impl Into<ValueRef<'v>>,
    ) -> Result<Self, BatchError> {
        self.batch.set_last(field, value.into())?;
        Ok(self)
    }
}

/// Rows of a batch, being given their columns.
#[derive(Debug)]
pub struct Rows<'a> {
    batch: &'a mut Batch,
    first: usize,
}

macro_rules! plain_columns {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $kind:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// When the field has another type, was given already, or the number of values is not
        /// that of the rows.
        pub fn $name(mut self, field: FieldIndex, values: &[$type]) -> Result<Self, BatchError> {
            self.begin(field, FieldType::$kind, values.len(), size_of_val(values))?
                .extend_present(values.len(), |all| {
                    if let Values::$kind(all) = all {
                        all.extend_from_slice(values);
                    }
                });
            Ok(self)
        }
    )*};
}

impl Rows<'_> {
    plain_columns! {
        /// Gives a column of `f64`.
        f64: f64, F64;
        /// Gives a column of `f32`.
        f32: f32, F32;
        /// Gives a column of `i64`.
        i64: i64, I64;
        /// Gives a column of `u64`.
        u64: u64, U64;
        /// Gives a column of `bool`.
        bool: bool, Bool;
    }

    /// Gives a column of text.
    ///
    /// # Errors
    /// As [`Self::f64`], and when a text is too long.
    pub fn strings<S: AsRef<str>>(
        self,
        field: FieldIndex,
        values: &[S],
    ) -> Result<Self, BatchError> {
        self.var(field, FieldType::String, values.iter().map(|value| value.as_ref().as_bytes()))
    }

    /// Gives a column of byte strings.
    ///
    /// # Errors
    /// As [`Self::strings`].
    pub fn bytes<B: AsRef<[u8]>>(
        self,
        field: FieldIndex,
        values: &[B],
    ) -> Result<Self, BatchError> {
        self.var(field, FieldType::Bytes, values.iter().map(AsRef::as_ref))
    }

    /// Gives a column whose cells may be absent.
    ///
    /// # Errors
    /// As [`Self::f64`].
    pub fn column(mut self, field: FieldIndex, column: &Column) -> Result<Self, BatchError> {
        let bytes = column.heap_bytes();
        self.begin(field, column.field_type(), column.len(), bytes)?.extend_from(
            column,
            0,
            column.len(),
        );
        Ok(self)
    }

    fn var<'v>(
        mut self,
        field: FieldIndex,
        kind: FieldType,
        values: impl ExactSizeIterator<Item = &'v [u8]> + Clone,
    ) -> Result<Self, BatchError> {
        let mut bytes = 0usize;
        for value in values.clone() {
            bytes = bytes.saturating_add(value_bytes(ValueRef::Bytes(value))?);
        }
        let count = values.len();
        self.begin(field, kind, count, bytes)?.extend_present(count, |all| {
            if let Values::String(all) | Values::Bytes(all) = all {
                values.for_each(|value| all.push(value));
            }
        });
        Ok(self)
    }

    /// Checks a column of `count` values and pads the field up to the first of these rows.
    fn begin(
        &mut self,
        field: FieldIndex,
        kind: FieldType,
        count: usize,
        bytes: usize,
    ) -> Result<&mut Column, BatchError> {
        let rows = self.batch.rows() - self.first;
        let entry = self
            .batch
            .fields
            .get(field.0 as usize)
            .ok_or(BatchError::Unknown { what: "field", number: field.0 })?;
        let known = entry.column.field_type();
        if known != kind {
            let field = entry.name.to_string();
            return Err(BatchError::TypeConflict { field, known, given: kind });
        }
        if count != rows {
            return Err(BatchError::Length { what: entry.name.to_string(), given: count, rows });
        }
        if entry.column.len() > self.first {
            return Err(BatchError::Twice { field: entry.name.to_string() });
        }
        self.batch.reserve_bytes(bytes)?;
        let column = &mut self.batch.fields[field.0 as usize].column;
        column.pad(self.first);
        Ok(column)
    }
}

/// Memory for [`Batch::cut`], kept between batches.
#[derive(Debug, Default)]
pub struct Cutter {
    /// Devices that have rows, by group, then by first appearance.
    device_order: Vec<u32>,
    /// Per device: where its rows begin in `rows`. One more at the end.
    starts: Vec<u32>,
    /// Row numbers by device, in time order once `merge_rows` ran over a device.
    rows: Vec<u32>,
    /// Where the devices of each group begin, while they are sorted.
    group_starts: Vec<u32>,
    /// The rows of one sub-batch, in order.
    picked: Vec<u32>,
    /// By row kept: the older rows at its time, newest first. Empty unless times repeat.
    absorbed: HashMap<u32, Vec<u32>>,
    sub_batch: BatchV1,
}

impl Cutter {
    /// Counting sort of the rows by device, and of the devices by group.
    fn sort(&mut self, batch: &Batch, groups: u32) {
        let devices = batch.devices.len();
        self.starts.clear();
        self.starts.resize(devices + 1, 0);
        for device in &batch.row_devices {
            self.starts[*device as usize + 1] += 1;
        }
        self.device_order.clear();
        for device in 0..devices {
            if self.starts[device + 1] > 0 {
                self.device_order.push(u32::try_from(device).expect("devices are numbered by u32"));
            }
            self.starts[device + 1] += self.starts[device];
        }
        self.sort_devices(batch, groups);
        self.rows.clear();
        self.rows.resize(batch.rows(), 0);
        let mut next = core::mem::take(&mut self.picked);
        next.clear();
        next.extend_from_slice(&self.starts[..devices]);
        for (row, device) in batch.row_devices.iter().enumerate() {
            let slot = &mut next[*device as usize];
            self.rows[*slot as usize] =
                u32::try_from(row).expect("a batch has less than 2^32 rows");
            *slot += 1;
        }
        self.picked = next;
    }

    /// Counting sort of `device_order` by group: devices of a group stay in their order.
    fn sort_devices(&mut self, batch: &Batch, groups: u32) {
        let mut next = core::mem::take(&mut self.group_starts);
        next.clear();
        next.resize(groups as usize + 1, 0u32);
        for device in &self.device_order {
            next[batch.group_of(*device, groups) as usize + 1] += 1;
        }
        for group in 0..groups as usize {
            next[group + 1] += next[group];
        }
        self.picked.clear();
        self.picked.resize(self.device_order.len(), 0);
        for device in &self.device_order {
            let slot = &mut next[batch.group_of(*device, groups) as usize];
            self.picked[*slot as usize] = *device;
            *slot += 1;
        }
        core::mem::swap(&mut self.device_order, &mut self.picked);
        self.group_starts = next;
    }

    /// Fills the scratch sub-batch with the devices at `order` of `device_order`.
    fn fill(&mut self, batch: &Batch, order: core::ops::Range<usize>) {
        self.picked.clear();
        self.absorbed.clear();
        let sub = &mut self.sub_batch;
        sub.clear(batch.collection.database(), batch.collection.collection());
        for device in &self.device_order[order] {
            let device = *device as usize;
            let rows =
                &mut self.rows[self.starts[device] as usize..self.starts[device + 1] as usize];
            let before = self.picked.len();
            merge_rows(&batch.times, rows, &mut self.picked, &mut self.absorbed);
            sub.push_device(&batch.devices[device].text, self.picked.len() - before);
        }
        sub.set_times(self.picked.iter().map(|row| batch.times[*row as usize]));
        let mut used = 0;
        for field in &batch.fields {
            let target = sub.field_slot(used, &field.name, field.column.field_type());
            if fill_field(&field.column, &self.picked, &self.absorbed, target) {
                used += 1;
            }
        }
        sub.truncate_fields(used);
    }
}

/// Puts a device's rows in time order into `picked`. Of rows at one time the last is picked; the
/// older ones go to `absorbed`, newest first, to fill the cells it leaves absent.
fn merge_rows(
    times: &[i64],
    rows: &mut [u32],
    picked: &mut Vec<u32>,
    absorbed: &mut HashMap<u32, Vec<u32>>,
) {
    let time = |row: u32| times[row as usize];
    if rows.windows(2).all(|pair| time(pair[0]) < time(pair[1])) {
        picked.extend_from_slice(rows);
        return;
    }
    // Rows were in arrival order and the sort is stable, so equal times stay in arrival order.
    rows.sort_by_key(|row| time(*row));
    for same_time in rows.chunk_by(|a, b| time(*a) == time(*b)) {
        if let Some((kept, older)) = same_time.split_last() {
            picked.push(*kept);
            if !older.is_empty() {
                absorbed.insert(*kept, older.iter().rev().copied().collect());
            }
        }
    }
}

/// Encodes the picked rows of a column; `false` when none of them has a value.
fn fill_field(
    column: &Column,
    picked: &[u32],
    absorbed: &HashMap<u32, Vec<u32>>,
    target: &mut FieldV1,
) -> bool {
    let rows = column.len();
    if absorbed.is_empty()
        && column.presence().is_none()
        && picked.iter().all(|row| (*row as usize) < rows)
    {
        target.set_values(column.values(), picked.iter().map(|row| *row as usize));
        return !picked.is_empty();
    }
    let source = |row: u32| {
        let present = |row: u32| (row as usize) < rows && column.is_present(row as usize);
        if present(row) {
            return Some(row as usize);
        }
        absorbed
            .get(&row)
            .into_iter()
            .flatten()
            .find(|older| present(**older))
            .map(|older| *older as usize)
    };
    let sources: Vec<Option<usize>> = picked.iter().map(|row| source(*row)).collect();
    if sources.iter().all(Option::is_none) {
        return false;
    }
    target.set_presence(sources.iter().map(Option::is_some));
    target.set_values(column.values(), sources.into_iter().flatten());
    true
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

macro_rules! value_from {
    ($($type:ty => $kind:ident),*) => {$(
        impl From<$type> for ValueRef<'_> {
            fn from(value: $type) -> Self {
                ValueRef::$kind(value)
            }
        }
    )*};
}

value_from!(f64 => F64, f32 => F32, i64 => I64, u64 => U64, bool => Bool);

impl<'a> From<&'a str> for ValueRef<'a> {
    fn from(value: &'a str) -> Self {
        ValueRef::String(value)
    }
}

impl<'a> From<&'a [u8]> for ValueRef<'a> {
    fn from(value: &'a [u8]) -> Self {
        ValueRef::Bytes(value)
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.as_ref()
    }
}
