//! One moment of a collection: what queries and the pyramid read.

use super::{Scan, Source};
use crate::files::{FileSet, OpenFile};
use crate::group::{IndexCache, ReadError};
use crate::memory::MemoryView;
use crate::rows::FieldKey;
use std::sync::Arc;
use tidelog_model::{CollectionName, GroupId, Horizon, TimeRange, Tombstone};

/// One version of the files, and memory at the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) memory: MemoryView,
    pub(crate) files: FileSet,
    /// Those that concern the collection, from manifest and log.
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// The collection's fields; the first of a name owns it.
    pub(crate) fields: Vec<FieldKey>,
    /// What is looked at of it: all, unless it is compared with another store.
    pub(crate) horizon: Arc<Horizon>,
    /// Are files that were set aside among its files? They are for answers, which may lack nothing; upkeep and
    /// comparisons with peers go by what can be read.
    pub(crate) with_aside: bool,
}

impl Snapshot {
    /// The files of a group that may have rows of a collection in a range.
    pub(crate) fn files_of(
        &self,
        name: &CollectionName,
        group: GroupId,
        range: TimeRange,
    ) -> impl Iterator<Item = &OpenFile> {
        let aside = if self.with_aside { self.files.aside(group) } else { &[] };
        self.files.group(group).iter().chain(aside).filter(move |open| {
            open.entry.range.overlaps(range) && open.entry.collections.contains(name)
        })
    }

    /// A scan of one device of a collection, in its group, over a range.
    pub(crate) fn scan(
        &self,
        name: &CollectionName,
        (group, device): (GroupId, &str),
        range: TimeRange,
        fields: &Arc<[FieldKey]>,
        cache: &IndexCache,
    ) -> Result<Scan, ReadError> {
        let files = self.files_of(name, group, range);
        self.scan_files(files, (name, device), range, fields, cache, &self.horizon)
    }

    /// A scan of all, whatever the horizon, of the files that may have anything beyond it, and of memory.
    pub(crate) fn scan_beyond(
        &self,
        name: &CollectionName,
        (group, device): (GroupId, &str),
        range: TimeRange,
        fields: &Arc<[FieldKey]>,
        cache: &IndexCache,
    ) -> Result<Scan, ReadError> {
        let least = self.horizon.least();
        let files =
            self.files_of(name, group, range).filter(move |open| open.entry.stamps.1 > least);
        self.scan_files(files, (name, device), range, fields, cache, &Arc::default())
    }

    fn scan_files<'f>(
        &self,
        files: impl Iterator<Item = &'f OpenFile>,
        (name, device): (&CollectionName, &str),
        range: TimeRange,
        fields: &Arc<[FieldKey]>,
        cache: &IndexCache,
        horizon: &Arc<Horizon>,
    ) -> Result<Scan, ReadError> {
        let mut sources = Vec::new();
        for open in files {
            let file = open.readable()?;
            let Some(section) = file.section(name) else { continue };
            if let Some(series) = file.find(section, device)?
                && series.range().overlaps(range)
            {
                sources.push(Source::file(file, series, fields, cache, range)?);
            }
        }
        for table in &self.memory.tables {
            let rows = table.rows_within(device, range, fields, horizon);
            sources.extend(rows.map(Source::memory));
        }
        let concerned = |tombstone: &&Arc<Tombstone>| {
            tombstone.range.overlaps(range)
                && tombstone.devices.matches(device)
                && horizon.admits(tombstone.version)
        };
        let tombstones = self.tombstones.iter().filter(concerned).cloned().collect();
        let horizon = Arc::clone(horizon);
        Ok(Scan { fields: Arc::clone(fields), range, sources, tombstones, horizon })
    }
}
