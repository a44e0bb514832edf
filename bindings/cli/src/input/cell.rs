//! One CSV field as a value of its column's type.
//!
//! Bytes are written in hexadecimal, with or without `0x` before them; `0x` alone is no bytes.

use std::ops::Range;
use tidelog::model::{FieldType, VALUE_BYTES_MAX, ValueRef};

/// A parsed field. Text and bytes lie in the row's buffer, so that a row of parsed fields borrows
/// nothing and its memory is used again for the next.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Absent,
    F64(f64),
    F32(f32),
    I64(i64),
    U64(u64),
    Bool(bool),
    String(Range<usize>),
    Bytes(Range<usize>),
}

/// The parsed fields of one row.
#[derive(Debug, Default)]
pub(crate) struct CellRow {
    cells: Vec<Cell>,
    buffer: Vec<u8>,
}

impl CellRow {
    pub(crate) fn clear(&mut self) {
        self.cells.clear();
        self.buffer.clear();
    }

    pub(crate) fn push_absent(&mut self) {
        self.cells.push(Cell::Absent);
    }

    /// Parses one more field.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn push(
        &mut self,
        kind: FieldType,
        text: &str,
        quoted: bool,
    ) -> Result<(), CellError> {
        if text.is_empty() && !quoted {
            self.push_absent();
            return Ok(());
        }
        if text.len() > VALUE_BYTES_MAX {
            return Err(CellError::TooLong);
        }
        let refuse = || CellError::Type { text: text.chars().take(40).collect(), kind };
        let cell = match kind {
            FieldType::F64 => parse_float(text, text.parse::<f64>().ok(), |v| *v as i128)
                .filter(|v| v.is_finite() || is_infinity(text))
                .map(Cell::F64),
            FieldType::F32 => parse_float(text, text.parse::<f32>().ok(), |v| *v as i128)
                .filter(|v| v.is_finite() || is_infinity(text))
                .map(Cell::F32),
            FieldType::I64 => text.parse().ok().map(Cell::I64),
            FieldType::U64 => text.parse().ok().map(Cell::U64),
            FieldType::Bool => text.parse().ok().map(Cell::Bool),
            FieldType::String => Some(Cell::String(self.keep(text.bytes()))),
            FieldType::Bytes => hex_digits(text).map(|pairs| Cell::Bytes(self.keep(pairs))),
        };
        self.cells.push(cell.ok_or_else(refuse)?);
        Ok(())
    }

    /// The fields in order; `None` for an absent one.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<ValueRef<'_>>> {
        self.cells.iter().map(|cell| match cell {
            Cell::Absent => None,
            Cell::F64(v) => Some(ValueRef::F64(*v)),
            Cell::F32(v) => Some(ValueRef::F32(*v)),
            Cell::I64(v) => Some(ValueRef::I64(*v)),
            Cell::U64(v) => Some(ValueRef::U64(*v)),
            Cell::Bool(v) => Some(ValueRef::Bool(*v)),
            // Kept from a `str` in `push`.
            Cell::String(at) => {
                std::str::from_utf8(&self.buffer[at.clone()]).ok().map(ValueRef::String)
            }
            Cell::Bytes(at) => Some(ValueRef::Bytes(&self.buffer[at.clone()])),
        })
    }

    fn keep(&mut self, bytes: impl Iterator<Item = u8>) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend(bytes);
        start..self.buffer.len()
    }
}

/// Why a field is no value of its column.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CellError {
    #[error(
        "{text:?} is no {kind}: mend it, leave it empty, or give the column another type (--types)"
    )]
    Type { text: String, kind: FieldType },
    #[error("a value has more than {VALUE_BYTES_MAX} bytes: cut it into several")]
    TooLong,
}

/// A float; an integer that the float cannot hold is refused, because nothing would tell that its
/// last digits are gone.
fn parse_float<F>(text: &str, value: Option<F>, whole: impl Fn(&F) -> i128) -> Option<F> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_integer = digits.len() > 7 && digits.bytes().all(|byte| byte.is_ascii_digit());
    value.filter(|v| !is_integer || text.parse() == Ok(whole(v)))
}

fn is_infinity(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_digit())
}

fn hex_digits(text: &str) -> Option<impl Iterator<Item = u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let whole = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    let value = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
    whole.then(|| digits.chunks_exact(2).map(move |pair| value(pair[0]) << 4 | value(pair[1])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog::model::Value;

    fn parse(kind: FieldType, text: &str) -> Result<Option<Value>, CellError> {
        let mut row = CellRow::default();
        row.push(kind, text, true)?;
        Ok(row.values().next().unwrap().map(|value| value.to_owned()))
    }

    #[test]
    fn declared_types_take_what_is_theirs() {
        let cases = [
            (FieldType::F64, "1e3", Value::F64(1000.0)),
            (FieldType::F64, "-0", Value::F64(-0.0)),
            (FieldType::F64, "nan", Value::F64(f64::NAN)),
            (FieldType::F64, "-inf", Value::F64(f64::NEG_INFINITY)),
            (FieldType::F64, "+1.5", Value::F64(1.5)),
            (FieldType::F64, "9007199254740994", Value::F64(9_007_199_254_740_994.0)),
            (FieldType::F32, "0.1", Value::F32(0.1)),
            (FieldType::I64, "-9223372036854775808", Value::I64(i64::MIN)),
            (FieldType::I64, "007", Value::I64(7)),
            (FieldType::U64, "18446744073709551615", Value::U64(u64::MAX)),
            (FieldType::Bool, "true", Value::Bool(true)),
            (FieldType::String, "", Value::String(String::new())),
            (FieldType::String, "é", Value::String("é".into())),
            (FieldType::Bytes, "0xDEadbeef", Value::Bytes(vec![0xde, 0xad, 0xbe, 0xef])),
            (FieldType::Bytes, "08ff", Value::Bytes(vec![8, 0xff])),
            (FieldType::Bytes, "0x", Value::Bytes(vec![])),
            (FieldType::Bytes, "", Value::Bytes(vec![])),
        ];
        for (kind, text, value) in cases {
            assert_eq!(parse(kind, text), Ok(Some(value)), "{kind} {text:?}");
        }
    }

    #[test]
    fn declared_types_refuse_the_rest() {
        let cases = [
            (FieldType::F64, "x"),
            (FieldType::F64, ""),
            (FieldType::F64, "1e999"),
            (FieldType::F64, "9007199254740993"),
            (FieldType::F32, "1e39"),
            (FieldType::F32, "16777217"),
            (FieldType::I64, "1.0"),
            (FieldType::I64, "9223372036854775808"),
            (FieldType::U64, "-1"),
            (FieldType::Bool, "TRUE"),
            (FieldType::Bytes, "0x123"),
            (FieldType::Bytes, "zz"),
            (FieldType::Bytes, "é"),
        ];
        for (kind, text) in cases {
            assert!(matches!(parse(kind, text), Err(CellError::Type { .. })), "{kind} {text:?}");
        }
    }

    #[test]
    fn an_empty_field_without_quotes_is_absent_whatever_its_type() {
        let mut row = CellRow::default();
        FieldType::ALL.into_iter().for_each(|kind| row.push(kind, "", false).unwrap());
        assert!(row.values().all(|value| value.is_none()));
    }
}
