//! What is committed ready-made is what its sources make: the C bindings, and the components of the examples.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tidelog_model::policy::{NewestFirst, RepairPolicy};
use tidelog_wasm::testing::{Rounds, WIT_TEXT};
use tidelog_wasm::{Loader, Manifest};
use wit_bindgen_c::Opts;
use wit_component::ComponentEncoder;
use wit_parser::Resolve;

/// The compilers whose bytes are committed.
const RUSTC: &str = "rustc 1.95.0";
const CLANG: &str = "clang version 14.";

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Compares a file that is committed; with `TIDELOG_WRITE_BUILT` set it is written instead.
fn hold(committed: &Path, bytes: &[u8]) {
    if std::env::var_os("TIDELOG_WRITE_BUILT").is_some() {
        fs::create_dir_all(committed.parent().unwrap()).unwrap();
        fs::write(committed, bytes).unwrap();
    }
    let found = fs::read(committed).unwrap_or_else(|e| panic!("{}: {e}", committed.display()));
    let same = found == bytes;
    assert!(same, "{} is not what its sources make: set TIDELOG_WRITE_BUILT", committed.display());
}

/// The same for a component and the manifest beside it.
fn hold_component(committed: &Path, bytes: &[u8]) {
    hold(committed, bytes);
    let name = committed.file_stem().unwrap().to_str().unwrap();
    let manifest = Manifest { version: "1.0.0".to_owned(), ..Manifest::of(name, bytes) };
    hold(&committed.with_extension("toml"), manifest.to_string().as_bytes());
}

/// The version that a compiler tells; `None` and a message: it is not the one.
fn has(compiler: &str, wanted: &str) -> Option<()> {
    let told = Command::new(compiler).arg("--version").output().ok()?.stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    if told.contains(wanted) {
        return Some(());
    }
    skip(&format!("{compiler} is {:?} and not {wanted}", told.lines().next()));
    None
}

#[expect(clippy::print_stderr, reason = "who runs the tests should know what was not tested")]
fn skip(why: &str) {
    eprintln!("not rebuilt: {why}");
}

#[test]
fn the_c_bindings_are_what_the_wit_package_says() {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", WIT_TEXT).unwrap();
    let world = resolve.select_world(&[package], Some("repair-policy")).unwrap();
    let mut files = Default::default();
    Opts::default().build().generate(&mut resolve, world, &mut files).unwrap();
    for (name, bytes) in files.iter() {
        hold(&plugins().join("c/generated").join(name), bytes);
    }
}

#[test]
fn the_c_example_is_what_its_source_makes() {
    if has("clang", CLANG).is_none() {
        return;
    }
    if Command::new("wasm-ld").arg("--version").output().is_err() {
        return skip("there is no wasm-ld");
    }
    let folder = tempfile::tempdir().unwrap();
    let core = folder.path().join("core.wasm");
    let built = Command::new(plugins().join("c/build")).arg(&core).status().unwrap();
    assert!(built.success());
    let core = fs::read(core).unwrap();
    let encoder = ComponentEncoder::default().module(&core).unwrap();
    let component = encoder.validate(true).encode().unwrap();
    hold_component(&plugins().join("c/newest-first.wasm"), &component);
}

/// Can policies in Rust be built here? `None` and a message when not.
fn has_target() -> Option<()> {
    let library = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
    let library = Command::new("rustc").args(library).output().ok()?.stdout;
    if Path::new(String::from_utf8(library).ok()?.trim()).exists() {
        return Some(());
    }
    skip("run: rustup target add wasm32-unknown-unknown");
    None
}

#[test]
fn the_policy_of_the_guide_is_built_as_it_says_and_plans() {
    if has_target().is_none() {
        return;
    }
    let guide = fs::read_to_string(plugins().join("README.md")).unwrap();
    let source = guide.split("\n```rust\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let root = plugins().parent().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    write("src/lib.rs", source.expect("a policy in Rust"));
    // What an example has of the workspace, which this one is not in.
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let profile = workspace.find("\n[profile.policy]").map(|at| &workspace[at..]).unwrap();
    let manifest = format!(
        "[package]\nname = \"guide\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\ntidelog-policy = {{ path = {:?} }}\n[workspace]\n{profile}",
        plugins().join("sdk")
    );
    write("Cargo.toml", &manifest);
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let target = root.join("target/policy");
    let built = Command::new("cargo")
        .args(["build", "--profile", "policy", "--target", "wasm32-unknown-unknown"])
        .arg("--config")
        .arg(plugins().join("examples/.cargo/config.toml"))
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&folder)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .unwrap();
    assert!(built.success());
    let wasm = fs::read(target.join("wasm32-unknown-unknown/policy/guide.wasm")).unwrap();
    let mut policy = Loader::new().load(&wasm, Manifest::of("guide", &wasm)).unwrap();
    for round in Rounds::new(7).take(500) {
        assert_eq!(policy.plan(&round).unwrap(), NewestFirst.plan(&round).unwrap());
    }
}

#[test]
fn the_examples_are_what_their_sources_make() {
    if has("rustc", RUSTC).is_none() || has_target().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The targets and flags of the test's own build are not those of policies.
    let built = Command::new(plugins().join("examples/build"))
        .arg(folder.path())
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .unwrap();
    assert!(built.success());
    let mut count = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let committed = plugins().join("examples/built").join(file.file_name());
        hold_component(&committed, &fs::read(file.path()).unwrap());
        count += 1;
    }
    assert_eq!(count, 3);
}
