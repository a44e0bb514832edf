//! Upkeep: memory to files, many files to few, and the threads that do it unasked.

mod borrow;
mod compact;
mod drop_group;
mod evict;
mod flush;
mod fresh;
mod merge;
mod merge_nodes;
mod merge_settled;
mod open_leaves;
mod pick;
mod roll_up;
mod settle;
mod take_settled;
mod threads;

pub(crate) use borrow::Borrowing;
pub use drop_group::{DropGroupError, FrozenGroup};
pub(crate) use flush::{Sealed, entry_of};
pub(crate) use open_leaves::OpenLeaves;
pub(crate) use take_settled::Takings;
pub(crate) use threads::{Spawn, Threads, spawn};
