//! Tidelog's replicas: the engine answers what the protocol asks, and messages travel between stores.

pub mod bridge;
