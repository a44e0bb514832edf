//! Loads a policy as a store would, and tells what it plans for a sample round.
//!
//! usage: `cargo run -p tidelog-wasm --example check FILE.wasm`. Without a manifest beside the file it prints one for it.

#![expect(clippy::print_stdout, reason = "it is a program for the shell")]

use std::error::Error;
use std::path::Path;
use tidelog_model::policy::{Action, RepairPolicy};
use tidelog_wasm::{Loader, Manifest, golden_round};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let path = Path::new(&path);
    let mut policy = if path.with_extension("toml").exists() {
        Loader::new().load_file(path)?
    } else {
        let wasm = std::fs::read(path)?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("policy");
        let manifest = Manifest::of(&stem.to_lowercase().replace('_', "-"), &wasm);
        println!("# write this to {}", path.with_extension("toml").display());
        println!("{manifest}");
        Loader::new().load(&wasm, manifest)?
    };
    let limits = policy.manifest().limits;
    println!("{} may use {} bytes and {:?}", policy.name(), limits.memory_bytes, limits.deadline);
    let round = golden_round(5);
    for step in policy.plan(&round)? {
        let window = &round.windows[step.window as usize];
        let what = match step.action {
            Action::Pull => "its rows come".to_owned(),
            Action::Push => "its rows go".to_owned(),
            Action::Both => "its rows come and go".to_owned(),
            Action::Rollups => "its rollups come".to_owned(),
            Action::Defer(until) => {
                format!("it waits for {} s", until.saturating_sub(round.now) / 1_000)
            }
            Action::Skip => "nothing".to_owned(),
        };
        let (collection, peer) = (&window.collection, step.peer);
        println!("window {} of {collection}: {what}, with peer {peer}", step.window);
    }
    for line in &policy.log().lines {
        println!("{:?}: {}", line.level, line.text);
    }
    Ok(())
}
