//! The policy that a node's configuration names.

use crate::error::CommandError;
use std::path::Path;
use tidelog::model::policy::RepairPolicy;
use tidelog::replication::Policy;
use tidelog::replication::topology::PolicySection;

/// What is to survive a restart stands here, in the store's directory.
const STATE_FILE: &str = "policy.state";

pub(super) fn of(section: &PolicySection, store: &Path) -> Result<Option<Policy>, CommandError> {
    Policy::of(section, &store.join(STATE_FILE), component)
}

/// This build runs no components.
fn component(path: &Path) -> Result<Box<dyn RepairPolicy>, CommandError> {
    Err(CommandError::NoComponents { path: path.to_owned() })
}
