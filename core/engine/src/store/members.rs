//! What a store keeps of its peers' membership: the epochs of groups, and the stores that are to stay away.

use super::Store;
use crate::error::UpkeepError;
use crate::manifest::Change;
use crate::upkeep::{DropGroupError, FrozenGroup};
use tidelog_model::{GroupEpoch, GroupId, StoreId};

impl Store {
    /// The highest epochs that were seen, of groups that have any; ascending.
    #[must_use]
    pub fn epochs(&self) -> Vec<(GroupId, GroupEpoch)> {
        let state = self.inner.files().state;
        state.epochs.iter().map(|(group, epoch)| (*group, *epoch)).collect()
    }

    /// Keeps the epochs that are higher than those that were seen before. Durable; costs nothing when none is.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn see_epochs(&self, epochs: &[(GroupId, GroupEpoch)]) -> Result<(), UpkeepError> {
        let inner = &self.inner;
        inner.wal.as_ref().ok_or(UpkeepError::ReadOnly)?;
        let mut manifest = inner.manifest();
        let known = |group| manifest.state().epochs.get(&group).copied().unwrap_or_default();
        let higher = epochs.iter().filter(|(group, epoch)| *epoch > known(*group));
        let edit: Vec<Change> =
            higher.map(|(group, epoch)| Change::Epoch(*group, *epoch)).collect();
        if !edit.is_empty() {
            inner.edit(&mut manifest, &edit)?;
            inner.refresh_state(&manifest);
        }
        Ok(())
    }

    /// Stores that were forgotten, ascending.
    #[must_use]
    pub fn forgotten(&self) -> Vec<StoreId> {
        self.inner.files().state.forgotten.iter().copied().collect()
    }

    /// Keeps nothing for a store any more, neither the log nor how far its own is followed, and remembers that it was
    /// forgotten: what it had not sent would come back as if nobody had decided anything meanwhile. Its rows that are here
    /// stay. Durable, in one edit; cannot be taken back.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn forget_store(&self, store: StoreId) -> Result<(), UpkeepError> {
        let inner = &self.inner;
        inner.wal.as_ref().ok_or(UpkeepError::ReadOnly)?;
        let mut manifest = inner.manifest();
        let pin = store.to_string();
        let mut edit = vec![Change::Forgotten(store)];
        if manifest.state().pins.contains_key(&pin) {
            edit.push(Change::Unpin(pin));
        }
        inner.edit(&mut manifest, &edit)?;
        inner.refresh_state(&manifest);
        inner.cursors().remove(&store);
        Ok(())
    }

    /// Writes what is in memory to files and names those of a group: the first step of giving it up. What is written from now on
    /// is not meant. Blocks until done.
    ///
    /// # Errors
    /// See [`DropGroupError`].
    pub fn freeze_group(&self, group: GroupId) -> Result<FrozenGroup, DropGroupError> {
        self.inner.freeze_group(group)
    }

    /// Removes the rows of a group that were named before, in one edit; deletes, schemas and what was written since stay. Whoever
    /// calls this has made sure that the rows are elsewhere, or wants them gone.
    ///
    /// # Errors
    /// [`DropGroupError::Changed`] when its files were merged since. Nothing was removed then.
    pub fn drop_group(&self, frozen: &FrozenGroup) -> Result<(), DropGroupError> {
        self.inner.drop_group(frozen)
    }

    /// Stores that something is kept for: part of the log, or how far theirs is followed.
    #[must_use]
    pub fn known_stores(&self) -> Vec<StoreId> {
        let mut stores: Vec<StoreId> = self.inner.cursors().keys().copied().collect();
        let manifest = self.inner.manifest();
        stores.extend(manifest.state().pins.keys().filter_map(|name| StoreId::parse(name)));
        stores.sort_unstable();
        stores.dedup();
        stores
    }
}
