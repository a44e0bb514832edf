//! Queries: memory and files read as one, in slices, merged, filtered, aggregated.

mod aggregate;
mod answer;
mod filter;
mod latest;
mod plan;
mod scan;
mod spec;
mod window;

pub use answer::{Answer, AnswerField, Canceller, RowBatch};
pub use plan::QueryError;
pub use spec::{Aggregate, Comparison, Every, Fill, GroupBy, Order, Predicate, Query, Unit};
pub use window::WindowError;

pub(crate) use latest::{LatestCache, latest};
pub(crate) use plan::{Context, Snapshot, run};
pub(crate) use scan::{Scan, Source};
