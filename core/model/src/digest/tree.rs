//! The nodes above the leaves: from the series of a window to the root of a set of groups.

use super::buckets::{Entry, FANOUT};
use super::feed::{Feed, Key};
use super::{
    DAY_CONTEXT, Digest, GROUP_CONTEXT, INNER_CONTEXT, MONTH_CONTEXT, OUTER_CONTEXT, ROOT_CONTEXT,
    SETTLED_CONTEXT, STORE_CONTEXT, WINDOW_CONTEXT, YEAR_CONTEXT,
};
use crate::level::Level;
use crate::name::CollectionName;
use crate::placement::GroupId;
use crate::time::TimeRange;

/// Hashes the nodes above the leaves, with one buffer. A node without children has no digest.
#[derive(Clone, Debug)]
pub struct TreeHasher {
    feed: Feed,
    keys: Keys,
}

#[derive(Clone, Debug)]
struct Keys {
    settled: Key,
    inner: Key,
    outer: Key,
    window: Key,
    day: Key,
    month: Key,
    year: Key,
    root: Key,
    group: Key,
    store: Key,
}

impl Default for TreeHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeHasher {
    /// A hasher. Keep it: it holds the keys of its contexts and a buffer.
    #[must_use]
    pub fn new() -> Self {
        let keys = Keys {
            settled: Key::new(SETTLED_CONTEXT),
            inner: Key::new(INNER_CONTEXT),
            outer: Key::new(OUTER_CONTEXT),
            window: Key::new(WINDOW_CONTEXT),
            day: Key::new(DAY_CONTEXT),
            month: Key::new(MONTH_CONTEXT),
            year: Key::new(YEAR_CONTEXT),
            root: Key::new(ROOT_CONTEXT),
            group: Key::new(GROUP_CONTEXT),
            store: Key::new(STORE_CONTEXT),
        };
        TreeHasher { feed: Feed::new(keys.inner), keys }
    }

    /// What stands in place of a leaf's digest where a window's raw rows are gone: the window's
    /// rollup, as the bytes that are kept of it. `tier` is the level of the window.
    ///
    /// # Panics
    /// When there are no rollups of that level.
    pub fn settled(
        &mut self,
        tier: Level,
        window: TimeRange,
        device: &str,
        rollup: &[u8],
    ) -> Digest {
        assert!((Level::Year..=Level::Window).contains(&tier), "no rollup settles at a {tier}");
        let feed = &mut self.feed;
        feed.start(self.keys.settled);
        feed.put(&[tier as u8]);
        feed.i64(window.first());
        feed.i64(window.last());
        feed.text(device);
        feed.u64(rollup.len() as u64);
        feed.put(rollup);
        feed.finish()
    }

    /// An inner bucket from its series, strictly ascending by device.
    pub fn inner(&mut self, series: &[Entry<'_>]) -> Option<Digest> {
        debug_assert!(series.is_sorted_by(|a, b| a.device < b.device), "devices strictly ascend");
        list(&mut self.feed, self.keys.inner, series, |feed, entry| {
            feed.text(entry.device);
            feed.put(&entry.digest.0);
        })
    }

    /// An outer bucket from its inner ones.
    pub fn outer(&mut self, inner: &[Option<Digest>; FANOUT]) -> Option<Digest> {
        fan(&mut self.feed, self.keys.outer, inner)
    }

    /// A leaf window from its outer buckets.
    pub fn window(&mut self, outer: &[Option<Digest>; FANOUT]) -> Option<Digest> {
        fan(&mut self.feed, self.keys.window, outer)
    }

    /// A day, month, year or root from the level below it: the first nanosecond and the digest of
    /// each window that has one, in order of time.
    ///
    /// # Panics
    /// When the level is another, or the windows are not in order.
    pub fn parent(&mut self, level: Level, children: &[(i64, Digest)]) -> Option<Digest> {
        let key = match level {
            Level::Day => self.keys.day,
            Level::Month => self.keys.month,
            Level::Year => self.keys.year,
            Level::Root => self.keys.root,
            _ => panic!("a {level} is not made of windows"),
        };
        assert!(children.is_sorted_by(|a, b| a.0 < b.0), "windows strictly ascend");
        list(&mut self.feed, key, children, |feed, (start, digest)| {
            feed.i64(*start);
            feed.put(&digest.0);
        })
    }

    /// The content root of a group from those of its collections, strictly ascending by (database,
    /// collection).
    ///
    /// # Panics
    /// When the collections are not in order.
    pub fn group(&mut self, collections: &[(&CollectionName, Digest)]) -> Option<Digest> {
        let sorted = collections.is_sorted_by(|(a, _), (b, _)| a < b);
        assert!(sorted, "collections strictly ascend");
        list(&mut self.feed, self.keys.group, collections, |feed, (name, root)| {
            feed.text(name.database());
            feed.text(name.collection());
            feed.put(&root.0);
        })
    }

    /// The root of a set of groups from their content roots, strictly ascending by number: of all
    /// groups of a store, or of those that two stores share.
    ///
    /// # Panics
    /// When the groups are not in order.
    pub fn store(&mut self, groups: &[(GroupId, Digest)]) -> Option<Digest> {
        assert!(groups.is_sorted_by(|a, b| a.0 < b.0), "groups strictly ascend");
        list(&mut self.feed, self.keys.store, groups, |feed, (group, root)| {
            feed.u32(group.0);
            feed.put(&root.0);
        })
    }
}

/// A node that says how many children it has, and which.
fn list<T>(
    feed: &mut Feed,
    key: Key,
    children: &[T],
    put: impl Fn(&mut Feed, &T),
) -> Option<Digest> {
    if children.is_empty() {
        return None;
    }
    feed.start(key);
    feed.count(children.len());
    children.iter().for_each(|child| put(feed, child));
    Some(feed.finish())
}

/// A node of 16 children, of which some may be empty.
fn fan(feed: &mut Feed, key: Key, children: &[Option<Digest>; FANOUT]) -> Option<Digest> {
    if children.iter().all(Option::is_none) {
        return None;
    }
    feed.start(key);
    children.iter().for_each(|child| feed.digest(*child));
    Some(feed.finish())
}
