//! How CSV is read: names of columns, declared types.

use crate::input::nudge::SameTime;
use std::collections::HashMap;
use tidelog::model::FieldType;

/// How CSV is read.
#[derive(Clone, Debug)]
pub(crate) struct CsvOptions {
    /// The column that names the device.
    pub(crate) device_column: String,
    /// The column of times: integer nanoseconds, or RFC 3339.
    pub(crate) time_column: String,
    /// Types the user declared. Each must be for a column of some file.
    pub(crate) types: HashMap<String, FieldType>,
    /// Types the collection has already: they hold where the user declared none, so that a file of
    /// whole numbers goes into a field of floats.
    pub(crate) known_types: HashMap<String, FieldType>,
    /// What happens to rows of one device with equal times.
    pub(crate) same_time: SameTime,
    /// Rows per batch.
    pub(crate) batch_rows: usize,
    /// Stop at the first bad line.
    pub(crate) strict: bool,
}

impl CsvOptions {
    /// The type a field has whatever its texts look like.
    pub(super) fn declared(&self, field: &str) -> Option<FieldType> {
        self.types.get(field).or_else(|| self.known_types.get(field)).copied()
    }
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            device_column: "device".into(),
            time_column: "timestamp_ns".into(),
            types: HashMap::new(),
            known_types: HashMap::new(),
            same_time: SameTime::Last,
            batch_rows: 1000,
            strict: false,
        }
    }
}

/// Why `--types` was not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{part:?} is no type of a field: write field=type, the types being f64 f32 i64 u64 bool string bytes"
)]
pub(crate) struct TypesError {
    part: String,
}

/// Reads `field=type,field=type`. A field's name may hold `=`, but no comma.
///
/// # Errors
/// When a part is not of this form, or names a field again.
pub(crate) fn parse_types(text: &str) -> Result<HashMap<String, FieldType>, TypesError> {
    let mut types = HashMap::new();
    for part in text.split(',') {
        let refuse = || TypesError { part: part.to_string() };
        let (field, kind) = part.rsplit_once('=').ok_or_else(refuse)?;
        let kind = FieldType::from_name(kind).ok_or_else(refuse)?;
        if field.is_empty() || types.insert(field.to_string(), kind).is_some() {
            return Err(refuse());
        }
    }
    Ok(types)
}
