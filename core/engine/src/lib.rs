//! Tidelog's storage engine.

pub mod clock;
pub mod codec;
pub mod disk;
mod error;
mod files;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod ids;
mod log;
mod manifest;
mod memory;
mod nodes;
mod options;
mod pyramid;
mod query;
mod retention;
mod rollup;
mod rows;
mod scan;
mod store;
mod upkeep;
mod wal;

pub use error::{EditProblem, Kind, ManifestProblem, OpenError, UpkeepError, WriteError};
pub use group::ReadError;
pub use options::{Durability, Options, Upkeep};
pub use query::{
    Aggregate, Answer, AnswerField, Canceller, Comparison, Downsample, Downsampled, Every, Explain,
    Fill, GroupBy, Order, Points, Predicate, Query, QueryError, RowBatch, Unit, WindowError,
};
pub use retention::{Retention, RetentionError};
pub use store::{
    BackupError, BackupReport, CheckReport, CollectionStats, CompareError, CompareReport, Delete,
    Difference, DigestRow, Finding, GroupInfo, OpenReport, Receipt, RecoverError, RecoverReport,
    SealReport, Stats, Store, Ticket, TierStats, adopt, adopt_on, recover, recover_on,
};
pub use wal::{Tail, TailError, TailRecord};

pub use tidelog_model::{
    self as model, Batch, BatchError, Bitmap, CollectionName, Column, Device, DeviceIndex,
    DeviceSelector, Digest, FieldIndex, FieldType, GroupId, Incarnation, LeafWidth, Level, Name,
    NameError, Position, Stamp, StoreId, SubBatch, SubBatchField, TimeRange, Timestamp, Tombstone,
    Value, ValueRef, Values, VarBytes, Version,
};
