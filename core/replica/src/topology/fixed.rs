//! A topology that a program gives itself: stores that are known from the start, and can be changed while it runs.

use super::members::Members;
use super::{NodeInfo, Topology};
use crate::trust::{PeerPin, PinError, Pins};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_model::{GroupEpoch, GroupId};
use tokio::sync::watch;

/// Answers from memory.
#[derive(Debug)]
pub struct FixedTopology {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    members: Members,
    pins: Pins,
    epoch: GroupEpoch,
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
        let state = State { members: Members::new(nodes), pins, epoch: GroupEpoch::default() };
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
        state.members.replace(nodes);
        state.pins = pins;
        drop(state);
        self.changes.send_modify(|number| *number += 1);
        Ok(())
    }

    /// The epoch of all groups is this one from now on.
    pub fn set_epoch(&self, epoch: GroupEpoch) {
        self.state().epoch = epoch;
        self.changes.send_modify(|number| *number += 1);
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

impl Topology for FixedTopology {
    fn me(&self) -> Arc<NodeInfo> {
        self.state().members.me()
    }

    fn node(&self, name: &str) -> Option<Arc<NodeInfo>> {
        self.state().members.node(name)
    }

    fn nodes(&self) -> Vec<Arc<NodeInfo>> {
        self.state().members.all()
    }

    fn is_active(&self, name: &str) -> bool {
        self.state().members.is_active(name)
    }

    fn set_active(&self, name: &str, active: bool) {
        let changed = self.state().members.set_active(name, active);
        if changed {
            self.changes.send_modify(|number| *number += 1);
        }
    }

    fn epoch(&self, _: GroupId) -> GroupEpoch {
        self.state().epoch
    }

    fn pins(&self) -> Pins {
        self.state().pins.clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
