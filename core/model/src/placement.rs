//! Which group a device belongs to.

use crate::name::CollectionName;
use core::fmt;

/// A group of devices: the unit of placement, replication, files and parallel work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub u32);

/// Counts the changes of who holds a group: raised by whoever decides that, and never sunk. Not raised yet: 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupEpoch(pub u64);

impl fmt::Display for GroupEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group-{:04}", self.0)
    }
}

/// The published context of the placement hash (BLAKE3 `derive_key`).
pub const PLACEMENT_CONTEXT: &str = "tidelog 2026-11 placement v1";

/// A device's placement hash: the first 8 bytes, little-endian, of BLAKE3 in
/// [`PLACEMENT_CONTEXT`] over database, collection and device, each after its length as a `u32`.
/// Part of the format: it never changes for a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlacementHash(pub u64);

impl PlacementHash {
    /// Hashes a device (its canonical text) of a collection.
    #[must_use]
    pub fn of(collection: &CollectionName, device: &str) -> Self {
        Placer::new(collection).place(device)
    }

    /// The group among so many.
    ///
    /// # Panics
    /// When `groups` is 0.
    #[must_use]
    pub fn group(self, groups: u32) -> GroupId {
        GroupId(u32::try_from(self.0 % u64::from(groups)).expect("less than a u32"))
    }
}

/// Hashes many devices of one collection.
#[derive(Clone, Debug)]
pub struct Placer {
    prefix: blake3::Hasher,
}

impl Placer {
    /// A placer for one collection.
    #[must_use]
    pub fn new(collection: &CollectionName) -> Self {
        let mut prefix = blake3::Hasher::new_derive_key(PLACEMENT_CONTEXT);
        for name in [collection.database(), collection.collection()] {
            update(&mut prefix, name);
        }
        Placer { prefix }
    }

    /// Hashes one device, given its canonical text.
    #[must_use]
    pub fn place(&self, device: &str) -> PlacementHash {
        let mut hasher = self.prefix.clone();
        update(&mut hasher, device);
        let hash = hasher.finalize();
        let first = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        PlacementHash(u64::from_le_bytes(first))
    }
}

fn update(hasher: &mut blake3::Hasher, text: &str) {
    // Names are at most 16 KiB, so the length always fits.
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    hasher.update(&len.to_le_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_is_frozen() {
        let name = CollectionName::parse("plant.boiler").unwrap();
        let hash = PlacementHash::of(&name, "host_1");
        assert_eq!(hash, PlacementHash(PLACED), "a store's groups may never move");
        assert_eq!(hash.group(8), GroupId(u32::try_from(PLACED % 8).unwrap()));
    }

    const PLACED: u64 = 3_206_945_866_226_284_804;
}
