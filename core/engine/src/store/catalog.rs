//! What is known of collections right now: the manifest's schema, and what was written since.

use crate::manifest::{CollectionEntry, State};
use crate::rows::FieldKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_model::{CollectionName, FieldType, LeafWidth, Name, Tombstone, Version};

/// Collections and deletes, newer than the manifest's where something was written since.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    pub(super) collections: BTreeMap<CollectionName, Arc<CollectionEntry>>,
    /// Those of the manifest and those only in the log so far.
    pub(super) tombstones: Arc<Vec<Arc<Tombstone>>>,
}

impl Catalog {
    pub(super) fn new(state: &State) -> Self {
        Catalog {
            collections: state.collections.clone(),
            tombstones: Arc::new(state.tombstones.clone()),
        }
    }

    /// Notes the fields of a write. The first use of a name and type is what counts.
    pub(super) fn observe(
        &mut self,
        name: &CollectionName,
        leaf: LeafWidth,
        fields: impl Iterator<Item = (Name, FieldType)>,
        version: Version,
    ) {
        let entry =
            self.collections.entry(name.clone()).or_insert_with(|| Arc::new(new_entry(leaf)));
        for key in fields {
            if entry.fields.get(&key).is_none_or(|first| *first > version) {
                Arc::make_mut(entry).fields.insert(key, version);
            }
        }
    }

    /// Takes in what the manifest now says of a collection. Merged, not replaced: a writer may have
    /// brought a new field meanwhile.
    pub(super) fn merge(&mut self, name: &CollectionName, entry: &Arc<CollectionEntry>) {
        match self.collections.get_mut(name) {
            Some(known) => Arc::make_mut(known).merge(entry),
            None => drop(self.collections.insert(name.clone(), Arc::clone(entry))),
        }
    }

    /// Keeps a delete, and drops those that it supersedes.
    pub(super) fn add_tombstone(&mut self, new: Arc<Tombstone>) {
        if self.tombstones.iter().any(|known| **known == *new) {
            return;
        }
        let tombstones = Arc::make_mut(&mut self.tombstones);
        tombstones.retain(|old| !new.supersedes(old));
        tombstones.push(new);
    }

    /// The tombstones that concern a collection.
    pub(super) fn tombstones_of(&self, name: &CollectionName) -> Vec<Arc<Tombstone>> {
        let concerns =
            |tombstone: &&Arc<Tombstone>| tombstone.concerns(name.database(), name.collection());
        self.tombstones.iter().filter(concerns).cloned().collect()
    }

    /// The fields of a collection by name; the oldest of a name comes first and owns it.
    pub(super) fn fields_of(&self, name: &CollectionName) -> Option<Vec<FieldKey>> {
        let entry = self.collections.get(name)?;
        let mut fields: Vec<(&Name, Version, FieldType)> =
            entry.fields.iter().map(|((name, kind), version)| (name, *version, *kind)).collect();
        fields.sort_unstable();
        let key =
            |(name, _, kind): (&Name, Version, FieldType)| FieldKey { name: name.clone(), kind };
        Some(fields.into_iter().map(key).collect())
    }

    /// The type that owns a field's bare name.
    pub(super) fn type_of(&self, name: &CollectionName, field: &Name) -> Option<FieldType> {
        let entry = self.collections.get(name)?;
        let of_name = |kind: &FieldType| {
            entry.fields.get(&(field.clone(), *kind)).map(|version| (*version, *kind))
        };
        FieldType::ALL.iter().filter_map(of_name).min().map(|(_, kind)| kind)
    }
}

pub(super) fn new_entry(leaf: LeafWidth) -> CollectionEntry {
    CollectionEntry {
        leaf,
        options_version: Version::default(),
        fields: BTreeMap::new(),
        retention: Vec::new(),
        cuts: BTreeMap::new(),
    }
}
