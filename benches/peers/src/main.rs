//! Tidelog's benchmark figures, taken from its peers on the same workload.

mod engines;
mod generate;
mod ordered;
mod peer;
mod steps;
mod suite;
mod windows;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use tidelog_benches::figure::Figure;
use tidelog_benches::query::{NAMES, Query};
use tidelog_benches::workload::Options;

use crate::engines::{fjall::Fjall, redb::Redb, sqlite::Sqlite, tsink::Tsink};
use crate::peer::Result;
use crate::steps::{Step, StepArgs, WorkloadArgs};
use crate::suite::SuiteArgs;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All figures of SQLite.
    Sqlite(SuiteArgs),
    /// All figures of fjall.
    Fjall(SuiteArgs),
    /// All figures of redb.
    Redb(SuiteArgs),
    /// All figures of tsink. At full size it takes minutes of CPU for each ingest: use fewer ticks.
    Tsink(SuiteArgs),
    /// The answers to all queries, worked out naively, to check the engines' against.
    Reference(WorkloadArgs),
    /// Writes the workload to column files.
    Generate {
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        workload: WorkloadArgs,
    },
    /// Prints the parameters of every run of every query, for harnesses in other languages.
    Parameters(WorkloadArgs),
    /// One measurement, in a process of its own.
    #[command(hide = true)]
    Step {
        #[arg(value_enum)]
        engine: Engine,
        #[arg(value_enum)]
        step: Step,
        #[command(flatten)]
        args: StepArgs,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Sqlite,
    Fjall,
    Redb,
    Tsink,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Sqlite(args) => suite::run::<Sqlite>(&args),
        Command::Fjall(args) => suite::run::<Fjall>(&args),
        Command::Redb(args) => suite::run::<Redb>(&args),
        Command::Tsink(args) => suite::run::<Tsink>(&args),
        Command::Reference(args) => {
            print_reference(args.options());
            Ok(())
        }
        Command::Generate { out, workload } => generate::generate(&out, workload.options()),
        Command::Parameters(args) => {
            print_parameters(&args.options());
            Ok(())
        }
        Command::Step { engine, step, args } => match engine {
            Engine::Sqlite => steps::run::<Sqlite>(step, &args),
            Engine::Fjall => steps::run::<Fjall>(step, &args),
            Engine::Redb => steps::run::<Redb>(step, &args),
            Engine::Tsink => steps::run::<Tsink>(step, &args),
        },
    }
}

fn print_reference(workload: Options) {
    for (number, name) in (1..).zip(NAMES) {
        let query = Query::nth(number, 0, &workload);
        let started = std::time::Instant::now();
        let answer = query.expected(workload);
        let figure = Figure {
            engine: "reference",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            figure: name.to_owned(),
            workload,
            unit: "ms",
            runs: vec![started.elapsed().as_secs_f64() * 1e3],
            answer: Some(answer),
            lost: None,
            note: None,
        };
        println!("{figure}");
    }
}

/// A query, a run, then device, start and end in ms; 0 where the query has no such parameter.
fn print_parameters(workload: &Options) {
    for (number, name) in (1..).zip(NAMES) {
        for run in 0..=tidelog_benches::query::RUNS {
            let (device, start, end) = match Query::nth(number, run, workload) {
                Query::MaxPerMinute { device, start, end }
                | Query::Hundred { device, start, end } => (device, start, end),
                Query::MeanPerMinute { start, end } => (0, start, end),
                Query::Device { device } => (device, 0, 0),
                Query::Last | Query::MeanPerHour | Query::CountAbove => (0, 0, 0),
            };
            println!("{name} {run} {device} {} {}", peer::millis(start), peer::millis(end));
        }
    }
}
