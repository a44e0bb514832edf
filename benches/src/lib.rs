//! What Tidelog's benchmarks and its peers' have in common: the workload, the queries asked of it,
//! and the line of JSON a figure is reported in.
//!
//! This crate depends on no engine, so that the peers build without Tidelog.

pub mod evict;
pub mod figure;
pub mod memory;
pub mod process;
pub mod query;
pub mod workload;
