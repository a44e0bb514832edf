//! The C ABI: each file with functions is a section of `tidelog.h`, in the order that `tests/header.rs` has; its comments
//! are the header's. Reading what callers hand in is `raw`, what every call goes through is `entry`.
//!
//! This folder is the one home of `unsafe` in this crate. Functions here convert, call what is behind, and convert back.

#![expect(unsafe_code, reason = "the edge to C: raw pointers come in and go out here")]
#![allow(
    non_camel_case_types,
    unreachable_pub,
    clippy::missing_safety_doc,
    reason = "names and visibility are those of the C header; what a caller owes is said once at its top"
)]

mod arrow;
mod arrow_in;
mod arrow_out;
mod batch;
mod callback;
mod collection;
mod digest;
mod entry;
pub(crate) mod fork;
#[cfg(test)]
mod layout;
mod library;
mod log;
mod node;
mod query;
mod raw;
mod result;
mod store;
mod tail;
mod upkeep;
mod write;

pub(crate) use callback::Callback;
pub(crate) use library::*;
pub(crate) use log::*;
pub(crate) use node::*;
