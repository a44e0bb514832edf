//! Rows as CSV (RFC 4180) that `tidelog import` takes back: an absent value is an empty field, the
//! empty string is `""`, and all else is quoted only where it must be.

use super::value::write_value;
use super::{Header, Lines, Printer, check};
use std::io::{self, Write};
use std::time::Duration;
use tidelog::RowBatch;
use tidelog::model::{ValueRef, device};

/// See the module.
pub(super) struct CsvPrinter<W> {
    header: Header,
    lines: Lines<W>,
    rows: u64,
}

impl<W: Write> CsvPrinter<W> {
    pub(super) fn new(header: Header, out: W) -> Self {
        let mut lines = Lines::new(out);
        if header.has_devices {
            lines.text.extend_from_slice(b"device,");
        }
        lines.text.extend_from_slice(b"timestamp_ns");
        for (name, _) in &header.fields {
            lines.text.push(b',');
            write_quoted(&mut lines.text, name);
        }
        lines.text.push(b'\n');
        CsvPrinter { header, lines, rows: 0 }
    }
}

impl<W: Write> Printer for CsvPrinter<W> {
    fn print(&mut self, rows: &RowBatch) -> io::Result<()> {
        check(rows, &self.header);
        let mut name = Vec::new();
        let mut named = None;
        for row in 0..rows.rows() {
            if let Some(number) = rows.row_devices.get(row) {
                if named != Some(*number) {
                    name.clear();
                    let canonical = &rows.devices[*number as usize];
                    write_quoted(&mut name, &device::to_text(canonical));
                    named = Some(*number);
                }
                self.lines.text.extend_from_slice(&name);
                self.lines.text.push(b',');
            }
            write_value(&mut self.lines.text, ValueRef::I64(rows.times[row]));
            for column in &rows.columns {
                self.lines.text.push(b',');
                match column.at(row) {
                    None => {}
                    Some(ValueRef::String(text)) => write_quoted(&mut self.lines.text, text),
                    Some(value) => write_value(&mut self.lines.text, value),
                }
            }
            self.lines.text.push(b'\n');
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

fn write_quoted(out: &mut Vec<u8>, text: &str) {
    let special = |byte: u8| matches!(byte, b',' | b'"' | b'\r' | b'\n');
    // A reader would take a byte order mark at the very beginning for no part of the name.
    if !text.is_empty() && !text.bytes().any(special) && !text.starts_with('\u{feff}') {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{column, edges, text};
    use tidelog::model::{Values, VarBytes};

    #[test]
    fn all_types_and_absent_values_have_their_text() {
        let (header, rows) = edges();
        assert_eq!(
            text(Format::Csv, &header, &[rows]),
            "device,timestamp_ns,f,g,i,u,b,\"s, t\",x\n\
             \"pump,a=1\",-9223372036854775808,-0.0,0.1,9007199254740993,18446744073709551615,true,\"a \"\"b\"\"\nc\",0x00ff\n\
             two words,0,,,,,,,\n"
        );
    }

    #[test]
    fn empty_strings_are_quoted_and_numbers_in_strings_are_not() {
        let mut strings = VarBytes::new();
        ["", "1", " x ", "\r"].iter().for_each(|text| strings.push(text.as_bytes()));
        let (header, rows) = column(Values::String(strings));
        assert_eq!(
            text(Format::Csv, &header, &[rows]),
            "timestamp_ns,v\n0,\"\"\n1,1\n2, x \n3,\"\r\"\n"
        );
    }

    #[test]
    fn an_answer_without_rows_is_its_header() {
        let (header, _) = edges();
        assert_eq!(text(Format::Csv, &header, &[]), "device,timestamp_ns,f,g,i,u,b,\"s, t\",x\n");
    }
}
