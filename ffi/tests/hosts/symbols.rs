//! What the library exports, and how its structs lie, is frozen in `abi/`. `TIDELOG_BLESS=1` writes additions down; what
//! stands there is not changed any more once it was released.

use crate::prototypes::{declarations, header, prototypes};
use crate::tools::{Build, Linked, folder, have, here, libraries, run};
use std::collections::BTreeSet;
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

/// A function with another argument, a field of another type, a constant of another value: nothing that lies where it did before
/// says so. A tool that compares debug information (abidiff) sees the names of a library in Rust and none of its types.
#[test]
fn the_header_declares_what_was_frozen() {
    let declared = declarations(&header());
    let path = here().join("abi/declarations.txt");
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        fs::write(&path, declared.join("\n") + "\n").unwrap();
    }
    let text = fs::read_to_string(path).unwrap();
    let frozen: Vec<&str> = text.lines().collect();
    let differs = declared.iter().zip(&frozen).find(|(declared, frozen)| declared != frozen);
    assert_eq!(differs, None, "left is declared, right was frozen in abi/declarations.txt");
    assert_eq!(declared.len(), frozen.len(), "abi/declarations.txt says less or more");
}

/// What C++ offers is what the programs of the tests reach through it: they are compiled without being optimised, so that an
/// object asks for the symbols of those functions of the header that it calls, and for no others.
#[test]
fn every_symbol_is_called_by_the_tests_of_the_cpp_header() {
    if !have("g++") || !have("nm") {
        return;
    }
    let folder = folder("reached");
    let mut reached = BTreeSet::new();
    for name in ["wrapper", "copies", "members", "policy"] {
        let source = here().join(format!("tests/hosts/c/{name}.cpp"));
        let text = fs::read_to_string(&source).unwrap();
        for symbol in frozen() {
            let called = text.contains(&format!("{symbol}("));
            assert!(!called, "{name}.cpp calls {symbol} past the header: use what tidelog.hpp has");
        }
        let object = folder.join(format!("{name}.o"));
        let mut compile = Command::new("g++");
        compile.args(["-std=c++17", "-O0", "-c", "-I"]).arg(here().join("include"));
        run(compile.arg("-o").arg(&object).arg(&source));
        let out = run(Command::new("nm").arg("--undefined-only").arg(object));
        let wanted = String::from_utf8(out.stdout).unwrap();
        let names = wanted.lines().filter_map(|line| line.split_whitespace().last());
        reached.extend(names.map(str::to_owned));
    }
    let missing: Vec<String> =
        frozen().into_iter().filter(|symbol| !reached.contains(symbol)).collect();
    assert!(
        missing.is_empty(),
        "no test reaches {missing:?} through tidelog.hpp: give them a place there and in tidelog_cxx.hpp, and call them in tests/hosts/c/*.cpp"
    );
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
