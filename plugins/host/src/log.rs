//! What a policy tells the operator: a few short lines of each plan.

use crate::bindings::tidelog::policy::log::{Host, Level as WitLevel};
use crate::bindings::tidelog::policy::types;

/// So many lines of a plan are kept.
pub const LINES_MAX: usize = 32;
/// So many bytes of a line are kept.
pub const LINE_BYTES_MAX: usize = 256;

/// How important a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// For who writes the policy.
    Debug,
    /// What is as it should be.
    Info,
    /// What the operator should look at.
    Warn,
    /// What went wrong.
    Error,
}

/// A line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// How important it is.
    pub level: Level,
    /// One line without control characters.
    pub text: String,
}

/// The lines of one plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// In the order in which they were written.
    pub lines: Vec<Line>,
    /// So many came after the last one that was kept.
    pub dropped: u64,
}

impl Log {
    pub(crate) fn write(&mut self, level: Level, text: &str) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(Line { level, text: one_line(text) });
        } else {
            self.dropped += 1;
        }
    }

    /// Passes the lines on to `tracing`, under the name of the policy.
    pub(crate) fn emit(&self, policy: &str) {
        for Line { level, text } in &self.lines {
            match level {
                Level::Debug => tracing::debug!(policy, "{text}"),
                Level::Info => tracing::info!(policy, "{text}"),
                Level::Warn => tracing::warn!(policy, "{text}"),
                Level::Error => tracing::error!(policy, "{text}"),
            }
        }
        if self.dropped > 0 {
            tracing::warn!(policy, dropped = self.dropped, "a policy writes more than is kept");
        }
    }
}

impl Host for Log {
    fn log(&mut self, level: WitLevel, text: String) {
        let level = match level {
            WitLevel::Debug => Level::Debug,
            WitLevel::Info => Level::Info,
            WitLevel::Warn => Level::Warn,
            WitLevel::Error => Level::Error,
        };
        self.write(level, &text);
    }
}

/// Records have no functions.
impl types::Host for Log {}

/// What a policy wrote, as it may stand in a log of ours: cut, and with spaces for what could forge a second line.
pub(crate) fn one_line(text: &str) -> String {
    let end = text.floor_char_boundary(LINE_BYTES_MAX);
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters_and_stays_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[31m"), "a b [31m");
        let long = one_line(&"ä".repeat(200));
        assert_eq!(long, "ä".repeat(128));
        assert_eq!(one_line(&format!("x{}", "ä".repeat(200))).len(), 255);
    }

    #[test]
    fn a_flood_is_counted_and_not_kept() {
        let mut log = Log::default();
        (0..1_000).for_each(|_| log.write(Level::Info, "again"));
        assert_eq!((log.lines.len(), log.dropped), (LINES_MAX, 1_000 - LINES_MAX as u64));
    }
}
