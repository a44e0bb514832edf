//! What hosts in C are handed: components, good, damaged and hostile ones, and rounds with what the same components plan for them in Rust.

use crate::tools::here;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tidelog_model::policy::{
    Checked, Complete, Recorded, RepairPolicy, Round, Step, check, encode_plan,
};
use tidelog_wasm::testing::{HOSTILE, Rounds, component_of, hostile_round, recorded as met};
use tidelog_wasm::{Loader, Manifest, WasmPolicy};

/// Good ones, by their files in `plugins`; the hosts know their order.
pub(crate) const POLICIES: [&str; 3] =
    ["examples/built/metered-uplink", "examples/built/freshness-budget", "c/newest-first"];

const ROUNDS: usize = 1_000;

/// Writes components, `rounds` and `hostile` into the folder of a host: the latter are entries of a `u32` length, little-endian,
/// and as many bytes.
pub(crate) fn write(folder: &Path) {
    static ALL: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    for (name, bytes) in ALL.get_or_init(all) {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn all() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("rounds".to_owned(), rounds()), ("hostile".to_owned(), hostile())];
    for policy in POLICIES {
        let name = policy.rsplit('/').next().unwrap();
        for end in ["wasm", "toml"] {
            let bytes = fs::read(plugin(policy).with_extension(end)).unwrap();
            files.push((format!("{name}.{end}"), bytes));
        }
    }
    let mut put = |name: &str, wasm: Vec<u8>, manifest: String| {
        files.push((format!("{name}.toml"), manifest.into_bytes()));
        files.push((format!("{name}.wasm"), wasm));
    };
    for (number, hostile) in HOSTILE.iter().enumerate() {
        let (name, wasm) = (format!("hostile-{number}"), hostile.component());
        let manifest = Manifest::of(&name, &wasm).to_string();
        put(&name, wasm, manifest);
    }
    let good = fs::read(plugin(POLICIES[0]).with_extension("wasm")).unwrap();
    let of = |wasm: &[u8]| Manifest::of("damaged", wasm).to_string();
    put("changed", [&good[..], b"\0"].concat(), of(&good));
    put("cut", good[..good.len() / 2].to_vec(), of(&good[..good.len() / 2]));
    put("module", b"\0asm\x01\0\0\0".to_vec(), of(b"\0asm\x01\0\0\0"));
    put("no-policy", b"\0asm\x0d\0\x01\0".to_vec(), of(b"\0asm\x0d\0\x01\0"));
    put("key", good.clone(), of(&good).replace("[limits]", "[limits]\nfuel = 1"));
    put("newer", good.clone(), of(&good).replace("wit = \"0.1\"", "wit = \"0.9\""));
    put("slow", good.clone(), of(&good).replace("deadline_ms = 50", "deadline_ms = 3000"));
    let files_of_the_host = with_files();
    let manifest = of(&files_of_the_host);
    put("imports", files_of_the_host, manifest);
    put("large", vec![0; tidelog_wasm::WASM_BYTES_MAX + 1], of(b""));
    files
}

/// A component that wants to open files.
fn with_files() -> Vec<u8> {
    let wat = r#"(module (import "host:files/files" "open" (func $open))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)
        (func (export "tidelog:policy/repair@0.1.0#plan")
            (param i64 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32) call $open i32.const 32))"#;
    let world = "package host:files;
        interface files { open: func(); }
        world greedy { import files; export tidelog:policy/repair@0.1.0; }";
    component_of(wat, &[tidelog_wasm::testing::WIT_TEXT, world], "host:files/greedy")
}

fn plugin(name: &str) -> PathBuf {
    here().join("..").join(name)
}

fn loaded(file: &Path) -> WasmPolicy {
    Loader::new().load_file(&file.with_extension("wasm")).unwrap()
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    to.extend_from_slice(bytes);
}

fn recorded(round: &Round) -> Vec<u8> {
    Recorded { round: round.clone(), plan: Vec::new() }.encode()
}

/// Each round, then for each policy its plan and what of it is carried out.
fn rounds() -> Vec<u8> {
    let mut policies = POLICIES.map(|name| loaded(&plugin(name)));
    let mut bytes = Vec::new();
    for round in Rounds::new(20_270_115).take(ROUNDS).chain(met()) {
        put(&mut bytes, &recorded(&round));
        for policy in &mut policies {
            let plan = policy.plan(&round).unwrap();
            put(&mut bytes, &encode_plan(&plan));
            put(&mut bytes, &encode_plan(&carried_out(&round, &plan)));
        }
    }
    bytes
}

/// A plan that does not fit is none, and everything is repaired.
fn carried_out(round: &Round, plan: &[Step]) -> Vec<Step> {
    let fits = check(round, plan).map(|Checked { steps, .. }| steps);
    fits.unwrap_or_else(|_| Complete.plan(round).unwrap())
}

/// The round that hostile policies wait for, then how each of them ends in Rust.
fn hostile() -> Vec<u8> {
    let round = hostile_round();
    let mut bytes = Vec::new();
    put(&mut bytes, &recorded(&round));
    for hostile in &HOSTILE {
        let wasm = hostile.component();
        let mut policy = Loader::new().load(&wasm, Manifest::of("hostile", &wasm)).unwrap();
        put(&mut bytes, policy.plan(&round).unwrap_err().text.as_bytes());
    }
    bytes
}
