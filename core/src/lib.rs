//! Tidelog: an embedded time-series engine.

pub use tidelog_engine::*;
