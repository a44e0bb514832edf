//! What is installed is found, compiled with and run, without cargo: by pkg-config and by CMake; the README and the examples do
//! what they say.

use crate::tools::{folder, have, here, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A prefix that `install.sh` filled with what it built, instead of what cargo built for these tests.
fn installed() -> Option<PathBuf> {
    std::env::var_os("TIDELOG_PREFIX").map(PathBuf::from)
}

/// A prefix with what cargo built for these tests, or the one that `TIDELOG_PREFIX` names.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        if let Some(prefix) = installed() {
            return prefix;
        }
        let built = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let prefix = folder("prefix");
        let script = here().join("install.sh");
        run(Command::new("sh").arg(script).arg(&prefix).arg("--from").arg(built));
        prefix
    })
}

fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(arguments).arg("tidelog").env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    let out = run(&mut command);
    String::from_utf8(out.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// Compiles a source by what pkg-config says, and runs it in its folder.
fn compiled_and_run(compiler: &str, source: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let program = folder.join(source.file_stem().unwrap());
    let standard = if compiler == "g++" { "-std=c++17" } else { "-std=c99" };
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).arg(source);
    command.args(pkg_config(&["--cflags", "--libs"])).arg("-lm").arg("-o").arg(&program);
    run(&mut command);
    let mut command = Command::new(&program);
    command.args(arguments).current_dir(folder).env("LD_LIBRARY_PATH", prefix().join("lib"));
    run(&mut command)
}

fn said(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}

fn tools(compiler: &str) -> bool {
    have(compiler) && have("pkg-config")
}

/// The first block of a language in the README.
fn quick_start(language: &str) -> String {
    let readme = fs::read_to_string(here().parent().unwrap().join("README.md")).unwrap();
    let (_, block) = readme.split_once(&format!("\n```{language}\n")).unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    assert!(block.lines().count() <= 20, "the quick start in {language} is long");
    block.to_owned() + "\n"
}

#[test]
fn the_quick_start_in_c_runs_as_it_stands() {
    if !tools("gcc") {
        return;
    }
    let folder = folder("quick-c");
    let source = folder.join("quick.c");
    fs::write(&source, quick_start("c")).unwrap();
    assert_eq!(said(&compiled_and_run("gcc", &source, &folder, &[])), "1 rows, first 4.2\n");
}

#[test]
fn the_quick_start_in_cpp_runs_as_it_stands() {
    if !tools("g++") {
        return;
    }
    let folder = folder("quick-cpp");
    let source = folder.join("quick.cpp");
    fs::write(&source, quick_start("cpp")).unwrap();
    let text = said(&compiled_and_run("g++", &source, &folder, &[]));
    let means: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(means.len(), 3, "{text}");
}

#[test]
fn the_examples_do_what_they_say() {
    if !tools("gcc") || !tools("g++") {
        return;
    }
    let (folder, examples) = (folder("examples"), here().join("examples"));
    let logger = |times: &str| {
        said(&compiled_and_run("gcc", &examples.join("logger.c"), &folder, &["plant", times]))
    };
    assert_eq!(logger("50"), "50 readings are on the disk, from 0 on\n");
    assert_eq!(logger("20"), "20 readings are on the disk, from 50 on\n");
    let reader = examples.join("arrow_reader.c");
    let text = said(&compiled_and_run("gcc", &reader, &folder, &["plant", "plant.readings"]));
    assert!(text.starts_with("70 rows\n") && text.contains("temperature"), "{text}");
    let text = said(&compiled_and_run("g++", &examples.join("gateway.cpp"), &folder, &["site"]));
    assert!(
        text.contains("hall_2,floor=1  day 1: mean 23.") && text.ends_with("200 points to plot\n"),
        "{text}"
    );
    if cfg!(feature = "replication") {
        let pair = examples.join("replica_pair.cpp");
        let text = said(&compiled_and_run("g++", &pair, &folder, &["site"]));
        assert_eq!(text, "660 rows on both, 0 differences\n");
    }
}

/// A static library needs what `Libs.private` says, and a program with it nothing of ours at run time.
#[test]
fn the_static_library_links_by_pkg_config() {
    if !tools("gcc") {
        return;
    }
    let folder = folder("static");
    let (source, program) = (folder.join("quick.c"), folder.join("quick"));
    fs::write(&source, quick_start("c")).unwrap();
    let flags = pkg_config(&["--static", "--cflags", "--libs"]);
    let flags = flags.iter().map(|flag| if flag == "-ltidelog" { "-l:libtidelog.a" } else { flag });
    run(Command::new("gcc").arg(&source).arg("-o").arg(&program).args(flags));
    let out = run(Command::new(&program).current_dir(&folder));
    assert_eq!(said(&out), "1 rows, first 4.2\n");
}

const CMAKE: &str = r#"cmake_minimum_required(VERSION 3.16)
project(host C CXX)
find_package(Tidelog 0.1 CONFIG REQUIRED)

add_executable(shared quick.c)
target_link_libraries(shared PRIVATE Tidelog::tidelog)

add_executable(archive quick.c)
target_link_libraries(archive PRIVATE Tidelog::static)

add_executable(wrapper quick.cpp)
target_link_libraries(wrapper PRIVATE Tidelog::cxx)
"#;

#[test]
fn a_cmake_project_finds_all_three_targets_without_cargo() {
    if !have("cmake") || !have("gcc") || !have("g++") {
        return;
    }
    let folder = folder("cmake");
    fs::write(folder.join("CMakeLists.txt"), CMAKE).unwrap();
    fs::write(folder.join("quick.c"), quick_start("c")).unwrap();
    fs::write(folder.join("quick.cpp"), quick_start("cpp")).unwrap();
    let cmake = || {
        let mut command = Command::new("cmake");
        command.current_dir(&folder).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command
    };
    let found = format!("-DCMAKE_PREFIX_PATH={}", prefix().display());
    run(cmake().args(["-S", ".", "-B", "build", &found]));
    run(cmake().args(["--build", "build"]));
    for program in ["shared", "archive", "wrapper"] {
        let own = folder.join(program);
        fs::create_dir(&own).unwrap();
        let out = run(Command::new(folder.join("build").join(program)).current_dir(&own));
        assert!(!out.stdout.is_empty(), "{program} said nothing");
    }
    let newer = CMAKE.replace("Tidelog 0.1", "Tidelog 0.2");
    fs::write(folder.join("CMakeLists.txt"), newer).unwrap();
    let refused = cmake().args(["-S", ".", "-B", "newer", &found]).output().unwrap();
    assert!(!refused.status.success(), "a version that is not there was found");
}

/// Two Rust runtimes in one process: beside the shared library, and in one program with the static one.
#[test]
fn a_host_that_is_rust_itself_links_either_library() {
    if !have("rustc") {
        return;
    }
    let source = here().join("examples/rust_host.rs");
    for kind in ["dylib", "static"] {
        let folder = folder(&format!("rust-{kind}"));
        let program = folder.join("host");
        let mut command = Command::new("rustc");
        command.args(["--edition", "2024", "-L"]).arg(prefix().join("lib"));
        command.args(["-l", &format!("{kind}=tidelog"), "-l", "m", "-l", "dl", "-o"]);
        run(command.arg(&program).arg(&source));
        let mut command = Command::new(&program);
        command.current_dir(&folder).env("LD_LIBRARY_PATH", prefix().join("lib"));
        assert_eq!(said(&run(&mut command)), "0.1.0\n", "{kind}");
    }
}

const OTHER_RUST: &str = "#[unsafe(no_mangle)]
pub extern \"C\" fn other() -> u32 {
    std::panic::catch_unwind(|| (0..11).map(|n| format!(\"{n}\").len() as u32).sum()).unwrap_or(0)
}
";
const BOTH: &str = "#include <stdio.h>
#include <tidelog.h>
unsigned other(void);
int main(void)
{
    tidelog_store *store = NULL;
    printf(\"%u\\n\", other());
    return tidelog_open(TIDELOG_ABI_VERSION, \"store\", NULL, &store, NULL) | tidelog_close(&store, NULL);
}
";

/// A program in C with another library in Rust, of the same compiler; beside what is installed, also one that was optimised as a whole, which
/// brings all of the standard library under its own names.
#[test]
fn a_host_with_another_rust_library_links_either() {
    if !have("rustc") || !tools("gcc") {
        return;
    }
    let folder = folder("rust-beside");
    let (rust, c) = (folder.join("other.rs"), folder.join("both.c"));
    fs::write(&rust, OTHER_RUST).unwrap();
    fs::write(&c, BOTH).unwrap();
    let mut command = Command::new("rustc");
    command.args(["--edition", "2024", "--crate-type", "staticlib"]);
    if installed().is_some() {
        command.args(["-C", "lto=fat", "-C", "codegen-units=1"]);
    }
    command.arg("-o");
    run(command.arg(folder.join("libother.a")).arg(&rust));
    for (kind, flags) in [
        ("-ltidelog", vec!["--cflags", "--libs"]),
        ("-l:libtidelog.a", vec!["--static", "--cflags", "--libs"]),
    ] {
        let program = folder.join("both");
        let flags = pkg_config(&flags);
        let flags = flags.iter().map(|flag| if flag == "-ltidelog" { kind } else { flag });
        let mut command = Command::new("gcc");
        command.arg(&c).arg(folder.join("libother.a")).args(flags).args([
            "-lpthread",
            "-lm",
            "-ldl",
        ]);
        run(command.arg("-o").arg(&program));
        let mut command = Command::new(&program);
        command.current_dir(&folder).env("LD_LIBRARY_PATH", prefix().join("lib"));
        assert_eq!(said(&run(&mut command)), "12\n", "{kind}");
    }
}

/// What is in the archive compiles and runs where it was unpacked, with no Rust on the path.
#[test]
fn the_archive_is_used_without_rust() {
    if !tools("g++") || !have("tar") {
        return;
    }
    let folder = folder("archive");
    let built = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    run(Command::new("sh").arg(here().join("archive.sh")).arg(&folder).arg("--from").arg(built));
    let script = "set -e; sha256sum -c *.sha256; tar xf *.tar.gz; cd tidelog-*/
        test -f share/tidelog/LICENSE-MIT -a -f share/tidelog/LICENSE-APACHE; ! command -v cargo
        export PKG_CONFIG_PATH=$PWD/lib/pkgconfig LD_LIBRARY_PATH=$PWD/lib
        g++ -std=c++17 share/tidelog/examples/gateway.cpp $(pkg-config --cflags --libs tidelog) -o gateway
        ./gateway site";
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(&folder).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    assert!(said(&run(&mut command)).ends_with("200 points to plot\n"));
}

/// The project that builds from source calls cargo itself, which builds all anew: minutes.
#[test]
fn a_cmake_project_builds_from_source() {
    if std::env::var_os("TIDELOG_LONG").is_none() {
        eprintln!("skipped: set TIDELOG_LONG for tests that take minutes");
        return;
    }
    if !have("cmake") || !have("g++") {
        return;
    }
    let folder = folder("from-source");
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let mut command = Command::new("cmake");
    command.arg("-S").arg(here().join("examples/from_source")).arg("-B").arg(&folder);
    command.arg("-DTIDELOG_PROFILE=dev").arg(format!("-Dtarget={}", target.display()));
    run(&mut command);
    run(Command::new("cmake").arg("--build").arg(&folder));
    let out = run(Command::new(folder.join("gateway")).arg("site").current_dir(&folder));
    assert!(said(&out).ends_with("200 points to plot\n"));
}
