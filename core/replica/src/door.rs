//! The handshakes of an endpoint, answered and dialled, until they are links or are refused with a reason.

use crate::clock;
use crate::close::{CloseCode, LinkEnd};
use crate::counters::{Live, bump};
use crate::dial_error::{DialError, RefusedHandshake};
use crate::identity::{CertificateProblem, StoreCertificate};
use crate::limits::Limits;
use crate::link::{Dialler, Judged, Link, LinkId};
use crate::socket::SocketBuffers;
use crate::tls::{ALPN, SERVER_NAME, Tls, Verdict};
use crate::trust::{Refusal, Side, Trust};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, ConnectionError, Incoming, ServerConfig, TransportConfig};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Refused handshakes that are remembered.
const REFUSED: usize = 16;
/// Addresses of one host that a dial tries.
const ADDRESSES: usize = 4;

/// What all handshakes share.
pub(crate) struct Door {
    pub(crate) quinn: quinn::Endpoint,
    pub(crate) local: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) trust: Arc<Trust>,
    pub(crate) own: Mutex<Own>,
    pub(crate) transport: Arc<TransportConfig>,
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) limits: Limits,
    pub(crate) buffers: SocketBuffers,
    pub(crate) counters: Arc<Live>,
    pub(crate) refused: Mutex<VecDeque<RefusedHandshake>>,
    /// Open links of each peer.
    pub(crate) held: Mutex<HashMap<Arc<str>, u16>>,
    pub(crate) next_link: AtomicU64,
}

/// What this store shows.
pub(crate) struct Own {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) certificate: StoreCertificate,
}

impl Door {
    fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&lock(&self.own).key)
    }

    /// Answers handshakes until the endpoint is closed.
    pub(crate) async fn accept(self: Arc<Self>, taken: mpsc::Sender<Link>) {
        while let Some(incoming) = self.quinn.accept().await {
            let Ok(place) = Arc::clone(&self.handshakes).try_acquire_owned() else {
                bump(&self.counters.refused_busy);
                incoming.refuse();
                continue;
            };
            let going_on =
                usize::from(self.limits.handshakes) - self.handshakes.available_permits();
            let unproven = going_on > usize::from(self.limits.handshakes_unproven);
            if unproven && !incoming.remote_address_validated() && incoming.may_retry() {
                bump(&self.counters.retries);
                // It may retry, which is all that can be wrong with it.
                let _ = incoming.retry();
                continue;
            }
            let (door, taken) = (Arc::clone(&self), taken.clone());
            tokio::spawn(async move {
                let link = door.answer(incoming).await;
                drop(place);
                if let Some(link) = link {
                    // Nobody takes links any more: dropped, it is closed.
                    let _ = taken.send(link).await;
                }
            });
        }
    }

    async fn answer(self: &Arc<Self>, incoming: Incoming) -> Option<Link> {
        let from = incoming.remote_address();
        let verdict = Arc::new(Verdict::default());
        let key = self.key();
        let crypto = self.tls.answering(key, Arc::clone(&verdict)).ok()?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::clone(&self.transport));
        let shaken = async { incoming.accept_with(Arc::new(config))?.await };
        let connection = match timeout(self.limits.handshake, shaken).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                self.handshake_failed(from, &error, verdict.take());
                return None;
            }
            Err(_) => {
                bump(&self.counters.handshake_timeouts);
                return None;
            }
        };
        match self.judge(connection, Dialler::Peer, None) {
            Ok(judged) => {
                bump(&self.counters.links_accepted);
                Some(self.start(judged).await)
            }
            Err(NoLink::Refused(refusal)) => {
                self.refused(from, &refusal);
                None
            }
            Err(NoLink::Version | NoLink::TooMany) => None,
        }
    }

    pub(crate) async fn dial(
        self: &Arc<Self>,
        peer: &str,
        address: &str,
    ) -> Result<Link, DialError> {
        let resolve = |source| DialError::Resolve { address: address.to_owned(), source };
        let found = timeout(self.limits.handshake, tokio::net::lookup_host(address)).await;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let found = found.map_err(late).flatten().map_err(resolve)?;
        let local = self.local.to_string();
        let mut last = DialError::Family { address: address.to_owned(), local };
        let reached = found.filter_map(|to| match (to, self.local) {
            (SocketAddr::V4(to), SocketAddr::V6(_)) => {
                let mapped = to.ip().to_ipv6_mapped();
                Some(SocketAddr::from((mapped, to.port())))
            }
            (SocketAddr::V6(_), SocketAddr::V4(_)) => None,
            (to, _) => Some(to),
        });
        for to in reached.take(ADDRESSES) {
            match self.dial_at(peer, address, to).await {
                Ok(link) => {
                    bump(&self.counters.links_dialled);
                    return Ok(link);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn dial_at(
        self: &Arc<Self>,
        peer: &str,
        address: &str,
        to: SocketAddr,
    ) -> Result<Link, DialError> {
        let verdict = Arc::new(Verdict::default());
        let key = self.key();
        let failed = |what: String| DialError::Handshake { address: address.to_owned(), what };
        let crypto = self.tls.dialling(key, Arc::clone(&verdict));
        let crypto = crypto.map_err(|error| failed(error.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::clone(&self.transport));
        let connecting =
            self.quinn.connect_with(config, to, SERVER_NAME).map_err(|error| match error {
                quinn::ConnectError::EndpointStopping => DialError::Closed,
                other => failed(other.to_string()),
            })?;
        let greeted = async {
            let of = |error, verdict: &Verdict| DialError::of(address, &error, verdict.take());
            let connection = connecting.await.map_err(|error| of(error, &verdict))?;
            let judged = self.judge(connection, Dialler::Us, Some(peer));
            let link = self.start(judged.map_err(|no| no.dialled(address))?).await;
            match link.accepted().await {
                Ok(()) => Ok(link),
                Err(error) => Err(match link.end() {
                    LinkEnd::TrustEnded(refusal) => {
                        DialError::Untrusted { address: address.to_owned(), refusal }
                    }
                    LinkEnd::Violation(violation) => DialError::Broken {
                        address: address.to_owned(),
                        what: violation.to_string(),
                    },
                    _ => of(error, &verdict),
                }),
            }
        };
        let no_answer = |_| DialError::NoAnswer { address: address.to_owned() };
        timeout(self.limits.handshake, greeted).await.map_err(no_answer)?
    }

    /// Judges a connection whose handshake is done. One that is no link is closed with the reason.
    fn judge(
        &self,
        connection: Connection,
        dialler: Dialler,
        expected: Option<&str>,
    ) -> Result<Judged, NoLink> {
        if !speaks_tidelog(&connection) {
            bump(&self.counters.refused_version);
            connection.close(CloseCode::VERSION.var(), b"no common protocol");
            return Err(NoLink::Version);
        }
        let chain = connection.peer_identity().and_then(|any| any.downcast().ok());
        let chain: Vec<CertificateDer<'static>> = chain.map(|chain| *chain).unwrap_or_default();
        let theirs = if dialler == Dialler::Us { Side::Answers } else { Side::Dials };
        let peer = self.trust.authenticate(&chain, theirs, clock::unix_now());
        let peer = peer.and_then(|peer| self.trust.admit(&peer, expected).map(|()| peer));
        let peer = peer.map_err(|refusal| {
            let code = match refusal.is_about_the_store() {
                true => CloseCode::WRONG_STORE,
                false => CloseCode::NOT_TRUSTED,
            };
            connection.close(code.var(), b"not trusted");
            NoLink::Refused(refusal)
        })?;
        if !self.hold(&peer.name) {
            bump(&self.counters.refused_links);
            connection.close(CloseCode::TOO_MANY_LINKS.var(), b"too many links of this peer");
            return Err(NoLink::TooMany);
        }
        let id = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        Ok(Judged { connection, id, dialler, peer, chain })
    }

    async fn start(self: &Arc<Self>, judged: Judged) -> Link {
        let (door, connection) = (Arc::clone(self), judged.connection.clone());
        let name = Arc::clone(&judged.peer.name);
        tokio::spawn(async move {
            connection.closed().await;
            door.release(&name);
        });
        judged.start(&self.limits, Arc::clone(&self.trust), Arc::clone(&self.counters)).await
    }

    fn hold(&self, peer: &Arc<str>) -> bool {
        let mut held = lock(&self.held);
        let count = held.entry(Arc::clone(peer)).or_insert(0);
        let fits = *count < self.limits.links_per_peer;
        *count += u16::from(fits);
        fits
    }

    fn release(&self, peer: &Arc<str>) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(peer);
            }
        }
    }

    fn handshake_failed(&self, from: SocketAddr, error: &ConnectionError, why: Option<Refusal>) {
        if let Some(refusal) = why {
            self.refused(from, &refusal);
        } else if let DialError::Version { .. } = DialError::of("", error, None) {
            bump(&self.counters.refused_version);
        } else {
            bump(&self.counters.handshakes_failed);
        }
    }

    fn refused(&self, from: SocketAddr, refusal: &Refusal) {
        bump(&self.counters.refused_untrusted);
        if matches!(refusal, Refusal::Certificate(CertificateProblem::Expired { .. })) {
            bump(&self.counters.refused_expired);
        }
        // Anyone can cause it: a line for each would let strangers fill the log.
        tracing::debug!(%from, %refusal, "handshake refused");
        let mut refused = lock(&self.refused);
        if refused.len() == REFUSED {
            refused.pop_front();
        }
        refused.push_back(RefusedHandshake { from, why: refusal.clone() });
    }
}

/// Why a connection whose handshake is done is no link.
enum NoLink {
    Version,
    Refused(Refusal),
    TooMany,
}

impl NoLink {
    fn dialled(self, address: &str) -> DialError {
        let address = address.to_owned();
        match self {
            NoLink::Version => DialError::Version { address },
            NoLink::Refused(refusal) => DialError::Untrusted { address, refusal },
            NoLink::TooMany => {
                DialError::Busy { address, what: "this store has enough links to it".to_owned() }
            }
        }
    }
}

fn speaks_tidelog(connection: &Connection) -> bool {
    let data = connection.handshake_data().and_then(|any| any.downcast::<HandshakeData>().ok());
    data.and_then(|data| data.protocol).is_some_and(|protocol| protocol == ALPN)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
