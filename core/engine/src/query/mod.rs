//! Queries: memory and files read as one, in slices, merged, filtered, aggregated.

mod aggregate;
mod answer;
mod filter;
mod latest;
mod plan;
mod scan;
mod spec;
mod window;

pub use answer::{Answer, AnswerField, RowBatch};
pub use spec::{Aggregate, Comparison, Every, Fill, GroupBy, Order, Predicate, Query, Unit};

pub(crate) use latest::{LatestCache, latest};
pub(crate) use plan::{Context, QueryError, Snapshot, run};
pub(crate) use scan::{Scan, Source};
