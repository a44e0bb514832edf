//! Printing what a query answers: as a table for people, and as CSV, JSON lines or an Arrow stream
//! for programs.
//!
//! A [`Printer`] is told the columns once, then gets rows in batches of any size, and keeps no more
//! than a screenful of them.

mod arrow;
mod csv;
mod json;
mod table;
mod value;

pub(crate) use value::write_value;

use std::io::{self, Write};
use std::time::Duration;
use tidelog::{AnswerField, FieldType, RowBatch};

/// The columns of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Does a row have a device? Not when devices are grouped together (`--group-by none`): then
    /// there is no device column.
    pub(crate) has_devices: bool,
    /// Names and types of the fields, in order.
    pub(crate) fields: Vec<(String, FieldType)>,
}

impl Header {
    pub(crate) fn new(has_devices: bool, fields: &[AnswerField]) -> Self {
        let fields = fields.iter().map(|field| (field.name.clone(), field.kind)).collect();
        Header { has_devices, fields }
    }
}

/// Asserts that rows are as their header says: a mix-up must not print wrong columns.
fn check(rows: &RowBatch, header: &Header) {
    let devices = if header.has_devices { rows.rows() } else { 0 };
    assert_eq!(rows.row_devices.len(), devices, "one device per row, or none at all");
    assert_eq!(rows.columns.len(), header.fields.len(), "one column per field");
    for (column, (name, kind)) in rows.columns.iter().zip(&header.fields) {
        assert_eq!((column.len(), column.field_type()), (rows.rows(), *kind), "column {name}");
    }
}

/// How answers look.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Aligned columns, times in RFC 3339, the number of rows at the end.
    Table,
    /// `device,timestamp_ns,<field>…`, which `tidelog import` takes back.
    Csv,
    /// One object per row: `{"device":…,"timestamp_ns":…,"fields":{…}}`.
    Json,
    /// The Arrow IPC stream format.
    Arrow,
}

/// Writes an answer.
pub(crate) trait Printer {
    /// Prints some rows.
    ///
    /// # Errors
    /// When the output cannot be written; of kind `BrokenPipe` when its reader has gone.
    ///
    /// # Panics
    /// When the rows are not as the header said.
    fn print(&mut self, rows: &RowBatch) -> io::Result<()>;

    /// Prints what comes after the last row, and flushes. Returns how many rows there were.
    ///
    /// # Errors
    /// As [`Self::print`].
    fn finish(&mut self, elapsed: Option<Duration>) -> io::Result<u64>;
}

/// Begins an answer. `out` needs no buffer of its own.
///
/// # Errors
/// When the output cannot be written.
pub(crate) fn printer<'w>(
    format: Format,
    header: Header,
    out: impl Write + 'w,
) -> io::Result<Box<dyn Printer + 'w>> {
    Ok(match format {
        Format::Table => Box::new(table::TablePrinter::new(header, out)),
        Format::Csv => Box::new(csv::CsvPrinter::new(header, out)),
        Format::Json => Box::new(json::JsonPrinter::new(header, out)),
        Format::Arrow => Box::new(arrow::ArrowPrinter::new(header, out)?),
    })
}

/// Lines of text on their way out.
struct Lines<W> {
    out: W,
    text: Vec<u8>,
}

impl<W: Write> Lines<W> {
    fn new(out: W) -> Self {
        Lines { out, text: Vec::new() }
    }

    /// Writes what there is, once it is worth a system call.
    fn write_some(&mut self) -> io::Result<()> {
        if self.text.len() < WRITE_BYTES { Ok(()) } else { self.write_all() }
    }

    fn write_all(&mut self) -> io::Result<()> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

const WRITE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog::{Column, Value, Values};

    /// Two rows of all types: one full of edges, one without values.
    pub(super) fn edges() -> (Header, RowBatch) {
        let values = [
            ("f", Value::F64(-0.0)),
            ("g", Value::F32(0.1)),
            ("i", Value::I64(9_007_199_254_740_993)),
            ("u", Value::U64(u64::MAX)),
            ("b", Value::Bool(true)),
            ("s, t", Value::String("a \"b\"\nc".into())),
            ("x", Value::Bytes(vec![0, 0xff])),
        ];
        let fields = values.iter().map(|(name, value)| (name.to_string(), value.field_type()));
        let header = Header { has_devices: true, fields: fields.collect() };
        let columns = values.iter().map(|(_, value)| {
            let mut column = Column::new(value.field_type());
            column.push(value.as_ref());
            column.push_absent();
            column
        });
        let rows = RowBatch {
            devices: vec!["two\\ words".into(), "pump,a=1".into()],
            row_devices: vec![1, 0],
            times: vec![i64::MIN, 0],
            columns: columns.collect(),
        };
        (header, rows)
    }

    /// Rows of one field, without devices.
    pub(super) fn column(values: Values) -> (Header, RowBatch) {
        let fields = vec![("v".to_string(), values.field_type())];
        let times = (0..values.len() as i64).collect();
        let columns = vec![Column::from_parts(values, None).unwrap()];
        (Header { has_devices: false, fields }, RowBatch { times, columns, ..RowBatch::default() })
    }

    pub(crate) fn print(format: Format, header: &Header, batches: &[RowBatch]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut printer = printer(format, header.clone(), &mut out).unwrap();
        batches.iter().for_each(|rows| printer.print(rows).unwrap());
        let rows = printer.finish(None).unwrap();
        assert_eq!(rows as usize, batches.iter().map(RowBatch::rows).sum::<usize>());
        drop(printer);
        out
    }

    pub(super) fn text(format: Format, header: &Header, batches: &[RowBatch]) -> String {
        String::from_utf8(print(format, header, batches)).unwrap()
    }

    #[test]
    #[should_panic(expected = "one column per field")]
    fn rows_that_are_not_as_the_header_says_are_not_printed() {
        let (mut header, rows) = edges();
        header.fields.pop();
        print(Format::Csv, &header, &[rows]);
    }

    #[test]
    fn a_reader_that_has_gone_is_a_broken_pipe_in_every_format() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        for format in [Format::Table, Format::Csv, Format::Json, Format::Arrow] {
            let (header, rows) = edges();
            let result = printer(format, header, Gone).and_then(|mut printer| {
                printer.print(&rows)?;
                printer.finish(None)
            });
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe, "{format:?}");
        }
    }
}
