//! Rows of one device with one time: merged (the store does that), or nudged apart.
//!
//! Tick data has several events in one tick of its clock. `nudge` keeps them all: in the order of
//! the file, a row whose device and time are taken gets the next free nanosecond after.
//!
//! To know what is taken, a device whose times never step back needs only the last time given out:
//! all from the row's own time up to it are taken (they are one run of nudged rows), so the next is
//! free. A device that does step back needs every time it used, about 40 bytes per row. Which is
//! which is learnt by a first reading ([`Order`]); without one, all are taken to step back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// What happens to rows of one device with equal times.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum SameTime {
    /// They become one row; of each field the last value stays.
    #[default]
    Last,
    /// Each stays, moved by nanoseconds.
    Nudge,
}

/// Which devices step back in time.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// By device number: the last time, and whether any was smaller than the one before.
    devices: Vec<Option<(i64, bool)>>,
}

impl Order {
    pub(crate) fn observe(&mut self, device: usize, time: i64) {
        if device >= self.devices.len() {
            self.devices.resize(device + 1, None);
        }
        let (last, steps_back) = self.devices[device].unwrap_or((time, false));
        self.devices[device] = Some((time, steps_back || time < last));
    }

    fn steps_back(&self, device: usize) -> bool {
        self.devices.get(device).copied().flatten().is_none_or(|(_, steps_back)| steps_back)
    }
}

/// Gives every row of a device a time of its own.
#[derive(Debug, Default)]
pub(crate) struct Nudger {
    order: Order,
    used: Vec<Option<Used>>,
}

#[derive(Debug)]
enum Used {
    /// Times never step back: the greatest one used.
    Upto(i64),
    /// Per used time a later one to go on looking from, as in a union-find: a thousand rows at one
    /// time cost a thousand short steps, not half a million.
    Times(HashMap<i64, i64>),
}

impl Nudger {
    pub(crate) fn new(order: Order) -> Self {
        Nudger { order, used: Vec::new() }
    }

    /// The row's time, or the first free one after it; `None` when there is none before the end of
    /// time.
    pub(crate) fn place(&mut self, device: usize, time: i64) -> Option<i64> {
        if device >= self.used.len() {
            self.used.resize_with(device + 1, || None);
        }
        match &mut self.used[device] {
            Some(Used::Upto(last)) => {
                *last = if *last < time { time } else { last.checked_add(1)? };
                Some(*last)
            }
            Some(Used::Times(times)) => place_among(times, time),
            unused => {
                *unused = Some(match self.order.steps_back(device) {
                    true => Used::Times(HashMap::from([(time, time.saturating_add(1))])),
                    false => Used::Upto(time),
                });
                Some(time)
            }
        }
    }
}

fn place_among(times: &mut HashMap<i64, i64>, time: i64) -> Option<i64> {
    let mut free = time;
    while let Some(next) = times.get(&free) {
        free = *next;
        if free == i64::MAX && times.contains_key(&free) {
            return None;
        }
    }
    let next = free.saturating_add(1);
    times.insert(free, next);
    // Shorten the way for the next row at this time.
    let mut step = time;
    while step < free {
        match times.entry(step) {
            Entry::Occupied(mut entry) => step = entry.insert(next),
            Entry::Vacant(_) => break,
        }
    }
    Some(free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The rule, word for word.
    fn place_naively(rows: &[(usize, i64)]) -> Vec<Option<i64>> {
        let mut used = HashSet::new();
        let place = |(device, time): &(usize, i64)| {
            let mut time = *time;
            while !used.insert((*device, time)) {
                time = time.checked_add(1)?;
            }
            Some(time)
        };
        rows.iter().map(place).collect()
    }

    fn place(rows: &[(usize, i64)], learn: bool) -> Vec<Option<i64>> {
        let mut order = Order::default();
        if learn {
            rows.iter().for_each(|(device, time)| order.observe(*device, *time));
        }
        let mut nudger = Nudger::new(order);
        rows.iter().map(|(device, time)| nudger.place(*device, *time)).collect()
    }

    #[test]
    fn ordered_devices_keep_one_time_and_not_a_set() {
        let mut order = Order::default();
        (0..100).for_each(|n| order.observe(0, n / 2));
        let mut nudger = Nudger::new(order);
        (0..100).for_each(|n| assert!(nudger.place(0, n / 2).is_some()));
        assert!(matches!(nudger.used[0], Some(Used::Upto(99))));
    }

    #[test]
    fn a_hundred_thousand_rows_at_one_time_take_no_quadratic_time() {
        let mut nudger = Nudger::new(Order::default());
        for n in 0..100_000 {
            assert_eq!(nudger.place(0, 5), Some(5 + n));
        }
    }

    proptest! {
        #[test]
        fn rows_get_the_times_of_the_rule(
            rows in prop::collection::vec((0usize..3, prop_oneof![0i64..12, i64::MAX - 3..=i64::MAX, i64::MIN..i64::MIN + 3]), 0..60),
            sorted: bool,
        ) {
            let mut rows = rows;
            if sorted {
                rows.sort_by_key(|(_, time)| *time);
            }
            let expected = place_naively(&rows);
            prop_assert_eq!(place(&rows, true), expected.clone());
            prop_assert_eq!(place(&rows, false), expected);
        }
    }
}
