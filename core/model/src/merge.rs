//! The merge rule: which version of a cell wins, and whether a tombstone hides it.
//!
//! A cell's winner is the greatest `(stamp, origin, canonical value bytes)`. A cell is visible when
//! its stamp is greater than that of every tombstone that covers it. Both are total orders or
//! monotone tests, so merging is commutative, associative and idempotent: replay, memory, flush,
//! compaction, query and sync may meet versions in any order and any number of times.
//!
//! What a cell shows, by the stamp of what comes beside that of what is there. It is the same when both arrive the
//! other way round. Origin B is greater than origin A; where none is named it is one and the same. Value 2 has greater
//! canonical bytes than value 1.
//!
//! | there is | there comes | older stamp | equal stamp | newer stamp |
//! |---|---|---|---|---|
//! | nothing | 2 | 2 | 2 | 2 |
//! | nothing | a delete | nothing | nothing | nothing |
//! | 1 | 2 | 1 | 2 | 2 |
//! | 2 | 1 | 2 | 2 | 1 |
//! | 1 | 1 | 1 | 1 | 1 |
//! | 1 of A | 2 of B | 1 | 2 | 2 |
//! | 1 of B | 2 of A | 1 | 1 | 2 |
//! | 1 | a delete | 1 | nothing | nothing |
//! | a delete | 1 | nothing | nothing | 1 |
//! | a delete | a delete | nothing | nothing | nothing |
//! | 1, a delete | 1 | nothing | nothing | 1 |
//! | 1 of B, a delete | 2 of A | nothing | nothing | 2 |
//! | 1 of A, a delete | a delete of B | nothing | nothing | nothing |
//!
//! So an equal value under a newer stamp is not nothing: it outlives a delete that the first one does not. And a device
//! that is deleted and written again shows what was written since, never its past.

use crate::stamp::{Stamp, Version};
use crate::values::ValueRef;
use core::cmp::Ordering;

/// Compares two versions of one cell; the greater one wins.
///
/// `None` stands for the cell that is the row's existence, which has no value.
#[must_use]
pub fn order(
    (version, value): (Version, Option<ValueRef<'_>>),
    (other_version, other_value): (Version, Option<ValueRef<'_>>),
) -> Ordering {
    version.cmp(&other_version).then_with(|| match (value, other_value) {
        (Some(a), Some(b)) => a.with_canonical_bytes(|a| b.with_canonical_bytes(|b| a.cmp(b))),
        (a, b) => a.is_some().cmp(&b.is_some()),
    })
}

/// Is a cell with this stamp visible under a covering tombstone with that one?
#[must_use]
pub fn outlives(cell: Stamp, tombstone: Stamp) -> bool {
    cell > tombstone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::StoreId;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// What may happen to the cells of one device.
    #[derive(Clone, Debug)]
    enum Event {
        Write { time: u8, version: Version, value: f64 },
        Delete { first: u8, last: u8, stamp: Stamp },
    }

    fn version() -> impl Strategy<Value = Version> {
        // Few stamps and origins, so that equal versions with different values do meet.
        (1u64..6, 0u8..2)
            .prop_map(|(stamp, id)| Version { stamp: Stamp(stamp), origin: StoreId([id; 16]) })
    }

    fn event() -> impl Strategy<Value = Event> {
        let value = prop_oneof![Just(1.0), Just(-0.0), Just(0.0), Just(f64::NAN)];
        prop_oneof![
            3 => (0u8..4, version(), value)
                .prop_map(|(time, version, value)| Event::Write { time, version, value }),
            1 => (0u8..4, 0u8..4, 1u64..6).prop_map(|(first, last, stamp)| Event::Delete {
                first,
                last,
                stamp: Stamp(stamp)
            }),
        ]
    }

    /// Folds events in the order given, with nothing but the two functions above.
    fn fold(events: &[Event]) -> Vec<(u8, u64)> {
        let mut cells: BTreeMap<u8, (Version, f64)> = BTreeMap::new();
        let mut tombstones = Vec::new();
        for event in events {
            match *event {
                Event::Write { time, version, value } => {
                    let challenger = (version, Some(ValueRef::F64(value)));
                    let wins = cells.get(&time).is_none_or(|(held, v)| {
                        order(challenger, (*held, Some(ValueRef::F64(*v)))) == Ordering::Greater
                    });
                    if wins {
                        cells.insert(time, (version, value));
                    }
                }
                Event::Delete { first, last, stamp } => tombstones.push((first..=last, stamp)),
            }
        }
        let visible = |time: u8, stamp| {
            tombstones.iter().all(|(range, t)| !range.contains(&time) || outlives(stamp, *t))
        };
        cells
            .into_iter()
            .filter(|(time, (version, _))| visible(*time, version.stamp))
            .map(|(time, (_, value))| (time, value.to_bits()))
            .collect()
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_gives_the_same_cells(
            events in proptest::collection::vec(event(), 1..12),
            shuffled in any::<proptest::sample::Index>(),
            seed in any::<u64>(),
        ) {
            let expected = fold(&events);
            let mut permuted = events.clone();
            let mut state = seed | 1;
            for index in (1..permuted.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                permuted.swap(index, (state >> 33) as usize % (index + 1));
            }
            // Some events arrive twice.
            let again = permuted[shuffled.index(permuted.len())].clone();
            permuted.push(again);
            prop_assert_eq!(fold(&permuted), expected);
        }
    }

    /// Events as the table words them, all of one stamp: `1 of A, a delete`.
    fn events(text: &str, stamp: u64) -> Vec<Event> {
        let event = |text: &str| {
            let (what, origin) = text.split_once(" of ").unwrap_or((text, "A"));
            let origin = StoreId([origin.as_bytes()[0]; 16]);
            let stamp = Stamp(stamp);
            match what {
                "a delete" => Event::Delete { first: 0, last: 9, stamp },
                // Bits, so that 2 has the greater bytes; of the numbers 1.0 and 2.0 it is 1.0.
                value => Event::Write {
                    time: 5,
                    version: Version { stamp, origin },
                    value: f64::from_bits(value.parse().unwrap()),
                },
            }
        };
        text.split(", ").filter(|text| *text != "nothing").map(event).collect()
    }

    #[test]
    fn the_table_above_is_what_the_rule_does() {
        let table = include_str!("merge.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let mut tried = 0;
        for line in table.skip(1) {
            let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
            let [there, comes, outcomes @ ..] = &cells[..] else { panic!("{line}") };
            assert_eq!(outcomes.len(), 3, "{line}");
            for (stamp, outcome) in (4..).zip(outcomes) {
                let shown: Vec<_> =
                    outcome.parse().ok().map(|bits| (5, bits)).into_iter().collect();
                let (there, comes) = (events(there, 5), events(comes, stamp));
                for order in [[&there[..], &comes, &there], [&comes, &there, &comes]] {
                    for arrivals in [order[..2].concat(), order.concat()] {
                        assert_eq!(fold(&arrivals), shown, "{line} with stamp {stamp} at 5");
                        tried += 1;
                    }
                }
            }
        }
        assert_eq!(tried, 13 * 3 * 4, "rows of the table");
    }

    #[test]
    fn a_re_created_device_is_visible_and_its_past_is_not() {
        let id = StoreId([1; 16]);
        let write = |stamp, value| Event::Write {
            time: 1,
            version: Version { stamp: Stamp(stamp), origin: id },
            value,
        };
        let delete = Event::Delete { first: 0, last: 255, stamp: Stamp(2) };
        assert_eq!(fold(&[write(1, 1.0), delete.clone()]), []);
        assert_eq!(fold(&[write(3, 7.0), delete.clone(), write(1, 1.0)]), [(1, 7.0f64.to_bits())]);
        assert_eq!(fold(&[write(2, 1.0), delete]), [], "equal stamps: the delete wins");
    }

    #[test]
    fn the_greater_value_wins_between_equal_versions() {
        let version = Version::default();
        let order = |a, b| {
            super::order((version, Some(ValueRef::U64(a))), (version, Some(ValueRef::U64(b))))
        };
        assert_eq!(order(1, 2), Ordering::Less);
        assert_eq!(order(2, 2), Ordering::Equal);
    }
}
