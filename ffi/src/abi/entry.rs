//! What every call goes through: forked children are turned away, panics end, errors are written down.

use super::fork;
use super::library::*;
use crate::fault::Fault;
use std::any::Any;
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a call, and writes down what went wrong.
///
/// # Safety
/// `error` is NULL or the caller's to be written.
pub(super) unsafe fn entry(
    function: &str,
    error: *mut tidelog_error,
    call: impl FnOnce() -> Result<tidelog_status, Fault>,
) -> tidelog_status {
    // SAFETY: as promised to this function.
    unsafe {
        match guarded(function, call) {
            Ok(status) => {
                write(error, &Fault::new(TIDELOG_OK, TIDELOG_KIND_NONE, ""));
                status
            }
            Err(fault) => write(error, &fault),
        }
    }
}

/// Runs a call: not in a forked child, and a panic in it is an error.
pub fn guarded<T>(function: &str, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    if fork::in_child() {
        return Err(Fault::forked());
    }
    // What a panic leaves half done is behind locks that are poisoned by it, or in the store, which is made to be dropped
    // at any time.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        inject(function);
        call()
    }));
    outcome.unwrap_or_else(|panic| Err(Fault::panicked(function, &panic_text(panic))))
}

/// Runs a call that has no error to write: a panic gives `otherwise`.
pub(super) fn plain<T>(function: &str, otherwise: T, call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| {
        inject(function);
        call()
    }))
    .unwrap_or(otherwise)
}

/// What a panic said. A payload of another kind is never dropped, for that could panic again.
pub(super) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => match panic.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(other) => {
                std::mem::forget(other);
                "no message".to_owned()
            }
        },
    }
}

/// Panics in the function that a test names in `TIDELOG_TEST_PANIC`. Not in release builds.
#[cfg(debug_assertions)]
fn inject(function: &str) {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let name = NAME.get_or_init(|| std::env::var("TIDELOG_TEST_PANIC").ok());
    assert!(name.as_deref() != Some(function), "a test asked for it");
}

#[cfg(not(debug_assertions))]
fn inject(_: &str) {}

/// The size of an error that says none.
const FIRST_SIZE: usize = 512;
const _: () = assert!(size_of::<tidelog_error>() == FIRST_SIZE);

/// Fills the caller's error, as far as it is long; the code.
///
/// # Safety
/// `error` is NULL or the caller's to be written, and as long as its `struct_size` says.
unsafe fn write(error: *mut tidelog_error, fault: &Fault) -> tidelog_status {
    if error.is_null() {
        return fault.code;
    }
    // SAFETY: an error has a size at its beginning; an unaligned one is the caller's to have.
    let size = match unsafe { (&raw const (*error).struct_size).read_unaligned() } {
        0 => FIRST_SIZE,
        size => size as usize,
    };
    let text = offset_of!(tidelog_error, message);
    // Too short for a code, or made of what happened to lie on the stack: neither is written to.
    if !(text..=1 << 16).contains(&size) {
        return fault.code;
    }
    let room = size.min(FIRST_SIZE) - text;
    let shown = cut(&fault.message, room.saturating_sub(1));
    // SAFETY: `size` bytes are the caller's, at least those before the message; `shown` and a NUL fit into the rest.
    unsafe {
        (&raw mut (*error).code).write_unaligned(fault.code);
        (&raw mut (*error).kind).write_unaligned(fault.kind);
        let length = u32::try_from(fault.message.len()).unwrap_or(u32::MAX);
        (&raw mut (*error).message_length).write_unaligned(length);
        if room > 0 {
            let to = error.cast::<u8>().add(text);
            to.copy_from_nonoverlapping(shown.as_ptr(), shown.len());
            to.add(shown.len()).write(0);
        }
    }
    fault.code
}

/// As much of a text as fits, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
