//! Real processes on a real file system: killed, starved, and two at a time.
//!
//! `strace` kills the worker on entering its n-th system call of a kind, or fails that call. Where it
//! is missing, and where a small file system cannot be mounted, a test says so and passes.
//! By default a spread of places is tried; `TIDELOG_LONG=1` tries all.

mod errors;
mod kills;
mod neighbours;
mod worker;
