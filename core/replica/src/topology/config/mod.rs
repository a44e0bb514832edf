//! The configuration file: this store, its peers, and how it keeps in step with them.
//!
//! ```toml
//! [node]
//! listen = "0.0.0.0:7447"
//! store = "/var/lib/plant"
//! identity = "/etc/tidelog"        # node.key and node.crt
//! epoch = 2                        # raised in all files when a store joins or leaves, or a group moves
//!
//! [[peer]]
//! name = "b"
//! address = "10.0.0.2:7447"        # host names too
//! fingerprint = "tl1-…"            # or two while rotating
//! groups = "all"                   # or [0, 1, 2]
//! rights = ["replicate", "snapshot", "repair"]
//! databases = ["plant"]
//! labels = { zone = "b", rack = "7" }
//! cost = "metered"                 # for policies; free unless given
//!
//! [sync]
//! interval = "1h"
//! scrub = "7d"                     # look for damage in files, and heal it from peers
//! window = "30d"                   # compare the last 30 days only; "all" unless given
//! groups_at_once = 5
//! batch_rows = 1000                # a message of the log: so many rows or so many bytes
//! batch_bytes = 1048576
//! congestion = "bbr"               # for paths that lose packets or are long
//!
//! [policy]                         # decides about repairs; everything is repaired at once unless given
//! use = "metered"                  # or newest-first, prefer-peer, complete, or a component: "uplink.wasm"
//! raw_hours = "22:00-06:00"        # metered: rows cross metered links in these hours of the UTC day
//! bytes_per_day = 5000000          # over links with peers whose cost is "metered"
//! max_deferral = "7d"              # what differs for so long is repaired whatever the policy says
//! ```
//!
//! A key that is unknown is refused by its name: one that is misspelt would silently do nothing.

mod epochs;
mod policy;
mod sync;

pub use policy::{PolicyChoice, PolicySection};

use super::values;
use super::{NodeInfo, Right, Rights, Selection};
use crate::Congestion;
use crate::identity::Fingerprint;
use crate::trust::{PeerPin, PinError, Pins};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidelog_model::policy::Cost;
use tidelog_model::{GroupEpoch, GroupId, StoreId};

/// A configuration that was checked.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// This store.
    pub node: NodeConfig,
    /// The stores that it knows.
    #[serde(default, rename = "peer")]
    pub peers: Vec<PeerConfig>,
    /// How it keeps in step.
    #[serde(default)]
    pub sync: SyncConfig,
    /// What decides about repairs; everything is repaired at once unless given.
    #[serde(default)]
    pub policy: Option<PolicySection>,
}

/// `[node]`: this store. Changes take effect when it starts again.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeConfig {
    /// What it is called here. `self` unless given.
    #[serde(default = "self_name", deserialize_with = "values::name")]
    pub name: String,
    /// Where it listens. `0.0.0.0:7447` unless given.
    #[serde(default = "listen", deserialize_with = "values::text")]
    pub listen: SocketAddr,
    /// The directory of the store. A relative path starts at the folder of the file.
    pub store: PathBuf,
    /// The folder of `node.key` and `node.crt`.
    pub identity: PathBuf,
    /// The certificate of an authority that has to vouch for every peer. None unless given.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// The groups that it holds. All unless given.
    #[serde(default = "all", deserialize_with = "values::groups")]
    pub groups: Selection<GroupId>,
    /// Free words, such as zone and rack.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The epoch of all groups: raise it in every file when a store joins or leaves, or a group moves. Nodes that go by an older one
    /// are not spoken with until theirs is raised, too. Takes effect at once. 0 unless given.
    #[serde(default, deserialize_with = "epochs::one")]
    pub epoch: GroupEpoch,
    /// The same of single groups, where it is another one: `{ 3 = 5 }`.
    #[serde(default, deserialize_with = "epochs::by_group")]
    pub epochs: BTreeMap<GroupId, GroupEpoch>,
}

/// `[[peer]]`: a store that this one knows.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PeerConfig {
    /// Its name, for people and reports.
    #[serde(deserialize_with = "values::name")]
    pub name: String,
    /// Where it listens, `host:port`.
    #[serde(deserialize_with = "values::address")]
    pub address: String,
    /// Its key, or two keys while rotating. May be left out when an authority vouches and `store` is given.
    #[serde(default, rename = "fingerprint", deserialize_with = "values::fingerprints")]
    pub fingerprints: Vec<Fingerprint>,
    /// Its store id, to fix which store its key stands for.
    #[serde(default, deserialize_with = "values::some_text")]
    pub store: Option<StoreId>,
    /// Free words, such as zone and rack.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What a link with it costs: `free` or `metered`. Free unless given.
    #[serde(default, deserialize_with = "values::text")]
    pub cost: Cost,
    /// The groups that it holds and has rights in. All unless given.
    #[serde(default = "all", deserialize_with = "values::groups")]
    pub groups: Selection<GroupId>,
    /// What it may do. Everything unless given.
    #[serde(default = "all_rights", deserialize_with = "values::rights")]
    pub rights: BTreeSet<Right>,
    /// The databases that it has rights in. All unless given.
    #[serde(default = "all", deserialize_with = "values::databases")]
    pub databases: Selection<String>,
}

/// `[sync]`: how this store keeps in step with its peers. Changes take effect when it starts again.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SyncConfig {
    /// Compare with peers again and again. On.
    pub anti_entropy: bool,
    /// How often. An hour.
    #[serde(deserialize_with = "values::at_least_a_second")]
    pub interval: Duration,
    /// How long after the start for the first time. 30 s.
    #[serde(deserialize_with = "values::text")]
    pub initial_delay: Duration,
    /// How long a start waits for its peers at most, before it says that it goes on without them. 5 min.
    #[serde(deserialize_with = "values::text")]
    pub startup_timeout: Duration,
    /// All files are verified so often, in the background, and damaged ones are healed from peers. 7 d; `0s`: only those in which
    /// a read meets damage.
    #[serde(deserialize_with = "values::text")]
    pub scrub: Duration,
    /// Comparisons at intervals cover rows of so long up to now: `all`, or a duration of an hour or more, from whole UTC days
    /// on. All. What shows that nothing of a peer's log is missing is compared whole, and what is asked for.
    #[serde(deserialize_with = "sync::window")]
    pub window: Option<Duration>,
    /// So many groups are compared row by row at once, the others after them. 5.
    #[serde(deserialize_with = "sync::groups_at_once")]
    pub groups_at_once: usize,
    /// A message of the log ends with the write that brings it to so many rows ... As many as there are.
    #[serde(deserialize_with = "sync::batch_rows")]
    pub batch_rows: usize,
    /// ... or to so many bytes, whichever comes first. 1 MiB.
    #[serde(deserialize_with = "sync::batch_bytes")]
    pub batch_bytes: usize,
    /// How much is sent at a time: `cubic`, or `bbr` for paths that lose packets or are long.
    #[serde(deserialize_with = "values::text")]
    pub congestion: Congestion,
}

impl Default for SyncConfig {
    fn default() -> Self {
        SyncConfig {
            anti_entropy: true,
            interval: Duration::from_secs(3600),
            initial_delay: Duration::from_secs(30),
            startup_timeout: Duration::from_secs(300),
            scrub: Duration::from_secs(7 * 86_400),
            window: None,
            groups_at_once: 5,
            batch_rows: usize::MAX,
            batch_bytes: 1 << 20,
            congestion: Congestion::default(),
        }
    }
}

impl Config {
    /// Reads a configuration out of its text. The path is for errors and for relative paths; nothing is read from disk.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with file, line and what to do.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Config = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            let what = error.message().to_owned();
            ConfigError::Invalid { path: path.to_owned(), line, what }
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let node = &mut config.node;
        for place in [&mut node.store, &mut node.identity].into_iter().chain(&mut node.authority) {
            *place = folder.join(&*place);
        }
        if let Some(policy) = &mut config.policy {
            policy.place(folder);
        }
        config.check().map_err(|(peer, what)| ConfigError::Invalid {
            path: path.to_owned(),
            line: peer.and_then(|name| line_of_peer(text, &name)),
            what,
        })?;
        Ok(config)
    }

    /// The keys of all peers.
    #[must_use]
    pub fn pins(&self) -> Pins {
        // It was checked when the configuration was read; one made by hand that is wrong trusts nobody.
        self.try_pins().unwrap_or_default()
    }

    /// The epoch of a group.
    #[must_use]
    pub fn epoch(&self, group: GroupId) -> GroupEpoch {
        self.node.epochs.get(&group).copied().unwrap_or(self.node.epoch)
    }

    /// All stores, this one included, in the order of their names.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let me = NodeInfo {
            name: self.node.name.as_str().into(),
            is_self: true,
            address: self.node.listen.to_string(),
            fingerprints: Vec::new(),
            store: None,
            labels: self.node.labels.clone(),
            cost: Cost::Free,
            groups: self.node.groups.clone(),
            rights: Rights::all(),
        };
        let mut nodes: Vec<_> = self.peers.iter().map(PeerConfig::node).chain([me]).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// What no single value shows. Says of which peer.
    fn check(&self) -> Result<(), (Option<String>, String)> {
        if let Some(peer) = self.peers.iter().find(|peer| peer.name == self.node.name) {
            let what = format!("peer {} is called as this store is: rename one of them", peer.name);
            return Err((Some(peer.name.clone()), what));
        }
        for peer in self.peers.iter().filter(|peer| peer.fingerprints.is_empty()) {
            if self.node.authority.is_none() {
                let name = &peer.name;
                let what = format!(
                    "peer {name} has no `fingerprint`, and no `authority` in [node] could vouch for it: list what `tidelog pair` prints there"
                );
                return Err((Some(name.clone()), what));
            }
        }
        self.check_policy().map_err(|what| (None, what))?;
        self.try_pins().map(|_| ()).map_err(|error| match &error {
            PinError::Twice { peer, .. }
            | PinError::TooManyKeys { peer, .. }
            | PinError::Unknowable { peer } => (Some(peer.to_string()), error.to_string()),
        })
    }

    fn check_policy(&self) -> Result<(), String> {
        let Some(policy) = &self.policy else { return Ok(()) };
        policy.check(|name| self.peers.iter().any(|peer| peer.name == name))
    }

    fn try_pins(&self) -> Result<Pins, PinError> {
        let pin = |peer: &PeerConfig| PeerPin {
            name: peer.name.as_str().into(),
            store: peer.store,
            fingerprints: peer.fingerprints.clone(),
        };
        Pins::new(self.peers.iter().map(pin).collect())
    }
}

impl PeerConfig {
    fn node(&self) -> NodeInfo {
        NodeInfo {
            name: self.name.as_str().into(),
            is_self: false,
            address: self.address.clone(),
            fingerprints: self.fingerprints.clone(),
            store: self.store,
            labels: self.labels.clone(),
            cost: self.cost,
            groups: self.groups.clone(),
            rights: Rights {
                rights: self.rights.clone(),
                groups: self.groups.clone(),
                databases: self.databases.clone(),
            },
        }
    }
}

/// Why a configuration is not used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: check that it exists and its permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: Arc<io::Error>,
    },
    /// No configuration is as large.
    #[error("{path} has more than {max} bytes: it is no configuration")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is read at most.
        max: u64,
    },
    /// What it says cannot be.
    #[error("{}{}: {what}", .path.display(), .line.map_or_else(String::new, |line| format!(":{line}")))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1, when it is known.
        line: Option<usize>,
        /// What is wrong and what to do.
        what: String,
    },
}

fn self_name() -> String {
    "self".to_owned()
}

fn listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7447))
}

fn all<T>() -> Selection<T> {
    Selection::All
}

fn all_rights() -> BTreeSet<Right> {
    Right::ALL.into()
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Where the last peer of this name is named.
fn line_of_peer(text: &str, name: &str) -> Option<usize> {
    let named = |line: &str| {
        let value = line.trim_start().strip_prefix("name")?.trim_start().strip_prefix('=')?;
        Some(value.trim_start().get(1..)?.starts_with(name))
    };
    let lines = text.lines().enumerate();
    lines.filter(|(_, line)| named(line) == Some(true)).last().map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests;
