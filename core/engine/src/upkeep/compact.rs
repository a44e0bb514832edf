//! Compaction: some files of a group become one, smaller, without what deletes and cuts hide.

use super::merge::merge;
use super::merge_nodes::Merge;
use super::pick::{Candidate, pick};
use crate::error::UpkeepError;
use crate::files::OpenFile;
use crate::group::file_path;
use crate::ids::{FileId, Tier};
use crate::manifest::{FileEntry, union};
use crate::store::Inner;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use tidelog_model::{GroupId, Stamp};

/// While writes keep coming, so many files of a group may wait to be sealed: what comes late is spread over many
/// leaves, and those are made anew once for all of these files.
const UNSEALED_MAX: usize = 8;

impl Inner {
    /// Background upkeep: merges what has piled up, a merge at a time, and makes way for a flush.
    pub(crate) fn compact_some(&self, eager: bool) -> Result<(), UpkeepError> {
        self.end_old_leases();
        if eager {
            if let Err(error) = self.cut() {
                // One file that cannot be read must not keep all others from being merged.
                tracing::warn!(%error, "a cut could not be made; what it would cut off is kept");
            }
            self.drop_cut_files()?;
            // A delete may still stand in the log alone.
            let pending =
                !self.files().state.not_rolled_up.is_empty() || self.has_unlisted_deletes();
            if self.options.pyramid && (pending || !self.node_damage.is_empty()) {
                match self.roll_up(&mut || !self.threads.is_stopping()) {
                    Err(UpkeepError::Cancelled) => return Ok(()),
                    other => other.map(drop)?,
                }
            }
        }
        for group in (0..self.groups).map(GroupId) {
            loop {
                if self.threads.is_stopping() || self.threads.is_flush_wanted() {
                    return Ok(());
                }
                let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
                if self.seals_now(group, eager) {
                    let mut go_on = || !self.threads.is_stopping();
                    match self.roll_up_group(group, &mut go_on) {
                        Err(UpkeepError::Cancelled) => return Ok(()),
                        other => other.map(drop)?,
                    }
                }
                if self.options.pyramid {
                    self.merge_nodes(group, if eager { Merge::Quiet } else { Merge::Piled })?;
                }
                let chosen = self.pick_in(group, eager);
                if chosen.is_empty() {
                    break;
                }
                let mut go_on = |_, _| !self.threads.is_stopping();
                match self.compact_files(group, &chosen, &mut go_on) {
                    Err(UpkeepError::Cancelled) => return Ok(()),
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Is it time to seal a group? When files have piled up that the pyramid does not count, and when nobody writes;
    /// not after each flush, which would make the leaves anew that are still being written.
    fn seals_now(&self, group: GroupId, eager: bool) -> bool {
        let files = self.files();
        let all = files.group(group).iter().chain(files.aside(group));
        let unsealed = all.filter(|open| !open.entry.uncounted.is_empty()).count();
        let enough = if eager { 1 } else { UNSEALED_MAX };
        self.options.pyramid && unsealed >= enough
    }

    fn pick_in(&self, group: GroupId, eager: bool) -> Vec<FileId> {
        let files = self.files();
        // A file that cannot be read stays where it is, for whoever repairs it.
        // What is not sealed yet keeps its file, so that no more has to be made anew than it holds.
        let sealed = |open: &&OpenFile| open.entry.uncounted.is_empty() || !self.options.pyramid;
        let readable = files.group(group).iter().filter(|open| open.file.is_ok()).filter(sealed);
        let candidates: Vec<Candidate<'_>> = readable
            .map(|open| Candidate { entry: &open.entry, dirty: self.is_dirty(open) })
            .collect();
        pick(&candidates, eager)
    }

    /// Are there rows in the file that a delete or a cut hides?
    fn is_dirty(&self, open: &OpenFile) -> bool {
        let entry = &open.entry;
        entry.collections.iter().any(|name| {
            let cut = self.cut_of(name).is_some_and(|cut| entry.range.first() < cut);
            cut || self.tombstones_of(name).iter().any(|tombstone| {
                tombstone.version.stamp > entry.cleaned
                    && tombstone.version.stamp >= entry.stamps.0
                    && tombstone.range.overlaps(entry.range)
            })
        })
    }

    /// Removes files whose every row is before a cut.
    pub(super) fn drop_cut_files(&self) -> Result<(), UpkeepError> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files();
        let gone = |open: &&OpenFile| {
            let before = |name| self.cut_of(name).is_some_and(|cut| open.entry.range.last() < cut);
            open.entry.tier == Tier::Raw && open.entry.collections.iter().all(before)
        };
        let all = files.rows().chain(files.all_aside());
        let gone: Vec<OpenFile> = all.filter(gone).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        let ids: Vec<FileId> = gone.iter().map(|open| open.entry.id).collect();
        self.publish(&[], &ids, Vec::new(), |files| self.show(files))?;
        self.unlink(&entries_of(&gone));
        Ok(())
    }

    /// Merges each group into one file, densely.
    pub(crate) fn compact_all(
        &self,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<(), UpkeepError> {
        self.drop_cut_files()?;
        let total: u64 = self.files().rows().map(|open| open.entry.len).sum();
        let mut done = 0;
        for group in (0..self.groups).map(GroupId) {
            let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            let files = self.files();
            let own: Vec<&OpenFile> = files.group(group).iter().collect();
            let readable: Vec<&&OpenFile> = own.iter().filter(|open| open.file.is_ok()).collect();
            let bytes: u64 = own.iter().map(|open| open.entry.len).sum();
            let settled = readable.len() <= 1
                && readable.iter().all(|open| open.entry.dense && !self.is_dirty(open));
            if !settled {
                let ids: Vec<FileId> = readable.iter().map(|open| open.entry.id).collect();
                let base = done;
                let mut here = |part: u64, of: u64| {
                    let share = (bytes * part).checked_div(of).unwrap_or(0);
                    progress(base + share, total)
                };
                self.compact_files(group, &ids, &mut here)?;
            }
            self.merge_nodes(group, Merge::All)?;
            done += bytes;
            if !progress(done, total) {
                return Err(UpkeepError::Cancelled);
            }
        }
        Ok(())
    }

    /// Merges files of a group into one. The caller holds the upkeep lock.
    pub(super) fn compact_files(
        &self,
        group: GroupId,
        ids: &[FileId],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<(), UpkeepError> {
        let span = tracing::debug_span!("compact", group = group.0, files = ids.len());
        let _in = span.enter();
        let files = self.files();
        let inputs: Vec<OpenFile> = files
            .group(group)
            .iter()
            .filter(|open| ids.contains(&open.entry.id))
            .cloned()
            .collect();
        let stamps = inputs.iter().map(|open| open.entry.stamps).reduce(hull);
        let levelling = self.levelling(group, stamps, ids, None);
        let id = self.new_file_id();
        let outcome =
            merge(self, group, id, &inputs, levelling, progress).and_then(|mut written| {
                // What of the inputs no node counts, none counts of the output.
                if let Some(file) = &mut written {
                    let ranges =
                        inputs.iter().flat_map(|open| open.entry.uncounted.iter().copied());
                    file.uncounted = union(ranges);
                }
                let added = written.as_slice();
                match self.publish(added, ids, Vec::new(), |files| self.show(files)) {
                    Ok(()) => Ok(written),
                    Err(error) => {
                        self.discard_unpublished(added, &error);
                        Err(error)
                    }
                }
            });
        match outcome {
            Ok(written) => {
                self.counters.compactions.fetch_add(1, Relaxed);
                let bytes = written.map_or(0, |file| file.len);
                self.counters.compacted_bytes.fetch_add(bytes, Relaxed);
                self.unlink(&entries_of(&inputs));
                Ok(())
            }
            Err(error) => {
                if !matches!(error, UpkeepError::Cancelled) {
                    self.counters.compaction_failures.fetch_add(1, Relaxed);
                }
                Err(error)
            }
        }
    }

    /// Removes the names of files that the manifest does not list any more. Queries that have them open
    /// go on reading.
    pub(super) fn unlink(&self, files: &[Arc<FileEntry>]) {
        for entry in files {
            let path = file_path(entry.group, entry.tier, entry.id);
            if let Err(error) = self.disk.remove(&path) {
                // The next opening sweeps it.
                tracing::warn!(%error, path, "a file that is no longer needed could not be removed");
            }
        }
    }
}

fn entries_of(files: &[OpenFile]) -> Vec<Arc<FileEntry>> {
    files.iter().map(|open| Arc::clone(&open.entry)).collect()
}

fn hull(a: (Stamp, Stamp), b: (Stamp, Stamp)) -> (Stamp, Stamp) {
    (a.0.min(b.0), a.1.max(b.1))
}
