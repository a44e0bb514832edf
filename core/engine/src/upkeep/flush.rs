//! Flush: a sealed generation of memory becomes one file per group, in one edit of the manifest.

use super::fresh::{Fresh, FreshlySealed};
use crate::codec::Effort;

use crate::error::UpkeepError;
use crate::files::{AnyFile, FileSet, Open};
use crate::group::{GroupFile, GroupWriter, Levelling, Written, directory, file_path};
use crate::ids::{FileId, LogPoint, Tier};
use crate::manifest::{Change, FileEntry};
use crate::memory::{Generation, Table};
use crate::nodes::NodeFile;
use crate::options::Upkeep;
use crate::pyramid::Sealed as LeavesSealed;
use crate::rows::{FieldKey, SeriesRows, hide};
use crate::store::Inner;
use crate::wal::segment_path;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_model::{CollectionName, GroupId, Stamp, TimeRange, Tombstone};

/// A generation that waits to be flushed.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) generation: Arc<Generation>,
    /// Everything in the log before this is in this generation or an earlier one.
    pub(crate) covered: LogPoint,
    /// The least stamp that was in flight when it was sealed.
    pub(crate) least_in_flight: Option<Stamp>,
}

/// So many series are taken out of memory before they are encoded: their rows lie side by side, and encoding one
/// pushes those of the next out of the processor's cache.
const GATHERED: usize = 8;

/// What a flush wrote of one group.
struct Flushed {
    rows: Written,
    fresh: FreshlySealed,
}

impl Flushed {
    fn files(&self) -> impl Iterator<Item = &Written> {
        std::iter::once(&self.rows).chain(&self.fresh.nodes)
    }
}

impl Inner {
    /// Flushes all of memory; what was sealed on the way.
    pub(crate) fn flush(&self) -> Result<LeavesSealed, UpkeepError> {
        let leaves = {
            let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            self.check_writable()?;
            self.seal();
            self.flush_sealed()?
        };
        self.evict_after_flush();
        Ok(leaves)
    }

    /// Flushes all of memory; the files that hold it, before anything else happens to them.
    pub(crate) fn flushed_files(&self) -> Result<FileSet, UpkeepError> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_writable()?;
        self.seal();
        self.flush_sealed()?;
        Ok(self.files())
    }

    /// Flushes if half the budget is used, or a write waits for what memory takes: for the thread, which may be
    /// woken late.
    pub(crate) fn flush_full(&self) -> Result<(), UpkeepError> {
        {
            let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            self.check_writable()?;
            let (active, _) = self.memory.heap_bytes();
            if active >= self.options.memory_budget / 2 || self.room.is_short_beside(active) {
                self.seal();
            }
            self.flush_sealed()?;
        }
        self.evict_after_flush();
        Ok(())
    }

    pub(crate) fn check_writable(&self) -> Result<(), UpkeepError> {
        if self.is_closed() {
            return Err(UpkeepError::Closed);
        }
        match &self.wal {
            None => Err(UpkeepError::ReadOnly),
            Some(wal) if wal.is_poisoned() => Err(UpkeepError::Poisoned),
            Some(_) => Ok(()),
        }
    }

    fn seal(&self) {
        let Some(wal) = &self.wal else { return };
        let sealed = self.memory.seal(|| {
            // The end first: a frame before it that is not in memory is known to be in flight.
            let end = wal.end();
            let (least_in_flight, start) = self.stamps.in_flight();
            let offset = start.map_or(end, |start| start.min(end));
            (LogPoint { ordinal: wal.identity().ordinal, offset }, least_in_flight)
        });
        if let Some((generation, (covered, least_in_flight))) = sealed {
            let sealed = Sealed { generation, covered, least_in_flight };
            self.sealed.lock().unwrap_or_else(PoisonError::into_inner).push_back(sealed);
        }
    }

    /// Flushes what is sealed, oldest first. The caller holds the upkeep lock.
    fn flush_sealed(&self) -> Result<LeavesSealed, UpkeepError> {
        let mut leaves = LeavesSealed::default();
        loop {
            let next = {
                let sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
                sealed.front().cloned()
            };
            let Some(next) = next else { return Ok(leaves) };
            let outcome = self.flush_generation(&next);
            match &outcome {
                Ok(_) => {
                    self.sealed.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    self.counters.flushes.fetch_add(1, Relaxed);
                    self.room.flush_ended(None);
                }
                Err(error) => {
                    self.counters.flush_failures.fetch_add(1, Relaxed);
                    self.room.flush_ended(Some(error.to_string()));
                }
            }
            leaves += outcome?;
        }
    }

    fn flush_generation(&self, sealed: &Sealed) -> Result<LeavesSealed, UpkeepError> {
        let span = tracing::debug_span!("flush", bytes = sealed.generation.heap_bytes());
        let _in = span.enter();
        let started = self.clock().monotonic();
        let groups = self.write_generation(sealed)?;
        let mut changes = self.catalog_changes();
        changes.push(Change::Covered(sealed.covered));
        changes.extend(groups.iter().flat_map(|group| group.fresh.changes.iter().cloned()));
        let written: Vec<Written> = groups.iter().flat_map(Flushed::files).cloned().collect();
        let published = self.publish(&written, &[], changes, |files| {
            self.memory.retire(&sealed.generation, || self.show(files));
        });
        if let Err(error) = published {
            self.discard_unpublished(&written, &error);
            return Err(error);
        }
        let mut leaves = LeavesSealed::default();
        for Flushed { rows, fresh } in groups {
            self.counters.flushed_bytes.fetch_add(rows.len, Relaxed);
            self.counters.flushed_rows.fetch_add(rows.summary.rows, Relaxed);
            self.counters.count_sealed(&fresh.sealed, &fresh.nodes, fresh.spent);
            self.keep_open_leaves(rows.group, fresh.open);
            leaves += fresh.sealed;
        }
        let nanos = self.clock().monotonic().saturating_sub(started).as_nanos();
        self.counters.flush_nanos.fetch_add(u64::try_from(nanos).unwrap_or(u64::MAX), Relaxed);
        // The rows are safe in files whatever happens to the segments now.
        if let Err(error) = self.release_log() {
            tracing::warn!(%error, "covered log segments could not be deleted yet");
        }
        Ok(leaves)
    }

    /// Adds files to the manifest and removes others, in one edit. `show` makes the set of files after it
    /// visible, before anyone else can make an edit: a set made from an older state would hide this one's.
    pub(crate) fn publish(
        &self,
        added: &[Written],
        removed: &[FileId],
        more: Vec<Change>,
        show: impl FnOnce(FileSet),
    ) -> Result<(), UpkeepError> {
        let mut opened = Vec::with_capacity(added.len());
        for file in added {
            let path = file_path(file.group, file.tier, file.id);
            let entry = Arc::new(entry_of(file));
            opened.push(if file.tier == Tier::Raw {
                let file = Ok(Arc::new(GroupFile::open(&*self.disk, &path)?));
                AnyFile::Rows(Open { entry, file })
            } else {
                let file = Ok(Arc::new(NodeFile::open(&*self.disk, &path)?));
                AnyFile::Nodes(Open { entry, file })
            });
        }
        let mut manifest = self.manifest();
        let mut edit = Vec::new();
        let next = added.iter().map(|file| FileId(file.id.0 + 1)).max();
        let next = next.filter(|next| *next > manifest.state().next_file);
        edit.extend(next.map(Change::NextFile));
        edit.extend(opened.iter().map(|file| Change::AddFile(Arc::clone(file.entry()))));
        edit.extend(removed.iter().map(|id| Change::RemoveFile(*id)));
        edit.extend(more);
        self.edit(&mut manifest, &edit)?;
        show(self.files().after(Arc::clone(manifest.state()), opened));
        Ok(())
    }

    /// Queries see these files from now on.
    pub(crate) fn show(&self, files: FileSet) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Removes files whose edit was not made. Where that is unknown the manifest may list them when it is
    /// read again, so they stay; if it does not, that opening sweeps them.
    pub(crate) fn discard_unpublished(&self, files: &[Written], error: &UpkeepError) {
        if !matches!(error, UpkeepError::Edit(problem) if problem.is_unknown()) {
            self.discard(files);
        }
    }

    /// Removes files that no manifest lists.
    pub(super) fn discard(&self, files: &[Written]) {
        for file in files {
            // Best effort: the next opening sweeps what is left.
            let _ = self.disk.remove(&file_path(file.group, file.tier, file.id));
        }
    }

    /// Ids for new files; used ones are never given again while the store is open, and the manifest
    /// remembers the greatest that it lists.
    pub(crate) fn new_file_id(&self) -> FileId {
        let listed = self.files().state.next_file.0;
        let next = &self.next_file;
        next.fetch_max(listed, Relaxed);
        FileId(next.fetch_add(1, Relaxed))
    }

    fn write_generation(&self, sealed: &Sealed) -> Result<Vec<Flushed>, UpkeepError> {
        let mut groups: BTreeMap<GroupId, Vec<(&CollectionName, &Table)>> = BTreeMap::new();
        for (group, name, table) in sealed.generation.tables() {
            groups.entry(group).or_default().push((name, table));
        }
        for tables in groups.values_mut() {
            tables.sort_by(|a, b| a.0.cmp(b.0));
        }
        for group in groups.keys() {
            self.ensure_directory(*group, Tier::Raw)?;
        }
        let groups: Vec<(GroupId, Vec<(&CollectionName, &Table)>)> = groups.into_iter().collect();
        let next = Mutex::new(groups.iter());
        let results: Mutex<Vec<Result<Option<Flushed>, UpkeepError>>> = Mutex::default();
        let work = || {
            loop {
                let one = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((group, tables)) = one else { return };
                let result = self.write_group(sealed, *group, tables);
                let failed = result.is_err();
                results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                if failed {
                    return;
                }
            }
        };
        if self.options.upkeep == Upkeep::Caller || groups.len() == 1 {
            work();
        } else {
            let helpers = (crate::clock::cores() - 1).min(3);
            std::thread::scope(|scope| {
                for _ in 0..helpers {
                    // Without a helper this thread does it all.
                    let _ = std::thread::Builder::new().spawn_scoped(scope, work);
                }
                work();
            });
        }
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut written = Vec::new();
        let mut failure = None;
        for result in results {
            match result {
                Ok(file) => written.extend(file),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            None => Ok(written),
            Some(error) => {
                let files: Vec<Written> =
                    written.iter().flat_map(Flushed::files).cloned().collect();
                self.discard(&files);
                Err(error)
            }
        }
    }

    fn write_group(
        &self,
        sealed: &Sealed,
        group: GroupId,
        tables: &[(&CollectionName, &Table)],
    ) -> Result<Option<Flushed>, UpkeepError> {
        let cleaned = self.cleaned();
        let stamps = sealed.generation.stamps();
        let levelling = self.levelling(group, stamps, &[], Some(sealed));
        let id = self.new_file_id();
        let place = (group, self.groups);
        let mut writer = GroupWriter::create(
            &self.disk,
            self.store_id,
            place,
            id,
            Effort::Fast,
            levelling,
            cleaned,
        )?;
        let greatest = stamps.map_or(Stamp::ZERO, |(_, greatest)| greatest);
        let mut fresh = Fresh::new(self, group, id, (levelling, greatest));
        for (name, table) in tables {
            self.write_table(&mut writer, name, table, &mut fresh)?;
        }
        let written: BTreeSet<&CollectionName> = tables.iter().map(|(name, _)| *name).collect();
        let quiet = fresh.as_ref().map(|fresh| fresh.quiet(&written)).unwrap_or_default();
        for name in &quiet {
            Fresh::seal_quiet(&mut fresh, name);
        }
        let Some(mut rows) = writer.finish()? else { return Ok(None) };
        let fresh = Fresh::finish_or_leave(fresh, rows.summary.range);
        rows.uncounted.clone_from(&fresh.uncounted);
        Ok(Some(Flushed { rows, fresh }))
    }

    /// Writes the rows of a collection, and seals those of leaves that are over.
    fn write_table(
        &self,
        writer: &mut GroupWriter,
        name: &CollectionName,
        table: &Table,
        fresh: &mut Option<Fresh<'_>>,
    ) -> Result<(), UpkeepError> {
        let cut = self.cut_of(name).unwrap_or(i64::MIN);
        let Some(range) = TimeRange::inclusive(cut, i64::MAX) else { return Ok(()) };
        let mut fields: BTreeSet<FieldKey> = table.fields().iter().cloned().collect();
        if fresh.is_some() {
            fields.extend(self.fields_of(name));
        }
        let fields: Vec<FieldKey> = fields.into_iter().collect();
        let tombstones = self.tombstones_of(name);
        let source = Fresh::source(fresh, name, Some(table), &fields, &tombstones);
        let mut sealing = Fresh::begin(fresh, name, source.as_ref(), &tombstones);
        let view = table.view();
        let mut devices: BTreeSet<Arc<str>> = view.devices().cloned().collect();
        devices.extend(sealing.kept_devices());
        writer.begin_section(name.clone(), self.leaf_of(name), fields.clone())?;
        let devices: Vec<Arc<str>> = devices.into_iter().collect();
        for some in devices.chunks(GATHERED) {
            let rows_of = |device: &Arc<str>| {
                let mut rows = view.rows(device, range, &fields)?;
                let concerns = |tombstone: &&Arc<Tombstone>| tombstone.devices.matches(device);
                let of_device: Vec<_> = tombstones.iter().filter(concerns).cloned().collect();
                hide(&mut rows, &fields, &of_device);
                Some(rows)
            };
            let gathered: Vec<Option<SeriesRows>> = some.iter().map(rows_of).collect();
            for (device, mut rows) in some.iter().zip(gathered) {
                sealing.device(device, rows.as_ref());
                writer.series(device, || Ok::<_, io::Error>(rows.take()))?;
            }
        }
        sealing.finish(name);
        Ok(())
    }

    /// Every tombstone up to this stamp is known here: none with a lesser stamp can still be on its way.
    pub(crate) fn cleaned(&self) -> Stamp {
        let last = self.stamps.last();
        match self.stamps.in_flight().0 {
            Some(least) => last.min(Stamp(least.0.saturating_sub(1))),
            None => last,
        }
    }

    /// May rows with these stamps be levelled? Only when everything else in the group, in files but the
    /// `inputs` and in memory but the `own` generation, and everything in flight, is either older or newer than all of them.
    pub(super) fn levelling(
        &self,
        group: GroupId,
        stamps: Option<(Stamp, Stamp)>,
        inputs: &[FileId],
        own: Option<&Sealed>,
    ) -> Levelling {
        let Some((least, greatest)) = stamps else { return Levelling::Forbidden };
        // A stamp that is raised could win over a write that is still on its way from a peer.
        if self.files().state.replicated && greatest.0 > self.agreed.load(Relaxed) {
            return Levelling::Forbidden;
        }
        let apart = |(a, b): (Stamp, Stamp)| b < least || a > greatest;
        let files = self.files();
        let others = files.group(group).iter().filter(|file| !inputs.contains(&file.entry.id));
        let in_flight = self.stamps.in_flight().0.into_iter();
        let in_flight = in_flight.chain(own.and_then(|sealed| sealed.least_in_flight));
        let memory_apart = self.memory.inspect(|generations| {
            let mine = own.map(|sealed| Arc::as_ptr(&sealed.generation));
            generations
                .iter()
                .filter(|generation| Some(std::ptr::from_ref(**generation)) != mine)
                .filter_map(|generation| generation.stamps())
                .all(apart)
        });
        let allowed = memory_apart
            && others.into_iter().all(|file| apart(file.entry.stamps))
            && in_flight.into_iter().all(|stamp| stamp > greatest);
        if allowed { Levelling::Allowed } else { Levelling::Forbidden }
    }

    /// Makes sure that the directory of a group's files of a tier exists for good.
    pub(crate) fn ensure_directory(&self, group: GroupId, tier: Tier) -> io::Result<()> {
        let made = (group, tier);
        if self.directories.lock().unwrap_or_else(PoisonError::into_inner).contains(&made) {
            return Ok(());
        }
        let disk = &self.disk;
        let parent = group.to_string();
        disk.create_dir(&parent)?;
        disk.create_dir(&directory(group, tier))?;
        disk.sync_dir("")?;
        disk.sync_dir(&parent)?;
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).insert(made);
        Ok(())
    }

    /// Deletes the segments of the log that the manifest covers and no pin holds.
    pub(crate) fn release_log(&self) -> Result<(), UpkeepError> {
        let Some(wal) = &self.wal else { return Ok(()) };
        let own = wal.identity().ordinal;
        let mut manifest = self.manifest();
        self.break_pins(&mut manifest)?;
        let state = Arc::clone(manifest.state());
        let pinned = state.pins.values().map(|pin| pin.point).min();
        let point = pinned.map_or(state.covered, |pin| pin.min(state.covered));
        let (kept, old) = self.remove_old_segments(point.ordinal);
        // An opening that is forgotten leaves segments that nobody knows to be old.
        let forget: Vec<Change> = state
            .openings
            .iter()
            .map(|opening| opening.ordinal)
            .filter(|ordinal| *ordinal < point.ordinal && *ordinal != own)
            .filter(|ordinal| !kept.contains(ordinal))
            .map(Change::ForgetOpening)
            .collect();
        self.edit(&mut manifest, &forget)?;
        self.refresh_state(&manifest);
        drop(manifest);
        if point.ordinal == own {
            wal.release(point.offset)?;
        }
        Ok(old?)
    }

    /// Deletes the segments of the openings before `ordinal`. Those that the disk would not delete stay listed for
    /// the next time; of which openings, and why.
    fn remove_old_segments(&self, ordinal: u32) -> (BTreeSet<u32>, io::Result<()>) {
        let mut kept = BTreeSet::new();
        let mut outcome = Ok(());
        self.old_segments.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, index)| {
            if *of >= ordinal {
                return true;
            }
            match self.disk.remove(&segment_path(*of, *index)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    kept.insert(*of);
                    outcome = Err(error);
                    true
                }
                _ => false,
            }
        });
        (kept, outcome)
    }

    /// Lets go of pins that are over their budgets.
    fn break_pins(&self, manifest: &mut crate::manifest::Manifest) -> Result<(), UpkeepError> {
        let Some(wal) = &self.wal else { return Ok(()) };
        let now = self.clock().wall_millis();
        let end = wal.end();
        let mut edit = Vec::new();
        for (name, pin) in &manifest.state().pins {
            let held = if pin.point.ordinal == wal.identity().ordinal {
                end.saturating_sub(pin.point.offset)
            } else {
                end
            };
            let old = now.saturating_sub(pin.created_millis) > pin.age_max_millis;
            if held > pin.bytes_max || old {
                tracing::warn!(pin = name, bytes = held, "a pin is over its budget and was broken");
                edit.push(Change::Unpin(name.clone()));
            }
        }
        Ok(self.edit(manifest, &edit)?)
    }
}

pub(crate) fn entry_of(file: &Written) -> FileEntry {
    let summary = &file.summary;
    FileEntry {
        id: file.id,
        group: file.group,
        tier: file.tier,
        len: file.len,
        blake3: file.blake3,
        rows: summary.rows,
        values: summary.values,
        series: u32::try_from(summary.series).unwrap_or(u32::MAX),
        range: summary.range,
        stamps: summary.stamps,
        cleaned: summary.cleaned,
        dense: summary.dense,
        settled: file.settled,
        borrowed: file.borrowed,
        uncounted: file.uncounted.clone(),
        made_as: None,
        collections: file.collections.clone(),
    }
}
