//! What a node is given and what it tells, in a library with replication and in one without.

use crate::policy::Given;
use std::path::PathBuf;
use std::time::Duration;
use tidelog_engine::{CollectionName, TimeRange};

/// How a store joins its peers.
pub struct Settings {
    pub config: Option<PathBuf>,
    pub listen: Option<String>,
    pub identity: Option<PathBuf>,
    pub authority: Option<PathBuf>,
    pub peers: Vec<Peer>,
    pub interval: Option<Duration>,
    pub initial_delay: Option<Duration>,
    pub policy: Option<Given>,
}

/// One of the peers.
pub struct Peer {
    pub name: String,
    pub address: String,
    pub fingerprint: String,
}

/// Which node, and who this is.
pub struct Visit {
    pub peer: String,
    pub fingerprint: String,
    pub identity: PathBuf,
    pub limit: Duration,
}

/// A part of what replicas share.
pub struct Part {
    pub collection: CollectionName,
    pub range: TimeRange,
}

/// Something that happened, as the host is told.
#[derive(Default)]
pub struct Heard {
    pub kind: u32,
    pub peer: Option<String>,
    pub outcome: Option<&'static str>,
    pub why: Option<String>,
    pub session: u64,
    pub leaves: u64,
    pub rows_sent: u64,
    pub rows_taken: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub bytes_total: u64,
    pub elapsed_ms: u64,
    pub lost: u64,
    pub file: Option<String>,
    /// Groups with their epochs.
    pub groups: Vec<(u32, u64)>,
    /// Of a round of a policy: whose, and what comes of it.
    pub policy: Option<String>,
    pub windows: u32,
    pub repaired: u32,
    pub rollups: u32,
    pub overdue: u32,
}
