//! `tidelog cert`: a key and a certificate for a store.

use super::super::{print, print_json};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tidelog::replication::identity::{AUTHORITY_KEY_FILE, Authority, Identity};

/// Make a key and a certificate for a store, by which its peers know it; prints the fingerprint to give them.
///
/// Writes node.key, which nobody else may read, and node.crt. The store is created if there is none.
#[derive(Args, Debug)]
pub(crate) struct Cert {
    /// The store's directory.
    store: PathBuf,
    /// The folder for node.key and node.crt.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many days the certificate is valid.
    #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Make a new certificate for the key that is there, in place of the old one.
    #[arg(long)]
    renew: bool,
    /// Let this authority vouch for it: a folder with its key, made if it does not exist.
    #[arg(long, value_name = "DIR")]
    authority: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Cert {
    pub(crate) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let now = SystemTime::now();
        let lifetime = Duration::from_secs(u64::from(self.days) * 24 * 3600);
        let identity = if self.renew {
            Identity::load(&self.out)?.renewed(now, lifetime)?
        } else {
            let store = opener.write(&self.store, true)?;
            let identity = Identity::generate(store.store_id(), now, lifetime)?;
            store.close()?;
            identity
        };
        let identity = match &self.authority {
            None => identity,
            Some(folder) => {
                let authority = if folder.join(AUTHORITY_KEY_FILE).exists() {
                    Authority::load(folder)?
                } else {
                    let authority = Authority::generate("tidelog", now, lifetime)?;
                    authority.save(folder)?;
                    authority
                };
                authority.vouch(&identity, now, lifetime)?
            }
        };
        identity.save(&self.out)?;
        let (store, fingerprint) = (identity.store(), identity.fingerprint());
        if self.json {
            let folder = self.out.display().to_string();
            print_json(&json!({
                "store": store.to_string(),
                "fingerprint": fingerprint.to_string(),
                "folder": folder,
            }))?;
        } else {
            print(&format!("store        {store}\nfingerprint  {fingerprint}\n"))?;
        }
        Ok(Outcome::Done)
    }
}
