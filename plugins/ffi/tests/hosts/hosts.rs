//! Each host is a program that checks what it does and ends with zero.

use crate::rounds;
use crate::tools::{Linked, folder, have, here, limited, make, run};
use std::fs;
use std::path::PathBuf;

/// Compiles a host of `c`; its folder and the program.
pub(crate) fn host(
    name: &str,
    compiler: &str,
    standard: &str,
    flags: &[&str],
    linked: Linked,
) -> Option<(PathBuf, PathBuf)> {
    if !have(compiler) {
        return None;
    }
    let label = format!("{name}-{compiler}-{}-{}", flags.len(), linked == Linked::Static);
    let folder = folder(&label);
    rounds::write(&folder);
    fs::write(folder.join("readme.h"), readme("#include <tidelog_wasm.h>")).unwrap();
    fs::write(folder.join("pull_all.h"), readme("int32_t pull_all(")).unwrap();
    let program = folder.join("host");
    let source = here().join("tests/hosts/c").join(name);
    make(compiler, standard, flags, linked, &source, &program);
    Some((folder, program))
}

fn runs(name: &str, compiler: &str, standard: &str, flags: &[&str], linked: Linked) {
    let Some((folder, program)) = host(name, compiler, standard, flags, linked) else { return };
    let mut command = limited(&program);
    command
        .current_dir(&folder)
        .env("ASAN_OPTIONS", "detect_leaks=1:halt_on_error=1")
        .env("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1");
    run(&mut command);
}

/// The example of `plugins/README.md` with these words in it, as it stands there.
pub(crate) fn readme(words: &str) -> String {
    let readme = fs::read_to_string(here().join("../README.md")).unwrap();
    let mut blocks = readme.split("\n```c\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let block = blocks.find(|block| block.contains(words)).unwrap();
    assert!(block.lines().count() <= 24, "the example is long");
    block.to_owned() + "\n"
}

const SANITIZED: [&str; 2] = ["-fsanitize=address,undefined,leak", "-fno-sanitize-recover=all"];

#[test]
fn components_in_c_plan_what_they_plan_in_rust() {
    runs("equal.c", "gcc", "c99", &["-O1"], Linked::Shared);
}

#[test]
fn components_in_c_plan_what_they_plan_in_rust_with_both_libraries_static() {
    runs("equal.c", "clang", "c99", &[], Linked::Static);
}

#[test]
fn what_cannot_be_loaded_is_an_error_that_says_why_and_nothing_is_dropped_twice() {
    runs("load.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
fn the_policy_in_c_of_the_readme_plans_rounds() {
    runs("readme.c", "gcc", "c99", &[], Linked::Shared);
    runs("readme.c", "clang", "c11", &SANITIZED, Linked::Shared);
}

#[test]
fn loads_with_clang() {
    runs("load.c", "clang", "c99", &[], Linked::Shared);
}

#[test]
fn loads_under_sanitizers() {
    runs("load.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
fn components_are_swapped_on_a_running_node() {
    runs("node.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
fn components_are_swapped_on_a_node_of_the_static_library() {
    runs("node.c", "gcc", "c11", &SANITIZED, Linked::Static);
}
