//! Tidelog's storage engine.

pub mod clock;
pub mod codec;
pub mod disk;
mod files;
mod format;
mod group;
mod ids;
mod log;
mod manifest;
mod memory;
mod query;
mod rows;
mod wal;
