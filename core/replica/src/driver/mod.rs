//! The driver: a store joins its peers. Frames, answers and time go to the protocol, and what it says is done. Decides
//! nothing but which of two links with one peer stays, when a dial is given up, and when the store is told what was agreed on.

mod choice;
mod drop_group;
mod forget;
mod groups;
mod held_back;
mod lanes;
mod links;
mod node;
mod policy;
mod policy_files;
mod scrub;
mod status;
mod work;

pub use drop_group::DropError;
pub use forget::{ForgetError, forget};
pub use groups::{GroupState, GroupStatus};
pub use node::{Node, NodeOptions, StartError};
pub use policy::Policy;
pub use status::{EpochBehind, Happening, PeerReport, Status, Unseen};
