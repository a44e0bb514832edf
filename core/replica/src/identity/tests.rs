//! Identities on disk and in memory.

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const STORE: StoreId = StoreId([0xa7; 16]);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn identity() -> Identity {
    Identity::generate(STORE, now(), LIFETIME).unwrap()
}

#[test]
fn an_identity_comes_back_from_disk_with_a_key_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/identity");
    let identity = identity();
    identity.save(&place).unwrap();
    let mode = fs::metadata(place.join(KEY_FILE)).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o700);
    let loaded = Identity::load(&place).unwrap();
    assert_eq!(loaded.certificate(), identity.certificate());
    assert_eq!(loaded.store(), STORE);
    identity.save(&place).unwrap();
    assert!(!format!("{loaded:?}").contains("PRIVATE"));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    identity().save(folder.path()).unwrap();
    let key = folder.path().join(KEY_FILE);
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let error = Identity::load(folder.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Permissions { mode: m, .. } if m == mode));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn a_key_is_never_written_over_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let first = identity();
    first.save(folder.path()).unwrap();
    let error = identity().save(folder.path()).unwrap_err();
    assert!(matches!(error, IdentityError::Exists { .. }), "{error}");
    assert_eq!(Identity::load(folder.path()).unwrap().fingerprint(), first.fingerprint());
}

#[test]
fn what_is_missing_broken_or_no_pair_is_said_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let error = Identity::load(path).unwrap_err();
    assert!(matches!(&error, IdentityError::Missing { path } if path.ends_with(KEY_FILE)));
    identity().save(path).unwrap();
    let other = tempfile::tempdir().unwrap();
    identity().save(other.path()).unwrap();
    fs::copy(other.path().join(CERTIFICATE_FILE), path.join(CERTIFICATE_FILE)).unwrap();
    assert!(matches!(Identity::load(path), Err(IdentityError::Mismatch { .. })));
    fs::write(path.join(CERTIFICATE_FILE), "no certificate").unwrap();
    let error = Identity::load(path).unwrap_err();
    assert!(matches!(&error, IdentityError::Syntax { path, .. } if path.ends_with("node.crt")));
    fs::write(path.join(KEY_FILE), "no key").unwrap();
    let error = Identity::load(path).unwrap_err();
    assert!(matches!(&error, IdentityError::Syntax { path, .. } if path.ends_with("node.key")));
}

#[test]
fn validity_is_checked_to_the_second_and_renewal_keeps_the_fingerprint() {
    let short = Identity::generate(STORE, now(), Duration::from_secs(60)).unwrap();
    short.check(now()).unwrap();
    short.check(now() + Duration::from_secs(60)).unwrap();
    let late = now() + Duration::from_secs(61);
    assert!(matches!(short.check(late), Err(CertificateProblem::Expired { .. })));
    let early = now() - Duration::from_secs(24 * 3600 + 1);
    let error = short.check(early).unwrap_err();
    assert_eq!(error, CertificateProblem::NotYetValid { from: "2027-01-14".into() });
    let renewed = short.renewed(late, LIFETIME).unwrap();
    renewed.check(late).unwrap();
    assert_eq!(renewed.fingerprint(), short.fingerprint());
}

#[test]
fn an_authority_comes_back_from_disk_and_vouches_without_changing_the_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    Authority::generate("plant", now(), LIFETIME).unwrap().save(folder.path()).unwrap();
    let authority = Authority::load(folder.path()).unwrap();
    let own = identity();
    let vouched = authority.vouch(&own, now(), LIFETIME).unwrap();
    assert_eq!(vouched.fingerprint(), own.fingerprint());
    let place = tempfile::tempdir().unwrap();
    vouched.save(place.path()).unwrap();
    assert_eq!(Identity::load(place.path()).unwrap().certificate(), vouched.certificate());
}

#[test]
fn certificates_cut_or_flipped_anywhere_never_panic() {
    let der = identity().chain[0].clone();
    for cut in 0..der.len() {
        let part = CertificateDer::from(der[..cut].to_vec());
        assert_eq!(NodeCertificate::parse(&part).err(), Some(CertificateProblem::Unreadable));
    }
    for at in 0..der.len() {
        for bit in 0..8 {
            let mut flipped = der.to_vec();
            flipped[at] ^= 1 << bit;
            let flipped = CertificateDer::from(flipped);
            let _ = NodeCertificate::parse(&flipped).map(|c| c.store());
        }
    }
}

#[test]
fn pem_is_what_a_pem_reader_reads() {
    for len in 0..200_u8 {
        let der: Vec<u8> = (0..len).collect();
        let text = certificate::pem("CERTIFICATE", &der);
        let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
        assert_eq!(read.as_ref(), der);
    }
}
