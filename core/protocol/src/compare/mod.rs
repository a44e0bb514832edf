//! Comparing two stores: where they differ is found from their digests down, and the rows that differ are sent.

mod difference;
mod item;
mod item_bytes;
mod nodes;
mod source;
mod step;
mod weigh;

pub use difference::Difference;
pub use item::{CollectionClaim, Item, LeftOut, Only, Print, Scope, Short};
pub(crate) use item_bytes::{read_items, write_items};
pub use nodes::{Lent, Nodes, Place, SettledClaim};
pub use source::{CollectionRoot, More, Pack, Packed, Source, Taken};
pub use step::{Counts, Look, Pace, Step, collections, step};
pub use weigh::weigh;
