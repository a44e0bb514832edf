//! What opening, salvaging and appending can say.

use super::generation::{self, Fault, PAYLOAD_LEN_MAX, TooLarge};
use crate::format::Malformed;
use std::io;

/// Something bad in a file of the manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Damage {
    pub(crate) file: String,
    pub(crate) what: String,
}

impl From<&Fault> for Damage {
    fn from(fault: &Fault) -> Self {
        let (ordinal, what) = fault.parts();
        Damage { file: generation::name(ordinal), what: what.to_owned() }
    }
}

/// What opening or salvaging found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Report {
    /// The newest generation.
    pub(crate) generation: u32,
    /// Bytes of an unfinished edit at the end of it. In read-write mode they were cut off.
    pub(crate) cut_bytes: u64,
    /// What is bad, and did no harm when opening succeeded.
    pub(crate) damage: Vec<Damage>,
}

/// Why a manifest cannot be opened or created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ManifestError {
    #[error(
        "{place} holds no manifest: it is no store, or its MANIFEST files were removed, and then `tidelog recover {place}` rebuilds them"
    )]
    Missing { place: String },
    #[error("{place} holds a manifest already: open the store instead of creating it")]
    Exists { place: String },
    #[error("{place}/{file} was written by a later version ({what}): upgrade tidelog")]
    TooNew { place: String, file: String, what: String },
    #[error("the manifest of {place} is damaged ({what}; see {}): run `tidelog recover {place}`", files.join(", "))]
    Damaged { place: String, files: Vec<String>, what: String },
    #[error(
        "the first state of a manifest breaks a rule ({rule}): this is a bug in tidelog, report it"
    )]
    Invalid { rule: &'static str },
    #[error(
        "the manifest of {place} would take {bytes} bytes in one frame and {max} fit: delete data or split the store"
    )]
    TooLarge { place: String, bytes: usize, max: usize },
    #[error("cannot {act} {place}/{file}: check permissions, free space and the disk")]
    Io {
        place: String,
        file: String,
        act: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Why an edit was not made, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AppendError {
    #[error("{place} is open for reading only: open it for writing")]
    ReadOnly { place: String },
    #[error(
        "the edit breaks a rule of the manifest ({rule}) and was not made: this is a bug in tidelog, report it"
    )]
    Invalid { rule: &'static str },
    #[error(
        "an edit or the manifest itself takes {bytes} bytes and {max} fit: make the edit smaller, or split the store"
    )]
    TooLarge { bytes: usize, max: usize },
    #[error("cannot write {place}/{file}, and nothing was changed: free space and try again")]
    NotWritten {
        place: String,
        file: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot make {place}/{file} durable, so whether the edit holds is unknown: close the store and open it again"
    )]
    Unknown {
        place: String,
        file: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "an earlier write to the manifest of {place} failed: close the store and open it again"
    )]
    Poisoned { place: String },
    #[error("{place} was closed: open it again")]
    Closed { place: String },
    #[error("the generations of the manifest of {place} are used up: copy the data to a new store")]
    Exhausted { place: String },
}

impl From<Malformed> for AppendError {
    fn from(rule: Malformed) -> Self {
        AppendError::Invalid { rule: rule.0 }
    }
}

impl From<TooLarge> for AppendError {
    fn from(error: TooLarge) -> Self {
        AppendError::TooLarge { bytes: error.bytes, max: PAYLOAD_LEN_MAX }
    }
}
