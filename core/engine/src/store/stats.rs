//! Measured figures: every one is counted where it happens, or looked up when it is asked for.

use super::Store;
use crate::group::Written;
use crate::ids::Tier;
use crate::pyramid::Sealed;
use crate::retention::Retention;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tidelog_model::{CollectionName, FieldType, GroupId, Stamp};

/// Counted since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) writes: AtomicU64,
    pub(crate) rows_written: AtomicU64,
    pub(crate) values_written: AtomicU64,
    pub(crate) rows_applied: AtomicU64,
    pub(crate) rows_settled: AtomicU64,
    pub(crate) rows_evicted: AtomicU64,
    pub(crate) waits_for_room: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) flush_failures: AtomicU64,
    pub(crate) flush_nanos: AtomicU64,
    pub(crate) flushed_bytes: AtomicU64,
    pub(crate) flushed_rows: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compacted_bytes: AtomicU64,
    pub(crate) compaction_failures: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) seal_nanos: AtomicU64,
    pub(crate) sealed_leaves: AtomicU64,
    pub(crate) sealed_parents: AtomicU64,
    pub(crate) sealed_windows: AtomicU64,
    pub(crate) sealed_rows: AtomicU64,
    pub(crate) sealed_bytes: AtomicU64,
}

impl Counters {
    /// Counts what sealing made of one group.
    pub(crate) fn count_sealed(&self, sealed: &Sealed, written: &[Written], spent: Duration) {
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.seal_nanos.fetch_add(nanos, Relaxed);
        if *sealed == Sealed::default() {
            return;
        }
        self.seals.fetch_add(1, Relaxed);
        self.sealed_leaves.fetch_add(sealed.leaves, Relaxed);
        self.sealed_parents.fetch_add(sealed.parents, Relaxed);
        self.sealed_windows.fetch_add(sealed.windows, Relaxed);
        self.sealed_rows.fetch_add(sealed.rows, Relaxed);
        self.sealed_bytes.fetch_add(written.iter().map(|file| file.len).sum(), Relaxed);
    }
}

/// Figures of an open store, at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Batches acknowledged or on their way since the store was opened.
    pub writes: u64,
    /// Rows in them.
    pub rows_written: u64,
    /// Values in them.
    pub values_written: u64,
    /// Rows taken from other stores, those that were known already included.
    pub rows_applied: u64,
    /// Rows refused because they are before a cut.
    pub rows_settled: u64,
    /// Rows in files that were given up because the store was at its bound, overwritten and deleted ones included.
    pub rows_evicted: u64,
    /// Times a writer waited for memory.
    pub waits_for_room: u64,
    /// Writes in the log that wait for their fsync.
    pub writes_waiting: u64,
    /// Fsyncs of the log.
    pub log_syncs: u64,
    /// Bytes appended to the log.
    pub log_bytes_written: u64,
    /// Bytes of the log on disk, old openings included.
    pub log_bytes: u64,
    /// Segments of the log on disk.
    pub log_segments: u64,
    /// Bytes of rows in memory, those being flushed included.
    pub memory_bytes: u64,
    /// Rows in memory.
    pub memory_rows: u64,
    /// The budget they must keep.
    pub memory_budget: u64,
    /// Bytes of parsed indexes.
    pub cache_bytes: u64,
    /// Times that the pyramid of a group was sealed.
    pub seals: u64,
    /// Processor and waiting time of sealing, in nanoseconds.
    pub seal_nanos: u64,
    /// Leaves of series that sealing made.
    pub sealed_leaves: u64,
    /// Days, months and years of series that sealing made.
    pub sealed_parents: u64,
    /// Nodes of the digest tree that sealing made.
    pub sealed_windows: u64,
    /// Rows that sealing read.
    pub sealed_rows: u64,
    /// Bytes of the files that sealing wrote.
    pub sealed_bytes: u64,
    /// Files whose rows the pyramid does not count yet.
    pub files_unsealed: u64,
    /// Flushes that ended well.
    pub flushes: u64,
    /// Flushes that did not.
    pub flush_failures: u64,
    /// Why the last one did not, if it did not.
    pub flush_failure: Option<String>,
    /// Time spent in flushes, in nanoseconds.
    pub flush_nanos: u64,
    /// Bytes of files written by flushes.
    pub flushed_bytes: u64,
    /// Rows written by flushes.
    pub flushed_rows: u64,
    /// Compactions that ended well.
    pub compactions: u64,
    /// Compactions that did not.
    pub compaction_failures: u64,
    /// Bytes of files written by compactions.
    pub compacted_bytes: u64,
    /// Bytes written to files by flush and compaction for each byte that flushes wrote; 0 before.
    pub write_amplification: f64,
    /// Files that the manifest lists.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Files that cannot be read.
    pub files_broken: u64,
    /// Damaged files of which a peer is to send what is lacking; see [`Store::set_damage_aside`].
    pub files_aside: u64,
    /// Deletes that are kept.
    pub tombstones: u64,
    /// Why nothing is acknowledged any more, when that is so.
    pub poisoned: bool,
}

/// Figures of one collection.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct CollectionStats {
    /// Its name.
    pub name: CollectionName,
    /// Devices that have rows in files or memory.
    pub devices: u64,
    /// Rows in files and memory; a row that several of them hold counts in each until compaction.
    pub rows: u64,
    /// Values in them.
    pub values: u64,
    /// First and last time of any row, deleted ones included until compaction.
    pub range: Option<(i64, i64)>,
    /// Names and types.
    pub fields: Vec<(String, FieldType)>,
    /// Rows before this time were cut off.
    pub cut: Option<i64>,
    /// How long each tier is kept.
    pub retention: Retention,
    /// Nodes of series that are to be made anew, rows in memory included: leaves, days, months and years.
    pub dirty: [u64; 4],
}

/// Bytes and files of one tier.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TierStats {
    /// `raw`, `1h`, `1d`, `1mo` or `1y`.
    pub tier: &'static str,
    /// Its nodes are data: what they are of was cut off.
    pub settled: bool,
    /// Its nodes were lent by other stores.
    pub borrowed: bool,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows.
    pub rows: u64,
    /// Their values.
    pub values: u64,
}

/// One group.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Which.
    pub group: GroupId,
    /// Files that the manifest lists.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows in them.
    pub rows: u64,
    /// Rows in memory.
    pub memory_rows: u64,
    /// The latest stamp in files.
    pub newest: Option<Stamp>,
    /// Collections in files or memory.
    pub collections: Vec<CollectionName>,
}

impl Store {
    /// Figures of the store.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let counters = &inner.counters;
        let files = inner.files();
        let (active, sealed) = inner.memory.heap_bytes();
        let memory_rows = inner.memory.inspect(|generations| {
            let tables = generations.iter().flat_map(|generation| generation.tables());
            tables.map(|(_, _, table)| table.rows()).sum()
        });
        let (log_syncs, log_bytes_written) =
            inner.wal.as_ref().map_or((0, 0), |wal| wal.counters());
        let (log_segments, log_bytes) = self.log_size();
        let (flushed, compacted) =
            (count(&counters.flushed_bytes), count(&counters.compacted_bytes));
        let broken = files.all().filter(|file| file.broken().is_some()).count() as u64;
        Stats {
            writes: count(&counters.writes),
            rows_written: count(&counters.rows_written),
            values_written: count(&counters.values_written),
            rows_applied: count(&counters.rows_applied),
            rows_settled: count(&counters.rows_settled),
            rows_evicted: count(&counters.rows_evicted),
            waits_for_room: count(&counters.waits_for_room),
            writes_waiting: inner.pending.len() as u64,
            log_syncs,
            log_bytes_written,
            log_bytes,
            log_segments,
            memory_bytes: (active + sealed) as u64,
            memory_rows,
            memory_budget: inner.options.memory_budget as u64,
            cache_bytes: inner.cache.heap_bytes() as u64,
            flushes: count(&counters.flushes),
            flush_failures: count(&counters.flush_failures),
            flush_failure: inner.room.failure(),
            flush_nanos: count(&counters.flush_nanos),
            flushed_bytes: flushed,
            seals: count(&counters.seals),
            seal_nanos: count(&counters.seal_nanos),
            sealed_leaves: count(&counters.sealed_leaves),
            sealed_parents: count(&counters.sealed_parents),
            sealed_windows: count(&counters.sealed_windows),
            sealed_rows: count(&counters.sealed_rows),
            sealed_bytes: count(&counters.sealed_bytes),
            files_unsealed: files.rows().filter(|file| !file.entry.uncounted.is_empty()).count()
                as u64,
            flushed_rows: count(&counters.flushed_rows),
            compactions: count(&counters.compactions),
            compaction_failures: count(&counters.compaction_failures),
            compacted_bytes: compacted,
            write_amplification: if flushed == 0 {
                0.0
            } else {
                (flushed + compacted) as f64 / flushed as f64
            },
            files: files.all().count() as u64,
            file_bytes: files.all().map(|file| file.entry().len).sum(),
            files_broken: broken,
            files_aside: files.all_aside().count() as u64,
            tombstones: inner.catalog().tombstones.len() as u64,
            poisoned: inner.wal.as_ref().is_some_and(|wal| wal.is_poisoned()),
        }
    }

    /// Segments of the log on disk, and their bytes.
    fn log_size(&self) -> (u64, u64) {
        let disk = &*self.inner.disk;
        let names = disk.list("wal").unwrap_or_default();
        let len = |name: &String| {
            let file = disk.open(&format!("wal/{name}"), crate::disk::OpenMode::Read).ok()?;
            file.len().ok()
        };
        (names.len() as u64, names.iter().filter_map(len).sum())
    }

    /// Figures of each collection, by name. Reads the device tables of all files.
    ///
    /// # Errors
    /// When a table is damaged.
    pub fn collections(&self) -> Result<Vec<CollectionStats>, crate::ReadError> {
        let inner = &self.inner;
        let files = inner.files();
        let names: Vec<CollectionName> = inner.catalog().collections.keys().cloned().collect();
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            let mut devices: BTreeSet<String> = BTreeSet::new();
            let (mut rows, mut values) = (0, 0);
            let mut range: Option<(i64, i64)> = None;
            let mut widen = |first: i64, last: i64| {
                range = Some(range.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
            };
            for open in files.rows().filter(|open| open.entry.collections.contains(&name)) {
                let file = open.readable()?;
                let Some(number) = file.section(&name) else { continue };
                let section = &file.sections()[number as usize];
                rows += section.rows;
                values += section.values;
                widen(section.range.first(), section.range.last());
                file.each_device(number, |device, _| {
                    if !devices.contains(device) {
                        devices.insert(device.to_owned());
                    }
                })?;
            }
            inner.memory.inspect(|generations| {
                let tables = generations.iter().flat_map(|generation| generation.tables());
                for (_, _, table) in tables.filter(|(_, table_of, _)| **table_of == name) {
                    rows += table.rows();
                    values += table.values();
                    if let Some((first, last)) = table.span() {
                        widen(first, last);
                    }
                    devices.extend(table.view().devices().map(|device| device.to_string()));
                }
            });
            let dirty = inner.count_dirty(&name)?;
            let catalog = inner.catalog();
            let entry = catalog.collections.get(&name);
            let fields = catalog.fields_of(&name).unwrap_or_default();
            all.push(CollectionStats {
                devices: devices.len() as u64,
                rows,
                values,
                range,
                fields: fields.into_iter().map(|f| (f.name.to_string(), f.kind)).collect(),
                cut: entry.map(|e| e.cuts().of(Tier::Raw)).filter(|cut| *cut > i64::MIN),
                retention: entry.map_or(Retention::FOREVER, |entry| entry.retention()),
                dirty,
                name: name.clone(),
            });
        }
        Ok(all)
    }

    /// Bytes and files by tier.
    #[must_use]
    pub fn tiers(&self) -> Vec<TierStats> {
        let files = self.inner.files();
        let mut tiers: BTreeMap<(Tier, bool, bool), TierStats> = BTreeMap::new();
        for open in files.all() {
            let entry = open.entry();
            let tier = entry.tier;
            let stats =
                tiers.entry((tier, entry.settled, entry.borrowed)).or_insert_with(|| TierStats {
                    tier: tier.directory(),
                    settled: entry.settled,
                    borrowed: entry.borrowed,
                    files: 0,
                    bytes: 0,
                    rows: 0,
                    values: 0,
                });
            stats.files += 1;
            stats.bytes += entry.len;
            stats.rows += entry.rows;
            stats.values += entry.values;
        }
        tiers.into_values().collect()
    }

    /// The groups of this store.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupInfo> {
        let files = self.inner.files();
        let group = |group: GroupId| {
            let own = files.group(group);
            let mut collections: BTreeSet<CollectionName> =
                own.iter().flat_map(|open| open.entry.collections.iter().cloned()).collect();
            let memory_rows = self.inner.memory.inspect(|generations| {
                let tables = generations.iter().flat_map(|generation| generation.tables());
                let mut rows = 0;
                for (_, name, table) in tables.filter(|(of, _, _)| *of == group) {
                    rows += table.rows();
                    collections.insert(name.clone());
                }
                rows
            });
            GroupInfo {
                group,
                files: own.len() as u64,
                bytes: own.iter().map(|open| open.entry.len).sum(),
                rows: own.iter().map(|open| open.entry.rows).sum(),
                memory_rows,
                newest: own.iter().map(|open| open.entry.stamps.1).max(),
                collections: collections.into_iter().collect(),
            }
        };
        (0..self.inner.groups).map(GroupId).map(group).collect()
    }
}
