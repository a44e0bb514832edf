//! Errors on their way to C++: an exception of cxx has nothing but a text, so code and kind stand before it.

use std::fmt;
use tidelog_ffi::inside::{Fault, guarded, watch};

/// See the module; `tidelog_cxx.hpp` reads it back.
pub struct Failure(Fault);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.0.code, self.0.kind, self.0.message)
    }
}

/// Runs a call: not in a forked child, and a panic in it is an error. From the first one that works on there may be an object, and children of
/// this process are told: no handle is made here, which is where the C functions begin to look.
pub(crate) fn run<T>(
    function: &str,
    call: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Failure> {
    let outcome = guarded(function, call);
    if outcome.is_ok() {
        watch();
    }
    outcome.map_err(Failure)
}
