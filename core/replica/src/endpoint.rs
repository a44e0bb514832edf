//! An endpoint: a UDP address from which links are dialled and where they are accepted.

use crate::clock;
use crate::close::CloseCode;
use crate::counters::Counters;
use crate::dial_error::{DialError, RefusedHandshake};
use crate::door::{Door, Own, lock};
use crate::identity::{CertificateProblem, Identity, IdentityError, StoreCertificate};
use crate::limits::{DATAGRAM_MAX, Limits};
use crate::link::Link;
use crate::reset;
use crate::socket::{self, SocketBuffers};
use crate::tls::Tls;
use crate::trust::{Pins, Trust};
use quinn::{ServerConfig, TransportConfig};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Accepted links that wait to be taken.
const ACCEPTED: usize = 16;
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
        let mut config = reset::recognisable(&identity);
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
