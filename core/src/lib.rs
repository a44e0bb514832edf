//! Tidelog: an embedded time-series engine that keeps every acknowledged reading through any crash.
//!
//! This crate is what a program adds; it re-exports the engine ([`tidelog_engine`]) and, through it, the words
//! that both speak ([`model`]). Begin with [`Store::open`] or [`Options`], fill a [`Batch`],
//! [`Store::write`] it with a [`Durability`], and ask with a [`Query`]:
//!
//! ```
//! use tidelog::{Batch, CollectionName, Durability, Query, Store};
//! # let directory = std::env::temp_dir().join("tidelog-crate-example");
//! let store = Store::open(&directory)?;
//! let mut batch = Batch::new("plant.boiler")?;
//! batch.push("pump_1", 1_700_000_000_000_000_000, [("pressure", 4.2)])?;
//! store.write(&batch, Durability::Sync)?;
//! let rows = store.query(&CollectionName::parse("plant.boiler")?, Query::new())?.collect_rows()?;
//! assert_eq!(rows.rows(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything blocks the thread that calls it and nothing else; no runtime is needed, and none is pulled in.
//! Times are nanoseconds since 1970 in UTC, ranges are half-open. Errors are one type per operation, each with a
//! [`Kind`] that says what a program can do. Events go to `tracing`; who listens is up to the program.
//!
//! It is not a server, speaks no SQL, and knows no transaction larger than a batch.

pub use tidelog_engine::*;

/// Replicas: a store joins others over QUIC with mutual TLS ([`replication::Node`]). Needs the feature `replication`, and a
/// tokio runtime.
#[cfg(feature = "replication")]
pub mod replication {
    pub use tidelog_replica::*;
}

/// The example of the README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
