//! Retention: cuts move up, and what they cut off is settled into the next coarser tier first, where that is kept
//! longer. The files of settled nodes, the nodes of the tree above them and the cut are published in one edit.

use super::entry_of;
use super::merge_nodes::Merge;
use super::roll_up::Files;
use crate::codec::Effort;
use crate::error::UpkeepError;
use crate::files::{FileSet, Open, OpenFile, OpenNodes};
use crate::group::{ReadError, Written, file_path};
use crate::ids::{FileId, Tier};
use crate::manifest::{Change, CollectionEntry};
use crate::memory::MemoryView;
use crate::nodes::{NodeFile, NodeWriter};
use crate::options::Upkeep;
use crate::pyramid::{Dirty, LeafMaker, Make, Reading, SealError, Sealer, Settled, Stored};
use crate::retention::{Cuts, Retention, Step, next_step};
use crate::rollup::{TreeFold, Wants, window_of};
use crate::rows::FieldKey;
use crate::scan::Snapshot;
use crate::store::Inner;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tidelog_model::{CollectionName, FieldType, GroupId, Name, Stamp, TimeRange};

const DAY: i64 = 86_400_000_000_000;
/// Milliseconds that a cut waits for peers that nothing is known of.
const PEERS_WAIT: u64 = 7 * 86_400_000;
/// How long a cut of rows waits for the writes that were on their way before it.
const DRAIN: Duration = Duration::from_secs(5);

impl Inner {
    /// Moves the cuts of all collections as far as their retention says.
    pub(crate) fn cut(&self) -> Result<(), UpkeepError> {
        let names: Vec<CollectionName> = self.retained();
        for name in names {
            while let Some(step) = self.next_cut(&name) {
                if self.threads.is_stopping() || !self.take_step(&name, step)? {
                    break;
                }
                self.threads.compact_soon();
            }
        }
        Ok(())
    }

    /// The next step of a collection, if a cut has to move.
    fn next_cut(&self, name: &CollectionName) -> Option<Step> {
        let entry = self.collection_entry(name)?;
        let retention = entry.retention();
        if retention == Retention::FOREVER {
            return None;
        }
        let wall = i64::try_from(self.clock().wall_millis()).unwrap_or(i64::MAX);
        let (oldest, newest) = self.times_of(name)?;
        let today = wall.saturating_mul(1_000_000).min(newest).div_euclid(DAY);
        let cuts = entry.agreed_cuts();
        let step = next_step(&retention, today, &cuts)?;
        if !self.peers_let(step.due(&retention)) {
            return None;
        }
        let first = match step.tier {
            Tier::Raw => Some(oldest),
            tier => {
                let files = self.files();
                let open =
                    (0..self.groups).flat_map(|group| files.settled(GroupId(group)).to_vec());
                let of = |open: &OpenNodes| {
                    open.entry.tier == tier && open.entry.collections.contains(name)
                };
                open.filter(of).map(|open| open.entry.range.first()).min()
            }
        };
        Some(step.up_to(first.map(|first| first.max(cuts.of(step.tier))), entry.leaf))
    }

    /// May what became due at a time be cut off? Where there are peers, not before everything is here that any of them wrote
    /// until then, or the longest wait is over: a row that is on its way would come too late for the rollups that stand for it.
    fn peers_let(&self, due: u64) -> bool {
        let wall = self.clock().wall_millis();
        !self.files().state.replicated
            || Stamp(self.agreed.load(Relaxed)).millis() >= due
            || wall >= due.saturating_add(PEERS_WAIT)
    }

    /// Moves one cut; `false` when writes on their way do not let it.
    fn take_step(&self, name: &CollectionName, step: Step) -> Result<bool, UpkeepError> {
        let span = tracing::debug_span!("cut", %name, tier = step.tier.directory(), to = step.to);
        let _in = span.enter();
        if self.lacks_before(name, step.to) {
            tracing::warn!("a cut waits for what is lacking of a file that was set aside");
            return Ok(false);
        }
        let _closing = match (step.tier, step.into) {
            (Tier::Raw, Some(_)) => {
                let closing = Closing::begin(self, name, step.to);
                if !self.drained() {
                    return Ok(false);
                }
                self.flush()?;
                Some(closing)
            }
            _ => None,
        };
        if self.options.pyramid {
            // Nodes above what is cut off are true before it is: nothing could tell afterwards.
            self.roll_up(&mut || !self.threads.is_stopping())?;
        }
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files();
        let Some(entry) = files.state.collections.get(name).cloned() else { return Ok(false) };
        let mut written = Vec::new();
        if step.into.is_some() {
            for group in (0..self.groups).map(GroupId) {
                let settling =
                    Settling { inner: self, name, group, files: &files, entry: &entry, step };
                if let Err(error) = settling.run(&mut written) {
                    self.discard(&written);
                    return Err(error);
                }
            }
        }
        let (removed, mut changes) = self.nodes_given_up(&files);
        let mut next = entry;
        let moved = step.after(&next.agreed_cuts());
        let cuts = &mut Arc::make_mut(&mut next).cuts;
        cuts.extend(
            Tier::ALL.map(|tier| (tier, moved.of(tier))).into_iter().filter(|c| c.1 > i64::MIN),
        );
        changes.push(Change::Collection(name.clone(), Arc::clone(&next)));
        let ids: Vec<FileId> = removed.iter().map(|open| open.entry.id).collect();
        let published = self.publish(&written, &ids, changes, |files| self.show(files));
        if let Err(error) = published {
            self.discard_unpublished(&written, &error);
            return Err(error);
        }
        self.merge_entry(name, &next);
        let entries: Vec<_> = removed.iter().map(|open| Arc::clone(&open.entry)).collect();
        self.unlink(&entries);
        for group in (0..self.groups).map(GroupId) {
            self.merge_nodes(group, Merge::Quiet)?;
        }
        Ok(true)
    }

    /// Is a file set aside that has rows of a collection before a time? Rollups for ever would lack them.
    fn lacks_before(&self, name: &CollectionName, to: i64) -> bool {
        self.files()
            .all_aside()
            .any(|open| open.entry.range.first() < to && open.entry.collections.contains(name))
    }

    /// Without a pyramid nobody keeps its nodes true: then those that are left from another opening go.
    fn nodes_given_up(&self, files: &FileSet) -> (Vec<OpenNodes>, Vec<Change>) {
        if self.options.pyramid {
            return (Vec::new(), Vec::new());
        }
        let nodes = (0..self.groups).flat_map(|group| files.nodes(GroupId(group)).to_vec());
        let whole = |open: &OpenFile| vec![open.entry.range];
        let rows = files.rows().filter(|open| open.entry.uncounted != whole(open));
        let changes = rows.map(|open| Change::Uncounted(open.entry.id, whole(open))).collect();
        (nodes.collect(), changes)
    }

    /// A collection in a group as its files have it, with these cuts and these files of settled nodes.
    pub(super) fn reading(
        &self,
        (name, group, entry): (&CollectionName, GroupId, &CollectionEntry),
        files: &FileSet,
        cuts: Cuts,
        settled: &[OpenNodes],
    ) -> Result<Reading, ReadError> {
        let key = |(name, kind): &(Name, FieldType)| FieldKey { name: name.clone(), kind: *kind };
        let fields: Arc<[FieldKey]> = entry.fields.keys().map(key).collect();
        let snapshot = Snapshot {
            memory: MemoryView { tables: Vec::new() },
            files: files.clone(),
            tombstones: self.tombstones_of(name),
            fields: fields.to_vec(),
            horizon: Arc::default(),
            with_aside: false,
        };
        let (leaf, cache) = (entry.leaf, &self.node_cache);
        let deletes = &snapshot.tombstones;
        let settled = Settled::new(name, leaf, cuts, settled, deletes, cache)?;
        Ok(Reading {
            name: name.clone(),
            group,
            stored: Stored::new(name, leaf, files.nodes(group), cache)?,
            cache: Arc::clone(&self.cache),
            leaf,
            fields,
            settled,
            snapshot,
        })
    }

    /// Waits until every write is in memory that may have passed the check of a cut before it began.
    fn drained(&self) -> bool {
        let barrier = self.stamps.last();
        let is_over = || self.stamps.in_flight().0.is_none_or(|least: Stamp| least > barrier);
        if self.options.upkeep == Upkeep::Background {
            let until = self.clock().monotonic() + DRAIN;
            while !is_over() && self.clock().monotonic() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        is_over()
    }
}

/// While it lives, rows before a time are refused.
struct Closing<'a>(&'a Inner, &'a CollectionName);

impl<'a> Closing<'a> {
    fn begin(inner: &'a Inner, name: &'a CollectionName, to: i64) -> Self {
        inner.set_cutting(name, Some(to));
        inner.cutting.fetch_add(1, SeqCst);
        Closing(inner, name)
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.set_cutting(self.1, None);
        self.0.cutting.fetch_sub(1, SeqCst);
    }
}

/// One step in one group.
struct Settling<'a> {
    inner: &'a Inner,
    name: &'a CollectionName,
    group: GroupId,
    files: &'a FileSet,
    entry: &'a CollectionEntry,
    step: Step,
}

impl Settling<'_> {
    /// Writes the files of the step; `written` has those that are to be discarded when it fails.
    fn run(&self, written: &mut Vec<Written>) -> Result<(), UpkeepError> {
        let cuts = self.entry.cuts();
        let (Some(into), Some(range)) = (self.step.into, self.step.range(&cuts)) else {
            return Ok(());
        };
        // Before the tombstones are read: each up to this stamp is then among them.
        let cleaned = self.inner.cleaned();
        let mut settled = self.files.settled(self.group).to_vec();
        let mut starts = BTreeSet::new();
        let place = (self.name, self.group, self.entry);
        let reading = self.inner.reading(place, self.files, cuts, &settled)?;
        if let Some(file) = self.write(&reading, into, range, cleaned, &mut starts)? {
            let path = file_path(file.group, file.tier, file.id);
            let entry = Arc::new(entry_of(&file));
            written.push(file);
            let file = Ok(Arc::new(NodeFile::open(&*self.inner.disk, &path)?));
            settled.push(Open { entry, file });
        }
        if !self.inner.options.pyramid || starts.is_empty() {
            return Ok(());
        }
        // The tree above, with the digests of what is settled now.
        let after = self.inner.reading(place, self.files, self.step.after(&cuts), &settled)?;
        let known = after.stored.windows(Tier::Hour, range)?;
        starts.extend(known.iter().map(|node| node.window.first()));
        let windows = starts.into_iter().map(|start| (Tier::Hour, start)).collect();
        let dirty = Dirty { windows, ..Dirty::default() };
        let mut sink = Files::new(self.inner, self.group);
        sink.begin(self.name, self.entry.leaf, &reading.fields);
        Sealer::new(after).run(&dirty, &mut sink, &mut || true).map_err(of_seal)?;
        written.extend(sink.finish()?);
        Ok(())
    }

    /// Writes the nodes that stand for a range from now on. `starts` are their windows, and those they take the
    /// place of.
    fn write(
        &self,
        reading: &Reading,
        into: Tier,
        range: TimeRange,
        cleaned: Stamp,
        starts: &mut BTreeSet<i64>,
    ) -> Result<Option<Written>, UpkeepError> {
        let inner = self.inner;
        inner.ensure_directory(self.group, into)?;
        let place = (self.group, inner.groups);
        let (disk, store, id) = (&inner.disk, inner.store_id, inner.new_file_id());
        let writer = NodeWriter::create(disk, store, place, into, id, Effort::Dense)?;
        let mut writer = writer.settled(cleaned);
        writer.begin_section(self.name.clone(), self.entry.leaf, reading.fields.to_vec())?;
        writer.settled_up_to(self.step.to);
        if self.step.tier == Tier::Raw {
            let mut maker = LeafMaker::new(self.entry.leaf, &reading.fields);
            for device in reading.devices(range)? {
                let scan = reading.scan(&device, range)?;
                maker.each_in(scan, &[range], Make::Rollups, |leaf| {
                    let start = leaf.window.first();
                    starts.insert(start);
                    writer.node(&device, start, leaf.rows, &leaf.rollups)?;
                    Ok::<(), UpkeepError>(())
                })?;
                self.go_on()?;
            }
            return Ok(writer.finish()?);
        }
        let kinds: Vec<FieldType> = reading.fields.iter().map(|field| field.kind).collect();
        for device in reading.settled.devices(range)? {
            let nodes = reading.settled.nodes(&device, range, &reading.fields)?;
            let around = |start: i64| window_of(into, start, self.entry.leaf);
            for parts in
                nodes.chunk_by(|(_, a), (_, b)| around(a.window.first()).contains(b.window.first()))
            {
                let window = around(parts[0].1.window.first());
                let mut fold = TreeFold::new(window, self.entry.leaf, &kinds, Wants::ALL);
                let mut rows = 0;
                for (tier, node) in parts {
                    starts.insert(node.window.first());
                    rows += node.rows;
                    fold.node(*tier, node.window, &node.rollups(&reading.fields, Wants::ALL)?);
                }
                starts.insert(window.first());
                writer.node(&device, window.first(), rows, &fold.finish())?;
            }
            self.go_on()?;
        }
        Ok(writer.finish()?)
    }

    fn go_on(&self) -> Result<(), UpkeepError> {
        if self.inner.threads.is_stopping() { Err(UpkeepError::Cancelled) } else { Ok(()) }
    }
}

pub(super) fn of_seal(error: SealError) -> UpkeepError {
    match error {
        SealError::Read(error) => error.into(),
        SealError::Write(error) => error.into(),
        SealError::Cancelled => UpkeepError::Cancelled,
    }
}
