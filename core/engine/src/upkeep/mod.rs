//! Upkeep: memory to files, many files to few, and the threads that do it unasked.

mod compact;
mod flush;
mod merge;
mod pick;
mod threads;

pub(crate) use flush::{Sealed, entry_of};
pub(crate) use threads::{Spawn, Threads, spawn};
