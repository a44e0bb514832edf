//! Layers inside the engine: a module uses only what stands left of it.

use crate::source::rust_under;
use std::collections::{BTreeMap, BTreeSet};

/// The modules of the engine from the ground up. A module may use what stands in a line above its own.
const LAYERS: [&[&str]; 13] = [
    &["ids", "format", "clock", "disk", "codec", "pieces"],
    &["rows", "log", "retention"],
    &["memory", "group", "manifest", "rollup"],
    &["nodes"],
    &["error", "wal", "files"],
    &["scan"],
    &["pyramid"],
    &["options"],
    &["query"],
    &["upkeep"],
    &["store"],
    &["fuzzing"],
    &["lib"],
];

/// Edges that point up, each with the reason why it is not cut.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    (
        "upkeep",
        "store",
        "jobs are methods of the store's `Inner`: they hold its locks in its order",
    ),
    ("options", "store", "`Options::open` is where users begin; it calls `Store::open_on`"),
];

#[test]
fn a_module_of_the_engine_uses_only_what_is_below_it() {
    let exports = exports();
    let level = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for source in rust_under("core/engine/src") {
        let inside = source.path.strip_prefix("core/engine/src/").unwrap();
        let module = inside.split(['/', '.']).next().unwrap();
        let own = level(module).unwrap_or_else(|| panic!("{module} has no layer: give it one"));
        if module == "lib" {
            continue;
        }
        for (line, code) in source.shipped() {
            for target in targets(&code, &exports) {
                let other =
                    level(&target).unwrap_or_else(|| panic!("{}:{line}: {target}?", source.path));
                if target == module || other < own {
                    continue;
                }
                let edge = (module.to_owned(), target.clone());
                let exception = EXCEPTIONS.iter().any(|(a, b, _)| (*a, *b) == (module, &*target));
                if exception {
                    used.insert(edge);
                } else {
                    wrong.push(format!("{}:{line}: {module} uses {target}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these point up or sideways:\n{}", wrong.join("\n"));
    for (from, to, _) in EXCEPTIONS {
        let edge = (from.to_owned(), to.to_owned());
        assert!(used.contains(&edge), "{from} no longer uses {to}: drop the exception");
    }
}

/// The modules that a line names by `crate::`; a re-exported item counts as its home.
fn targets(code: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let names = code.split("crate::").skip(1).flat_map(|rest| {
        let ends = |c: char| !(c.is_alphanumeric() || c == '_');
        match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest.split(ends).next().unwrap_or_default()],
        }
    });
    names
        .map(|name| name.trim().split("::").next().unwrap_or_default().to_owned())
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let first = name.chars().next().unwrap();
            // Types by their re-export; those of the model have no home in the engine.
            if first.is_uppercase() { exports.get(&name).cloned() } else { Some(name) }
        })
        .collect()
}

/// Which module each name that `lib.rs` re-exports comes from.
fn exports() -> BTreeMap<String, String> {
    let lib = rust_under("core/engine/src").into_iter().find(|s| s.path.ends_with("src/lib.rs"));
    let text = lib.unwrap().text;
    let mut found = BTreeMap::new();
    for item in text.split("pub use ").skip(1) {
        let Some((item, _)) = item.split_once(';') else { continue };
        let Some((module, names)) = item.split_once("::") else { continue };
        if module == "tidelog_model" {
            continue;
        }
        for name in names.trim_matches(['{', '}', '\n', ' ']).split(',') {
            found.insert(name.trim().to_owned(), module.to_owned());
        }
    }
    assert_eq!(found.get("Store").map(String::as_str), Some("store"));
    found
}

/// The words below the engine: no crate of core depends on a leaf.
#[test]
fn nothing_in_core_depends_on_bindings_plugins_or_tests() {
    for package in ["core", "core/model", "core/engine"] {
        let manifest = crate::source::root().join(package).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            let own = name.starts_with("tidelog-");
            let allowed = match package {
                "core" => ["tidelog-engine", "tidelog-replica"].contains(&name),
                "core/engine" => name == "tidelog-model",
                _ => false,
            };
            assert!(!section.contains("dependencies") || !own || allowed, "{package}: {line}");
        }
    }
}

#[test]
fn each_format_is_written_down_beside_its_code_and_shown_in_its_documentation() {
    let sources = rust_under("core/engine/src");
    for module in ["codec", "log", "wal", "group", "manifest", "nodes"] {
        let root = format!("core/engine/src/{module}");
        let text = std::fs::read_to_string(crate::source::root().join(&root).join("FORMAT.md"));
        assert!(text.is_ok_and(|text| text.len() > 300), "{root}/FORMAT.md");
        let source = sources.iter().find(|source| source.path == format!("{root}/mod.rs"));
        let shown = source.unwrap().text.starts_with("#![doc = include_str!(\"FORMAT.md\")]");
        assert!(shown, "{root}/mod.rs does not begin with its FORMAT.md");
    }
    // A file that lays out bytes must not appear without a specification.
    for source in &sources {
        let named = source.shipped().iter().any(|(_, line)| line.contains("to_le_bytes"));
        let folder = source.path.rsplit_once('/').unwrap().0;
        let specified = crate::source::root().join(folder).join("FORMAT.md").exists();
        let shared = ["format.rs"].iter().any(|name| source.path.ends_with(name));
        assert!(
            !named || specified || shared,
            "{} lays out bytes without a FORMAT.md",
            source.path
        );
    }
}
