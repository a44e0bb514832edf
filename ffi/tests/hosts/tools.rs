//! Compilers, and a folder with the library under the names it is installed by.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub(crate) fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of its own for a test, empty.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hosts").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder with `libtidelog.so`, under its soname too, and `libtidelog.a`.
pub(crate) fn libraries() -> &'static Path {
    static LIBRARIES: OnceLock<PathBuf> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        let built = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let folder = folder("lib");
        for (from, to) in [
            ("libtidelog_ffi.so", "libtidelog.so"),
            ("libtidelog_ffi.so", "libtidelog.so.0"),
            ("libtidelog_ffi.a", "libtidelog.a"),
        ] {
            assert!(built.join(from).exists(), "{} was not built", built.join(from).display());
            symlink(built.join(from), folder.join(to)).unwrap();
        }
        folder
    })
}

/// Is there such a program? Says so when not.
pub(crate) fn have(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("skipped: there is no {program} here");
    }
    found
}

/// How a program is made.
#[derive(Clone, Copy)]
pub(crate) struct Build<'a> {
    pub(crate) compiler: &'a str,
    pub(crate) standard: &'a str,
    pub(crate) include: &'a Path,
    pub(crate) flags: &'a [&'a str],
    pub(crate) linked: Linked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    Shared,
    Static,
    /// Only looked at.
    Not,
}

impl Build<'_> {
    /// Compiles sources into a program; all warnings are errors.
    pub(crate) fn make(&self, sources: &[PathBuf], program: &Path) {
        let mut command = Command::new(self.compiler);
        command
            .arg(format!("-std={}", self.standard))
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"])
            .arg("-I")
            .arg(self.include)
            .arg("-I")
            .arg(here().join("include"))
            .arg("-I")
            .arg(here().join("tests/hosts/c"))
            .args(self.flags)
            .args(sources);
        let libraries = libraries();
        match self.linked {
            Linked::Not => command.arg("-fsyntax-only"),
            Linked::Shared => command
                .arg("-o")
                .arg(program)
                .arg("-L")
                .arg(libraries)
                .arg("-ltidelog")
                .arg(format!("-Wl,-rpath,{}", libraries.display()))
                .args(["-lpthread", "-lm"]),
            Linked::Static => command
                .arg("-o")
                .arg(program)
                .arg(libraries.join("libtidelog.a"))
                .args(["-lpthread", "-lm", "-ldl"]),
        };
        let out = command.output().unwrap();
        assert!(out.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&out.stderr));
    }
}

/// A program that is ended when it takes longer than any should: a deadlock is a failure, not a wait.
pub(crate) fn limited(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg("300").arg(program);
    command
}

/// Runs a program; it has to end well.
pub(crate) fn run(command: &mut Command) -> Output {
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{command:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    out
}
