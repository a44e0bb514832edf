//! How a command ends: exit codes, and errors with all their causes.

use crate::input::InputError;
use crate::time::{EveryError, TimeError};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use tidelog::{
    BackupError, CompareError, Kind, OpenError, QueryError, ReadError, RecoverError, UpkeepError,
    WriteError,
};

/// How a command ended that could do its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// The work was done, and something was found that should be looked at: rejected lines, damage.
    Found,
}

/// Something was found that should be looked at.
pub(crate) const FOUND: u8 = 1;
/// The call cannot be: clap's own code, and ours for names and types that do not fit the store.
const USAGE: u8 = 2;
/// The store, a file or the output cannot be used now.
const FAILED: u8 = 3;
/// The store is damaged, or written by a later version.
const DAMAGED: u8 = 4;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  done, and something was found: rejected lines, damage, a claim of the demo that does not hold
  2  the call cannot be: wrong arguments, unknown names, types that do not fit
  3  the store, a file or the output cannot be used now: locked, missing, no space, no permission
  4  the store is damaged, or was written by a later version

Results go to stdout, messages and progress to stderr.";

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Name(#[from] tidelog::NameError),
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error(transparent)]
    Every(#[from] EveryError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[cfg(feature = "replication")]
    #[error(transparent)]
    Identity(#[from] tidelog::replication::identity::IdentityError),
    #[cfg(feature = "replication")]
    #[error(transparent)]
    Config(#[from] tidelog::replication::topology::ConfigError),
    #[cfg(feature = "replication")]
    #[error(transparent)]
    Start(#[from] tidelog::replication::StartError),
    #[cfg(feature = "replication")]
    #[error("{peer} cannot be compared with: {why}")]
    Peer { peer: String, why: String },
    /// The node that did the command says so.
    #[cfg(feature = "replication")]
    #[error("{text}")]
    ByNode { text: String, code: u8 },
    #[cfg(feature = "replication")]
    #[error("no node serves {}: start one with `tidelog node`", .store.display())]
    NotRunning {
        store: PathBuf,
        #[source]
        source: io::Error,
    },
    #[cfg(feature = "replication")]
    #[error("{what}")]
    Network {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Policy(String),
    #[cfg(not(feature = "wasm"))]
    #[error(
        "{} is a component, and this build runs none: build with the feature `wasm`, or name a built-in policy", .path.display()
    )]
    NoComponents { path: PathBuf },
    #[error("cannot write the output: check where it goes")]
    Output(#[source] io::Error),
    #[error("cannot write {}: check its directory, permissions and free space", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl CommandError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            CommandError::Usage(_)
            | CommandError::Name(_)
            | CommandError::Time(_)
            | CommandError::Every(_) => USAGE,
            // Whatever path does not lead to a store, the code is one.
            CommandError::Open(OpenError::Missing { .. }) => FAILED,
            CommandError::Open(error) => of_kind(error.kind()),
            CommandError::Write(error) => of_kind(error.kind()),
            CommandError::Query(QueryError::Read(error))
            | CommandError::Compare(CompareError::Query(QueryError::Read(error)))
            | CommandError::Read(error) => of_read(error),
            CommandError::Compare(_) => USAGE,
            CommandError::Query(QueryError::Cancelled | QueryError::ThreadPanicked) => FAILED,
            CommandError::Query(_) => USAGE,
            CommandError::Upkeep(UpkeepError::Read(error)) => of_read(error),
            CommandError::Upkeep(UpkeepError::NoCollection { .. } | UpkeepError::Name(_)) => USAGE,
            CommandError::Input(InputError::Strict(_)) => FOUND,
            CommandError::Input(
                InputError::Header { .. }
                | InputError::NoSuchColumn { .. }
                | InputError::Batch { .. },
            ) => USAGE,
            CommandError::Backup(BackupError::NotEmpty { .. }) => USAGE,
            CommandError::Backup(BackupError::Read(error)) => of_read(error),
            #[cfg(feature = "replication")]
            CommandError::Identity(_)
            | CommandError::Config(_)
            | CommandError::Start(_)
            | CommandError::Peer { .. }
            | CommandError::NotRunning { .. }
            | CommandError::Network { .. } => FAILED,
            #[cfg(not(feature = "wasm"))]
            CommandError::NoComponents { .. } => FAILED,
            CommandError::Policy(_) => FAILED,
            #[cfg(feature = "replication")]
            CommandError::ByNode { code, .. } => *code,
            CommandError::Recover(RecoverError::TooNew { .. }) => DAMAGED,
            CommandError::Recover(_)
            | CommandError::Backup(_)
            | CommandError::Upkeep(_)
            | CommandError::Input(_)
            | CommandError::Output(_)
            | CommandError::File { .. } => FAILED,
        }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, CommandError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Prints the error and its causes to stderr.
    pub(crate) fn report(&self) {
        say(&format!("error: {}", self.text()));
    }

    /// The error and its causes, each once.
    pub(crate) fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let because = error.to_string();
            // A transparent layer repeats its cause word by word.
            if !text.ends_with(&because) {
                text = format!("{text}\n  because: {because}");
            }
            cause = error.source();
        }
        text
    }
}

/// A line to stderr. That nobody listens there is no reason to stop.
pub(crate) fn say(line: &str) {
    use io::Write;
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn of_kind(kind: Kind) -> u8 {
    match kind {
        Kind::FixCall => USAGE,
        Kind::Restore | Kind::Upgrade => DAMAGED,
        _ => FAILED,
    }
}

fn of_read(error: &ReadError) -> u8 {
    if matches!(error, ReadError::Io { .. }) { FAILED } else { DAMAGED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_a_wrong_call_from_a_failing_disk() {
        let place = || "s".to_owned();
        let missing = CommandError::from(OpenError::Missing { place: place() });
        let locked = CommandError::from(OpenError::Locked { place: place() });
        let damaged = OpenError::Damaged { place: place(), what: "x".to_owned() };
        assert_eq!(missing.exit_code(), FAILED);
        assert_eq!(locked.exit_code(), FAILED);
        assert_eq!(CommandError::from(damaged).exit_code(), DAMAGED);
        assert_eq!(CommandError::from(WriteError::Poisoned).exit_code(), FAILED);
        assert_eq!(CommandError::Usage(String::new()).exit_code(), USAGE);
        let gone = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(CommandError::Output(gone).is_broken_pipe());
    }
}
