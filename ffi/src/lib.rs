//! The C ABI of Tidelog: `libtidelog` and `include/tidelog.h`.
//!
//! C and C++ programs read the header, not this; it is made from the files in `abi`, one section each, and a test holds
//! it to them. This crate is for nobody's `Cargo.toml`: Rust programs add `tidelog`.
//!
//! What a caller hands in is read in `abi/raw.rs` and nowhere else, and every function goes through `abi/entry.rs`,
//! where panics end and forked children are turned away. What is behind those two is safe code.

#![allow(
    missing_docs,
    reason = "what is public is for the bridge alone; tests hold the comments of the C header to their rules"
)]

mod abi;
mod block;
mod fault;
mod handle;
mod logging;
#[cfg(not(feature = "replication"))]
mod no_node;
#[cfg(feature = "replication")]
mod node;
mod node_words;
mod policy;
mod progress;
mod result;
mod tables;
mod tail;

#[cfg(not(feature = "replication"))]
use no_node as node;

/// What the cxx bridge in `bindings/cpp` is made of, too, so that both mean the same by the same words. Nobody else's, and
/// promised to nobody.
#[doc(hidden)]
pub mod inside {
    pub use crate::abi::inside::*;
    pub use crate::fault::Fault;
    pub use crate::node::{Heard, OpenNode, Settings, Visit, forget, identity_create, start, sync};
    pub use crate::policy::Given;
    pub use crate::progress::told_by;
    pub use crate::result::Rows;
    pub use crate::tables::{collections, differences, digests, epochs, fields, findings, points};
    pub use crate::tail::Told;
}
