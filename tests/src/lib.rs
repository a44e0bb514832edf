//! What the whole-system tests share: a simulated disk.
//!
//! - [`disk`]: a disk in memory that fails on demand and forgets at a crash what was not synced.

pub mod disk;
mod random;
