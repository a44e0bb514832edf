//! Tidelog's benchmark figures, in the form and on the workload of its peers'.
//!
//! `tidelog-bench --dir DIR` takes all of them: a line of JSON each on standard output, a line for
//! people on standard error. `--only` narrows to parts (`ingest`, `queries`, ...) or to single figures
//! (`q5`, `ingest_relaxed`); with `--keep` the store that is queried stays, and is used again. So one
//! query is profiled by
//!
//! ```text
//! tidelog-bench --dir DIR --only q5 --keep
//! perf record -g tidelog-bench --dir DIR --only q5 --keep --rounds 20000
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

mod answers;
mod engine;
mod ingest;
mod read;
mod reopen;
mod report;
mod steps;
mod suite;

use clap::Parser;

use crate::report::Result;
use crate::steps::StepCommand;
use crate::suite::SuiteArgs;

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(flatten)]
    suite: SuiteArgs,
}

fn main() -> Result<()> {
    // The suite starts itself for each step.
    match std::env::args().nth(1).as_deref() {
        Some("step") => steps::run(&StepCommand::parse_from(std::env::args().skip(1))),
        _ => suite::run(&Cli::parse().suite),
    }
}
