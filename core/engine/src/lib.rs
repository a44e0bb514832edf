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
mod pieces;
mod pyramid;
mod query;
mod retention;
mod rollup;
mod rows;
mod scan;
mod store;
mod upkeep;
mod wal;

pub use error::{
    ApplyError, EditProblem, Kind, ManifestProblem, OpenError, RollupError, UpkeepError, WriteError,
};
pub use group::ReadError;
pub use options::{Durability, Options, Upkeep};
pub use query::{
    Aggregate, Answer, AnswerField, Canceller, Comparison, Downsample, Downsampled, Every, Explain,
    Fill, GroupBy, Order, Points, Predicate, Query, QueryError, RowBatch, Unit, WindowError,
};
pub use retention::{Retention, RetentionError};
pub use store::{
    Applied, Aside, BackupError, BackupReport, CheckReport, Closed, CollectionStats, CompareError,
    CompareReport, Content, ContentRow, Delete, Difference, DigestRow, Finding, GroupInfo,
    Incoming, Installed, Lent, OpenReport, Partial, ROLLUPS_BYTES_MAX, Receipt, RecoverError,
    RecoverReport, RowPacker, SNAPSHOT_FILE_BYTES_MAX, SNAPSHOT_FILES_MAX, SealReport,
    SettledClaim, SettledClaims, SettledNodes, SettledTaken, SnapshotError, SnapshotFile,
    StateApplied, StatePart, Stats, Store, Taken, Ticket, TierStats, adopt, adopt_on, recover,
    recover_on, state_root,
};
/// Reads a delete as [`TailRecord::tombstone_bytes`] gives it.
///
/// # Errors
/// [`ApplyError::Malformed`] when the bytes are none.
pub fn read_tombstone(bytes: &[u8]) -> Result<Tombstone, ApplyError> {
    manifest::decode_tombstone(bytes)
        .map_err(|error| ApplyError::Malformed { what: error.to_string() })
}

pub use upkeep::{DropGroupError, FrozenGroup};
pub use wal::{Tail, TailArchive, TailError, TailRecord};

pub use tidelog_model::{
    self as model, Batch, BatchError, Bitmap, CollectionName, Column, Device, DeviceIndex,
    DeviceSelector, Digest, FieldIndex, FieldType, GroupEpoch, GroupId, Horizon, Incarnation,
    LeafWidth, Level, Name, NameError, Position, Stamp, StoreId, SubBatch, SubBatchField,
    TimeRange, Timestamp, Tombstone, Value, ValueRef, Values, VarBytes, Version,
};
