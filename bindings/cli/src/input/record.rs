//! CSV records (RFC 4180) that know which of their fields were quoted.
//!
//! `csv-core` splits and unescapes. The `csv` crate on top of it forgets whether a field was
//! quoted, and so whether an empty one is absent or the empty string; therefore this reads field
//! by field, where the first byte handed to the parser is the first byte of the field. On the way
//! it refuses what the parser would mend in silence: quotes that do not match.

use std::io::{self, BufRead};

/// Splits a text into records.
pub(crate) struct RecordReader<R> {
    input: R,
    parser: csv_core::Reader,
    /// The unescaped fields of the record, end to end; longer than what is used.
    text: Vec<u8>,
    ends: Vec<usize>,
    quoted: Vec<bool>,
    /// The number of the line that the next byte is on.
    line: u64,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// The line it begins on, from 1.
    pub(crate) line: u64,
    text: &'a str,
    ends: &'a [usize],
    quoted: &'a [bool],
}

/// What is wrong with a record that has none of its fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum RecordFault {
    #[error(
        "a quoted value does not end in a quote before the next comma: close it, double quotes inside it"
    )]
    Quotes,
    #[error("the record has more than {RECORD_BYTES_MAX} bytes: is a quote left open?")]
    TooLong,
    #[error("the text is not UTF-8: convert the file")]
    Encoding,
}

impl<R: BufRead> RecordReader<R> {
    pub(crate) fn new(input: R) -> Self {
        RecordReader {
            input,
            parser: csv_core::Reader::new(),
            text: vec![0; 4096],
            ends: Vec::new(),
            quoted: Vec::new(),
            line: 1,
        }
    }

    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// The next record, or what is wrong with it and the line it begins on; `None` at the end.
    /// Empty lines are skipped: a row has at least a device and a time.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Record<'_>, (u64, RecordFault)>>> {
        if !self.skip_line_ends()? {
            return Ok(None);
        }
        self.ends.clear();
        self.quoted.clear();
        let line = self.line;
        let (mut end, mut fault) = (0, None);
        loop {
            let field = self.read_field(end)?;
            fault = fault.or(field.fault);
            // What is too long is parsed to its end, in the same place, and dropped.
            end = if field.end > RECORD_BYTES_MAX { 0 } else { field.end };
            self.ends.push(end);
            self.quoted.push(field.quoted);
            if field.last {
                break;
            }
        }
        if let Some(fault) = fault {
            return Ok(Some(Err((line, fault))));
        }
        let (ends, quoted) = (&self.ends[..], &self.quoted[..]);
        let record = match std::str::from_utf8(&self.text[..end]) {
            // Text that is whole only when fields are joined is broken in each of them.
            Ok(text) if ends.iter().all(|end| text.is_char_boundary(*end)) => {
                Ok(Record { line, text, ends, quoted })
            }
            _ => Err((line, RecordFault::Encoding)),
        };
        Ok(Some(record))
    }

    /// Moves to the first byte of a record; `false` when there is none.
    fn skip_line_ends(&mut self) -> io::Result<bool> {
        loop {
            let bytes = self.input.fill_buf()?;
            let skip = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let (all, done) = (bytes.len(), bytes.is_empty());
            self.line += count(&bytes[..skip], b'\n');
            self.input.consume(skip);
            if skip < all || done {
                return Ok(!done);
            }
        }
    }

    fn read_field(&mut self, start: usize) -> io::Result<Field> {
        let mut end = start;
        let mut too_long = false;
        // Of a quoted field: quotes in the file, and the last byte before its comma or line end.
        let (mut quotes, mut last_byte) = (0, 0);
        let mut quoted = None;
        loop {
            let bytes = self.input.fill_buf()?;
            let at_end = bytes.is_empty();
            let is_quoted = *quoted.get_or_insert(bytes.first() == Some(&b'"'));
            if end == self.text.len() {
                self.text.resize(self.text.len() * 2, 0);
            }
            let (result, taken, written) = self.parser.read_field(bytes, &mut self.text[end..]);
            let raw = &bytes[..taken];
            let complete = match result {
                csv_core::ReadFieldResult::Field { record_end } => Some(record_end),
                csv_core::ReadFieldResult::End => Some(true),
                _ => None,
            };
            if is_quoted {
                quotes += count(raw, b'"');
                self.line += count(raw, b'\n');
                let content = if complete.is_some() && !at_end { &raw[..taken - 1] } else { raw };
                last_byte = content.last().copied().unwrap_or(last_byte);
            } else {
                self.line += u64::from(raw.last() == Some(&b'\n'));
            }
            self.input.consume(taken);
            end += written;
            if let Some(last) = complete {
                let inside = count(&self.text[start..end], b'"');
                let matched = !is_quoted || (last_byte == b'"' && quotes == 2 + 2 * inside);
                let fault = match (too_long || end > RECORD_BYTES_MAX, matched) {
                    (true, _) => Some(RecordFault::TooLong),
                    (false, false) => Some(RecordFault::Quotes),
                    (false, true) => None,
                };
                return Ok(Field { end, quoted: is_quoted, last, fault });
            }
            if end > RECORD_BYTES_MAX {
                (too_long, end) = (true, start);
            }
        }
    }
}

impl<'a> Record<'a> {
    /// How many fields there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of a field, unescaped.
    ///
    /// # Panics
    /// When `index` is out of bounds.
    pub(crate) fn at(&self, index: usize) -> &'a str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    /// Did the field stand in quotes?
    pub(crate) fn is_quoted(&self, index: usize) -> bool {
        self.quoted[index]
    }
}

struct Field {
    end: usize,
    quoted: bool,
    last: bool,
    fault: Option<RecordFault>,
}

fn count(bytes: &[u8], wanted: u8) -> u64 {
    bytes.iter().filter(|byte| **byte == wanted).count() as u64
}

/// The most bytes one record may have: two fit into a batch with room to spare.
pub(crate) const RECORD_BYTES_MAX: usize = 24 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Fields = Vec<(String, bool)>;

    fn read(text: &[u8], chunk: usize) -> Vec<Result<(u64, Fields), (u64, RecordFault)>> {
        let mut reader = RecordReader::new(io::BufReader::with_capacity(chunk, text));
        let mut records = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            records.push(record.map(|record| {
                let field = |index| (record.at(index).to_string(), record.is_quoted(index));
                (record.line, (0..record.len()).map(field).collect())
            }));
        }
        records
    }

    fn bare(fields: &[&str]) -> Fields {
        fields.iter().map(|field| (field.to_string(), false)).collect()
    }

    #[test]
    fn quoted_and_bare_empty_fields_differ_at_every_place() {
        let (quoted, empty) = (("".to_string(), true), ("".to_string(), false));
        for chunk in 1..12 {
            let records = read(b"\"\",,\"\"\n,\"\",", chunk);
            let expected = [
                vec![quoted.clone(), empty.clone(), quoted.clone()],
                vec![empty.clone(), quoted.clone(), empty.clone()],
            ];
            assert_eq!(records[0], Ok((1, expected[0].clone())), "chunks of {chunk}");
            assert_eq!(records[1], Ok((2, expected[1].clone())), "chunks of {chunk}");
        }
    }

    #[test]
    fn lines_are_counted_through_quoted_newlines_crlf_and_empty_lines() {
        let text = b"a,b\r\n\r\n\"x\ny\r\nz\",1\r\nc,d\n\n\ne,f";
        for chunk in 1..20 {
            let records = read(text, chunk);
            let lines: Vec<u64> = records.iter().map(|r| r.as_ref().unwrap().0).collect();
            assert_eq!(lines, [1, 3, 6, 9], "chunks of {chunk}");
            assert_eq!(records[1].as_ref().unwrap().1[0], ("x\ny\r\nz".to_string(), true));
            assert_eq!(records[3].as_ref().unwrap().1, bare(&["e", "f"]));
        }
    }

    #[test]
    fn quotes_that_do_not_match_are_refused_and_the_next_record_is_read() {
        for bad in ["\"ab\"c,1", "\"ab\"c\",1", "\"a\"b\"c\",1", "x,\"a\" "] {
            for chunk in [1, 3, 64] {
                let records = read(format!("{bad}\nd,e\n").as_bytes(), chunk);
                assert_eq!(records[0], Err((1, RecordFault::Quotes)), "{bad}");
                assert_eq!(records[1], Ok((2, bare(&["d", "e"]))), "{bad}");
            }
        }
        assert_eq!(read(b"a,b\nc,\"d\ne,f\n", 5)[1], Err((2, RecordFault::Quotes)));
    }

    #[test]
    fn what_is_not_utf_8_is_refused_by_line() {
        assert_eq!(read(b"a\n\xff,b\nc", 64)[1], Err((2, RecordFault::Encoding)));
        // Halves of one character in two fields.
        assert_eq!(read(b"\xc3,\xa9", 64)[0], Err((1, RecordFault::Encoding)));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_field() {
        assert_eq!(read(b"\xef\xbb\xbfa,b", 64)[0], Ok((1, bare(&["a", "b"]))));
    }

    #[test]
    fn a_quote_left_open_does_not_fill_the_memory() {
        let text = [b"a,\"".to_vec(), vec![b'x'; 3 * RECORD_BYTES_MAX], b"\"\nb,c\n".to_vec()];
        let mut reader = RecordReader::new(io::BufReader::with_capacity(
            1 << 16,
            io::Cursor::new(text.concat()),
        ));
        assert_eq!(reader.next().unwrap().unwrap().unwrap_err(), (1, RecordFault::TooLong));
        assert_eq!(reader.next().unwrap().unwrap().unwrap().at(1), "c");
        assert!(reader.text.len() <= 2 * RECORD_BYTES_MAX + 4096);
    }

    fn written(fields: &Fields) -> String {
        let field = |(text, quoted): &(String, bool)| match quoted {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.clone(),
        };
        fields.iter().map(field).collect::<Vec<_>>().join(",")
    }

    proptest! {
        #[test]
        fn every_record_comes_back(
            records in prop::collection::vec(
                prop::collection::vec(
                    prop_oneof![
                        ("[a-c,\"\r\né ]{0,6}").prop_map(|text| (text, true)),
                        ("[a-c0-9é ]{0,6}").prop_map(|text| (text, false)),
                    ],
                    2..5,
                ),
                0..6,
            ),
            crlf: bool,
            chunk in 1usize..40,
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut text = String::new();
            let mut expected = Vec::new();
            for fields in &records {
                let line = 1 + text.matches('\n').count() as u64;
                text += &written(fields);
                text += end;
                expected.push(Ok((line, fields.clone())));
            }
            prop_assert_eq!(read(text.as_bytes(), chunk), expected);
        }
    }
}
