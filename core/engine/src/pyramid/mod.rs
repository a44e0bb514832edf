//! The pyramid: one tree over time for each collection in each group, whose nodes are rollups of series and
//! digests over all of them.
//!
//! What is stored is a memory of what rows say, not a source: it is made from visible rows, and where a node is
//! not stored, the rows below it are read. Where retention has cut rows away, `settled` nodes take their place. `dirty` tells which nodes rows and deletes have overtaken, `seal` makes
//! them anew, `stored` reads them, and `cover` chooses between nodes and rows.

mod borrowed;
mod compare;
mod cover;
mod dirty;
mod leaves;
mod lend;
mod rollups;
mod seal;
mod settled;
mod stored;
mod tree;

pub(crate) use borrowed::{Borrowed, with_rows};
pub(crate) use compare::{LeafDifference, compare};
pub(crate) use cover::{Piece, Windowed, cover};
pub(crate) use dirty::Dirty;
pub(crate) use leaves::{LeafMaker, Make};
pub(crate) use lend::Lender;
pub(crate) use seal::{FreshSealer, NodeSink, Nowhere, Reading, SealError, Sealed, Sealer};
pub(crate) use settled::Settled;
pub(crate) use stored::{Run, Stored, StoredNode};
pub(crate) use tree::{Tree, TreeLeaf};

use crate::ids::Tier;

/// The tiers above leaves, fine to coarse.
pub(crate) const PARENTS: [Tier; 3] = [Tier::Day, Tier::Month, Tier::Year];
/// A node is stored when so many rows or more are below it: else reading them is as cheap.
pub(crate) const ROWS_STORED: u64 = 64;
/// A node above leaves is stored when it spares so many nodes or more of the tier below.
pub(crate) const CHILDREN_STORED: usize = 12;
