//! A topology that a program gives itself: stores that are known from the start, and can be changed while it runs.

use super::{NodeInfo, Topology};
use crate::trust::{PeerPin, PinError, Pins};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Answers from memory.
#[derive(Debug)]
pub struct FixedTopology {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    nodes: Vec<Arc<NodeInfo>>,
    pins: Pins,
    active: HashSet<Arc<str>>,
}

impl FixedTopology {
    /// A topology of these stores, of which one is this one.
    ///
    /// # Errors
    /// [`PinError`] when two of them share a name or a key, or one has nothing to be known by.
    ///
    /// # Panics
    /// Unless exactly one is this store.
    pub fn new(nodes: Vec<NodeInfo>) -> Result<Self, PinError> {
        let pins = checked(&nodes)?;
        let state = State { nodes: shared(nodes), pins, active: HashSet::new() };
        Ok(FixedTopology { state: Mutex::new(state), changes: watch::Sender::new(1) })
    }

    /// From now on there are these.
    ///
    /// # Errors
    /// As [`Self::new`]; what was there stays.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn set(&self, nodes: Vec<NodeInfo>) -> Result<(), PinError> {
        let pins = checked(&nodes)?;
        let mut state = self.state();
        (state.nodes, state.pins) = (shared(nodes), pins);
        drop(state);
        self.changes.send_modify(|number| *number += 1);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(nodes: &[NodeInfo]) -> Result<Pins, PinError> {
    let own = nodes.iter().filter(|node| node.is_self).count();
    assert_eq!(own, 1, "a topology has one store that is this one");
    let peers = nodes.iter().filter(|node| !node.is_self);
    let pin = |node: &NodeInfo| PeerPin {
        name: Arc::clone(&node.name),
        store: node.store,
        fingerprints: node.fingerprints.clone(),
    };
    Pins::new(peers.map(pin).collect())
}

/// In the order of their names.
fn shared(mut nodes: Vec<NodeInfo>) -> Vec<Arc<NodeInfo>> {
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes.into_iter().map(Arc::new).collect()
}

impl Topology for FixedTopology {
    fn me(&self) -> Arc<NodeInfo> {
        let state = self.state();
        let me = state.nodes.iter().find(|node| node.is_self);
        Arc::clone(me.expect("checked when it was made"))
    }

    fn node(&self, name: &str) -> Option<Arc<NodeInfo>> {
        self.state().nodes.iter().find(|node| &*node.name == name).cloned()
    }

    fn nodes(&self) -> Vec<Arc<NodeInfo>> {
        self.state().nodes.clone()
    }

    fn is_active(&self, name: &str) -> bool {
        self.state().active.contains(name)
    }

    fn set_active(&self, name: &str, active: bool) {
        let mut state = self.state();
        if active {
            state.active.insert(Arc::from(name));
        } else {
            state.active.remove(name);
        }
    }

    fn pins(&self) -> Pins {
        self.state().pins.clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
