//! What policies cost as WebAssembly components, beside the same policy natively: see `benches/POLICY.md`.
//!
//! usage: `policy [PART...]`, of `calls`, `cold`, `hostile`, `compile`, `swap` and `growth`; without one all of them.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod compile;
mod swap;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidelog_model::policy::{Metered, RawHours, RepairPolicy, Round};
use tidelog_wasm::testing::{HOSTILE, hostile_round};
use tidelog_wasm::{Loader, Manifest, WasmPolicy, golden_round};

const CALLS: usize = 5_000;
const STARTS: usize = 200;
const INSTANTIATIONS: usize = 1_000_000;

fn main() {
    if compile::one().is_some() {
        return;
    }
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|one| one == part);
    let mut policy = Loader::new().load_file(&example("metered-uplink.wasm")).expect("the example");
    println!("| figure | p50 | p99 |\n|---|---|---|");
    if wanted("calls") {
        for windows in [1_000, 1] {
            calls(&mut policy, &golden_round(windows));
        }
    }
    if wanted("cold") {
        cold();
    }
    if wanted("hostile") {
        hostile();
    }
    if wanted("growth") {
        growth(&mut policy, INSTANTIATIONS);
    }
    if wanted("swap") {
        swap::swaps();
    }
    if wanted("compile") {
        compile::heavy();
    }
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples/built").join(file)
}

/// Natively, by one warm instance, and by a fresh one for each plan.
fn calls(policy: &mut WasmPolicy, round: &Round) {
    let windows = round.windows.len();
    let mut native = Metered { raw: RawHours { from: 22 * 60, to: 6 * 60 } };
    let natively = timed(CALLS, || drop(black_box(native.plan(black_box(round)).unwrap())));
    show(&format!("native, {windows} windows"), &natively);
    let mut instance = policy.instance().unwrap();
    let warm = timed(CALLS, || drop(black_box(instance.plan(round).unwrap())));
    show(&format!("warm call, {windows} windows"), &warm);
    let fresh = timed(CALLS, || drop(black_box(policy.plan(round).unwrap())));
    show(&format!("whole plan with its store, {windows} windows"), &fresh);
    let ratio = warm[CALLS / 2].as_nanos() as f64 / natively[CALLS / 2].as_nanos().max(1) as f64;
    println!("| warm call / native, {windows} windows | {ratio:.1} | |");
}

/// From the files to the first answer.
fn cold() {
    let round = golden_round(1);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let start = |loader: Loader| {
        let mut policy = loader.load_file(&example("metered-uplink.wasm")).unwrap();
        drop(black_box(policy.plan(&round).unwrap()));
    };
    let uncached = timed(STARTS / 10, || start(Loader::new()));
    show("cold start, compiled and tried", &uncached);
    start(Loader::with_cache(&folder).unwrap());
    let cached = timed(STARTS, || start(Loader::with_cache(&folder).unwrap()));
    show("cold start, from the cache", &cached);
}

/// How late each hostile policy is stopped; the deadline is 50 ms.
fn hostile() {
    for hostile in HOSTILE {
        let wasm = hostile.component();
        let mut policy = Loader::new().load(&wasm, Manifest::of("hostile", &wasm)).unwrap();
        let times = timed(20, || {
            let kind = policy.plan(&hostile_round()).unwrap_err().kind;
            assert_eq!(kind, hostile.kind, "{}", hostile.name);
        });
        show(&format!("hostile: {}", hostile.name), &times);
        policy.plan(&golden_round(1)).unwrap();
    }
}

/// Memory of the process before and after many plans, each by an instance of its own.
fn growth(policy: &mut WasmPolicy, count: usize) {
    let round = golden_round(1);
    // The first ones grow the heap to what it needs.
    for _ in 0..count / 100 {
        policy.plan(&round).unwrap();
    }
    let before = resident();
    for _ in 0..count {
        policy.plan(&round).unwrap();
    }
    println!("| memory before and after {count} instances | {before} kB | {} kB |", resident());
}

fn resident() -> u64 {
    memory_of_process("VmRSS:")
}

/// In kB.
fn memory_of_process(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// How long each of so many calls took, sorted.
fn timed(count: usize, mut call: impl FnMut()) -> Vec<Duration> {
    call();
    let one = |_| {
        let start = Instant::now();
        call();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..count).map(one).collect();
    times.sort();
    times
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn show(name: &str, times: &[Duration]) {
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!("| {name} | {:.2?} | {:.2?} |", at(50), at(99));
}
