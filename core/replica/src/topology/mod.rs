//! Which stores there are, what they hold, where they listen, whom they trust and with what.
//!
//! [`Topology`] is what a node asks; [`FileTopology`] answers from a TOML file that is watched. Placement is explicit:
//! a peer lists its groups.

mod config;
mod duration;
mod file;
mod fixed;
mod members;
mod rights;
mod values;

pub use config::{
    Config, ConfigError, NodeConfig, PeerConfig, PolicyChoice, PolicySection, SyncConfig,
};
pub use duration::{DurationError, parse_duration};
pub use file::FileTopology;
pub use fixed::FixedTopology;
pub use rights::{Right, Rights};

use crate::identity::Fingerprint;
use crate::trust::Pins;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::policy::Cost;
use tidelog_model::{GroupEpoch, GroupId, StoreId};
use tokio::sync::watch;

/// What a node asks about the stores around it. Answers come from memory and block on nothing.
pub trait Topology: Send + Sync {
    /// This store.
    fn me(&self) -> Arc<NodeInfo>;

    /// The groups that this store holds.
    fn my_groups(&self) -> Selection<GroupId> {
        self.me().groups.clone()
    }

    /// The same, for hosts that call their groups shards.
    fn my_shards(&self) -> Selection<GroupId> {
        self.my_groups()
    }

    /// All stores that hold a group, this one included if it does, in the order of their names.
    fn replicas(&self, group: GroupId) -> Vec<Arc<NodeInfo>> {
        let mut nodes = self.nodes();
        nodes.retain(|node| node.groups.contains(&group));
        nodes
    }

    /// Those of them that are active now: this one, and those marked by [`Topology::set_active`] or known by other means.
    fn active_replicas(&self, group: GroupId) -> Vec<Arc<NodeInfo>> {
        let mut nodes = self.replicas(group);
        nodes.retain(|node| node.is_self || self.is_active(&node.name));
        nodes
    }

    /// The epoch of a group: raised by whoever decides who holds it, whenever that changes. 0 where nobody raises it.
    fn epoch(&self, group: GroupId) -> GroupEpoch {
        let _ = group;
        GroupEpoch::default()
    }

    /// A store by its name.
    fn node(&self, name: &str) -> Option<Arc<NodeInfo>>;

    /// All stores, this one included, in the order of their names.
    fn nodes(&self) -> Vec<Arc<NodeInfo>>;

    /// Is there a link to this store?
    fn is_active(&self, name: &str) -> bool;

    /// Says whether there is a link to a store. A topology that finds out by itself ignores it.
    fn set_active(&self, name: &str, active: bool);

    /// The keys of all peers, for [`crate::Endpoint::set_pins`].
    fn pins(&self) -> Pins;

    /// A number that grows with every change of any answer.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// A store as the topology knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its name, unique in a topology.
    pub name: Arc<str>,
    /// Is it this store?
    pub is_self: bool,
    /// Where it listens, as `host:port`.
    pub address: String,
    /// Its keys: one, or the old and the new one while rotating. None for this store.
    pub fingerprints: Vec<Fingerprint>,
    /// Its store, when that is fixed.
    pub store: Option<StoreId>,
    /// Free words, such as zone and rack.
    pub labels: BTreeMap<String, String>,
    /// What a link with it costs, for repair policies.
    pub cost: Cost,
    /// The groups that it holds.
    pub groups: Selection<GroupId>,
    /// What it may do here. This store may do everything.
    pub rights: Rights,
}

impl NodeInfo {
    /// A store that holds all groups and may do everything.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        is_self: bool,
        address: impl Into<String>,
        fingerprints: Vec<Fingerprint>,
    ) -> Self {
        NodeInfo {
            name: name.into(),
            is_self,
            address: address.into(),
            fingerprints,
            store: None,
            labels: BTreeMap::new(),
            cost: Cost::Free,
            groups: Selection::All,
            rights: Rights::all(),
        }
    }
}

/// All of them, or those that are listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection<T> {
    /// All there are, whichever those are.
    All,
    /// These.
    Only(BTreeSet<T>),
}

impl<T: Ord> Selection<T> {
    /// Is it one of them?
    pub fn contains<Q: Ord + ?Sized>(&self, one: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        match self {
            Selection::All => true,
            Selection::Only(listed) => listed.contains(one),
        }
    }
}
