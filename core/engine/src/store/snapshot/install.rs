//! Installing the files of a snapshot: each is checked as nothing that came from elsewhere is believed, and those of a
//! group are added in one edit.

use super::partial::{INCOMING, path_of};
use super::{SnapshotError, SnapshotFile};
use crate::disk::directory_of;
use crate::error::{ApplyError, EditProblem, UpkeepError, WriteError};
use crate::files::{AnyFile, Open};
use crate::group::{GroupFile, directory, file_path};
use crate::ids::{FileId, Tier};
use crate::manifest::{Change, CollectionEntry, FileEntry};
use crate::store::catalog::new_entry;
use crate::store::survey::entry_of_rows;
use crate::store::{Inner, Store};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use tidelog_model::{CollectionName, Digest, FIELDS_MAX, GroupId, Stamp, Version};

/// What was installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Installed {
    /// Files that were added; those that were here already are not.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
}

/// A file that passed.
struct Checked {
    file: GroupFile,
    digest: Digest,
}

/// One on its way to its place.
struct Placed {
    from: String,
    to: String,
    entry: FileEntry,
}

impl Store {
    /// Adds files of a group that were received to their ends: all of them or, when this fails or the process dies, none;
    /// what was received is kept then. Every byte is checked before: checksums, counts, that all devices are of the group,
    /// and that no stamp is too far ahead. `allowed` says whether the peer may send rows of a collection.
    ///
    /// Blocks while the files are read, and for fsyncs.
    ///
    /// # Errors
    /// [`SnapshotError::Refused`] when a file is none that a store writes: it is removed. See [`SnapshotError`].
    pub fn install(
        &self,
        group: GroupId,
        files: &[SnapshotFile],
        allowed: &dyn Fn(&CollectionName) -> bool,
    ) -> Result<Installed, SnapshotError> {
        let inner = &self.inner;
        let span = tracing::debug_span!("install", group = group.0, files = files.len());
        let _in = span.enter();
        let mut checked = Vec::new();
        for file in files.iter().filter(|file| !self.is_installed(file.digest)) {
            let path = path_of(file.digest);
            let found =
                inner.check_received(group, *file, &path, allowed).inspect_err(|error| {
                    if matches!(error, SnapshotError::Refused(ApplyError::Malformed { .. })) {
                        let _ = inner.disk.remove(&path);
                        inner.look_for_partials();
                    }
                })?;
            checked.push(Checked { file: found, digest: file.digest });
        }
        let collections = inner.collections_of(&checked)?;
        inner.add_received(group, checked, collections)
    }
}

impl Inner {
    /// Opens a file that was received, and reads all of it.
    fn check_received(
        &self,
        group: GroupId,
        what: SnapshotFile,
        path: &str,
        allowed: &dyn Fn(&CollectionName) -> bool,
    ) -> Result<GroupFile, SnapshotError> {
        let forged =
            |what: &dyn std::fmt::Display| SnapshotError::malformed(format!("file: {what}"));
        let file = match GroupFile::open(&*self.disk, path) {
            Ok(file) => file,
            Err(crate::group::ReadError::Io { source, .. }) => return Err(self.not_written(source)),
            Err(error) => return Err(forged(&crate::group::plain(&error))),
        };
        let (of_group, groups) = file.group();
        if groups != self.groups {
            return Err(ApplyError::Groups { found: groups, own: self.groups }.into());
        }
        if of_group != group || what.group != group {
            return Err(forged(&"it is of another group than was said"));
        }
        if let Some(section) = file.sections().iter().find(|section| !allowed(&section.name)) {
            return Err(forged(&format!("the peer has no right to send {}", section.name)));
        }
        let summary = file.summary();
        // Up to which stamp deletes were applied counts as seen, too, when a store is recovered.
        self.check_ahead(summary.stamps.1.max(summary.cleaned))?;
        let verified = file.verify(&mut |_| !self.is_closed());
        let Ok(verified) = verified else { return Err(UpkeepError::Closed.into()) };
        if let Some(flaw) = verified.flaws.first() {
            return Err(forged(&flaw.what));
        }
        if verified.digest != Some(what.digest.0) || file.len() != what.len {
            return Err(forged(&"its bytes are not those that were said"));
        }
        if verified.rows == 0 || summary.stamps.0 > summary.stamps.1 {
            return Err(forged(&"it has no rows, or no stamps"));
        }
        Ok(file)
    }

    /// What the files tell of collections. The state that was exchanged before says the same, with the versions of first
    /// use; a field of which that is not here yet counts as used first with the oldest row of its file, until it comes.
    fn collections_of(
        &self,
        checked: &[Checked],
    ) -> Result<BTreeMap<CollectionName, CollectionEntry>, SnapshotError> {
        let mut found: BTreeMap<CollectionName, CollectionEntry> = BTreeMap::new();
        let catalog = self.catalog();
        for Checked { file, .. } in checked {
            let version = Version { stamp: file.summary().stamps.1, origin: file.store() };
            for section in file.sections() {
                let known = catalog.collections.get(&section.name);
                let leaf = known.map_or(section.leaf, |known| known.leaf);
                if leaf != section.leaf {
                    let what = format!("the leaves of {} are of another width", section.name);
                    return Err(SnapshotError::malformed(what));
                }
                let entry = found.entry(section.name.clone()).or_insert_with(|| new_entry(leaf));
                for field in &section.fields {
                    let key = (field.name.clone(), field.kind);
                    if known.is_none_or(|known| !known.fields.contains_key(&key)) {
                        let first = entry.fields.entry(key).or_insert(version);
                        *first = (*first).min(version);
                    }
                }
            }
        }
        for (name, entry) in &found {
            if catalog.count_fields(name) + entry.fields.len() > FIELDS_MAX {
                let error = WriteError::TooManyFields { collection: name.clone(), max: FIELDS_MAX };
                return Err(SnapshotError::write(error));
            }
        }
        Ok(found)
    }

    fn add_received(
        &self,
        group: GroupId,
        checked: Vec<Checked>,
        collections: BTreeMap<CollectionName, CollectionEntry>,
    ) -> Result<Installed, SnapshotError> {
        let newest = checked.iter().map(|one| one.file.summary().stamps.1).max();
        let rows = checked.iter().map(|one| one.file.summary().rows).sum();
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        self.writer().map_err(SnapshotError::write)?;
        let placed: Vec<Placed> =
            checked.into_iter().map(|one| self.place_for(group, one)).collect();
        let installed = Installed { files: placed.len() as u64, rows };
        if placed.is_empty() {
            return Ok(installed);
        }
        let outcome =
            self.give_places(&placed).and_then(|()| self.list_placed(&placed, collections));
        if let Err(error) = outcome {
            // Where the edit may be there when the manifest is read again they stay: that opening takes them back if not.
            let unknown = |problem: &EditProblem| problem.is_unknown();
            let stays = matches!(&error, SnapshotError::Refused(ApplyError::Write(WriteError::Edit(problem))) if unknown(problem));
            if !stays {
                self.take_places_back(&placed);
            }
            return Err(error);
        }
        self.stamps.observe(newest.unwrap_or(Stamp::ZERO));
        self.look_for_partials();
        // Sealing them and merging takes its time, which those that are still to come may have first.
        if !self.partials.load(Relaxed) {
            self.threads.compact_soon();
        }
        Ok(installed)
    }

    /// A number for a file that was received. Never that of its header, so that it can be told from an own file.
    fn place_for(&self, group: GroupId, Checked { file, digest }: Checked) -> Placed {
        let made_as = file.made_as();
        let mut id = self.new_file_id();
        while id == made_as.1 {
            id = self.new_file_id();
        }
        let made_as = Some(made_as);
        let entry = FileEntry { id, group, made_as, ..entry_of_rows(&file, digest.0) };
        let (from, to) = (path_of(digest), file_path(group, Tier::Raw, id));
        Placed { from, to, entry }
    }

    /// Durable under their own names before the manifest lists them.
    fn give_places(&self, placed: &[Placed]) -> Result<(), SnapshotError> {
        let Some(first) = placed.first() else { return Ok(()) };
        let moved = || {
            self.ensure_directory(first.entry.group, Tier::Raw)?;
            for one in placed {
                self.disk.rename(&one.from, &one.to)?;
            }
            // Where they are first, so that a crash finds them in one of the two.
            self.disk.sync_dir(&directory(first.entry.group, Tier::Raw))?;
            self.disk.sync_dir(INCOMING)
        };
        moved().map_err(|source| self.not_written(source))
    }

    fn take_places_back(&self, placed: &[Placed]) {
        for one in placed {
            // Best effort: the next opening does what is left to do.
            let _ = self.disk.rename(&one.to, &one.from);
            let _ = self.disk.sync_dir(directory_of(&one.to));
        }
        let _ = self.disk.sync_dir(INCOMING);
    }

    fn list_placed(
        &self,
        placed: &[Placed],
        collections: BTreeMap<CollectionName, CollectionEntry>,
    ) -> Result<(), SnapshotError> {
        let mut opened = Vec::with_capacity(placed.len());
        for one in placed {
            let file = Ok(Arc::new(GroupFile::open(&*self.disk, &one.to)?));
            opened.push(AnyFile::Rows(Open { entry: Arc::new(one.entry.clone()), file }));
        }
        let collections: Vec<(CollectionName, Arc<CollectionEntry>)> =
            collections.into_iter().map(|(name, entry)| (name, Arc::new(entry))).collect();
        let mut manifest = self.manifest();
        let mut edit = Vec::new();
        let next = placed.iter().map(|one| FileId(one.entry.id.0 + 1)).max();
        let next = next.filter(|next| *next > manifest.state().next_file);
        edit.extend(next.map(Change::NextFile));
        edit.extend(opened.iter().map(|file| Change::AddFile(Arc::clone(file.entry()))));
        let known = collections.iter();
        edit.extend(known.map(|(name, entry)| Change::Collection(name.clone(), Arc::clone(entry))));
        self.edit(&mut manifest, &edit).map_err(EditProblem)?;
        {
            let mut catalog = self.catalog();
            collections.iter().for_each(|(name, entry)| catalog.merge(name, entry));
        }
        self.show(self.files().after(Arc::clone(manifest.state()), opened));
        Ok(())
    }
}
