//! The measurements, one process each: memory peaks, page caches and crashes are then each step's own.
//! A step reports on standard output, a name and its numbers to a line.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tidelog_benches::evict::evict;
use tidelog_benches::figure::percentile;
use tidelog_benches::process::peak_resident_bytes;
use tidelog_benches::query::{NAMES, Query, RUNS};
use tidelog_benches::workload::{Batch, Columns, Options, Variant, Workload};

use crate::peer::{Durability, Layout, Peer, Result, Settings, Writer};

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Step {
    /// Write all of W.
    Ingest,
    /// Write all of W in the layout that is queried, compact and close.
    Load,
    /// Ask Q1 to Q6, warm.
    Queries,
    /// Open with nothing cached and ask Q7 once.
    Cold,
    /// Write until killed, reporting every acknowledged batch.
    Survive,
    /// Open after a kill and count what is there.
    Reopen,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StepArgs {
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long, value_enum, default_value = "relaxed")]
    pub(crate) durability: Durability,
    #[arg(long, value_enum, default_value = "query")]
    pub(crate) layout: Layout,
    #[arg(long, default_value_t = 1)]
    pub(crate) writers: u32,
    /// Which of its runs a query step is.
    #[arg(long, default_value_t = 0)]
    pub(crate) run: u32,
    #[command(flatten)]
    pub(crate) workload: WorkloadArgs,
}

#[derive(Clone, Debug, clap::Args)]
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

pub(crate) fn run<P: Peer>(step: Step, args: &StepArgs) -> Result<()> {
    match step {
        Step::Ingest if args.writers == 1 => ingest::<P>(args),
        Step::Ingest => ingest_concurrently::<P>(args),
        Step::Load => load::<P>(args),
        Step::Queries => queries::<P>(args),
        Step::Cold => cold::<P>(args),
        Step::Survive => survive::<P>(args),
        Step::Reopen => reopen::<P>(args),
    }
}

fn open<P: Peer>(args: &StepArgs) -> Result<P> {
    P::open(&args.dir, Settings { durability: args.durability, layout: args.layout })
}

fn ingest<P: Peer>(args: &StepArgs) -> Result<()> {
    let peer = open::<P>(args)?;
    let batch_seconds = write_all(&peer, args.workload.options())?;
    let flush_seconds = seconds(|| peer.flush())?;
    report("peak_mb", &[peak_resident_bytes()? as f64 / 1e6]);
    let close_seconds = seconds(|| peer.compact_and_close())?;
    let mut sorted = batch_seconds.clone();
    sorted.sort_by(f64::total_cmp);
    report("batch_ms", &[0.5, 0.99, 1.0].map(|share| percentile(&sorted, share) * 1e3));
    report("seconds", &[batch_seconds.iter().sum(), flush_seconds, close_seconds]);
    Ok(())
}

fn load<P: Peer>(args: &StepArgs) -> Result<()> {
    let peer = open::<P>(args)?;
    let written: f64 = write_all(&peer, args.workload.options())?.iter().sum();
    let closed = seconds(|| peer.compact_and_close())?;
    report("seconds", &[written + closed]);
    Ok(())
}

/// Writes the workload through one writer. Returns the seconds of each call, generating excluded.
fn write_all<P: Peer>(peer: &P, workload: Options) -> Result<Vec<f64>> {
    let mut writer = peer.writer()?;
    let mut workload = Workload::new(workload);
    let mut batch_seconds = Vec::new();
    while let Some(batch) = workload.next_batch() {
        batch_seconds.push(seconds(|| writer.write(batch))?);
    }
    Ok(batch_seconds)
}

/// Every writer has devices of its own, as connections of a server would. Batches are made before
/// the clock starts: with more writers than cores, generating would compete with the engine.
fn ingest_concurrently<P: Peer>(args: &StepArgs) -> Result<()> {
    let peer = open::<P>(args)?;
    let batches: Vec<Vec<Columns>> = (0..args.writers)
        .map(|index| batches(Options { shard: (index, args.writers), ..args.workload.options() }))
        .collect();
    let write_seconds = seconds(|| {
        std::thread::scope(|scope| {
            let writers: Vec<_> = batches
                .iter()
                .map(|batches| scope.spawn(|| write_batches(&peer, batches)))
                .collect();
            writers.into_iter().try_for_each(|writer| writer.join().expect("a writer panicked"))
        })
    })?;
    let flush_seconds = seconds(|| peer.flush())?;
    report("seconds", &[write_seconds, flush_seconds]);
    peer.compact_and_close()
}

fn batches(workload: Options) -> Vec<Columns> {
    let mut workload = Workload::new(workload);
    let mut batches = Vec::new();
    while let Some(batch) = workload.next_batch() {
        let mut columns = Columns::with_capacity(batch.len());
        columns.extend(batch);
        batches.push(columns);
    }
    batches
}

fn write_batches<P: Peer>(peer: &P, batches: &[Columns]) -> Result<()> {
    let mut writer = peer.writer()?;
    batches.iter().map(Columns::as_batch).try_for_each(|batch: Batch<'_>| writer.write(batch))
}

fn queries<P: Peer>(args: &StepArgs) -> Result<()> {
    let peer = open::<P>(args)?;
    let workload = args.workload.options();
    for (number, name) in (1..=6).zip(NAMES) {
        let first = peer.answer(&Query::nth(number, 0, &workload))?;
        report(&format!("{name}_answer"), &[first.rows as f64, first.checksum]);
        let runs: Result<Vec<f64>> = (1..=RUNS)
            .map(|run| Query::nth(number, run, &workload))
            .map(|query| seconds(|| peer.answer(&query).map(drop)).map(|seconds| seconds * 1e3))
            .collect();
        report(name, &runs?);
    }
    Ok(())
}

fn cold<P: Peer>(args: &StepArgs) -> Result<()> {
    evict(&args.dir)?;
    let query = Query::nth(7, args.run, &args.workload.options());
    let started = Instant::now();
    let peer = open::<P>(args)?;
    let opened = started.elapsed();
    let answer = peer.answer(&query)?;
    report("open", &[millis(opened)]);
    report("q7", &[millis(started.elapsed() - opened)]);
    report("q7_answer", &[answer.rows as f64, answer.checksum]);
    Ok(())
}

fn survive<P: Peer>(args: &StepArgs) -> Result<()> {
    let peer = open::<P>(args)?;
    let mut writer = peer.writer()?;
    let mut workload = Workload::new(args.workload.options());
    let mut acknowledged = 0;
    while let Some(batch) = workload.next_batch() {
        writer.write(batch)?;
        acknowledged += batch.len();
        report("acknowledged", &[acknowledged as f64]);
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// From opening to the first answer: some engines open at once and recover when asked.
fn reopen<P: Peer>(args: &StepArgs) -> Result<()> {
    let started = Instant::now();
    let peer = open::<P>(args)?;
    let first_hundred = Query::nth(7, 0, &args.workload.options());
    // An engine that kept nothing may say so by an error; counting tells.
    let _ = peer.answer(&first_hundred);
    report("reopen", &[millis(started.elapsed())]);
    report("found", &[peer.count()? as f64]);
    Ok(())
}

fn seconds(act: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    act()?;
    Ok(started.elapsed().as_secs_f64())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn report(name: &str, numbers: &[f64]) {
    let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{name} {}", numbers.join(" "));
}
