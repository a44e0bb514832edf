//! Merging files of nodes: of each window only what the newest file says is kept.

use crate::codec::Effort;
use crate::error::UpkeepError;
use crate::files::{FileSet, OpenNodes};
use crate::group::Written;
use crate::ids::{FileId, Tier};
use crate::manifest::FileEntry;
use crate::nodes::NodeWriter;
use crate::pyramid::{ROWS_STORED, Stored};
use crate::rollup::Wants;
use crate::rows::FieldKey;
use crate::store::Inner;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidelog_model::{CollectionName, GroupId, TimeRange};

/// Why files of nodes are merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Merge {
    /// Too many have piled up while writes keep coming: with the least work.
    Piled,
    /// Nobody writes: few files, and small ones.
    Quiet,
    /// Into one.
    All,
}

/// So many files of nodes are worth a merge, and so many while writes keep coming.
pub(super) const FILES_MERGED: usize = 4;
const FILES_PILED: usize = 16;
/// More than so many are merged in any case: each is asked by every query.
const FILES_MAX: usize = 16;
/// A file is merged with the newer ones when it is at most so many times as long as they are together: a node is
/// then rewritten a number of times that grows with the logarithm of the data.
const FACTOR: u64 = 2;

impl Inner {
    /// Merges files of nodes of a group where they have piled up, or all of them. The caller holds the upkeep
    /// lock.
    pub(super) fn merge_nodes(&self, group: GroupId, why: Merge) -> Result<(), UpkeepError> {
        let all = why == Merge::All;
        let (enough, effort) = match why {
            Merge::Piled => (FILES_PILED, Effort::Quick),
            Merge::Quiet | Merge::All => (FILES_MERGED, Effort::Dense),
        };
        for tier in [Tier::Hour, Tier::Day, Tier::Month, Tier::Year] {
            let files = self.files();
            let own: Vec<&OpenNodes> =
                files.nodes(group).iter().filter(|open| open.entry.tier == tier).collect();
            // A file that cannot be read is rebuilt from rows, not merged.
            if own.iter().any(|open| open.file.is_err()) {
                continue;
            }
            let lens: Vec<u64> = own.iter().map(|open| open.entry.len).collect();
            let first = if all { 0 } else { newest(&lens, enough) };
            let cut = |open: &OpenNodes| {
                let range = open.entry.range;
                let before = |name| !files.cuts(name).remembers(tier, range);
                open.entry.collections.iter().any(before)
            };
            let tidy = |open: &&OpenNodes| open.entry.dense && !cut(open);
            let merged = own.len() - first;
            if merged == 0 || (merged == 1 && (!all || own.iter().all(tidy))) {
                continue;
            }
            let inputs: Vec<OpenNodes> = own[first..].iter().map(|open| (*open).clone()).collect();
            let written = self.write_merged(&files, (group, tier, effort), &inputs, first == 0)?;
            self.replace(&inputs, written)?;
        }
        self.merge_settled(group, all)?;
        self.merge_borrowed(group, all)
    }

    /// Publishes a merged file in the place of others.
    pub(super) fn replace(
        &self,
        inputs: &[OpenNodes],
        written: Option<Written>,
    ) -> Result<(), UpkeepError> {
        let ids: Vec<FileId> = inputs.iter().map(|open| open.entry.id).collect();
        let added = written.as_slice();
        if let Err(error) = self.publish(added, &ids, Vec::new(), |files| self.show(files)) {
            self.discard_unpublished(added, &error);
            return Err(error);
        }
        let entries: Vec<Arc<FileEntry>> =
            inputs.iter().map(|open| Arc::clone(&open.entry)).collect();
        self.unlink(&entries);
        Ok(())
    }

    /// Writes what some files say together. When they are all there are, what says that a window is empty has
    /// nothing left to hide.
    fn write_merged(
        &self,
        files: &FileSet,
        (group, tier, effort): (GroupId, Tier, Effort),
        inputs: &[OpenNodes],
        all: bool,
    ) -> Result<Option<Written>, UpkeepError> {
        let id = self.new_file_id();
        let place = (group, self.groups);
        let (disk, store) = (&self.disk, self.store_id);
        let mut writer = NodeWriter::create(disk, store, place, tier, id, effort)?;
        let names: BTreeSet<&CollectionName> =
            inputs.iter().flat_map(|open| &open.entry.collections).collect();
        for name in names {
            let mut fields: BTreeSet<FieldKey> = BTreeSet::new();
            let mut leaf = self.leaf_of(name);
            let mut windows = BTreeSet::new();
            for open in inputs {
                let file = open.readable()?;
                let Some(number) = file.section(name) else { continue };
                let section = &file.sections()[number as usize];
                fields.extend(section.fields.iter().cloned());
                leaf = section.leaf;
                if tier == Tier::Hour {
                    windows.extend(file.digest_windows(number)?);
                }
            }
            let fields: Vec<FieldKey> = fields.into_iter().collect();
            let stored = Stored::new(name, leaf, inputs, &self.node_cache)?;
            writer.begin_section(name.clone(), leaf, fields.clone())?;
            let cuts = files.cuts(name);
            let worth = |rows: u64| !all || rows >= ROWS_STORED;
            for device in stored.devices()? {
                for node in stored.nodes(tier, &device, TimeRange::ALL, &fields)? {
                    if worth(node.rows) && cuts.remembers(tier, node.window) {
                        let rollups = node.rollups(&fields, Wants::ALL)?;
                        writer.node(&device, node.window.first(), node.rows, &rollups)?;
                    }
                }
            }
            for start in windows.into_iter().filter(|start| *start >= cuts.of(Tier::Raw)) {
                let mut digests = Vec::new();
                for (device, digest) in stored.leaf_digests(start)? {
                    let number = writer.number_of(&device);
                    let digest = digest.map(|digest| digest.0).or((!all).then_some([0; 32]));
                    digests.extend(number.zip(digest));
                }
                if !digests.is_empty() {
                    writer.leaf_digests(start, &digests)?;
                }
            }
            for node in stored.windows(tier, TimeRange::ALL)? {
                if worth(node.rows) && cuts.kept().covers(node.window) {
                    let digest = node.digest.map_or([0; 32], |digest| digest.0);
                    writer.tree_node(node.window.first(), node.rows, digest)?;
                }
            }
        }
        Ok(writer.finish()?)
    }
}

/// From which file on, oldest first, all newer ones are merged; behind the last when none are. Only the newest may be:
/// what is merged counts as newer than what is not.
pub(super) fn newest(lens: &[u64], enough: usize) -> usize {
    let Some(mut first) = lens.len().checked_sub(1) else { return 0 };
    let mut sum = lens[first];
    while first > 0 && lens[first - 1] <= sum.saturating_mul(FACTOR) {
        first -= 1;
        sum += lens[first];
    }
    if lens.len() - first >= enough {
        first
    } else if lens.len() > FILES_MAX {
        first.min(lens.len() - 2)
    } else {
        lens.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_like_size_are_merged_newest_first() {
        assert_eq!(newest(&[], 4), 0);
        assert_eq!(newest(&[9, 9, 9], 4), 3, "not yet");
        assert_eq!(newest(&[9, 9, 9, 9], 4), 0);
        assert_eq!(newest(&[900, 9, 9, 9, 9], 4), 1, "a long one stays");
        let falling: Vec<u64> = (0..17).map(|at| 1 << (60 - 3 * at)).collect();
        assert_eq!((newest(&falling[..16], 4), newest(&falling, 4)), (16, 15), "two at least");
    }

    #[test]
    #[expect(clippy::same_item_push, reason = "each sealing adds one more file")]
    fn a_node_is_rewritten_a_logarithmic_number_of_times() {
        let mut lens: Vec<u64> = Vec::new();
        let mut merged = 0;
        for _ in 0..4000 {
            lens.push(100);
            let first = newest(&lens, 4);
            if lens.len() - first >= 2 {
                let sum = lens.drain(first..).sum();
                merged += sum;
                lens.push(sum);
            }
        }
        let times = merged as f64 / (4000.0 * 100.0);
        assert!(times < 8.0 && lens.len() <= 10, "{times} times, {} files", lens.len());
    }
}
