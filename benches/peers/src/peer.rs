//! What a peer must be able to do to be measured.

use std::error::Error;
use std::path::Path;

use tidelog_benches::query::{Answer, Query};
use tidelog_benches::workload::Batch;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// When a write is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Durability {
    /// After an fsync of every batch.
    Durable,
    /// In the engine's unsynced mode.
    Relaxed,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Durability::Durable => "durable",
            Durability::Relaxed => "relaxed",
        }
    }
}

/// What a store is laid out for. Only an engine with a choice of primary key tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Layout {
    /// Time first: a tick is written in one place.
    Ingest,
    /// Device first: a device is read from one place.
    Query,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Layout::Ingest => "ingest",
            Layout::Query => "query",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) layout: Layout,
}

/// An open store of an engine, holding W or about to.
pub(crate) trait Peer: Sized + Sync {
    const ENGINE: &'static str;
    /// Schema and settings, in a sentence or two.
    const SETTINGS: &'static str;
    type Writer<'a>: Writer + Send
    where
        Self: 'a;

    fn version() -> String;

    /// Opens a store, creating it in an empty directory.
    fn open(dir: &Path, settings: Settings) -> Result<Self>;

    fn writer(&self) -> Result<Self::Writer<'_>>;

    /// Makes every acknowledged row durable.
    fn flush(&self) -> Result<()>;

    /// Brings the store to the form it is read in, as far as the engine does that on request, and
    /// closes it.
    fn compact_and_close(self) -> Result<()>;

    fn answer(&self, query: &Query) -> Result<Answer>;

    /// Rows in the store, counted one by one.
    fn count(&self) -> Result<u64>;
}

pub(crate) trait Writer {
    /// Writes a batch as a whole, acknowledged as the store's durability says.
    fn write(&mut self, batch: Batch<'_>) -> Result<()>;
}

/// Milliseconds, the unit every peer stores, from ns.
pub(crate) fn millis(ns: i64) -> i64 {
    ns / 1_000_000
}
