//! Sealing the pyramid: what rows and deletes in files have overtaken is made anew and published in one edit per
//! group.

use super::merge_nodes::Merge;
use crate::codec::Effort;
use crate::error::UpkeepError;
use crate::files::{FileSet, OpenNodes};
use crate::group::Written;
use crate::ids::{FileId, Tier};
use crate::manifest::Change;
use crate::memory::MemoryView;
use crate::nodes::NodeWriter;
use crate::pyramid::{Dirty, NodeSink, Reading, SealError, Sealed, Sealer, Settled, Stored};
use crate::rollup::Rollup;
use crate::rows::FieldKey;
use crate::scan::Snapshot;
use crate::store::Inner;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, PoisonError};
use tidelog_model::{CollectionName, Digest, GroupId, LeafWidth, Tombstone};

impl Inner {
    /// Seals all groups. What was written meanwhile is left for the next time.
    pub(crate) fn roll_up(&self, go_on: &mut dyn FnMut() -> bool) -> Result<Sealed, UpkeepError> {
        let mut sealed = Sealed::default();
        self.publish_catalog()?;
        let known = self.files().state.not_rolled_up.clone();
        for group in (0..self.groups).map(GroupId) {
            let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            sealed += self.roll_up_group(group, go_on)?;
            self.merge_nodes(group, Merge::Piled)?;
        }
        if !known.is_empty() {
            // Every group has seen these by now.
            let edit: Vec<Change> = known.into_iter().map(Change::TombstoneRolledUp).collect();
            let mut manifest = self.manifest();
            self.edit(&mut manifest, &edit)?;
            self.refresh_state(&manifest);
        }
        Ok(sealed)
    }

    /// Tells the manifest of deletes and fields that only the log has, as a flush does: what is sealed then counts
    /// them.
    fn publish_catalog(&self) -> Result<(), UpkeepError> {
        let changes = self.catalog_changes();
        if changes.is_empty() {
            return Ok(());
        }
        let mut manifest = self.manifest();
        self.edit(&mut manifest, &changes)?;
        self.refresh_state(&manifest);
        Ok(())
    }

    /// Seals one group. The caller holds the upkeep lock.
    pub(crate) fn roll_up_group(
        &self,
        group: GroupId,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Sealed, UpkeepError> {
        self.forget_damaged_nodes(group)?;
        let files = self.files();
        let all = files.group(group).iter().chain(files.aside(group));
        let fresh: Vec<_> = all.filter(|open| !open.entry.uncounted.is_empty()).collect();
        let deletes = &files.state.not_rolled_up;
        if fresh.is_empty() && deletes.is_empty() {
            return Ok(Sealed::default());
        }
        let span = tracing::debug_span!("seal", group = group.0, files = fresh.len());
        let _in = span.enter();
        let started = self.clock().monotonic();
        let named = fresh.iter().flat_map(|open| open.entry.collections.iter().cloned());
        let mut names: BTreeSet<CollectionName> = named.collect();
        let concerned = |name: &&CollectionName| {
            deletes.iter().any(|delete| delete.concerns(name.database(), name.collection()))
        };
        names.extend(files.state.collections.keys().filter(concerned).cloned());
        let ids: Vec<FileId> = fresh.iter().map(|open| open.entry.id).collect();
        let mut sink = Files::new(self, group);
        let mut sealed = Sealed::default();
        for name in &names {
            sealed += self.seal_collection(name, group, &files, &mut sink, go_on)?;
        }
        let written = sink.finish()?;
        let changes = ids.into_iter().map(|id| Change::Uncounted(id, Vec::new())).collect();
        let published = self.publish(&written, &[], changes, |files| self.show(files));
        if let Err(error) = published {
            self.discard_unpublished(&written, &error);
            return Err(error);
        }
        let spent = self.clock().monotonic().saturating_sub(started);
        self.counters.count_sealed(&sealed, &written, spent);
        Ok(sealed)
    }

    /// Takes the nodes of a group out of the store when one of its files cannot be trusted: its rows then count for
    /// none, and all nodes are made anew from them.
    fn forget_damaged_nodes(&self, group: GroupId) -> Result<(), UpkeepError> {
        let files = self.files();
        // What was lent can be lent again.
        let nodes: Vec<&OpenNodes> =
            files.nodes(group).iter().chain(files.borrowed(group)).collect();
        let broken = nodes.iter().any(|open| open.file.is_err());
        if !broken && !self.node_damage.take(group) {
            return Ok(());
        }
        tracing::warn!(
            group = group.0,
            "files of the pyramid are damaged and are made anew from rows"
        );
        let ids: Vec<FileId> = nodes.iter().map(|open| open.entry.id).collect();
        let rows = files.group(group).iter().map(|open| &open.entry);
        let changes = rows.map(|entry| Change::Uncounted(entry.id, vec![entry.range])).collect();
        self.publish(&[], &ids, changes, |files| self.show(files))?;
        let entries: Vec<_> = nodes.iter().map(|open| Arc::clone(&open.entry)).collect();
        self.unlink(&entries);
        Ok(())
    }

    fn seal_collection(
        &self,
        name: &CollectionName,
        group: GroupId,
        files: &FileSet,
        sink: &mut Files<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Sealed, UpkeepError> {
        let Some(entry) = files.state.collections.get(name) else { return Ok(Sealed::default()) };
        let fields: Arc<[FieldKey]> = entry
            .fields
            .keys()
            .map(|(name, kind)| FieldKey { name: name.clone(), kind: *kind })
            .collect();
        let concerns =
            |delete: &&Arc<Tombstone>| delete.concerns(name.database(), name.collection());
        let snapshot = Snapshot {
            memory: MemoryView { tables: Vec::new() },
            files: files.clone(),
            tombstones: files.state.tombstones.iter().filter(concerns).cloned().collect(),
            fields: fields.to_vec(),
            horizon: Arc::default(),
            with_aside: false,
        };
        let stored = Stored::new(name, entry.leaf, files.nodes(group), &self.node_cache)?;
        let cuts = entry.cuts();
        let dirty = Dirty::find(name, group, &snapshot, &stored, (entry.leaf, &cuts))?;
        if dirty.is_empty() {
            return Ok(Sealed::default());
        }
        let (settled, deletes) = (files.settled(group), &snapshot.tombstones);
        let settled = Settled::new(name, entry.leaf, cuts, settled, deletes, &self.node_cache)?;
        sink.begin(name, entry.leaf, &fields);
        let reading = Reading {
            name: name.clone(),
            group,
            snapshot: snapshot.clone(),
            stored,
            cache: Arc::clone(&self.cache),
            leaf: entry.leaf,
            fields,
            settled,
        };
        let outcome = Sealer::new(reading).run(&dirty, sink, go_on);
        match outcome {
            Ok((_, sealed)) => Ok(sealed),
            Err(SealError::Read(error)) => {
                // It may be of the nodes themselves: the next time begins without them, and reads rows only.
                if error.is_of_nodes() {
                    self.node_damage.add(group);
                }
                Err(error.into())
            }
            Err(SealError::Write(error)) => Err(error.into()),
            Err(SealError::Cancelled) => Err(UpkeepError::Cancelled),
        }
    }
}

/// One file per tier of a group, each begun when there is something for it.
pub(super) struct Files<'a> {
    inner: &'a Inner,
    group: GroupId,
    /// The collection that is written.
    section: Option<(CollectionName, LeafWidth, Vec<FieldKey>)>,
    /// By tier above raw; was the collection's section begun?
    writers: [Option<(NodeWriter, bool)>; 4],
}

impl<'a> Files<'a> {
    pub(super) fn new(inner: &'a Inner, group: GroupId) -> Self {
        Files { inner, group, section: None, writers: Default::default() }
    }

    /// What comes now is of this collection.
    pub(super) fn begin(&mut self, name: &CollectionName, leaf: LeafWidth, fields: &[FieldKey]) {
        self.section = Some((name.clone(), leaf, fields.to_vec()));
        self.writers.iter_mut().flatten().for_each(|writer| writer.1 = false);
    }

    fn writer(&mut self, tier: Tier) -> io::Result<&mut NodeWriter> {
        let slot = &mut self.writers[tier as usize - 1];
        if slot.is_none() {
            let inner = self.inner;
            inner.ensure_directory(self.group, tier)?;
            let place = (self.group, inner.groups);
            let id = inner.new_file_id();
            let writer =
                NodeWriter::create(&inner.disk, inner.store_id, place, tier, id, Effort::Quick)?;
            *slot = Some((writer, false));
        }
        let (writer, begun) = slot.as_mut().expect("made just above");
        if !std::mem::replace(begun, true)
            && let Some((name, leaf, fields)) = &self.section
        {
            writer.begin_section(name.clone(), *leaf, fields.clone())?;
        }
        Ok(writer)
    }

    pub(super) fn finish(self) -> io::Result<Vec<Written>> {
        let mut written = Vec::new();
        for (writer, _) in self.writers.into_iter().flatten() {
            match writer.finish() {
                Ok(file) => written.extend(file),
                Err(error) => {
                    self.inner.discard(&written);
                    return Err(error);
                }
            }
        }
        Ok(written)
    }
}

impl NodeSink for Files<'_> {
    fn node(
        &mut self,
        tier: Tier,
        device: &Arc<str>,
        start: i64,
        rows: u64,
        rollups: &[Rollup],
    ) -> io::Result<()> {
        self.writer(tier)?.node(device, start, rows, rollups)
    }

    fn leaf_digests(
        &mut self,
        start: i64,
        digests: &[(Arc<str>, Option<Digest>)],
    ) -> io::Result<()> {
        let writer = self.writer(Tier::Hour)?;
        let number = |device: &Arc<str>| {
            writer.number_of(device).ok_or_else(|| io::Error::other("a leaf has no node"))
        };
        let numbered = digests
            .iter()
            .map(|(device, digest)| Ok((number(device)?, digest.map_or([0; 32], |one| one.0))))
            .collect::<io::Result<Vec<_>>>()?;
        writer.leaf_digests(start, &numbered)
    }

    fn tree(
        &mut self,
        tier: Tier,
        start: i64,
        rows: u64,
        digest: Option<Digest>,
    ) -> io::Result<()> {
        let rows = if digest.is_some() { rows } else { 0 };
        self.writer(tier)?.tree_node(start, rows, digest.map_or([0; 32], |one| one.0))
    }
}
