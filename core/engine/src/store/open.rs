//! Opening a store: lock, manifest, log, files; in that order, and every step can be repeated.

use super::apply::{newest_stamp, observe};
use super::catalog::Catalog;
use super::check_file::Checked;
use super::pending::Pending;
use super::room::Room;
use super::snapshot::{has_partials, take_back};
use super::stamps::{Stamps, ceiling_after};
use super::stats::Counters;
use super::{Inner, Lock};
use crate::disk::{Disk, OpenMode};
use crate::error::{EditProblem, ManifestProblem, OpenError};
use crate::files::{AnyFile, Broken, FileSet, Open};
use crate::group::{GroupFile, IndexCache, ReadError, directory, file_path, parse_file_name};
use crate::ids::{LogEnd, Tier};
use crate::log::FrameInfo;
use crate::manifest::{
    Change, FileEntry, Manifest, ManifestError, Mode, Opening, State, decode_tombstone,
};
use crate::memory::Memory;
use crate::nodes::{NodeCache, NodeFile};
use crate::options::Options;
use crate::query::LatestCache;
use crate::upkeep::Threads;
use crate::wal::{
    self, AppliedPayload, Identity, KIND_APPLIED, KIND_ROWS, KIND_TOMBSTONE, Recovered,
    RowsPayload, Wal,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use tidelog_model::{GroupId, Incarnation, Position, Stamp, StoreId};

/// What recovery found when a store was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Writes and deletes read back from the log.
    pub log_records: u64,
    /// Their bytes.
    pub log_bytes: u64,
    /// Bytes of an unfinished append that were cut off the log: nobody was told they are durable.
    pub torn_bytes: u64,
    /// What is damaged: file, and what is wrong with it. Copied to `quarantine/` where it was cut out.
    pub damage: Vec<(String, String)>,
    /// Milliseconds that the latest stamp is ahead of the wall clock: the clock went back.
    pub clock_behind_millis: u64,
    /// Files that no manifest lists, left over from unfinished work, and removed.
    pub swept: u64,
}

impl OpenReport {
    /// Is all as it should be?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }
}

pub(super) const QUARANTINE: &str = "quarantine";
/// Quarantine keeps at most so many bytes; beyond, damage is reported but not copied.
pub(super) const QUARANTINE_BYTES_MAX: u64 = 1 << 30;
pub(super) const GROUPS_DEFAULT: u32 = 8;
const GROUPS_MAX: u32 = 4096;
/// A reader beside a writer starts over this often when files vanish under it.
const READER_TRIES: usize = 64;

impl Inner {
    pub(super) fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        if options.read_only {
            for _ in 1..READER_TRIES {
                match Self::open_reader(Arc::clone(&disk), options.clone()) {
                    Err(OpenError::Io { source, .. })
                        if source.kind() == io::ErrorKind::NotFound => {}
                    other => return other,
                }
            }
            return Self::open_reader(disk, options);
        }
        Self::open_writer(disk, options)
    }

    fn open_writer(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let place = disk.place();
        if options.max_bytes.is_some() && !options.ring {
            // There is nobody to hold what is given up yet.
            return Err(OpenError::OnlyHolder { place });
        }
        let io = |source| OpenError::Io { place: place.clone(), source };
        let fresh = is_fresh(&*disk).map_err(io)?;
        if fresh && !options.create {
            return Err(OpenError::Missing { place });
        }
        let Some(lock) = disk.lock("LOCK").map_err(io)? else {
            return Err(OpenError::Locked { place });
        };
        let mut report = OpenReport::default();
        // Again under the lock: another process may just have created it.
        let mut manifest = if is_fresh(&*disk).map_err(io)? {
            create(&disk, &options)?
        } else {
            let (manifest, found) = Manifest::open(Arc::clone(&disk), Mode::ReadWrite)
                .map_err(|error| manifest_error(&place, error))?;
            let damage = found.damage.into_iter();
            report.damage.extend(damage.map(|damage| (damage.file, damage.what)));
            report.torn_bytes += found.cut_bytes;
            manifest
        };
        check_groups(&place, &options, manifest.state())?;
        let memory = Memory::default();
        let mut catalog = Catalog::new(manifest.state());
        let mut cursors = manifest.state().cursors.clone();
        let into = (&memory, &mut catalog, &mut cursors);
        let (recovered, newest) = replay(&*disk, manifest.state(), into).map_err(io)?;
        report.log_records = recovered.frames;
        report.log_bytes = recovered.bytes;
        report.torn_bytes += recovered.torn_bytes;
        settle_log(&*disk, &recovered, &mut report).map_err(io)?;

        let now = options.clock.wall_millis();
        let last = last_stamp(manifest.state(), newest);
        report.clock_behind_millis = newest.millis().saturating_sub(now);
        let incarnation = Incarnation(options.entropy.id().map_err(io)?);
        let ordinal = manifest.state().openings.last().map_or(0, |opening| opening.ordinal + 1);
        let ceiling = ceiling_after(last, now).max(manifest.state().ceiling);
        let mut edit: Vec<Change> = log_end(manifest.state(), &recovered).into_iter().collect();
        edit.extend([Change::Opened(Opening { ordinal, incarnation }), Change::Ceiling(ceiling)]);
        manifest.append(&edit).map_err(|error| OpenError::Edit(EditProblem(error)))?;
        let state = Arc::clone(manifest.state());
        let files = open_files(&*disk, &state)?;
        for file in files.all() {
            if let Some(broken) = file.broken() {
                report.damage.push((broken.path.clone(), broken.what.clone()));
            }
        }
        if options.strict && !report.damage.is_empty() {
            let what: Vec<String> =
                report.damage.iter().map(|(file, what)| format!("{file}: {what}")).collect();
            return Err(OpenError::Damaged { place, what: what.join("; ") });
        }
        sweep(&*disk, &state, &mut report).map_err(io)?;

        let identity = Identity { store: state.store, incarnation, ordinal };
        let wal = Wal::new(Arc::clone(&disk), identity, options.segment_bytes);
        let old_segments = recovered.segments.keys().copied().collect();
        let stamps = Stamps::new(last, ceiling);
        let wal = Some(Arc::new(wal));
        let partials = has_partials(&*disk).map_err(io)?;
        let parts = Parts { wal, memory, catalog, stamps, cursors, lock: Some(lock), partials };
        Ok(Self::assemble(disk, options, manifest, files, parts, report, old_segments))
    }

    fn open_reader(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let place = disk.place();
        let io = |source| OpenError::Io { place: place.clone(), source };
        // As a writer that may not create one says it: a path that leads elsewhere is no damage.
        if is_fresh(&*disk).map_err(io)? {
            return Err(OpenError::Missing { place });
        }
        let (manifest, found) = Manifest::open(Arc::clone(&disk), Mode::ReadOnly)
            .map_err(|error| manifest_error(&place, error))?;
        check_groups(&place, &options, manifest.state())?;
        let memory = Memory::default();
        let mut catalog = Catalog::new(manifest.state());
        let mut cursors = manifest.state().cursors.clone();
        let into = (&memory, &mut catalog, &mut cursors);
        let (recovered, newest) = replay(&*disk, manifest.state(), into).map_err(io)?;
        let files = open_files(&*disk, manifest.state())?;
        // A writer may have flushed or compacted meanwhile, and deleted segments or files that this manifest
        // still counts on: a newer one knows where their rows and deletes went.
        let again = Manifest::open(Arc::clone(&disk), Mode::ReadOnly)
            .map_err(|error| manifest_error(&place, error))?;
        let now = again.0.state();
        if now.covered != manifest.state().covered || now.openings != manifest.state().openings {
            return Err(io(io::ErrorKind::NotFound.into()));
        }
        let vanished = |file: AnyFile| file.broken().is_some_and(|broken| broken.what == MISSING);
        if files.all().any(vanished) && now.number != manifest.state().number {
            return Err(io(io::ErrorKind::NotFound.into()));
        }
        let mut report = OpenReport {
            log_records: recovered.frames,
            log_bytes: recovered.bytes,
            torn_bytes: recovered.torn_bytes,
            ..OpenReport::default()
        };
        report.damage.extend(found.damage.into_iter().map(|damage| (damage.file, damage.what)));
        let lost = recovered.damage.iter();
        report.damage.extend(lost.map(|damage| (damage.path.clone(), damage.what.to_owned())));
        for file in files.all() {
            if let Some(broken) = file.broken() {
                report.damage.push((broken.path.clone(), broken.what.clone()));
            }
        }
        let stamps = Stamps::new(newest, Stamp::ZERO);
        let (wal, lock, partials) = (None, None, false);
        let parts = Parts { wal, memory, catalog, stamps, cursors, lock, partials };
        Ok(Self::assemble(disk, options, manifest, files, parts, report, Vec::new()))
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        options: Options,
        manifest: Manifest,
        files: FileSet,
        parts: Parts,
        report: OpenReport,
        old_segments: Vec<(u32, u32)>,
    ) -> Self {
        let manifest_next_file = manifest.state().next_file.0;
        let groups = manifest.state().groups;
        Inner {
            disk,
            store_id: manifest.state().store,
            groups,
            wal: parts.wal,
            memory: parts.memory,
            files: Mutex::new(files),
            manifest: Mutex::new(manifest),
            catalog: Mutex::new(parts.catalog),
            cache: Arc::new(IndexCache::new(options.cache_budget / 4 * 3)),
            node_cache: Arc::new(NodeCache::new(options.cache_budget / 4)),
            node_damage: Arc::default(),
            latest: LatestCache::default(),
            pending: Pending::default(),
            cursors: Mutex::new(parts.cursors),
            placed: super::placed::Placed::new(groups),
            agreed: std::sync::atomic::AtomicU64::default(),
            stamps: parts.stamps,
            cutting: std::sync::atomic::AtomicUsize::default(),
            schema: Mutex::default(),
            last_sync: Mutex::default(),
            next_file: manifest_next_file.into(),
            directories: Mutex::default(),
            sealed: Mutex::default(),
            open_leaves: Mutex::default(),
            counters: Counters::default(),
            threads: Threads::default(),
            upkeep: Mutex::default(),
            room: Room::new(options.memory_budget),
            leases: Default::default(),
            partials: parts.partials.into(),
            closed: false.into(),
            lock: Mutex::new(parts.lock.map(Lock)),
            report,
            old_segments: Mutex::new(old_segments),
            options,
        }
    }
}

struct Parts {
    wal: Option<Arc<Wal>>,
    memory: Memory,
    catalog: Catalog,
    stamps: Stamps,
    cursors: BTreeMap<StoreId, Position>,
    lock: Option<Box<dyn Send + Sync>>,
    partials: bool,
}

/// Is there no store here, and nothing that looks like the rest of one?
pub(super) fn is_fresh(disk: &dyn Disk) -> io::Result<bool> {
    let ours = |name: &String| {
        name.starts_with("MANIFEST-") && !name.ends_with(".tmp") || name.starts_with("group-")
    };
    Ok(!disk.list("")?.iter().any(ours) && disk.list("wal")?.is_empty())
}

fn create(disk: &Arc<dyn Disk>, options: &Options) -> Result<Manifest, OpenError> {
    let place = disk.place();
    let io = |source| OpenError::Io { place: place.clone(), source };
    let groups = options.groups.unwrap_or(GROUPS_DEFAULT);
    if groups == 0 || groups > GROUPS_MAX {
        return Err(OpenError::Groups { place, found: GROUPS_DEFAULT, asked: groups });
    }
    disk.create_dir("wal").map_err(io)?;
    disk.sync_dir("").map_err(io)?;
    let store = StoreId(options.entropy.id().map_err(io)?);
    Manifest::create(Arc::clone(disk), State::new(store, groups))
        .map_err(|error| manifest_error(&place, error))
}

fn check_groups(place: &str, options: &Options, state: &State) -> Result<(), OpenError> {
    match options.groups {
        Some(asked) if asked != state.groups => {
            Err(OpenError::Groups { place: place.to_owned(), found: state.groups, asked })
        }
        _ => Ok(()),
    }
}

pub(super) fn manifest_error(place: &str, error: ManifestError) -> OpenError {
    match error {
        ManifestError::Io { source, .. } => OpenError::Io { place: place.to_owned(), source },
        other => OpenError::Manifest(ManifestProblem(other)),
    }
}

/// Reads the log back into memory; the greatest stamp that was met.
fn replay(
    disk: &dyn Disk,
    state: &State,
    (memory, catalog, cursors): (&Memory, &mut Catalog, &mut BTreeMap<StoreId, Position>),
) -> io::Result<(Recovered, Stamp)> {
    let openings: Vec<(u32, Incarnation)> =
        state.openings.iter().map(|opening| (opening.ordinal, opening.incarnation)).collect();
    let files = state.files.values().map(|file| file.stamps.1);
    let tombstones = state.tombstones.iter().map(|tombstone| tombstone.version.stamp);
    let mut newest = files.chain(tombstones).max().unwrap_or_default();
    let mut apply = |_: u32, frame: FrameInfo, payload: &[u8]| {
        match frame.kind {
            KIND_ROWS => {
                let subs = RowsPayload::read(payload).map_err(|error| error.0)?;
                if subs.iter().any(|sub| sub.group().1 != state.groups) {
                    return Err("a record is of another number of groups");
                }
                for sub in &subs {
                    newest = newest.max(sub.version().stamp);
                    observe(catalog, sub);
                }
                memory.apply(&subs, || ());
            }
            KIND_APPLIED => {
                let record = AppliedPayload::read(payload).map_err(|error| error.0)?;
                if record.subs.iter().any(|sub| sub.group().1 != state.groups) {
                    return Err("a record is of another number of groups");
                }
                newest = newest.max(newest_stamp(&record.tombstones, &record.subs));
                for tombstone in record.tombstones {
                    catalog.add_tombstone(Arc::new(tombstone));
                }
                record.subs.iter().for_each(|sub| observe(catalog, sub));
                memory.apply(&record.subs, || ());
                // What was taken of a store that was forgotten since stands in the log still.
                let cursor = record.cursor.filter(|(origin, _)| !state.forgotten.contains(origin));
                cursors.extend(cursor);
            }
            KIND_TOMBSTONE => {
                let encoded = wal::read_tombstone_payload(payload).map_err(|error| error.0)?;
                let tombstone = decode_tombstone(encoded).map_err(|error| error.0)?;
                newest = newest.max(tombstone.version.stamp);
                catalog.add_tombstone(Arc::new(tombstone));
            }
            wal::KIND_END => {}
            _ => return Err("a record is of an unknown kind"),
        }
        Ok(())
    };
    let recovered =
        wal::recover(disk, state.store, state.covered, &openings, &state.ends, &mut apply)?;
    Ok((recovered, newest))
}

/// After which stamp the next one is drawn: after any that may have been drawn before.
///
/// A store that was closed has logged every write that it stamped, so the newest of those is known. One that was not may have
/// drawn any up to the ceiling.
fn last_stamp(state: &State, newest: Stamp) -> Stamp {
    // An opening that logged nothing says nothing of the one before it.
    let end_of = |opening: &Opening| state.ends.get(&opening.ordinal);
    let logged = |opening: &&Opening| end_of(opening).is_none_or(|end| end.offset > 0);
    let closed = match state.openings.iter().rev().find(logged) {
        Some(opening) => end_of(opening).is_some(),
        // What is forgotten may have ended in any way.
        None => state.openings.first().is_some_and(|first| first.ordinal == 0),
    };
    if !closed {
        return newest.max(state.ceiling);
    }
    let options = state.collections.values().map(|entry| entry.options_version.stamp);
    options.fold(newest, Stamp::max)
}

/// Where the log of the opening before this one ends, unless it said so itself: a last segment that is
/// lost later is missed then.
fn log_end(state: &State, recovered: &Recovered) -> Option<Change> {
    let ordinal = state.openings.last()?.ordinal;
    let (_, segment) = *recovered.segments.range((ordinal, 0)..=(ordinal, u32::MAX)).next_back()?.0;
    let said = state.ends.contains_key(&ordinal) || recovered.end.ordinal != ordinal;
    let end = LogEnd { offset: recovered.end.offset, segment };
    (!said).then_some(Change::Ended(ordinal, end))
}

/// Copies damage to quarantine, cuts off the torn tail, and makes durable what was read: from now on
/// this opening's log counts on it.
fn settle_log(disk: &dyn Disk, recovered: &Recovered, report: &mut OpenReport) -> io::Result<()> {
    for damage in &recovered.damage {
        report.damage.push((damage.path.clone(), damage.what.to_owned()));
        if let Some((from, to)) = damage.bytes
            && to > from
        {
            quarantine_copy(disk, &damage.path, from, to)?;
        }
    }
    // One with bytes in doubt is cut by its copy.
    if let Some((path, len)) = &recovered.torn
        && recovered.doubtful.iter().all(|segment| segment.path != *path)
    {
        disk.open(path, OpenMode::Write)?.set_len(*len)?;
    }
    for path in &recovered.beyond {
        quarantine_move(disk, path)?;
    }
    wal::sweep_unfinished(disk)?;
    for segment in &recovered.doubtful {
        wal::renew(disk, segment)?;
    }
    for (ordinal, index) in recovered.segments.keys() {
        disk.open(&wal::segment_path(*ordinal, *index), OpenMode::Write)?.sync()?;
    }
    disk.sync_dir("wal")
}

/// Makes the directory, and its name durable: else a crash could take it with all that was moved there.
pub(super) fn make_quarantine(disk: &dyn Disk) -> io::Result<()> {
    disk.create_dir(QUARANTINE)?;
    disk.sync_dir("")
}

fn quarantine_copy(disk: &dyn Disk, path: &str, from: u64, to: u64) -> io::Result<()> {
    make_quarantine(disk)?;
    if quarantine_bytes(disk)? + (to - from) > QUARANTINE_BYTES_MAX {
        return Ok(());
    }
    let name = format!("{QUARANTINE}/{}.{from}-{to}", path.replace('/', "_"));
    let file = match disk.open(&name, OpenMode::CreateNew) {
        // Recovery was here before and did not get further.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    };
    let source = disk.open(path, OpenMode::Read)?;
    let end = to.min(source.len()?);
    let mut buffer = vec![0; 1 << 16];
    let mut at = from;
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(buffer.len()).min(buffer.len());
        source.read_exact_at(&mut buffer[..len], at)?;
        file.write_all_at(&buffer[..len], at - from)?;
        at += len as u64;
    }
    file.sync()?;
    disk.sync_dir(QUARANTINE)
}

pub(super) fn quarantine_bytes(disk: &dyn Disk) -> io::Result<u64> {
    let mut bytes = 0;
    for name in disk.list(QUARANTINE)? {
        bytes += disk.open(&format!("{QUARANTINE}/{name}"), OpenMode::Read)?.len()?;
    }
    Ok(bytes)
}

pub(super) fn quarantine_move(disk: &dyn Disk, path: &str) -> io::Result<()> {
    make_quarantine(disk)?;
    let name = quarantine_name(disk, path)?;
    disk.rename(path, &name)?;
    disk.sync_dir(QUARANTINE)?;
    disk.sync_dir(crate::disk::directory_of(path))
}

/// A name in quarantine that nothing has yet: what lies there is never replaced.
pub(super) fn quarantine_name(disk: &dyn Disk, path: &str) -> io::Result<String> {
    let taken = disk.list(QUARANTINE)?;
    let plain = path.replace('/', "_");
    let mut name = plain.clone();
    let mut number = 1;
    while taken.contains(&name) {
        name = format!("{plain}.{number}");
        number += 1;
    }
    Ok(format!("{QUARANTINE}/{name}"))
}

pub(super) const MISSING: &str = "the file is missing";

pub(super) fn open_files(disk: &dyn Disk, state: &Arc<State>) -> Result<FileSet, OpenError> {
    let mut files = Vec::with_capacity(state.files.len());
    for entry in state.files.values() {
        let path = file_path(entry.group, entry.tier, entry.id);
        let entry = Arc::clone(entry);
        files.push(if entry.tier == Tier::Raw {
            AnyFile::Rows(opened::<GroupFile>(disk, path, entry, state)?)
        } else {
            AnyFile::Nodes(opened::<NodeFile>(disk, path, entry, state)?)
        });
    }
    Ok(FileSet::new(Arc::clone(state), files))
}

/// A file, or why it cannot be read; only what a later version wrote keeps the store from opening.
fn opened<F: Checked>(
    disk: &dyn Disk,
    path: String,
    entry: Arc<FileEntry>,
    state: &State,
) -> Result<Open<F>, OpenError> {
    let file = match F::open(disk, &path) {
        Ok(file) => file.identified(&entry, state),
        Err(error @ ReadError::TooNew { .. }) => return Err(OpenError::TooNew(error)),
        Err(ReadError::Damaged { what, .. }) => Err(what.to_owned()),
        Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(MISSING.to_owned())
        }
        Err(ReadError::Io { source, .. }) => Err(source.to_string()),
        Err(other) => Err(other.to_string()),
    };
    Ok(Open { entry, file: file.map_err(|what| Broken { path, what }) })
}

/// Removes what unfinished work left over: temporary files, and files that the manifest does not list.
/// With damage anywhere, unlisted files are moved to quarantine instead: they may be all there is.
fn sweep(disk: &dyn Disk, state: &State, report: &mut OpenReport) -> io::Result<()> {
    let groups = (0..state.groups).map(GroupId);
    for (group, tier) in groups.flat_map(|group| Tier::ALL.map(|tier| (group, tier))) {
        let directory = directory(group, tier);
        for name in disk.list(&directory)? {
            let path = format!("{directory}/{name}");
            let listed = parse_file_name(&name).is_some_and(|id| state.files.contains_key(&id));
            if name.ends_with(".tmp") {
                disk.remove(&path)?;
            } else if listed || parse_file_name(&name).is_none() {
                continue;
            } else if report.damage.is_empty() {
                if tier == Tier::Raw && take_back(disk, &path, state.store)? {
                    continue;
                }
                disk.remove(&path)?;
            } else {
                quarantine_move(disk, &path)?;
            }
            report.swept += 1;
        }
    }
    Ok(())
}
