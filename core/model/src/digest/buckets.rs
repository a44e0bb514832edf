//! The series of a leaf window in 16 x 16 buckets, level by level as a comparison asks for them.

use super::{Digest, TreeHasher};
use crate::placement::PlacementHash;
use alloc::vec::Vec;

/// How many buckets a window has, and how many inner ones each of them. Part of the format.
pub const FANOUT: usize = 16;

/// Which of the 16 x 16 buckets of a window a device is in: the outer one in the high four bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bucket(pub u8);

impl Bucket {
    /// The bucket of a device: the top byte of its hash. The group is the hash modulo a small
    /// number, which the top byte says next to nothing about: the devices of one group fill all
    /// buckets evenly.
    #[must_use]
    pub fn of(hash: PlacementHash) -> Self {
        Bucket(hash.0.to_be_bytes()[0])
    }

    /// The inner bucket of an outer one.
    ///
    /// # Panics
    /// When a number is not below 16.
    #[must_use]
    pub fn at(outer: usize, inner: usize) -> Self {
        assert!(outer < FANOUT && inner < FANOUT, "16 buckets of 16");
        Bucket((outer * FANOUT + inner) as u8)
    }

    /// The number of the outer bucket.
    #[must_use]
    pub fn outer(self) -> usize {
        usize::from(self.0) / FANOUT
    }

    /// The number of the inner bucket in the outer one.
    #[must_use]
    pub fn inner(self) -> usize {
        usize::from(self.0) % FANOUT
    }
}

/// A series of a window: what stands at the foot of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Where the device belongs.
    pub bucket: Bucket,
    /// The device's canonical text.
    pub device: &'a str,
    /// The digest of its leaf, or of what is settled in its place.
    pub digest: Digest,
}

/// The series of one leaf window, in their buckets.
#[derive(Clone, Debug)]
pub struct Buckets<'a> {
    /// Strictly ascending by (bucket, device).
    entries: Vec<Entry<'a>>,
}

impl<'a> Buckets<'a> {
    /// Sorts the series of a window; each device stands once, in any order.
    ///
    /// # Panics
    /// When a device stands twice in one bucket.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = Entry<'a>>) -> Self {
        let mut entries: Vec<Entry<'a>> = entries.into_iter().collect();
        // Stable, for it is quick on what comes sorted by device.
        entries.sort_by_key(|entry| (entry.bucket, entry.device));
        let key = |entry: &Entry<'a>| (entry.bucket, entry.device);
        assert!(entries.is_sorted_by(|a, b| key(a) < key(b)), "a device stands once in a window");
        Buckets { entries }
    }

    /// The series of an inner bucket, ascending by device.
    #[must_use]
    pub fn series(&self, bucket: Bucket) -> &[Entry<'a>] {
        let start = self.entries.partition_point(|entry| entry.bucket < bucket);
        let end = self.entries.partition_point(|entry| entry.bucket <= bucket);
        &self.entries[start..end]
    }

    /// The digests of the inner buckets of an outer one.
    ///
    /// # Panics
    /// When `outer` is not below 16.
    #[must_use]
    pub fn inner(&self, hasher: &mut TreeHasher, outer: usize) -> [Option<Digest>; FANOUT] {
        core::array::from_fn(|inner| hasher.inner(self.series(Bucket::at(outer, inner))))
    }

    /// The digests of the outer buckets.
    #[must_use]
    pub fn outer(&self, hasher: &mut TreeHasher) -> [Option<Digest>; FANOUT] {
        core::array::from_fn(|outer| {
            let inner = self.inner(hasher, outer);
            hasher.outer(&inner)
        })
    }

    /// The digest of the window; `None` when it has no series.
    #[must_use]
    pub fn window(&self, hasher: &mut TreeHasher) -> Option<Digest> {
        let outer = self.outer(hasher);
        hasher.window(&outer)
    }
}
