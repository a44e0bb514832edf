//! Queries: memory and files read as one, in slices, merged, filtered, aggregated.

mod aggregate;
mod answer;
mod borrowed;
mod downsample;
mod explain;
mod filter;
mod in_state;
mod latest;
mod means;
mod nodes;
mod plan;
mod settled;
mod shape;
mod spec;
mod totals;
mod window;
#[cfg(test)]
mod window_golden;

pub use answer::{Answer, AnswerField, Canceller, RowBatch};
pub use downsample::{Downsample, Downsampled, Points};
pub use explain::Explain;
pub use plan::QueryError;
pub use spec::{Aggregate, Comparison, Every, Fill, GroupBy, Order, Predicate, Query, Unit};
pub use window::WindowError;

pub(crate) use downsample::downsample;
pub(crate) use latest::{LatestCache, latest};
pub(crate) use plan::{Caches, Context, run};
