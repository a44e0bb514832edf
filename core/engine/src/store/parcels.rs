//! Parcels that come from other stores: read, and held against what is known here, before anything is done with them.

use super::Inner;
use crate::error::{ApplyError, RollupError, UpkeepError};
use crate::rollup::Parcel;
use std::collections::BTreeSet;
use tidelog_model::digest::TreeHasher;
use tidelog_model::{CollectionName, GroupId, Stamp};

/// Rollups of other stores are taken in lots of so many bytes at most.
pub const ROLLUPS_BYTES_MAX: usize = 16 << 20;
/// Stores clean whole files of nodes, so few stamps come at once; each costs a file here.
const STAMPS_MAX: usize = 16;

impl Inner {
    /// Reads parcels, in the order of tier, device and window: all of them are sound and fit the schema, or none is
    /// taken. Of two for one place the later in the list stays.
    pub(super) fn read_parcels(
        &self,
        group: GroupId,
        name: &CollectionName,
        parcels: &[Vec<u8>],
    ) -> Result<Vec<Parcel>, RollupError> {
        let malformed = |what: &str| RollupError::Malformed { what: what.to_owned() };
        let schema = |what| RollupError::Schema { collection: name.clone(), what };
        self.wal.as_ref().ok_or(UpkeepError::ReadOnly)?;
        if self.is_closed() {
            return Err(UpkeepError::Closed.into());
        }
        let bytes = parcels.iter().map(Vec::len).sum();
        if bytes > ROLLUPS_BYTES_MAX {
            return Err(RollupError::TooMany { bytes, max: ROLLUPS_BYTES_MAX });
        }
        let mut hasher = TreeHasher::new();
        let read = parcels.iter().map(|bytes| Parcel::decode(bytes, &mut hasher));
        let mut read = read.collect::<Result<Vec<_>, _>>().map_err(|error| malformed(error.0))?;
        if group.0 >= self.groups
            || !self.placed.all_in(name, group, read.iter().map(|parcel| &*parcel.device))
        {
            return Err(malformed("a device is not of the group it was sent for"));
        }
        let entry = self.collection_entry(name).ok_or_else(|| schema("it is not known"))?;
        for parcel in &read {
            if parcel.leaf != entry.leaf {
                return Err(schema("its leaves have another width"));
            }
            let known = |key: (_, _)| entry.fields.contains_key(&key);
            if !parcel.fields.iter().all(|field| known((field.name.clone(), field.kind))) {
                return Err(schema("a field is not known with that type"));
            }
        }
        let stamps: BTreeSet<Stamp> = read.iter().map(|parcel| parcel.cleaned).collect();
        if stamps.len() > STAMPS_MAX {
            return Err(malformed("the nodes are of more stamps than a store has files"));
        }
        self.check_ahead(stamps.last().copied().unwrap_or_default()).map_err(of_ahead)?;
        read.reverse();
        let place = |parcel: &Parcel| (parcel.tier, parcel.device.clone(), parcel.window.first());
        // Stable: the last of equal ones comes first, and stays.
        read.sort_by_key(place);
        read.dedup_by_key(|parcel| place(parcel));
        Ok(read)
    }
}

fn of_ahead(error: ApplyError) -> RollupError {
    match error {
        ApplyError::ClockAhead { by_millis, bound_millis } => {
            RollupError::ClockAhead { by_millis, bound_millis }
        }
        other => RollupError::Malformed { what: other.to_string() },
    }
}
