//! Upkeep: memory to files, many files to few, and the threads that do it unasked.

mod compact;
mod evict;
mod flush;
mod merge;
mod merge_nodes;
mod merge_settled;
mod pick;
mod roll_up;
mod settle;
mod threads;

pub(crate) use flush::{Sealed, entry_of};
pub(crate) use threads::{Spawn, Threads, spawn};
