//! The policy that a node's configuration names, and another one while it runs.

use super::super::policy::component;
use super::print::status_json;
use super::socket;
use crate::error::CommandError;
use serde_json::{Value, json};
use std::path::Path;
use tidelog::replication::topology::{self, PolicySection};
use tidelog::replication::{Node, Policy};

/// What is to survive a restart stands here, in the store's directory.
const STATE_FILE: &str = "policy.state";

/// What components were compiled to stands here, in the store's directory. It may be removed at any time.
const CODE_FOLDER: &str = "policy.code";

pub(super) fn of(section: &PolicySection, store: &Path) -> Result<Option<Policy>, CommandError> {
    let code = store.join(CODE_FOLDER);
    let mut known = None;
    let policy = Policy::of(section, &store.join(STATE_FILE), |path| {
        let (policy, hash) = component(path, &code)?;
        known = hash;
        Ok::<_, CommandError>(policy)
    })?;
    // A component is what its bytes are, wherever they lie: peers that say the same hash run the same.
    Ok(policy.map(|mut policy| {
        policy.hash = known.unwrap_or(policy.hash);
        policy
    }))
}

/// Asks a running node which policy decides, or to let another one decide.
pub(crate) fn ask(store: &Path, set: Option<Value>) -> Result<Value, CommandError> {
    let mut said = Value::Null;
    socket::ask(store, &json!({ "ask": "policy", "set": set }), |answer| {
        said = answer;
        Ok(())
    })?;
    Ok(said)
}

/// The node's side of [`ask`]: when the policy cannot be had, the one before goes on.
pub(super) async fn answer(node: &Node, config: &topology::Config, set: &Value) -> Value {
    if !set.is_null() {
        match chosen(config, set).await {
            Ok(policy) => node.set_policy(policy).await,
            Err(error) => return json!({ "error": error }),
        }
    }
    match node.status().await {
        Some(status) => json!({ "policy": status_json(&status)["policy"] }),
        None => json!({ "error": "the node is ending" }),
    }
}

async fn chosen(config: &topology::Config, set: &Value) -> Result<Option<Policy>, String> {
    let section: Result<PolicySection, _> = serde_json::from_value(set.clone());
    let mut section = section.map_err(|error| error.to_string())?;
    if let Some(base) = &config.policy {
        section.bounds_of(base);
    }
    section.check(|name| config.peers.iter().any(|peer| peer.name == name))?;
    let store = config.node.store.clone();
    // A component is compiled, and tried: that takes its time.
    let loading = tokio::task::spawn_blocking(move || of(&section, &store));
    let loaded = loading.await.map_err(|error| error.to_string())?;
    loaded.map_err(|error| error.to_string())
}
