//! Nodes in a library without replication: all is there, and says so.

use crate::abi::{Callback, TIDELOG_KIND_FIX_CALL, TIDELOG_UNSUPPORTED, tidelog_event_fn};
use crate::block::Table;
use crate::fault::Fault;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidelog_engine::{CollectionName, Store, TimeRange};

#[expect(dead_code, reason = "read by nobody in this library")]
pub(crate) struct Settings {
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) identity: Option<PathBuf>,
    pub(crate) authority: Option<PathBuf>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) interval: Option<Duration>,
    pub(crate) initial_delay: Option<Duration>,
}

#[expect(dead_code, reason = "read by nobody in this library")]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) fingerprint: String,
}

#[expect(dead_code, reason = "read by nobody in this library")]
pub(crate) struct Visit {
    pub(crate) peer: String,
    pub(crate) fingerprint: String,
    pub(crate) identity: PathBuf,
    pub(crate) limit: Duration,
}

#[expect(dead_code, reason = "read by nobody in this library")]
pub(crate) struct Part {
    pub(crate) collection: CollectionName,
    pub(crate) range: TimeRange,
}

pub(crate) struct Heard {
    pub(crate) kind: u32,
    pub(crate) peer: Option<String>,
    pub(crate) outcome: Option<&'static str>,
    pub(crate) why: Option<String>,
    pub(crate) session: u64,
    pub(crate) leaves: u64,
    pub(crate) rows_sent: u64,
    pub(crate) rows_taken: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_total: u64,
    pub(crate) elapsed_ms: u64,
    pub(crate) lost: u64,
}

/// There is none, ever.
pub(crate) struct OpenNode(Infallible);

fn unsupported() -> Fault {
    let message =
        "this library was built without replication: install one with it (see tidelog_features)";
    Fault::new(TIDELOG_UNSUPPORTED, TIDELOG_KIND_FIX_CALL, message)
}

pub(crate) fn identity_create(_: &Store, _: &Path, _: u32) -> Result<String, Fault> {
    Err(unsupported())
}

pub(crate) fn identity_fingerprint(_: &Path) -> Result<String, Fault> {
    Err(unsupported())
}

pub(crate) fn start(_: &Store, _: &Path, _: Settings) -> Result<OpenNode, Fault> {
    Err(unsupported())
}

pub(crate) fn sync(_: &Store, _: &Visit) -> Result<Table, Fault> {
    Err(unsupported())
}

impl OpenNode {
    pub(crate) fn stop(&self) {
        match self.0 {}
    }

    pub(crate) fn address(&self) -> Result<String, Fault> {
        match self.0 {}
    }

    pub(crate) fn ready(&self, _: Duration) -> Result<bool, Fault> {
        match self.0 {}
    }

    pub(crate) fn status(&self) -> Result<Table, Fault> {
        match self.0 {}
    }

    pub(crate) fn groups(&self) -> Result<Table, Fault> {
        match self.0 {}
    }

    pub(crate) fn repair(
        &self,
        _: Option<&str>,
        _: Option<Part>,
        _: Duration,
    ) -> Result<Table, Fault> {
        match self.0 {}
    }

    pub(crate) fn listen(&self, _: Callback<tidelog_event_fn>) -> Result<(), Fault> {
        match self.0 {}
    }
}
