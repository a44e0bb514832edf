//! The host of components for programs in C: `libtidelog_wasm` and `include/tidelog_wasm.h`.
//!
//! It stands beside libtidelog and knows no more of it than what `tidelog.h` says: a policy that was loaded comes out as a
//! `tidelog_policy_table`, and the two functions that plans are made with come in as pointers. So either library is linked
//! shared or static, and a program without components has nothing of wasmtime.
//!
//! C and C++ programs read the header, not this. This crate is for nobody's `Cargo.toml`: Rust programs add `tidelog-wasm`.

#![allow(
    missing_docs,
    reason = "what is public is for C alone; a test holds the header to its rules"
)]

mod abi;
mod fault;
mod handle;
mod identity;
mod log;
