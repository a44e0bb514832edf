//! Keys and certificates of stores, in their folders.

use crate::fault::Fault;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tidelog_engine::Store;
use tidelog_replica::identity::{Fingerprint, Identity};

/// Makes an identity; its fingerprint.
pub fn identity_create(store: &Store, folder: &Path, days: u32) -> Result<String, Fault> {
    let lifetime = Duration::from_secs(u64::from(days) * 24 * 3600);
    let identity = Identity::generate(store.store_id(), SystemTime::now(), lifetime)?;
    identity.save(folder)?;
    Ok(identity.fingerprint().to_string())
}

pub(crate) fn identity_fingerprint(folder: &Path) -> Result<String, Fault> {
    Ok(Identity::load(folder)?.fingerprint().to_string())
}

/// The identity of a store, from its folder.
pub(super) fn identity_of(store: &Store, folder: &Path) -> Result<Identity, Fault> {
    let identity = Identity::load(folder)?;
    if identity.store() == store.store_id() {
        return Ok(identity);
    }
    Err(Fault::argument(format!(
        "{} holds the identity of store {}, and this is store {}: make one with tidelog_identity_create",
        folder.display(),
        identity.store(),
        store.store_id()
    )))
}

pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, Fault> {
    let read = text.parse::<Fingerprint>();
    read.map_err(|error| Fault::argument(format!("{text:?} is no fingerprint: {error}")))
}
