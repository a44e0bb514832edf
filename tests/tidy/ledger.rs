//! The ledger of features names tests that exist, and no feature is forgotten.

use crate::source::root;
use std::collections::BTreeSet;
use std::fs;

struct Entry {
    id: String,
    state: String,
    tests: String,
}

fn entries() -> Vec<Entry> {
    let text = fs::read_to_string(root().join("tests/FEATURES.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 5);
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        Entry { id: cells[1].into(), state: cells[3].into(), tests: cells[4].into() }
    })
    .filter(|entry| entry.id != "id" && !entry.id.starts_with("--"))
    .collect()
}

/// `path/to/file.rs::name` in backticks.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|name| name.split_once(".rs::").map(|_| name.rsplit_once("::").unwrap()))
        .collect()
}

#[test]
fn every_test_that_the_ledger_names_exists() {
    let mut count = 0;
    for entry in entries() {
        let tests = named_tests(&entry.tests);
        let held = ["held", "partly"].iter().any(|state| entry.state.starts_with(state));
        assert!(!held || !tests.is_empty(), "{} is {} by no test", entry.id, entry.state);
        for (path, name) in tests {
            let text = fs::read_to_string(root().join(path));
            let text = text.unwrap_or_else(|_| panic!("{}: there is no {path}", entry.id));
            let at = text.find(&format!("fn {name}("));
            let at = at.unwrap_or_else(|| panic!("{}: there is no {name} in {path}", entry.id));
            let above = text[..at].lines().rev().take(8).any(|line| {
                let test = ["#[test]", "#[tokio::test", "#![proptest_config"];
                test.iter().any(|attribute| line.trim().starts_with(attribute))
            });
            assert!(above, "{}: {name} in {path} is not a test", entry.id);
            count += 1;
        }
    }
    assert!(count > 50, "only {count} tests are named");
}

#[test]
fn every_feature_is_in_the_ledger_once_with_a_known_state() {
    let mut seen = BTreeSet::new();
    for entry in entries() {
        let state = ["held", "partly", "open", "out ("].iter().any(|s| entry.state.starts_with(s));
        assert!(state, "{} is {:?}", entry.id, entry.state);
        assert!(seen.insert(entry.id.clone()), "{} stands twice", entry.id);
    }
    let ranges = [
        ("S", 81),
        ("C", 38),
        ("H", 32),
        ("V", 42),
        ("S-B", 39),
        ("V-B", 6),
        ("H-B", 1),
        ("C-B", 1),
        ("D", 25),
    ];
    for (prefix, last) in ranges {
        for number in 1..=last {
            let id = format!("{prefix}{number}");
            assert!(seen.remove(&id), "{id} is missing");
        }
    }
    assert!(seen.is_empty(), "unknown ids: {seen:?}");
}
