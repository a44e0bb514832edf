//! The store: one directory, one writer, any number of readers.

mod admin;
mod adopt;
mod apply;
mod aside;
mod backup;
mod borrow;
mod catalog;
mod check;
mod check_file;
mod content;
mod digest;
mod lend;
mod members;
mod open;
mod parcels;
mod pending;
mod placed;
mod read;
mod recover;
mod rescue;
mod room;
mod settled;
mod snapshot;
mod stamps;
mod state;
mod stats;
mod survey;
mod weigh;
mod write;

pub use admin::{Delete, SealReport};
pub use adopt::{adopt, adopt_on};
pub use apply::{Applied, Closed, Incoming};
pub use aside::Aside;
pub use backup::{BackupError, BackupReport};
pub use borrow::Taken;
pub use check::{CheckReport, Finding};
pub use content::{Content, ContentRow, RowPacker};
pub use digest::{CompareError, CompareReport, Difference, DigestRow};
pub use lend::Lent;
pub use open::OpenReport;
pub use parcels::ROLLUPS_BYTES_MAX;
pub use recover::{RecoverError, RecoverReport, recover, recover_on};
pub use settled::{SettledClaim, SettledClaims, SettledNodes, SettledTaken};
pub use snapshot::{
    Installed, Partial, SNAPSHOT_FILE_BYTES_MAX, SNAPSHOT_FILES_MAX, SnapshotError, SnapshotFile,
};
pub use state::{StateApplied, StatePart, state_root};
pub use stats::{CollectionStats, GroupInfo, Stats, TierStats};
pub use write::{Receipt, Ticket};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{OpenError, UpkeepError};
use crate::files::FileSet;
use crate::group::IndexCache;
use crate::ids::LogEnd;
use crate::manifest::{Change, Manifest};
use crate::memory::Memory;
use crate::nodes::{NodeCache, NodeDamage};
use crate::options::{Options, Upkeep};
use crate::query::LatestCache;
use crate::upkeep::{Spawn, Threads, spawn};
use crate::wal::Wal;
use catalog::Catalog;
use pending::Pending;
use room::Room;
use stamps::Stamps;
use stats::Counters;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_model::{Incarnation, Position, StoreId};

/// An open store. Cheap to clone; every clone is the same store, which closes when the last is dropped or
/// [`Store::close`] is called. `Send + Sync`: any thread may call anything.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    _owner: Arc<Owner>,
}

/// Closes the store when the last handle goes.
#[derive(Debug)]
struct Owner(Arc<Inner>);

impl Drop for Owner {
    fn drop(&mut self) {
        // A panic is not a clean shutdown: nothing is written then. Recovery reads the log.
        if std::thread::panicking() {
            self.0.abandon();
        } else if let Err(error) = self.0.close() {
            tracing::warn!(%error, "the store did not close cleanly");
        }
    }
}

/// What all handles and threads of a store share.
///
/// Locks are taken in this order, never the other way: `manifest`, `room`, `memory`, `wal`, then `files`,
/// `catalog`, `pending`, `stamps`, which are held for moments only and never together.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) store_id: StoreId,
    pub(crate) groups: u32,
    /// `None` when open for reading only.
    pub(crate) wal: Option<Arc<Wal>>,
    pub(crate) memory: Memory,
    pub(crate) files: Mutex<FileSet>,
    pub(crate) manifest: Mutex<Manifest>,
    catalog: Mutex<Catalog>,
    pub(crate) cache: Arc<IndexCache>,
    pub(crate) node_cache: Arc<NodeCache>,
    pub(crate) node_damage: Arc<NodeDamage>,
    latest: LatestCache,
    pending: Pending,
    /// By store: all that it wrote to its log before this position is here.
    cursors: Mutex<std::collections::BTreeMap<StoreId, Position>>,
    placed: placed::Placed,
    /// Every store that writes has agreed on what has a stamp up to this one.
    pub(crate) agreed: std::sync::atomic::AtomicU64,
    pub(crate) stamps: Stamps,
    /// How many cuts of rows are on their way.
    pub(crate) cutting: std::sync::atomic::AtomicUsize,
    /// Held by a writer that brings new fields.
    schema: Mutex<()>,
    /// When the caller's own intervals were last kept.
    last_sync: Mutex<std::time::Duration>,
    /// Ids below this one were given to files.
    pub(crate) next_file: std::sync::atomic::AtomicU64,
    /// Groups and tiers whose directories exist for certain.
    pub(crate) directories:
        Mutex<std::collections::BTreeSet<(tidelog_model::GroupId, crate::ids::Tier)>>,
    /// Generations that wait to be flushed, oldest first.
    pub(crate) sealed: Mutex<std::collections::VecDeque<crate::upkeep::Sealed>>,
    /// By group, for its next flush to seal.
    pub(crate) open_leaves:
        Mutex<std::collections::BTreeMap<tidelog_model::GroupId, Arc<crate::upkeep::OpenLeaves>>>,
    pub(crate) counters: Counters,
    pub(crate) threads: Threads,
    /// One flush or compaction at a time.
    pub(crate) upkeep: Mutex<()>,
    pub(crate) room: Room,
    pub(crate) leases: snapshot::Leases,
    /// Is there anything of a file of a snapshot that was not installed?
    partials: AtomicBool,
    closed: AtomicBool,
    /// Held for as long as the store is open for writing.
    lock: Mutex<Option<Lock>>,
    report: OpenReport,
    /// Segments of earlier openings, deleted when a flush covers them.
    pub(crate) old_segments: Mutex<Vec<(u32, u32)>>,
}

/// The exclusive lock on the directory.
struct Lock(#[expect(dead_code, reason = "held, not read")] Box<dyn Send + Sync>);

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

impl Store {
    /// Opens the store in a directory, and creates it when there is none.
    ///
    /// Blocks while the log is replayed: some 100 ms for 64 MiB. After a crash the segments that were never known
    /// to be durable are written again, and the disk must have room for one more of them.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Options::new().open(path)
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        Self::started_by(spawn, disk, options)
    }

    pub(crate) fn started_by(
        spawn: Spawn,
        disk: Arc<dyn Disk>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let place = disk.place();
        let inner = Arc::new(Inner::open(disk, options)?);
        // From here on the store closes whatever happens: dropped, it ends the threads that could be started.
        let owner = Arc::new(Owner(Arc::clone(&inner)));
        if inner.wal.is_some() && inner.options.upkeep == Upkeep::Background {
            let started = inner.threads.start(&inner, spawn);
            started.map_err(|source| OpenError::Threads { place, source })?;
        }
        Ok(Store { inner, _owner: owner })
    }

    /// What recovery found when the store was opened.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// The store's id: the origin of the stamps it draws.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.inner.store_id
    }

    /// This opening; positions of the log belong to one.
    #[must_use]
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.inner.wal.as_ref().map(|wal| wal.identity().incarnation)
    }

    /// The end of the log: [`Store::tail`] from here sees what is written from now on.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let wal = self.inner.wal.as_ref()?;
        Some(Position { incarnation: wal.identity().incarnation, offset: wal.end() })
    }

    /// Follows what is written, from a position on.
    ///
    /// # Errors
    /// [`crate::TailError::Gone`] when the log does not reach back so far, or the store is open for
    /// reading only.
    pub fn tail(&self, from: Position) -> Result<crate::wal::Tail, crate::wal::TailError> {
        let Some(wal) = &self.inner.wal else {
            return Err(crate::wal::TailError::Gone { asked: from, oldest: from });
        };
        let (disk, store) = (Arc::clone(&self.inner.disk), self.inner.store_id);
        crate::wal::Tail::new(Arc::clone(wal), disk, store, from)
    }

    /// Makes everything durable and ends the store for all handles; later calls get `Closed`. Rows in
    /// memory stay in the log and are read back by the next opening.
    ///
    /// # Errors
    /// When the last fsync failed: what was acknowledged with `Sync` is durable all the same.
    pub fn close(&self) -> Result<(), UpkeepError> {
        self.inner.close()
    }
}

impl Inner {
    /// Ends the threads and gives up the directory without writing anything: as if the process had died.
    fn abandon(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.threads.stop();
        self.room.wake();
        if let Some(wal) = &self.wal {
            wal.poison();
        }
        self.manifest().end();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn close(&self) -> Result<(), UpkeepError> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.threads.stop();
        self.room.wake();
        let Some(wal) = &self.wal else { return Ok(()) };
        // Whoever holds the upkeep lock finishes first.
        let _upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.end_log(wal).and_then(|()| Ok(self.manifest().close()?));
        self.manifest().end();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome
    }

    /// Syncs the log, and says in it that everything before is durable: what is bad there later is
    /// damage and no torn tail.
    fn end_log(&self, wal: &Arc<Wal>) -> Result<(), UpkeepError> {
        wal.refuse_writes();
        if wal.is_poisoned() {
            return Err(UpkeepError::Poisoned);
        }
        if wal.end() == 0 {
            // Nothing to say it in; the manifest knows that this was a close, and that no stamp is lost with it.
            let end = LogEnd { offset: 0, segment: 0 };
            let edit = vec![Change::Ended(wal.identity().ordinal, end)];
            return Ok(self.edit(&mut self.manifest(), &edit)?);
        }
        let sync = |end| wal.sync_to(end).map_err(|_| UpkeepError::Poisoned);
        sync(wal.end())?;
        self.apply_durable();
        let mut frame = vec![0; crate::log::FRAME_HEADER_LEN];
        let span =
            wal.append(crate::wal::KIND_END, &mut frame, |_| ()).map_err(|error| match error {
                crate::wal::AppendError::Io(error) => UpkeepError::Io(error),
                crate::wal::AppendError::Poisoned => UpkeepError::Poisoned,
                crate::wal::AppendError::Ended => UpkeepError::Closed,
            })?;
        sync(span.end)?;
        let Some(last) = wal.segments().0.last().copied() else { return Ok(()) };
        let end = LogEnd { offset: span.end, segment: last.index };
        let edit = vec![Change::Ended(wal.identity().ordinal, end)];
        Ok(self.edit(&mut self.manifest(), &edit)?)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an edit. Where an fsync failed the whole store is poisoned: no write is acknowledged any more.
    pub(crate) fn edit(
        &self,
        manifest: &mut Manifest,
        edit: &crate::manifest::Edit,
    ) -> Result<(), crate::manifest::AppendError> {
        manifest.append(edit).inspect_err(|error| {
            if let (crate::manifest::AppendError::Unknown { .. }, Some(wal)) = (error, &self.wal) {
                wal.poison();
            }
        })
    }

    pub(crate) fn files(&self) -> FileSet {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.options.clock
    }
}
