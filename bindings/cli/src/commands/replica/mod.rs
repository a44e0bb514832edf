//! The commands of replicas: keys, peers, the node that serves them, and what asks it.

mod by_node;
mod cert;
mod drop_group;
mod forget;
mod node;
mod pair;
mod policy;
mod print;
mod repair;
mod socket;
mod status;
mod sync;
mod visit;

pub(super) use by_node::{Written, by_node};
pub(super) use cert::Cert;
pub(super) use drop_group::DropGroup;
pub(super) use forget::Forget;
pub(super) use node::NodeCommand;
pub(super) use pair::Pair;
pub(super) use policy::ask as ask_policy;
pub(super) use print::policy_text;
pub(super) use repair::Repair;
pub(super) use status::StatusCommand;
pub(super) use sync::Sync;
pub(super) use visit::Visit;

use crate::error::CommandError;
use std::path::Path;
use tidelog::Store;
use tidelog::replication::identity::Identity;

/// A runtime for the commands that speak over a network.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| CommandError::Network { what: "the runtime cannot be started", source })
}

/// The identity of a store, from its folder.
pub(super) fn identity_of(store: &Store, folder: &Path) -> Result<Identity, CommandError> {
    let identity = Identity::load(folder)?;
    if identity.store() == store.store_id() {
        return Ok(identity);
    }
    Err(CommandError::Usage(format!(
        "{} holds the identity of store {}, and this is store {}: make one with `tidelog cert`",
        folder.display(),
        identity.store(),
        store.store_id()
    )))
}
