//! How long policies that are hard to compile keep the loader, and how much memory they take of it: each in a process of
//! its own, whose peak is its own too.

use crate::memory_of_process;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use tidelog_wasm::testing::{HEAVY, Heavy, is_within_bounds};
use tidelog_wasm::{Loader, Manifest};

/// Names the process that loads one.
const ONE: &str = "load-one";

/// Sizes of functions in bytes: code is dearer in large ones.
const FUNCTIONS: [usize; 2] = [1_000, 16_000];

/// Each at the bounds of what is compiled, and as one that has ten times as much.
pub(crate) fn heavy() {
    println!(
        "\n| hard to compile | function | bytes | after | peak memory | |\n|---|---|---|---|---|---|"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heavy.wasm");
    for heavy in HEAVY {
        for function in FUNCTIONS {
            let (size, count) = largest(&heavy, function);
            load(&path, &heavy, size, count);
        }
        load(&path, &heavy, 100_000, 35);
    }
}

/// The largest that is within the bounds, in functions of so many bytes or less.
fn largest(heavy: &Heavy, function: usize) -> (usize, usize) {
    let fits = |size, count| is_within_bounds(&heavy.component(size, count));
    let mut size = function;
    while size > 100 && !fits(size, 1) {
        size = size * 3 / 4;
    }
    let (mut count, mut step) = (1, 1 << 10);
    while step > 0 {
        // More bytes than a component may have need not be tried.
        if (count + step) * size < 4_000_000 && fits(size, count + step) {
            count += step;
        }
        step /= 2;
    }
    (size, count)
}

fn load(path: &Path, heavy: &Heavy, function: usize, count: usize) {
    std::fs::write(path, heavy.component(function, count)).expect("a file");
    let own = std::env::current_exe().expect("a path of its own");
    // What takes a minute is told, and not waited for.
    let done = Command::new("timeout").arg("60").arg(own).arg(ONE).arg(path).output();
    let done = done.expect("a process of its own");
    let told = String::from_utf8_lossy(&done.stdout);
    let told = if done.status.success() { told.trim() } else { "| not done after a minute |" };
    println!("| {} | {function} {told}", heavy.name);
}

/// The process of one. `None`: this is not one.
pub(crate) fn one() -> Option<()> {
    let mut arguments = std::env::args().skip(1);
    arguments.next().filter(|first| first == ONE)?;
    let wasm = std::fs::read(Path::new(&arguments.next()?)).expect("a component");
    let start = Instant::now();
    let loaded = Loader::new().load(&wasm, Manifest::of("heavy", &wasm));
    let took = start.elapsed();
    let how = loaded.map_or_else(|error| error.to_string(), |_| "loaded".to_owned());
    let how: String = how.chars().take(90).collect();
    let peak = memory_of_process("VmHWM:");
    println!("| {} | {took:.2?} | {} MB | {how} |", wasm.len(), peak / 1_000);
    Some(())
}
