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
        let mut sources = Vec::new();
        for open in self.files_of(name, group, range) {
            let file = open.readable()?;
            let Some(section) = file.section(name) else { continue };
            if let Some(series) = file.find(section, device)?
                && series.range().overlaps(range)
            {
                sources.push(Source::file(file, series, fields, cache, range)?);
            }
        }
        for table in &self.memory.tables {
            let rows = table.rows_within(device, range, fields, &self.horizon);
            sources.extend(rows.map(Source::memory));
        }
        let concerned = |tombstone: &&Arc<Tombstone>| {
            tombstone.range.overlaps(range)
                && tombstone.devices.matches(device)
                && self.horizon.admits(tombstone.version)
        };
        let tombstones = self.tombstones.iter().filter(concerned).cloned().collect();
        let horizon = Arc::clone(&self.horizon);
        Ok(Scan { fields: Arc::clone(fields), range, sources, tombstones, horizon })
    }
}
