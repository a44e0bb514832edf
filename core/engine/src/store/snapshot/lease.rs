//! The files that a peer is being given: of one moment, and readable until some time after it asked last, whatever is
//! compacted meanwhile. An open file keeps its bytes when its name is gone, so a lease is no more than that.

use super::{SNAPSHOT_FILE_BYTES_MAX, SNAPSHOT_FILES_MAX, SnapshotError, SnapshotFile};
use crate::files::{FileSet, OpenFile};
use crate::pieces;
use crate::store::{Inner, Store};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_model::{Digest, GroupId, StoreId};

/// A lease ends so long after the peer asked last.
const LEASE: Duration = Duration::from_secs(600);
/// So many peers can have one: each may keep as much space from being freed as the store takes.
const LEASES_MAX: usize = 8;
/// Of a group that the peer holds some of, files are worth their bytes when they are so many times as much.
const TIMES_MORE: u64 = 8;

/// By peer.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<StoreId, Lease>>);

#[derive(Debug)]
struct Lease {
    files: Vec<(SnapshotFile, OpenFile)>,
    /// By the monotonic clock.
    until: Duration,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<StoreId, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// About how many bytes each group holds: those of its files, and its share of what is in memory.
    #[must_use]
    pub fn held(&self) -> Vec<(GroupId, u64)> {
        let files = self.inner.files();
        let (active, sealed) = self.inner.memory.heap_bytes();
        let share = (active + sealed) as u64 / u64::from(self.inner.groups);
        let of_group = |group| {
            let files = files.group(group).iter().map(|open| open.entry.len);
            (group, files.sum::<u64>() + share)
        };
        (0..self.inner.groups).map(GroupId).map(of_group).collect()
    }

    /// May a snapshot be installed here? A store with a bound on its bytes would give up again what is older than it has
    /// room for.
    #[must_use]
    pub fn takes_snapshots(&self) -> bool {
        self.inner.options.max_bytes.is_none()
    }

    /// The files that a peer lacks, who holds about so many bytes of these groups: kept for it from now on. Those of a
    /// group are left out unless they are many times as much as it has, or when `allowed` refuses a database that has
    /// rows in them. Empty, and nothing is kept, when they are less than `bytes_min` in all.
    ///
    /// A peer that has a lease gets what is left of it. Otherwise this flushes.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn offer_snapshot(
        &self,
        peer: StoreId,
        groups: &[(GroupId, u64)],
        bytes_min: u64,
        allowed: &dyn Fn(GroupId, &str) -> bool,
    ) -> Result<Vec<SnapshotFile>, SnapshotError> {
        let inner = &self.inner;
        inner.end_old_leases();
        if let Some(known) = inner.leased_again(peer, groups) {
            return Ok(known);
        }
        if self.held().iter().map(|(_, bytes)| bytes).sum::<u64>() < bytes_min {
            return Ok(Vec::new());
        }
        let files = inner.flushed_files()?;
        let wanted =
            groups.iter().flat_map(|(group, held)| of_group(&files, *group, *held, allowed));
        let leased: Vec<(SnapshotFile, OpenFile)> = wanted.collect();
        let offer: Vec<SnapshotFile> = leased.iter().map(|(file, _)| *file).collect();
        let bytes: u64 = offer.iter().map(|file| file.len).sum();
        if bytes < bytes_min.max(1) || offer.len() > SNAPSHOT_FILES_MAX {
            return Ok(Vec::new());
        }
        let until = inner.clock().monotonic() + LEASE;
        let mut leases = inner.leases.lock();
        if leases.len() >= LEASES_MAX && !leases.contains_key(&peer) {
            return Err(SnapshotError::Busy(LEASES_MAX));
        }
        leases.insert(peer, Lease { files: leased, until });
        drop(leases);
        tracing::debug!(%peer, files = offer.len(), bytes, "a snapshot is offered");
        Ok(offer)
    }

    /// The sums of pieces of a file that is kept for a peer, from one on, at most `count`.
    ///
    /// # Errors
    /// [`SnapshotError::Gone`] when no such file is kept for it.
    pub fn snapshot_sums(
        &self,
        peer: StoreId,
        file: Digest,
        from: u64,
        count: u64,
    ) -> Result<Vec<[u8; 32]>, SnapshotError> {
        let open = self.inner.leased(peer, file)?;
        let container = open.readable()?.container();
        let last = pieces::count(container.len()).min(from.saturating_add(count));
        let mut sums = Vec::new();
        for number in from..last {
            let Some((at, len)) = pieces::place(container.len(), number) else { break };
            sums.push(pieces::sum(container.len(), number, &container.read(at, len)?));
        }
        Ok(sums)
    }

    /// A piece of a file that is kept for a peer.
    ///
    /// # Errors
    /// [`SnapshotError::Gone`] when no such file is kept for it, or the file has no such piece.
    pub fn snapshot_piece(
        &self,
        peer: StoreId,
        file: Digest,
        number: u64,
    ) -> Result<Vec<u8>, SnapshotError> {
        let open = self.inner.leased(peer, file)?;
        let container = open.readable()?.container();
        let (at, len) = pieces::place(container.len(), number).ok_or(SnapshotError::Gone)?;
        Ok(container.read(at, len)?.into_owned())
    }

    /// The peer has all it wanted: nothing is kept for it any more.
    pub fn end_snapshot(&self, peer: StoreId) {
        self.inner.leases.lock().remove(&peer);
    }

    /// How many peers files are kept for.
    #[must_use]
    pub fn snapshots_kept(&self) -> usize {
        self.inner.end_old_leases();
        self.inner.leases.lock().len()
    }
}

impl Inner {
    /// Lets go of what was not asked for in a long time.
    pub(crate) fn end_old_leases(&self) {
        let now = self.clock().monotonic();
        self.leases.lock().retain(|_, lease| lease.until > now);
    }

    fn leased(&self, peer: StoreId, digest: Digest) -> Result<OpenFile, SnapshotError> {
        let now = self.clock().monotonic();
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(&peer).filter(|lease| lease.until > now);
        let lease = lease.ok_or(SnapshotError::Gone)?;
        let found = lease.files.iter().find(|(file, _)| file.digest == digest);
        let open = found.map(|(_, open)| open.clone()).ok_or(SnapshotError::Gone)?;
        lease.until = now + LEASE;
        Ok(open)
    }

    /// What a peer has a lease on, of groups that it still lacks.
    fn leased_again(&self, peer: StoreId, groups: &[(GroupId, u64)]) -> Option<Vec<SnapshotFile>> {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(&peer)?;
        let lacks = |group: GroupId| {
            let files = lease.files.iter().filter(|(file, _)| file.group == group);
            let bytes: u64 = files.map(|(file, _)| file.len).sum();
            groups.iter().any(|(other, held)| *other == group && is_worth(bytes, *held))
        };
        let left: Vec<SnapshotFile> =
            lease.files.iter().map(|(file, _)| *file).filter(|file| lacks(file.group)).collect();
        lease.until = self.clock().monotonic() + LEASE;
        (!left.is_empty()).then_some(left)
    }
}

fn is_worth(bytes: u64, held: u64) -> bool {
    bytes / TIMES_MORE >= held && bytes > 0
}

/// The files of a group that a peer may have, if all of them can be given: with some of them it would have gaps that only
/// a comparison finds.
fn of_group(
    files: &FileSet,
    group: GroupId,
    held: u64,
    allowed: &dyn Fn(GroupId, &str) -> bool,
) -> Vec<(SnapshotFile, OpenFile)> {
    if !files.aside(group).is_empty() {
        return Vec::new();
    }
    let files = files.group(group);
    let bytes: u64 = files.iter().map(|open| open.entry.len).sum();
    let givable = files.iter().all(|open| {
        let mut databases = open.entry.collections.iter().map(|name| name.database());
        open.file.is_ok()
            && open.entry.len <= SNAPSHOT_FILE_BYTES_MAX
            && databases.all(|name| allowed(group, name))
    });
    if !givable || !is_worth(bytes, held) {
        return Vec::new();
    }
    let file = |open: &OpenFile| {
        let (len, digest) = (open.entry.len, Digest(open.entry.blake3));
        (SnapshotFile { group, len, digest }, open.clone())
    };
    files.iter().map(file).collect()
}
