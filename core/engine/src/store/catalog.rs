//! What is known of collections right now: the manifest's schema, and what was written since.

use crate::ids::Tier;
use crate::manifest::{CollectionEntry, State, replaces};
use crate::retention::Cuts;
use crate::rows::FieldKey;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::{CollectionName, FieldType, LeafWidth, Name, Stamp, Tombstone, Version};

/// Collections and deletes, newer than the manifest's where something was written since.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    pub(super) collections: BTreeMap<CollectionName, Arc<CollectionEntry>>,
    /// Those of the manifest and those only in the log so far.
    pub(super) tombstones: Arc<Vec<Arc<Tombstone>>>,
    /// By stamp, what writes bring that are logged and not visible yet. Other writers must keep to it, and no
    /// reader sees it: a write that fails leaves no field behind.
    claims: BTreeMap<Stamp, Claim>,
    /// Cuts on their way: what is before them must not be written any more.
    cutting: BTreeMap<CollectionName, i64>,
}

#[derive(Clone, Debug)]
struct Claim {
    name: CollectionName,
    leaf: LeafWidth,
    fields: Vec<(Name, FieldType)>,
    version: Version,
}

impl Catalog {
    pub(super) fn new(state: &State) -> Self {
        Catalog {
            collections: state.collections.clone(),
            tombstones: Arc::new(state.tombstones.clone()),
            claims: BTreeMap::new(),
            cutting: BTreeMap::new(),
        }
    }

    /// From here on rows of a collection are taken.
    pub(super) fn cut_for_writes(&self, name: &CollectionName) -> i64 {
        self.cuts_for_writes(name).of(Tier::Raw)
    }

    /// The cuts of a collection, with one that is on its way.
    pub(super) fn cuts_for_writes(&self, name: &CollectionName) -> Cuts {
        let cuts = self.collections.get(name).map_or(Cuts::NONE, |entry| entry.cuts());
        match self.cutting.get(name) {
            Some(to) => cuts.with_rows_from(*to),
            None => cuts,
        }
    }

    /// A cut of rows is on its way, or is not any more.
    pub(super) fn set_cutting(&mut self, name: &CollectionName, to: Option<i64>) {
        match to {
            Some(to) => self.cutting.insert(name.clone(), to),
            None => self.cutting.remove(name),
        };
    }

    /// Keeps the new fields of a write, or its new collection, for when it is visible.
    pub(super) fn claim(
        &mut self,
        name: &CollectionName,
        leaf: LeafWidth,
        fields: Vec<(Name, FieldType)>,
        version: Version,
    ) {
        if !fields.is_empty() || !self.collections.contains_key(name) {
            let claim = Claim { name: name.clone(), leaf, fields, version };
            self.claims.insert(version.stamp, claim);
        }
    }

    /// The write with this stamp is visible.
    pub(super) fn land(&mut self, stamp: Stamp) {
        if let Some(Claim { name, leaf, fields, version }) = self.claims.remove(&stamp) {
            self.observe(&name, leaf, fields.into_iter(), version);
        }
    }

    /// The leaf width of a collection, of one on its way too.
    pub(super) fn leaf_of(&self, name: &CollectionName) -> Option<LeafWidth> {
        let known = self.collections.get(name).map(|entry| entry.leaf);
        known.or_else(|| self.claims_on(name).map(|claim| claim.leaf).next())
    }

    /// The type that a write on its way gives a field that no visible one has.
    pub(super) fn claimed_type(&self, name: &CollectionName, field: &Name) -> Option<FieldType> {
        let mut fields = self.claims_on(name).flat_map(|claim| &claim.fields);
        fields.find(|(claimed, _)| claimed == field).map(|(_, kind)| *kind)
    }

    /// How many fields a collection has, those on their way included.
    pub(super) fn count_fields(&self, name: &CollectionName) -> usize {
        let visible = self.collections.get(name).map(|entry| &entry.fields);
        let claimed: BTreeSet<&(Name, FieldType)> =
            self.claims_on(name).flat_map(|claim| &claim.fields).collect();
        let new =
            claimed.iter().filter(|key| visible.is_none_or(|known| !known.contains_key(**key)));
        new.count() + visible.map_or(0, BTreeMap::len)
    }

    fn claims_on(&self, name: &CollectionName) -> impl Iterator<Item = &Claim> {
        self.claims.values().filter(move |claim| claim.name == *name)
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
        if self.tombstones.iter().any(|known| replaces(known, &new)) {
            return;
        }
        let tombstones = Arc::make_mut(&mut self.tombstones);
        tombstones.retain(|old| !replaces(&new, old));
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
        evicted: i64::MIN,
    }
}
