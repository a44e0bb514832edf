//! Whether a store may be forgotten, and which one is meant.

use crate::topology::Topology;
use std::collections::HashMap;
use std::sync::Arc;
use tidelog_engine::{Store, UpkeepError};
use tidelog_model::StoreId;

/// Why a store is not forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// It is a replica as far as the topology says.
    #[error(
        "{name} is still in the topology: take its [[peer]] out of the file first, on every node"
    )]
    Member {
        /// Its name there.
        name: Arc<str>,
    },
    /// A link with it is open.
    #[error(
        "{who} is still linked: it was taken out of the topology a moment ago, or nodes disagree; try again soon"
    )]
    Linked {
        /// As it was asked for.
        who: String,
    },
    /// A peer of the topology might be the store.
    #[error(
        "which store {name} of the topology is is not known, for it was not linked since this node started: give its `store` in the file, so that it is not forgotten by mistake"
    )]
    Unidentified {
        /// Its name there.
        name: Arc<str>,
    },
    /// Nothing is known by that name.
    #[error("{who} is none that anything is kept for; those are: {known}")]
    Unknown {
        /// As it was asked for.
        who: String,
        /// Store ids, and names where they are known.
        known: String,
    },
    /// The node ends.
    #[error(
        "the node is ending: ask again when it runs, or give its configuration when it does not"
    )]
    Ending,
    /// The store could not write it down.
    #[error(transparent)]
    Store(#[from] UpkeepError),
}

/// The store that is meant by a name or an id, if nothing speaks against forgetting it.
pub(super) fn to_forget(
    who: &str,
    store: &Store,
    topology: &dyn Topology,
    names: &HashMap<StoreId, Arc<str>>,
    linked: &[StoreId],
) -> Result<StoreId, ForgetError> {
    let members: Vec<_> = topology.nodes().into_iter().filter(|node| !node.is_self).collect();
    if let Some(member) = members.iter().find(|node| &*node.name == who) {
        return Err(ForgetError::Member { name: Arc::clone(&member.name) });
    }
    let kept = store.known_stores();
    let named = names.iter().find(|(_, name)| &***name == who).map(|(peer, _)| *peer);
    // Nothing may be kept for it, as after a restart long ago: an id is enough.
    let meant = named.or_else(|| StoreId::parse(who)).filter(|one| *one != store.store_id());
    let Some(meant) = meant else {
        return Err(ForgetError::Unknown { who: who.to_owned(), known: listed(&kept, names) });
    };
    for member in &members {
        let of_member = names.iter().find(|(_, name)| **name == member.name).map(|(peer, _)| *peer);
        match member.store.or(of_member) {
            Some(one) if one == meant => {
                return Err(ForgetError::Member { name: Arc::clone(&member.name) });
            }
            Some(_) => {}
            None => return Err(ForgetError::Unidentified { name: Arc::clone(&member.name) }),
        }
    }
    if linked.contains(&meant) {
        return Err(ForgetError::Linked { who: who.to_owned() });
    }
    Ok(meant)
}

fn listed(kept: &[StoreId], names: &HashMap<StoreId, Arc<str>>) -> String {
    let mut all: Vec<StoreId> = kept.iter().chain(names.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    let one = |peer: &StoreId| match names.get(peer) {
        Some(name) => format!("{peer} ({name})"),
        None => peer.to_string(),
    };
    if all.is_empty() {
        return "none".to_owned();
    }
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Forgets a store where no node runs: by its id, for names are known to a node that was linked.
///
/// # Errors
/// See [`ForgetError`]; nothing was changed then.
pub fn forget(store: &Store, topology: &dyn Topology, who: &str) -> Result<StoreId, ForgetError> {
    let meant = to_forget(who, store, topology, &HashMap::new(), &[])?;
    store.forget_store(meant)?;
    Ok(meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Fingerprint;
    use crate::topology::{FixedTopology, NodeInfo};

    const KEYS: [&str; 2] = [
        "tl1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "tl1-baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];

    fn id(number: u8) -> StoreId {
        StoreId([number; 16])
    }

    /// A topology with this store and b, whose store may be given.
    fn with_b(store: Option<StoreId>) -> FixedTopology {
        let key = |at: usize| vec![KEYS[at].parse::<Fingerprint>().unwrap()];
        let mut b = NodeInfo::new("b", false, "b:1", key(1));
        b.store = store;
        FixedTopology::new(vec![NodeInfo::new("self", true, "", key(0)), b]).unwrap()
    }

    #[test]
    fn only_who_is_no_member_and_not_linked_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let names: HashMap<StoreId, Arc<str>> =
            [(id(2), Arc::from("b")), (id(3), Arc::from("gone"))].into();
        let known = with_b(None);
        let asked = |who: &str, linked: &[StoreId]| to_forget(who, &store, &known, &names, linked);
        assert_eq!(asked("gone", &[]).unwrap(), id(3));
        assert_eq!(asked(&id(9).to_string(), &[]).unwrap(), id(9), "an id is enough");
        assert!(matches!(asked("b", &[]), Err(ForgetError::Member { .. })));
        let by_id = asked(&id(2).to_string(), &[]);
        assert!(matches!(by_id, Err(ForgetError::Member { name }) if &*name == "b"));
        assert!(matches!(asked("gone", &[id(3)]), Err(ForgetError::Linked { .. })));
        let Err(ForgetError::Unknown { known: listed, .. }) = asked("nobody", &[]) else {
            panic!("it is unknown")
        };
        assert!(listed.contains(&format!("{} (gone)", id(3))), "{listed}");
        let own = store.store_id().to_string();
        assert!(matches!(asked(&own, &[]), Err(ForgetError::Unknown { .. })), "not itself");

        // Whether an unlinked member is the store is not known, unless the topology says so.
        let nobody = HashMap::new();
        let unidentified = to_forget(&id(3).to_string(), &store, &known, &nobody, &[]);
        assert!(matches!(unidentified, Err(ForgetError::Unidentified { name }) if &*name == "b"));
        let fixed = with_b(Some(id(2)));
        assert_eq!(to_forget(&id(3).to_string(), &store, &fixed, &nobody, &[]).unwrap(), id(3));
    }
}
