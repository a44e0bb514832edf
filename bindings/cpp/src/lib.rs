//! Tidelog for C++ programs that build it from source: the classes of `tidelog.hpp`, through [`cxx`] instead of the C ABI.
//!
//! C++ programs include `include/tidelog_cxx.hpp` and link this crate as a static library; they use `tidelog::Store`,
//! `Collection`, `Batch`, `Query` and `Node` as they would with `tidelog.hpp`, and one test file holds both to the same meaning.
//! What stands here is what a bridge can do and a C ABI cannot: objects are boxes and not handles, errors are exceptions on
//! their way out, slices go in without a copy, and C++ classes are called from Rust.
//!
//! The words come from `tidelog-ffi`: plain structs are those of `tidelog.h`, codes and texts of errors are made there. A C++
//! class that Rust calls is declared in `ffi/include/tidelog_values.hpp` and named in `bridge.rs`, as `EventHandler` is.

#![expect(unsafe_code, reason = "the bridge: plain structs of C++ bring pointers with them")]
#![allow(
    unreachable_pub,
    clippy::missing_safety_doc,
    clippy::missing_errors_doc,
    missing_docs,
    reason = "called by the C++ classes alone, which document what they do"
)]

mod batch;
mod bridge;
mod copies;
mod failure;
mod node;
mod own;
mod pin;
mod plain;
mod rows;
mod store;
mod tail;
