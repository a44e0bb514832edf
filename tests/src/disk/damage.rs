//! Looking at a disk, and damaging it, past all counters and faults.
//!
//! Damage is done to bytes at rest: the file becomes durable as it is then, and so do all names.

use super::SimDisk;
use super::tree::Node;
use std::ops::Range;

impl SimDisk {
    /// The files that have a name, with their lengths, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state();
        let mut files: Vec<_> = state
            .tree
            .walk()
            .into_iter()
            .filter_map(|(path, node)| match node {
                Node::File(content) => Some((path, content.len())),
                Node::Directory(_) => None,
            })
            .collect();
        files.sort_unstable();
        files
    }

    /// What the process sees in a file; `None` when there is none of this name.
    #[must_use]
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let node = state.tree.find_file(path).ok()?;
        Some(state.tree.content(node).live.to_vec())
    }

    /// Flips one bit.
    ///
    /// # Panics
    /// When there is no such file or byte, as for all that follows.
    pub fn flip(&self, path: &str, byte: u64, bit: u8) {
        self.damage(path, |bytes| bytes[byte as usize] ^= 1 << bit);
    }

    /// Overwrites a range with zeros.
    pub fn zero(&self, path: &str, range: Range<u64>) {
        self.damage(path, |bytes| bytes[range.start as usize..range.end as usize].fill(0));
    }

    /// Cuts a file, or extends it with zeros. With 0: an empty file where there was one.
    pub fn truncate(&self, path: &str, len: u64) {
        self.damage(path, |bytes| bytes.resize(len as usize, 0));
    }

    /// Puts a file there, whatever was there before; its directory must exist.
    pub fn put(&self, path: &str, contents: &[u8]) {
        if self.contents(path).is_none() {
            let created = self.state().tree.create(path);
            assert!(created.is_ok(), "cannot put {path}: {created:?}");
        }
        self.damage(path, |bytes| *bytes = contents.to_vec());
    }

    /// Makes a file vanish.
    pub fn erase(&self, path: &str) {
        let mut state = self.state();
        let removed = state.tree.remove(path);
        assert!(removed.is_ok(), "cannot erase {path}: {removed:?}");
        state.tree.settle_names();
    }

    /// Gives each of two files the other's content.
    pub fn swap(&self, path: &str, other: &str) {
        let mut kept = Vec::new();
        self.damage(path, |bytes| kept.clone_from(bytes));
        self.damage(other, |bytes| std::mem::swap(bytes, &mut kept));
        self.damage(path, |bytes| *bytes = kept);
    }

    fn damage(&self, path: &str, act: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        state.tree.settle_names();
        let node = state.tree.find_file(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        state.tree.damage(node, act);
    }
}
