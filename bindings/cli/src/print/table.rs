//! Rows as a table for people: aligned columns, times in RFC 3339, the number of rows at the end.
//!
//! The first rows set the widths; later ones keep them, and a longer value only pushes its own line
//! to the right. So a table of any length takes little memory. An absent value is blank, the empty
//! string is `""`, and control characters are escaped, because text from elsewhere must not drive
//! the terminal.

use super::value::write_value;
use super::{Header, Lines, Printer, check};
use crate::time::print_time;
use std::io::{self, Write};
use std::time::Duration;
use tidelog::RowBatch;
use tidelog::model::{FieldType, ValueRef, device};
use unicode_width::UnicodeWidthStr;

/// See the module.
pub(super) struct TablePrinter<W> {
    header: Header,
    columns: Vec<TableColumn>,
    /// Rows kept back until the widths are known.
    waiting: Vec<Vec<String>>,
    is_begun: bool,
    lines: Lines<W>,
    rows: u64,
}

struct TableColumn {
    name: String,
    /// Numbers stand at the right, so that their digits align.
    is_number: bool,
    width: usize,
}

impl TableColumn {
    fn new(name: &str, is_number: bool) -> Self {
        let name = escape(name);
        TableColumn { width: name.width(), name, is_number }
    }
}

impl<W: Write> TablePrinter<W> {
    pub(super) fn new(header: Header, out: W) -> Self {
        let device = header.has_devices.then(|| TableColumn::new("device", false));
        let fields = header.fields.iter().map(|(name, kind)| {
            let is_text = matches!(kind, FieldType::String | FieldType::Bytes | FieldType::Bool);
            TableColumn::new(name, !is_text)
        });
        let columns =
            device.into_iter().chain([TableColumn::new("time", false)]).chain(fields).collect();
        TablePrinter {
            columns,
            header,
            waiting: Vec::new(),
            is_begun: false,
            lines: Lines::new(out),
            rows: 0,
        }
    }

    fn cells(rows: &RowBatch, row: usize) -> Vec<String> {
        let device = rows
            .row_devices
            .get(row)
            .map(|number| escape(&device::to_text(&rows.devices[*number as usize])));
        let time = print_time(rows.times[row]);
        let values = rows.columns.iter().map(|column| column.at(row).map_or(String::new(), show));
        device.into_iter().chain([time]).chain(values).collect()
    }

    /// Prints the head of the table and the rows kept back.
    fn begin(&mut self) -> io::Result<()> {
        self.is_begun = true;
        for row in &self.waiting {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(cell.width());
            }
        }
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        self.write_row(&names)?;
        let rules: Vec<String> = self.columns.iter().map(|c| "─".repeat(c.width)).collect();
        self.write_row(&rules)?;
        for row in std::mem::take(&mut self.waiting) {
            self.write_row(&row)?;
        }
        Ok(())
    }

    fn write_row(&mut self, cells: &[String]) -> io::Result<()> {
        let out = &mut self.lines.text;
        let start = out.len();
        for (index, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            if index > 0 {
                out.extend_from_slice(b"  ");
            }
            let padding = column.width.saturating_sub(cell.width());
            if column.is_number {
                out.resize(out.len() + padding, b' ');
            }
            out.extend_from_slice(cell.as_bytes());
            if !column.is_number {
                out.resize(out.len() + padding, b' ');
            }
        }
        while out.len() > start && out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
        self.lines.write_some()
    }
}

impl<W: Write> Printer for TablePrinter<W> {
    fn print(&mut self, rows: &RowBatch) -> io::Result<()> {
        check(rows, &self.header);
        for row in 0..rows.rows() {
            let cells = Self::cells(rows, row);
            if self.is_begun {
                self.write_row(&cells)?;
                continue;
            }
            self.waiting.push(cells);
            if self.waiting.len() == WAITING_MAX {
                self.begin()?;
            }
        }
        self.rows += rows.rows() as u64;
        Ok(())
    }

    fn finish(&mut self, elapsed: Option<Duration>) -> io::Result<u64> {
        if !self.is_begun {
            self.begin()?;
        }
        let noun = if self.rows == 1 { "row" } else { "rows" };
        let time = elapsed.map_or(String::new(), |time| format!(", {time:.1?}"));
        let footer = format!("{} {noun}{time}\n", with_separators(self.rows));
        self.lines.text.extend_from_slice(footer.as_bytes());
        self.lines.write_all()?;
        self.lines.out.flush()?;
        Ok(self.rows)
    }
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::String("") => "\"\"".to_string(),
        ValueRef::String(text) => escape(text),
        value => {
            let mut text = Vec::new();
            write_value(&mut text, value);
            String::from_utf8(text).expect("numbers and hexadecimal digits are ASCII")
        }
    }
}

fn escape(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_string();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn with_separators(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

const WAITING_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{column, edges, text};
    use super::*;
    use tidelog::model::Values;

    #[test]
    fn columns_align_and_text_cannot_drive_the_terminal() {
        let (header, rows) = edges();
        let shown = text(Format::Table, &header, &[rows]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 5, "{shown}");
        assert!(
            lines[0].starts_with("device     time                               f    g"),
            "{shown}"
        );
        assert!(
            lines[2].contains("pump,a=1   1677-09-21T00:12:43.145224192Z  -0.0  0.1"),
            "{shown}"
        );
        assert!(lines[2].contains("a \"b\"\\nc"), "{shown}");
        assert_eq!(lines[3], "two words  1970-01-01T00:00:00.000000000Z");
        assert_eq!(lines[4], "2 rows");
        assert_eq!(escape("\u{1b}[2J"), "\\u{1b}[2J");
    }

    #[test]
    fn rows_after_the_first_thousand_are_not_kept() {
        let (header, rows) = column(Values::I64((0..1500).collect()));
        let mut printer = TablePrinter::new(header, io::sink());
        printer.print(&rows).unwrap();
        assert!(printer.waiting.is_empty());
    }

    #[test]
    fn the_footer_counts() {
        let (header, rows) = column(Values::I64(vec![7]));
        assert!(text(Format::Table, &header, &[rows]).ends_with("Z  7\n1 row\n"));
        assert!(text(Format::Table, &header, &[]).ends_with("0 rows\n"));
        assert_eq!(with_separators(1_000_000), "1,000,000");
        assert_eq!(with_separators(999), "999");
    }
}
