//! Errors: one type per operation, with a stable kind for programs, and texts for people.

use crate::group::ReadError;
use crate::manifest::{AppendError as EditError, ManifestError};
use std::io;
use tidelog_model::{CollectionName, FieldType, TimeRange};

/// What a program can do about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// Try again later: space, descriptors or a lock were short.
    Retry,
    /// The call asks for something that cannot be: change it.
    FixCall,
    /// Close the store and open it again.
    Reopen,
    /// Data is damaged: restore or recover.
    Restore,
    /// The files are from a later version.
    Upgrade,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another handle in this one, has it open for writing; or a process that had died, and a
    /// child that it forked lives on.
    #[error("{place} is open for writing elsewhere: close it there, or open it read-only")]
    Locked {
        /// The store.
        place: String,
    },
    /// There is no store and none was to be created.
    #[error("{place} is not a store: check the path, or let it be created")]
    Missing {
        /// Where one was looked for.
        place: String,
    },
    /// The store has another number of groups than asked for.
    #[error("{place} has {found} groups, not {asked}: the number is fixed when a store is created")]
    Groups {
        /// The store.
        place: String,
        /// How many it has.
        found: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// A bound on bytes would lose data that only this store holds.
    #[error(
        "{place} is the only holder of its data, and a bound on its bytes would lose the oldest of it: open it as a ring if that is wanted, or without the bound"
    )]
    OnlyHolder {
        /// The store.
        place: String,
    },
    /// Recovery found damage and the opening is strict.
    #[error(
        "{place} is damaged ({what}): open it without `strict` to go on without what is lost, or restore it"
    )]
    Damaged {
        /// The store.
        place: String,
        /// What was found.
        what: String,
    },
    /// The manifest is damaged or from a later version.
    #[error("{0}")]
    Manifest(ManifestProblem),
    /// Files of the store were written by a later version.
    #[error(transparent)]
    TooNew(ReadError),
    /// A stamp could not be made durable ahead, or another edit failed while opening.
    #[error("{0}")]
    Edit(EditProblem),
    /// Memory could not be flushed while opening.
    #[error("{place} could not be made ready ({what})")]
    Ready {
        /// The store.
        place: String,
        /// What failed.
        what: String,
    },
    /// The store's own threads could not be started, and without them memory would never be flushed.
    #[error(
        "cannot start the threads of {place}: raise the limit on threads or free memory and try again, or open it with `Upkeep::Caller`, which needs none"
    )]
    Threads {
        /// The store.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk refused.
    #[error("cannot open {place}: check that it exists, its permissions and free space")]
    Io {
        /// The store.
        place: String,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// What a program can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            OpenError::Locked { .. } | OpenError::Io { .. } | OpenError::Edit(_) => Kind::Retry,
            OpenError::Ready { .. } | OpenError::Threads { .. } => Kind::Retry,
            OpenError::Missing { .. } | OpenError::Groups { .. } | OpenError::OnlyHolder { .. } => {
                Kind::FixCall
            }
            OpenError::Damaged { .. } => Kind::Restore,
            OpenError::TooNew(_) => Kind::Upgrade,
            OpenError::Manifest(problem) => match problem.0 {
                ManifestError::TooNew { .. } => Kind::Upgrade,
                ManifestError::Io { .. } => Kind::Retry,
                _ => Kind::Restore,
            },
        }
    }
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ManifestProblem(#[from] pub(crate) ManifestError);

/// Why an edit of the manifest was not made.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EditProblem(#[from] pub(crate) EditError);

impl EditProblem {
    /// May the edit be there when the manifest is read again?
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.0, EditError::Unknown { .. })
    }

    fn kind(&self) -> Kind {
        match self.0 {
            EditError::Unknown { .. } | EditError::Poisoned { .. } | EditError::Closed { .. } => {
                Kind::Reopen
            }
            EditError::NotWritten { .. } => Kind::Retry,
            // Made again, the same edit is refused again.
            EditError::ReadOnly { .. }
            | EditError::Invalid { .. }
            | EditError::TooLarge { .. }
            | EditError::Exhausted { .. } => Kind::FixCall,
        }
    }
}

/// Why a write was not acknowledged.
///
/// Unless it says so, nothing of the batch was written and nothing of it is visible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The store is open for reading only.
    #[error("the store is open for reading only: open it for writing")]
    ReadOnly,
    /// The store was closed.
    #[error("the store was closed: open it again")]
    Closed,
    /// A field is written with another type than it has.
    #[error(
        "field {field:?} of {collection} is {known}, not {given}: write {known}, or use another field name"
    )]
    TypeConflict {
        /// The collection.
        collection: CollectionName,
        /// The field.
        field: String,
        /// The type it has.
        known: FieldType,
        /// The type that was given.
        given: FieldType,
    },
    /// Rows are older than what retention keeps of rows.
    #[error(
        "{rows} rows of {collection} are before {cut}, where its raw rows were cut off: drop them, or lengthen the retention before the data is this old"
    )]
    BelowCut {
        /// The collection.
        collection: CollectionName,
        /// How many rows.
        rows: usize,
        /// The first nanosecond that is kept.
        cut: i64,
    },
    /// A delete covers a part of a window whose rows were cut off, and of which only a rollup is left.
    #[error(
        "the delete covers parts of windows of {collection} of which only rollups are left: delete from {} to {} ns, both included, or begin after the cut",
        .accepted.first(), .accepted.last()
    )]
    DeleteBelowCut {
        /// The collection.
        collection: CollectionName,
        /// The narrowest range around it that would be accepted.
        accepted: TimeRange,
    },
    /// A collection would have too many fields.
    #[error(
        "{collection} would have more than {max} fields: use labels or devices instead of field names"
    )]
    TooManyFields {
        /// The collection.
        collection: CollectionName,
        /// The limit.
        max: usize,
    },
    /// The batch alone is larger than the memory budget.
    #[error(
        "the batch takes {bytes} bytes of memory and all rows in memory may take {budget}: write it in several batches, or open the store with a larger memory budget"
    )]
    TooLarge {
        /// What its rows would take.
        bytes: usize,
        /// The budget.
        budget: usize,
    },
    /// The disk refused; a later try may succeed.
    #[error("the log could not be written: free space or check the disk, then try again")]
    Io(#[source] io::Error),
    /// Memory is full because it could not be flushed; a later try may succeed.
    #[error(
        "memory is full and could not be flushed ({what}): free space or check the disk, then try again"
    )]
    Full {
        /// Why the flush failed.
        what: String,
    },
    /// An fsync failed. Whether the batch survives is unknown; nothing is acknowledged any more.
    #[error(
        "an fsync failed, so nothing more is acknowledged: close the store and open it again, then look whether the last rows are there"
    )]
    Poisoned,
    /// The manifest could not be written.
    #[error(transparent)]
    Edit(#[from] EditProblem),
}

impl WriteError {
    /// What a program can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            WriteError::Io(_) | WriteError::Full { .. } => Kind::Retry,
            WriteError::Edit(problem) => problem.kind(),
            WriteError::Poisoned | WriteError::Closed => Kind::Reopen,
            _ => Kind::FixCall,
        }
    }
}

/// Why what another store sent was not applied. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The bytes are none that a store sends.
    #[error("what the peer sent is damaged or forged ({what}): it was refused, look at the peer")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// The peer spreads devices over another number of groups.
    #[error("the peer has {found} groups and this store {own}: replicas are created with as many")]
    Groups {
        /// How many the peer has.
        found: u32,
        /// How many this store has.
        own: u32,
    },
    /// The peer may not send this.
    #[error(
        "the peer has no right to send {database} in group {group}: give it the right, or look at the peer"
    )]
    Forbidden {
        /// The database.
        database: String,
        /// The group.
        group: u32,
    },
    /// Stamps are further ahead of this store's wall clock than is allowed.
    #[error(
        "the peer's stamps are {by_millis} ms ahead of the clock here, and {bound_millis} are allowed: set the clock that is wrong"
    )]
    ClockAhead {
        /// By how much.
        by_millis: u64,
        /// How much is allowed.
        bound_millis: u64,
    },
    /// It could not be written, as any write.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ApplyError {
    /// What a program can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            ApplyError::ClockAhead { .. } => Kind::Retry,
            ApplyError::Malformed { .. }
            | ApplyError::Groups { .. }
            | ApplyError::Forbidden { .. } => Kind::FixCall,
            ApplyError::Write(error) => error.kind(),
        }
    }
}

/// Why rollups of another store were not taken. Nothing was taken then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollupError {
    /// The bytes are none that a store sends.
    #[error("what the peer sent is damaged or forged ({what}): it was refused, look at the peer")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// They do not fit what is known of the collection here: schemas travel before rollups.
    #[error("the rollups do not fit {collection} here ({what}): compare with the peer first")]
    Schema {
        /// The collection.
        collection: CollectionName,
        /// What does not fit.
        what: &'static str,
    },
    /// More at once than is held in memory.
    #[error("{bytes} bytes of rollups at once are more than {max}: send fewer")]
    TooMany {
        /// How many came.
        bytes: usize,
        /// How many may.
        max: usize,
    },
    /// Stamps are further ahead of this store's wall clock than is allowed.
    #[error(
        "the peer's stamps are {by_millis} ms ahead of the clock here, and {bound_millis} are allowed: set the clock that is wrong"
    )]
    ClockAhead {
        /// By how much.
        by_millis: u64,
        /// How much is allowed.
        bound_millis: u64,
    },
    /// They could not be written.
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
}

impl RollupError {
    /// What a program can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            RollupError::ClockAhead { .. } => Kind::Retry,
            RollupError::Malformed { .. }
            | RollupError::Schema { .. }
            | RollupError::TooMany { .. } => Kind::FixCall,
            RollupError::Upkeep(error) => error.kind(),
        }
    }
}

/// Why flush, compaction or another piece of upkeep did not happen. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpkeepError {
    /// The store is open for reading only.
    #[error("the store is open for reading only: open it for writing")]
    ReadOnly,
    /// The store was closed.
    #[error("the store was closed: open it again")]
    Closed,
    /// The operation was cancelled.
    #[error("cancelled; what was done so far is kept")]
    Cancelled,
    /// A file to be merged cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk refused.
    #[error("cannot write files: free space or check the disk, then try again")]
    Io(#[from] io::Error),
    /// The manifest could not be written.
    #[error(transparent)]
    Edit(#[from] EditProblem),
    /// An fsync failed earlier.
    #[error("an fsync failed earlier: close the store and open it again")]
    Poisoned,
    /// A name was refused.
    #[error(transparent)]
    Name(#[from] tidelog_model::NameError),
    /// There is no such collection.
    #[error("there is no collection {name}")]
    NoCollection {
        /// Its name.
        name: CollectionName,
    },
}

impl UpkeepError {
    /// What a program can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            UpkeepError::Cancelled | UpkeepError::Io(_) => Kind::Retry,
            UpkeepError::Read(ReadError::Io { .. }) => Kind::Retry,
            UpkeepError::Read(ReadError::TooNew { .. }) => Kind::Upgrade,
            UpkeepError::Read(_) => Kind::Restore,
            UpkeepError::Edit(problem) => problem.kind(),
            UpkeepError::Closed | UpkeepError::Poisoned => Kind::Reopen,
            UpkeepError::ReadOnly | UpkeepError::Name(_) | UpkeepError::NoCollection { .. } => {
                Kind::FixCall
            }
        }
    }
}

impl From<EditError> for UpkeepError {
    fn from(error: EditError) -> Self {
        UpkeepError::Edit(EditProblem(error))
    }
}
