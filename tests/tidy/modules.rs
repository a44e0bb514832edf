//! Every file is part of a crate, and says on its first line what it is about.

use crate::source::{blank, root, rust};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_file_says_first_what_it_is_about() {
    for source in rust() {
        let first = source.text.lines().next().unwrap_or_default();
        let says = first.len() > 8 && first.starts_with("//! ");
        let includes = first.starts_with("#![doc = include_str!");
        assert!(says || includes, "{} begins with {first:?}", source.path);
    }
}

#[test]
fn every_file_is_reached_by_mod() {
    let sources = rust();
    let mut reached: BTreeSet<PathBuf> = BTreeSet::new();
    let mut open: Vec<PathBuf> = targets();
    while let Some(path) = open.pop() {
        assert!(path.exists(), "{} is named and does not exist", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        for name in modules(&text) {
            open.extend(module_file(&path, &name));
        }
        reached.insert(path);
    }
    for source in sources {
        assert!(reached.contains(&root().join(&source.path)), "{} is dead", source.path);
    }
}

/// The roots of all crates, binaries, tests and examples, by the manifests.
fn targets() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for package in packages() {
        let folder = root().join(&package);
        for usual in ["src/lib.rs", "src/main.rs", "build.rs"] {
            found.push(folder.join(usual));
        }
        for (auto, own) in [("src/bin", true), ("examples", true), ("tests", package != "tests")] {
            let Ok(entries) = std::fs::read_dir(folder.join(auto)) else { continue };
            let files = entries.map(|entry| entry.unwrap().path());
            found.extend(files.filter(|path| own && path.extension().is_some_and(|e| e == "rs")));
        }
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for line in manifest.lines() {
            if let Some(path) = line.strip_prefix("path = ") {
                found.push(folder.join(path.trim_matches('"')));
            }
        }
    }
    found.retain(|path| path.exists());
    found
}

/// The members of the workspace.
fn packages() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    members.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The modules that a file declares without a body.
fn modules(text: &str) -> Vec<String> {
    let code = blank(text);
    let lines = code.lines().map(str::trim);
    lines
        .filter_map(|line| {
            let line = line.strip_suffix(';')?;
            let (before, name) = line.rsplit_once(' ')?;
            (before.ends_with("mod")).then(|| name.to_owned())
        })
        .collect()
}

fn module_file(parent: &Path, name: &str) -> Option<PathBuf> {
    let folder = parent.parent().unwrap();
    let stem = parent.file_stem().unwrap().to_string_lossy();
    let root = ["mod", "lib", "main"].contains(&&*stem);
    let folder = if root || is_target(parent) { folder.to_owned() } else { folder.join(&*stem) };
    let flat = folder.join(format!("{name}.rs"));
    let nested = folder.join(name).join("mod.rs");
    [flat, nested].into_iter().find(|path| path.exists())
}

fn is_target(path: &Path) -> bool {
    let folder = path.parent().unwrap();
    ["bin", "examples"].iter().any(|name| folder.ends_with(name))
        || (folder.ends_with("tests") && !path.starts_with(root().join("tests")))
}
