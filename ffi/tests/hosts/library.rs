//! The headers compile as every standard they promise, with every compiler there is.

use crate::tools::{Build, Linked, folder, have, here};
use std::fs;
use std::path::PathBuf;

fn look(compiler: &str, standard: &str, source: &str, flags: &[&str]) {
    let folder = folder(&format!("look-{compiler}-{standard}-{}", flags.len()));
    let end = if standard.contains("++") { "cpp" } else { "c" };
    let path = folder.join(format!("look.{end}"));
    fs::write(&path, source).unwrap();
    let include = here().join("include");
    let build = Build { compiler, standard, include: &include, flags, linked: Linked::Not };
    build.make(&[path], &PathBuf::new());
}

#[test]
fn the_c_header_compiles_as_c99_c11_and_c17() {
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| have(compiler)) {
        for standard in ["c99", "c11", "c17"] {
            look(compiler, standard, "#include \"tidelog.h\"\nint main(void) { return 0; }\n", &[]);
        }
    }
}

#[test]
fn both_headers_compile_as_cpp17_and_cpp20() {
    let source = "#include \"tidelog.hpp\"\nint main() { return 0; }\n";
    for compiler in ["g++", "clang++"].into_iter().filter(|compiler| have(compiler)) {
        for standard in ["c++17", "c++20"] {
            look(compiler, standard, source, &[]);
            look(compiler, standard, source, &["-fno-exceptions"]);
        }
    }
}
