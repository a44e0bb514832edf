//! Progress on stderr, where that is a terminal; silence elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// How far a command is, in bytes.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins with what is being done, as "reading".
    pub(crate) fn new(what: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let form = "{msg:>12} {wide_bar} {bytes}/{total_bytes} {eta}";
        let style =
            ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style);
        bar.set_message(what);
        Progress(bar)
    }

    /// Says what is being done from here on.
    pub(crate) fn turn_to(&self, what: &'static str) {
        self.0.set_message(what);
    }

    /// How far it is, in words of its own.
    #[cfg(feature = "replication")]
    pub(crate) fn tell(&self, far: String) {
        let style = ProgressStyle::with_template("{spinner} {msg}");
        self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        self.0.set_message(far);
        self.0.tick();
    }

    pub(crate) fn set(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }

    /// A line above the bar, or just a line.
    pub(crate) fn say(&self, line: &str) {
        self.0.suspend(|| crate::error::say(line));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
