//! The edge to C: what callers hand in is read in `raw` and `round`, every call goes through `entry`; `tidelog` is what this library
//! knows of `tidelog.h`.
//!
//! This folder is the one home of `unsafe` in this crate. Functions here convert, call what is behind, and convert back.

#![expect(unsafe_code, reason = "the edge to C: raw pointers come in and go out here")]
#![allow(
    non_camel_case_types,
    unreachable_pub,
    clippy::missing_safety_doc,
    reason = "names and visibility are those of the C headers; what a caller owes is said there"
)]

mod entry;
mod hook;
#[cfg(test)]
mod layout;
mod load;
mod plan;
mod raw;
mod round;
mod tidelog;

pub(crate) use tidelog::*;
