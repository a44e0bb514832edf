//! What is installed is found, compiled with and run, without cargo: by pkg-config and by CMake; the README and the examples do
//! what they say.

use crate::tools::{folder, have, here, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A prefix with what cargo built for these tests.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
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
