//! A panic in any function comes back as a status, and a plan that panics loses its round.

use crate::hosts::host;
use crate::tools::{Linked, limited, run};

#[test]
fn a_panic_in_any_function_comes_back_as_a_status() {
    if !cfg!(debug_assertions) {
        eprintln!("skipped: panics are injected in debug builds");
        return;
    }
    let Some((folder, program)) = host("panic.c", "gcc", "c99", &[], Linked::Shared) else {
        return;
    };
    for function in [
        "tidelog_wasm_load_file_with",
        "tidelog_wasm_load_with",
        "tidelog_wasm_unload",
        "tidelog_wasm_plan",
        "tidelog_wasm_plan_round",
        "tidelog_wasm_drop",
    ] {
        let mut command = limited(&program);
        command.arg(function).env("TIDELOG_TEST_PANIC", function).current_dir(&folder);
        let text = String::from_utf8_lossy(&run(&mut command).stderr).into_owned();
        // It did panic, or the test would prove nothing.
        assert!(text.contains("a test asked for it"), "{function}: {text}");
    }
}
