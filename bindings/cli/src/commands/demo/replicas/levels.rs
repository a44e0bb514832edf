//! Where two stores differ, level by level of their digest trees.

use serde_json::Value;
use std::collections::BTreeMap;
use tidelog::Level;

/// Below the root, from the top down: what people call a level, and its name in requests.
pub(super) const LEVELS: [(&str, &str); 5] = [
    ("years", "year"),
    ("months", "month"),
    ("days", "day"),
    ("leaf windows", "window"),
    ("series", "series"),
];

/// The digests of a store at each of [`LEVELS`], by what each is of.
pub(super) type Tree = [BTreeMap<String, String>; LEVELS.len()];

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

/// What a replica answered for a level.
pub(super) fn parse(answer: &Value) -> BTreeMap<String, String> {
    let texts = answer.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts
        .filter_map(|text| text.rsplit_once('='))
        .map(|(of, digest)| (of.to_owned(), digest.to_owned()))
        .collect()
}

/// How many nodes differ or are on one side only, level by level.
pub(super) fn differing(a: &Tree, b: &Tree) -> [u64; LEVELS.len()] {
    std::array::from_fn(|level| {
        let (a, b) = (&a[level], &b[level]);
        let differ = a.iter().filter(|(of, digest)| b.get(*of) != Some(*digest)).count();
        let only_there = b.keys().filter(|of| !a.contains_key(*of)).count();
        (differ + only_there) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_differs_or_is_missing_on_a_side_counts_once() {
        let answer = serde_json::json!(["1/0/a=aa", "1/0/b,k==v=bb", "2/0/=cc"]);
        let one = parse(&answer);
        assert_eq!(one["1/0/b,k==v"], "bb");
        let mut other = one.clone();
        other.insert("1/0/a".to_owned(), "dd".to_owned());
        other.remove("2/0/");
        other.insert("3/0/".to_owned(), "ee".to_owned());
        let tree = |level: &BTreeMap<_, _>| -> Tree { std::array::from_fn(|_| level.clone()) };
        assert_eq!(differing(&tree(&one), &tree(&other)), [3; 5]);
        assert_eq!(differing(&tree(&one), &tree(&one)), [0; 5]);
    }
}
