//! TLS as links use it: 1.3 only, both sides with a certificate, verifiers that judge keys by [`Trust`].
//!
//! A configuration is made per handshake. It is a few reference counts, and its verifier keeps the reason of a refusal,
//! which TLS itself would squeeze into an alert. 0-RTT is off on both sides: what it carries can be replayed. Resumption is
//! off: a resumed session shows the certificate of the first handshake, so that a rotated key would go unseen, and all it
//! saves is two ed25519 signatures per link.

use crate::identity::CertificateProblem;
use crate::trust::{Refusal, Side, Trust};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};
use std::sync::{Arc, Mutex, PoisonError};

/// The application protocol, as TLS negotiates it.
pub const ALPN: &[u8] = b"tidelog/1";
/// The name that is dialled. It is not sent and not compared: keys are.
pub(crate) const SERVER_NAME: &str = "tidelog";

/// Why a handshake's peer was refused, for whoever waits for the handshake.
#[derive(Debug, Default)]
pub(crate) struct Verdict(Mutex<Option<Refusal>>);

impl Verdict {
    pub(crate) fn take(&self) -> Option<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, refusal: Refusal) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

/// What both sides' configurations are made from.
#[derive(Debug)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
}

impl Tls {
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Tls { provider: Arc::new(rustls::crypto::ring::default_provider()), trust }
    }

    /// For a side that answers.
    pub(crate) fn answering(
        &self,
        key: Arc<CertifiedKey>,
        verdict: Arc<Verdict>,
    ) -> Result<QuicServerConfig, Error> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(self.verifier(verdict))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        QuicServerConfig::try_from(config).map_err(|error| Error::General(error.to_string()))
    }

    /// For a side that dials.
    pub(crate) fn dialling(
        &self,
        key: Arc<CertifiedKey>,
        verdict: Arc<Verdict>,
    ) -> Result<QuicClientConfig, Error> {
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(verdict))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_early_data = false;
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        QuicClientConfig::try_from(config).map_err(|error| Error::General(error.to_string()))
    }

    fn verifier(&self, verdict: Arc<Verdict>) -> Arc<Verifier> {
        let provider = Arc::clone(&self.provider);
        Arc::new(Verifier { provider, trust: Arc::clone(&self.trust), verdict })
    }
}

/// Judges certificates by [`Trust`] and signatures by webpki, on both sides.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
    verdict: Arc<Verdict>,
}

impl Verifier {
    fn judge(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        side: Side,
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain: Vec<_> = std::iter::once(first).chain(others).cloned().collect();
        self.trust.authenticate(&chain, side, now).map(|_| ()).map_err(|refusal| {
            let error = alert_of(&refusal);
            self.verdict.set(refusal);
            Error::InvalidCertificate(error)
        })
    }

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }
}

/// TLS 1.2 is not offered, so nothing of it is ever verified.
fn never_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(first, others, Side::Answers, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(first, others, Side::Dials, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// What the refused side is told. [`crate::DialError`] reads it back from the alert.
fn alert_of(refusal: &Refusal) -> CertificateError {
    match refusal {
        Refusal::Certificate(
            CertificateProblem::Expired { .. } | CertificateProblem::NotYetValid { .. },
        ) => CertificateError::Expired,
        Refusal::Certificate(_) | Refusal::NoCertificate => CertificateError::BadEncoding,
        Refusal::NotVouched { .. } => CertificateError::UnknownIssuer,
        _ => CertificateError::ApplicationVerificationFailure,
    }
}
