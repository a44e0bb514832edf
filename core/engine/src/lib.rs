//! Placeholder.

pub mod codec;
