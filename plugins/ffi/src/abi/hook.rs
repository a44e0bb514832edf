//! The program's log, and its destructor.

use super::tidelog::{tidelog_drop_fn, tidelog_log_fn, tidelog_log_record, tidelog_text};
use crate::log::{Collector, Line};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

/// A log function of the caller. Its destructor runs once, when this goes.
pub(super) struct Hook {
    function: tidelog_log_fn,
    user: *mut c_void,
    drop: tidelog_drop_fn,
    /// `None`: nobody listens.
    collector: Option<Collector>,
    /// It wants no more lines.
    ended: AtomicBool,
}

// SAFETY: the header says that lines come on the threads that load and plan, on several at once where a policy is replayed while
// a node asks it, and where the destructor runs.
unsafe impl Send for Hook {}
// SAFETY: as above.
unsafe impl Sync for Hook {}

impl Hook {
    pub(super) fn new(function: tidelog_log_fn, user: *mut c_void, drop: tidelog_drop_fn) -> Self {
        let collector = function.map(|_| Collector::new());
        Hook { function, user, drop, collector, ended: AtomicBool::new(false) }
    }

    /// Runs a call, and hands over what was said meanwhile.
    pub(super) fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        match &self.collector {
            Some(collector) if !self.ended.load(Ordering::Relaxed) => {
                let (outcome, lines) = collector.during(call);
                let wanted = lines.iter().all(|line| self.line(line));
                self.ended.fetch_or(!wanted, Ordering::Relaxed);
                outcome
            }
            _ => call(),
        }
    }

    /// Hands a line over; whether more are wanted.
    fn line(&self, line: &Line) -> bool {
        let Some(function) = self.function else { return false };
        let text = |text: &str| tidelog_text { data: text.as_ptr().cast(), length: text.len() };
        let record = tidelog_log_record {
            struct_size: size_of::<tidelog_log_record>() as u32,
            level: line.level,
            target: text(&line.target),
            message: text(&line.message),
            lost: line.lost,
        };
        // SAFETY: the caller's function with the caller's pointer.
        unsafe { function(self.user, &raw const record) == 0 }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: the caller's own function with its own pointer, once.
            unsafe { drop(self.user) }
        }
    }
}
