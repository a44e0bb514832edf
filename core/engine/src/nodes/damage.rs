//! Groups of which a file of nodes turned out to be damaged: queries note them, sealing makes them anew.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tidelog_model::GroupId;

/// See the module documentation.
#[derive(Debug, Default)]
pub(crate) struct NodeDamage(Mutex<BTreeSet<GroupId>>);

impl NodeDamage {
    pub(crate) fn add(&self, group: GroupId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
    }

    /// Was it noted? Then it is not any more.
    pub(crate) fn take(&self, group: GroupId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&group)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
