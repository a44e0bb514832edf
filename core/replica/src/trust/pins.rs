//! The peers that the topology lists, by key, by store and by name.

use crate::identity::Fingerprint;
use std::collections::HashMap;
use std::sync::Arc;
use tidelog_model::StoreId;

/// A peer as the topology lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerPin {
    /// Its name.
    pub name: Arc<str>,
    /// Its store, when that is fixed. Otherwise what its certificate names is believed, for the key is trusted, as long
    /// as no other peer is that store.
    pub store: Option<StoreId>,
    /// Its keys: one, or the old and the new one while rotating. None when an authority vouches for it and `store` is
    /// fixed.
    pub fingerprints: Vec<Fingerprint>,
}

/// All peers that are trusted at one time.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    peers: Vec<PeerPin>,
    keys: HashMap<Fingerprint, usize>,
    stores: HashMap<StoreId, usize>,
    names: HashMap<Arc<str>, usize>,
}

/// How many keys a peer may have at a time: the old one and the new one.
pub const KEYS_PER_PEER_MAX: usize = 2;

impl Pins {
    /// Checks and indexes.
    ///
    /// # Errors
    /// [`PinError`] when two peers share a name, key or store, or a peer has too many keys or nothing to know it by.
    pub fn new(peers: Vec<PeerPin>) -> Result<Self, PinError> {
        let mut pins = Pins { peers, ..Pins::default() };
        for (at, pin) in pins.peers.iter().enumerate() {
            let peer = || Arc::clone(&pin.name);
            if pin.fingerprints.len() > KEYS_PER_PEER_MAX {
                return Err(PinError::TooManyKeys { peer: peer(), found: pin.fingerprints.len() });
            }
            if pin.fingerprints.is_empty() && pin.store.is_none() {
                return Err(PinError::Unknowable { peer: peer() });
            }
            if pins.names.insert(peer(), at).is_some() {
                return Err(PinError::Twice { what: format!("name {}", pin.name), peer: peer() });
            }
            for key in &pin.fingerprints {
                if pins.keys.insert(*key, at).is_some() {
                    return Err(PinError::Twice {
                        what: format!("fingerprint {key}"),
                        peer: peer(),
                    });
                }
            }
            if let Some(store) = pin.store
                && pins.stores.insert(store, at).is_some()
            {
                return Err(PinError::Twice { what: format!("store {store}"), peer: peer() });
            }
        }
        Ok(pins)
    }

    /// The peers, as given.
    #[must_use]
    pub fn peers(&self) -> &[PeerPin] {
        &self.peers
    }

    pub(super) fn by_key(&self, key: &Fingerprint) -> Option<&PeerPin> {
        self.keys.get(key).and_then(|at| self.peers.get(*at))
    }

    /// The peer whose store is fixed as this one. One that lists keys is known by them: see [`Pins::vouchable`].
    pub(super) fn by_store(&self, store: StoreId) -> Option<&PeerPin> {
        self.stores.get(&store).and_then(|at| self.peers.get(*at))
    }

    /// The peer that an authority may vouch for under this store: it lists no key, which would be the stricter rule.
    pub(super) fn vouchable(&self, store: StoreId) -> Option<&PeerPin> {
        self.by_store(store).filter(|pin| pin.fingerprints.is_empty())
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&PeerPin> {
        self.names.get(name).and_then(|at| self.peers.get(*at))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }
}

/// Why a list of peers cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// Two peers share what names one.
    #[error(
        "{what} of peer {peer} is listed twice: each name, fingerprint and store belongs to one peer"
    )]
    Twice {
        /// The second of them.
        peer: Arc<str>,
        /// What.
        what: String,
    },
    /// Too many keys.
    #[error(
        "peer {peer} lists {found} fingerprints: at most 2, the old and the new one while rotating"
    )]
    TooManyKeys {
        /// The peer.
        peer: Arc<str>,
        /// How many.
        found: usize,
    },
    /// Neither key nor store.
    #[error(
        "peer {peer} has neither `fingerprint` nor `store`: list the fingerprint that `tidelog pair` prints there"
    )]
    Unknowable {
        /// The peer.
        peer: Arc<str>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(name: &str, keys: &[u8], store: Option<u8>) -> PeerPin {
        let fingerprints = keys.iter().map(|key| Fingerprint([*key; 32])).collect();
        PeerPin { name: name.into(), store: store.map(|id| StoreId([id; 16])), fingerprints }
    }

    #[test]
    fn what_names_one_peer_may_not_name_two() {
        for (a, b, what) in [
            (pin("a", &[1], None), pin("a", &[2], None), "name a"),
            (pin("a", &[1], None), pin("b", &[2, 1], None), "fingerprint tl1-"),
            (pin("a", &[1], Some(7)), pin("b", &[2], Some(7)), "store 0707"),
        ] {
            let error = Pins::new(vec![a, b]).unwrap_err().to_string();
            assert!(error.starts_with(what), "{error}");
        }
        assert!(Pins::new(vec![pin("a", &[1, 1], None)]).is_err());
    }

    #[test]
    fn two_keys_while_rotating_and_never_three_or_nothing() {
        let pins = Pins::new(vec![pin("a", &[1, 2], None)]).unwrap();
        assert_eq!(pins.by_key(&Fingerprint([2; 32])).unwrap().name.as_ref(), "a");
        let error = Pins::new(vec![pin("a", &[1, 2, 3], None)]).unwrap_err();
        assert!(matches!(error, PinError::TooManyKeys { found: 3, .. }));
        assert!(matches!(Pins::new(vec![pin("a", &[], None)]), Err(PinError::Unknowable { .. })));
        assert!(Pins::new(vec![pin("a", &[], Some(1))]).is_ok());
    }
}
