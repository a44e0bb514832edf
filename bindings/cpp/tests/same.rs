//! The classes of the bridge mean what those of `tidelog.hpp` mean: one program is compiled against both. The header's side is
//! run by the tests of `tidelog-ffi`, the bridge's here.

#![expect(clippy::print_stderr, reason = "tests that skip say so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn ran(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let said = [&out.stdout[..], &out.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(out.status.success(), "{command:?}: {}\n{said}", out.status);
    said
}

/// What cargo has just built for this test: archives of other builds may lie beside it.
fn archive() -> PathBuf {
    let beside = std::env::current_exe().unwrap();
    let entries = fs::read_dir(beside.parent().unwrap()).unwrap().map(|entry| entry.unwrap());
    let archives = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("libtidelog_cxx") && name.ends_with(".a")
    });
    let newest = archives.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    newest.expect("cargo builds the library before its tests").path()
}

/// Compiles a program of the C++ tests with the bridge; `None` where there is no such compiler.
fn compiled(compiler: &str, name: &str, flags: &[&str]) -> Option<PathBuf> {
    if Command::new(compiler).arg("--version").output().is_err() {
        eprintln!("skipped: there is no {compiler} here");
        return None;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{compiler}-{}", flags.len()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("host");
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"]);
    command.arg("-DTIDELOG_TEST_BRIDGE").args(flags);
    for include in [here.join("include"), here.join("../../ffi/include")] {
        command.arg("-I").arg(include);
    }
    // What cxx wrote is not ours to be warned of.
    command.arg("-isystem").arg(concat!(env!("OUT_DIR"), "/cxxbridge/include"));
    command.arg(here.join("../../ffi/tests/hosts/c").join(name)).arg(archive());
    ran(command.args(["-lpthread", "-lm", "-ldl", "-lrt", "-o"]).arg(&program));
    Some(program)
}

fn same(compiler: &str, name: &str, flags: &[&str]) {
    let Some(program) = compiled(compiler, name, flags) else { return };
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=5", "300"]).arg(&program).current_dir(program.parent().unwrap());
    ran(limited.env("ASAN_OPTIONS", "detect_leaks=1:halt_on_error=1"));
}

#[test]
fn the_bridge_means_what_the_header_means() {
    same("g++", "wrapper.cpp", &[]);
}

#[test]
fn the_bridge_means_it_with_clang_and_cpp20() {
    same("clang++", "wrapper.cpp", &["-std=c++20"]);
}

const SANITIZED: [&str; 2] = ["-fsanitize=address,undefined,leak", "-fno-sanitize-recover=all"];

#[test]
fn the_bridge_under_sanitizers() {
    same("g++", "wrapper.cpp", &SANITIZED);
}

#[test]
fn copies_pins_and_bytes_over_the_bridge() {
    same("g++", "copies.cpp", &SANITIZED);
}

#[test]
fn members_over_the_bridge() {
    same("g++", "members.cpp", &SANITIZED);
}

#[test]
fn a_forked_child_is_turned_away_over_the_bridge() {
    same("g++", "fork.cpp", &[]);
}

#[test]
fn objects_end_over_the_bridge_while_others_use_them() {
    same("g++", "lifetimes.cpp", &SANITIZED);
}

#[test]
fn policies_over_the_bridge_decide_and_fail_as_over_the_header() {
    same("g++", "policy.cpp", &SANITIZED);
}
