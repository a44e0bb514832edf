//! An endpoint: a UDP address from which links are dialled and where they are accepted.

use crate::clock;
use crate::close::{CloseCode, LinkEnd};
use crate::counters::{Counters, Live, bump};
use crate::dial_error::{DialError, RefusedHandshake};
use crate::identity::{CertificateProblem, Identity, IdentityError, StoreCertificate};
use crate::limits::{DATAGRAM_MAX, Limits};
use crate::link::{Dialler, Judged, Link, LinkId};
use crate::socket::{self, SocketBuffers};
use crate::tls::{ALPN, SERVER_NAME, Tls, Verdict};
use crate::trust::{Pins, Refusal, Side, Trust};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, ConnectionError, EndpointConfig, Incoming, ServerConfig, TransportConfig};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Accepted links that wait to be taken.
const ACCEPTED: usize = 16;
/// Refused handshakes that are remembered.
const REFUSED: usize = 16;
/// Addresses of one host that a dial tries.
const ADDRESSES: usize = 4;
/// How long closing waits until peers have heard of it.
const GOODBYE: Duration = Duration::from_secs(2);

/// What an endpoint is bound with.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// Who this store is.
    pub identity: Identity,
    /// Whom it trusts.
    pub pins: Pins,
    /// The certificate, in DER, of an authority that must vouch for every peer; `None` when pins alone decide.
    pub authority: Option<Vec<u8>>,
    /// Bounds.
    pub limits: Limits,
}

/// Dials and accepts links at one UDP address. Cheap to clone; the last one dropped closes it.
#[derive(Clone)]
pub struct Endpoint {
    door: Arc<Door>,
    links: Arc<tokio::sync::Mutex<mpsc::Receiver<Link>>>,
    _open: Arc<CloseOnDrop>,
}

impl Endpoint {
    /// Binds the address and begins to accept.
    ///
    /// # Errors
    /// [`BindError`]: the address, the identity or the authority cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    pub fn bind(options: EndpointOptions) -> Result<Self, BindError> {
        let EndpointOptions { listen, identity, pins, authority, limits } = options;
        identity.check(clock::now())?;
        let key = identity.certified()?;
        let authority = authority.map(CertificateDer::from);
        let anchor = authority.as_ref().map(|certificate| {
            webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned())
        });
        let anchor = anchor.transpose().map_err(|_| BindError::Authority)?;
        let trust = Arc::new(Trust::new(identity.store(), pins, anchor));
        let io = |source| BindError::Io { listen, source };
        let (socket, buffers) = socket::bind(listen, limits.socket_bytes).map_err(io)?;
        let transport = limits.transport();
        let tls = Tls::new(Arc::clone(&trust));
        let server = server(&tls, &key, &transport)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let mut config = EndpointConfig::default();
        config.max_udp_payload_size(DATAGRAM_MAX).expect("QUIC takes 1200 to 65527 bytes");
        let quinn = quinn::Endpoint::new(config, Some(server), socket, runtime).map_err(io)?;
        let (taken, links) = mpsc::channel(ACCEPTED);
        let door = Arc::new(Door {
            local: quinn.local_addr().map_err(io)?,
            quinn: quinn.clone(),
            tls,
            trust,
            own: Mutex::new(Own { key, certificate: *identity.certificate() }),
            transport,
            handshakes: Arc::new(Semaphore::new(usize::from(limits.handshakes))),
            limits,
            buffers,
            counters: Arc::default(),
            refused: Mutex::default(),
            held: Mutex::default(),
            next_link: AtomicU64::new(1),
        });
        tokio::spawn(Arc::clone(&door).accept(taken));
        let links = Arc::new(tokio::sync::Mutex::new(links));
        Ok(Endpoint { door, links, _open: Arc::new(CloseOnDrop(quinn)) })
    }

    /// The next link that a peer dialled; `None` when the endpoint was closed. Dropping the future loses none.
    pub async fn accept(&self) -> Option<Link> {
        self.links.lock().await.recv().await
    }

    /// Dials the peer of this name in the pins at `host:port`. Tries up to four addresses of the host, one after the other.
    /// Returns when the peer accepted.
    ///
    /// # Errors
    /// [`DialError`] of the last address; [`DialError::permanence`] says whether to dial again soon.
    pub async fn dial(&self, peer: &str, address: &str) -> Result<Link, DialError> {
        self.door.dial(peer, address).await
    }

    /// From now on these peers are trusted. Links of peers that are not any more end at once.
    pub fn set_pins(&self, pins: Pins) {
        self.door.trust.set_pins(pins);
    }

    /// From now on handshakes show this identity. Open links stay.
    ///
    /// # Errors
    /// [`BindError`] when it is another store's, or its certificate is not valid now.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), BindError> {
        identity.check(clock::now())?;
        let own = self.door.trust.own();
        if identity.store() != own {
            return Err(BindError::OtherStore { own, found: identity.store() });
        }
        let key = identity.certified()?;
        *lock(&self.door.own) = Own { key, certificate: *identity.certificate() };
        Ok(())
    }

    /// The certificate that handshakes show now. When it runs out, peers disconnect.
    #[must_use]
    pub fn certificate(&self) -> StoreCertificate {
        lock(&self.door.own).certificate
    }

    /// Where it is bound.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.door.local
    }

    /// What the system granted of the socket's buffers.
    #[must_use]
    pub fn socket_buffers(&self) -> SocketBuffers {
        self.door.buffers
    }

    /// What happened since it was bound.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.door.counters.read()
    }

    /// The last handshakes that were refused here, oldest first; at most 16.
    #[must_use]
    pub fn refused(&self) -> Vec<RefusedHandshake> {
        lock(&self.door.refused).iter().cloned().collect()
    }

    /// Closes every link and takes no other. Waits up to two seconds until the peers heard of it.
    pub async fn close(&self) {
        self.door.quinn.close(CloseCode::SHUTDOWN.var(), b"shuts down");
        let _ = timeout(GOODBYE, self.door.quinn.wait_idle()).await;
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("local", &self.door.local).finish_non_exhaustive()
    }
}

/// Why an endpoint cannot be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address cannot be used.
    #[error(
        "cannot listen on {listen}: check that the address is this machine's and that no other process has it"
    )]
    Io {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The own certificate is not valid now.
    #[error("this store's own certificate: {0}")]
    Certificate(#[from] CertificateProblem),
    /// The own identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The authority's certificate cannot be used.
    #[error("the authority's certificate cannot be read: name the `ca.crt` that it made")]
    Authority,
    /// The identity is another store's.
    #[error("the identity names store {found} and this store is {own}: create one for this store")]
    OtherStore {
        /// This store.
        own: tidelog_model::StoreId,
        /// The store that the identity names.
        found: tidelog_model::StoreId,
    },
    /// TLS took none of it.
    #[error("TLS cannot be set up with this identity ({what}): create it anew")]
    Tls {
        /// What TLS says.
        what: String,
    },
}

struct CloseOnDrop(quinn::Endpoint);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(CloseCode::SHUTDOWN.var(), b"shuts down");
    }
}

/// What all handshakes share.
struct Door {
    quinn: quinn::Endpoint,
    local: SocketAddr,
    tls: Tls,
    trust: Arc<Trust>,
    own: Mutex<Own>,
    transport: Arc<TransportConfig>,
    handshakes: Arc<Semaphore>,
    limits: Limits,
    buffers: SocketBuffers,
    counters: Arc<Live>,
    refused: Mutex<VecDeque<RefusedHandshake>>,
    /// Open links of each peer.
    held: Mutex<HashMap<Arc<str>, u16>>,
    next_link: AtomicU64,
}

/// What this store shows.
struct Own {
    key: Arc<CertifiedKey>,
    certificate: StoreCertificate,
}

impl Door {
    fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&lock(&self.own).key)
    }

    async fn accept(self: Arc<Self>, taken: mpsc::Sender<Link>) {
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

    async fn dial(self: &Arc<Self>, peer: &str, address: &str) -> Result<Link, DialError> {
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

/// What answers with; each handshake then has its own TLS.
fn server(
    tls: &Tls,
    key: &Arc<CertifiedKey>,
    transport: &Arc<TransportConfig>,
) -> Result<ServerConfig, BindError> {
    let crypto = tls.answering(Arc::clone(key), Arc::default());
    let crypto = crypto.map_err(|error| BindError::Tls { what: error.to_string() })?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::clone(transport))
        .max_incoming(256)
        .incoming_buffer_size(16 << 10)
        .incoming_buffer_size_total(4 << 20);
    Ok(server)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
