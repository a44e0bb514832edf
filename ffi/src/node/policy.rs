//! Repair policies of nodes: the host's, and what a configuration names.

use super::OpenNode;
use crate::abi::{TIDELOG_KIND_FIX_CALL, TIDELOG_UNSUPPORTED};
use crate::fault::Fault;
use crate::policy::Given;
use std::path::Path;
use tidelog_replica::Policy;
use tidelog_replica::topology::PolicySection;

/// What a policy of a configuration has to keep over a restart stands here, in the store's directory.
const STATE_FILE: &str = "policy.state";

/// A policy with the bounds that were given, and a node's own for the rest.
pub(super) fn with_bounds(given: Given) -> Policy {
    let Given { policy, options, max_deferral, timeout, bytes_per_day, state, record } = given;
    let mut policy = Policy::new(policy, &options);
    policy.max_deferral = max_deferral.unwrap_or(policy.max_deferral);
    policy.timeout = timeout.unwrap_or(policy.timeout);
    policy.bytes_per_day = bytes_per_day;
    policy.state = state;
    policy.record = record;
    policy
}

/// The policy of a node with a configuration: of its section, or of the host, which has to be the only one.
pub(super) fn of_config(
    section: Option<&PolicySection>,
    given: Option<Policy>,
    store: &Path,
) -> Result<Option<Policy>, Fault> {
    match (section, given) {
        (None, given) => Ok(given),
        (Some(_), Some(given)) => Err(Fault::argument(format!(
            "config has a section [policy], and the policy {} was given, too: leave one of them out",
            given.name
        ))),
        (Some(section), None) => Policy::of(section, &store.join(STATE_FILE), |component| {
            let message = format!(
                "[policy] of config uses the component {}, which this library does not load: use one that is built in, or load it with tidelog_wasm.h and give its table",
                component.display()
            );
            Err(Fault::new(TIDELOG_UNSUPPORTED, TIDELOG_KIND_FIX_CALL, message))
        }),
    }
}

impl OpenNode {
    /// From the next round on; `None`: everything is repaired.
    pub fn set_policy(&self, given: Option<Given>) -> Result<(), Fault> {
        let policy = given.map(with_bounds);
        self.wait(async move |node| node.set_policy(policy).await)
    }
}
