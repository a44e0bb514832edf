//! What a node tells: how things stand, and what happens.

use super::groups::GroupStatus;
use crate::{LinkFigures, Permanence};
use std::sync::Arc;
use tidelog_engine::Aside;
use tidelog_model::{GroupEpoch, GroupId};
use tidelog_protocol::{Event, PeerStatus, PolicyStatus};

/// How things stand.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Is what is needed of the peers here?
    pub ready: bool,
    /// Each peer that was linked since the start.
    pub peers: Vec<PeerReport>,
    /// Each group that this store holds.
    pub groups: Vec<GroupStatus>,
    /// Peers of the topology that were never linked since the start.
    pub unseen: Vec<Unseen>,
    /// Files that are damaged: peers are asked for what they lack, and until it is here answers that need it are refused.
    pub damaged: Vec<Aside>,
    /// Groups whose epoch in the topology is older than one that was seen: who else holds them is not spoken with until it
    /// is raised there.
    pub behind: Vec<EpochBehind>,
    /// How the policy does that decides about repairs; none when everything is repaired.
    pub policy: Option<PolicyStatus>,
}

/// A group whose epoch in the topology is older than one that was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EpochBehind {
    /// The group.
    pub group: GroupId,
    /// Its epoch in the topology.
    pub epoch: GroupEpoch,
    /// The highest that was seen.
    pub seen: GroupEpoch,
}

/// A peer that was never linked since the start.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Unseen {
    /// Its name in the topology.
    pub name: Arc<str>,
    /// Why the last dial did not give a link, and whether another one soon could; none before the first has ended.
    pub why: Option<(String, Permanence)>,
}

/// How things stand with one peer.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct PeerReport {
    /// Its name in the topology.
    pub name: Arc<str>,
    /// What the protocol says.
    pub status: PeerStatus,
    /// What passed over the link, if there is one.
    pub link: Option<LinkFigures>,
    /// Milliseconds since the last comparison agreed; none when none has since the start.
    pub agreed_millis_ago: Option<u64>,
}

/// Something that happened, with the name of the peer.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Happening {
    /// The peer; none when it concerns all.
    pub peer: Option<Arc<str>>,
    /// What.
    pub event: Event,
}
