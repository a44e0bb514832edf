//! Errors on their way to C++: an exception of cxx has nothing but a text, so code and kind stand before it.

use std::fmt;
use tidelog_ffi::inside::{Fault, guarded};

/// See the module; `tidelog_cxx.hpp` reads it back.
pub struct Failure(Fault);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.0.code, self.0.kind, self.0.message)
    }
}

/// Runs a call: not in a forked child, and a panic in it is an error.
pub(crate) fn run<T>(
    function: &str,
    call: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Failure> {
    guarded(function, call).map_err(Failure)
}
