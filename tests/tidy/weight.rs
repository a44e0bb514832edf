//! What the engine pulls in.

use crate::source::root;
use std::process::Command;

/// Someone who embeds the engine gets no runtime, no network and no sandbox.
#[test]
fn the_engine_pulls_in_no_runtime_network_or_sandbox() {
    for package in ["tidelog-engine", "tidelog"] {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--prefix", "none", "-e", "normal", "-p", package])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).unwrap();
        let names: Vec<&str> =
            tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(names.contains(&"memmap2"), "the tree is not the engine's:\n{tree}");
        for heavy in ["tokio", "quinn", "rustls", "wasmtime", "async-std", "openssl", "clap"] {
            assert!(!names.contains(&heavy), "{package} pulls in {heavy}:\n{tree}");
        }
    }
}
