//! Log lines of the library, for the host's own log.

use super::callback::{Callback, tidelog_drop_fn};
use super::entry::entry;
use super::library::*;
use super::result::tidelog_text;
use crate::fault::Fault;
use crate::logging::{self, Line};
use std::ffi::c_void;

/// Something failed.
pub const TIDELOG_LOG_ERROR: u32 = 1;
/// Something is not as it should be.
pub const TIDELOG_LOG_WARN: u32 = 2;
/// Something happened.
pub const TIDELOG_LOG_INFO: u32 = 3;
/// What is done.
pub const TIDELOG_LOG_DEBUG: u32 = 4;
/// All there is.
pub const TIDELOG_LOG_TRACE: u32 = 5;

/// A line. Good during the callback only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_log_record {
    /// Its size in the library, which may be greater than the header's.
    pub struct_size: u32,
    /// `TIDELOG_LOG_ERROR` and so on.
    pub level: u32,
    /// The part of the library it comes from.
    pub target: tidelog_text,
    /// What it says, without a line feed at its end.
    pub message: tidelog_text,
    /// Lines before it that were lost because the callback was too slow.
    pub lost: u64,
}

/// Handed each line, on a thread of the library's named "tidelog-log", one at a time, with no lock held: it may call any function.
/// Returns 0 to go on, anything else to end the hook. It must not throw, longjmp or fork.
pub type tidelog_log_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, record: *const tidelog_log_record) -> i32>;

impl Callback<tidelog_log_fn> {
    /// Hands a line over; whether more are wanted.
    pub(crate) fn log(&self, line: &Line) -> bool {
        let (Some(function), user) = self.parts() else { return false };
        let text = |text: &str| tidelog_text { data: text.as_ptr().cast(), length: text.len() };
        let record = tidelog_log_record {
            struct_size: u32::try_from(size_of::<tidelog_log_record>()).unwrap_or(u32::MAX),
            level: line.level,
            target: text(&line.target),
            message: text(&line.message),
            lost: line.lost,
        };
        // SAFETY: the caller's function with the caller's pointer, one call at a time.
        unsafe { function(user, &raw const record) == 0 }
    }
}

/// Hands log lines of `level` and the more important ones to `function` from now on, in place of the hook before; there is
/// one for the process. A NULL `function` ends the hook: when the call returns nothing is handed over any more, unless the
/// callback itself calls. Until this is called nothing is collected; the library never writes to stdout or stderr, but for the
/// text of a panic.
///
/// `drop` (may be NULL) is called once with `user` when the hook has ended, also after an error.
///
/// Errors: `TIDELOG_LOCKED` in a Rust program that collects tracing events itself.
///
/// Threads: any; lines come on one of the library's. Blocks: until the hook before has ended. Since: 0.1.
/// Owns: `user` is the library's until `drop`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_log_set(
    level: u32,
    function: tidelog_log_fn,
    user: *mut c_void,
    drop: tidelog_drop_fn,
    error: *mut tidelog_error,
) -> tidelog_status {
    // Made first, so that it is dropped on every way out.
    let callback = Callback::new(function, user, drop);
    let call = || {
        if function.is_none() {
            logging::unset();
            return Ok(TIDELOG_OK);
        }
        if !(TIDELOG_LOG_ERROR..=TIDELOG_LOG_TRACE).contains(&level) {
            return Err(Fault::argument(format!(
                "{level} is no level: TIDELOG_LOG_ERROR (1) to TIDELOG_LOG_TRACE (5) are"
            )));
        }
        crate::abi::fork::watch();
        logging::set(level, callback)?;
        Ok(TIDELOG_OK)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_log_set", error, call) }
}
