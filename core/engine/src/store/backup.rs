//! Backup: a consistent copy of an open store, while it is written to.

use super::Store;
use super::open::{is_fresh, manifest_error};
use crate::disk::{Disk, FileDisk, OpenMode, publish};
use crate::error::{OpenError, UpkeepError};
use crate::files::{AnyFile, FileSet};
use crate::group::{ReadError, directory, file_path, temporary_path};
use crate::ids::{LogPoint, Tier};
use crate::manifest::{Manifest, State};
use crate::options::create_root;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a backup holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct BackupReport {
    /// Files copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows in them; a row that several files hold counts in each.
    pub rows: u64,
}

/// Why there is no backup. What was copied so far stays where it is, without a manifest, so that nobody
/// takes it for a store: remove it before the next try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The destination has something in it.
    #[error("{place} is not empty: back up to a new directory")]
    NotEmpty {
        /// The destination.
        place: String,
    },
    /// Another backup is being made there.
    #[error("{place} is in use: back up to a directory of its own")]
    InUse {
        /// The destination.
        place: String,
    },
    /// `progress` said so.
    #[error("cancelled: remove {place}, which holds a part of the backup")]
    Cancelled {
        /// The destination.
        place: String,
    },
    /// Memory could not be flushed.
    #[error("memory could not be flushed to files for the backup: {0}")]
    Flush(#[source] UpkeepError),
    /// A file of the store is damaged: a copy of it would be worth nothing.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The copy's manifest could not be written.
    #[error(transparent)]
    Manifest(OpenError),
    /// The destination could not be written.
    #[error("cannot write {place}: check its permissions and free space, remove it and try again")]
    Io {
        /// The destination.
        place: String,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

impl Store {
    /// Copies the store to a directory that does not exist yet or is empty. The copy is a store with the
    /// same id that opens like any other: to restore it, open it or copy it back; to write to it beside
    /// this one, [`crate::adopt`] it first.
    ///
    /// Flushes, and then copies the files of that moment, digests verified, while writes, flushes and
    /// compactions go on. The copy holds every write acknowledged before the call, and of writes and
    /// deletes during the call each wholly or not at all; a delete made while the flush runs may be in
    /// it before a write that was acknowledged earlier during the call. Files are copied, never linked: damage to one must not be
    /// damage to both. Copying the directory of a *closed* store by hand is a backup too.
    ///
    /// `progress` is told bytes done and to do, and stops the copy by returning `false`.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn backup(
        &self,
        destination: impl AsRef<Path>,
        progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<BackupReport, BackupError> {
        let destination = destination.as_ref();
        create_root(destination).map_err(|error| match error {
            OpenError::Io { place, source } => BackupError::Io { place, source },
            other => BackupError::Manifest(other),
        })?;
        self.backup_to(Arc::new(FileDisk::new(destination, false)), progress)
    }

    /// [`Self::backup`] to a disk.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn backup_to(
        &self,
        destination: Arc<dyn Disk>,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<BackupReport, BackupError> {
        let place = destination.place();
        let io = |source| BackupError::Io { place: place.clone(), source };
        let names = destination.list("").map_err(io)?;
        if names.iter().any(|name| name != LOCK) || !is_fresh(&*destination).map_err(io)? {
            return Err(BackupError::NotEmpty { place });
        }
        let Some(_lock) = destination.lock(LOCK).map_err(io)? else {
            return Err(BackupError::InUse { place });
        };
        // From here on the open files keep their bytes, whatever is compacted meanwhile.
        let files = self.inner.flushed_files().map_err(BackupError::Flush)?;
        let report = copy(&files, &destination, &mut progress)?;
        let state = of_copy(&files.state);
        let manifest = Manifest::create(destination, state);
        manifest.map_err(|error| BackupError::Manifest(manifest_error(&place, error)))?;
        Ok(report)
    }
}

const LOCK: &str = "LOCK";
const COPY_BYTES: u64 = 1 << 20;

/// The manifest's state without a log: all that is in it is in the files too.
fn of_copy(state: &State) -> State {
    State {
        openings: Vec::new(),
        ends: std::collections::BTreeMap::new(),
        covered: LogPoint::default(),
        pins: std::collections::BTreeMap::new(),
        ..State::clone(state)
    }
}

fn copy(
    files: &FileSet,
    destination: &Arc<dyn Disk>,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<BackupReport, BackupError> {
    let place = destination.place();
    let io = |source| BackupError::Io { place: place.clone(), source };
    let total: u64 = files.all().map(|open| open.entry().len).sum();
    let mut report = BackupReport::default();
    destination.create_dir("wal").map_err(io)?;
    let mut made = BTreeSet::new();
    for open in files.all() {
        let entry = open.entry();
        let (group, tier) = (entry.group, entry.tier);
        if made.insert((group, tier)) {
            let parent = group.to_string();
            destination.create_dir(&parent).map_err(io)?;
            destination.create_dir(&directory(group, tier)).map_err(io)?;
            destination.sync_dir(&parent).map_err(io)?;
        }
        let mut told = |bytes: u64| progress(report.bytes + bytes, total);
        copy_file(&open, &**destination, &mut told)?;
        report.files += 1;
        report.bytes += entry.len;
        report.rows += if tier == Tier::Raw { entry.rows } else { 0 };
    }
    destination.sync_dir("").map_err(io)?;
    Ok(report)
}

fn copy_file(
    open: &AnyFile,
    destination: &dyn Disk,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<(), BackupError> {
    let place = destination.place();
    let io = |source| BackupError::Io { place: place.clone(), source };
    let (bytes, entry) = (open.bytes()?, open.entry());
    let temporary = temporary_path(entry.group, entry.tier, entry.id);
    let copy = destination.open(&temporary, OpenMode::CreateNew).map_err(io)?;
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < entry.len {
        if !told(at) {
            return Err(BackupError::Cancelled { place });
        }
        let len = (entry.len - at).min(COPY_BYTES);
        let part = bytes.read(at, len as usize)?;
        hasher.update(&part);
        copy.write_all_at(&part, at).map_err(io)?;
        at += len;
    }
    if *hasher.finalize().as_bytes() != entry.blake3 {
        return Err(ReadError::Damaged {
            path: file_path(entry.group, entry.tier, entry.id),
            window: None,
            what: "its digest is not the manifest's",
        }
        .into());
    }
    let path = file_path(entry.group, entry.tier, entry.id);
    publish(destination, &*copy, &temporary, &path).map_err(io)
}
