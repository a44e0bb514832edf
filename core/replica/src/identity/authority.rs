//! A private authority: one key that vouches for the keys of a group of stores.
//!
//! Optional. Without it every store lists the fingerprints of its peers; with it a store may list a peer by store id
//! only, and takes any key that the authority vouches for.

use super::certificate::{SKEW, offset, parameters};
use super::files::{create_folder, read, write};
use super::{Identity, IdentityError, NodeCertificate, parse_chain, parse_key, pem_of};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tidelog_model::StoreId;

/// The file of the authority's key, readable by its owner only. It belongs on no store's machine.
pub const AUTHORITY_KEY_FILE: &str = "ca.key";
/// The file of its certificate, which every store has.
pub const AUTHORITY_FILE: &str = "ca.crt";

/// A key that vouches for stores.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// Draws a key for an authority of this name.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`] when the system gives no randomness.
    pub fn generate(
        name: &str,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut parameters = CertificateParams::default();
        parameters.not_before = offset(now.checked_sub(SKEW).unwrap_or(SystemTime::UNIX_EPOCH));
        parameters.not_after = offset(now.checked_add(lifetime).unwrap_or(now));
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = parameters.self_signed(&key)?.into();
        Ok(Authority { issuer: Issuer::new(parameters, key), certificate })
    }

    /// Draws a key for a store and vouches for it.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`] when drawing or signing fails.
    pub fn issue(
        &self,
        store: StoreId,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Identity, IdentityError> {
        self.vouch(&Identity::generate(store, now, lifetime)?, now, lifetime)
    }

    /// Vouches for the key of an identity that exists. The fingerprint stays.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`] when signing fails.
    pub fn vouch(
        &self,
        identity: &Identity,
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<Identity, IdentityError> {
        let parameters = parameters(identity.store(), now, lifetime)?;
        let certificate = parameters.signed_by(identity.key.as_ref(), &self.issuer)?;
        Identity::assemble(Arc::clone(&identity.key), vec![certificate.into()])
    }

    /// Its certificate, in DER: what stores trust.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Reads `ca.key` and `ca.crt` of a folder. Blocks on the disk.
    ///
    /// # Errors
    /// [`IdentityError`], with the file.
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let path = folder.join(AUTHORITY_KEY_FILE);
        let key = parse_key(&path, &read(&path, true)?)?;
        let certificate =
            CertificateDer::from(Self::load_certificate(&folder.join(AUTHORITY_FILE))?);
        let public = rcgen::PublicKeyData::subject_public_key_info(&key);
        if NodeCertificate::parse(&certificate)?.fingerprint()
            != super::Fingerprint::of_public_key(&public)
        {
            let certificate = folder.join(AUTHORITY_FILE);
            return Err(IdentityError::Mismatch { key: path, certificate });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Authority { issuer, certificate })
    }

    /// Writes `ca.key` (mode 0600) and `ca.crt` into a folder. Blocks on the disk and syncs.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] when a key is there, [`IdentityError::Io`] when the disk refuses.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        create_folder(folder)?;
        let key = self.issuer.key().serialize_pem();
        write(&folder.join(AUTHORITY_KEY_FILE), key.as_bytes(), 0o600, true)?;
        let certificate = pem_of(&self.certificate);
        write(&folder.join(AUTHORITY_FILE), certificate.as_bytes(), 0o644, false)
    }

    /// Reads an authority's certificate alone, in DER, as stores have it. Blocks on the disk.
    ///
    /// # Errors
    /// [`IdentityError`], with the file.
    pub fn load_certificate(path: &Path) -> Result<Vec<u8>, IdentityError> {
        let chain = parse_chain(path, &read(path, false)?)?;
        Ok(chain.first().map(|first| first.to_vec()).unwrap_or_default())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
