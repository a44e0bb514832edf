//! `include/tidelog.h` is what cbindgen makes of `src/abi`, a section from each file, between a preamble and an end that
//! are written by hand. `TIDELOG_BLESS=1 cargo test -p tidelog-ffi --test header` writes it.

use cbindgen::{Builder, Config, DocumentationStyle, EnumConfig, Language, Style};
use std::fs;
use std::path::{Path, PathBuf};

/// The files with functions, in the order of the header, and the title of each section.
const SECTIONS: [(&str, &str); 18] = [
    ("library", "Library: outcomes, errors, versions"),
    ("store", "Stores: opening and closing"),
    ("batch", "Batches: rows on their way in"),
    ("write", "Writing: batches become durable"),
    ("result", "Results: rows on their way out"),
    ("query", "Queries"),
    ("collection", "Collections: schema, retention, deletes"),
    ("upkeep", "Upkeep: flush, seal, compact, check, figures"),
    ("copies", "Copies and damage: backup, recover, adopt"),
    ("digest", "Digests: equal or not, and where"),
    ("tail", "Tails: what is written, as it is written"),
    ("pin", "Pins: a part of the log that is kept"),
    ("callback", "Callbacks"),
    ("log", "Log lines"),
    ("policy", "Policies: how differences are repaired"),
    ("node", "Nodes: a store among its peers"),
    ("event", "Events: what a node tells of what happens to it"),
    ("member", "Members: epochs, replicas that are forgotten, groups that are given up"),
];

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn config() -> Config {
    let mut config = Config {
        language: Language::C,
        style: Style::Both,
        documentation_style: DocumentationStyle::Doxy,
        usize_is_size_t: true,
        no_includes: true,
        line_length: 100,
        tab_width: 4,
        enumeration: EnumConfig::default(),
        ..Config::default()
    };
    for name in ["ArrowArray", "ArrowSchema", "ArrowArrayStream"] {
        config.export.rename.insert(name.to_owned(), format!("struct {name}"));
    }
    config
}

/// Types that no function of their own file names, and cbindgen would leave out.
const INCLUDED: [&str; 2] = ["tidelog_error", "tidelog_drop_fn"];

/// What one file of `src/abi` declares.
fn section(file: &str) -> String {
    let path = here().join(format!("src/abi/{file}.rs"));
    let mut config = config();
    config.export.include = INCLUDED.map(str::to_owned).to_vec();
    let bindings = Builder::new().with_src(&path).with_config(config).generate();
    let mut text = Vec::new();
    bindings.unwrap_or_else(|error| panic!("{}: {error}", path.display())).write(&mut text);
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    tidied(&lines).join("\n").trim().to_owned()
}

/// As a C engineer would write it: comments of one line on one line, constants without lines between them, negative ones in
/// parentheses, types by their names alone.
fn tidied(lines: &[&str]) -> Vec<String> {
    let mut tidy: Vec<String> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let one = line.trim() == "/**" && lines.get(at + 2).is_some_and(|end| end.trim() == "*/");
        if one {
            let indent = &line[..line.len() - line.trim_start().len()];
            let text = lines[at + 1].trim().trim_start_matches('*').trim();
            tidy.push(format!("{indent}/** {text} */"));
            at += 3;
            continue;
        }
        tidy.push(match line.split_once(" -") {
            Some((define, number)) if line.starts_with("#define") => {
                format!("{define} (-{number})")
            }
            _ if line.starts_with("typedef struct") => line.to_owned(),
            _ => line.replace("struct tidelog_", "tidelog_"),
        });
        at += 1;
    }
    // Constants of one kind follow each other; a kind begins with 0 or 1.
    let number = |line: &str| line.rsplit(' ').next().map(str::to_owned);
    let mut close: Vec<String> = Vec::new();
    for (at, line) in tidy.iter().enumerate() {
        let define = tidy.get(at + 1).filter(|next| next.starts_with("#define"));
        let before = close.len().checked_sub(2).map(|at| close[at].clone()).unwrap_or_default();
        if close.last().is_some_and(String::is_empty) && before.starts_with("#define") {
            let (own, last) = (define.and_then(|next| number(next)), number(&before));
            let begins = match own.as_deref() {
                None | Some("0") => true,
                Some("1") => last.as_deref() != Some("0"),
                _ => false,
            };
            if !begins {
                close.pop();
            }
        }
        close.push(line.clone());
    }
    close
}

fn made() -> String {
    let part = |name: &str| fs::read_to_string(here().join("include").join(name)).unwrap();
    let mut text = part("tidelog.h.begin");
    for (file, title) in SECTIONS {
        let line = "-".repeat(76);
        text.push_str(&format!("\n/* {line}\n * {title}\n * {line} */\n\n{}\n", section(file)));
    }
    text + "\n" + &part("tidelog.h.end")
}

#[test]
fn the_header_is_what_the_code_says() {
    let (path, made) = (here().join("include/tidelog.h"), made());
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(made.lines()).position(|(a, b)| a != b);
    assert!(
        committed == made,
        "include/tidelog.h is stale, first in line {differs:?}: TIDELOG_BLESS=1 cargo test -p tidelog-ffi --test header"
    );
}

/// The functions of the header with the comment before each.
fn functions(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    for chunk in header.split("\n\n") {
        let Some(at) = chunk.find("*/\n") else { continue };
        let (before, code) = chunk.split_at(at);
        let start = before.rfind("/**").unwrap_or(0);
        comment.clear();
        comment.push_str(&before[start..]);
        let code = code.trim_start_matches("*/\n");
        let Some((head, _)) = code.split_once('(') else { continue };
        let name = head.rsplit([' ', '*']).next().unwrap_or_default();
        if name.starts_with("tidelog_") && !code.starts_with("typedef") {
            found.push((name.to_owned(), comment.clone()));
        }
    }
    found
}

#[test]
fn every_function_says_who_may_call_it_whether_it_blocks_since_when_and_who_owns_what() {
    let header = fs::read_to_string(here().join("include/tidelog.h")).unwrap();
    let functions = functions(&header);
    assert!(functions.len() > 50, "only {} functions were found", functions.len());
    for (name, comment) in &functions {
        for tag in ["Threads: ", "Blocks: ", "Since: 0.1.", "Owns: "] {
            assert!(comment.contains(tag), "{name} has no {tag:?}");
        }
    }
}

#[test]
fn every_file_with_functions_is_a_section() {
    for entry in fs::read_dir(here().join("src/abi")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let exports = fs::read_to_string(&path).unwrap().contains("#[unsafe(no_mangle)]");
        let listed = SECTIONS.iter().any(|(file, _)| *file == stem);
        assert!(!exports || listed, "{} is in no section of the header", path.display());
    }
    assert!(Path::new(&here().join("src/abi/mod.rs")).exists());
}
