//! Deletes: a range tombstone hides the cells it covers that are not newer than itself.

use crate::device::DeviceSelector;
use crate::name::Name;
use crate::stamp::Version;
use crate::time::TimeRange;
use alloc::vec::Vec;

/// A delete of devices, fields and times of one collection, or of a whole database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// The database.
    pub database: Name,
    /// The collection; `None` means every collection of the database.
    pub collection: Option<Name>,
    /// The devices.
    pub devices: DeviceSelector,
    /// The fields; `None` means whole rows, their existence included.
    pub fields: Option<Vec<Name>>,
    /// The times.
    pub range: TimeRange,
    /// When the delete happened; it hides cells up to this stamp.
    pub version: Version,
}

impl Tombstone {
    /// Is this collection meant?
    #[must_use]
    pub fn concerns(&self, database: &str, collection: &str) -> bool {
        self.database.as_str() == database
            && self.collection.as_ref().is_none_or(|name| name.as_str() == collection)
    }

    /// Does it hide this field (`None`: the row's existence)?
    #[must_use]
    pub fn covers_field(&self, field: Option<&str>) -> bool {
        match (&self.fields, field) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(fields), Some(field)) => fields.iter().any(|name| name.as_str() == field),
        }
    }

    /// Does it hide all that `other` hides, so that the other's record may go?
    #[must_use]
    pub fn supersedes(&self, other: &Tombstone) -> bool {
        let fields = match (&self.fields, &other.fields) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => theirs.iter().all(|name| mine.contains(name)),
        };
        self.version.stamp >= other.version.stamp
            && self.database == other.database
            && (self.collection.is_none() || self.collection == other.collection)
            && (self.devices.is_all() || self.devices == other.devices)
            && fields
            && self.range.covers(other.range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn tombstone(stamp: u64, fields: Option<&[&str]>) -> Tombstone {
        Tombstone {
            database: Name::new("database", "d").unwrap(),
            collection: Some(Name::new("collection", "c").unwrap()),
            devices: DeviceSelector::all(),
            fields: fields
                .map(|names| names.iter().map(|name| Name::new("field", name).unwrap()).collect()),
            range: TimeRange::ALL,
            version: Version { stamp: Stamp(stamp), ..Version::default() },
        }
    }

    #[test]
    fn a_named_field_leaves_the_row_in_being() {
        let fields = tombstone(1, Some(&["a"]));
        assert!(fields.covers_field(Some("a")));
        assert!(!fields.covers_field(Some("b")));
        assert!(!fields.covers_field(None));
        assert!(tombstone(1, None).covers_field(None));
    }

    #[test]
    fn only_a_wider_and_newer_record_supersedes() {
        assert!(tombstone(2, None).supersedes(&tombstone(1, Some(&["a"]))));
        assert!(!tombstone(1, None).supersedes(&tombstone(2, None)));
        assert!(!tombstone(2, Some(&["a"])).supersedes(&tombstone(1, None)));
    }
}
