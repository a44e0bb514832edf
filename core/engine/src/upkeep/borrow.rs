//! Borrowed rollups: written as they come, and merged without those that count no more.

use super::merge_nodes::{FILES_MERGED, newest};
use crate::codec::{Effort, Scratch};
use crate::error::UpkeepError;
use crate::files::OpenNodes;
use crate::group::{ReadError, Written};
use crate::ids::{FileId, Tier};
use crate::nodes::NodeWriter;
use crate::pyramid::{Borrowed, PARENTS, Settled, with_rows};
use crate::rollup::{Parcel, Wants};
use crate::rows::FieldKey;
use crate::scan::Snapshot;
use crate::store::Inner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use tidelog_model::digest::TreeHasher;
use tidelog_model::{CollectionName, DeviceSelector, GroupId, LeafWidth, Stamp, TimeRange};

/// What became of rollups that came. Those in neither were held before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Borrowing {
    pub(crate) taken: u64,
    pub(crate) left_out: u64,
}

/// One collection in one group at one moment, with what was lent of it.
struct Lot {
    name: CollectionName,
    group: GroupId,
    leaf: LeafWidth,
    fields: Vec<FieldKey>,
    snapshot: Snapshot,
    borrowed: Borrowed,
}

impl Lot {
    /// `None` when there is no such collection any more.
    fn of(
        inner: &Inner,
        name: &CollectionName,
        group: GroupId,
        files: Option<&[OpenNodes]>,
    ) -> Result<Option<Self>, ReadError> {
        let Ok(snapshot) = inner.snapshot(name, &DeviceSelector::all()) else { return Ok(None) };
        let leaf = inner.leaf_of(name);
        let cuts = snapshot.files.cuts(name);
        let files = files.unwrap_or(snapshot.files.borrowed(group));
        let (deletes, cache) = (&snapshot.tombstones, &inner.node_cache);
        let borrowed = Borrowed::new(name, leaf, cuts, files, deletes, cache)?;
        let fields: BTreeSet<FieldKey> = snapshot.fields.iter().cloned().collect();
        let (name, fields) = (name.clone(), fields.into_iter().collect());
        Ok(Some(Lot { name, group, leaf, fields, snapshot, borrowed }))
    }

    /// Those of some windows, by their starts, in which a device has rows.
    fn with_rows(
        &self,
        inner: &Inner,
        device: &str,
        windows: &[TimeRange],
        scratch: &mut Scratch,
    ) -> Result<BTreeSet<i64>, ReadError> {
        with_rows(windows, &mut |range| self.scan(inner, device, range), scratch)
    }

    fn scan(
        &self,
        inner: &Inner,
        device: &str,
        range: TimeRange,
    ) -> Result<crate::scan::Scan, ReadError> {
        let no_fields: Arc<[FieldKey]> = Arc::new([]);
        self.snapshot.scan(&self.name, (self.group, device), range, &no_fields, &inner.cache)
    }
}

impl Inner {
    /// Takes parcels, which come in the order of tier, device and window.
    pub(crate) fn borrow(
        &self,
        group: GroupId,
        name: &CollectionName,
        parcels: Vec<Parcel>,
    ) -> Result<Borrowing, UpkeepError> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let mut borrowing = Borrowing::default();
        let Some(lot) = Lot::of(self, name, group, None)? else { return Ok(borrowing) };
        let mut lots: BTreeMap<(Tier, Stamp), Vec<Parcel>> = BTreeMap::new();
        let (mut hasher, mut scratch) = (TreeHasher::new(), Scratch::default());
        let same = |a: &Parcel, b: &Parcel| (a.tier, &a.device) == (b.tier, &b.device);
        for of_device in parcels.chunk_by(same) {
            let windows: Vec<TimeRange> = of_device.iter().map(|parcel| parcel.window).collect();
            let taken = lot.with_rows(self, &of_device[0].device, &windows, &mut scratch)?;
            for parcel in of_device {
                let start = parcel.window.first();
                if taken.contains(&start) || !lot.borrowed.admits(parcel) {
                    borrowing.left_out += 1;
                    continue;
                }
                let place = (parcel.tier, &*parcel.device, parcel.window);
                let held = lot.borrowed.node(place.0, place.1, place.2, &lot.fields)?;
                if let Some(held) = held {
                    let tier = parcel.tier;
                    let digest = Settled::digest(&mut hasher, tier, place.1, &held, &lot.fields)?;
                    if held.cleaned >= parcel.cleaned && digest == parcel.digest(&mut hasher) {
                        continue;
                    }
                }
                borrowing.taken += 1;
                let key = (parcel.tier, parcel.cleaned);
                lots.entry(key).or_default().push(parcel.clone());
            }
        }
        let mut written = Vec::new();
        for (place, parcels) in &lots {
            match self.write_borrowed(&lot, *place, parcels) {
                Ok(file) => written.extend(file),
                Err(error) => {
                    self.discard(&written);
                    return Err(error);
                }
            }
        }
        if written.is_empty() {
            return Ok(borrowing);
        }
        let published = self.publish(&written, &[], Vec::new(), |files| self.show(files));
        if let Err(error) = published {
            self.discard_unpublished(&written, &error);
            return Err(error);
        }
        self.merge_borrowed(group, false)?;
        Ok(borrowing)
    }

    fn write_borrowed(
        &self,
        lot: &Lot,
        (tier, cleaned): (Tier, Stamp),
        parcels: &[Parcel],
    ) -> Result<Option<Written>, UpkeepError> {
        self.ensure_directory(lot.group, tier)?;
        let (id, place) = (self.new_file_id(), (lot.group, self.groups));
        let (disk, store) = (&self.disk, self.store_id);
        let writer = NodeWriter::create(disk, store, place, tier, id, Effort::Dense)?;
        let mut writer = writer.borrowed(cleaned);
        writer.begin_section(lot.name.clone(), lot.leaf, lot.fields.clone())?;
        for parcel in parcels {
            let rollups = parcel.spread(&lot.fields);
            writer.node(&parcel.device, parcel.window.first(), parcel.rows, &rollups)?;
        }
        Ok(writer.finish()?)
    }

    /// Windows of devices that borrowed rollups answer for.
    pub(crate) fn count_borrowed(&self, group: GroupId) -> Result<u64, ReadError> {
        let mut count = 0;
        let mut scratch = Scratch::default();
        for name in names_of(self.files().borrowed(group)) {
            let Some(lot) = Lot::of(self, &name, group, None)? else { continue };
            for device in lot.borrowed.devices(TimeRange::ALL)? {
                let place = (&*device, TimeRange::ALL);
                let rows = &mut |range| lot.scan(self, &device, range);
                let fits = &mut |_: &_| Ok(true);
                let nodes = lot.borrowed.counting(place, &[], fits, rows, &mut scratch)?;
                count += nodes.len() as u64;
            }
        }
        Ok(count)
    }

    /// Merges files of borrowed rollups of a group where they have piled up, or all of them, without those that count no
    /// more. The caller holds the upkeep lock.
    pub(super) fn merge_borrowed(&self, group: GroupId, all: bool) -> Result<(), UpkeepError> {
        for tier in [Tier::Hour].into_iter().chain(PARENTS) {
            let files = self.files();
            let of_tier = |open: &&OpenNodes| open.entry.tier == tier;
            let own: Vec<OpenNodes> =
                files.borrowed(group).iter().filter(of_tier).cloned().collect();
            // One that cannot be read goes when nodes are made anew.
            if own.iter().any(|open| open.file.is_err()) {
                continue;
            }
            let lens: Vec<u64> = own.iter().map(|open| open.entry.len).collect();
            let first = if all { 0 } else { newest(&lens, FILES_MERGED) };
            let inputs = &own[first..];
            if inputs.is_empty() || (inputs.len() == 1 && !all) {
                continue;
            }
            let written = self.write_standing((group, tier), inputs)?;
            let before: u64 = inputs.iter().map(|open| open.entry.rows).sum();
            let after = written.as_ref().map_or(0, |file| file.summary.rows);
            if inputs.len() == 1 && before == after {
                // Nothing was to be left out.
                self.discard(written.as_slice());
                continue;
            }
            self.replace(inputs, written)?;
        }
        Ok(())
    }

    /// Writes those of some nodes that count.
    fn write_standing(
        &self,
        (group, tier): (GroupId, Tier),
        inputs: &[OpenNodes],
    ) -> Result<Option<Written>, UpkeepError> {
        // Before the tombstones are read: each up to this stamp is then among them.
        let cleaned = self.cleaned();
        let (id, place) = (self.new_file_id(), (group, self.groups));
        let (disk, store) = (&self.disk, self.store_id);
        let writer = NodeWriter::create(disk, store, place, tier, id, Effort::Dense)?;
        let mut writer = writer.borrowed(cleaned);
        let mut scratch = Scratch::default();
        for name in names_of(inputs) {
            let Some(lot) = Lot::of(self, &name, group, Some(inputs))? else { continue };
            writer.begin_section(name, lot.leaf, lot.fields.clone())?;
            for device in lot.borrowed.devices(TimeRange::ALL)? {
                let place = (&*device, TimeRange::ALL);
                let rows = &mut |range| lot.scan(self, &device, range);
                let nodes = lot.borrowed.of_tier(tier, place, &lot.fields, rows, &mut scratch)?;
                for node in nodes {
                    let rollups = node.rollups(&lot.fields, Wants::ALL)?;
                    writer.node(&device, node.window.first(), node.rows, &rollups)?;
                }
            }
        }
        Ok(writer.finish()?)
    }

    /// Gives up all borrowed rollups, where room is short; `false` when there are none.
    pub(super) fn give_up_borrowed(&self) -> Result<bool, UpkeepError> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files();
        let all = (0..self.groups).flat_map(|group| files.borrowed(GroupId(group)));
        let entries: Vec<_> = all.map(|open| Arc::clone(&open.entry)).collect();
        if entries.is_empty() {
            return Ok(false);
        }
        let ids: Vec<FileId> = entries.iter().map(|entry| entry.id).collect();
        self.publish(&[], &ids, Vec::new(), |files| self.show(files))?;
        self.unlink(&entries);
        Ok(true)
    }
}

fn names_of(files: &[OpenNodes]) -> BTreeSet<CollectionName> {
    files.iter().flat_map(|open| open.entry.collections.iter().cloned()).collect()
}
