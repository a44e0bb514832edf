//! The C ABI of Tidelog: `libtidelog` and `include/tidelog.h`.
//!
//! C and C++ programs read the header, not this; it is made from the files in `abi`, one section each, and a test holds
//! it to them. This crate is for nobody's `Cargo.toml`: Rust programs add `tidelog`.
//!
//! What a caller hands in is read in `abi/raw.rs` and nowhere else, and every function goes through `abi/entry.rs`,
//! where panics end and forked children are turned away. What is behind those two is safe code.

mod abi;
mod block;
mod fault;
mod handle;
mod logging;
#[cfg(not(feature = "replication"))]
mod no_node;
#[cfg(feature = "replication")]
mod node;
mod progress;
mod result;
mod tables;
mod tail;

#[cfg(not(feature = "replication"))]
use no_node as node;
