//! `tidelog policy`: a repair policy is tried before a node runs it; a running node is given another one.

mod load;
#[cfg(feature = "replication")]
mod of_node;
mod sample;
mod words;

#[cfg(feature = "replication")]
pub(crate) use load::component;

use super::print;
use crate::error::{CommandError, Outcome};
use clap::{Args, Subcommand};
use load::{Loaded, load};
use sample::sample;
use std::fmt::Write;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tidelog::model::policy::{Recorded, RepairPolicy, check};
use words::in_words;

/// So many rounds that are planned otherwise are told.
const TOLD_MAX: u64 = 10;

/// Try a repair policy, one that is built in or a component in a file; and see or change the one of a running node.
#[derive(Args, Debug)]
pub(crate) struct PolicyCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Load it, and tell in words what it plans for a sample round.
    Check {
        /// The name of a built-in policy, or a component: FILE.wasm, with its manifest FILE.toml beside it.
        #[arg(value_name = "POLICY")]
        policy: String,
        /// Write a manifest beside a component that has none, with its hash and the usual limits.
        #[arg(long)]
        write_manifest: bool,
    },
    /// Tell which policy decides on a running node, and which could.
    #[cfg(feature = "replication")]
    List(of_node::List),
    /// Have a running node load a component and let it decide, until it is started again. If it cannot be loaded, the policy
    /// before goes on. Compiled code is kept in the store's directory, in `policy.code`, which may be removed at any time.
    #[cfg(feature = "replication")]
    Load(of_node::Load),
    /// Have a built-in policy decide on a running node, until it is started again.
    #[cfg(feature = "replication")]
    Enable(of_node::Enable),
    /// Plan rounds that a node recorded (`record` under `[policy]`), and tell where the plans differ from those that were
    /// recorded. Exits 1 when any does.
    Replay {
        /// The file that the node recorded to.
        rounds: PathBuf,
        /// The name of a built-in policy, or a component: FILE.wasm, with its manifest FILE.toml beside it.
        #[arg(value_name = "POLICY")]
        policy: String,
    },
}

impl PolicyCommand {
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        match self.what {
            What::Check { policy, write_manifest } => try_once(&policy, write_manifest),
            What::Replay { rounds, policy } => {
                let rounds = load::rounds(&rounds)?;
                replay(&rounds, &mut *load(&policy)?.policy)
            }
            #[cfg(feature = "replication")]
            What::List(list) => list.run(),
            #[cfg(feature = "replication")]
            What::Load(load) => load.run(),
            #[cfg(feature = "replication")]
            What::Enable(enable) => enable.run(),
        }
    }
}

fn try_once(name: &str, write_manifest: bool) -> Result<Outcome, CommandError> {
    let Loaded { mut policy, limits, made, .. } = load(name)?;
    let round = sample();
    let started = Instant::now();
    let plan = policy.plan(&round).map_err(|error| CommandError::Policy(error.to_string()))?;
    let took = started.elapsed();
    let checked = check(&round, &plan).map_err(|error| CommandError::Policy(error.to_string()))?;
    let mut text = format!("policy {}\n", policy.name());
    match made {
        Some((path, manifest)) if write_manifest => {
            let failed = |source| CommandError::File { path: path.clone(), source };
            // One that came meanwhile stays.
            let mut file = File::create_new(&path).map_err(failed)?;
            file.write_all(manifest.as_bytes()).map_err(failed)?;
            let _ = writeln!(text, "its manifest was written to {}", path.display());
        }
        Some((path, manifest)) => {
            let path = path.display();
            let _ = writeln!(
                text,
                "# it has no manifest: write this to {path}, or check it with --write-manifest\n{manifest}"
            );
        }
        None => {}
    }
    text += &limits;
    let _ = writeln!(
        text,
        "a sample round: {} windows differ, the peer is over a metered link, {} bytes are left",
        round.windows.len(),
        round.budget
    );
    for step in &checked.steps {
        let _ = writeln!(text, "  {}", in_words(&round, step));
    }
    let skipped = round.windows.len() - checked.steps.len();
    let _ = writeln!(text, "  {skipped} windows are left until the next comparison");
    let _ = writeln!(text, "planned in {} us", took.as_micros());
    print(&text)?;
    Ok(Outcome::Done)
}

fn replay(rounds: &[Recorded], policy: &mut dyn RepairPolicy) -> Result<Outcome, CommandError> {
    let (mut same, mut other, mut failed) = (0u64, 0u64, 0u64);
    let mut took = Duration::ZERO;
    let mut text = String::new();
    for (number, Recorded { round, plan }) in rounds.iter().enumerate() {
        let started = Instant::now();
        let planned = policy.plan(round);
        took += started.elapsed();
        let told = match planned {
            Ok(steps) if steps == *plan => {
                same += 1;
                continue;
            }
            Ok(steps) => {
                other += 1;
                let void = check(round, &steps).err();
                let void = void.map_or_else(String::new, |error| format!("; void: {error}"));
                format!("{} steps, and {} were recorded{void}", steps.len(), plan.len())
            }
            Err(error) => {
                failed += 1;
                error.to_string()
            }
        };
        if other + failed <= TOLD_MAX {
            let _ = writeln!(text, "round {number}, {} windows: {told}", round.windows.len());
        }
    }
    let _ = writeln!(
        text,
        "{} rounds: {same} planned as recorded, {other} otherwise, {failed} not planned; {} us each",
        rounds.len(),
        took.as_micros() / rounds.len().max(1) as u128,
    );
    print(&text)?;
    Ok(if other + failed == 0 { Outcome::Done } else { Outcome::Found })
}
