//! The library exports what is frozen in `abi/`, its header declares and describes it, and its structs lie as it says.

use crate::tools::{Linked, folder, have, here, libraries, make, run};
use std::fmt::Write;
use std::fs;
use std::process::Command;

fn header() -> String {
    fs::read_to_string(here().join("include/tidelog_wasm.h")).unwrap()
}

fn frozen() -> Vec<String> {
    let text = fs::read_to_string(here().join("abi/symbols.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What `readelf` or `nm` say of the shared library.
fn told(tool: &str, flags: &[&str]) -> Option<String> {
    if !have(tool) {
        return None;
    }
    let library = libraries().join("libtidelog_wasm.so");
    let out = run(Command::new(tool).args(flags).arg(library));
    Some(String::from_utf8(out.stdout).unwrap())
}

#[test]
fn the_library_exports_the_frozen_symbols_and_nothing_else() {
    let Some(text) = told("nm", &["-D", "--defined-only"]) else { return };
    let mut names: Vec<&str> =
        text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    names.sort_unstable();
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        fs::write(here().join("abi/symbols.txt"), names.join("\n") + "\n").unwrap();
    }
    assert_eq!(names, frozen());
}

/// It has its soname, stays in the process, and needs no libtidelog: a program may have that one as an archive.
#[test]
fn the_library_has_its_soname_and_needs_no_libtidelog() {
    let Some(text) = told("readelf", &["-d"]) else { return };
    assert!(text.contains("[libtidelog_wasm.so.0]") && text.contains("NODELETE"), "{text}");
    let needed: Vec<&str> = text.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!needed.iter().any(|line| line.contains("tidelog")), "{needed:?}");
}

/// The declarations of the header with the comments before them; whether they are functions of the library.
fn functions() -> Vec<(String, String, bool)> {
    let header = header();
    let mut found = Vec::new();
    for chunk in header.split("\n/**").skip(1) {
        let Some((comment, code)) = chunk.split_once("*/\n") else { continue };
        let Some((head, _)) = code.split_once('(') else { continue };
        let name = head.rsplit([' ', '*']).next().unwrap_or_default();
        if name.starts_with("tidelog_wasm_") && !head.contains("typedef") {
            found.push((name.to_owned(), comment.to_owned(), !head.contains("static inline")));
        }
    }
    found
}

#[test]
fn the_header_declares_the_frozen_symbols_and_says_what_callers_have_to_know() {
    let functions = functions();
    let exported = functions.iter().filter(|(.., exported)| *exported);
    let mut names: Vec<&String> = exported.map(|(name, ..)| name).collect();
    names.sort_unstable();
    assert_eq!(names, frozen().iter().collect::<Vec<_>>());
    assert_eq!(functions.len(), names.len() + 2);
    for (name, comment, _) in &functions {
        for tag in ["Threads: ", "Blocks: ", "Since: 0.1.", "Owns: "] {
            assert!(comment.contains(tag), "{name} has no {tag:?}");
        }
    }
}

/// The library's side is a unit test of `src/abi/layout.rs`.
#[test]
#[cfg(target_pointer_width = "64")]
fn structs_lie_in_c_as_they_were_frozen() {
    if !have("gcc") {
        return;
    }
    let mut source = String::from("#include <stddef.h>\n#include \"tidelog_wasm.h\"\n");
    for line in fs::read_to_string(here().join("abi/layouts.txt")).unwrap().lines() {
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
    let folder = folder("layouts");
    let path = folder.join("layouts.c");
    fs::write(&path, source + "int main(void) { return 0; }\n").unwrap();
    make("gcc", "c11", &[], Linked::Not, &path, &folder.join("none"));
}

#[test]
fn the_header_compiles_as_every_standard_with_every_compiler() {
    let folder = folder("look");
    let source = "#include \"tidelog_wasm.h\"\nint main(void) { return 0; }\n";
    for (compilers, end, standards) in [
        (["gcc", "clang"], "c", ["c99", "c11", "c17"]),
        (["g++", "clang++"], "cpp", ["c++17", "c++20", "c++17"]),
    ] {
        let path = folder.join(format!("look.{end}"));
        fs::write(&path, source).unwrap();
        for compiler in compilers.into_iter().filter(|compiler| have(compiler)) {
            for standard in standards {
                make(compiler, standard, &[], Linked::Not, &path, &folder.join("none"));
            }
        }
    }
}
