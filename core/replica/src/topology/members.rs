//! The stores that a topology knows, and which of them are linked: what all topologies in memory answer from.

use super::NodeInfo;
use std::collections::HashSet;
use std::sync::Arc;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Members {
    /// In the order of their names; one is this store.
    nodes: Vec<Arc<NodeInfo>>,
    active: HashSet<Arc<str>>,
}

impl Members {
    pub(super) fn new(nodes: Vec<NodeInfo>) -> Self {
        Members { nodes: in_order(nodes), active: HashSet::new() }
    }

    /// From now on there are these. Those that stay keep their links.
    pub(super) fn replace(&mut self, nodes: Vec<NodeInfo>) {
        self.nodes = in_order(nodes);
        let Members { nodes, active } = self;
        active.retain(|name| nodes.iter().any(|node| node.name == *name));
    }

    pub(super) fn me(&self) -> Arc<NodeInfo> {
        let me = self.nodes.iter().find(|node| node.is_self);
        Arc::clone(me.expect("checked before they came here: one of them is this store"))
    }

    pub(super) fn node(&self, name: &str) -> Option<Arc<NodeInfo>> {
        self.nodes.iter().find(|node| &*node.name == name).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<NodeInfo>> {
        self.nodes.clone()
    }

    pub(super) fn is_active(&self, name: &str) -> bool {
        self.active.contains(name)
    }

    /// Was it otherwise before? A store that is not known is never linked.
    pub(super) fn set_active(&mut self, name: &str, active: bool) -> bool {
        let Some(node) = self.node(name) else { return false };
        let name = Arc::clone(&node.name);
        if active { self.active.insert(name) } else { self.active.remove(&name) }
    }
}

fn in_order(mut nodes: Vec<NodeInfo>) -> Vec<Arc<NodeInfo>> {
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes.into_iter().map(Arc::new).collect()
}
