//! Rows being given their values: one row by its fields, or many by their columns.

use super::{Batch, BatchError, FieldIndex, value_bytes};
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
