//! Certificates: how ours are made, and what is read from those of peers.
//!
//! Reading comes in two steps on purpose. [`NodeCertificate::parse`] finds the key with webpki's strict reader and is
//! all that a stranger's bytes meet; the rest is read only from a certificate whose key is trusted.

use super::Fingerprint;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use tidelog_model::StoreId;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The URI that names a store in a certificate, before 32 hexadecimal digits.
const STORE_URI: &str = "tidelog://store/";
/// How much older than now a new certificate is: clocks differ.
pub(super) const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate whose key is known and whose words are not read yet.
#[derive(Clone, Debug)]
pub struct NodeCertificate<'a> {
    der: &'a CertificateDer<'a>,
    fingerprint: Fingerprint,
}

impl<'a> NodeCertificate<'a> {
    /// Finds the key. Any bytes give a result.
    ///
    /// # Errors
    /// [`CertificateProblem::Unreadable`] when it is no X.509 v3 certificate.
    pub fn parse(der: &'a CertificateDer<'a>) -> Result<Self, CertificateProblem> {
        let entity =
            webpki::EndEntityCert::try_from(der).map_err(|_| CertificateProblem::Unreadable)?;
        let fingerprint = Fingerprint::of_public_key(&entity.subject_public_key_info());
        Ok(NodeCertificate { der, fingerprint })
    }

    /// The fingerprint of its key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Reads the store and the validity.
    ///
    /// # Errors
    /// [`CertificateProblem`] when it names no store, or several.
    pub fn store(&self) -> Result<StoreCertificate, CertificateProblem> {
        let (_, certificate) =
            X509Certificate::from_der(self.der).map_err(|_| CertificateProblem::Unreadable)?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| CertificateProblem::Unreadable)?
            .map_or(&[][..], |names| names.value.general_names.as_slice());
        let mut stores = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(STORE_URI),
            _ => None,
        });
        let (Some(store), None) = (stores.next(), stores.next()) else {
            return Err(CertificateProblem::NoStore);
        };
        let store = StoreId::parse(store).ok_or(CertificateProblem::NoStore)?;
        let validity = certificate.validity();
        Ok(StoreCertificate {
            fingerprint: self.fingerprint,
            store,
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
        })
    }
}

/// What a certificate says of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoreCertificate {
    /// Of its key.
    pub fingerprint: Fingerprint,
    /// The store that it names.
    pub store: StoreId,
    /// From when it is valid, inclusive.
    pub not_before: SystemTime,
    /// Until when it is valid, inclusive.
    pub not_after: SystemTime,
}

impl StoreCertificate {
    /// Is it valid at this time?
    ///
    /// # Errors
    /// [`CertificateProblem::Expired`] or [`CertificateProblem::NotYetValid`].
    pub fn check(&self, now: SystemTime) -> Result<(), CertificateProblem> {
        if now < self.not_before {
            return Err(CertificateProblem::NotYetValid { from: date(self.not_before) });
        }
        if now > self.not_after {
            return Err(CertificateProblem::Expired { since: date(self.not_after) });
        }
        Ok(())
    }
}

/// Why a certificate cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It is no certificate, or one that no peer of ours makes.
    #[error(
        "the certificate cannot be read: create it with `tidelog pair`, or with the authority of this group of stores"
    )]
    Unreadable,
    /// It names no store, or several.
    #[error(
        "the certificate does not name exactly one store (URI `tidelog://store/` and 32 hexadecimal digits): create it again"
    )]
    NoStore,
    /// It is over.
    #[error(
        "the certificate expired on {since}: renew it, which keeps its fingerprint, or check this machine's clock"
    )]
    Expired {
        /// The day, UTC.
        since: String,
    },
    /// It has not begun.
    #[error("the certificate is valid from {from} on: check the clocks of both machines")]
    NotYetValid {
        /// The day, UTC.
        from: String,
    },
}

/// What a certificate of a store is made from.
pub(super) fn parameters(
    store: StoreId,
    now: SystemTime,
    lifetime: Duration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    parameters.not_before = offset(now.checked_sub(SKEW).unwrap_or(SystemTime::UNIX_EPOCH));
    parameters.not_after = offset(now.checked_add(lifetime).unwrap_or(now));
    parameters.subject_alt_names = vec![SanType::URI(format!("{STORE_URI}{store}").try_into()?)];
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, format!("tidelog store {store}"));
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(parameters)
}

/// A day as people write it, UTC.
pub(crate) fn date(moment: SystemTime) -> String {
    let date = offset(moment).date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// As X.509 keeps time; a moment that it cannot say becomes the nearest it can.
pub(super) fn offset(moment: SystemTime) -> OffsetDateTime {
    let seconds = match moment.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(_) => 0,
    };
    OffsetDateTime::from_unix_timestamp(seconds.min(LAST)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The last second of 9999, the last that X.509 can say.
const LAST: i64 = 253_402_300_799;

fn moment(seconds: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let moved = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    moved.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// As PEM, with the line ends of this platform's tools.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), lines)
}
