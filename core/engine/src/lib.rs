//! Tidelog's storage engine.

pub mod clock;
pub mod disk;
mod format;
mod log;
mod manifest;
