//! Rows as JSON lines, one object per row: `{"device":…,"timestamp_ns":…,"fields":{…}}`.
//!
//! Absent fields are left out. Integers are exact, whatever their size. What JSON has no number for
//! is text: `"NaN"`, `"inf"`, `"-inf"`, and bytes as `"0x…"`.

use super::value::write_value;
use super::{Header, Lines, Printer, check};
use std::io::{self, Write};
use std::time::Duration;
use tidelog::RowBatch;
use tidelog::model::{ValueRef, device};

/// See the module.
pub(super) struct JsonPrinter<W> {
    header: Header,
    /// By field: `"name":`.
    keys: Vec<Vec<u8>>,
    lines: Lines<W>,
    rows: u64,
}

impl<W: Write> JsonPrinter<W> {
    pub(super) fn new(header: Header, out: W) -> Self {
        let key = |name: &str| {
            let mut key = Vec::new();
            write_text(&mut key, name);
            key.push(b':');
            key
        };
        let keys = header.fields.iter().map(|(name, _)| key(name)).collect();
        JsonPrinter { header, keys, lines: Lines::new(out), rows: 0 }
    }
}

impl<W: Write> Printer for JsonPrinter<W> {
    fn print(&mut self, rows: &RowBatch) -> io::Result<()> {
        check(rows, &self.header);
        for row in 0..rows.rows() {
            let out = &mut self.lines.text;
            out.push(b'{');
            if let Some(number) = rows.row_devices.get(row) {
                out.extend_from_slice(b"\"device\":");
                write_text(out, &device::to_text(&rows.devices[*number as usize]));
                out.push(b',');
            }
            out.extend_from_slice(b"\"timestamp_ns\":");
            write_value(out, ValueRef::I64(rows.times[row]));
            out.extend_from_slice(b",\"fields\":{");
            let mut first = true;
            for (key, column) in self.keys.iter().zip(&rows.columns) {
                let Some(value) = column.at(row) else { continue };
                if !first {
                    out.push(b',');
                }
                first = false;
                out.extend_from_slice(key);
                write_json(out, value);
            }
            out.extend_from_slice(b"}}\n");
            self.lines.write_some()?;
        }
        self.rows += rows.rows() as u64;
        Ok(())
    }

    fn finish(&mut self, _: Option<Duration>) -> io::Result<u64> {
        self.lines.write_all()?;
        self.lines.out.flush()?;
        Ok(self.rows)
    }
}

fn write_json(out: &mut Vec<u8>, value: ValueRef<'_>) {
    let is_number = match value {
        ValueRef::String(text) => return write_text(out, text),
        ValueRef::F64(v) => v.is_finite(),
        ValueRef::F32(v) => v.is_finite(),
        ValueRef::Bytes(_) => false,
        ValueRef::I64(_) | ValueRef::U64(_) | ValueRef::Bool(_) => true,
    };
    if is_number {
        return write_value(out, value);
    }
    out.push(b'"');
    write_value(out, value);
    out.push(b'"');
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a str is JSON, and writing to a vector cannot fail");
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{column, edges, text};
    use tidelog::model::Values;

    #[test]
    fn rows_are_objects_with_exact_numbers() {
        let (header, rows) = edges();
        assert_eq!(
            text(Format::Json, &header, &[rows]),
            "{\"device\":\"pump,a=1\",\"timestamp_ns\":-9223372036854775808,\"fields\":{\"f\":-0.0,\
             \"g\":0.1,\"i\":9007199254740993,\"u\":18446744073709551615,\"b\":true,\
             \"s, t\":\"a \\\"b\\\"\\nc\",\"x\":\"0x00ff\"}}\n\
             {\"device\":\"two words\",\"timestamp_ns\":0,\"fields\":{}}\n"
        );
    }

    #[test]
    fn every_line_is_json_also_where_floats_are_not_numbers() {
        let floats = vec![1.0, 1e300, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let (header, rows) = column(Values::F64(floats));
        let lines = text(Format::Json, &header, &[rows]);
        let values: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["fields"]["v"].clone())
            .collect();
        assert_eq!(values[1].as_f64(), Some(1e300));
        assert_eq!(values[2].as_f64(), Some(5e-324));
        assert_eq!(values[3..], ["NaN", "inf", "-inf"]);
        assert!(!lines.contains("device"));
    }
}
