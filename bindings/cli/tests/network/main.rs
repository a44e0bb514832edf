//! Three real nodes in network namespaces of their own, on a bridge, with what goes wrong between machines: partitions, loss in
//! one direction, loss at random, a slow link; and what happens to machines: kills, absence, an old copy restored.
//!
//! Needs root, `ip` and `nft`; says so and passes where they are missing, unless `TIDELOG_NETWORK` is set, which makes that a
//! failure. `TIDELOG_LONG=1` adds what takes minutes: `cargo test --release -p tidelog-cli --test network`.
#![cfg(feature = "replication")]

mod away;
mod cluster;
mod crash;
mod long;
mod machine;
mod net;
mod partition;
mod rows;
mod slow;

fn is_long() -> bool {
    std::env::var_os("TIDELOG_LONG").is_some_and(|long| long == "1")
}

/// Prints figures and reasons for skipping; tests have no other way to say them.
#[expect(clippy::print_stderr, reason = "figures of a run")]
fn note(text: &str) {
    eprintln!("{text}");
}
