//! Each host is a program that checks what it does and ends with zero.

use crate::prototypes::calls;
use crate::tools::{Build, Linked, folder, have, here, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Compiles and runs a host of `tests/hosts/c`.
fn host(name: &str, compiler: &str, standard: &str, flags: &[&str], linked: Linked) {
    if !have(compiler) {
        return;
    }
    let label =
        format!("{name}-{compiler}-{standard}-{}-{}", flags.len(), linked == Linked::Static);
    let folder = folder(&label);
    let (program, calls_c) = (folder.join("host"), folder.join("calls.c"));
    let mut sources: Vec<PathBuf> = vec![here().join("tests/hosts/c").join(name)];
    if name == "contract.c" {
        fs::write(&calls_c, calls()).unwrap();
        sources.push(calls_c);
    }
    let include = here().join("include");
    Build { compiler, standard, include: &include, flags, linked }.make(&sources, &program);
    let mut command = Command::new(&program);
    command
        .current_dir(&folder)
        .env("ASAN_OPTIONS", "detect_leaks=1:halt_on_error=1")
        .env("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1");
    run(&mut command);
}

const SANITIZED: [&str; 2] = ["-fsanitize=address,undefined,leak", "-fno-sanitize-recover=all"];

macro_rules! hosts {
    ($($name:ident: $file:literal, $compiler:literal, $standard:literal, $flags:expr, $linked:ident;)*) => {$(
        #[test]
        fn $name() {
            host($file, $compiler, $standard, &$flags, Linked::$linked);
        }
    )*};
}

hosts! {
    rows_of_every_type_come_back_as_they_went_in: "rows.c", "gcc", "c99", [], Shared;
    rows_of_every_type_come_back_from_the_static_library: "rows.c", "gcc", "c11", [], Static;
    rows_under_sanitizers: "rows.c", "gcc", "c17", SANITIZED, Shared;
    rows_with_clang: "rows.c", "clang", "c99", [], Shared;
    wrong_calls_are_errors: "contract.c", "gcc", "c99", [], Shared;
    wrong_calls_under_sanitizers: "contract.c", "gcc", "c11", SANITIZED, Shared;
    arrow_goes_out_and_comes_in: "arrow.c", "gcc", "c99", [], Shared;
    arrow_under_sanitizers: "arrow.c", "gcc", "c11", SANITIZED, Shared;
    eight_threads_do_what_they_like: "threads.c", "gcc", "c11", ["-D_GNU_SOURCE"], Shared;
    eight_threads_under_sanitizers: "threads.c", "gcc", "c11", ["-D_GNU_SOURCE", SANITIZED[0], SANITIZED[1]], Shared;
    callbacks_may_call_and_stop: "callbacks.c", "gcc", "c99", [], Shared;
    callbacks_under_sanitizers: "callbacks.c", "gcc", "c11", SANITIZED, Shared;
    cpp17_over_the_header: "wrapper.cpp", "g++", "c++17", [], Shared;
    cpp20_over_the_header: "wrapper.cpp", "g++", "c++20", [], Shared;
    cpp_without_exceptions: "wrapper.cpp", "g++", "c++17", ["-fno-exceptions"], Shared;
    cpp_with_clang: "wrapper.cpp", "clang++", "c++20", [], Shared;
    cpp_without_exceptions_with_clang: "wrapper.cpp", "clang++", "c++17", ["-fno-exceptions"], Static;
    cpp_under_sanitizers: "wrapper.cpp", "g++", "c++17", SANITIZED, Shared;
    a_forked_child_is_turned_away: "fork.c", "gcc", "c99", ["-D_GNU_SOURCE"], Shared;
}

#[cfg(feature = "replication")]
hosts! {
    two_nodes_in_one_process_become_equal: "node.c", "gcc", "c99", [], Shared;
    two_nodes_under_sanitizers: "node.c", "gcc", "c11", SANITIZED, Shared;
}

#[test]
fn wrong_calls_under_valgrind() {
    if !have("valgrind") || !have("gcc") {
        return;
    }
    let folder = folder("contract-valgrind");
    let (program, calls_c) = (folder.join("host"), folder.join("calls.c"));
    fs::write(&calls_c, calls()).unwrap();
    let include = here().join("include");
    let sources = [here().join("tests/hosts/c/contract.c"), calls_c];
    let build = Build {
        compiler: "gcc",
        standard: "c99",
        include: &include,
        flags: &[],
        linked: Linked::Shared,
    };
    build.make(&sources, &program);
    let mut command = Command::new("valgrind");
    command.args([
        "--quiet",
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
    ]);
    run(command.arg(&program).current_dir(&folder));
}
