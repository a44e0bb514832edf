//! Where two trees differ, found from their roots down.

use super::stored::TreeWindow;
use super::tree::{Tree, TreeLeaf};
use crate::group::ReadError;
use crate::ids::Tier;
use crate::rows::{Cells, FieldKey, SeriesRows};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::digest::{Bucket, Buckets, Entry, FANOUT, TreeHasher};
use tidelog_model::{Digest, TimeRange, ValueRef};

/// A leaf of which two stores hold different rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LeafDifference {
    pub(crate) window: TimeRange,
    pub(crate) device: Arc<str>,
    /// Rows here and there.
    pub(crate) rows: (u64, u64),
    /// Rows that only the second has.
    pub(crate) missing: u64,
    /// Rows that only the first has.
    pub(crate) extra: u64,
    /// Rows of one time with different values.
    pub(crate) mismatched: u64,
}

/// Descends two trees of one collection and group, and gives each leaf that differs.
pub(crate) fn compare(
    a: &mut Tree,
    b: &mut Tree,
    loaded: &mut u64,
    each: &mut dyn FnMut(LeafDifference) -> bool,
) -> Result<bool, ReadError> {
    descend(a, b, Tier::Year, TimeRange::ALL, loaded, each)
}

/// Compares the nodes of a tier in a range; `false` when `each` has seen enough.
fn descend(
    a: &mut Tree,
    b: &mut Tree,
    tier: Tier,
    range: TimeRange,
    loaded: &mut u64,
    each: &mut dyn FnMut(LeafDifference) -> bool,
) -> Result<bool, ReadError> {
    let (ours, theirs) = (a.nodes(tier, range)?, b.nodes(tier, range)?);
    let only = |nodes: &[TreeWindow]| match nodes {
        [one] => Some(one.window),
        _ => None,
    };
    // A node that differs, and has one child, differs in that child: no digest is needed to know.
    let known = only(&ours).is_some() && only(&ours) == only(&theirs);
    if !known {
        *loaded += (ours.len() + theirs.len()) as u64;
    }
    for window in differing(&ours, &theirs, known) {
        let go_on = if tier == Tier::Hour {
            leaf_window(a, b, window, loaded, each)?
        } else {
            descend(a, b, Tier::ALL[tier as usize - 1], window, loaded, each)?
        };
        if !go_on {
            return Ok(false);
        }
    }
    Ok(true)
}

fn differing(ours: &[TreeWindow], theirs: &[TreeWindow], all: bool) -> Vec<TimeRange> {
    let digests = |nodes: &[TreeWindow]| -> BTreeMap<i64, (TimeRange, Option<Digest>)> {
        nodes.iter().map(|node| (node.window.first(), (node.window, node.digest))).collect()
    };
    let (ours, theirs) = (digests(ours), digests(theirs));
    let starts: BTreeSet<i64> = ours.keys().chain(theirs.keys()).copied().collect();
    let differs = |start: &i64| all || ours.get(start) != theirs.get(start);
    let window = |start: i64| ours.get(&start).or_else(|| theirs.get(&start)).map(|node| node.0);
    starts.into_iter().filter(differs).filter_map(window).collect()
}

/// Compares the series of a leaf window, bucket by bucket.
fn leaf_window(
    a: &mut Tree,
    b: &mut Tree,
    window: TimeRange,
    loaded: &mut u64,
    each: &mut dyn FnMut(LeafDifference) -> bool,
) -> Result<bool, ReadError> {
    let (ours, theirs) = (a.leaves(window.first())?, b.leaves(window.first())?);
    let devices = {
        let (ours, theirs) = (buckets(a, &ours), buckets(b, &theirs));
        differing_series(&ours, &theirs, loaded)
    };
    for device in devices {
        let difference = rows_of(a, b, window, &device)?;
        if !each(difference) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn buckets<'l>(tree: &Tree, leaves: &'l BTreeMap<Arc<str>, TreeLeaf>) -> Buckets<'l> {
    Buckets::new(leaves.iter().map(|(device, leaf)| Entry {
        bucket: tree.bucket(device),
        device,
        digest: leaf.digest,
    }))
}

fn differing_series(ours: &Buckets<'_>, theirs: &Buckets<'_>, loaded: &mut u64) -> Vec<Arc<str>> {
    let hasher = &mut TreeHasher::new();
    let mut count = |a: &[Option<Digest>; FANOUT], b: &[Option<Digest>; FANOUT]| {
        *loaded += a.iter().chain(b).flatten().count() as u64;
    };
    let (outer, other) = (ours.outer(hasher), theirs.outer(hasher));
    count(&outer, &other);
    let mut devices = BTreeSet::new();
    let mut series = 0;
    for at in (0..FANOUT).filter(|at| outer[*at] != other[*at]) {
        let (inner, other) = (ours.inner(hasher, at), theirs.inner(hasher, at));
        count(&inner, &other);
        for bucket in (0..FANOUT).filter(|bucket| inner[*bucket] != other[*bucket]) {
            let bucket = Bucket::at(at, bucket);
            let digests = |entries: &[Entry<'_>]| -> BTreeMap<Arc<str>, Digest> {
                entries.iter().map(|entry| (Arc::from(entry.device), entry.digest)).collect()
            };
            let (ours, theirs) = (digests(ours.series(bucket)), digests(theirs.series(bucket)));
            series += (ours.len() + theirs.len()) as u64;
            let all = ours.keys().chain(theirs.keys());
            devices.extend(all.filter(|d| ours.get(*d) != theirs.get(*d)).cloned());
        }
    }
    *loaded += series;
    devices.into_iter().collect()
}

/// Reads a leaf on both sides and counts what differs.
fn rows_of(
    a: &mut Tree,
    b: &mut Tree,
    window: TimeRange,
    device: &Arc<str>,
) -> Result<LeafDifference, ReadError> {
    if let Some(difference) = settled_rows(a, b, window, device)? {
        return Ok(difference);
    }
    let (mut ours, mut theirs) = (Rows::of(a, device, window)?, Rows::of(b, device, window)?);
    let mut found = LeafDifference {
        window,
        device: Arc::clone(device),
        rows: (0, 0),
        missing: 0,
        extra: 0,
        mismatched: 0,
    };
    loop {
        let order = match (ours.time(a)?, theirs.time(b)?) {
            (None, None) => return Ok(found),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(ours), Some(theirs)) => ours.cmp(&theirs),
        };
        if order == Ordering::Equal && ours.row(a) != theirs.row(b) {
            found.mismatched += 1;
        }
        if order != Ordering::Greater {
            found.rows.0 += 1;
            found.extra += u64::from(order == Ordering::Less);
            ours.next += 1;
        }
        if order != Ordering::Less {
            found.rows.1 += 1;
            found.missing += u64::from(order == Ordering::Greater);
            theirs.next += 1;
        }
    }
}

/// The difference where one side has a rollup in place of its rows: then only their number is known.
fn settled_rows(
    a: &mut Tree,
    b: &mut Tree,
    leaf: TimeRange,
    device: &Arc<str>,
) -> Result<Option<LeafDifference>, ReadError> {
    let (ours, theirs) = (a.settled_in(leaf, device)?, b.settled_in(leaf, device)?);
    let windows = ours.iter().chain(&theirs).map(|(window, _)| *window);
    let Some(window) = windows.reduce(TimeRange::hull) else { return Ok(None) };
    let count = |tree: &mut Tree, settled: Option<(TimeRange, u64)>| match settled {
        Some((_, rows)) => Ok(rows),
        None => {
            let mut rows = Rows::of(tree, device, window)?;
            let mut count = 0;
            while rows.time(tree)?.is_some() {
                (count, rows.next) = (count + 1, rows.next + 1);
            }
            Ok::<u64, ReadError>(count)
        }
    };
    let (ours, theirs) = (count(a, ours)?, count(b, theirs)?);
    Ok(Some(LeafDifference {
        window,
        device: Arc::clone(device),
        rows: (ours, theirs),
        missing: theirs.saturating_sub(ours),
        extra: ours.saturating_sub(theirs),
        mismatched: u64::from(ours == theirs),
    }))
}

/// The rows of a leaf, one after the other.
struct Rows {
    scan: crate::scan::Scan,
    slice: Option<SeriesRows>,
    next: usize,
}

impl Rows {
    fn of(tree: &Tree, device: &str, window: TimeRange) -> Result<Self, ReadError> {
        Ok(Rows { scan: tree.reading.scan(device, window)?, slice: None, next: 0 })
    }

    /// The time of the next row.
    fn time(&mut self, tree: &mut Tree) -> Result<Option<i64>, ReadError> {
        loop {
            if let Some(time) = self.slice.as_ref().and_then(|rows| rows.times.get(self.next)) {
                return Ok(Some(*time));
            }
            self.slice = self.scan.next(&[], tree.scratch())?;
            self.next = 0;
            if self.slice.is_none() {
                return Ok(None);
            }
        }
    }

    /// The values of the next row, by field.
    fn row<'r>(&'r self, tree: &'r Tree) -> Vec<(&'r FieldKey, ValueRef<'r>)> {
        let Some(rows) = &self.slice else { return Vec::new() };
        let fields = tree.reading.fields.iter().zip(&rows.columns);
        let value = |cells: &'r Option<Cells>| cells.as_ref()?.column.at(self.next);
        fields.filter_map(|(field, cells)| Some((field, value(cells)?))).collect()
    }
}
