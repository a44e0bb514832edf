//! Which group devices of incoming rows are of: hashing a name costs more than all else that is done for a row, and the
//! same devices come again and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tidelog_model::{CollectionName, GroupId, Placer};

/// What is remembered takes about so many bytes at most; then it is forgotten.
const BYTES_MAX: usize = 8 << 20;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Placed {
    groups: u32,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    collections: HashMap<CollectionName, HashMap<Box<str>, GroupId>>,
    bytes: usize,
}

impl Placed {
    pub(super) fn new(groups: u32) -> Self {
        Placed { groups, known: Mutex::default() }
    }

    /// Are all these devices of a group?
    pub(super) fn all_in<'d>(
        &self,
        name: &CollectionName,
        group: GroupId,
        mut devices: impl Iterator<Item = &'d str>,
    ) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.bytes > BYTES_MAX {
            *known = Known::default();
        }
        let mut placer = None;
        let Known { collections, bytes } = &mut *known;
        if !collections.contains_key(name) {
            collections.insert(name.clone(), HashMap::new());
            *bytes += 256;
        }
        let Some(placed) = collections.get_mut(name) else { return false };
        devices.all(|device| {
            if let Some(of) = placed.get(device) {
                return *of == group;
            }
            let placer = placer.get_or_insert_with(|| Placer::new(name));
            let of = placer.place(device).group(self.groups);
            *bytes += device.len() + 64;
            placed.insert(device.into(), of);
            of == group
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_is_hashed_and_has_a_bound() {
        let placed = Placed::new(4);
        let names = ["a.b", "a.c"].map(|name| CollectionName::parse(name).unwrap());
        let long = "x".repeat(10_000);
        for number in 0..5_000 {
            let device = format!("{}{long}", number % 1_500);
            let name = &names[number % 2];
            let of = Placer::new(name).place(&device).group(4);
            for group in 0..4 {
                let said = placed.all_in(name, GroupId(group), [device.as_str()].into_iter());
                assert_eq!(said, of == GroupId(group));
            }
            assert!(placed.known.lock().unwrap().bytes <= BYTES_MAX + 20_000);
        }
    }
}
