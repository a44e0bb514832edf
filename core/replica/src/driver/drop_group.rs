//! A group that is not placed here any more is given up when every other replica of it has been shown to have its rows.
//!
//! The files to go are named first. Then each replica is compared with, in that group alone, and has to agree up to the
//! newest row in them: rows that are here alone are sent by that. Only then those files go; what is written meanwhile
//! stays.

use super::node::Node;
use super::work::Work;
use crate::topology::Topology;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::{DropGroupError, FrozenGroup};
use tidelog_model::{GroupId, StoreId};
use tidelog_protocol::{Event, Outcome, Report};
use tokio::sync::{broadcast, oneshot};

/// A comparison that takes longer did not come to its end.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How far logs are followed is told each second: so often it is asked again.
const LOOKS: usize = 15;
const LOOK: Duration = Duration::from_secs(1);
/// Files may be merged between being named and being removed.
const TRIES: usize = 3;

/// A store that holds the group, too.
pub(super) type Holder = (StoreId, Arc<str>);

/// Why a group is not given up. Nothing was removed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DropError {
    /// The topology places it here.
    #[error("{group} is placed on this node: take it out of `groups` under [node] first")]
    Placed {
        /// The group.
        group: GroupId,
    },
    /// Nobody else has it.
    #[error("no other store of the topology holds {group}: its rows would be gone")]
    Alone {
        /// The group.
        group: GroupId,
    },
    /// A replica cannot be asked.
    #[error(
        "{peer} holds {group}, and is not linked, so that it cannot say what it has: see `tidelog status`"
    )]
    NotLinked {
        /// Its name.
        peer: Arc<str>,
        /// The group.
        group: GroupId,
    },
    /// A replica was not shown to have all of it.
    #[error("{peer} was not shown to have all of {group}: {why}")]
    NotAgreed {
        /// Its name.
        peer: Arc<str>,
        /// The group.
        group: GroupId,
        /// What the comparison came to, and what to do.
        why: String,
    },
    /// The node ends.
    #[error("the node is ending: ask again when it runs")]
    Ending,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] DropGroupError),
}

/// Who else holds a group, if it is not placed here and all of them are linked.
pub(super) fn holders(
    group: GroupId,
    topology: &dyn Topology,
    names: &HashMap<StoreId, Arc<str>>,
    linked: impl Fn(StoreId) -> bool,
) -> Result<Vec<Holder>, DropError> {
    if topology.my_groups().contains(&group) {
        return Err(DropError::Placed { group });
    }
    let others: Vec<_> =
        topology.replicas(group).into_iter().filter(|node| !node.is_self).collect();
    if others.is_empty() {
        return Err(DropError::Alone { group });
    }
    let holder = |node: &Arc<crate::topology::NodeInfo>| {
        let peer = names.iter().find(|(_, name)| **name == node.name).map(|(peer, _)| *peer);
        let peer = peer.filter(|peer| linked(*peer));
        let name = Arc::clone(&node.name);
        peer.map(|peer| (peer, Arc::clone(&name))).ok_or(DropError::NotLinked { peer: name, group })
    };
    others.iter().map(holder).collect()
}

impl Node {
    /// Removes the rows of a group that the topology does not place here, after every other replica has agreed, in this call,
    /// that it has them. Tells what was removed.
    ///
    /// # Errors
    /// [`DropError`]: which replica did not agree, and why. Nothing was removed then.
    pub async fn drop_group(&self, group: GroupId) -> Result<FrozenGroup, DropError> {
        // A topology may place any number everywhere; only the store knows which there are.
        let groups = self.store().group_count();
        if group.0 >= groups {
            return Err(DropGroupError::Unknown { group, groups }.into());
        }
        let mut last = DropGroupError::Changed { group };
        for _ in 0..TRIES {
            let (to, holders) = oneshot::channel();
            self.work.send(Work::Holders(group, to)).await.map_err(|_| DropError::Ending)?;
            let holders = holders.await.map_err(|_| DropError::Ending)??;
            let store = self.store().clone();
            let frozen = blocking(move || store.freeze_group(group)).await??;
            // What is not there needs no proof, and the comparison would bring it.
            if frozen.bytes() == 0 {
                return Ok(frozen);
            }
            for holder in holders {
                self.prove(&holder, &frozen).await?;
            }
            let (store, gone) = (self.store().clone(), frozen.clone());
            match blocking(move || store.drop_group(&gone)).await? {
                Ok(()) => return Ok(frozen),
                Err(changed @ DropGroupError::Changed { .. }) => last = changed,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }

    /// Compares with a replica until it agrees about all of these files.
    async fn prove(&self, holder: &Holder, frozen: &FrozenGroup) -> Result<(), DropError> {
        let (peer, name) = holder;
        let group = frozen.group();
        let failed = |why: String| DropError::NotAgreed { peer: Arc::clone(name), group, why };
        for _ in 0..LOOKS {
            let mut events = self.events();
            let asked = self.work.send(Work::CheckGroups(*peer, vec![group])).await;
            asked.map_err(|_| DropError::Ending)?;
            let ended = tokio::time::timeout(PATIENCE, ended(&mut events, name, group)).await;
            let ended = ended.unwrap_or_else(|_| Err("the comparison does not end".to_owned()));
            let (outcome, report) = ended.map_err(failed)?;
            if outcome != Outcome::Agreed {
                return Err(failed(told(&outcome)));
            }
            if report.horizon.least() >= frozen.stamp() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        let why = "it is not known to follow what was written last: wait until `tidelog status` shows no lag and no clock ahead";
        Err(failed(why.to_owned()))
    }
}

/// What a comparison of the group with a peer comes to.
async fn ended(
    events: &mut broadcast::Receiver<super::Happening>,
    name: &Arc<str>,
    group: GroupId,
) -> Result<(Outcome, Report), String> {
    loop {
        let happening = match events.recv().await {
            Ok(happening) => happening,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return Err("the node is ending".to_owned()),
        };
        if happening.peer.as_ref() != Some(name) {
            continue;
        }
        match happening.event {
            Event::Completed { outcome, report, .. } if report.groups == [group] => {
                return Ok((outcome, report));
            }
            Event::Failed { why, report, .. } if report.groups == [group] => return Err(why),
            Event::Disconnected { why, .. } => return Err(why),
            Event::Refused { refusal, .. } => return Err(refusal.text),
            _ => {}
        }
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Partial { left_out } => {
            let reasons: Vec<String> = left_out.keys().map(|why| format!("{why:?}")).collect();
            format!("the comparison left something out ({})", reasons.join(", "))
        }
        _ => "the stores still differ after the comparison: does its topology list the group for this node?".to_owned(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DropError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| DropError::Ending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Fingerprint;
    use crate::topology::{FixedTopology, NodeInfo, Selection};

    fn id(number: u8) -> StoreId {
        StoreId([number; 16])
    }

    /// Groups of this store, of b and of c.
    fn topology(own: &[u32], b: &[u32], c: &[u32]) -> FixedTopology {
        let key = |letter: char| {
            let text = format!("tl1-{letter}{}", "a".repeat(51));
            vec![text.parse::<Fingerprint>().unwrap()]
        };
        let node = |name: &str, letter: char, groups: &[u32]| NodeInfo {
            groups: Selection::Only(groups.iter().map(|group| GroupId(*group)).collect()),
            ..NodeInfo::new(name, name == "self", "x:1", key(letter))
        };
        let nodes = vec![node("self", 'a', own), node("b", 'b', b), node("c", 'c', c)];
        FixedTopology::new(nodes).unwrap()
    }

    #[test]
    fn every_other_replica_has_to_be_linked_and_there_has_to_be_one() {
        let names: HashMap<StoreId, Arc<str>> =
            [(id(2), Arc::from("b")), (id(3), Arc::from("c"))].into();
        let all = |_| true;
        let found = |topology: &FixedTopology, linked: &dyn Fn(StoreId) -> bool| {
            holders(GroupId(1), topology, &names, linked)
        };
        let placed = found(&topology(&[0, 1], &[1], &[1]), &all);
        assert!(matches!(placed, Err(DropError::Placed { .. })));
        let alone = found(&topology(&[0], &[0], &[2]), &all);
        assert!(matches!(alone, Err(DropError::Alone { .. })));
        let both = topology(&[0], &[1], &[0, 1]);
        let away = found(&both, &|peer| peer != id(3));
        assert!(matches!(away, Err(DropError::NotLinked { peer, .. }) if &*peer == "c"));
        let stores: Vec<StoreId> =
            found(&both, &all).unwrap().into_iter().map(|(peer, _)| peer).collect();
        assert_eq!(stores, [id(2), id(3)]);
        let one = found(&topology(&[0], &[1], &[0]), &|peer| peer != id(3)).unwrap();
        assert_eq!(one.len(), 1, "c does not hold it, and need not be there");
    }
}
