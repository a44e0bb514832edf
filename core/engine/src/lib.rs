//! Tidelog's storage engine.

pub mod clock;
pub mod codec;
pub mod disk;
mod format;
mod group;
mod log;
mod manifest;
mod memory;
mod rows;
mod wal;
