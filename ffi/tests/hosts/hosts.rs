//! Each host is a program that checks what it does and ends with zero.

use crate::prototypes::calls;
use crate::rounds;
use crate::tools::{Build, Linked, folder, have, here, limited, run};
use std::fs;
use std::path::PathBuf;

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
    if name.starts_with("policy.") {
        rounds::write(&folder);
    }
    let include = here().join("include");
    Build { compiler, standard, include: &include, flags, linked }.make(&sources, &program);
    let mut command = limited(&program);
    command
        .current_dir(&folder)
        .env("ASAN_OPTIONS", "detect_leaks=1:halt_on_error=1")
        .env("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1");
    run(&mut command);
}

const SANITIZED: [&str; 2] = ["-fsanitize=address,undefined,leak", "-fno-sanitize-recover=all"];

#[test]
fn rows_of_every_type_come_back_as_they_went_in() {
    host("rows.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
fn rows_of_every_type_come_back_from_the_static_library() {
    host("rows.c", "gcc", "c11", &[], Linked::Static);
}

#[test]
fn rows_under_sanitizers() {
    host("rows.c", "gcc", "c17", &SANITIZED, Linked::Shared);
}

#[test]
fn rows_with_clang() {
    host("rows.c", "clang", "c99", &[], Linked::Shared);
}

#[test]
fn wrong_calls_are_errors() {
    host("contract.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
fn wrong_calls_under_sanitizers() {
    host("contract.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
fn arrow_goes_out_and_comes_in() {
    host("arrow.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
fn arrow_under_sanitizers() {
    host("arrow.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
fn eight_threads_do_what_they_like() {
    host("threads.c", "gcc", "c11", &["-D_GNU_SOURCE"], Linked::Shared);
}

#[test]
fn eight_threads_under_sanitizers() {
    host("threads.c", "gcc", "c11", &["-D_GNU_SOURCE", SANITIZED[0], SANITIZED[1]], Linked::Shared);
}

#[test]
fn what_many_threads_write_is_asked_for_and_followed() {
    host("race.c", "gcc", "c11", &["-D_GNU_SOURCE"], Linked::Shared);
}

#[test]
fn callbacks_have_ended_when_whoever_ends_them_returns() {
    host("ends.c", "gcc", "c11", &["-D_GNU_SOURCE"], Linked::Shared);
}

#[test]
fn callbacks_may_call_and_stop() {
    host("callbacks.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
fn callbacks_under_sanitizers() {
    host("callbacks.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
fn copies_pins_and_states() {
    host("copies.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
fn copies_under_sanitizers() {
    host("copies.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
fn cpp17_over_the_header() {
    host("wrapper.cpp", "g++", "c++17", &[], Linked::Shared);
}

#[test]
fn cpp20_over_the_header() {
    host("wrapper.cpp", "g++", "c++20", &[], Linked::Shared);
}

#[test]
fn cpp_without_exceptions() {
    host("wrapper.cpp", "g++", "c++17", &["-fno-exceptions"], Linked::Shared);
}

#[test]
fn cpp_with_clang() {
    host("wrapper.cpp", "clang++", "c++20", &[], Linked::Shared);
}

#[test]
fn cpp_without_exceptions_with_clang() {
    host("wrapper.cpp", "clang++", "c++17", &["-fno-exceptions"], Linked::Static);
}

#[test]
fn cpp_under_sanitizers() {
    host("wrapper.cpp", "g++", "c++17", &SANITIZED, Linked::Shared);
}

#[test]
fn copies_pins_and_bytes_over_the_header() {
    host("copies.cpp", "g++", "c++17", &["-fno-exceptions"], Linked::Shared);
}

#[test]
fn copies_pins_and_bytes_over_the_header_under_sanitizers() {
    host("copies.cpp", "g++", "c++20", &SANITIZED, Linked::Shared);
}

/// With exceptions the bridge runs it.
#[test]
fn members_over_the_header_without_exceptions() {
    let flags = ["-fno-exceptions", SANITIZED[0], SANITIZED[1]];
    host("members.cpp", "g++", "c++17", &flags, Linked::Shared);
}

#[test]
fn a_forked_child_is_turned_away() {
    host("fork.c", "gcc", "c99", &["-D_GNU_SOURCE"], Linked::Shared);
}

#[test]
fn a_forked_child_of_a_program_in_cpp_is_turned_away() {
    host("fork.cpp", "g++", "c++17", &[], Linked::Shared);
}

#[test]
fn objects_in_cpp_end_while_others_use_them() {
    host("lifetimes.cpp", "g++", "c++17", &[], Linked::Shared);
}

#[test]
fn objects_in_cpp_end_while_others_use_them_under_sanitizers() {
    let flags = ["-fno-exceptions", SANITIZED[0], SANITIZED[1]];
    host("lifetimes.cpp", "g++", "c++20", &flags, Linked::Shared);
}

#[test]
fn policies_in_c_plan_what_the_same_ones_in_rust_do() {
    host("policy.c", "gcc", "c99", &["-O1"], Linked::Shared);
}

#[test]
fn policies_in_c_under_sanitizers() {
    host("policy.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
fn policies_in_cpp_plan_what_the_same_ones_in_rust_do() {
    host("policy.cpp", "g++", "c++17", &["-O1"], Linked::Shared);
}

#[test]
fn policies_in_cpp_without_exceptions() {
    host("policy.cpp", "g++", "c++17", &["-fno-exceptions"], Linked::Static);
}

#[test]
fn policies_in_cpp_under_sanitizers() {
    host("policy.cpp", "g++", "c++20", &SANITIZED, Linked::Shared);
}

#[test]
#[cfg(feature = "replication")]
fn two_nodes_in_one_process_become_equal() {
    host("node.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
#[cfg(feature = "replication")]
fn two_nodes_under_sanitizers() {
    host("node.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
#[cfg(feature = "replication")]
fn epochs_part_nodes_groups_move_and_replicas_are_forgotten() {
    host("members.c", "gcc", "c99", &SANITIZED, Linked::Shared);
}

#[test]
#[cfg(feature = "replication")]
fn a_policy_in_c_is_asked_by_a_node_and_everything_is_repaired_when_it_fails() {
    host("policy_node.c", "gcc", "c99", &[], Linked::Shared);
}

#[test]
#[cfg(feature = "replication")]
fn a_policy_of_a_node_under_sanitizers() {
    host("policy_node.c", "gcc", "c11", &SANITIZED, Linked::Shared);
}

#[test]
#[cfg(not(feature = "replication"))]
fn nodes_are_unsupported_where_they_are_not_built_in() {
    host("unsupported.c", "gcc", "c99", &[], Linked::Shared);
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
    let mut command = limited("valgrind");
    command.args([
        "--quiet",
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
    ]);
    run(command.arg(&program).current_dir(&folder));
}
