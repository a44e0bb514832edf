//! Who a store is to its peers: an ed25519 key, a certificate that names the store, a fingerprint of the key.
//!
//! The certificate names a store in a URI, but nobody is trusted for what a certificate says. Trust is the
//! fingerprint of the key, which the topology lists; a private authority may vouch for keys instead.

mod authority;
mod certificate;
mod files;
mod fingerprint;

pub use authority::{AUTHORITY_FILE, AUTHORITY_KEY_FILE, Authority};
pub use certificate::{CertificateProblem, NodeCertificate, StoreCertificate};
pub use fingerprint::{Fingerprint, FingerprintError};

pub(crate) use certificate::date;

use certificate::parameters;
use files::{create_folder, read, write};
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tidelog_model::StoreId;

/// The file of the private key, readable by its owner only.
pub const KEY_FILE: &str = "node.key";
/// The file of the certificate, with those that vouch for it behind.
pub const CERTIFICATE_FILE: &str = "node.crt";
/// How long a certificate lasts unless said otherwise: ten years, for stores that nobody visits. What ends trust
/// in time is the fingerprint leaving the topology.
pub const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// A key and its certificate.
///
/// Cheap to clone. `Debug` shows the fingerprint and never the key.
#[derive(Clone)]
pub struct Identity {
    key: Arc<KeyPair>,
    chain: Arc<[CertificateDer<'static>]>,
    certificate: StoreCertificate,
}

impl Identity {
    /// Draws a key and signs a certificate with it, valid from a day before `now` (clocks differ) for `lifetime`.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`] when the system gives no randomness.
    pub fn generate(
        store: StoreId,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let certificate = parameters(store, now, lifetime)?.self_signed(&key)?;
        Self::assemble(Arc::new(key), vec![certificate.into()])
    }

    /// A new certificate for the same key: the fingerprint stays, so no peer needs to be told.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`] when signing fails.
    pub fn renewed(&self, now: SystemTime, lifetime: Duration) -> Result<Self, IdentityError> {
        let parameters = parameters(self.store(), now, lifetime)?;
        let certificate = parameters.self_signed(self.key.as_ref())?;
        Self::assemble(Arc::clone(&self.key), vec![certificate.into()])
    }

    /// Reads `node.key` and `node.crt` of a folder. Blocks on the disk. An expired certificate is read too, so that
    /// it can be renewed; [`Identity::check`] tells.
    ///
    /// # Errors
    /// [`IdentityError`], with the file: missing, readable by others, not PEM, or not a pair.
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let key_path = folder.join(KEY_FILE);
        let key = parse_key(&key_path, &read(&key_path, true)?)?;
        let path = folder.join(CERTIFICATE_FILE);
        let chain = parse_chain(&path, &read(&path, false)?)?;
        let identity = Self::assemble(Arc::new(key), chain).map_err(|error| error.at(&path))?;
        let public = rcgen::PublicKeyData::subject_public_key_info(identity.key.as_ref());
        if Fingerprint::of_public_key(&public) != identity.fingerprint() {
            return Err(IdentityError::Mismatch { key: key_path, certificate: path });
        }
        Ok(identity)
    }

    /// Writes `node.key` (mode 0600) and `node.crt` into a folder, which is created (0700) if need be. Blocks on the
    /// disk and syncs. A key that is there already is never written over by another.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] when the folder holds another key, [`IdentityError::Io`] when the disk refuses.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        create_folder(folder)?;
        let key = folder.join(KEY_FILE);
        let held = read(&key, false).ok().and_then(|text| parse_key(&key, &text).ok());
        let same = held.is_some_and(|held| held.serialized_der() == self.key.serialized_der());
        if !same {
            write(&key, self.key.serialize_pem().as_bytes(), 0o600, true)?;
        }
        let certificates = self.chain.iter().map(pem_of).collect::<String>();
        write(&folder.join(CERTIFICATE_FILE), certificates.as_bytes(), 0o644, false)
    }

    /// Is the certificate valid at this time?
    ///
    /// # Errors
    /// [`CertificateProblem::Expired`] or [`CertificateProblem::NotYetValid`].
    pub fn check(&self, now: SystemTime) -> Result<(), CertificateProblem> {
        self.certificate.check(now)
    }

    /// The store that the certificate names.
    #[must_use]
    pub fn store(&self) -> StoreId {
        self.certificate.store
    }

    /// The fingerprint of the key, which peers list in their topology.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint
    }

    /// What the certificate says.
    #[must_use]
    pub fn certificate(&self) -> &StoreCertificate {
        &self.certificate
    }

    /// The key and chain as TLS wants them.
    pub(crate) fn certified(&self) -> Result<Arc<CertifiedKey>, IdentityError> {
        let key = PrivatePkcs8KeyDer::from(self.key.serialized_der().to_vec());
        let key = rustls::crypto::ring::sign::any_eddsa_type(&key)
            .map_err(|error| IdentityError::Crypto { what: error.to_string() })?;
        Ok(Arc::new(CertifiedKey::new(self.chain.to_vec(), key)))
    }

    /// A secret for another purpose, which stays the same as long as the key does.
    pub(crate) fn secret(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.key.serialized_der())
    }

    fn assemble(
        key: Arc<KeyPair>,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let first = chain.first().ok_or(CertificateProblem::Unreadable)?;
        let certificate = NodeCertificate::parse(first)?.store()?;
        Ok(Identity { key, chain: chain.into(), certificate })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Why an identity cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no such file.
    #[error("{path} does not exist: create an identity there, or name the folder that has one")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read the key.
    #[error(
        "{path} can be read by others (mode {mode:03o}): take their rights away, `chmod 600 {path}`; if someone may have read it, make a new key"
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what it should be.
    #[error(
        "{path} is not {wanted}: restore it, or create a new identity and list its fingerprint with the peers"
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// Key and certificate do not belong together.
    #[error("{key} is not the key of {certificate}: restore the pair from one backup")]
    Mismatch {
        /// The key.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
    /// A key is there already.
    #[error(
        "{path} holds another key: move it away first, for what it opened stays closed without it"
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that cannot be used.
    #[error("{}", .path.as_ref().map_or_else(|| problem.to_string(), |path| format!("{}: {problem}", path.display())))]
    Certificate {
        /// The file, when it came from one.
        path: Option<PathBuf>,
        /// What is wrong.
        #[source]
        problem: CertificateProblem,
    },
    /// Drawing a key or signing failed.
    #[error("a key could not be made or used ({what}): check that the system gives randomness")]
    Crypto {
        /// What was said.
        what: String,
    },
    /// The disk refused.
    #[error(
        "cannot read or write {path}: check that the folder exists, its permissions and free space"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl IdentityError {
    fn at(self, file: &Path) -> Self {
        match self {
            IdentityError::Certificate { problem, .. } => {
                IdentityError::Certificate { path: Some(file.to_owned()), problem }
            }
            other => other,
        }
    }
}

impl From<CertificateProblem> for IdentityError {
    fn from(problem: CertificateProblem) -> Self {
        IdentityError::Certificate { path: None, problem }
    }
}

impl From<rcgen::Error> for IdentityError {
    fn from(error: rcgen::Error) -> Self {
        IdentityError::Crypto { what: error.to_string() }
    }
}

fn parse_key(path: &Path, text: &[u8]) -> Result<KeyPair, IdentityError> {
    let wanted = "an ed25519 key in PEM (PKCS #8)";
    let syntax = || IdentityError::Syntax { path: path.to_owned(), wanted };
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(PrivateKeyDer::Pkcs8(key)) => {
            KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519).map_err(|_| syntax())
        }
        _ => Err(syntax()),
    }
}

fn parse_chain(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let wanted = "a certificate in PEM";
    let syntax = || IdentityError::Syntax { path: path.to_owned(), wanted };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|_| syntax())?;
    if chain.is_empty() { Err(syntax()) } else { Ok(chain) }
}

fn pem_of(certificate: &CertificateDer<'static>) -> String {
    certificate::pem("CERTIFICATE", certificate)
}

#[cfg(test)]
mod tests;
