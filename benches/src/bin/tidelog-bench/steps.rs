//! The measurements, one process each: memory peaks, page caches and crashes are then each step's own.

use std::path::PathBuf;

use tidelog_benches::query::RUNS;
use tidelog_benches::workload::{Options, Variant};

use crate::report::Result;
use crate::{ingest, read, reopen};

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Step {
    /// Write all of W.
    Ingest,
    /// Write all of W, made beforehand, from several writers or with many batches in flight.
    Prepared,
    /// Write all of W, compact and close.
    Load,
    /// Ask Q1 to Q6, warm.
    Queries,
    /// Open and ask Q7 once.
    Cold,
    /// Read everything.
    Scan,
    /// Write until killed.
    Survive,
    /// Open after a kill and count what is there.
    Reopen,
}

impl Step {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Ingest => "ingest",
            Step::Prepared => "prepared",
            Step::Load => "load",
            Step::Queries => "queries",
            Step::Cold => "cold",
            Step::Scan => "scan",
            Step::Survive => "survive",
            Step::Reopen => "reopen",
        }
    }
}

/// When a write is acknowledged, by the names that figures of all engines have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Durability {
    /// After an fsync that covers it.
    Durable,
    /// When the operating system has it.
    Relaxed,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Durability::Durable => "durable",
            Durability::Relaxed => "relaxed",
        }
    }
}

impl From<Durability> for tidelog_engine::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Durable => tidelog_engine::Durability::Sync,
            Durability::Relaxed => tidelog_engine::Durability::Os,
        }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StepArgs {
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long, value_enum, default_value = "relaxed")]
    pub(crate) durability: Durability,
    #[arg(long, default_value_t = 1)]
    pub(crate) writers: u32,
    /// Batches each writer has in flight; 0 waits for each.
    #[arg(long, default_value_t = 0)]
    pub(crate) in_flight: usize,
    /// Which of its runs a step is.
    #[arg(long, default_value_t = 0)]
    pub(crate) run: u32,
    /// The queries asked.
    #[arg(long, value_delimiter = ',')]
    pub(crate) query: Vec<String>,
    /// Timed runs of each query.
    #[arg(long, default_value_t = RUNS)]
    pub(crate) rounds: u32,
    /// Leaves the page cache as it is.
    #[arg(long)]
    pub(crate) cached: bool,
    /// The log that a killed writer is to leave; 0 for whatever there is.
    #[arg(long, default_value_t = 0)]
    pub(crate) log_bytes: usize,
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct WorkloadArgs {
    #[arg(long, default_value_t = 1_000)]
    pub(crate) devices: u32,
    #[arg(long, default_value_t = 3_600)]
    pub(crate) ticks: u32,
    #[arg(long, default_value = "dec2")]
    pub(crate) variant: Variant,
    /// Share of rows delivered late, up to 24 h and in random order.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) late: f64,
}

impl WorkloadArgs {
    pub(crate) fn options(&self) -> Options {
        let WorkloadArgs { devices, ticks, variant, late } = *self;
        Options { devices, ticks, variant, late, ..Options::default() }
    }
}

/// One measurement, in a process of its own.
#[derive(clap::Parser)]
pub(crate) struct StepCommand {
    #[arg(value_enum)]
    step: Step,
    #[command(flatten)]
    args: StepArgs,
}

pub(crate) fn run(StepCommand { step, args }: &StepCommand) -> Result<()> {
    match step {
        Step::Ingest => ingest::ingest(args),
        Step::Prepared => ingest::ingest_prepared(args),
        Step::Load => ingest::load(args),
        Step::Queries => read::queries(args),
        Step::Cold => read::cold(args),
        Step::Scan => read::scan_all(args),
        Step::Survive => reopen::survive(args),
        Step::Reopen => reopen::reopen(args),
    }
}
