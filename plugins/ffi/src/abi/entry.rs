//! What every call goes through: forked children are turned away, panics end, errors are written down.

use super::tidelog::*;
use crate::fault::Fault;
use std::any::Any;
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// The process that loaded the first policy. A child of it has neither the thread that ends calls of policies, nor locks in
/// any known state.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// From here on children of this process are told.
pub(super) fn watch() {
    PROCESS.get_or_init(std::process::id);
}

/// Runs a call, and writes down what went wrong.
///
/// # Safety
/// `error` is NULL or the caller's to be written.
pub(super) unsafe fn entry(
    function: &str,
    error: *mut tidelog_error,
    call: impl FnOnce() -> Result<(), Fault>,
) -> tidelog_status {
    let fault = match guarded(function, call) {
        Ok(()) => Fault::new(TIDELOG_OK, TIDELOG_KIND_NONE, ""),
        Err(fault) => fault,
    };
    // SAFETY: as promised to this function.
    unsafe { write(error, &fault) }
}

/// Runs a call: not in a forked child, and a panic in it is an error.
pub(super) fn guarded<T>(
    function: &str,
    call: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    if PROCESS.get().is_some_and(|process| *process != std::process::id()) {
        return Err(Fault::forked());
    }
    // What a panic leaves half done is one policy, which is not handed out, or one instance of it, which goes with its plan.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        inject(function);
        call()
    }));
    outcome.unwrap_or_else(|panic| Err(Fault::panicked(function, &panic_text(panic))))
}

/// What a panic said. A payload of another kind is never dropped, for that could panic again.
fn panic_text(panic: Box<dyn Any + Send>) -> String {
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
    static NAME: OnceLock<Option<String>> = OnceLock::new();
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
    let shown = &fault.message[..fault.message.floor_char_boundary(room.saturating_sub(1))];
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
