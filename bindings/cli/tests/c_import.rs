//! Series that a program in C imports through the C ABI alone have the content roots of those that the command imports.
//!
//! Those of the demo always; with `TIDELOG_TEST_DATA` set, every file of that directory.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn ran(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {}\n{told}", out.status);
    String::from_utf8(out.stdout).unwrap()
}

/// Compiles the program with the library that cargo built for this test.
fn host(folder: &Path) -> PathBuf {
    let ffi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ffi");
    let built = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = folder.join("import");
    let mut command = Command::new("gcc");
    command.args(["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
    command.arg(ffi.join("include")).arg(ffi.join("tests/hosts/c/import.c"));
    command.arg(built.join("libtidelog_ffi.a")).args(["-lpthread", "-lm", "-ldl", "-lrt", "-o"]);
    ran(command.arg(&program));
    program
}

fn files() -> Vec<PathBuf> {
    let folder = match std::env::var_os("TIDELOG_TEST_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("demo"),
    };
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension() == Some(OsStr::new("zst"))).collect();
    files.sort();
    files
}

#[test]
fn a_program_in_c_imports_what_the_command_imports() {
    if Command::new("gcc").arg("--version").output().is_err() {
        eprintln!("skipped: there is no gcc here");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let program = host(work.path());
    let files = files();
    assert!(!files.is_empty());
    for (number, file) in files.iter().enumerate() {
        let path = |name: &str| work.path().join(format!("{name}{number}"));
        let csv = path("rows").with_extension("csv");
        fs::write(&csv, zstd::decode_all(fs::File::open(file).unwrap()).unwrap()).unwrap();
        let tidelog = || Command::new(env!("CARGO_BIN_EXE_tidelog"));
        ran(tidelog().arg("import").arg(path("shell")).args(["real.series"]).arg(&csv));
        let shown = ran(tidelog().arg("digest").arg(path("shell")).arg("real.series"));
        let root = ran(Command::new(&program).arg(path("c")).arg("real.series").arg(&csv));
        let root = root.trim();
        assert!(root.len() == 64 && shown.contains(root), "{}: {root}\n{shown}", file.display());
    }
    eprintln!("{} files have equal content roots", files.len());
}
