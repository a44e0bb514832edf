//! `BatchV1`: a sub-batch (the rows of one group in one write) as bytes, the same in the log and on
//! the wire. Frozen: a change is a `BatchV2`.
//!
//! The archive is rkyv 0.8 (little-endian, 32-bit relative pointers, aligned to 8) of flat vectors of
//! bytes and fixed-width integers. Reading goes through [`SubBatch::read`], which validates the
//! archive (bytecheck), then every length, order, name, text and limit, before anything is used.
//!
//! Rows are grouped by device, and strictly increase in time within a device, so no row stands twice.

use crate::batch::{BATCH_BYTES_MAX, FIELDS_MAX};
use crate::device;
use crate::name::{CollectionName, Name};
use crate::stamp::{Stamp, StoreId, Version};
use crate::time::LeafWidth;
use crate::values::{FieldType, Values};
use alloc::vec::Vec;
use rkyv::rancor;
use rkyv::util::AlignedVec;

/// One column of encoded values.
#[derive(Clone, Debug, Default, rkyv::Archive, rkyv::Serialize)]
pub struct EncodedV1 {
    /// [`PLAIN`] or [`CONSTANT`].
    pub codec: u8,
    /// What the codec says.
    pub bytes: Vec<u8>,
}

/// Every value, little-endian, one after the other. A bool is one byte, 0 or 1. Strings: the end of
/// each (`u32`) among all of them, then all of them.
pub const PLAIN: u8 = 1;
/// One value that stands for all of them, as plain. Not for strings.
pub const CONSTANT: u8 = 2;

/// One field of a sub-batch.
#[derive(Clone, Debug, Default, rkyv::Archive, rkyv::Serialize)]
pub struct FieldV1 {
    /// The field's name, UTF-8.
    pub name: Vec<u8>,
    /// The number of its [`FieldType`].
    pub kind: u8,
    /// One bit per row, lowest first: has it a value? Empty when every row has.
    pub presence: Vec<u8>,
    /// The values of the rows that have one.
    pub values: EncodedV1,
}

/// A sub-batch. See the module documentation.
#[derive(Clone, Debug, Default, rkyv::Archive, rkyv::Serialize)]
pub struct BatchV1 {
    /// The database's name, UTF-8.
    pub database: Vec<u8>,
    /// The collection's name, UTF-8.
    pub collection: Vec<u8>,
    /// Who drew the stamp.
    pub origin: [u8; 16],
    /// When the write happened.
    pub stamp: u64,
    /// The group all rows belong to.
    pub group: u32,
    /// Among how many groups.
    pub groups: u32,
    /// The collection's leaf width in minutes, for a reader that does not know the collection yet.
    pub leaf_minutes: u8,
    /// The canonical texts of the devices, end to end.
    pub device_names: Vec<u8>,
    /// Where each device's text ends.
    pub device_ends: Vec<u32>,
    /// How many rows each device has; at least one.
    pub device_rows: Vec<u32>,
    /// The time of each row.
    pub times: EncodedV1,
    /// The fields that have a value in at least one row.
    pub fields: Vec<FieldV1>,
}

const _: () = {
    // The layout is part of the format. A build that enables rkyv's `unaligned`, `big_endian` or
    // another pointer width would write other bytes: refuse to compile instead.
    assert!(size_of::<ArchivedBatchV1>() == 96);
    assert!(align_of::<ArchivedBatchV1>() == 8);
    assert!(size_of::<ArchivedFieldV1>() == 32);
    assert!(size_of::<ArchivedEncodedV1>() == 12);
};

impl BatchV1 {
    /// Appends the archive to `out`, whose length must be a multiple of 16.
    ///
    /// # Panics
    /// When the length is not.
    pub fn write_to(&self, out: AlignedVec) -> AlignedVec {
        assert!(out.len().is_multiple_of(16), "an archive starts on its alignment");
        rkyv::api::high::to_bytes_in::<_, rancor::Panic>(self, out)
            .expect("writing to memory does not fail")
    }

    pub(crate) fn clear(&mut self, database: &str, collection: &str) {
        replace(&mut self.database, database.as_bytes());
        replace(&mut self.collection, collection.as_bytes());
        self.device_names.clear();
        self.device_ends.clear();
        self.device_rows.clear();
    }

    pub(crate) fn push_device(&mut self, text: &str, rows: usize) {
        let fits = "a batch is below 4 GiB";
        self.device_names.extend_from_slice(text.as_bytes());
        self.device_ends.push(u32::try_from(self.device_names.len()).expect(fits));
        self.device_rows.push(u32::try_from(rows).expect(fits));
    }

    pub(crate) fn set_times(&mut self, times: impl ExactSizeIterator<Item = i64> + Clone) {
        set_fixed(&mut self.times, times, |time| time.to_le_bytes());
    }

    /// The field at `index`, made anew or reused.
    pub(crate) fn field_slot(&mut self, index: usize, name: &str, kind: FieldType) -> &mut FieldV1 {
        if index == self.fields.len() {
            self.fields.push(FieldV1::default());
        }
        let field = &mut self.fields[index];
        replace(&mut field.name, name.as_bytes());
        field.kind = kind as u8;
        field.presence.clear();
        field
    }

    pub(crate) fn truncate_fields(&mut self, fields: usize) {
        self.fields.truncate(fields);
    }
}

impl FieldV1 {
    pub(crate) fn set_presence(&mut self, bits: impl ExactSizeIterator<Item = bool> + Clone) {
        self.presence.clear();
        if bits.clone().all(|bit| bit) {
            return;
        }
        self.presence.resize(bits.len().div_ceil(8), 0);
        for (index, bit) in bits.enumerate() {
            self.presence[index / 8] |= u8::from(bit) << (index % 8);
        }
    }

    pub(crate) fn set_values(
        &mut self,
        values: &Values,
        rows: impl Iterator<Item = usize> + Clone,
    ) {
        let target = &mut self.values;
        match values {
            Values::F64(all) => set_fixed(target, rows.map(|r| all[r].to_bits()), u64::to_le_bytes),
            Values::F32(all) => set_fixed(target, rows.map(|r| all[r].to_bits()), u32::to_le_bytes),
            Values::I64(all) => set_fixed(target, rows.map(|r| all[r]), i64::to_le_bytes),
            Values::U64(all) => set_fixed(target, rows.map(|r| all[r]), u64::to_le_bytes),
            Values::Bool(all) => set_fixed(target, rows.map(|r| u8::from(all[r])), u8::to_le_bytes),
            Values::String(all) | Values::Bytes(all) => {
                target.codec = PLAIN;
                target.bytes.clear();
                let mut end = 0u32;
                for row in rows.clone() {
                    let len = u32::try_from(all.at(row).len()).expect("values are capped");
                    end = end.checked_add(len).expect("a batch is below 4 GiB");
                    target.bytes.extend_from_slice(&end.to_le_bytes());
                }
                rows.for_each(|row| target.bytes.extend_from_slice(all.at(row)));
            }
        }
    }
}

fn replace(target: &mut Vec<u8>, with: &[u8]) {
    target.clear();
    target.extend_from_slice(with);
}

/// Encodes fixed-width values: one when all are equal, else all.
fn set_fixed<T: Copy + PartialEq, const N: usize>(
    target: &mut EncodedV1,
    values: impl Iterator<Item = T> + Clone,
    to_bytes: impl Fn(T) -> [u8; N],
) {
    target.bytes.clear();
    let mut rest = values.clone();
    let first = rest.next();
    match first {
        Some(first) if rest.all(|value| value == first) => {
            target.codec = CONSTANT;
            target.bytes.extend_from_slice(&to_bytes(first));
        }
        _ => {
            target.codec = PLAIN;
            values.for_each(|value| target.bytes.extend_from_slice(&to_bytes(value)));
        }
    }
}

/// Why bytes are not a sub-batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubBatchError {
    /// The archive's structure is damaged.
    #[error("not a BatchV1 archive")]
    Archive,
    /// The archive holds something that no writer produces.
    #[error("not a sub-batch: {0}")]
    Content(&'static str),
}

/// A sub-batch, read from bytes and checked whole.
#[derive(Clone, Copy)]
pub struct SubBatch<'a> {
    archive: &'a ArchivedBatchV1,
    rows: usize,
}

impl<'a> SubBatch<'a> {
    /// Checks bytes from a disk or a peer. They must be aligned to 16 bytes.
    ///
    /// # Errors
    /// When they are anything but a sub-batch that [`crate::Batch::cut`] could have made.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SubBatchError> {
        if bytes.len() > 2 * BATCH_BYTES_MAX {
            return Err(SubBatchError::Content("longer than a batch may be"));
        }
        let archive = rkyv::access::<ArchivedBatchV1, rancor::Failure>(bytes)
            .map_err(|_| SubBatchError::Archive)?;
        let rows = check(archive).map_err(SubBatchError::Content)?;
        Ok(SubBatch { archive, rows })
    }

    /// The collection the rows are for.
    ///
    /// # Panics
    /// Never: the name was checked.
    #[must_use]
    pub fn collection(&self) -> CollectionName {
        collection_of(self.archive).expect("checked in `read`")
    }

    /// The collection's leaf width.
    #[must_use]
    pub fn leaf(&self) -> LeafWidth {
        LeafWidth::from_minutes(self.archive.leaf_minutes).unwrap_or_default()
    }

    /// The number of the group, and among how many.
    #[must_use]
    pub fn group(&self) -> (u32, u32) {
        (self.archive.group.to_native(), self.archive.groups.to_native())
    }

    /// The stamp of all rows, and who drew it.
    #[must_use]
    pub fn version(&self) -> Version {
        Version {
            stamp: Stamp(self.archive.stamp.to_native()),
            origin: StoreId(self.archive.origin),
        }
    }

    /// How many rows there are; at least one.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Each device with its number of rows, in the order of the rows.
    pub fn devices(&self) -> impl Iterator<Item = (&'a str, usize)> + use<'a> {
        let archive = self.archive;
        // Checked in `read`: all of it is UTF-8, and every end is between characters.
        let names = core::str::from_utf8(&archive.device_names).unwrap_or_default();
        let mut start = 0;
        archive.device_ends.iter().zip(archive.device_rows.iter()).map(move |(end, rows)| {
            let end = end.to_native() as usize;
            let text = names.get(start..end).unwrap_or_default();
            start = end;
            (text, rows.to_native() as usize)
        })
    }

    /// Appends the time of each row.
    pub fn times_into(&self, out: &mut Vec<i64>) {
        fixed_into(&self.archive.times, self.rows, i64::from_le_bytes, out);
    }

    /// The fields that have a value in at least one row.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = SubBatchField<'a>> + use<'a> {
        let rows = self.rows;
        self.archive.fields.iter().map(move |field| SubBatchField { field, rows })
    }
}

/// One field of a checked sub-batch.
#[derive(Clone, Copy)]
pub struct SubBatchField<'a> {
    field: &'a ArchivedFieldV1,
    rows: usize,
}

impl<'a> SubBatchField<'a> {
    /// The field's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        core::str::from_utf8(&self.field.name).unwrap_or_default()
    }

    /// The type of its values.
    ///
    /// # Panics
    /// Never: the type was checked.
    #[must_use]
    pub fn field_type(&self) -> FieldType {
        FieldType::from_number(self.field.kind).expect("checked in `read`")
    }

    /// Has every row a value?
    #[must_use]
    pub fn all_present(&self) -> bool {
        self.field.presence.is_empty()
    }

    /// Has this row a value?
    #[must_use]
    pub fn is_present(&self, row: usize) -> bool {
        self.all_present() || self.field.presence[row / 8] >> (row % 8) & 1 == 1
    }

    /// How many rows have a value.
    #[must_use]
    pub fn count(&self) -> usize {
        count_present(self.field, self.rows)
    }

    /// Appends the values of the rows that have one.
    ///
    /// # Panics
    /// When `out` is of another type.
    pub fn values_into(&self, out: &mut Values) {
        let (values, count) = (&self.field.values, self.count());
        match out {
            Values::F64(out) => fixed_into(values, count, f64::from_le_bytes, out),
            Values::F32(out) => fixed_into(values, count, f32::from_le_bytes, out),
            Values::I64(out) => fixed_into(values, count, i64::from_le_bytes, out),
            Values::U64(out) => fixed_into(values, count, u64::from_le_bytes, out),
            Values::Bool(out) => fixed_into(values, count, |[byte]: [u8; 1]| byte != 0, out),
            Values::String(out) | Values::Bytes(out) => {
                for (start, end) in var_bounds(&values.bytes, count) {
                    out.push(&values.bytes[start..end]);
                }
            }
        }
    }
}

fn fixed_into<T: Copy, const N: usize>(
    values: &ArchivedEncodedV1,
    count: usize,
    from_bytes: impl Fn([u8; N]) -> T,
    out: &mut Vec<T>,
) {
    let (chunks, _) = values.bytes.as_chunks::<N>();
    if values.codec == CONSTANT {
        if let Some(first) = chunks.first() {
            out.resize(out.len() + count, from_bytes(*first));
        }
    } else {
        out.extend(chunks.iter().map(|chunk| from_bytes(*chunk)));
    }
}

/// Where each string stands, behind the table of their ends.
fn var_bounds(bytes: &[u8], count: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let base = 4 * count;
    let (ends, _) = bytes.as_chunks::<4>();
    let mut start = base;
    ends.iter().take(count).map(move |end| {
        let bounds = (start, base + u32::from_le_bytes(*end) as usize);
        start = bounds.1;
        bounds
    })
}

fn count_present(field: &ArchivedFieldV1, rows: usize) -> usize {
    if field.presence.is_empty() {
        return rows;
    }
    field.presence.iter().map(|byte| byte.count_ones() as usize).sum()
}

fn collection_of(archive: &ArchivedBatchV1) -> Option<CollectionName> {
    let database = core::str::from_utf8(&archive.database).ok()?;
    let collection = core::str::from_utf8(&archive.collection).ok()?;
    CollectionName::new(database, collection).ok()
}

/// Checks all that bytecheck cannot know; the number of rows when all is well.
fn check(archive: &ArchivedBatchV1) -> Result<usize, &'static str> {
    collection_of(archive).ok_or("the collection's name is not one")?;
    let (group, groups) = (archive.group.to_native(), archive.groups.to_native());
    if group >= groups {
        return Err("its group does not exist");
    }
    LeafWidth::from_minutes(archive.leaf_minutes).ok_or("the leaf width is not one")?;
    let rows = check_devices(archive)?;
    check_times(archive, rows)?;
    if archive.fields.len() > FIELDS_MAX {
        return Err("too many fields");
    }
    let mut before: Option<(&[u8], u8)> = None;
    let mut sorted = true;
    for field in archive.fields.iter() {
        check_field(field, rows)?;
        let key = (field.name.as_slice(), field.kind);
        sorted &= before.is_none_or(|before| before < key);
        before = Some(key);
    }
    if !sorted {
        let mut keys: Vec<_> = archive.fields.iter().map(|f| (f.name.as_slice(), f.kind)).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a field stands twice");
        }
    }
    Ok(rows)
}

fn check_devices(archive: &ArchivedBatchV1) -> Result<usize, &'static str> {
    if archive.device_ends.len() != archive.device_rows.len() || archive.device_rows.is_empty() {
        return Err("the device table does not fit");
    }
    let names =
        core::str::from_utf8(&archive.device_names).map_err(|_| "a device's name is not UTF-8")?;
    let (mut start, mut rows) = (0usize, 0usize);
    for (end, count) in archive.device_ends.iter().zip(archive.device_rows.iter()) {
        let end = end.to_native() as usize;
        let text = names.get(start..end).ok_or("a device's name is cut")?;
        if !device::is_canonical(text) {
            return Err("a device's name is not canonical");
        }
        if count.to_native() == 0 {
            return Err("a device has no rows");
        }
        rows = rows.saturating_add(count.to_native() as usize);
        start = end;
    }
    if start != archive.device_names.len() {
        return Err("there are bytes behind the device names");
    }
    // A row takes at least a bit somewhere only in its times; a constant time column takes none, so
    // the count itself must be bounded before anything is sized by it.
    if rows > BATCH_BYTES_MAX / 8 {
        return Err("more rows than a batch may have");
    }
    Ok(rows)
}

fn check_times(archive: &ArchivedBatchV1, rows: usize) -> Result<(), &'static str> {
    let times = &archive.times;
    check_fixed(times, rows, 8)?;
    if times.codec == CONSTANT {
        let single = archive.device_rows.iter().all(|count| count.to_native() == 1);
        return if single { Ok(()) } else { Err("the times do not increase") };
    }
    let (chunks, _) = times.bytes.as_chunks::<8>();
    let mut rest = chunks;
    for count in archive.device_rows.iter() {
        let (own, others) =
            rest.split_at_checked(count.to_native() as usize).ok_or("times are missing")?;
        let increase = |pair: &[[u8; 8]]| i64::from_le_bytes(pair[0]) < i64::from_le_bytes(pair[1]);
        if !own.windows(2).all(increase) {
            return Err("the times do not increase");
        }
        rest = others;
    }
    Ok(())
}

fn check_fixed(values: &ArchivedEncodedV1, count: usize, width: usize) -> Result<(), &'static str> {
    let expected = match values.codec {
        PLAIN => count.checked_mul(width),
        CONSTANT if count > 0 => Some(width),
        _ => return Err("a codec is unknown"),
    };
    if Some(values.bytes.len()) == expected { Ok(()) } else { Err("a column has another length") }
}

fn check_field(field: &ArchivedFieldV1, rows: usize) -> Result<(), &'static str> {
    let name = core::str::from_utf8(&field.name).map_err(|_| "a field's name is not UTF-8")?;
    Name::new("field", name).map_err(|_| "a field's name is not one")?;
    let kind = FieldType::from_number(field.kind).ok_or("a field's type is unknown")?;
    if !field.presence.is_empty() {
        let tail = rows % 8;
        let clean = tail == 0 || field.presence.last().is_some_and(|last| last >> tail == 0);
        if field.presence.len() != rows.div_ceil(8) || !clean {
            return Err("a presence bitmap does not fit");
        }
    }
    let count = count_present(field, rows);
    let values = &field.values;
    match kind {
        FieldType::F64 | FieldType::I64 | FieldType::U64 => check_fixed(values, count, 8),
        FieldType::F32 => check_fixed(values, count, 4),
        FieldType::Bool => {
            check_fixed(values, count, 1)?;
            let valid = values.bytes.iter().all(|byte| *byte <= 1);
            if valid { Ok(()) } else { Err("a bool is neither 0 nor 1") }
        }
        FieldType::String | FieldType::Bytes => check_var(values, count, kind),
    }
}

fn check_var(
    values: &ArchivedEncodedV1,
    count: usize,
    kind: FieldType,
) -> Result<(), &'static str> {
    let base = 4 * count;
    if values.codec != PLAIN || values.bytes.len() < base {
        return Err("a column of strings has another length");
    }
    let mut end = base;
    for bounds in var_bounds(&values.bytes, count) {
        let value = values.bytes.get(bounds.0..bounds.1).ok_or("a string is cut")?;
        if kind == FieldType::String && core::str::from_utf8(value).is_err() {
            return Err("a string is not UTF-8");
        }
        end = bounds.1;
    }
    if end == values.bytes.len() { Ok(()) } else { Err("there are bytes behind the strings") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Cutter};
    use crate::values::{Value, ValueRef};
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    type Cells = BTreeMap<(String, i64), BTreeMap<String, Value>>;

    fn version() -> Version {
        Version { stamp: Stamp(77), origin: StoreId([9; 16]) }
    }

    fn cut(batch: &Batch, groups: u32) -> Vec<AlignedVec> {
        let mut out = Vec::new();
        batch.cut(groups, version(), LeafWidth::Hour, &mut Cutter::default(), |sub| {
            out.push(sub.write_to(AlignedVec::new()));
        });
        out
    }

    /// The rows of archives, read back through nothing but the checked reader.
    fn cells(archives: &[AlignedVec]) -> Cells {
        let mut cells = Cells::new();
        for bytes in archives {
            let sub = SubBatch::read(bytes).unwrap();
            assert_eq!(sub.version(), version());
            let mut times = Vec::new();
            sub.times_into(&mut times);
            let devices: Vec<_> =
                sub.devices().flat_map(|(text, rows)| core::iter::repeat_n(text, rows)).collect();
            for (device, time) in devices.iter().zip(&times) {
                cells.insert((device.to_string(), *time), BTreeMap::new());
            }
            for field in sub.fields() {
                let mut values = Values::new(field.field_type());
                field.values_into(&mut values);
                let mut next = 0;
                for row in 0..sub.rows() {
                    if field.is_present(row) {
                        let key = (devices[row].to_string(), times[row]);
                        let value = values.at(next).to_owned();
                        cells.get_mut(&key).unwrap().insert(field.name().to_string(), value);
                        next += 1;
                    }
                }
                assert_eq!(next, values.len());
            }
        }
        cells
    }

    fn value() -> impl Strategy<Value = (&'static str, Value)> {
        prop_oneof![
            any::<u64>().prop_map(|bits| ("a", Value::F64(f64::from_bits(bits)))),
            any::<f32>().prop_map(|v| ("b", Value::F32(v))),
            prop_oneof![Just(i64::MAX), Just((1 << 53) + 1), any::<i64>()]
                .prop_map(|v| ("c", Value::I64(v))),
            any::<u64>().prop_map(|v| ("d", Value::U64(v))),
            any::<bool>().prop_map(|v| ("e", Value::Bool(v))),
            "\\PC{0,5}".prop_map(|v| ("f", Value::String(v))),
            proptest::collection::vec(any::<u8>(), 0..5).prop_map(|v| ("g", Value::Bytes(v))),
        ]
    }

    proptest! {
        #[test]
        fn a_cut_batch_holds_every_cell_and_the_later_row_wins(
            rows in proptest::collection::vec(
                (0u8..4, -3i64..3, proptest::collection::vec(value(), 0..4)), 1..40),
            groups in 1u32..5,
        ) {
            let mut batch = Batch::new("d.c").unwrap();
            let mut expected = Cells::new();
            for _ in 0..2 {
                // Twice, because a cleared batch must behave as a new one.
                batch.clear();
                expected.clear();
                for (device, time, values) in &rows {
                    let device = format!("host {device}");
                    batch.push(&device, *time, values.iter().map(|(n, v)| (*n, v))).unwrap();
                    let key = (format!("host\\ {}", &device[5..]), *time);
                    let row = expected.entry(key).or_default();
                    row.extend(values.iter().map(|(n, v)| (n.to_string(), v.clone())));
                }
            }
            prop_assert_eq!(cells(&cut(&batch, groups)), expected);
        }

        #[test]
        fn damaged_archives_are_refused_or_read_but_never_panic(
            at in any::<proptest::sample::Index>(), bit in 0u8..8, keep in any::<proptest::sample::Index>(),
        ) {
            let mut batch = Batch::new("d.c").unwrap();
            for time in 0..5i64 {
                batch.push("x", time, [("a", ValueRef::F64(0.5)), ("s", ValueRef::String("hi"))]).unwrap();
                batch.push("y", time, [("a", ValueRef::F64(time as f64))]).unwrap();
            }
            let bytes = cut(&batch, 1).remove(0);
            let mut flipped = bytes.clone();
            let at = at.index(bytes.len());
            flipped[at] ^= 1 << bit;
            let mut short = AlignedVec::<16>::new();
            short.extend_from_slice(&bytes[..keep.index(bytes.len())]);
            for damaged in [flipped, short] {
                if SubBatch::read(&damaged).is_ok() {
                    cells_unchecked(&damaged);
                }
            }
        }
    }

    /// Reads all there is; only that it does not panic matters.
    fn cells_unchecked(bytes: &[u8]) {
        let sub = SubBatch::read(bytes).unwrap();
        sub.times_into(&mut Vec::new());
        for field in sub.fields() {
            let mut values = Values::new(field.field_type());
            field.values_into(&mut values);
            assert_eq!(values.len(), field.count());
        }
    }

    #[test]
    fn a_column_wise_batch_equals_a_row_wise_one() {
        let times = [10, 20, 30];
        let mut by_column = Batch::new("d.c").unwrap();
        let device = by_column.device("x").unwrap();
        let (a, s) = (
            by_column.field("a", FieldType::I64).unwrap(),
            by_column.field("s", FieldType::String).unwrap(),
        );
        let rows = by_column.append_series(device, &times).unwrap();
        rows.i64(a, &[1, 2, 3]).unwrap().strings(s, &["u", "v", ""]).unwrap();
        let mut by_row = Batch::new("d.c").unwrap();
        for (index, text) in ["u", "v", ""].into_iter().enumerate() {
            let values = [("a", ValueRef::I64(index as i64 + 1)), ("s", ValueRef::String(text))];
            by_row.push("x", times[index], values).unwrap();
        }
        assert_eq!(cells(&cut(&by_column, 2)), cells(&cut(&by_row, 2)));
    }

    #[test]
    fn a_refused_row_leaves_the_batch_as_it_was() {
        let mut batch = Batch::new("d.c").unwrap();
        batch.push("x", 1, [("a", 1.0)]).unwrap();
        let refused = batch.push("x", 2, [("b", ValueRef::F64(2.0)), ("a", ValueRef::U64(1))]);
        assert!(matches!(refused, Err(crate::batch::BatchError::TypeConflict { .. })));
        assert_eq!((batch.rows(), batch.count_values()), (1, 1));
    }

    /// These bytes are in logs: if this fails, the format changed and needs a `BatchV2`.
    #[test]
    fn the_archive_is_frozen() {
        let mut batch = Batch::new("d.c").unwrap();
        batch.push("x", 1, [("a", 1.0)]).unwrap();
        batch.push("x", 2, [("a", 2.5)]).unwrap();
        let bytes = cut(&batch, 1).remove(0);
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), FROZEN);
    }

    const FROZEN: &str = "03c644cc843c620b3b5c233923e1a68caa8a2a1bcaf008f3b09bea12cd29f58a";
}
