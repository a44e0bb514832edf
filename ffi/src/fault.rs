//! An error on its way to the caller: a code, what a program can do about it, and a text.

use crate::abi::*;
use std::borrow::Cow;
use std::error::Error;
use tidelog_engine::{
    BackupError, BatchError, CompareError, Kind, NameError, OpenError, QueryError, ReadError,
    RecoverError, RetentionError, TailError, UpkeepError, WriteError,
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Fault {
    pub code: tidelog_status,
    pub kind: u32,
    pub message: Cow<'static, str>,
}

impl Fault {
    pub fn new(code: tidelog_status, kind: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Fault { code, kind, message: message.into() }
    }

    /// The call asks for something that cannot be.
    pub fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL, message)
    }

    pub fn handle(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(TIDELOG_INVALID_HANDLE, TIDELOG_KIND_FIX_CALL, message)
    }

    pub fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(TIDELOG_LIMIT, TIDELOG_KIND_FIX_CALL, message)
    }

    /// Begins no allocation: in a forked child the allocator's locks may be held for ever.
    pub const fn forked() -> Self {
        let message = "this process was forked from one that uses tidelog, and nothing of that can be used here: fork before the first store is opened, or exec";
        Fault { code: TIDELOG_FORKED, kind: TIDELOG_KIND_FIX_CALL, message: Cow::Borrowed(message) }
    }

    pub fn panicked(function: &str, what: &str) -> Self {
        let message = format!(
            "{function} failed inside the library ({what}): report it as a bug of tidelog; close the handles of this call, and the store before its next use"
        );
        Fault::new(TIDELOG_PANIC, TIDELOG_KIND_BUG, message)
    }

    /// An earlier call panicked while it held the object.
    pub fn poisoned_handle() -> Self {
        Fault::new(
            TIDELOG_PANIC,
            TIDELOG_KIND_BUG,
            "an earlier call with this handle failed inside the library: close it",
        )
    }
}

/// The text of an error and of what caused it.
pub(crate) fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        // Transparent errors say the same as their source.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

fn kind_number(kind: Kind) -> u32 {
    match kind {
        Kind::Retry => TIDELOG_KIND_RETRY,
        Kind::Reopen => TIDELOG_KIND_REOPEN,
        Kind::Restore => TIDELOG_KIND_RESTORE,
        Kind::Upgrade => TIDELOG_KIND_UPGRADE,
        _ => TIDELOG_KIND_FIX_CALL,
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        let code = match (&error, error.kind()) {
            (OpenError::Locked { .. }, _) => TIDELOG_LOCKED,
            (OpenError::Missing { .. }, _) => TIDELOG_NOT_FOUND,
            (_, Kind::FixCall) => TIDELOG_INVALID_ARGUMENT,
            (_, Kind::Restore) => TIDELOG_CORRUPT,
            (_, Kind::Upgrade) => TIDELOG_TOO_NEW,
            _ => TIDELOG_IO,
        };
        Fault::new(code, kind_number(error.kind()), text(&error))
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        let code = match &error {
            WriteError::ReadOnly => TIDELOG_READ_ONLY,
            WriteError::Closed => TIDELOG_CLOSED,
            WriteError::TypeConflict { .. } => TIDELOG_TYPE_CONFLICT,
            WriteError::BelowCut { .. } | WriteError::DeleteBelowCut { .. } => TIDELOG_SETTLED,
            WriteError::TooManyFields { .. } | WriteError::TooLarge { .. } => TIDELOG_LIMIT,
            WriteError::Full { .. } => TIDELOG_FULL,
            WriteError::Poisoned => TIDELOG_POISONED,
            _ => TIDELOG_IO,
        };
        Fault::new(code, kind_number(error.kind()), text(&error))
    }
}

impl From<UpkeepError> for Fault {
    fn from(error: UpkeepError) -> Self {
        let code = match &error {
            UpkeepError::ReadOnly => TIDELOG_READ_ONLY,
            UpkeepError::Closed => TIDELOG_CLOSED,
            UpkeepError::Cancelled => TIDELOG_CANCELLED,
            UpkeepError::Poisoned => TIDELOG_POISONED,
            UpkeepError::Name(_) => TIDELOG_INVALID_ARGUMENT,
            UpkeepError::NoCollection { .. } => TIDELOG_NOT_FOUND,
            UpkeepError::Read(read) => read_code(read).0,
            _ => TIDELOG_IO,
        };
        Fault::new(code, kind_number(error.kind()), text(&error))
    }
}

fn read_code(error: &ReadError) -> (tidelog_status, u32) {
    match error {
        ReadError::Io { .. } => (TIDELOG_IO, TIDELOG_KIND_RETRY),
        ReadError::TooNew { .. } => (TIDELOG_TOO_NEW, TIDELOG_KIND_UPGRADE),
        _ => (TIDELOG_CORRUPT, TIDELOG_KIND_RESTORE),
    }
}

impl From<BackupError> for Fault {
    fn from(error: BackupError) -> Self {
        let message = text(&error);
        let (code, kind) = match error {
            BackupError::NotEmpty { .. } | BackupError::InUse { .. } => {
                (TIDELOG_LOCKED, TIDELOG_KIND_FIX_CALL)
            }
            BackupError::Cancelled { .. } => (TIDELOG_CANCELLED, TIDELOG_KIND_RETRY),
            BackupError::Flush(error) => return error.into(),
            BackupError::Read(error) => return error.into(),
            BackupError::Manifest(error) => return error.into(),
            _ => (TIDELOG_IO, TIDELOG_KIND_RETRY),
        };
        Fault::new(code, kind, message)
    }
}

impl From<RecoverError> for Fault {
    fn from(error: RecoverError) -> Self {
        let (code, kind) = match &error {
            RecoverError::Locked { .. } => (TIDELOG_LOCKED, TIDELOG_KIND_RETRY),
            RecoverError::Missing { .. } => (TIDELOG_NOT_FOUND, TIDELOG_KIND_FIX_CALL),
            RecoverError::TooNew { .. } => (TIDELOG_TOO_NEW, TIDELOG_KIND_UPGRADE),
            RecoverError::Cancelled => (TIDELOG_CANCELLED, TIDELOG_KIND_RETRY),
            _ => (TIDELOG_IO, TIDELOG_KIND_RETRY),
        };
        Fault::new(code, kind, text(&error))
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        let (code, kind) = read_code(&error);
        Fault::new(code, kind, text(&error))
    }
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        let (code, kind) = match &error {
            QueryError::NoCollection { .. } | QueryError::NoField { .. } => {
                (TIDELOG_NOT_FOUND, TIDELOG_KIND_FIX_CALL)
            }
            QueryError::Cancelled => (TIDELOG_CANCELLED, TIDELOG_KIND_RETRY),
            QueryError::ThreadPanicked => (TIDELOG_PANIC, TIDELOG_KIND_BUG),
            QueryError::ResolutionGone { .. } => (TIDELOG_RESOLUTION_GONE, TIDELOG_KIND_FIX_CALL),
            QueryError::Read(read) => read_code(read),
            QueryError::SumOverflow { .. } | QueryError::TooManyWindows { .. } => {
                (TIDELOG_LIMIT, TIDELOG_KIND_FIX_CALL)
            }
            _ => (TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL),
        };
        Fault::new(code, kind, text(&error))
    }
}

impl From<CompareError> for Fault {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Query(error) => error.into(),
            other => Fault::argument(text(&other)),
        }
    }
}

impl From<BatchError> for Fault {
    fn from(error: BatchError) -> Self {
        let code = match &error {
            BatchError::TypeConflict { .. } => TIDELOG_TYPE_CONFLICT,
            BatchError::Limit { .. } => TIDELOG_LIMIT,
            _ => TIDELOG_INVALID_ARGUMENT,
        };
        Fault::new(code, TIDELOG_KIND_FIX_CALL, text(&error))
    }
}

impl From<NameError> for Fault {
    fn from(error: NameError) -> Self {
        Fault::argument(text(&error))
    }
}

impl From<RetentionError> for Fault {
    fn from(error: RetentionError) -> Self {
        Fault::argument(text(&error))
    }
}

impl From<TailError> for Fault {
    fn from(error: TailError) -> Self {
        let (code, kind) = match &error {
            TailError::Gone { .. } => (TIDELOG_GONE, TIDELOG_KIND_FIX_CALL),
            _ => (TIDELOG_IO, TIDELOG_KIND_RETRY),
        };
        Fault::new(code, kind, text(&error))
    }
}
