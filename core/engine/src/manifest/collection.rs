//! What the manifest says about a collection: a schema that grows, options, retention and cuts.
//!
//! Entries merge: in any order, any number of times, to the same entry (the rule for cells, applied to
//! the schema). So an edit may give a whole entry or only what is new in it.

use crate::ids::Tier;
use crate::retention::{Cuts, Retention};
use std::collections::BTreeMap;
use tidelog_model::{FieldType, LeafWidth, Name, Version};

/// A collection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CollectionEntry {
    pub(crate) leaf: LeafWidth,
    /// Which write gave `leaf` and `retention`: the greatest wins.
    pub(crate) options_version: Version,
    /// Each field with the version of its first use; the least owns the bare name.
    pub(crate) fields: BTreeMap<(Name, FieldType), Version>,
    /// Days each tier is kept; a tier that is missing is kept for ever.
    pub(crate) retention: Vec<(Tier, u32)>,
    /// Nanoseconds below which a tier is gone. A cut only moves up, and none is above that of a finer tier.
    pub(crate) cuts: BTreeMap<Tier, i64>,
    /// Nanoseconds below which this store has given up everything for want of room. Local: other stores are not told.
    pub(crate) evicted: i64,
}

impl CollectionEntry {
    /// The cuts that retention has made, without what was evicted here.
    pub(crate) fn agreed_cuts(&self) -> Cuts {
        Cuts::new(&self.cuts)
    }

    /// Before which time each tier is gone.
    pub(crate) fn cuts(&self) -> Cuts {
        self.agreed_cuts().at_least(self.evicted)
    }

    /// How long each tier is kept.
    pub(crate) fn retention(&self) -> Retention {
        Retention::of_tiers(&self.retention)
    }

    /// Takes in what another entry of the same collection says.
    pub(crate) fn merge(&mut self, other: &CollectionEntry) {
        // Beyond the version the content decides, as between cells: no two orders may differ.
        if other.options() > self.options() {
            self.leaf = other.leaf;
            self.options_version = other.options_version;
            self.retention.clone_from(&other.retention);
        }
        for (field, first) in &other.fields {
            let mine = self.fields.entry(field.clone()).or_insert(*first);
            *mine = (*mine).min(*first);
        }
        for (tier, cut) in &other.cuts {
            let mine = self.cuts.entry(*tier).or_insert(*cut);
            *mine = (*mine).max(*cut);
        }
        self.evicted = self.evicted.max(other.evicted);
    }

    fn options(&self) -> (Version, LeafWidth, &[(Tier, u32)]) {
        (self.options_version, self.leaf, &self.retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_model::{Stamp, StoreId};

    fn entry(stamp: u64, field: FieldType, cut: i64) -> CollectionEntry {
        let version = Version { stamp: Stamp(stamp), origin: StoreId([1; 16]) };
        CollectionEntry {
            leaf: LeafWidth::Hour,
            options_version: version,
            fields: [((Name::new("field", "x").unwrap(), field), version)].into(),
            retention: vec![(Tier::Raw, stamp as u32)],
            cuts: [(Tier::Raw, cut)].into(),
            evicted: cut + 1,
        }
    }

    #[test]
    fn entries_merge_to_the_same_in_every_order() {
        let all =
            [entry(2, FieldType::F64, 7), entry(1, FieldType::I64, 9), entry(3, FieldType::F64, 8)];
        let merged = |order: [usize; 4]| {
            let mut entry = all[order[0]].clone();
            order[1..].iter().for_each(|index| entry.merge(&all[*index]));
            entry
        };
        let expected = merged([0, 1, 2, 2]);
        for order in [[0, 2, 1, 0], [1, 0, 2, 1], [1, 2, 0, 0], [2, 0, 1, 1], [2, 1, 0, 2]] {
            assert_eq!(merged(order), expected);
        }
        assert_eq!(expected.fields.values().map(|v| v.stamp.0).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((expected.retention[0].1, expected.cuts[&Tier::Raw]), (3, 9));
        assert_eq!(expected.evicted, 10);
    }
}
