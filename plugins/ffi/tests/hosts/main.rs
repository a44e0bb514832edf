//! Programs in C that load components: compiled by the compilers of this machine, linked with what cargo built, run. A
//! compiler that is missing makes its tests skip with a message.

#![expect(clippy::print_stderr, reason = "tests that skip say so")]

mod contract;
mod hosts;
mod library;
mod packaging;
mod rounds;
mod tools;
