//! What the crates pull in.

use crate::source::root;
use std::process::Command;

/// Someone who embeds the engine gets no runtime, no network and no sandbox.
#[test]
fn the_engine_pulls_in_no_runtime_network_or_sandbox() {
    for package in ["tidelog-engine", "tidelog"] {
        let names = packages_of(package);
        assert!(names.iter().any(|name| name == "memmap2"), "this is not the engine's: {names:?}");
        for heavy in ["tokio", "quinn", "rustls", "wasmtime", "async-std", "openssl", "clap"] {
            assert!(!names.iter().any(|name| name == heavy), "{package} pulls in {heavy}");
        }
    }
}

/// A C compiler is all that replicas need beside Rust: no CMake, no system library, no system's list of authorities.
#[test]
fn replicas_need_no_more_than_a_c_compiler() {
    let names = packages_of("tidelog-replica");
    assert!(names.iter().any(|name| name == "ring"), "this is not the replica's: {names:?}");
    for heavy in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "rustls-platform-verifier"] {
        assert!(!names.iter().any(|name| name == heavy), "tidelog-replica pulls in {heavy}");
    }
}

/// The sandbox brings what policies need: no WASI, no asynchronous calls, no garbage collector, no compiler threads.
#[test]
fn the_sandbox_of_policies_brings_no_more_than_they_need() {
    let names = packages_of("tidelog-wasm");
    assert!(names.iter().any(|name| name == "wasmtime"), "this is not the host's: {names:?}");
    for heavy in ["wasmtime-wasi", "wasmtime-fiber", "rayon", "wast", "tokio", "tidelog-engine"] {
        assert!(!names.iter().any(|name| name == heavy), "tidelog-wasm pulls in {heavy}");
    }
}

/// The C ABI has no sandbox, and the library that has one has nothing else: what both would bring would be there twice.
#[test]
fn libtidelog_has_no_sandbox_and_libtidelog_wasm_nothing_else() {
    let names = packages_of("tidelog-ffi");
    assert!(names.iter().any(|name| name == "quinn"), "this is not the C ABI's: {names:?}");
    assert!(!names.iter().any(|name| name == "wasmtime"), "tidelog-ffi pulls in wasmtime");
    let names = packages_of("tidelog-wasm-ffi");
    assert!(names.iter().any(|name| name == "wasmtime"), "this is not the host's: {names:?}");
    for heavy in ["tokio", "tidelog-engine", "tidelog-ffi", "tidelog-replica", "wasmtime-wasi"] {
        assert!(!names.iter().any(|name| name == heavy), "tidelog-wasm-ffi pulls in {heavy}");
    }
}

fn packages_of(package: &str) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix", "none", "-e", "normal", "-p", package])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    tree.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}
