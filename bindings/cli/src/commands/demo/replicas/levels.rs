//! Where two stores differ, level by level of their digest trees.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tidelog::Level;

/// Below the root, from the top down: what people call a level, and its name in requests.
pub(super) const LEVELS: [(&str, &str); 5] = [
    ("years", "year"),
    ("months", "month"),
    ("days", "day"),
    ("leaf windows", "window"),
    ("series", "series"),
];

/// How many nodes differ at each of [`LEVELS`].
pub(super) type Counts = [u64; LEVELS.len()];

/// The digests of one level, by what each is of.
pub(super) type Digests = BTreeMap<Node, String>;

/// What a digest is of: a group, the first and last instant of a window, and a device if it is of a series.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Node {
    group: u64,
    window: (i64, i64),
    device: String,
}

pub(super) fn level_of(name: Option<&str>) -> Option<Level> {
    Some(match name? {
        "root" => Level::Root,
        "year" => Level::Year,
        "month" => Level::Month,
        "day" => Level::Day,
        "window" => Level::Window,
        "series" => Level::Series,
        _ => return None,
    })
}

impl Node {
    pub(super) fn is_inside(&self, windows: &[(i64, i64)]) -> bool {
        windows.iter().any(|(first, last)| *first <= self.window.0 && self.window.1 <= *last)
    }
}

/// What a replica answered for a level.
pub(super) fn parse(answer: &Value) -> Digests {
    let one = |one: &Value| {
        let window = (one[1].as_i64()?, one[2].as_i64()?);
        let device = one[3].as_str().unwrap_or_default().to_owned();
        let node = Node { group: one[0].as_u64()?, window, device };
        Some((node, one[4].as_str()?.to_owned()))
    };
    answer.as_array().into_iter().flatten().filter_map(one).collect()
}

/// The nodes that differ or are on one side only.
pub(super) fn differing(a: &Digests, b: &Digests) -> BTreeSet<Node> {
    let differ = a.iter().filter(|(node, digest)| b.get(*node) != Some(*digest));
    let only_there = b.keys().filter(|node| !a.contains_key(*node));
    differ.map(|(node, _)| node).chain(only_there).cloned().collect()
}

/// The windows of nodes, those that touch joined: where to look further down.
pub(super) fn windows(nodes: &BTreeSet<Node>) -> Vec<(i64, i64)> {
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (first, last) in nodes.iter().map(|node| node.window).collect::<BTreeSet<_>>() {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// How many nodes of each level stand above series that differ. A node is a digest of those below it, so these are the ones
/// that differ; and counted so they are all of one moment, while a store goes on being repaired.
pub(super) fn counts(series: &BTreeSet<Node>) -> Counts {
    let windows: BTreeSet<(u64, i64)> =
        series.iter().map(|one| (one.group, one.window.0)).collect();
    let dates: BTreeSet<(u64, [i16; 3])> =
        windows.iter().map(|(group, first)| (*group, date(*first))).collect();
    let above = |keep: usize| {
        let of = |(group, date): &(u64, [i16; 3])| (*group, date[..keep].to_vec());
        dates.iter().map(of).collect::<BTreeSet<_>>().len() as u64
    };
    [above(1), above(2), above(3), windows.len() as u64, series.len() as u64]
}

/// Year, month and day in UTC.
fn date(nanoseconds: i64) -> [i16; 3] {
    let date = jiff::Timestamp::from_nanosecond(nanoseconds.into())
        .map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date())
        .unwrap_or_default();
    [date.year(), date.month().into(), date.day().into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_differs_or_is_missing_on_a_side_counts_on_all_levels_above() {
        let hour = 3_600_000_000_000_i64;
        let answer = serde_json::json!([
            [1, 0, 9, "a", "aa"],
            [1, 0, 9, "b,k=v", "bb"],
            [2, hour, hour, "c", "cc"]
        ]);
        let one = parse(&answer);
        assert_eq!(one.len(), 3);
        assert_eq!(counts(&differing(&one, &one)), [0; 5]);
        let mut other = one.clone();
        let node = |group, first, device: &str| {
            let window = (first, if first == 0 { 9 } else { first });
            Node { group, window, device: device.to_owned() }
        };
        other.insert(node(1, 0, "a"), "dd".to_owned());
        other.remove(&node(2, hour, "c"));
        assert_eq!(counts(&differing(&one, &other)), [2, 2, 2, 2, 2]);
        other.insert(node(1, 40 * 24 * hour, "b"), "ee".to_owned());
        other.insert(node(1, 40 * 24 * hour, "c"), "ee".to_owned());
        assert_eq!(counts(&differing(&one, &other)), [2, 3, 3, 3, 4]);
        assert_eq!(counts(&differing(&other, &one)), [2, 3, 3, 3, 4]);
        let all = windows(&differing(&other, &one));
        assert_eq!(all.len(), 3);
        let touching = BTreeSet::from([node(1, 0, "a"), node(2, 0, "a"), node(1, 10, "a")]);
        assert_eq!(windows(&touching), [(0, 10)]);
        assert!(node(1, 0, "a").is_inside(&[(0, 10)]) && !node(1, 11, "a").is_inside(&[(0, 10)]));
    }
}
