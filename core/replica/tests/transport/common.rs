//! Stores that talk to each other over the loopback, and a peer that keeps to no rule.

use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tidelog_model::StoreId;
use tidelog_replica::identity::{Identity, LIFETIME};
use tidelog_replica::trust::{PeerPin, Pins};
use tidelog_replica::{CloseCode, Endpoint, EndpointOptions, Limits, Link, LinkEnd};
use tokio::net::UdpSocket;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}

/// Did the link end by the peer's close with this code? A busy machine may hear of a close so late that the peer has forgotten
/// the connection, and is told that instead.
pub(crate) fn closed_with(end: &LinkEnd, expected: CloseCode) -> bool {
    match end {
        LinkEnd::ByPeer { code, .. } => *code == expected,
        LinkEnd::Lost { what } => what.contains("knows it no more"),
        _ => false,
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true");
}

pub(crate) fn store(id: u8) -> StoreId {
    StoreId([id; 16])
}

pub(crate) fn identity(id: u8) -> Identity {
    Identity::generate(store(id), SystemTime::now(), LIFETIME).unwrap()
}

pub(crate) fn pin(name: &str, identity: &Identity) -> PeerPin {
    PeerPin { name: name.into(), store: None, fingerprints: vec![identity.fingerprint()] }
}

pub(crate) fn pins(of: &[(&str, &Identity)]) -> Pins {
    Pins::new(of.iter().map(|(name, identity)| pin(name, identity)).collect()).unwrap()
}

pub(crate) fn options(identity: &Identity, pins: Pins) -> EndpointOptions {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let limits = Limits::default();
    EndpointOptions { listen, identity: identity.clone(), pins, authority: None, limits }
}

pub(crate) fn address(endpoint: &Endpoint) -> String {
    endpoint.local_address().to_string()
}

/// Two stores that trust each other, and a link between them: dialled by `a`, accepted by `b`.
pub(crate) struct Pair {
    pub(crate) a: Endpoint,
    pub(crate) b: Endpoint,
    pub(crate) from_a: Link,
    pub(crate) from_b: Link,
    pub(crate) key_a: Identity,
    pub(crate) key_b: Identity,
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let (key_a, key_b) = (identity(0xa), identity(0xb));
        let bind = |own: &Identity, name: &str, peer: &Identity| {
            let mut options = options(own, pins(&[(name, peer)]));
            options.limits = limits.clone();
            Endpoint::bind(options).unwrap()
        };
        let (a, b) = (bind(&key_a, "b", &key_b), bind(&key_b, "a", &key_a));
        let to = address(&b);
        let (from_a, from_b) = soon(async { tokio::join!(a.dial("b", &to), b.accept()) }).await;
        Pair { from_a: from_a.unwrap(), from_b: from_b.unwrap(), a, b, key_a, key_b }
    }
}

/// A peer that keeps to no rule: QUIC with a certificate, and nothing else of ours.
pub(crate) async fn raw(
    identity: Option<&Identity>,
    alpn: &[u8],
    to: &Endpoint,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    let folder = tempfile::tempdir().unwrap();
    let files = identity.map(|identity| {
        identity.save(folder.path()).unwrap();
        (folder.path().join("node.key"), folder.path().join("node.crt"))
    });
    raw_files(files, alpn, to).await
}

/// The same with a key and a certificate that need not belong together.
pub(crate) async fn raw_files(
    files: Option<(PathBuf, PathBuf)>,
    alpn: &[u8],
    to: &Endpoint,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAnyone));
    let mut config = match files {
        None => builder.with_no_client_auth(),
        Some((key, chain)) => {
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
            let chain = CertificateDer::pem_file_iter(chain).unwrap();
            let chain = chain.collect::<Result<_, _>>().unwrap();
            let certified = rustls::sign::CertifiedKey::new(chain, key);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let crypto = QuicClientConfig::try_from(config).unwrap();
    let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    endpoint.connect_with(config, to.local_address(), "tidelog").unwrap().await
}

/// For tests of the other side only.
#[derive(Debug)]
struct TakesAnyone;

impl ServerCertVerifier for TakesAnyone {
    fn verify_server_cert(
        &self,
        _first: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A path between two stores: slow, or cut. One dialler at a time.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    cut: Arc<AtomicBool>,
    back: Arc<UdpSocket>,
}

impl Relay {
    /// To an endpoint, with so many bytes a second from the dialler. `packets` after which it is cut by itself.
    pub(crate) async fn new(to: &Endpoint, rate: u64, packets: u64) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        back.connect(to.local_address()).await.unwrap();
        let address = front.local_addr().unwrap();
        let relay = Relay { address, cut: Arc::default(), back: Arc::clone(&back) };
        let dialler = Arc::new(Mutex::new(None));
        tokio::spawn(forth(
            [Arc::clone(&front), Arc::clone(&back)],
            Arc::clone(&dialler),
            (rate, packets),
            Arc::clone(&relay.cut),
        ));
        let cut = Arc::clone(&relay.cut);
        tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while let Ok(len) = back.recv(&mut bytes).await {
                let to = *dialler.lock().unwrap();
                if let (Some(to), false) = (to, cut.load(Ordering::Relaxed)) {
                    let _ = front.send_to(&bytes[..len], to).await;
                }
            }
        });
        relay
    }

    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// From now on it leads to another endpoint.
    pub(crate) async fn turn_to(&self, to: &Endpoint) {
        self.back.connect(to.local_address()).await.unwrap();
        self.cut.store(false, Ordering::Relaxed);
    }
}

async fn forth(
    [front, back]: [Arc<UdpSocket>; 2],
    dialler: Arc<Mutex<Option<SocketAddr>>>,
    (rate, packets): (u64, u64),
    cut: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 65_536];
    let mut free = tokio::time::Instant::now();
    for _ in 0..packets {
        let Ok((len, from)) = front.recv_from(&mut bytes).await else { return };
        *dialler.lock().unwrap() = Some(from);
        if !cut.load(Ordering::Relaxed) {
            let _ = back.send(&bytes[..len]).await;
        }
        let now = tokio::time::Instant::now();
        free = free.max(now) + Duration::from_nanos(len as u64 * 1_000_000_000 / rate);
        if free > now + Duration::from_millis(2) {
            tokio::time::sleep_until(free).await;
        }
    }
    cut.store(true, Ordering::Relaxed);
}
