//! What no fold gives: for rollups whose bytes come from a disk or a peer.

use super::{Number, Numbers, Rollup, States};
use std::cmp::Ordering;
use tidelog_model::TimeRange;

/// What cannot be in a rollup of a window, whatever its rows.
pub(crate) fn wrong_with(rollup: &Rollup, window: TimeRange) -> Option<&'static str> {
    match rollup {
        Rollup::F64(numbers) => wrong_numbers(numbers, window),
        Rollup::F32(numbers) => wrong_numbers(numbers, window),
        Rollup::I64(numbers) => wrong_numbers(numbers, window),
        Rollup::U64(numbers) => wrong_numbers(numbers, window),
        Rollup::States(_, states) => wrong_states(states, window),
    }
}

fn wrong_numbers<T: Number>(numbers: &Numbers<T>, window: TimeRange) -> Option<&'static str> {
    let (first, last) = (numbers.first?.0, numbers.last?.0);
    if let Some(what) = wrong_times(numbers.count, first, last, window) {
        return Some(what);
    }
    if numbers.falls >= numbers.count {
        return Some("there are as many falls as values");
    }
    let (least, greatest) = (numbers.least?, numbers.greatest?);
    let between = |time: i64| first <= time && time <= last;
    if !between(least.1) || !between(greatest.1) {
        return Some("the least or the greatest value is outside of the first and the last");
    }
    let ordered = least.0.compare(greatest.0) != Ordering::Greater;
    let numbers = !least.0.is_nan() && !greatest.0.is_nan();
    (!ordered || !numbers).then_some("the least value is above the greatest, or is no number")
}

fn wrong_states(states: &States, window: TimeRange) -> Option<&'static str> {
    let (first, last) = (states.first.as_ref()?.0, states.last.as_ref()?.0);
    let changes = states.changes >= states.count;
    let changes = changes.then_some("there are as many changes as values");
    wrong_times(states.count, first, last, window).or(changes)
}

fn wrong_times(count: u64, first: i64, last: i64, window: TimeRange) -> Option<&'static str> {
    if !window.contains(first) || !window.contains(last) {
        return Some("a time is outside of the window");
    }
    // Rows of a device have a time each.
    let room = last.checked_sub(first).is_none_or(|room| room >= 0 && room as u64 >= count - 1);
    let apart = if count == 1 { first == last } else { first < last && room };
    (!apart).then_some("there are more values than times between the first and the last")
}
