//! Files of a snapshot that are not whole yet: `incoming/`, a file for each, named by the BLAKE3 it will have.
//!
//! Nothing but the bytes is kept of how far one has come: when it is taken up again its pieces are held against their
//! sums, and it goes on behind the last that is good. So no crash can leave a mark that promises more than is there.

use super::{SNAPSHOT_FILE_BYTES_MAX, SnapshotError, SnapshotFile};
use crate::disk::{Disk, DiskFile, OpenMode, directory_of};
use crate::group::{Container, parse_file_name};
use crate::pieces::{self, Sum};
use crate::store::{Inner, Store};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidelog_model::{Digest, StoreId};

pub(super) const INCOMING: &str = "incoming";
/// What was written is made durable when it is so much ...
const SYNC_BYTES: u64 = 32 << 20;
/// ... or after so long.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// A file that is being received.
pub struct Partial {
    inner: Arc<Inner>,
    file: Arc<dyn DiskFile>,
    what: SnapshotFile,
    sums: Vec<Sum>,
    /// Pieces that are here and good: the first ones.
    done: u64,
    unsynced: u64,
    synced_at: Duration,
}

impl std::fmt::Debug for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partial").field("what", &self.what).field("done", &self.done).finish()
    }
}

impl Store {
    /// Takes a file of a snapshot up, where it was left or at its beginning. `sums` are those of all its pieces.
    /// Reads and verifies what is there of it.
    ///
    /// # Errors
    /// [`SnapshotError::Refused`] when the sums are not those of the file; see [`SnapshotError`].
    pub fn partial(
        &self,
        what: SnapshotFile,
        sums: Vec<[u8; 32]>,
    ) -> Result<Partial, SnapshotError> {
        if what.len > SNAPSHOT_FILE_BYTES_MAX
            || pieces::whole(what.len, &sums) != Some(what.digest.0)
        {
            return Err(SnapshotError::malformed("the sums of its pieces are not those of a file"));
        }
        self.inner.writer().map_err(SnapshotError::write)?;
        let path = path_of(what.digest);
        let open = || {
            let disk = &self.inner.disk;
            disk.create_dir(INCOMING)?;
            self.inner.partials.store(true, Relaxed);
            match disk.open(&path, OpenMode::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let file = disk.open(&path, OpenMode::CreateNew)?;
                    disk.sync_dir("")?;
                    disk.sync_dir(INCOMING)?;
                    Ok(file)
                }
                other => other,
            }
        };
        let file = open().map_err(|source| self.inner.not_written(source))?;
        let synced_at = self.inner.clock().monotonic();
        let inner = Arc::clone(&self.inner);
        let mut partial = Partial { inner, file, what, sums, done: 0, unsynced: 0, synced_at };
        partial.verify().map_err(|source| self.inner.not_written(source))?;
        Ok(partial)
    }

    /// Removes what was received of files that are not among these.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep_partials(&self, keep: &[Digest]) -> Result<(), SnapshotError> {
        let names: Vec<String> = keep.iter().map(|digest| name_of(*digest)).collect();
        let disk = &self.inner.disk;
        let sweep = || {
            for name in disk.list(INCOMING)?.iter().filter(|name| !names.contains(name)) {
                disk.remove(&format!("{INCOMING}/{name}"))?;
            }
            Ok(())
        };
        sweep().map_err(|source| self.inner.not_written(source))?;
        self.inner.look_for_partials();
        Ok(())
    }

    /// Is there anything of a file that was not installed?
    #[must_use]
    pub fn has_partials(&self) -> bool {
        self.inner.partials.load(Relaxed)
    }

    /// Is a file of a snapshot here already, as it came?
    #[must_use]
    pub fn is_installed(&self, file: Digest) -> bool {
        self.inner.files().rows().any(|open| open.entry.blake3 == file.0)
    }
}

impl Partial {
    /// Pieces that are here: the first ones.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Which file it is.
    #[must_use]
    pub fn what(&self) -> SnapshotFile {
        self.what
    }

    /// Takes a piece: the next one, or one that is here already.
    ///
    /// # Errors
    /// [`SnapshotError::Refused`] when it is not that piece; see [`SnapshotError`].
    pub fn add(&mut self, number: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        if number < self.done {
            return Ok(());
        }
        let place = pieces::place(self.what.len, number);
        let Some((at, len)) = place.filter(|_| number == self.done) else {
            return Err(SnapshotError::malformed("a piece of a file that was not asked for"));
        };
        if bytes.len() != len || !self.is_piece(number, bytes) {
            return Err(SnapshotError::malformed("a piece of a file is not what its sum says"));
        }
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|source| self.inner.not_written(source))?;
        self.done += 1;
        self.unsynced += len as u64;
        let age = self.inner.clock().monotonic().saturating_sub(self.synced_at);
        if self.unsynced >= SYNC_BYTES || age >= SYNC_AFTER {
            self.sync()?;
        }
        Ok(())
    }

    /// The file is whole: makes it durable.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn finish(mut self) -> Result<(), SnapshotError> {
        if self.done < pieces::count(self.what.len) {
            return Err(SnapshotError::malformed("a file has fewer pieces than was said"));
        }
        self.sync()
    }

    fn is_piece(&self, number: u64, bytes: &[u8]) -> bool {
        let sum = usize::try_from(number).ok().and_then(|at| self.sums.get(at));
        sum.is_some_and(|sum| *sum == pieces::sum(self.what.len, number, bytes))
    }

    /// Finds how far the file is good, and cuts off the rest.
    fn verify(&mut self) -> io::Result<()> {
        let len = self.file.len()?;
        let mut bytes = Vec::new();
        while let Some((at, piece_len)) = pieces::place(self.what.len, self.done) {
            if at + piece_len as u64 > len {
                break;
            }
            bytes.resize(piece_len, 0);
            self.file.read_exact_at(&mut bytes, at)?;
            if !self.is_piece(self.done, &bytes) {
                break;
            }
            self.done += 1;
        }
        let end = pieces::place(self.what.len, self.done).map_or(self.what.len, |(at, _)| at);
        if len > end {
            self.file.set_len(end)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SnapshotError> {
        self.file.sync().map_err(|source| {
            // Nothing proves any more what of it is on the disk: it begins anew.
            let _ = self.inner.disk.remove(&path_of(self.what.digest));
            self.inner.not_written(source)
        })?;
        self.unsynced = 0;
        self.synced_at = self.inner.clock().monotonic();
        Ok(())
    }
}

impl Inner {
    /// Notes whether there are any.
    pub(super) fn look_for_partials(&self) {
        let there = has_partials(&*self.disk);
        self.partials.store(there.unwrap_or(true), Relaxed);
    }

    pub(super) fn not_written(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Disk { place: self.disk.place(), source }
    }
}

pub(in crate::store) fn has_partials(disk: &dyn Disk) -> io::Result<bool> {
    Ok(!disk.list(INCOMING)?.is_empty())
}

fn name_of(digest: Digest) -> String {
    let mut name = String::with_capacity(69);
    for byte in digest.0 {
        let _ = write!(name, "{byte:02x}");
    }
    name + ".part"
}

pub(super) fn path_of(digest: Digest) -> String {
    format!("{INCOMING}/{}", name_of(digest))
}

/// Takes a file that another store made, and that no manifest lists, back among those that are received: an installation
/// died between giving it its place and listing it, and all its bytes are good. `false` when it is none.
pub(in crate::store) fn take_back(disk: &dyn Disk, path: &str, own: StoreId) -> io::Result<bool> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Ok(file) = Container::open(disk, path) else { return Ok(false) };
    if file.header.store == own || parse_file_name(name) == Some(file.header.id) {
        return Ok(false);
    }
    let Ok(digest) = file.digest() else { return Ok(false) };
    disk.create_dir(INCOMING)?;
    disk.rename(path, &path_of(Digest(digest)))?;
    disk.sync_dir("")?;
    disk.sync_dir(INCOMING)?;
    disk.sync_dir(directory_of(path))?;
    Ok(true)
}
