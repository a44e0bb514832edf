//! Repair policies of nodes: the host's, and what a configuration names.

use super::OpenNode;
use crate::abi::{TIDELOG_KIND_FIX_CALL, TIDELOG_UNSUPPORTED};
use crate::fault::Fault;
use crate::policy::Given;
use std::path::Path;
use std::thread;
use tidelog_model::policy::{PolicyError, RepairPolicy, Round, Step};
use tidelog_replica::Policy;
use tidelog_replica::topology::PolicySection;
use tokio::runtime::Handle;

/// What a policy of a configuration has to keep over a restart stands here, in the store's directory.
const STATE_FILE: &str = "policy.state";

/// A policy with the bounds that were given, and a node's own for the rest.
pub(super) fn with_bounds(given: Given) -> Policy {
    let Given { policy, options, max_deferral, timeout, bytes_per_day, state, record } = given;
    let mut policy = Policy::new(Box::new(Apart(Some(policy))), &options);
    policy.max_deferral = max_deferral.unwrap_or(policy.max_deferral);
    policy.timeout = timeout.unwrap_or(policy.timeout);
    policy.bytes_per_day = bytes_per_day;
    policy.state = state;
    policy.record = record;
    policy
}

/// A policy of the host, which is dropped outside of all runtimes: that calls the host, which may call functions that block, and in a task
/// those cannot.
struct Apart(Option<Box<dyn RepairPolicy>>);

impl RepairPolicy for Apart {
    fn name(&self) -> &str {
        self.0.as_ref().map_or("", |policy| policy.name())
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        self.0.as_mut().map_or_else(|| Ok(Vec::new()), |policy| policy.plan(round))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let policy = self.0.take();
        if Handle::try_current().is_err() {
            return;
        }
        // Waited for, so that it is gone when the node has stopped. Where no thread can be started it goes here after all.
        thread::scope(|threads| {
            let name = "tidelog-policy-end".to_owned();
            let _ = thread::Builder::new().name(name).spawn_scoped(threads, move || drop(policy));
        });
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Says when it goes whether it may block there.
    struct Last(Sender<bool>);

    impl RepairPolicy for Last {
        fn name(&self) -> &str {
            "last"
        }

        fn plan(&mut self, _: &Round) -> Result<Vec<Step>, PolicyError> {
            Ok(Vec::new())
        }
    }

    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.send(Handle::try_current().is_err());
        }
    }

    #[test]
    fn a_policy_that_a_task_lets_go_of_goes_outside_of_its_runtime() {
        let (says, said) = channel();
        let policy = Box::new(Last(says));
        let given = Given {
            policy,
            options: Vec::new(),
            max_deferral: None,
            timeout: None,
            bytes_per_day: None,
            state: None,
            record: None,
        };
        let policy = with_bounds(given);
        super::super::runtime().unwrap().block_on(async { drop(policy) });
        assert_eq!(said.try_recv(), Ok(true));
    }
}
