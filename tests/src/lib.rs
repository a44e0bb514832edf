//! What the whole-system tests share: a simulated disk and clock, an oracle, and generators.
//!
//! - [`disk`]: a disk in memory that fails on demand and forgets at a crash what was not synced.
//! - [`clock`]: time that moves when told to, and ids drawn from a seed.
//! - [`lines`]: answers as text.
//! - [`numbered`]: batches that tell by themselves whether they are whole, for other processes.
//! - [`oracle`]: the slow, obvious twin of a store.
//! - [`generate`]: proptest strategies for what users write.
//! - [`subject`]: the store under test, opened and read whole.

pub mod clock;
pub mod disk;
pub mod generate;
pub mod lines;
pub mod numbered;
pub mod oracle;
mod random;
pub mod subject;
