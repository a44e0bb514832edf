//! How a store is opened: plain data with defaults, and the three seams.

use crate::clock::{Clock, Entropy, System};
use crate::disk::{Disk, FileDisk};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// When a write is acknowledged, and what may be lost after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// After an fsync that covers it: survives power loss. Concurrent writers share one fsync.
    #[default]
    Sync,
    /// When the operating system has it; an fsync follows within this time. Survives the end of the
    /// process. Power loss may take the writes of the last interval.
    Interval(Duration),
    /// When the operating system has it. Survives the end of the process. Power loss may take what the
    /// system had not written yet: typically the last 30 seconds.
    Os,
}

/// Who flushes and compacts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Upkeep {
    /// Threads of the store: one that flushes and compacts, one that syncs for tickets and intervals.
    #[default]
    Background,
    /// Nobody but the caller: a write that fills memory flushes before it returns, tickets sync when
    /// they are waited for, intervals are kept by the next write after them, and only
    /// [`crate::Store::compact`] compacts. The store has no threads of its own.
    Caller,
}

/// How a store is opened.
///
/// ```no_run
/// use tidelog_engine::Options;
/// let store = Options::new().memory_budget(32 << 20).open("/var/lib/plant")?;
/// # Ok::<(), tidelog_engine::OpenError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    pub(crate) memory_budget: usize,
    pub(crate) cache_budget: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) groups: Option<u32>,
    pub(crate) read_only: bool,
    pub(crate) create: bool,
    pub(crate) strict: bool,
    pub(crate) map: bool,
    pub(crate) pyramid: bool,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) ring: bool,
    pub(crate) upkeep: Upkeep,
    pub(crate) clock_ahead_max: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            memory_budget: 128 << 20,
            cache_budget: 64 << 20,
            segment_bytes: 16 << 20,
            groups: None,
            read_only: false,
            create: true,
            strict: false,
            map: true,
            pyramid: true,
            max_bytes: None,
            ring: false,
            upkeep: Upkeep::Background,
            clock_ahead_max: Duration::from_secs(10),
            clock: Arc::new(System),
            entropy: Arc::new(System),
        }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that rows in memory may take, those of writes on their way included: when half is used they are flushed
    /// to files, and a writer waits until its batch fits. A batch that is larger than the whole budget is refused
    /// ([`crate::WriteError::TooLarge`]). 128 MiB unless set; at least 1 MiB.
    ///
    /// Not counted: the encoded form of a batch while it is applied (64 MiB at most), room that is held ready for up
    /// to 8,192 more rows of each collection and group, what queries and compaction take, and with the pyramid the rows
    /// of leaves that were not over when they were flushed (a quarter of the budget at most). So a process that only
    /// writes peaks at the budget, a quarter of it and 64 MiB.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes.max(1 << 20);
        self
    }

    /// Bytes that parsed indexes of files may take. 64 MiB unless set.
    #[must_use]
    pub fn cache_budget(mut self, bytes: usize) -> Self {
        self.cache_budget = bytes;
        self
    }

    /// Whether the store keeps the pyramid up to date by itself: rollups and digests, made when files have piled up,
    /// when nobody writes, and before files are merged. Without it queries and digests read rows, which is right
    /// and slower; [`crate::Store::seal`] makes it on demand. On unless set.
    #[must_use]
    pub fn pyramid(mut self, pyramid: bool) -> Self {
        self.pyramid = pyramid;
        self
    }

    /// Bytes that files may take, for ever unless set; at least 1 MiB. Beyond them the oldest windows are *evicted*, whole leaf
    /// windows with all their rollups, down to nine tenths; not the newest window, whatever it takes. An eviction is
    /// logged and counted ([`crate::Stats::rows_evicted`]), and rows before it are refused from then on.
    ///
    /// The log comes on top (the memory budget and two segments), and while files are written anew, the longest of
    /// them. A store that is the only holder of its data is refused a bound, unless losing the oldest is what is wanted:
    /// see [`Self::ring`].
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes.max(1 << 20));
        self
    }

    /// Makes a store with [`Self::max_bytes`] a ring, as a flight recorder is: its oldest data is given up though no other store
    /// holds it. Off unless set.
    #[must_use]
    pub fn ring(mut self, ring: bool) -> Self {
        self.ring = ring;
        self
    }

    /// The log is cut into segments of about so many bytes. 16 MiB unless set; at least 64 KiB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.max(64 << 10);
        self
    }

    /// Over how many groups devices are spread: 8 unless set, 1 to 4,096. Fixed when a store is
    /// created; another number is refused afterwards.
    #[must_use]
    pub fn groups(mut self, groups: u32) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Opens for reading only, beside a writer if there is one: the newest state at the time of opening.
    /// Nothing is written, no lock is taken.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Creates the store when there is none (the default), or refuses.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Refuses to open when recovery finds damage, instead of opening without what is damaged and
    /// reporting it.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Reads files through memory maps (the default), or with plain reads: for network file systems, or
    /// directories that others may write to.
    #[must_use]
    pub fn map(mut self, map: bool) -> Self {
        self.map = map;
        self
    }

    /// Who flushes and compacts.
    #[must_use]
    pub fn upkeep(mut self, upkeep: Upkeep) -> Self {
        self.upkeep = upkeep;
        self
    }

    /// How far the stamps of a peer's writes may be ahead of the wall clock here; what is further is refused
    /// ([`crate::ApplyError::ClockAhead`]) until this clock has come near, for one clock that runs ahead must not drag all
    /// others with it. 10 s unless set.
    #[must_use]
    pub fn clock_ahead_max(mut self, most: Duration) -> Self {
        self.clock_ahead_max = most;
        self
    }

    /// Another clock, for simulation.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of ids, for simulation.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Opens the store in a directory of the operating system.
    ///
    /// # Errors
    /// See [`crate::OpenError`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<crate::Store, crate::OpenError> {
        let path = path.as_ref();
        if self.create && !self.read_only {
            create_root(path)?;
        }
        let disk = FileDisk::new(path, self.map);
        self.open_on(Arc::new(disk))
    }

    /// Opens the store on a disk.
    ///
    /// # Errors
    /// See [`crate::OpenError`].
    pub fn open_on(self, disk: Arc<dyn Disk>) -> Result<crate::Store, crate::OpenError> {
        crate::Store::open_on(disk, self)
    }
}

/// Makes the store's own directory, and its name durable in its parent.
pub(crate) fn create_root(path: &Path) -> Result<(), crate::OpenError> {
    let io = |source| crate::OpenError::Io { place: path.display().to_string(), source };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    let parent = FileDisk::new(parent, false);
    if parent.list("").map_err(io)?.iter().any(|known| known == name) {
        return Ok(());
    }
    parent.create_dir(name).and_then(|()| parent.sync_dir("")).map_err(io)
}
