//! Snapshots: the files of rows of a store, carried to another one as they are and added to what is there.
//!
//! The source takes the files of one moment under a lease (`lease.rs`), the receiver writes what comes of one to a partial
//! file, piece by piece and verified (`partial.rs`), and installs the files of a group in one edit (`install.rs`). An
//! installed file is one more run: merged by the rule when read, as rows that were written here would be. Nothing that was
//! there before is touched.

mod install;
mod lease;
mod partial;

pub use install::Installed;
pub(crate) use lease::Leases;
pub use partial::Partial;
pub(super) use partial::{has_partials, take_back};

use crate::error::{ApplyError, EditProblem, Kind, UpkeepError, WriteError};
use crate::group::ReadError;
use std::io;
use tidelog_model::{Digest, GroupId};

/// A file of a snapshot. Two with equal digests are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SnapshotFile {
    /// Whose rows it holds.
    pub group: GroupId,
    /// Bytes.
    pub len: u64,
    /// BLAKE3 of all of them.
    pub digest: Digest,
}

/// No file of a snapshot is longer: the sums of one are in memory while it is received, 4 MiB of them.
pub const SNAPSHOT_FILE_BYTES_MAX: u64 = 128 << 30;
/// No snapshot has more files.
pub const SNAPSHOT_FILES_MAX: usize = 16_384;

/// Why a snapshot, or a part of one, could not be given or taken. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The lease is over, or was of other files.
    #[error("the files of the snapshot are not kept any more: ask for a new one")]
    Gone,
    /// Too many peers are being given snapshots.
    #[error("{0} peers are being given snapshots already: try again when one of them is done")]
    Busy(usize),
    /// What came is not what a store sends, or may not be taken now.
    #[error(transparent)]
    Refused(#[from] ApplyError),
    /// Memory could not be flushed, or the store takes no files.
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
    /// A file of this store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk refused.
    #[error(
        "cannot write the files of a snapshot to {place}: free space or check the disk, and it goes on from where it is"
    )]
    Disk {
        /// Where.
        place: String,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl SnapshotError {
    /// What a program can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            SnapshotError::Gone | SnapshotError::Busy(_) | SnapshotError::Disk { .. } => {
                Kind::Retry
            }
            SnapshotError::Refused(error) => error.kind(),
            SnapshotError::Upkeep(error) => error.kind(),
            SnapshotError::Read(_) => Kind::Restore,
        }
    }

    fn malformed(what: impl Into<String>) -> Self {
        SnapshotError::Refused(ApplyError::Malformed { what: what.into() })
    }

    fn write(error: WriteError) -> Self {
        SnapshotError::Refused(ApplyError::Write(error))
    }
}

impl From<EditProblem> for SnapshotError {
    fn from(error: EditProblem) -> Self {
        SnapshotError::write(error.into())
    }
}
