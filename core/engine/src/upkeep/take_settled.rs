//! Settled nodes of another store, put beside the own ones where they win against them. The files of them, the nodes of
//! series and of the tree above them, are published in one edit.

use super::entry_of;
use super::roll_up::Files;
use super::settle::of_seal;
use crate::codec::Effort;
use crate::error::UpkeepError;
use crate::files::{FileSet, Open, OpenNodes};
use crate::group::{Written, file_path};
use crate::ids::Tier;
use crate::manifest::CollectionEntry;
use crate::nodes::{NodeFile, NodeWriter};
use crate::pyramid::{Dirty, Reading, Sealer, Settled};
use crate::rollup::Parcel;
use crate::store::Inner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use tidelog_model::digest::TreeHasher;
use tidelog_model::{CollectionName, GroupId, Stamp};

/// What became of settled nodes that came. Those in neither lost against what is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Takings {
    pub(crate) taken: u64,
    /// Not settled here at that tier, or deleted.
    pub(crate) left_out: u64,
}

/// Nodes for one file: of one tier, cleaned up to one stamp.
type Lots = BTreeMap<(Tier, Stamp), Vec<Parcel>>;

impl Inner {
    /// Takes parcels, which come in the order of tier, device and window.
    pub(crate) fn take_settled(
        &self,
        group: GroupId,
        name: &CollectionName,
        parcels: Vec<Parcel>,
    ) -> Result<Takings, UpkeepError> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files();
        let mut takings = Takings::default();
        // Without an entry in the manifest there is no cut.
        let Some(entry) = files.state.collections.get(name).cloned() else {
            takings.left_out = parcels.len() as u64;
            return Ok(takings);
        };
        // Before the tombstones are read: each up to this stamp is then among them.
        let cleaned = self.cleaned();
        let reading =
            self.reading((name, group, &entry), &files, entry.cuts(), files.settled(group))?;
        let lots = winners(&reading, parcels, cleaned, &mut takings)?;
        if takings.taken == 0 {
            return Ok(takings);
        }
        let taking = Taking { inner: self, name, group, files: &files, entry: &entry };
        let mut written = Vec::new();
        if let Err(error) = taking.run(&lots, &mut written) {
            self.discard(&written);
            return Err(error);
        }
        let published = self.publish(&written, &[], Vec::new(), |files| self.show(files));
        if let Err(error) = published {
            self.discard_unpublished(&written, &error);
            return Err(error);
        }
        self.threads.compact_soon();
        Ok(takings)
    }
}

/// Those that are greater than what is here, with what deletes hide taken out of them.
fn winners(
    reading: &Reading,
    parcels: Vec<Parcel>,
    cleaned: Stamp,
    takings: &mut Takings,
) -> Result<Lots, UpkeepError> {
    let (settled, fields) = (&reading.settled, &reading.fields);
    let mut hasher = TreeHasher::new();
    let mut lots = Lots::new();
    for mut parcel in parcels {
        let region = settled.cuts().settled(parcel.tier);
        let inside = region.is_some_and(|region| region.covers(parcel.window));
        if !inside || !settled.clean(&mut parcel) {
            takings.left_out += 1;
            continue;
        }
        let own = settled.nodes(&parcel.device, parcel.window, fields)?;
        let own = own.iter().find(|(tier, _)| *tier == parcel.tier);
        let held = match own {
            Some((tier, node)) => {
                let digest = Settled::digest(&mut hasher, *tier, &parcel.device, node, fields)?;
                Some((node.rows, digest))
            }
            None => None,
        };
        if held.is_none_or(|held| held < (parcel.rows, parcel.digest(&mut hasher))) {
            takings.taken += 1;
            let key = (parcel.tier, parcel.cleaned.max(cleaned));
            lots.entry(key).or_default().push(parcel);
        }
    }
    Ok(lots)
}

/// Writing what was taken.
struct Taking<'a> {
    inner: &'a Inner,
    name: &'a CollectionName,
    group: GroupId,
    files: &'a FileSet,
    entry: &'a CollectionEntry,
}

impl Taking<'_> {
    /// Writes all files; `written` has those that are to be discarded when it fails.
    fn run(&self, lots: &Lots, written: &mut Vec<Written>) -> Result<(), UpkeepError> {
        let inner = self.inner;
        let place = (self.name, self.group, self.entry);
        let cuts = self.entry.cuts();
        let mut settled = self.files.settled(self.group).to_vec();
        let reading = inner.reading(place, self.files, cuts, &settled)?;
        for ((tier, cleaned), parcels) in lots {
            let file = self.write(&reading, (*tier, *cleaned), parcels)?;
            settled.extend(self.open(file.as_ref())?);
            written.extend(file);
        }
        if !inner.options.pyramid {
            return Ok(());
        }
        let after = inner.reading(place, self.files, cuts, &settled)?;
        let mut dirty = Dirty::default();
        for parcel in lots.values().flatten() {
            let start = parcel.window.first();
            dirty.windows.insert((Tier::Hour, start));
            let parents: &mut BTreeSet<_> =
                dirty.parents.entry(Arc::clone(&parcel.device)).or_default();
            parents.insert((parcel.tier, start));
        }
        let mut sink = Files::new(inner, self.group);
        sink.begin(self.name, self.entry.leaf, &after.fields.clone());
        Sealer::new(after).run(&dirty, &mut sink, &mut || true).map_err(of_seal)?;
        written.extend(sink.finish()?);
        Ok(())
    }

    fn open(&self, file: Option<&Written>) -> Result<Option<OpenNodes>, UpkeepError> {
        let Some(file) = file else { return Ok(None) };
        let path = file_path(file.group, file.tier, file.id);
        let entry = Arc::new(entry_of(file));
        let file = Ok(Arc::new(NodeFile::open(&*self.inner.disk, &path)?));
        Ok(Some(Open { entry, file }))
    }

    fn write(
        &self,
        reading: &Reading,
        (tier, cleaned): (Tier, Stamp),
        parcels: &[Parcel],
    ) -> Result<Option<Written>, UpkeepError> {
        let inner = self.inner;
        let Some(region) = reading.settled.cuts().settled(tier) else { return Ok(None) };
        inner.ensure_directory(self.group, tier)?;
        let place = (self.group, inner.groups);
        let (disk, store, id) = (&inner.disk, inner.store_id, inner.new_file_id());
        let writer = NodeWriter::create(disk, store, place, tier, id, Effort::Dense)?;
        let mut writer = writer.settled(cleaned);
        writer.begin_section(self.name.clone(), self.entry.leaf, reading.fields.to_vec())?;
        writer.settled_up_to(region.last().saturating_add(1));
        for parcel in parcels {
            let rollups = parcel.spread(&reading.fields);
            writer.node(&parcel.device, parcel.window.first(), parcel.rows, &rollups)?;
        }
        Ok(writer.finish()?)
    }
}
