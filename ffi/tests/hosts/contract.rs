//! What the header promises about versions and panics.

use crate::prototypes::{calls, header, prototypes};
use crate::tools::{Build, Linked, folder, have, here, limited, run};
use std::fs;

/// A panic in any function comes back as a status. The functions are those of the frozen list.
#[test]
fn a_panic_in_any_function_comes_back_as_a_status() {
    if !have("gcc") || !cfg!(debug_assertions) {
        eprintln!("skipped: panics are injected in debug builds, by a program in C");
        return;
    }
    let folder = folder("panics");
    let (program, calls_c) = (folder.join("host"), folder.join("calls.c"));
    fs::write(&calls_c, calls()).unwrap();
    let include = here().join("include");
    let sources = [here().join("tests/hosts/c/panic.c"), calls_c];
    let build = Build {
        compiler: "gcc",
        standard: "c99",
        include: &include,
        flags: &[],
        linked: Linked::Shared,
    };
    build.make(&sources, &program);
    let functions = prototypes(&header());
    assert!(functions.len() > 50);
    for function in functions {
        let kind = if function.can_fail() { "status" } else { "plain" };
        let mut command = limited(&program);
        command.arg(&function.name).arg(kind).env("TIDELOG_TEST_PANIC", &function.name);
        let out = run(command.current_dir(&folder));
        // It did panic, or the test would prove nothing.
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(text.contains("a test asked for it"), "{}: {text}", function.name);
    }
}

/// Cuts a struct of the header off behind one of its fields, as an older header would have it.
fn cut(header: &str, name: &str, last: &str) -> String {
    let start = header.find(&format!("typedef struct {name} {{")).unwrap();
    let end = start + header[start..].find(&format!("}} {name};")).unwrap();
    let body = &header[start..end];
    let field = body.find(&format!(" {last};")).unwrap_or_else(|| panic!("{name} has no {last}"));
    let kept = start + field + last.len() + 2;
    format!("{}\n{}", &header[..kept], &header[end..])
}

/// A program that was compiled with an older header, whose structs were shorter, works with this library.
#[test]
fn a_host_of_an_older_header_works() {
    if !have("gcc") {
        return;
    }
    let folder = folder("older");
    let mut older = header();
    for (name, last) in [
        ("tidelog_open_options", "segment_bytes"),
        ("tidelog_query_options", "limit"),
        ("tidelog_write_options", "durability"),
        ("tidelog_stats", "rows_written"),
        ("tidelog_receipt", "rows"),
        ("tidelog_block", "column_stride"),
        ("tidelog_store_info", "store_id[16]"),
    ] {
        older = cut(&older, name, last);
    }
    older = older.replace("char message[496];", "char message[100];");
    fs::write(folder.join("tidelog.h"), older).unwrap();
    let program = folder.join("host");
    let build = Build {
        compiler: "gcc",
        standard: "c99",
        include: &folder,
        flags: &["-DOLDER=1"],
        linked: Linked::Shared,
    };
    build.make(&[here().join("tests/hosts/c/older.c")], &program);
    run(limited(&program).current_dir(&folder));
}
