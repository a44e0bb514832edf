//! Where lines of line protocol end: a string may hold line ends, so a line with a quote may go on.
//!
//! It goes on as long as the parsing crate's own splitter finds no end in it. When what comes of
//! that does not parse, only its first line was bad and reading resumes at the second
//! ([`LogicalLines::keep_only_first`]): one quote too many does not swallow the lines below it.

use super::LINE_BYTES_MAX;
use influxdb_line_protocol::split_lines;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// Lines of a text, strings with line ends in them included.
pub(super) struct LogicalLines<R> {
    input: R,
    /// Lines read ahead.
    ahead: VecDeque<Vec<u8>>,
    /// The lines of which the last logical line was made, when it was more than one.
    joined: Vec<Vec<u8>>,
    /// Lines handed out.
    number: u64,
}

impl<R: BufRead> LogicalLines<R> {
    pub(super) fn new(input: R) -> Self {
        LogicalLines { input, ahead: VecDeque::new(), joined: Vec::new(), number: 0 }
    }

    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// The next logical line without its end, and the number of the line it begins on.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        self.joined.clear();
        let Some(first) = self.physical()? else { return Ok(None) };
        let number = self.number + 1;
        self.number += 1;
        if !goes_on(&first, None) {
            return Ok(Some((number, without_end(first))));
        }
        let mut text = first.clone();
        self.joined.push(first);
        let mut tries = 0;
        loop {
            let more = self.physical()?;
            let given_up = more.is_none() || tries == TRIES_MAX || text.len() > LINE_BYTES_MAX;
            if given_up {
                more.into_iter().for_each(|line| self.ahead.push_front(line));
                self.keep_only_first();
                text.truncate(
                    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1),
                );
                return Ok(Some((number, without_end(text))));
            }
            let Some(more) = more else { continue };
            text.extend_from_slice(&more);
            self.number += 1;
            tries += usize::from(more.contains(&b'"'));
            let ended = !goes_on(&text, Some(&more));
            self.joined.push(more);
            if ended {
                return Ok(Some((number, without_end(text))));
            }
        }
    }

    /// Hands out all but the first line of the last logical line again.
    pub(super) fn keep_only_first(&mut self) {
        for line in self.joined.drain(..).skip(1).rev() {
            self.ahead.push_front(line);
            self.number -= 1;
        }
    }

    /// The next line with its end; of one that is too long, enough to tell.
    fn physical(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        self.input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if line.len() > LINE_BYTES_MAX && !line.ends_with(b"\n") {
            self.input.skip_until(b'\n')?;
        }
        Ok((!line.is_empty()).then_some(line))
    }
}

/// Is the end of `text` inside of a string, or escaped? `last` is the part that came last, where
/// that is not all: only a quote in it can end the string.
fn goes_on(text: &[u8], last: Option<&[u8]>) -> bool {
    if last.is_some_and(|last| !last.contains(&b'"')) {
        return true;
    }
    let comment = text.trim_ascii_start().starts_with(b"#");
    let whole = !text.contains(&b'"') && !text.ends_with(b"\\\n");
    if comment || whole || !text.ends_with(b"\n") {
        return false;
    }
    // The text holds one end of line at its end; where the splitter sees it, there are two parts.
    // Only an unescaped, unquoted one counts, and that can only be the last.
    std::str::from_utf8(text).is_ok_and(|text| split_lines(text).nth(1).is_none())
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    line
}

/// How many lines with a quote in them are joined before the first is taken for bad.
const TRIES_MAX: usize = 256;
