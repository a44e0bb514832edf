//! The rows of leaves that were not over when they were flushed, kept in memory so that the flush after which they
//! are over can seal them without reading files.
//!
//! Bounded: all groups together keep at most a quarter of the memory budget, beside it. What does not fit is sealed
//! from files, later.

use crate::ids::FileId;
use crate::rows::{FieldKey, SeriesRows, Versions};
use crate::store::Inner;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use tidelog_model::{CollectionName, GroupId, TimeRange, Version};

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
    pub(super) rows: Arc<OpenRows>,
}

/// Rows of many devices in one set of columns: an allocation for each column, and not for each of each device.
#[derive(Clone, Debug)]
pub(super) struct OpenRows {
    pub(super) rows: SeriesRows,
    /// Which of the rows are a device's, in order of time.
    pub(super) devices: BTreeMap<Arc<str>, Range<usize>>,
}

impl OpenRows {
    pub(super) fn new(fields: usize) -> Self {
        let versions = Versions::One(Version::default());
        let rows = SeriesRows { times: Vec::new(), versions, columns: vec![None; fields] };
        OpenRows { rows, devices: BTreeMap::new() }
    }

    /// Adds rows of a device that has none here, or that was the last to get some.
    pub(super) fn add(&mut self, device: &Arc<str>, rows: &SeriesRows) {
        let from = self.rows.len();
        self.rows.append(rows);
        let to = self.rows.len();
        self.devices.entry(Arc::clone(device)).or_insert(from..from).end = to;
    }
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
        self.collections.values().map(|open| open.rows.rows.heap_bytes()).sum()
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
    /// The same with its columns in the order of these fields.
    pub(super) fn with_fields(mut self, fields: &Arc<[FieldKey]>) -> Self {
        if self.fields != *fields {
            let rows = Arc::make_mut(&mut self.rows);
            let column = |field: &FieldKey| {
                let at = self.fields.binary_search(field).ok()?;
                rows.rows.columns[at].clone()
            };
            rows.rows.columns = fields.iter().map(column).collect();
            self.fields = Arc::clone(fields);
        }
        self
    }
}
