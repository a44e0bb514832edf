//! Compilers, and a folder with both libraries under the names they are installed by.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub(crate) fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder `ffi` of libtidelog.
pub(crate) fn ffi() -> PathBuf {
    here().join("../../ffi").canonicalize().unwrap()
}

/// Where cargo put the libraries.
pub(crate) fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// A folder of its own for a test, empty.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasm-hosts").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder with both libraries, under their sonames too.
pub(crate) fn libraries() -> &'static Path {
    static LIBRARIES: OnceLock<PathBuf> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        let folder = folder("lib");
        for name in ["tidelog", "tidelog_wasm"] {
            let from = built().join(format!("lib{name}_ffi"));
            for (from, to) in [("so", "so"), ("so", "so.0"), ("a", "a")].map(|(from_end, to)| {
                (from.with_extension(from_end), folder.join(format!("lib{name}.{to}")))
            }) {
                assert!(from.exists(), "{} was not built", from.display());
                symlink(from, to).unwrap();
            }
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

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    Shared,
    /// Both libraries.
    Static,
    /// Only looked at.
    Not,
}

/// Compiles a source into a program; all warnings are errors.
pub(crate) fn make(
    compiler: &str,
    standard: &str,
    flags: &[&str],
    linked: Linked,
    source: &Path,
    program: &Path,
) {
    let mut command = Command::new(compiler);
    command
        .arg(format!("-std={standard}"))
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"])
        .args(flags);
    for include in [here().join("include"), ffi().join("include"), ffi().join("tests/hosts/c")] {
        command.arg("-I").arg(include);
    }
    // What a test writes beside its program.
    command.arg("-I").arg(source.parent().unwrap()).arg("-I").arg(program.parent().unwrap());
    command.arg(source).arg("-o").arg(program);
    match linked {
        Linked::Not => command.arg("-fsyntax-only"),
        Linked::Shared => command
            .arg("-L")
            .arg(libraries())
            .args(["-ltidelog_wasm", "-ltidelog"])
            .arg(format!("-Wl,-rpath,{}", libraries().display()))
            .args(["-lpthread", "-lm"]),
        Linked::Static => command
            .arg(libraries().join("libtidelog_wasm.a"))
            .arg(libraries().join("libtidelog.a"))
            .args(["-lpthread", "-lm", "-ldl"]),
    };
    run(&mut command);
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
