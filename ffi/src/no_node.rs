//! Nodes in a library without replication: all is there, and says so.

use crate::abi::{TIDELOG_KIND_FIX_CALL, TIDELOG_UNSUPPORTED};
use crate::block::Table;
use crate::fault::Fault;
use crate::policy::Given;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;
use tidelog_engine::Store;

pub use crate::node_words::{Heard, Settings, Visit};
pub(crate) use crate::node_words::{Part, Peer};

/// There is none, ever.
pub struct OpenNode(Infallible);

fn unsupported() -> Fault {
    let message =
        "this library was built without replication: install one with it (see tidelog_features)";
    Fault::new(TIDELOG_UNSUPPORTED, TIDELOG_KIND_FIX_CALL, message)
}

pub fn identity_create(_: &Store, _: &Path, _: u32) -> Result<String, Fault> {
    Err(unsupported())
}

pub(crate) fn identity_fingerprint(_: &Path) -> Result<String, Fault> {
    Err(unsupported())
}

pub fn start(_: &Store, _: &Path, _: Settings) -> Result<OpenNode, Fault> {
    Err(unsupported())
}

pub fn sync(_: &Store, _: &Visit) -> Result<Table, Fault> {
    Err(unsupported())
}

pub fn forget(_: &Store, _: &Path, _: &str) -> Result<[u8; 16], Fault> {
    Err(unsupported())
}

impl OpenNode {
    pub fn forget(&self, _: &str) -> Result<[u8; 16], Fault> {
        match self.0 {}
    }

    pub fn drop_group(&self, _: u32) -> Result<(u64, u64), Fault> {
        match self.0 {}
    }

    pub fn behind(&self) -> Result<Table, Fault> {
        match self.0 {}
    }

    pub fn stop(&self) {
        match self.0 {}
    }

    pub fn address(&self) -> Result<String, Fault> {
        match self.0 {}
    }

    pub fn ready(&self, _: Duration) -> Result<bool, Fault> {
        match self.0 {}
    }

    pub fn status(&self) -> Result<Table, Fault> {
        match self.0 {}
    }

    pub fn groups(&self) -> Result<Table, Fault> {
        match self.0 {}
    }

    pub fn repair(&self, _: Option<&str>, _: Option<Part>, _: Duration) -> Result<Table, Fault> {
        match self.0 {}
    }

    pub fn set_policy(&self, _: Option<Given>) -> Result<(), Fault> {
        match self.0 {}
    }

    pub fn listen(&self, _: impl FnMut(&Heard) -> bool + Send + 'static) -> Result<(), Fault> {
        match self.0 {}
    }
}
