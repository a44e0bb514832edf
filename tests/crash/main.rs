//! The store on a disk that dies: what was acknowledged is there after any crash, what was not is there
//! whole or not at all, and what was deleted stays deleted.
//!
//! - `sweep`: a death at each call of each operation, what the power failure then loses, and a death at
//!   each call of the recovery.
//! - `subsets`: every workload of up to three operations, every subset of what it left un-synced.
//! - `random`: longer workloads, random deaths.
//! - `faults`: full disks, failing calls, short and lying writes.
//! - `log`: torn and damaged logs.
//! - `reader`: opening for reading beside a writer that does not wait.
//! - `seal`: a death at each call of sealing the pyramid, and of what is sealed.
//! - `aside`: a damaged file set aside and healed.
//! - `snapshot`: files of another store received and installed.
//! - `settled`: nodes that stand for rows, taken from another store.
//! - `borrowed`: rollups that another store lends, taken and merged.
//! - `drop_group`: a group is given up beside a write.
//!
//! `TIDELOG_LONG=1` runs more of everything.

mod aside;
mod borrowed;
mod drop_group;
mod faults;
mod history;
mod log;
mod random;
mod reader;
mod seal;
mod settled;
mod snapshot;
mod subsets;
mod sweep;

/// Is the long run asked for?
fn long() -> bool {
    std::env::var_os("TIDELOG_LONG").is_some()
}

/// Prints a count; shown with `--nocapture`, and when a test fails.
#[expect(clippy::print_stdout, reason = "tests say how much they have tried")]
fn report(what: &str, count: impl std::fmt::Display) {
    println!("{what}: {count}");
}
