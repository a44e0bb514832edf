//! Deletes, options of collections, retention, pins, flush and compaction on demand.

use super::catalog::new_entry;
use super::{Inner, Store};
use crate::error::{EditProblem, UpkeepError, WriteError};
use crate::ids::{LogPoint, Tier};
use crate::manifest::{Change, CollectionEntry, Pin, encode_tombstone};
use crate::retention::Retention;
use crate::rows::FieldKey;
use crate::wal::{AppendError, KIND_TOMBSTONE, tombstone_payload};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tidelog_model::{
    CollectionName, DeviceSelector, GroupId, LeafWidth, Name, NameError, PlacementHash, Position,
    Stamp, TimeRange, Tombstone, Version,
};

/// What a delete hides. Begin with the collection or database and narrow it.
///
/// A delete is a tombstone: it hides what was written before it, at once, on every replica it reaches;
/// compaction frees the space. What is written after it is visible, at any time.
#[derive(Clone, Debug)]
pub struct Delete {
    database: Name,
    collection: Option<Name>,
    devices: DeviceSelector,
    fields: Option<Vec<Name>>,
    range: TimeRange,
}

impl Delete {
    /// Everything in a collection.
    #[must_use]
    pub fn collection(name: &CollectionName) -> Self {
        Delete {
            database: name.database().clone(),
            collection: Some(name.collection().clone()),
            devices: DeviceSelector::all(),
            fields: None,
            range: TimeRange::ALL,
        }
    }

    /// Everything in a database.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn database(name: &str) -> Result<Self, NameError> {
        Ok(Delete {
            database: Name::new("database", name)?,
            collection: None,
            devices: DeviceSelector::all(),
            fields: None,
            range: TimeRange::ALL,
        })
    }

    /// Only of these devices.
    #[must_use]
    pub fn devices(mut self, devices: DeviceSelector) -> Self {
        self.devices = devices;
        self
    }

    /// Only these fields: the rows stay, without them.
    ///
    /// # Errors
    /// When a name is not one.
    pub fn fields<'a>(
        mut self,
        fields: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NameError> {
        let names = fields.into_iter().map(|field| Name::new("field", field));
        self.fields = Some(names.collect::<Result<_, _>>()?);
        Ok(self)
    }

    /// Only times in this range.
    #[must_use]
    pub fn range(mut self, range: TimeRange) -> Self {
        self.range = range;
        self
    }
}

/// What sealing made anew, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SealReport {
    /// Leaves of series.
    pub leaves: u64,
    /// Days, months and years of series.
    pub parents: u64,
    /// Nodes of the digest tree: leaf windows, days, months and years.
    pub windows: u64,
    /// Rows read for it.
    pub rows: u64,
}

impl Store {
    /// Deletes. Durable and visible when this returns; its stamp is returned.
    ///
    /// Where retention has cut rows away and rollups stand for them, a delete covers whole windows of the finest tier
    /// that is kept.
    ///
    /// # Errors
    /// [`WriteError::DeleteBelowCut`] names the range that would be accepted. See [`WriteError`].
    pub fn delete(&self, delete: &Delete) -> Result<Stamp, WriteError> {
        let inner = &self.inner;
        let wal = inner.writer()?;
        inner.check_delete(delete)?;
        let stamp = inner.draw()?;
        if inner.cutting.load(SeqCst) > 0 {
            // As with rows: a cut on its way is seen by the stamps drawn after it began.
            inner.check_delete(delete).inspect_err(|_| inner.stamps.landed(stamp))?;
        }
        let tombstone = Tombstone {
            database: delete.database.clone(),
            collection: delete.collection.clone(),
            devices: delete.devices.clone(),
            fields: delete.fields.clone(),
            range: delete.range,
            version: Version { stamp, origin: inner.store_id },
        };
        let mut frame = tombstone_payload(&encode_tombstone(&tombstone));
        let logged = wal.append(KIND_TOMBSTONE, &mut frame, |span| {
            inner.stamps.logged(stamp, span.start);
        });
        let span = logged.map_err(|error| {
            inner.stamps.landed(stamp);
            match error {
                AppendError::Io(error) => WriteError::Io(error),
                AppendError::Poisoned => WriteError::Poisoned,
                AppendError::Ended => WriteError::Closed,
            }
        })?;
        inner.make_durable(span.end)?;
        inner.add_tombstone(Arc::new(tombstone));
        inner.stamps.landed(stamp);
        inner.threads.compact_soon();
        Ok(stamp)
    }

    /// Creates a collection with a leaf width of its own. Writing creates one with an hour.
    ///
    /// # Errors
    /// When the store cannot be written to. An existing collection is left as it is: its width is
    /// fixed.
    pub fn create_collection(
        &self,
        name: &CollectionName,
        leaf: LeafWidth,
    ) -> Result<(), WriteError> {
        let inner = &self.inner;
        inner.writer()?;
        let stamp = inner.draw()?;
        let mut manifest = inner.manifest();
        let known = inner.catalog().collections.contains_key(name);
        let outcome = if known {
            Ok(())
        } else {
            // A write on its way was cut with its own width.
            let mut entry = new_entry(inner.catalog().leaf_of(name).unwrap_or(leaf));
            entry.options_version = Version { stamp, origin: inner.store_id };
            let entry = Arc::new(entry);
            let edit = vec![Change::Collection(name.clone(), Arc::clone(&entry))];
            inner.edit(&mut manifest, &edit).map(|()| inner.catalog().merge(name, &entry))
        };
        inner.stamps.landed(stamp);
        outcome.map_err(|error| EditProblem(error).into())
    }

    /// Sets how long the rows and rollups of a collection are kept, and cuts off at once what is older; from then on upkeep
    /// does, whole days (UTC) at a time. Where a coarser tier is kept longer, what is cut off is *settled* into it first:
    /// its rollups are then the data, frozen, and queries answer from them. Space is freed by compaction.
    ///
    /// The cut follows the older of two clocks, the wall clock and the newest row, so that one clock
    /// that jumps ahead cuts nothing. A cut never moves back: a longer retention keeps what comes from now on.
    ///
    /// Blocks while a long history is settled, a month at a time.
    ///
    /// # Errors
    /// [`UpkeepError::NoCollection`], and when the store cannot be written to.
    pub fn set_retention(
        &self,
        name: &CollectionName,
        retention: Retention,
    ) -> Result<(), UpkeepError> {
        let inner = &self.inner;
        let write = |error: WriteError| match error {
            WriteError::ReadOnly => UpkeepError::ReadOnly,
            WriteError::Closed => UpkeepError::Closed,
            WriteError::Edit(problem) => UpkeepError::Edit(problem),
            _ => UpkeepError::Poisoned,
        };
        inner.writer().map_err(write)?;
        let stamp = inner.draw().map_err(write)?;
        let mut manifest = inner.manifest();
        let known = inner.catalog().collections.get(name).cloned();
        let outcome = match known {
            None => Err(UpkeepError::NoCollection { name: name.clone() }),
            Some(mut entry) => {
                let options = Arc::make_mut(&mut entry);
                options.options_version = Version { stamp, origin: inner.store_id };
                options.retention = retention.tiers();
                let edit = vec![Change::Collection(name.clone(), Arc::clone(&entry))];
                inner.edit(&mut manifest, &edit).map_err(UpkeepError::from).map(|()| {
                    inner.catalog().merge(name, &entry);
                    inner.refresh_state(&manifest);
                })
            }
        };
        inner.stamps.landed(stamp);
        drop(manifest);
        outcome?;
        inner.cut()
    }

    /// Keeps the log from a position on, until it holds `bytes_max` more or `age_max` has passed: then
    /// the pin is broken, with an event in the log of the process.
    ///
    /// # Errors
    /// When the position is not of this opening, or the store cannot be written to.
    pub fn pin(
        &self,
        name: &str,
        position: Position,
        bytes_max: u64,
        age_max: Duration,
    ) -> Result<(), UpkeepError> {
        let inner = &self.inner;
        let wal = inner.wal.as_ref().ok_or(UpkeepError::ReadOnly)?;
        if position.incarnation != wal.identity().incarnation {
            return Err(UpkeepError::Io(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "the position is of another opening: pin one of this opening",
            )));
        }
        Name::new("pin", name)?;
        let point = LogPoint { ordinal: wal.identity().ordinal, offset: position.offset };
        let pin = Pin {
            point,
            bytes_max,
            age_max_millis: u64::try_from(age_max.as_millis()).unwrap_or(u64::MAX),
            created_millis: inner.clock().wall_millis(),
        };
        inner.edit(&mut inner.manifest(), &vec![Change::Pin(name.to_owned(), pin)])?;
        Ok(())
    }

    /// Lets go of the log. A name that is not pinned is not an error.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn unpin(&self, name: &str) -> Result<(), UpkeepError> {
        let mut manifest = self.inner.manifest();
        if manifest.state().pins.contains_key(name) {
            self.inner.edit(&mut manifest, &vec![Change::Unpin(name.to_owned())])?;
        }
        Ok(())
    }

    /// Writes everything in memory to files, and deletes the log that they cover. Blocks until done.
    ///
    /// # Errors
    /// See [`UpkeepError`]; what was acknowledged stays where it was.
    pub fn flush(&self) -> Result<(), UpkeepError> {
        self.inner.flush()?;
        self.inner.threads.compact_soon();
        Ok(())
    }

    /// Flushes, then makes the pyramid anew where rows and deletes have overtaken it. Blocks until done; `go_on` is
    /// asked after each device, and stops the work by returning `false`.
    ///
    /// The store does so by itself when files have piled up or nobody writes; queries and digests are right all the
    /// same, since they read rows where nothing is sealed yet.
    ///
    /// # Errors
    /// See [`UpkeepError`].
    pub fn seal_with(&self, mut go_on: impl FnMut() -> bool) -> Result<SealReport, UpkeepError> {
        let mut sealed = self.inner.flush()?;
        sealed += self.inner.roll_up(&mut go_on)?;
        Ok(SealReport {
            leaves: sealed.leaves,
            parents: sealed.parents,
            windows: sealed.windows,
            rows: sealed.rows,
        })
    }

    /// [`Self::seal_with`], to the end.
    ///
    /// # Errors
    /// See [`UpkeepError`].
    pub fn seal(&self) -> Result<SealReport, UpkeepError> {
        self.seal_with(|| true)
    }

    /// Flushes, then merges the files of each group into one with the codecs that put size first, applying
    /// deletes and cuts. Blocks until done; `progress` is told bytes done and to do, and stops the work
    /// by returning `false`.
    ///
    /// # Errors
    /// See [`UpkeepError`].
    pub fn compact_with(
        &self,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<(), UpkeepError> {
        self.inner.flush()?;
        self.inner.cut()?;
        if self.inner.options.pyramid {
            self.inner.roll_up(&mut || progress(0, 1))?;
        }
        self.inner.compact_all(&mut progress)
    }

    /// [`Self::compact_with`] without progress.
    ///
    /// # Errors
    /// See [`UpkeepError`].
    pub fn compact(&self) -> Result<(), UpkeepError> {
        self.compact_with(|_, _| true)
    }

    /// The group of a device.
    #[must_use]
    pub fn group_of(&self, collection: &CollectionName, device: &tidelog_model::Device) -> GroupId {
        PlacementHash::of(collection, device.as_str()).group(self.inner.groups)
    }
}

impl Inner {
    /// Refuses a delete that covers a part of a settled window.
    fn check_delete(&self, delete: &Delete) -> Result<(), WriteError> {
        let catalog = self.catalog();
        for (name, entry) in &catalog.collections {
            let concerned = *name.database() == delete.database
                && delete.collection.as_ref().is_none_or(|only| only == name.collection());
            if !concerned {
                continue;
            }
            let accepted = catalog.cuts_for_writes(name).whole(delete.range, entry.leaf);
            if accepted != delete.range {
                return Err(WriteError::DeleteBelowCut { collection: name.clone(), accepted });
            }
        }
        Ok(())
    }

    fn add_tombstone(&self, tombstone: Arc<Tombstone>) {
        self.catalog().add_tombstone(tombstone);
    }

    /// The catalog's collections and deletes that the manifest does not have yet, as changes.
    pub(crate) fn catalog_changes(&self) -> Vec<Change> {
        let manifest = self.files().state;
        let catalog = self.catalog();
        let mut changes = Vec::new();
        for (name, entry) in &catalog.collections {
            if manifest.collections.get(name) != Some(entry) {
                changes.push(Change::Collection(name.clone(), Arc::clone(entry)));
            }
        }
        for tombstone in catalog.tombstones.iter() {
            if !manifest.tombstones.contains(tombstone) {
                changes.push(Change::Tombstone(Arc::clone(tombstone)));
            }
        }
        let cursors = self.cursors();
        let moved = cursors.iter().filter(|(id, at)| manifest.cursors.get(*id) != Some(*at));
        changes.extend(moved.map(|(id, at)| Change::Cursor(*id, *at)));
        changes
    }

    /// Are there deletes that the manifest does not have yet?
    pub(crate) fn has_unlisted_deletes(&self) -> bool {
        let manifest = self.files().state;
        self.catalog().tombstones.iter().any(|delete| !manifest.tombstones.contains(delete))
    }

    /// The deletes that concern a collection, at this moment.
    pub(crate) fn tombstones_of(&self, name: &CollectionName) -> Vec<Arc<Tombstone>> {
        self.catalog().tombstones_of(name)
    }

    /// The visible fields of a collection.
    pub(crate) fn fields_of(&self, name: &CollectionName) -> Vec<FieldKey> {
        self.catalog().fields_of(name).unwrap_or_default()
    }

    /// The leaf width of a collection.
    pub(crate) fn leaf_of(&self, name: &CollectionName) -> LeafWidth {
        self.catalog().collections.get(name).map(|entry| entry.leaf).unwrap_or_default()
    }

    /// The raw cut of a collection: rows before it are gone.
    pub(crate) fn cut_of(&self, name: &CollectionName) -> Option<i64> {
        let cut = self.catalog().collections.get(name)?.cuts().of(Tier::Raw);
        (cut > i64::MIN).then_some(cut)
    }

    /// Queries see the manifest's new state.
    pub(crate) fn refresh_state(&self, manifest: &crate::manifest::Manifest) {
        let mut files = self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = files.after(Arc::clone(manifest.state()), std::iter::empty());
        *files = next;
    }

    /// What the manifest says of a collection, if it knows it.
    pub(crate) fn collection_entry(&self, name: &CollectionName) -> Option<Arc<CollectionEntry>> {
        self.catalog().collections.get(name).cloned()
    }

    /// The collections with a retention.
    pub(crate) fn retained(&self) -> Vec<CollectionName> {
        let catalog = self.catalog();
        let retained = catalog.collections.iter().filter(|(_, entry)| !entry.retention.is_empty());
        retained.map(|(name, _)| name.clone()).collect()
    }

    /// Takes in what the manifest says of a collection now.
    pub(crate) fn merge_entry(&self, name: &CollectionName, entry: &Arc<CollectionEntry>) {
        self.catalog().merge(name, entry);
    }

    /// A cut of rows is on its way, or is not any more.
    pub(crate) fn set_cutting(&self, name: &CollectionName, to: Option<i64>) {
        self.catalog().set_cutting(name, to);
    }

    /// The oldest and the newest time of any row of a collection, hidden ones too.
    pub(crate) fn times_of(&self, name: &CollectionName) -> Option<(i64, i64)> {
        let files = self.files();
        let in_files = files.rows().filter_map(|open| {
            let file = open.file.as_ref().ok()?;
            let range = file.sections()[file.section(name)? as usize].range;
            Some((range.first(), range.last()))
        });
        let wider = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
        let in_memory = self.memory.inspect(|generations| {
            let tables = generations.iter().flat_map(|generation| generation.tables());
            let of = tables.filter(|(_, of, _)| *of == name);
            of.filter_map(|(_, _, table)| table.span()).reduce(wider)
        });
        in_files.chain(in_memory).reduce(wider)
    }
}
