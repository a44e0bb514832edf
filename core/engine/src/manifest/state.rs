//! What a store consists of: its files, collections, deletes, pins, and how far the log is covered.
//!
//! A `State` is a value. It changes by edits only, and every rule in `invariants.rs` holds between them.

use super::change::Change;
use super::collection::CollectionEntry;
use super::invariants;
use crate::format::Malformed;
use crate::ids::{FileId, LogEnd, LogPoint, Tier};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::{
    CollectionName, GroupEpoch, GroupId, Incarnation, Position, Stamp, StoreId, TimeRange,
    Tombstone,
};

/// One opening of the store for writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Opening {
    pub(crate) ordinal: u32,
    pub(crate) incarnation: Incarnation,
}

/// A group file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileEntry {
    pub(crate) id: FileId,
    pub(crate) group: GroupId,
    pub(crate) tier: Tier,
    /// Bytes.
    pub(crate) len: u64,
    /// Of the whole file.
    pub(crate) blake3: [u8; 32],
    pub(crate) rows: u64,
    pub(crate) values: u64,
    pub(crate) series: u32,
    pub(crate) range: TimeRange,
    /// The least and the greatest stamp.
    pub(crate) stamps: (Stamp, Stamp),
    /// Tombstones up to this stamp were applied when the file was written.
    pub(crate) cleaned: Stamp,
    /// Written by compaction, with the codecs that put size first.
    pub(crate) dense: bool,
    /// A file of nodes that are data: what they are of is gone.
    pub(crate) settled: bool,
    /// A file of nodes that another store lent: of windows whose rows are not here.
    pub(crate) borrowed: bool,
    /// The stretches of time of whose rows here the pyramid's stored nodes do not count all: sorted, apart from each
    /// other. None for files of nodes.
    pub(crate) uncounted: Vec<TimeRange>,
    /// Who made the file, and as which, when that was another store: its header says so for ever.
    pub(crate) made_as: Option<(StoreId, FileId)>,
    pub(crate) collections: Vec<CollectionName>,
}

/// What keeps log segments for a reader that has not read them yet, within a budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pin {
    /// The reader has everything before this.
    pub(crate) point: LogPoint,
    pub(crate) bytes_max: u64,
    pub(crate) age_max_millis: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) created_millis: u64,
}

/// All that a store's manifest says. Entries are shared, so that a clone is cheap: a query keeps one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// The number of the last edit applied.
    pub(crate) number: u64,
    pub(crate) store: StoreId,
    /// How many groups devices are spread over; fixed when the store is created.
    pub(crate) groups: u32,
    /// The openings whose log segments may still exist, oldest first; the last is the current one.
    pub(crate) openings: Vec<Opening>,
    /// Where the logs of openings end, once that is known: a clean close or the next opening says so.
    pub(crate) ends: BTreeMap<u32, LogEnd>,
    /// What the log holds before this point is in group files or here.
    pub(crate) covered: LogPoint,
    /// No stamp above this one was drawn: it is raised before stamps are.
    pub(crate) ceiling: Stamp,
    /// Ids from this one on were never used.
    pub(crate) next_file: FileId,
    pub(crate) files: BTreeMap<FileId, Arc<FileEntry>>,
    /// Those of them that are damaged and set aside.
    pub(crate) aside: BTreeSet<FileId>,
    pub(crate) collections: BTreeMap<CollectionName, Arc<CollectionEntry>>,
    /// The deletes that no other one supersedes.
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// Those of them that the pyramid's stored nodes do not know yet.
    pub(crate) not_rolled_up: Vec<Arc<Tombstone>>,
    pub(crate) pins: BTreeMap<String, Pin>,
    /// By store: all that it wrote to its log before this position is here.
    pub(crate) cursors: BTreeMap<StoreId, Position>,
    /// Has the store peers, or had it once? Then stamps stay as they were drawn until all have agreed.
    pub(crate) replicated: bool,
    /// The highest epochs that were seen.
    pub(crate) epochs: BTreeMap<GroupId, GroupEpoch>,
    /// Stores that are to stay away.
    pub(crate) forgotten: BTreeSet<StoreId>,
}

impl State {
    /// A new store.
    pub(crate) fn new(store: StoreId, groups: u32) -> Self {
        State {
            number: 0,
            store,
            groups,
            openings: Vec::new(),
            ends: BTreeMap::new(),
            covered: LogPoint::default(),
            ceiling: Stamp::ZERO,
            next_file: FileId(0),
            files: BTreeMap::new(),
            aside: BTreeSet::new(),
            collections: BTreeMap::new(),
            tombstones: Vec::new(),
            not_rolled_up: Vec::new(),
            pins: BTreeMap::new(),
            cursors: BTreeMap::new(),
            replicated: false,
            epochs: BTreeMap::new(),
            forgotten: BTreeSet::new(),
        }
    }

    /// What a snapshot is applied to.
    pub(super) fn nothing() -> Self {
        State::new(StoreId::default(), 0)
    }

    /// Applies one edit, whole. The rules that span several changes hold at the end of the edit,
    /// not between its changes.
    ///
    /// # Errors
    /// When the edit breaks a rule; the state is then between two edits and to be thrown away.
    pub(crate) fn apply(&mut self, edit: &[Change]) -> Result<(), Malformed> {
        edit.iter().try_for_each(|change| self.change(change))?;
        invariants::after_edit(self, edit)?;
        self.number =
            self.number.checked_add(1).ok_or(Malformed("the edit numbers are used up"))?;
        Ok(())
    }

    /// The edit that makes this state out of nothing, its number apart.
    pub(crate) fn snapshot(&self) -> Vec<Change> {
        let mut edit = vec![
            Change::Store(self.store),
            Change::Groups(self.groups),
            Change::Covered(self.covered),
            Change::Ceiling(self.ceiling),
            Change::NextFile(self.next_file),
        ];
        edit.extend(self.openings.iter().map(|opening| Change::Opened(*opening)));
        edit.extend(self.ends.iter().map(|(ordinal, end)| Change::Ended(*ordinal, *end)));
        let collections = self.collections.iter();
        edit.extend(
            collections.map(|(name, entry)| Change::Collection(name.clone(), entry.clone())),
        );
        edit.extend(self.files.values().cloned().map(Change::AddFile));
        edit.extend(self.aside.iter().copied().map(Change::SetAside));
        edit.extend(self.tombstones.iter().cloned().map(Change::Tombstone));
        let rolled_up = self.tombstones.iter().filter(|one| !self.not_rolled_up.contains(one));
        edit.extend(rolled_up.cloned().map(Change::TombstoneRolledUp));
        edit.extend(self.pins.iter().map(|(name, pin)| Change::Pin(name.clone(), *pin)));
        edit.extend(self.cursors.iter().map(|(origin, at)| Change::Cursor(*origin, *at)));
        edit.extend(self.replicated.then_some(Change::Replicated));
        edit.extend(self.epochs.iter().map(|(group, epoch)| Change::Epoch(*group, *epoch)));
        edit.extend(self.forgotten.iter().map(|store| Change::Forgotten(*store)));
        edit
    }

    pub(super) fn from_snapshot(number: u64, edit: &[Change]) -> Result<Self, Malformed> {
        let mut state = State::nothing();
        state.apply(edit)?;
        state.number = number;
        invariants::check(&state)?;
        Ok(state)
    }

    /// Applies one change, checked against what it changes only.
    pub(super) fn change(&mut self, change: &Change) -> Result<(), Malformed> {
        match change {
            Change::Store(store) => self.store = *store,
            Change::Groups(groups) => {
                require(self.groups == 0, "the number of groups is fixed")?;
                self.groups = *groups;
            }
            Change::Opened(opening) => self.openings.push(*opening),
            Change::ForgetOpening(ordinal) => {
                let kept = self.openings.len();
                self.openings.retain(|opening| opening.ordinal != *ordinal);
                require(self.openings.len() < kept, "an opening to forget is not known")?;
                self.ends.remove(ordinal);
            }
            Change::Ended(ordinal, end) => {
                let known = self.openings.iter().any(|opening| opening.ordinal == *ordinal);
                require(known, "an opening that ended is not known")?;
                self.ends.insert(*ordinal, *end);
            }
            Change::Covered(point) => {
                require(*point >= self.covered, "the covered point of the log would go back")?;
                self.covered = *point;
            }
            Change::Ceiling(stamp) => {
                require(*stamp >= self.ceiling, "the ceiling of stamps would sink")?;
                self.ceiling = *stamp;
            }
            Change::NextFile(id) => {
                require(*id >= self.next_file, "the next file id would go back")?;
                self.next_file = *id;
            }
            Change::AddFile(entry) => {
                let before = self.files.insert(entry.id, entry.clone());
                require(before.is_none(), "a file to add is there already")?;
            }
            Change::RemoveFile(id) => {
                require(self.files.remove(id).is_some(), "a file to remove is not there")?;
                self.aside.remove(id);
            }
            Change::Collection(name, entry) => self.merge_collection(name, entry),
            Change::Tombstone(tombstone) => self.add_tombstone(tombstone),
            Change::DropTombstone(tombstone) => self.drop_tombstone(tombstone)?,
            Change::Uncounted(id, ranges) => {
                let entry = self.files.get_mut(id);
                let entry = entry.ok_or(Malformed("a file that is counted is not there"))?;
                Arc::make_mut(entry).uncounted.clone_from(ranges);
            }
            Change::TombstoneRolledUp(tombstone) => {
                // It may have been superseded meanwhile, and the wider one stands for it.
                self.not_rolled_up.retain(|one| one != tombstone);
            }
            Change::Cursor(..) | Change::Epoch(..) | Change::Forgotten(..) => {
                self.member(change)?
            }
            Change::Replicated => self.replicated = true,
            Change::SetAside(id) => {
                let rows = self.files.get(id).is_some_and(|entry| entry.tier == Tier::Raw);
                require(rows, "a file to set aside is not there, or not of rows")?;
                self.aside.insert(*id);
            }
            Change::Pin(name, pin) => {
                self.pins.insert(name.clone(), *pin);
            }
            Change::Unpin(name) => {
                require(self.pins.remove(name).is_some(), "a pin to remove is not there")?;
            }
        }
        Ok(())
    }

    /// What is kept of peers.
    fn member(&mut self, change: &Change) -> Result<(), Malformed> {
        match change {
            // What comes of a store while it is forgotten does not bring it back.
            Change::Cursor(origin, position) if !self.forgotten.contains(origin) => {
                self.cursors.insert(*origin, *position);
            }
            Change::Epoch(group, epoch) => {
                let known = self.epochs.entry(*group).or_default();
                require(*epoch >= *known, "the epoch of a group would sink")?;
                *known = *epoch;
            }
            Change::Forgotten(store) => {
                self.cursors.remove(store);
                self.forgotten.insert(*store);
            }
            _ => {}
        }
        Ok(())
    }

    fn merge_collection(&mut self, name: &CollectionName, entry: &Arc<CollectionEntry>) {
        match self.collections.get_mut(name) {
            Some(known) => Arc::make_mut(known).merge(entry),
            None => {
                self.collections.insert(name.clone(), entry.clone());
            }
        }
    }

    fn drop_tombstone(&mut self, tombstone: &Arc<Tombstone>) -> Result<(), Malformed> {
        let kept = self.tombstones.len();
        self.tombstones.retain(|one| one != tombstone);
        require(self.tombstones.len() < kept, "a tombstone to drop is not there")?;
        self.not_rolled_up.retain(|one| one != tombstone);
        Ok(())
    }

    /// Keeps the records that no other supersedes. Of two that supersede each other the greater one
    /// stays, so that replicas keep the same one in whatever order they arrive.
    fn add_tombstone(&mut self, new: &Arc<Tombstone>) {
        if self.tombstones.iter().any(|old| replaces(old, new)) {
            return;
        }
        self.tombstones.retain(|old| !replaces(new, old));
        self.not_rolled_up.retain(|old| !replaces(new, old));
        self.tombstones.push(new.clone());
        self.not_rolled_up.push(new.clone());
    }
}

/// Does one record make the other superfluous? Of two that supersede each other the greater one does, so that
/// replicas keep the same one in whatever order they arrive.
pub(crate) fn replaces(one: &Tombstone, other: &Tombstone) -> bool {
    one.supersedes(other) && (!other.supersedes(one) || by_version(one, other) != Ordering::Less)
}

fn by_version(one: &Tombstone, other: &Tombstone) -> Ordering {
    let bytes = |tombstone| super::change::tombstone_bytes(tombstone);
    one.version.cmp(&other.version).then_with(|| bytes(one).cmp(&bytes(other)))
}

pub(super) fn require(holds: bool, otherwise: &'static str) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(Malformed(otherwise)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_model::{DeviceSelector, Name, Version};

    fn tombstone(stamp: u64, origin: u8, fields: Option<&[&str]>) -> Arc<Tombstone> {
        Arc::new(Tombstone {
            database: Name::new("database", "d").unwrap(),
            collection: None,
            devices: DeviceSelector::all(),
            fields: fields
                .map(|names| names.iter().map(|name| Name::new("field", name).unwrap()).collect()),
            range: TimeRange::ALL,
            version: Version { stamp: Stamp(stamp), origin: StoreId([origin; 16]) },
        })
    }

    fn kept(order: &[&Arc<Tombstone>]) -> Vec<Arc<Tombstone>> {
        let mut state = State::new(StoreId::default(), 8);
        for one in order {
            state.apply(&[Change::Tombstone((*one).clone())]).unwrap();
        }
        state.tombstones.sort_by(|a, b| by_version(a, b));
        state.tombstones
    }

    #[test]
    fn the_same_tombstones_are_kept_in_whatever_order_they_arrive() {
        let all = [
            tombstone(1, 1, Some(&["a"])),
            tombstone(2, 1, Some(&["a", "b"])),
            tombstone(2, 2, Some(&["b", "a"])),
            tombstone(3, 1, Some(&["c"])),
        ];
        let [a, b, c, d] = &all;
        let expected = vec![c.clone(), d.clone()];
        for order in [[a, b, c, d], [d, c, b, a], [c, a, d, b], [b, c, a, d], [c, b, b, d]] {
            assert_eq!(kept(&order), expected, "{order:?}");
        }
        assert_eq!(kept(&[a, b, c, d, &tombstone(4, 1, None)]).len(), 1);
    }
}
