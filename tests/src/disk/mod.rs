//! A disk in memory that fails on demand and forgets at a crash what was not synced.
//!
//! It keeps two images. The *live* one is what the running process sees. The *durable* one is what
//! surely survives; between them lie, in order, the data writes and length changes of each file and
//! the name changes of each directory that no sync has made durable. A sync of a file
//! settles its data and length, not its name; one of a directory settles the names in it, not its
//! own. A crash keeps any subset of the rest ([`SimDisk::crash_states`]).
//!
//! Besides, faults can be planned ([`SimDisk::fail`]), space can be limited, and bytes at rest can
//! be damaged. What it does not simulate: permissions, renamed directories, directories opened as
//! files, garbage (as opposed to zeros or old bytes) where a write was lost, and time.
//!
//! Threads: one lock around everything; a call is atomic.

mod content;
mod crash;
mod damage;
mod directory;
mod fault;
mod journal;
mod sweep;
mod trace;
mod tree;

pub use crash::CrashStates;
pub use fault::{
    At, Call, EBADF, EEXIST, EFBIG, EINTR, EINVAL, EIO, EISDIR, EMFILE, ENFILE, ENOENT, ENOSPC,
    ENOTDIR, Fault, Part, is_killed,
};
pub use sweep::{Sweep, sweep};
pub use trace::{Detail, Trace, Traced};

use crash::{Origin, Pick};
use directory::NodeId;
use fault::{Plan, killed, os_error};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_engine::disk::{Disk, DiskFile, OpenMode, Sealed};
use tree::{Node, Tree};

/// A simulated disk. Clones are the same disk; [`Self::restart`] and the crashes make new ones.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    tree: Tree,
    plan: Plan,
    trace: Trace,
    locks: BTreeSet<NodeId>,
    capacity: Option<u64>,
    dead: bool,
    origin: Option<Origin>,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::from_tree(Tree::new(), None)
    }

    fn from_tree(tree: Tree, origin: Option<Origin>) -> Self {
        SimDisk(Arc::new(Mutex::new(State {
            tree,
            plan: Plan::default(),
            trace: Trace::default(),
            locks: BTreeSet::new(),
            capacity: None,
            dead: false,
            origin,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a fault.
    pub fn fail(&self, at: At, fault: Fault) {
        self.state().plan.add(at, fault);
    }

    /// Plans a fault for the call with this number ([`Self::calls`] once it has returned).
    ///
    /// # Panics
    /// When so many calls were made already.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        let mut state = self.state();
        let made = state.plan.calls;
        assert!(number > made, "call {number} is past: {made} were made");
        state.plan.add(At::nth(number - made), fault);
    }

    /// No planned fault happens any more. A dead process stays dead.
    pub fn heal(&self) {
        self.state().plan.heal();
    }

    /// Files that have a name may hold so many bytes together; `None` lifts the limit. A write that
    /// fits in part stores that part, as a real one does; one that fits not at all is `ENOSPC`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes in files that have a name.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.state().tree.live_bytes()
    }

    /// The process dies now: every later call fails and does nothing.
    pub fn kill(&self) {
        self.state().dead = true;
    }

    /// Has the process died?
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().plan.calls
    }

    /// How many calls of one kind were made.
    #[must_use]
    pub fn calls_of(&self, call: Call) -> u64 {
        self.state().plan.by_call.get(&call).copied().unwrap_or(0)
    }

    /// How many faults have met a call.
    #[must_use]
    pub fn faults_fired(&self) -> u64 {
        self.state().plan.fired
    }

    /// How many files are open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        let state = self.state();
        let handles = |node: &Node| match node {
            Node::File(content) => Arc::strong_count(&content.handles) - 1,
            Node::Directory(_) => 0,
        };
        state.tree.nodes.values().map(handles).sum()
    }

    /// The latest calls, for printing when a test fails.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    /// What became of each un-synced operation in the crash that left this disk; empty when it
    /// comes from none.
    #[must_use]
    pub fn history(&self) -> String {
        self.state().origin.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// The machine lives on and the process does not (`SIGKILL`): a disk with all that this one
    /// shows, un-synced operations still un-synced, no locks held, counters at zero, no faults.
    #[must_use]
    pub fn restart(&self) -> SimDisk {
        Self::from_tree(self.state().tree.without_handles(), None)
    }

    /// The disks that a power failure at this moment may leave behind; see [`CrashStates`].
    #[must_use]
    pub fn crash_states(&self, limit: usize) -> CrashStates {
        CrashStates::new(&self.state().tree, limit)
    }

    /// One of them, chosen by a seed. Sectors are torn in any subset.
    #[must_use]
    pub fn random_crash(&self, seed: u64) -> SimDisk {
        crash::random(&self.state().tree, seed)
    }

    /// The one where every operation survives, and is durable now.
    #[must_use]
    pub fn crash_keep_all(&self) -> SimDisk {
        crash::uniform(&self.state().tree, Pick::Keep)
    }

    /// The one where nothing survives but what was synced.
    #[must_use]
    pub fn crash_lose_all(&self) -> SimDisk {
        crash::uniform(&self.state().tree, Pick::Lose)
    }

    /// Counts a call, lets it happen as far as the fault allows, and reports what the fault wants.
    fn call<T>(
        &self,
        call: Call,
        path: &str,
        detail: Detail,
        act: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        if state.dead {
            return Err(killed());
        }
        let to = if let Detail::To(to) = &detail { to } else { path };
        let fault = state.plan.count(call, [path, to]);
        let number = state.plan.calls;
        let done = act(&mut state, fault);
        let failed = match fault {
            Some(Fault::Error(error) | Fault::Partial { error, .. }) => Some(os_error(error)),
            Some(Fault::Kill(_)) => {
                state.dead = true;
                Some(killed())
            }
            _ => None,
        };
        let error = failed.as_ref().or(done.as_ref().err()).map(ToString::to_string);
        state.trace.push(Traced { number, call, path: path.into(), detail, fault, error });
        // What was done may be a lock's guard, which locks the state when nobody gets it.
        drop(state);
        failed.map_or(done, Err)
    }

    /// A call that happens whole or, when it fails or the process dies before, not at all.
    fn whole<T>(
        &self,
        call: Call,
        path: &str,
        detail: Detail,
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.call(call, path, detail, |state, fault| match fault {
            Some(Fault::Error(_) | Fault::Kill(Part::Nothing | Part::Bytes(_))) => Err(killed()),
            _ => act(state),
        })
    }

    fn handle(&self, state: &State, node: NodeId, path: &str, writable: bool) -> SimFile {
        let open = Arc::clone(&state.tree.content(node).handles);
        SimFile { disk: self.clone(), node, path: path.into(), writable, _open: open }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let (calls, dead) = (state.plan.calls, if state.dead { ", dead" } else { "" });
        let open = crash::points(&state.tree).len();
        write!(f, "SimDisk({calls} calls, {open} operations not durable{dead})")
    }
}

impl Disk for SimDisk {
    fn place(&self) -> String {
        "simulated disk".into()
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.whole(Call::CreateDir, path, Detail::None, |state| state.tree.create_dir(path))
    }

    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let call = if mode == OpenMode::CreateNew { Call::Create } else { Call::Open };
        self.whole(call, path, Detail::None, |state| {
            let node = match mode {
                OpenMode::CreateNew => state.tree.create(path)?,
                OpenMode::Write | OpenMode::Read => state.tree.find_file(path)?,
            };
            let file = self.handle(state, node, path, mode != OpenMode::Read);
            Ok(Arc::new(file) as Arc<dyn DiskFile>)
        })
    }

    fn open_sealed(&self, path: &str) -> io::Result<Sealed> {
        self.whole(Call::OpenSealed, path, Detail::None, |state| {
            let node = state.tree.find_file(path)?;
            let len = state.tree.content(node).len();
            Ok(Sealed::file(Arc::new(self.handle(state, node, path, false)), len))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.whole(Call::Rename, from, Detail::To(to.into()), |state| state.tree.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.whole(Call::Remove, path, Detail::None, |state| state.tree.remove(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.whole(Call::List, path, Detail::None, |state| state.tree.list(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.call(Call::SyncDir, path, Detail::None, |state, fault| {
            let node = state.tree.find(path)?;
            state.tree.directory(node)?;
            match fault {
                None | Some(Fault::Kill(Part::Whole)) => state.tree.sync_dir(node),
                Some(Fault::Error(_)) => state.tree.fail_sync_dir(node),
                Some(_) => {}
            }
            Ok(())
        })
    }

    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.whole(Call::Lock, path, Detail::None, |state| {
            let node = match state.tree.find_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => state.tree.create(path)?,
                node => node?,
            };
            if !state.locks.insert(node) {
                return Ok(None);
            }
            let file = self.handle(state, node, path, true);
            Ok(Some(Box::new(Held(file)) as Box<dyn Send + Sync>))
        })
    }
}

/// The guard of a lock. It holds the disk it was taken on, so the guard of a dead process does not
/// touch the locks of the next one.
struct Held(SimFile);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.disk.state().locks.remove(&self.0.node);
    }
}

struct SimFile {
    disk: SimDisk,
    node: NodeId,
    /// The path it was opened by; it may have another by now.
    path: Arc<str>,
    writable: bool,
    _open: Arc<()>,
}

impl SimFile {
    /// Stores the first `part` of `bytes` as far as there is room, and says how many.
    fn store(&self, state: &mut State, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let len = state.tree.content(self.node).len();
        let fits = match state.capacity {
            None => bytes.len(),
            Some(capacity) => {
                let room = capacity.saturating_sub(state.tree.live_bytes());
                let end = len.saturating_add(room).saturating_sub(offset);
                bytes.len().min(usize::try_from(end).unwrap_or(usize::MAX))
            }
        };
        if fits == 0 && !bytes.is_empty() {
            return Err(os_error(ENOSPC));
        }
        state.tree.write(self.node, &bytes[..fits], offset)?;
        Ok(fits)
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let detail = Detail::Span(offset, bytes.len());
        self.disk.call(Call::Write, &self.path, detail, |state, fault| {
            if !self.writable {
                return Err(os_error(EBADF));
            }
            let part = match fault {
                None | Some(Fault::Kill(Part::Whole) | Fault::LyingSync) => bytes.len(),
                Some(Fault::Error(_) | Fault::Kill(Part::Nothing)) => 0,
                Some(
                    Fault::Partial { bytes: part, .. }
                    | Fault::Short(part)
                    | Fault::LyingWrite { bytes: part }
                    | Fault::Kill(Part::Bytes(part)),
                ) => part.min(bytes.len()),
            };
            let stored = self.store(state, &bytes[..part], offset)?;
            if let Some(Fault::LyingWrite { .. }) = fault {
                state.tree.grow(self.node, offset + bytes.len() as u64);
                return Ok(bytes.len());
            }
            Ok(stored)
        })
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let detail = Detail::Span(offset, bytes.len());
        self.disk.call(Call::Read, &self.path, detail, |state, fault| {
            let most = if let Some(Fault::Short(most)) = fault { most } else { usize::MAX };
            let live = &state.tree.content(self.node).live;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(live.len());
            let len = bytes.len().min(live.len() - start).min(most);
            bytes[..len].copy_from_slice(&live[start..start + len]);
            Ok(len)
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.whole(Call::Len, &self.path, Detail::None, |state| {
            Ok(state.tree.content(self.node).len())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.whole(Call::SetLen, &self.path, Detail::Len(len), |state| {
            if !self.writable {
                return Err(os_error(EINVAL));
            }
            let grown = len.saturating_sub(state.tree.content(self.node).len());
            let used = state.tree.live_bytes();
            if grown > 0 && state.capacity.is_some_and(|most| used.saturating_add(grown) > most) {
                return Err(os_error(ENOSPC));
            }
            state.tree.set_len(self.node, len)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call(Call::Sync, &self.path, Detail::None, |state, fault| {
            match fault {
                None | Some(Fault::Kill(Part::Whole)) => state.tree.sync(self.node),
                Some(Fault::Error(_)) => state.tree.fail_sync(self.node),
                Some(_) => {}
            }
            Ok(())
        })
    }
}
