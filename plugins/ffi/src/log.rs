//! Lines of policies, and of who loads them, on their way to the program's log.
//!
//! The host of components passes both to `tracing`. They are collected while a call runs, on its own thread, and handed over
//! when it is over: no lock is held then, and what the program logs to may call in again.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    /// 1 (error) to 5 (trace).
    pub(crate) level: u32,
    /// The policy that wrote it, or the part of the library.
    pub(crate) target: String,
    pub(crate) message: String,
    /// Lines before it that were not kept.
    pub(crate) lost: u64,
}

/// Collects what is said during calls.
pub(crate) struct Collector {
    lines: Arc<Mutex<Vec<Line>>>,
    dispatch: Dispatch,
}

impl Collector {
    pub(crate) fn new() -> Self {
        let lines = Arc::default();
        let dispatch = Dispatch::new(Lines(Arc::clone(&lines)));
        Collector { lines, dispatch }
    }

    /// Runs a call; what it came to, and what was said meanwhile.
    pub(crate) fn during<T>(&self, call: impl FnOnce() -> T) -> (T, Vec<Line>) {
        let outcome = tracing::dispatcher::with_default(&self.dispatch, call);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        (outcome, std::mem::take(&mut *lines))
    }
}

struct Lines(Arc<Mutex<Vec<Line>>>);

impl Subscriber for Lines {
    /// Ours: what the compiler of components has to say is for nobody.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("tidelog")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        let target = metadata.target().to_owned();
        let mut line = Line { level, target, message: String::new(), lost: 0 };
        event.record(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "policy" => value.clone_into(&mut self.target),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "dropped" => self.lost = value,
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The message comes first, whatever was recorded before it.
        let _ = match field.name() {
            "message" => {
                let rest = std::mem::take(&mut self.message);
                write!(self.message, "{value:?}{rest}")
            }
            name => write!(self.message, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_policy_and_what_was_lost_and_nothing_else_is_heard() {
        let collector = Collector::new();
        let ((), lines) = collector.during(|| {
            tracing::info!(target: "tidelog_wasm::log", policy = "metered", "over {}", "budget");
            tracing::warn!(target: "tidelog_wasm::log", policy = "metered", dropped = 7_u64, "more");
            tracing::error!(target: "tidelog_wasm::cache", error = %"full", "cannot keep it");
            tracing::error!(target: "cranelift", "not ours");
        });
        let lines: Vec<_> =
            lines.iter().map(|l| (l.level, &*l.target, &*l.message, l.lost)).collect();
        let cache = "tidelog_wasm::cache";
        assert_eq!(
            lines,
            [
                (3, "metered", "over budget", 0),
                (2, "metered", "more", 7),
                (1, cache, "cannot keep it error=full", 0)
            ]
        );
        assert!(collector.during(|| ()).1.is_empty());
    }
}
