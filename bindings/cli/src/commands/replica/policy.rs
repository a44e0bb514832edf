//! The policy that a node's configuration names.

use super::super::policy::component;
use crate::error::CommandError;
use std::path::Path;
use tidelog::replication::Policy;
use tidelog::replication::topology::PolicySection;

/// What is to survive a restart stands here, in the store's directory.
const STATE_FILE: &str = "policy.state";

pub(super) fn of(section: &PolicySection, store: &Path) -> Result<Option<Policy>, CommandError> {
    Policy::of(section, &store.join(STATE_FILE), component)
}
