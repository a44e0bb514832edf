//! Long functions: those that are short stay short, those that are long only shrink.

use crate::source::rust;
use std::collections::BTreeMap;

/// Lines of a function before it counts as long.
const LONG: usize = 70;

/// The long ones, with their lengths. An entry may only shrink; a new one needs a reason in its commit.
const KNOWN: [(&str, &str, usize); 1] = [("core/engine/src/query/shape.rs", "push_totals", 74)];

#[test]
fn functions_that_were_short_stay_short() {
    let mut long = BTreeMap::new();
    for source in rust().into_iter().filter(|source| !source.is_test()) {
        for (name, lines) in functions(&source.code()) {
            if lines > LONG {
                let known = long.entry((source.path.clone(), name)).or_insert(0);
                *known = lines.max(*known);
            }
        }
    }
    let mut wrong = Vec::new();
    for ((path, name), lines) in &long {
        let known = KNOWN.iter().find(|(p, n, _)| p == path && n == name);
        match known.map_or(0, |(_, _, lines)| *lines) {
            0 => wrong.push(format!("(\"{path}\", \"{name}\", {lines}), is new: cut it")),
            known if *lines > known => wrong.push(format!("{path} {name}: {known} -> {lines}")),
            known if *lines < known => {
                wrong.push(format!("{path} {name} shrank to {lines}: write that down"));
            }
            _ => {}
        }
    }
    for (path, name, _) in KNOWN {
        if !long.contains_key(&(path.to_owned(), name.to_owned())) {
            wrong.push(format!("{path} {name} is short now: drop it from the list"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Each function with its number of lines, from `fn` to the closing brace.
fn functions(code: &[(usize, String)]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, (number, line)) in code.iter().enumerate() {
        let Some((before, rest)) = line.split_once("fn ") else { continue };
        let indent = line.len() - line.trim_start().len();
        if before.trim_end().ends_with(|c: char| c != ')' && !c.is_alphanumeric()) {
            continue;
        }
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            continue;
        }
        // rustfmt puts the closing brace of a body under its `fn`, and a `;` ends one without.
        let close = format!("{}}}", " ".repeat(indent));
        let end = code[start..].iter().find(|(_, line)| {
            let one = line.trim_end();
            *line == close || (line.as_str() == code[start].1 && one.ends_with(['}', ';']))
        });
        if let Some((end, _)) = end {
            found.push((name, end - number + 1));
        }
    }
    found
}

#[test]
fn the_length_of_a_function_is_counted_from_its_first_to_its_last_line() {
    let text = "fn a() {}\nimpl X {\n    pub(crate) fn b(\n        x: u8,\n    ) -> u8 {\n        x\n    }\n}\n";
    let code: Vec<_> = text.lines().map(str::to_owned).enumerate().collect();
    assert_eq!(functions(&code), [("a".to_owned(), 1), ("b".to_owned(), 5)]);
}
