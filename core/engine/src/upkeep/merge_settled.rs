//! Merging files of settled nodes, and freeing what deletes and cuts hide in them.

use super::merge_nodes::newest;
use crate::codec::Effort;
use crate::error::UpkeepError;
use crate::files::{FileSet, OpenNodes};
use crate::group::Written;
use crate::ids::Tier;
use crate::nodes::NodeWriter;
use crate::pyramid::{PARENTS, Settled};
use crate::rollup::Wants;
use crate::rows::FieldKey;
use crate::store::Inner;
use std::collections::BTreeSet;
use tidelog_model::{CollectionName, GroupId};

impl Inner {
    /// Merges files of settled nodes of a group where they have piled up, or all of them. The caller holds the
    /// upkeep lock.
    pub(super) fn merge_settled(&self, group: GroupId, all: bool) -> Result<(), UpkeepError> {
        for tier in [Tier::Hour].into_iter().chain(PARENTS) {
            let files = self.files();
            let of_tier = |open: &&OpenNodes| open.entry.tier == tier;
            let own: Vec<&OpenNodes> = files.settled(group).iter().filter(of_tier).collect();
            // A file that cannot be read is data all the same: it stays for whoever repairs it.
            if own.iter().any(|open| open.file.is_err()) {
                continue;
            }
            let lens: Vec<u64> = own.iter().map(|open| open.entry.len).collect();
            let first = if all { 0 } else { newest(&lens, super::merge_nodes::FILES_MERGED) };
            let merged = own.len() - first;
            let tidy = |open: &&OpenNodes| !self.hides(&files, open);
            if merged == 0 || (merged == 1 && (!all || own.iter().all(tidy))) {
                continue;
            }
            let inputs: Vec<OpenNodes> = own[first..].iter().map(|open| (*open).clone()).collect();
            let written = self.write_settled(&files, (group, tier), &inputs)?;
            self.replace(&inputs, written)?;
        }
        Ok(())
    }

    /// Is something in the file that a delete or a cut hides?
    fn hides(&self, files: &FileSet, open: &OpenNodes) -> bool {
        let entry = &open.entry;
        entry.collections.iter().any(|name| {
            let cut = entry.range.first() < files.cuts(name).of(entry.tier);
            cut || self.tombstones_of(name).iter().any(|tombstone| {
                tombstone.version.stamp > entry.cleaned && tombstone.range.overlaps(entry.range)
            })
        })
    }

    fn write_settled(
        &self,
        files: &FileSet,
        (group, tier): (GroupId, Tier),
        inputs: &[OpenNodes],
    ) -> Result<Option<Written>, UpkeepError> {
        // Before the tombstones are read: each up to this stamp is then among them.
        let cleaned = self.cleaned();
        let (id, place) = (self.new_file_id(), (group, self.groups));
        let (disk, store) = (&self.disk, self.store_id);
        let writer = NodeWriter::create(disk, store, place, tier, id, Effort::Dense)?;
        let mut writer = writer.settled(cleaned);
        let names: BTreeSet<&CollectionName> =
            inputs.iter().flat_map(|open| &open.entry.collections).collect();
        for name in names {
            let cuts = files.cuts(name);
            let Some(range) = cuts.settled(tier) else { continue };
            let mut fields: BTreeSet<FieldKey> = BTreeSet::new();
            let mut leaf = self.leaf_of(name);
            for open in inputs {
                let file = open.readable()?;
                let Some(number) = file.section(name) else { continue };
                let section = &file.sections()[number as usize];
                fields.extend(section.fields.iter().cloned());
                leaf = section.leaf;
            }
            let fields: Vec<FieldKey> = fields.into_iter().collect();
            let deletes = self.tombstones_of(name);
            let settled = Settled::new(name, leaf, cuts, inputs, &deletes, &self.node_cache)?;
            writer.begin_section(name.clone(), leaf, fields.clone())?;
            writer.settled_up_to(range.last().saturating_add(1));
            for device in settled.devices(range)? {
                for (_, node) in settled.nodes(&device, range, &fields)? {
                    let rollups = node.rollups(&fields, Wants::ALL)?;
                    writer.node(&device, node.window.first(), node.rows, &rollups)?;
                }
            }
        }
        Ok(writer.finish()?)
    }
}
