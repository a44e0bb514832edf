//! Whom this store trusts: pinned keys, or keys that a private authority vouches for, and the stores they stand for.
//!
//! Pure but for a table of which peer named which store. The same judgement is made in the handshake, once more before a
//! link is handed out, and on every open link when the pins change.

mod pins;

pub use pins::{KEYS_PER_PEER_MAX, PeerPin, PinError, Pins};

use crate::identity::{CertificateProblem, Fingerprint, NodeCertificate};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tidelog_model::StoreId;
use tokio::sync::watch;

/// A peer whose key was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Its name in the topology.
    pub name: Arc<str>,
    /// Its store.
    pub store: StoreId,
    /// Of its key.
    pub fingerprint: Fingerprint,
    /// Until when its certificate is valid.
    pub not_after: SystemTime,
}

/// Why a peer is not trusted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It showed no certificate.
    #[error("it showed no certificate: give it an identity")]
    NoCertificate,
    /// Its certificate is none, or not valid now.
    #[error("{0}")]
    Certificate(#[from] CertificateProblem),
    /// Its key is in no pin.
    #[error(
        "its key {fingerprint} is not in the topology: list the fingerprint there if it is yours"
    )]
    UnknownKey {
        /// Of its key.
        fingerprint: Fingerprint,
    },
    /// The authority does not vouch for its key.
    #[error(
        "the authority does not vouch for its key {fingerprint} ({what}): let the authority sign it, or check which authority this store trusts"
    )]
    NotVouched {
        /// Of its key.
        fingerprint: Fingerprint,
        /// What the check of the signatures said.
        what: String,
    },
    /// It names another store than the topology says.
    #[error(
        "peer {peer} is store {found} and the topology says {expected}: correct `store` there, or look who answers at this address"
    )]
    WrongStore {
        /// Its name in the topology.
        peer: Arc<str>,
        /// What it names.
        found: StoreId,
        /// What the topology says.
        expected: StoreId,
    },
    /// It names this very store.
    #[error(
        "peer {peer} is this store itself, or a copy of it: dial another address, or let the copy adopt an id of its own"
    )]
    OwnStore {
        /// Its name in the topology.
        peer: Arc<str>,
    },
    /// Another peer is that store.
    #[error(
        "peer {peer} says it is store {store}, which peer {holder} is: one of them is a copy, and has to adopt an id of its own"
    )]
    StoreTaken {
        /// Its name in the topology.
        peer: Arc<str>,
        /// What it names.
        store: StoreId,
        /// Who is that store.
        holder: Arc<str>,
    },
    /// It is another peer than the one that was dialled.
    #[error(
        "peer {found} answers where {expected} was dialled: correct the addresses in the topology"
    )]
    WrongPeer {
        /// Who answers.
        found: Arc<str>,
        /// Who was dialled.
        expected: Arc<str>,
    },
}

impl Refusal {
    /// Is it about who the peer is, with a key that is trusted?
    pub(crate) fn is_about_the_store(&self) -> bool {
        matches!(
            self,
            Refusal::WrongStore { .. }
                | Refusal::OwnStore { .. }
                | Refusal::StoreTaken { .. }
                | Refusal::WrongPeer { .. }
        )
    }
}

/// Which side of a handshake the peer is on; an authority may vouch for one only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Answers,
    Dials,
}

/// The rule of trust of one endpoint.
#[derive(Debug)]
pub(crate) struct Trust {
    own: StoreId,
    authority: Option<TrustAnchor<'static>>,
    pins: watch::Sender<Arc<Pins>>,
    /// Which store each peer named last, where the topology does not say.
    named: Mutex<HashMap<Arc<str>, StoreId>>,
}

impl Trust {
    pub(crate) fn new(own: StoreId, pins: Pins, authority: Option<TrustAnchor<'static>>) -> Self {
        Trust { own, authority, pins: watch::Sender::new(Arc::new(pins)), named: Mutex::default() }
    }

    pub(crate) fn own(&self) -> StoreId {
        self.own
    }

    pub(crate) fn set_pins(&self, pins: Pins) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|peer, _| pins.has(peer));
        self.pins.send_replace(Arc::new(pins));
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Pins>> {
        self.pins.subscribe()
    }

    /// Is this key trusted, and its certificate valid now?
    pub(crate) fn authenticate(
        &self,
        chain: &[CertificateDer<'_>],
        side: Side,
        now: UnixTime,
    ) -> Result<Peer, Refusal> {
        let (first, others) = chain.split_first().ok_or(Refusal::NoCertificate)?;
        let certificate = NodeCertificate::parse(first)?;
        let fingerprint = certificate.fingerprint();
        let pins = Arc::clone(&self.pins.borrow());
        if let Some(authority) = &self.authority {
            vouched(first, others, authority, side, now)
                .map_err(|what| refused_by_authority(fingerprint, &what))?;
        }
        // Words of a certificate are read only when its key is pinned or vouched for.
        let (name, says) = match pins.by_key(&fingerprint) {
            Some(pin) => (Arc::clone(&pin.name), certificate.store()?),
            None if self.authority.is_some() => {
                let says = certificate.store()?;
                let pin = pins.vouchable(says.store).ok_or(Refusal::UnknownKey { fingerprint })?;
                (Arc::clone(&pin.name), says)
            }
            None => return Err(Refusal::UnknownKey { fingerprint }),
        };
        says.check(SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs()))?;
        Ok(Peer { name, store: says.store, fingerprint, not_after: says.not_after })
    }

    /// May this key stand for the store that it names?
    pub(crate) fn admit(&self, peer: &Peer, dialled: Option<&str>) -> Result<(), Refusal> {
        let name = || Arc::clone(&peer.name);
        if let Some(expected) = dialled.filter(|expected| **expected != *peer.name) {
            return Err(Refusal::WrongPeer { found: name(), expected: expected.into() });
        }
        if peer.store == self.own {
            return Err(Refusal::OwnStore { peer: name() });
        }
        let pins = Arc::clone(&self.pins.borrow());
        match pins.by_name(&peer.name).and_then(|pin| pin.store) {
            Some(expected) if expected != peer.store => {
                return Err(Refusal::WrongStore { peer: name(), found: peer.store, expected });
            }
            _ => {}
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let by_word =
            named.iter().find(|(other, store)| **store == peer.store && **other != peer.name);
        let pinned = pins.by_store(peer.store).map(|pin| Arc::clone(&pin.name));
        let holder = pinned.or_else(|| by_word.map(|(other, _)| Arc::clone(other)));
        let holder = holder.unwrap_or_else(name);
        if holder != peer.name {
            return Err(Refusal::StoreTaken { peer: name(), store: peer.store, holder });
        }
        // One entry per peer: a peer that names store after store takes no memory.
        named.insert(name(), peer.store);
        Ok(())
    }
}

/// Does the authority vouch for this certificate on this side, directly or through those sent along?
fn vouched(
    first: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    authority: &TrustAnchor<'_>,
    side: Side,
    now: UnixTime,
) -> Result<(), webpki::Error> {
    let entity = webpki::EndEntityCert::try_from(first)?;
    let usage = match side {
        Side::Answers => webpki::KeyUsage::server_auth(),
        Side::Dials => webpki::KeyUsage::client_auth(),
    };
    let anchors = std::slice::from_ref(authority);
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    entity.verify_for_usage(algorithms, anchors, others, now, usage, None, None).map(|_| ())
}

fn refused_by_authority(fingerprint: Fingerprint, error: &webpki::Error) -> Refusal {
    let at = |time: &UnixTime| {
        crate::identity::date(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
    };
    match error {
        webpki::Error::CertExpired { not_after, .. } => {
            CertificateProblem::Expired { since: at(not_after) }.into()
        }
        webpki::Error::CertNotValidYet { not_before, .. } => {
            CertificateProblem::NotYetValid { from: at(not_before) }.into()
        }
        other => Refusal::NotVouched { fingerprint, what: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, store: u8) -> Peer {
        Peer {
            name: name.into(),
            store: StoreId([store; 16]),
            fingerprint: Fingerprint([0; 32]),
            not_after: SystemTime::UNIX_EPOCH,
        }
    }

    fn trust() -> Trust {
        let pin = |name: &str, key, store: Option<u8>| PeerPin {
            name: name.into(),
            store: store.map(|id| StoreId([id; 16])),
            fingerprints: vec![Fingerprint([key; 32])],
        };
        let pins = vec![pin("a", 1, None), pin("b", 2, None), pin("c", 3, Some(0xc))];
        Trust::new(StoreId([0xff; 16]), Pins::new(pins).unwrap(), None)
    }

    #[test]
    fn a_store_is_one_peers_at_a_time_and_a_fixed_one_is_always_its_own() {
        let trust = trust();
        trust.admit(&peer("a", 1), None).unwrap();
        trust.admit(&peer("a", 1), Some("a")).unwrap();
        assert!(matches!(trust.admit(&peer("b", 1), None), Err(Refusal::StoreTaken { .. })));
        let fixed = trust.admit(&peer("b", 0xc), None);
        assert!(matches!(fixed, Err(Refusal::StoreTaken { holder, .. }) if &*holder == "c"));
        trust.admit(&peer("c", 0xc), None).unwrap();
        assert!(matches!(trust.admit(&peer("c", 1), None), Err(Refusal::WrongStore { .. })));
        assert!(matches!(trust.admit(&peer("a", 0xff), None), Err(Refusal::OwnStore { .. })));
        let wrong = trust.admit(&peer("a", 1), Some("b"));
        assert!(matches!(wrong, Err(Refusal::WrongPeer { .. })));
        // A store that was made anew under the same key frees the old one.
        trust.admit(&peer("a", 2), None).unwrap();
        trust.admit(&peer("b", 1), None).unwrap();
        trust.set_pins(Pins::default());
        assert!(trust.named.lock().unwrap().is_empty());
    }

    #[test]
    fn a_peer_that_names_store_after_store_takes_no_memory() {
        let trust = trust();
        for store in 0..0xff {
            if store != 0xc {
                trust.admit(&peer("a", store), None).unwrap();
            }
        }
        assert_eq!(trust.named.lock().unwrap().len(), 1);
    }
}
