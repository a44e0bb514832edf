//! The rows of leaves that were not over when they were flushed, kept in memory so that the flush after which they
//! are over can seal them without reading files.
//!
//! Bounded: all groups together keep at most a quarter of the memory budget, beside it. What does not fit is sealed
//! from files, later.

use crate::ids::FileId;
use crate::rows::{FieldKey, SeriesRows};
use crate::store::Inner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use tidelog_model::{CollectionName, GroupId, TimeRange};

/// Of one group.
#[derive(Debug, Default)]
pub(crate) struct OpenLeaves {
    pub(super) collections: BTreeMap<CollectionName, Open>,
    /// Of each file that the rows here stand in: what else of it no node counts.
    pub(super) files: BTreeMap<FileId, Vec<TimeRange>>,
}

/// Of one collection: all rows there are from a time on, but for those in memory.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// A leaf begins here.
    pub(super) from: i64,
    /// Of the columns.
    pub(super) fields: Arc<[FieldKey]>,
    /// Where the rows stand.
    pub(super) files: BTreeSet<FileId>,
    pub(super) rows: BTreeMap<Arc<str>, Arc<SeriesRows>>,
}

impl Inner {
    /// What is kept of a group; `None` when there is no pyramid.
    pub(super) fn open_leaves(&self, group: GroupId) -> Option<Arc<OpenLeaves>> {
        let all = self.open_leaves.lock().unwrap_or_else(PoisonError::into_inner);
        self.options.pyramid.then(|| all.get(&group).cloned().unwrap_or_default())
    }

    pub(super) fn keep_open_leaves(&self, group: GroupId, open: OpenLeaves) {
        let mut all = self.open_leaves.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(group, Arc::new(open));
    }
}

impl OpenLeaves {
    pub(super) fn heap_bytes(&self) -> usize {
        let rows = self.collections.values().flat_map(|open| open.rows.values());
        rows.map(|rows| rows.heap_bytes()).sum()
    }

    /// Which rows of a file no node counts: those that are open, and what else there is.
    pub(super) fn uncounted(&self, file: FileId) -> Vec<TimeRange> {
        let open = self.collections.values().filter(|open| open.files.contains(&file));
        let open = open.filter_map(|open| TimeRange::inclusive(open.from, i64::MAX));
        let more = self.files.get(&file).into_iter().flatten().copied();
        crate::manifest::union(open.chain(more))
    }

    /// Keeps the rows of a collection no longer: they stay uncounted until they are sealed from files.
    pub(super) fn give_up(&mut self, name: &CollectionName) {
        let Some(open) = self.collections.remove(name) else { return };
        let rest = TimeRange::inclusive(open.from, i64::MAX);
        for file in &open.files {
            self.files.entry(*file).or_default().extend(rest);
        }
    }
}

impl Open {
    /// The rows of a device with its columns in the order of these fields.
    pub(super) fn rows_of(
        &self,
        device: &str,
        fields: &Arc<[FieldKey]>,
    ) -> Option<Arc<SeriesRows>> {
        let rows = self.rows.get(device)?;
        if self.fields == *fields {
            return Some(Arc::clone(rows));
        }
        let column = |field: &FieldKey| {
            let at = self.fields.binary_search(field).ok()?;
            rows.columns[at].clone()
        };
        let columns = fields.iter().map(column).collect();
        let (times, versions) = (rows.times.clone(), rows.versions.clone());
        Some(Arc::new(SeriesRows { times, versions, columns }))
    }
}
