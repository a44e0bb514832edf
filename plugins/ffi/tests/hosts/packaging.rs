//! What `install.sh --wasm` installs is found, compiled with and run by pkg-config and by CMake; without the flag nothing of it is there.

use crate::hosts::readme;
use crate::rounds;
use crate::tools::{built, ffi, folder, have, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A prefix with what cargo built for these tests.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = folder("prefix");
        let script = ffi().join("install.sh");
        run(Command::new("sh").arg(script).arg(&prefix).arg("--wasm").arg("--from").arg(built()));
        prefix
    })
}

/// The example of the README around a call that no node is needed for.
fn program() -> String {
    let main = "
#include <stdio.h>

int main(void)
{
    tidelog_error error = {0};
    tidelog_policy_table table = {0};
    table.struct_size = sizeof table;
    if (decide_by(NULL, \"metered-uplink.wasm\", &error) != TIDELOG_INVALID_HANDLE)
        return 1;
    if (tidelog_wasm_load_file(\"metered-uplink.wasm\", NULL, &table, &error) != TIDELOG_OK)
        return 2;
    printf(\"%s\\n\", table.name);
    return tidelog_wasm_unload(&table, &error);
}
";
    readme("#include <tidelog_wasm.h>") + main
}

fn says_its_policy(program: &Path, folder: &Path) {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LD_LIBRARY_PATH", prefix().join("lib"));
    assert_eq!(run(&mut command).stdout, b"metered-uplink\n", "{}", program.display());
}

#[test]
fn pkg_config_finds_both_libraries_shared_and_static() {
    if !have("gcc") || !have("pkg-config") {
        return;
    }
    let folder = folder("pkg-config");
    rounds::write(&folder);
    let source = folder.join("host.c");
    fs::write(&source, program()).unwrap();
    for kind in ["shared", "static"] {
        let mut command = Command::new("pkg-config");
        command.args(["--cflags", "--libs", "tidelog-wasm"]);
        command.args((kind == "static").then_some("--static"));
        let out = run(command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")));
        let flags = String::from_utf8(out.stdout).unwrap();
        let flags = flags.split_whitespace().map(|flag| match flag.strip_prefix("-ltidelog") {
            Some(rest) if kind == "static" => format!("-l:libtidelog{rest}.a"),
            _ => flag.to_owned(),
        });
        let program = folder.join(kind);
        let mut command = Command::new("gcc");
        command.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).arg(&source);
        run(command.args(flags).arg("-o").arg(&program));
        says_its_policy(&program, &folder);
    }
}

const CMAKE: &str = "cmake_minimum_required(VERSION 3.16)
project(host C)
find_package(Tidelog 0.1 CONFIG REQUIRED)
add_executable(shared host.c)
target_link_libraries(shared PRIVATE Tidelog::tidelog Tidelog::wasm)
add_executable(archive host.c)
target_link_libraries(archive PRIVATE Tidelog::static Tidelog::wasm)
";

/// A program may have libtidelog in itself, and this library beside it.
#[test]
fn a_cmake_project_links_it_beside_either_libtidelog() {
    if !have("cmake") || !have("gcc") {
        return;
    }
    let folder = folder("cmake");
    rounds::write(&folder);
    fs::write(folder.join("CMakeLists.txt"), CMAKE).unwrap();
    fs::write(folder.join("host.c"), program()).unwrap();
    let found = format!("-DCMAKE_PREFIX_PATH={}", prefix().display());
    run(Command::new("cmake").args(["-S", ".", "-B", "build", &found]).current_dir(&folder));
    run(Command::new("cmake").args(["--build", "build"]).current_dir(&folder));
    for program in ["shared", "archive"] {
        says_its_policy(&folder.join("build").join(program), &folder);
    }
}

#[test]
fn nothing_of_it_is_installed_unasked() {
    let (plain, empty) = (folder("plain"), folder("empty"));
    // What is in the libraries is no matter here, and they are large.
    for name in ["libtidelog_ffi.so", "libtidelog_ffi.a"] {
        fs::write(empty.join(name), "").unwrap();
    }
    let script = ffi().join("install.sh");
    run(Command::new("sh").arg(script).arg(&plain).arg("--from").arg(empty));
    for (there, path) in [
        (true, "include/tidelog.h"),
        (false, "include/tidelog_wasm.h"),
        (false, "lib/pkgconfig/tidelog-wasm.pc"),
        (false, "lib/libtidelog_wasm.a"),
    ] {
        assert_eq!(plain.join(path).exists(), there, "{path}");
    }
}
