//! Tidelog's storage engine.

pub mod clock;
pub mod codec;
pub mod disk;
mod format;
mod group;
mod log;
mod manifest { pub(crate) fn decode_tombstone(_: &[u8]) -> Result<tidelog_model::Tombstone, ()> { Err(()) } }
mod memory;
mod rows;
mod wal;
