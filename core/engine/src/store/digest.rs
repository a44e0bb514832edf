//! Digests of what a store holds, and where two stores differ.

use super::aside::unreadable;
use super::{Inner, Store};
use crate::group::ReadError;
use crate::ids::Tier;
use crate::pyramid::{Dirty, Nowhere, Reading, SealError, Sealer, Settled, Stored, Tree, compare};
use crate::query::QueryError;
use crate::rows::FieldKey;
use crate::scan::Snapshot;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidelog_model::digest::TreeHasher;
use tidelog_model::{
    CollectionName, DeviceSelector, Digest, GroupId, Horizon, LeafWidth, Level, TimeRange,
};

/// A digest of a part of a collection: equal rows give equal digests, whoever wrote them and in whatever files
/// they lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestRow {
    /// The group; `None` for the collection as a whole.
    pub group: Option<GroupId>,
    /// The window in time: all of it for roots.
    pub window: TimeRange,
    /// The device, for the leaves of series.
    pub device: Option<Arc<str>>,
    /// The digest.
    pub digest: Digest,
}

/// A leaf window of a device in which two stores hold different rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The group.
    pub group: GroupId,
    /// The leaf window.
    pub window: TimeRange,
    /// The device, canonical.
    pub device: Arc<str>,
    /// Rows in the first store and in the second.
    pub rows: (u64, u64),
    /// Rows that only the second has.
    pub missing: u64,
    /// Rows that only the first has.
    pub extra: u64,
    /// Rows of one time with different values.
    pub mismatched: u64,
}

/// What a comparison came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CompareReport {
    /// The content roots; `None` where there is no row.
    pub roots: (Option<Digest>, Option<Digest>),
    /// Leaves that differ, as far as they were asked for.
    pub differences: u64,
    /// Digests that were looked at, of both stores together.
    pub digests: u64,
}

/// Why two stores cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// Devices are spread over another number of groups, so the trees have nothing in common.
    #[error(
        "one store has {0} groups and the other {1}: export one and import it into a store with as many"
    )]
    Groups(u32, u32),
    /// The trees have leaves of another width.
    #[error(
        "{name} has leaves of {a} minutes in one store and of {b} in the other: export one and import it into a collection with as wide ones"
    )]
    Leaves {
        /// The collection.
        name: CollectionName,
        /// Minutes in the first store.
        a: u8,
        /// Minutes in the second.
        b: u8,
    },
    /// One of the stores cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Store {
    /// The digests of a collection at a level of its tree, for windows that overlap a range. At the root it is
    /// one, over all groups; else they come group by group, in order of time, series by device inside a window.
    ///
    /// What was written since the last sealing is read and hashed, the rest comes from stored digests.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn digests(
        &self,
        name: &CollectionName,
        level: Level,
        range: TimeRange,
    ) -> Result<Vec<DigestRow>, QueryError> {
        let moment = Moment::of(&self.inner, name)?;
        let mut rows = Vec::new();
        let mut roots = Vec::new();
        for group in (0..self.inner.groups).map(GroupId) {
            let found = moment.digests(&self.inner, name, group, level, range);
            if let Err(QueryError::Read(error)) = &found
                && error.is_of_nodes()
            {
                self.inner.node_damage.add(group);
            }
            let (found, root) = found?;
            rows.extend(found);
            roots.extend(root.map(|root| (group, root)));
        }
        let root = TreeHasher::new().store(&roots);
        let whole =
            |digest| DigestRow { group: None, window: TimeRange::ALL, device: None, digest };
        rows.extend(root.map(whole));
        Ok(rows)
    }

    /// Finds where a collection differs from that of another store, by descending both trees: `each` is given each
    /// leaf that differs, and stops the search by returning `false`.
    ///
    /// A collection that only one of them has counts as empty in the other.
    ///
    /// # Errors
    /// See [`CompareError`].
    pub fn compare(
        &self,
        other: &Store,
        name: &CollectionName,
        mut each: impl FnMut(Difference) -> bool,
    ) -> Result<CompareReport, CompareError> {
        let (a, b) = (&self.inner, &other.inner);
        if a.groups != b.groups {
            return Err(CompareError::Groups(a.groups, b.groups));
        }
        let (ours, theirs) = (Moment::of(a, name)?, Moment::of(b, name)?);
        if let (Some(a), Some(b)) = (ours.leaf, theirs.leaf)
            && a != b
        {
            return Err(CompareError::Leaves { name: name.clone(), a: a as u8, b: b as u8 });
        }
        let mut report = CompareReport::default();
        let mut roots = (Vec::new(), Vec::new());
        let mut trees = Vec::new();
        for group in (0..a.groups).map(GroupId) {
            let mut ours = ours.tree(a, name, group)?;
            let mut theirs = theirs.tree(b, name, group)?;
            let pair =
                (ours.root().map_err(QueryError::from)?, theirs.root().map_err(QueryError::from)?);
            roots.0.extend(pair.0.map(|root| (group, root)));
            roots.1.extend(pair.1.map(|root| (group, root)));
            trees.push((group, pair, ours, theirs));
        }
        let hasher = &mut TreeHasher::new();
        report.roots = (hasher.store(&roots.0), hasher.store(&roots.1));
        report.digests = 2;
        if report.roots.0 == report.roots.1 {
            return Ok(report);
        }
        for (group, (a, b), mut ours, mut theirs) in trees {
            report.digests += u64::from(a.is_some()) + u64::from(b.is_some());
            if a == b {
                continue;
            }
            let (digests, differences) = (&mut report.digests, &mut report.differences);
            let mut found = |leaf: crate::pyramid::LeafDifference| {
                *differences += 1;
                each(Difference {
                    group,
                    window: leaf.window,
                    device: leaf.device,
                    rows: leaf.rows,
                    missing: leaf.missing,
                    extra: leaf.extra,
                    mismatched: leaf.mismatched,
                })
            };
            let go_on = compare(&mut ours, &mut theirs, digests, &mut found);
            if !go_on.map_err(QueryError::from)? {
                break;
            }
        }
        Ok(report)
    }
}

/// A collection at one moment, for all of its trees.
pub(super) struct Moment {
    snapshot: Snapshot,
    fields: Arc<[FieldKey]>,
    pub(super) leaf: Option<LeafWidth>,
}

impl Moment {
    pub(super) fn of(inner: &Inner, name: &CollectionName) -> Result<Self, QueryError> {
        let snapshot = match inner.snapshot(name, &DeviceSelector::all()) {
            Err(QueryError::NoCollection { .. }) => inner.empty_snapshot(),
            other => other?,
        };
        let known: BTreeSet<FieldKey> = snapshot.fields.iter().cloned().collect();
        let entry = inner.catalog().collections.get(name).map(|entry| entry.leaf);
        Ok(Moment { snapshot, fields: known.into_iter().collect(), leaf: entry })
    }

    /// Nothing beyond a horizon counts, nor what cannot be read: to be compared with a peer, who may have it.
    pub(super) fn bound(&mut self, horizon: &Arc<Horizon>) {
        self.snapshot.horizon = Arc::clone(horizon);
        self.snapshot.with_aside = false;
    }

    /// What is settled of a group, and the fields its nodes are read with.
    pub(super) fn settled(
        &self,
        inner: &Inner,
        name: &CollectionName,
        group: GroupId,
    ) -> Result<(Settled, Arc<[FieldKey]>), QueryError> {
        let (files, deletes) = (self.snapshot.files.settled(group), &self.snapshot.tombstones);
        let (leaf, cuts) = (self.leaf.unwrap_or_default(), self.snapshot.files.cuts(name));
        let settled = Settled::new(name, leaf, cuts, files, deletes, &inner.node_cache)?;
        Ok((settled, Arc::clone(&self.fields)))
    }

    /// Nobody can say what a group holds of which a file is set aside.
    fn require_whole(&self, name: &CollectionName, group: GroupId) -> Result<(), ReadError> {
        let mut aside = self.snapshot.files.aside(group).iter();
        match aside.find(|open| open.entry.collections.contains(name)) {
            Some(open) if self.snapshot.with_aside => Err(unreadable(&open.entry)),
            _ => Ok(()),
        }
    }

    /// The digests of a group at a level; at the root its own alone.
    fn digests(
        &self,
        inner: &Inner,
        name: &CollectionName,
        group: GroupId,
        level: Level,
        range: TimeRange,
    ) -> Result<(Vec<DigestRow>, Option<Digest>), QueryError> {
        let mut rows = Vec::new();
        let mut tree = self.tree(inner, name, group)?;
        let row = |window, device, digest| DigestRow { group: Some(group), window, device, digest };
        let tier = match level {
            Level::Root => return Ok((rows, tree.root()?)),
            Level::Year => Tier::Year,
            Level::Month => Tier::Month,
            Level::Day => Tier::Day,
            _ => Tier::Hour,
        };
        let nodes = tree.nodes(tier, TimeRange::ALL)?;
        for node in nodes.into_iter().filter(|node| node.window.overlaps(range)) {
            if level <= Level::Window {
                rows.extend(node.digest.map(|digest| row(node.window, None, digest)));
                continue;
            }
            for (device, leaf) in tree.leaves(node.window.first())? {
                rows.push(row(node.window, Some(device), leaf.digest));
            }
        }
        Ok((rows, None))
    }

    /// The tree of a group, with all that is not stored yet.
    pub(super) fn tree(
        &self,
        inner: &Inner,
        name: &CollectionName,
        group: GroupId,
    ) -> Result<Tree, QueryError> {
        let (reading, dirty) = self.reading(inner, name, group)?;
        match Sealer::new(reading).run(&dirty, &mut Nowhere, &mut || true) {
            Ok((tree, _)) => Ok(tree),
            Err(error) => Err(of_seal(error)),
        }
    }

    /// A group, and which of its stored nodes are overtaken.
    pub(super) fn reading(
        &self,
        inner: &Inner,
        name: &CollectionName,
        group: GroupId,
    ) -> Result<(Reading, Dirty), QueryError> {
        self.require_whole(name, group)?;
        let leaf = self.leaf.unwrap_or_default();
        let nodes = self.snapshot.files.nodes(group);
        let stored = Stored::new(name, leaf, nodes, &inner.node_cache)?;
        let cuts = self.snapshot.files.cuts(name);
        let dirty = Dirty::find(name, group, &self.snapshot, &stored, (leaf, &cuts))?;
        let reading = Reading {
            name: name.clone(),
            group,
            snapshot: self.snapshot.clone(),
            stored,
            cache: Arc::clone(&inner.cache),
            leaf,
            fields: Arc::clone(&self.fields),
            settled: self.settled(inner, name, group)?.0,
        };
        Ok((reading, dirty))
    }
}

/// Of what writes nothing, and nobody cancels.
pub(super) fn of_seal(error: SealError) -> QueryError {
    match error {
        SealError::Read(error) => error.into(),
        SealError::Write(_) | SealError::Cancelled => {
            unreachable!("nothing is written and nobody cancels")
        }
    }
}

impl Inner {
    /// How many leaves, days, months and years of series are to be made anew.
    pub(super) fn count_dirty(&self, name: &CollectionName) -> Result<[u64; 4], ReadError> {
        let moment = match Moment::of(self, name) {
            Ok(mut moment) => {
                moment.snapshot.with_aside = false;
                moment
            }
            Err(QueryError::Read(error)) => return Err(error),
            // It was there a moment ago, and has no rows.
            Err(_) => return Ok([0; 4]),
        };
        let leaf = moment.leaf.unwrap_or_default();
        let files = &moment.snapshot.files;
        let mut counts = [0; 4];
        for group in (0..self.groups).map(GroupId) {
            let stored = Stored::new(name, leaf, files.nodes(group), &self.node_cache)?;
            let place = (leaf, &files.cuts(name));
            let dirty = Dirty::find(name, group, &moment.snapshot, &stored, place)?;
            for (count, more) in counts.iter_mut().zip(dirty.count(leaf)) {
                *count += more;
            }
        }
        Ok(counts)
    }
}
