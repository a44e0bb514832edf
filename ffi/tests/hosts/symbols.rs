//! What the library exports, and how its structs lie, is frozen in `abi/`. `TIDELOG_BLESS=1` writes additions down; what
//! stands there is not changed any more once it was released.

use crate::prototypes::{header, prototypes};
use crate::tools::{Build, Linked, folder, have, here, libraries, run};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn frozen() -> Vec<String> {
    let text = fs::read_to_string(here().join("abi/symbols.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_library_exports_the_frozen_symbols_and_nothing_else() {
    if !have("nm") {
        return;
    }
    let library = libraries().join("libtidelog.so");
    let out = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    let text = String::from_utf8(out.stdout).unwrap();
    let mut names: Vec<&str> =
        text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    names.sort_unstable();
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        fs::write(here().join("abi/symbols.txt"), names.join("\n") + "\n").unwrap();
    }
    assert_eq!(names, frozen());
}

#[test]
fn the_header_declares_the_frozen_symbols() {
    let mut names: Vec<String> =
        prototypes(&header()).into_iter().map(|function| function.name).collect();
    names.sort_unstable();
    assert_eq!(names, frozen());
}

#[test]
fn the_library_has_its_soname() {
    if !have("readelf") {
        return;
    }
    let out = run(Command::new("readelf").arg("-d").arg(libraries().join("libtidelog.so")));
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("[libtidelog.so.0]"), "{text}");
}

/// The library's side is a unit test of `src/abi/layout.rs`.
#[test]
#[cfg(target_pointer_width = "64")]
fn structs_lie_in_c_as_they_were_frozen() {
    if !have("gcc") {
        return;
    }
    let frozen = fs::read_to_string(here().join("abi/layouts.txt")).unwrap();
    let mut source = String::from("#include <stddef.h>\n#include \"tidelog.h\"\n");
    for line in frozen.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let claim = match words.as_slice() {
            [name, size, align] => {
                format!("sizeof({name}) == {size} && _Alignof({name}) == {align}")
            }
            [field, at] => format!("offsetof({}) == {at}", field.replace('.', ", ")),
            _ => panic!("{line:?}"),
        };
        let _ = writeln!(source, "_Static_assert({claim}, \"{line}\");");
    }
    for (at, _) in header().match_indices("typedef struct tidelog_") {
        let header = header();
        let line = header[at..].lines().next().unwrap();
        let name = line.split(' ').nth(2).unwrap();
        let listed = frozen.lines().any(|frozen| frozen.split(' ').next() == Some(name));
        assert!(listed || line.ends_with(';'), "{name} is not in abi/layouts.txt");
    }
    let folder = folder("layouts");
    let path = folder.join("layouts.c");
    fs::write(&path, source + "int main(void) { return 0; }\n").unwrap();
    let include = here().join("include");
    let build = Build {
        compiler: "gcc",
        standard: "c11",
        include: &include,
        flags: &[],
        linked: Linked::Not,
    };
    build.make(&[path], &PathBuf::new());
}
