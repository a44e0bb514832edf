//! What two replicas must agree on beside rows: deletes, schemas, options of collections, cuts. Each is a part, canonical
//! bytes of one thing, so that sets of parts can be compared and what one side lacks be sent.

use super::catalog::new_entry;
use super::{Inner, Store};
use crate::error::{ApplyError, EditProblem};
use crate::format::{Malformed, Reader, Writer};
use crate::ids::Tier;
use crate::manifest::{Change, CollectionEntry, decode_tombstone, encode_tombstone, replaces};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_model::digest::{StateKind, StateRoot};
use tidelog_model::{
    CollectionName, Digest, FieldType, Horizon, LeafWidth, Name, Stamp, StoreId, Tombstone, Version,
};

/// A part of the state: equal parts have equal bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StatePart {
    /// What it is about.
    pub kind: StateKind,
    /// Its canonical bytes; see the FORMAT.md of the digests.
    pub bytes: Vec<u8>,
}

impl StatePart {
    /// The database that the part is about.
    ///
    /// # Errors
    /// [`ApplyError::Malformed`] when the bytes are not those of such a part.
    pub fn database(&self) -> Result<String, ApplyError> {
        let malformed = |error: Malformed| ApplyError::Malformed { what: error.to_string() };
        if self.kind == StateKind::Tombstone {
            let tombstone = decode_tombstone(&self.bytes).map_err(malformed)?;
            return Ok(tombstone.database.to_string());
        }
        Reader::new(&self.bytes).text().map(str::to_owned).map_err(malformed)
    }
}

/// What became of parts from another store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct StateApplied {
    /// Parts that were not known here.
    pub new: u64,
    /// Collections that have leaves of another width there; nothing of their options was taken.
    pub conflicts: Vec<CollectionName>,
    /// What is here in place of parts that were given: it may be on its way to the other store still, which would go on
    /// showing what it supersedes.
    pub superseding: Vec<StatePart>,
}

impl Store {
    /// The parts of the state up to a horizon, ascending: a delete that is on its way to the other store is no
    /// difference, as rows are none. Memory: all deletes and fields there are.
    #[must_use]
    pub fn state_parts(&self, horizon: &Horizon) -> Vec<StatePart> {
        self.state_parts_of(horizon, |_| true)
    }

    /// [`Self::state_parts`] of some databases.
    #[must_use]
    pub fn state_parts_of(&self, horizon: &Horizon, seen: impl Fn(&str) -> bool) -> Vec<StatePart> {
        let catalog = self.inner.catalog();
        let deletes = catalog.tombstones.iter().filter(|one| horizon.admits(one.version));
        let deletes = deletes.filter(|one| seen(&one.database));
        let mut parts: Vec<StatePart> = deletes.map(|one| tombstone_part(one)).collect();
        for (name, entry) in catalog.collections.iter().filter(|(name, _)| seen(name.database())) {
            parts.extend(parts_of(name, entry, horizon));
        }
        parts.sort_unstable();
        parts
    }

    /// The state root over a content root, both up to a horizon: equal ones mean that two stores agree on everything
    /// up to there.
    #[must_use]
    pub fn state_root(&self, content: Option<Digest>, horizon: &Horizon) -> Digest {
        state_root(content, &self.state_parts(horizon))
    }

    /// Takes parts from another store: merged by the rule for cells, durable when this returns. Cuts are not made by
    /// this: retention, which is a part as well, makes them here in its own time, after settling what they cut off.
    ///
    /// # Errors
    /// [`ApplyError::Malformed`] when a part is none; nothing was taken then. See [`ApplyError`].
    pub fn apply_state(&self, parts: &[StatePart]) -> Result<StateApplied, ApplyError> {
        let malformed = |error: Malformed| ApplyError::Malformed { what: error.to_string() };
        let mut deletes: Vec<Tombstone> = Vec::new();
        let mut entries: BTreeMap<CollectionName, Entry> = BTreeMap::new();
        for part in parts {
            match part.kind {
                StateKind::Tombstone => {
                    deletes.push(decode_tombstone(&part.bytes).map_err(malformed)?);
                }
                StateKind::Schema | StateKind::Options => {
                    read_part(part, &mut entries).map_err(malformed)?;
                }
                _ => {}
            }
        }
        let known = self.state_parts(&Horizon::default());
        let new = parts.iter().filter(|part| known.binary_search(part).is_err()).count();
        let mut applied = StateApplied { new: new as u64, ..StateApplied::default() };
        let given = (deletes.clone(), entries.clone());
        let newest = entries.values().filter_map(Entry::newest).max().unwrap_or_default();
        self.inner.check_ahead(newest)?;
        if !deletes.is_empty() {
            let incoming = super::Incoming { tombstones: deletes, ..super::Incoming::default() };
            self.apply(&incoming)?;
        }
        self.inner.merge_entries(entries, &mut applied)?;
        applied.superseding = self.inner.superseding(&given.0, &given.1);
        Ok(applied)
    }
}

/// The state root over a content root and parts.
#[must_use]
pub fn state_root(content: Option<Digest>, parts: &[StatePart]) -> Digest {
    let mut root = StateRoot::new(content);
    parts.iter().for_each(|part| root.push(part.kind, &part.bytes));
    root.finish()
}

/// What parts say of one collection.
#[derive(Clone, Default)]
struct Entry {
    fields: BTreeMap<(Name, FieldType), Version>,
    options: Option<Given>,
}

/// Leaf width, version and retention.
type Given = (LeafWidth, Version, Vec<(Tier, u32)>);

impl Entry {
    fn newest(&self) -> Option<Stamp> {
        let options = self.options.as_ref().map(|(_, version, _)| version.stamp);
        self.fields.values().map(|version| version.stamp).chain(options).max()
    }
}

impl Inner {
    /// What stands here in place of what was given: a delete that is wider, an earlier first use of a field, newer options.
    fn superseding(
        &self,
        deletes: &[Tombstone],
        entries: &BTreeMap<CollectionName, Entry>,
    ) -> Vec<StatePart> {
        let catalog = self.catalog();
        let wider = deletes.iter().filter_map(|given| {
            let own = catalog.tombstones.iter().filter(|own| ***own != *given);
            own.into_iter().find(|own| replaces(own, given))
        });
        let mut parts: Vec<StatePart> = wider.map(|own| tombstone_part(own)).collect();
        for (name, given) in entries {
            let Some(own) = catalog.collections.get(name) else { continue };
            let earlier = own.fields.iter().filter(|(field, first)| {
                given.fields.get(*field).is_some_and(|given| *first < given)
            });
            parts.extend(earlier.map(|(field, first)| field_part(name, field, first)));
            if given.options.as_ref().is_some_and(|(_, given, _)| own.options_version > *given) {
                parts.push(options_part(name, own));
            }
        }
        parts
    }

    fn merge_entries(
        &self,
        entries: BTreeMap<CollectionName, Entry>,
        applied: &mut StateApplied,
    ) -> Result<(), ApplyError> {
        let mut manifest = self.manifest();
        let mut edit = Vec::new();
        let mut merged = Vec::new();
        for (name, entry) in entries {
            let own = self.catalog().collections.get(&name).cloned();
            let leaf = own.as_ref().map(|own| own.leaf);
            let given = entry.options.as_ref().map(|(leaf, _, _)| *leaf);
            let mut next = new_entry(leaf.or(given).unwrap_or_default());
            next.fields = entry.fields;
            match entry.options {
                Some((given, ..)) if leaf.is_some_and(|own| own != given) => {
                    applied.conflicts.push(name.clone());
                }
                Some((_, version, retention)) => {
                    (next.options_version, next.retention) = (version, retention);
                }
                None => {}
            }
            if own.is_some_and(|own| is_known(&own, &next)) {
                continue;
            }
            let next = Arc::new(next);
            edit.push(Change::Collection(name.clone(), Arc::clone(&next)));
            merged.push((name, next));
        }
        if edit.is_empty() {
            return Ok(());
        }
        let failed = |error| ApplyError::Write(EditProblem(error).into());
        self.edit(&mut manifest, &edit).map_err(failed)?;
        let mut catalog = self.catalog();
        merged.iter().for_each(|(name, entry)| catalog.merge(name, entry));
        drop(catalog);
        self.refresh_state(&manifest);
        Ok(())
    }
}

/// Would merging change nothing?
fn is_known(own: &CollectionEntry, next: &CollectionEntry) -> bool {
    let mut merged = own.clone();
    merged.merge(next);
    merged == *own
}

fn parts_of<'a>(
    name: &'a CollectionName,
    entry: &'a CollectionEntry,
    horizon: &'a Horizon,
) -> impl Iterator<Item = StatePart> + 'a {
    let options = horizon.admits(entry.options_version).then(|| options_part(name, entry));
    let cut = move |(tier, cut): (&Tier, &i64)| {
        let mut writer = named(name);
        writer.u8(*tier as u8).i64(*cut);
        StatePart { kind: StateKind::Cut, bytes: writer.bytes }
    };
    let fields = entry.fields.iter().filter(|(_, first)| horizon.admits(**first));
    let fields = fields.map(move |(field, first)| field_part(name, field, first));
    fields.chain(options).chain(entry.cuts.iter().map(cut))
}

/// The bytes of a part begin with the collection that it is about.
fn named(name: &CollectionName) -> Writer {
    let mut writer = Writer::default();
    writer.text(name.database()).text(name.collection());
    writer
}

fn tombstone_part(tombstone: &Tombstone) -> StatePart {
    StatePart { kind: StateKind::Tombstone, bytes: encode_tombstone(tombstone) }
}

fn field_part(
    name: &CollectionName,
    (field, kind): &(Name, FieldType),
    first: &Version,
) -> StatePart {
    let mut writer = named(name);
    writer.text(field).u8(*kind as u8).u64(first.stamp.0).raw(&first.origin.0);
    StatePart { kind: StateKind::Schema, bytes: writer.bytes }
}

fn options_part(name: &CollectionName, entry: &CollectionEntry) -> StatePart {
    let mut writer = named(name);
    writer.u8(entry.leaf as u8).u64(entry.options_version.stamp.0);
    writer.raw(&entry.options_version.origin.0);
    writer.list(entry.retention.iter(), |writer, (tier, days)| {
        writer.u8(*tier as u8).u32(*days);
    });
    StatePart { kind: StateKind::Options, bytes: writer.bytes }
}

fn read_part(
    part: &StatePart,
    entries: &mut BTreeMap<CollectionName, Entry>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(&part.bytes);
    let (database, collection) = (reader.text()?, reader.text()?);
    let name = CollectionName::new(database, collection)
        .map_err(|_| Malformed("not a collection's name"))?;
    let entry = entries.entry(name).or_default();
    let version = |reader: &mut Reader<'_>| {
        Ok(Version { stamp: Stamp(reader.u64()?), origin: StoreId(reader.array()?) })
    };
    if part.kind == StateKind::Schema {
        let field = Name::new("field", reader.text()?).map_err(|_| Malformed("not a name"))?;
        let kind = FieldType::from_number(reader.u8()?).ok_or(Malformed("no such field type"))?;
        entry.fields.insert((field, kind), version(&mut reader)?);
        return reader.end();
    }
    let leaf = LeafWidth::from_minutes(reader.u8()?).ok_or(Malformed("no such leaf width"))?;
    let version = version(&mut reader)?;
    let retention = reader.list(5, |reader| {
        let tier = Tier::from_number(reader.u8()?).ok_or(Malformed("no such tier"))?;
        Ok((tier, reader.u32()?))
    })?;
    if !retention.is_sorted_by(|a, b| a.0 < b.0) || retention.iter().any(|(_, days)| *days == 0) {
        return Err(Malformed("retention does not name each tier once, in order"));
    }
    entry.options = Some((leaf, version, retention));
    reader.end()
}
