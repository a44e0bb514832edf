//! The slow, obvious twin of all stores together: every write and delete that was acknowledged, under the versions that
//! were reported. What was not acknowledged for good (written without a sync before a crash, lost with a disk, written
//! to a copy of a store) may be there or not, but everywhere alike.

use std::collections::{BTreeMap, BTreeSet};
use tidelog_engine::{CollectionName, Query, Store};
use tidelog_model::{Device, FieldType, GroupId, Horizon, StoreId, TimeRange, Version};
use tidelog_tests::oracle::{Delete, RowWrite};

/// A cell, or with no field the row's being there.
pub type Key = (String, String, i64, Option<(String, FieldType)>);
/// Cells and their values, as bytes.
pub type Cells = BTreeMap<Key, Vec<u8>>;

#[derive(Clone, Debug)]
enum What {
    Write(Vec<(Key, Vec<u8>)>),
    Delete { collection: Option<String>, delete: Delete },
}

#[derive(Clone, Debug)]
pub struct Event {
    pub version: Version,
    pub certain: bool,
    /// Of the machine that took it.
    pub machine: usize,
    /// Not synced yet.
    pub loose: bool,
    what: What,
}

/// Version, whether it is certain, and value.
type Written<'a> = (Version, bool, &'a [u8]);

/// See the module documentation.
#[derive(Default)]
pub struct Twin {
    pub events: Vec<Event>,
}

impl Twin {
    pub fn write(
        &mut self,
        machine: usize,
        collection: &str,
        (version, loose): (Version, bool),
        rows: &[RowWrite],
    ) {
        let mut cells: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
        for row in rows {
            let key =
                |field| (collection.to_owned(), row.device.as_str().to_owned(), row.time, field);
            cells.insert(key(None), Vec::new());
            for (name, value) in &row.values {
                let bytes = value.as_ref().with_canonical_bytes(<[u8]>::to_vec);
                cells.insert(key(Some((name.clone(), value.field_type()))), bytes);
            }
        }
        let what = What::Write(cells.into_iter().collect());
        self.events.push(Event { version, certain: true, machine, loose, what });
    }

    /// `collection`: none means all of the database.
    pub fn delete(
        &mut self,
        machine: usize,
        collection: Option<&str>,
        version: Version,
        delete: Delete,
    ) {
        let what = What::Delete { collection: collection.map(str::to_owned), delete };
        self.events.push(Event { version, certain: true, machine, loose: false, what });
    }

    /// What a machine wrote is durable now.
    pub fn synced(&mut self, machine: usize) {
        let own = self.events.iter_mut().filter(|event| event.machine == machine);
        own.for_each(|event| event.loose = false);
    }

    /// The power of a machine failed: what it had not synced is uncertain.
    pub fn crashed(&mut self, machine: usize) {
        for event in self.events.iter_mut().filter(|event| event.machine == machine) {
            event.certain &= !event.loose;
            event.loose = false;
        }
    }

    /// A machine lost what it wrote from an event on; what others said to have of it, up to a stamp, they have.
    pub fn lost(&mut self, machine: usize, from: usize, held: tidelog_model::Stamp) {
        let own = self.events[from..].iter_mut().filter(|event| event.machine == machine);
        own.filter(|event| event.version.stamp > held).for_each(|event| event.certain = false);
    }

    /// What a machine wrote is uncertain.
    pub fn doubt(&mut self, machine: usize) {
        let own = self.events.iter_mut().filter(|event| event.machine == machine);
        own.for_each(|event| event.certain = false);
    }

    /// What every cell may hold: one of these values, or with `None` among them nothing.
    fn allowed(&self) -> BTreeMap<&Key, BTreeSet<Option<&[u8]>>> {
        let mut writes: BTreeMap<&Key, Vec<Written<'_>>> = BTreeMap::new();
        for event in &self.events {
            if let What::Write(cells) = &event.what {
                for (key, value) in cells {
                    let entry = (event.version, event.certain, value.as_slice());
                    writes.entry(key).or_default().push(entry);
                }
            }
        }
        let mut allowed = BTreeMap::new();
        for (key, mut versions) in writes {
            let deletes: Vec<(Version, bool)> = self.deletes_of(key).collect();
            versions.sort_by(|a, b| (a.0, a.2).cmp(&(b.0, b.2)));
            let sure = deletes.iter().filter(|one| one.1).map(|one| one.0.stamp).max();
            let unsure = deletes.iter().filter(|one| !one.1).map(|one| one.0.stamp).max();
            let winner = versions.iter().rposition(|one| one.1);
            let mut may: BTreeSet<Option<&[u8]>> = BTreeSet::new();
            let visible = |version: Version| sure.is_none_or(|sure| version.stamp > sure);
            let maybe = |version: Version| unsure.is_none_or(|unsure| version.stamp > unsure);
            match winner.map(|at| versions[at]).filter(|one| visible(one.0)) {
                Some((version, _, value)) => {
                    may.insert(Some(value));
                    if !maybe(version) {
                        may.insert(None);
                    }
                }
                None => {
                    may.insert(None);
                }
            }
            for (version, _, value) in &versions[winner.map_or(0, |at| at + 1)..] {
                if visible(*version) {
                    may.insert(Some(value));
                }
            }
            allowed.insert(key, may);
        }
        allowed
    }

    fn deletes_of<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = (Version, bool)> + 'a {
        self.events.iter().filter_map(move |event| {
            let What::Delete { collection, delete } = &event.what else { return None };
            let own = collection.as_ref().is_none_or(|collection| *collection == key.0);
            let named = match (&delete.fields, &key.3) {
                (None, _) => true,
                (Some(fields), Some((name, _))) => fields.contains(name),
                (Some(_), None) => false,
            };
            let covers =
                own && named && delete.range.contains(key.2) && delete.devices.matches(&key.1);
            covers.then_some((event.version, event.certain))
        })
    }

    /// Says where an answer is none that may be.
    pub fn object(&self, answer: &Cells) -> Option<String> {
        let allowed = self.allowed();
        for (key, value) in answer {
            match allowed.get(key) {
                None => return Some(format!("{key:?} was never written")),
                Some(may) if !may.contains(&Some(value.as_slice())) => {
                    let of = self.history_of(key);
                    return Some(format!("{key:?} is {value:02x?}, and may be {may:02x?}: {of}"));
                }
                Some(_) => {}
            }
        }
        let missing =
            allowed.iter().find(|(key, may)| !may.contains(&None) && !answer.contains_key(**key));
        missing.map(|(key, may)| {
            format!("{key:?} is lost: it may be {may:02x?}: {}", self.history_of(key))
        })
    }

    /// What was written to a cell and deleted of it, by which machine, and whether that is certain.
    fn history_of(&self, key: &Key) -> String {
        let writes = self.events.iter().filter_map(|event| {
            let What::Write(cells) = &event.what else { return None };
            let (_, value) = cells.iter().find(|(other, _)| other == key)?;
            let stamp = event.version.stamp.0;
            Some(format!("{} wrote {value:02x?} at {stamp} {}", event.machine, event.certain))
        });
        let deletes = self.deletes_of(key);
        let deletes =
            deletes.map(|(version, certain)| format!("deleted at {} {certain}", version.stamp.0));
        writes.chain(deletes).collect::<Vec<_>>().join("; ")
    }

    /// Does a store hold what one wrote up to a stamp, or what wins over it?
    pub fn missing(
        &self,
        store: &Store,
        origin: StoreId,
        up_to: tidelog_model::Stamp,
    ) -> Option<String> {
        let held = versions(store);
        let own = self.events.iter().filter(|event| {
            event.certain && event.version.origin == origin && event.version.stamp <= up_to
        });
        for event in own {
            let What::Write(cells) = &event.what else { continue };
            for (key, _) in cells {
                let there = held.get(key).is_some_and(|version| *version >= event.version);
                let hidden = || self.deletes_of(key).any(|one| one.0.stamp >= event.version.stamp);
                if !there && !hidden() {
                    return Some(format!("{key:?} with {:?} of {origin}", event.version.stamp));
                }
            }
        }
        None
    }
}

/// What a store holds: all of its collections, by queries as users ask them.
pub fn cells(store: &Store) -> Cells {
    let mut cells = Cells::new();
    for name in store.collection_names() {
        let answer = store.query(&name, Query::new()).expect("it is there");
        let fields = answer.fields().to_vec();
        for batch in answer {
            let batch = batch.expect("it can be read");
            for row in 0..batch.rows() {
                let device = batch.device(row).expect("not grouped").to_string();
                let key = |field| (name.to_string(), device.clone(), batch.times[row], field);
                cells.insert(key(None), Vec::new());
                for (field, column) in fields.iter().zip(&batch.columns) {
                    if let Some(value) = column.at(row) {
                        // Of a field with two types the younger one is named with its type.
                        let suffix = format!("#{}", field.kind.name());
                        let bare = field.name.strip_suffix(&suffix).unwrap_or(&field.name);
                        let bytes = value.with_canonical_bytes(<[u8]>::to_vec);
                        cells.insert(key(Some((bare.to_owned(), field.kind))), bytes);
                    }
                }
            }
        }
    }
    cells
}

/// What users see in lists: collections, with the names and types of their fields and the number of their devices.
pub fn lists(store: &Store) -> Vec<String> {
    let devices = |name: &CollectionName| {
        let names: BTreeSet<String> = cells(store)
            .into_keys()
            .filter(|key| key.0 == name.to_string())
            .map(|key| key.1)
            .collect();
        names
    };
    let collections = store.collections().expect("they can be read");
    let line = |one: &tidelog_engine::CollectionStats| {
        format!("{} {:?} {:?} {:?}", one.name, one.fields, one.retention, devices(&one.name))
    };
    collections.iter().map(line).collect()
}

/// The versions of what a store holds.
fn versions(store: &Store) -> BTreeMap<Key, Version> {
    let mut held = BTreeMap::new();
    for name in store.collection_names() {
        let devices: BTreeSet<String> = cells(store)
            .into_keys()
            .filter(|key| key.0 == name.to_string())
            .map(|key| key.1)
            .collect();
        for text in devices {
            let device = Device::from_canonical(&text).expect("as answered");
            let group: GroupId = store.group_of(&name, &device);
            let horizon = std::sync::Arc::new(Horizon::default());
            let mut content = store.content(&name, group, &horizon).expect("it can be read");
            let each = |row: &tidelog_engine::ContentRow<'_>| {
                let key = |field| (name.to_string(), text.clone(), row.time, field);
                held.insert(key(None), row.version);
                for (name, kind, _, version) in &row.cells {
                    held.insert(key(Some(((*name).to_owned(), *kind))), *version);
                }
                true
            };
            content.rows(&text, TimeRange::ALL, each).expect("it can be read");
        }
    }
    held
}
