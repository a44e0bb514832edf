//! Rows being given their values: one row by its fields, or many by their columns.

use super::{Batch, BatchError, FieldIndex, value_bytes};
use crate::bitmap::Bitmap;
use crate::column::Column;
use crate::values::{FieldType, Value, ValueRef, Values};
use alloc::string::ToString;

/// The last row of a batch, being given its values.
#[derive(Debug)]
pub struct Row<'a> {
    pub(super) batch: &'a mut Batch,
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
    pub(super) batch: &'a mut Batch,
    pub(super) first: usize,
}

macro_rules! plain_columns {
    ($($(#[$doc:meta])* $name:ident, $sparse:ident: $type:ty, $kind:ident;)*) => {$(
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

        $(#[$doc])*
        /// Absent where `present` has no bit, whatever stands there in `values`.
        ///
        /// # Errors
        /// As without `present`, and when it has another length.
        pub fn $sparse(
            mut self,
            field: FieldIndex,
            values: &[$type],
            present: &Bitmap,
        ) -> Result<Self, BatchError> {
            let bytes = size_of_val(values) + present.len() / 8;
            self.begin_where(field, FieldType::$kind, values.len(), present, bytes)?
                .extend_where(present, |all| {
                    if let Values::$kind(all) = all {
                        let zero = <$type>::default();
                        let pairs = values.iter().zip(present.iter());
                        all.extend(pairs.map(|(value, present)| if present { *value } else { zero }));
                    }
                });
            Ok(self)
        }
    )*};
}

impl Rows<'_> {
    plain_columns! {
        /// Gives a column of `f64`.
        f64, sparse_f64: f64, F64;
        /// Gives a column of `f32`.
        f32, sparse_f32: f32, F32;
        /// Gives a column of `i64`.
        i64, sparse_i64: i64, I64;
        /// Gives a column of `u64`.
        u64, sparse_u64: u64, U64;
        /// Gives a column of `bool`.
        bool, sparse_bool: bool, Bool;
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

    /// Gives a column of text, absent where `present` has no bit.
    ///
    /// # Errors
    /// As [`Self::strings`], and when `present` has another length.
    pub fn sparse_strings<S: AsRef<str>>(
        self,
        field: FieldIndex,
        values: &[S],
        present: &Bitmap,
    ) -> Result<Self, BatchError> {
        let values = values.iter().map(|value| value.as_ref().as_bytes());
        self.sparse_var(field, FieldType::String, values, present)
    }

    /// Gives a column of byte strings, absent where `present` has no bit.
    ///
    /// # Errors
    /// As [`Self::sparse_strings`].
    pub fn sparse_bytes<B: AsRef<[u8]>>(
        self,
        field: FieldIndex,
        values: &[B],
        present: &Bitmap,
    ) -> Result<Self, BatchError> {
        self.sparse_var(field, FieldType::Bytes, values.iter().map(AsRef::as_ref), present)
    }

    fn sparse_var<'v>(
        mut self,
        field: FieldIndex,
        kind: FieldType,
        values: impl ExactSizeIterator<Item = &'v [u8]> + Clone,
        present: &Bitmap,
    ) -> Result<Self, BatchError> {
        let shown = || {
            let pairs = values.clone().zip(present.iter());
            pairs.map(|(value, present)| if present { value } else { &[] })
        };
        let mut bytes = present.len() / 8;
        for value in shown() {
            bytes = bytes.saturating_add(value_bytes(ValueRef::Bytes(value))?);
        }
        self.begin_where(field, kind, values.len(), present, bytes)?.extend_where(present, |all| {
            if let Values::String(all) | Values::Bytes(all) = all {
                shown().for_each(|value| all.push(value));
            }
        });
        Ok(self)
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

    /// As [`Self::begin`], with a bit for each of the values.
    fn begin_where(
        &mut self,
        field: FieldIndex,
        kind: FieldType,
        count: usize,
        present: &Bitmap,
        bytes: usize,
    ) -> Result<&mut Column, BatchError> {
        if present.len() != count {
            let what = "the validity of a column".to_string();
            return Err(BatchError::Length { what, given: present.len(), rows: count });
        }
        self.begin(field, kind, count, bytes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::DeviceIndex;
    use alloc::vec::Vec;

    fn bits(text: &str) -> Bitmap {
        let mut bits = Bitmap::new();
        text.chars().for_each(|bit| bits.push(bit == '1'));
        bits
    }

    #[test]
    fn a_sparse_column_is_the_column_that_is_built_value_by_value() {
        let mut batch = Batch::new("a.b").unwrap();
        let device = batch.device("d").unwrap();
        let number = batch.field("n", FieldType::I64).unwrap();
        let text = batch.field("t", FieldType::String).unwrap();
        batch.row(device, 0).unwrap();
        let rows = batch.append_series(device, &[1, 2, 3]).unwrap();
        let rows = rows.sparse_i64(number, &[7, 8, 9], &bits("101")).unwrap();
        rows.sparse_strings(text, &["x", "gone", ""], &bits("101")).unwrap();

        let (mut numbers, mut texts) =
            (Column::new(FieldType::I64), Column::new(FieldType::String));
        numbers.push_absent();
        texts.push_absent();
        for (number, text) in [(7, "x"), (9, "")] {
            numbers.push(ValueRef::I64(number));
            texts.push(ValueRef::String(text));
            if number == 7 {
                numbers.push_absent();
                texts.push_absent();
            }
        }
        let columns: Vec<&Column> = batch.fields.iter().map(|field| &field.column).collect();
        assert_eq!(columns, [&numbers, &texts]);
        // What stood where a cell is absent is nowhere.
        assert_eq!(columns[0].values().at(2), ValueRef::I64(0));
        assert_eq!(columns[1].values().at(2), ValueRef::String(""));
        let rows = batch.append_series(device, &[4]).unwrap();
        let short = rows.sparse_i64(number, &[1], &bits("10"));
        assert!(matches!(short, Err(BatchError::Length { given: 2, rows: 1, .. })));
    }

    #[test]
    fn a_batch_goes_back_to_its_mark() {
        let mut batch = Batch::new("a.b").unwrap();
        let device = batch.device("d").unwrap();
        let field = batch.field("n", FieldType::F64).unwrap();
        batch.row(device, 0).unwrap().set(field, 1.0).unwrap();
        let (mark, before) = (batch.mark(), batch.memory_bytes());
        batch.append_series(device, &[1, 2]).unwrap().f64(field, &[2.0, 3.0]).unwrap();
        batch.go_back(mark);
        assert_eq!((batch.rows(), batch.memory_bytes()), (1, before));
        batch.last_row().unwrap().set(field, 4.0).unwrap();
        assert_eq!(batch.fields[0].column.at(0), Some(ValueRef::F64(4.0)));
        // A number that the batch did not give out is refused where it is used.
        let strange = DeviceIndex::from_number(device.number() + 1);
        assert!(matches!(batch.row(strange, 0), Err(BatchError::Unknown { number: 1, .. })));
    }
}
