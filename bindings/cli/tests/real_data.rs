//! Real series through the command, against a computation in another language (`real_data/compare.py`).

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::PathBuf;
use std::process::Command;

/// `TIDELOG_TEST_DATA`, or `../shared/data` beside the workspace.
fn data() -> Option<PathBuf> {
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let places = [
        std::env::var_os("TIDELOG_TEST_DATA").map(PathBuf::from),
        Some(workspace.join("../shared/data")),
    ];
    places.into_iter().flatten().find(|place| place.join("MANIFEST.md").is_file())
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// All sets with `TIDELOG_TEST_DATA` set, which takes minutes; else the small ones.
#[test]
fn real_series_come_back_as_they_went_in() {
    let Some(data) = data() else {
        eprintln!("skipped: no real data; set TIDELOG_TEST_DATA to a directory that has it");
        return;
    };
    if !is_there("python3") || !is_there("zstd") {
        eprintln!("skipped: python3 and zstd are needed");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real_data/compare.py"))
        .arg(env!("CARGO_BIN_EXE_tidelog"))
        .args([&data, &work.path().to_path_buf()]);
    if std::env::var_os("TIDELOG_TEST_DATA").is_none() {
        command.args(["--only", "apache_logs,comma_can,pv_module_temp,tide_gauge,yosemite_temps"]);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{told}", String::from_utf8_lossy(&output.stdout));
}
