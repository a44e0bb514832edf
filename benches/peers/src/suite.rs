//! All figures of one engine: runs the steps as child processes and prints a line of JSON a figure.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tidelog_benches::figure::{Figure, Setup};
use tidelog_benches::process::disk_bytes;
use tidelog_benches::query::{Answer, NAMES, RUNS};
use tidelog_benches::workload::{FIELD_COUNT, Options, Variant};

use crate::peer::{Durability, Layout, Peer, Result};
use crate::steps::WorkloadArgs;

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Part {
    /// Rows per second, batch latency and peak memory, durable and relaxed.
    Ingest,
    /// Ingest from eight writers.
    Writers,
    /// Bytes on disk after compaction, both variants.
    Disk,
    /// Q1 to Q7 and opening.
    Queries,
    /// Reopening after SIGKILL.
    Kill,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SuiteArgs {
    /// Where stores are made, on the disk to be measured.
    #[arg(long)]
    dir: PathBuf,
    /// What to measure; all if absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Runs of each ingest.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    #[command(flatten)]
    workload: WorkloadArgs,
}

const WRITERS: u32 = 8;

pub(crate) fn run<P: Peer>(args: &SuiteArgs) -> Result<()> {
    let suite = Suite {
        engine: P::ENGINE,
        version: P::version(),
        dir: args.dir.join(P::ENGINE),
        runs: args.runs,
        workload: args.workload.options(),
    };
    println!("{}", Setup { engine: P::ENGINE, version: P::version(), settings: P::SETTINGS });
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    if wants(Part::Ingest) {
        suite.ingest(Durability::Durable)?;
        suite.ingest(Durability::Relaxed)?;
    }
    if wants(Part::Writers) {
        suite.ingest_concurrently(Durability::Durable)?;
        suite.ingest_concurrently(Durability::Relaxed)?;
    }
    if wants(Part::Kill) {
        suite.kill(Durability::Durable)?;
        suite.kill(Durability::Relaxed)?;
    }
    if wants(Part::Disk) {
        suite.disk(Variant::Int)?;
    }
    // The store that was sized last is the one queried.
    if wants(Part::Disk) {
        suite.disk(Variant::Dec2)?;
    } else if wants(Part::Queries) {
        suite.load(Variant::Dec2)?;
    }
    if wants(Part::Queries) {
        suite.queries()?;
        suite.cold()?;
    }
    Ok(std::fs::remove_dir_all(&suite.dir)?)
}

struct Suite {
    engine: &'static str,
    version: String,
    dir: PathBuf,
    runs: u32,
    workload: Options,
}

type Report = HashMap<String, Vec<f64>>;

impl Suite {
    fn ingest(&self, durability: Durability) -> Result<()> {
        let name = format!("ingest_{}", durability.name());
        let rows = self.workload.rows() as f64;
        let reports: Vec<Report> = (0..self.runs)
            .map(|_| self.fresh_step("ingest", durability, Layout::Ingest, &[]))
            .collect::<Result<_>>()?;
        let each = |value: &dyn Fn(&Report) -> f64| reports.iter().map(value).collect();
        self.print(&name, "rows/s", each(&|r| rows / r["seconds"][0]));
        let flushed = |r: &Report| rows / (r["seconds"][0] + r["seconds"][1]);
        self.print(&format!("{name}_flushed"), "rows/s", each(&flushed));
        let closed = |r: &Report| rows / r["seconds"].iter().sum::<f64>();
        self.print(&format!("{name}_closed"), "rows/s", each(&closed));
        for (i, percentile) in ["p50", "p99", "max"].into_iter().enumerate() {
            let batch = |r: &Report| r["batch_ms"][i];
            self.print(&format!("{name}_batch_{percentile}"), "ms", each(&batch));
        }
        self.print(&format!("{name}_memory"), "MB", each(&|r| r["peak_mb"][0]));
        Ok(())
    }

    fn ingest_concurrently(&self, durability: Durability) -> Result<()> {
        let writers = ["--writers".to_owned(), WRITERS.to_string()];
        let rows = self.workload.rows() as f64;
        let rates: Vec<f64> = (0..self.runs)
            .map(|_| {
                let report = self.fresh_step("ingest", durability, Layout::Ingest, &writers)?;
                Ok(rows / report["seconds"][0])
            })
            .collect::<Result<_>>()?;
        self.print(&format!("ingest_{}_8_writers", durability.name()), "rows/s", rates);
        Ok(())
    }

    fn load(&self, variant: Variant) -> Result<Report> {
        let suite = self.with_variant(variant);
        suite.fresh_step("load", Durability::Relaxed, Layout::Query, &[])
    }

    fn disk(&self, variant: Variant) -> Result<()> {
        let suite = self.with_variant(variant);
        let report = suite.load(variant)?;
        let rows = self.workload.rows() as f64;
        suite.print("load", "rows/s", vec![rows / report["seconds"][0]]);
        let bytes = disk_bytes(&self.dir)?;
        suite.print("disk", "B", vec![bytes.apparent as f64]);
        suite.print("disk_allocated", "B", vec![bytes.allocated as f64]);
        let values = rows * FIELD_COUNT as f64;
        suite.print("disk_per_value", "B", vec![bytes.apparent as f64 / values]);
        Ok(())
    }

    fn queries(&self) -> Result<()> {
        let mut report = self.step("queries", Durability::Relaxed, Layout::Query, &[])?;
        for name in &NAMES[..6] {
            let runs = report.remove(*name).ok_or("the step reports every query")?;
            let answer = answer(&report, name);
            self.print_figure(Figure { answer, ..self.figure(name, "ms", runs) });
        }
        Ok(())
    }

    fn cold(&self) -> Result<()> {
        let reports: Vec<Report> = (0..=RUNS)
            .map(|run| {
                let run = ["--run".to_owned(), run.to_string()];
                self.step("cold", Durability::Relaxed, Layout::Query, &run)
            })
            .collect::<Result<_>>()?;
        let timed = |name: &str| reports[1..].iter().map(|r| r[name][0]).collect();
        self.print("open_cold", "ms", timed("open"));
        let answer = answer(&reports[0], "q7");
        self.print_figure(Figure { answer, ..self.figure("q7", "ms", timed("q7")) });
        Ok(())
    }

    /// Kills a writer once nine tenths of W are acknowledged, while it goes on writing.
    fn kill(&self, durability: Durability) -> Result<()> {
        self.clear()?;
        let mut writer = self
            .command("survive", durability, Layout::Ingest, &[])?
            .stdout(Stdio::piped())
            .spawn()?;
        let target = self.workload.rows() as f64 * 0.9;
        let mut acknowledged = 0.0;
        // What the pipe still holds after the kill was acknowledged before it.
        for line in BufReader::new(writer.stdout.take().ok_or("the pipe is open")?).lines() {
            let line = line?;
            let before = acknowledged;
            acknowledged = line.rsplit(' ').next().ok_or("a report has a number")?.parse()?;
            if before < target && acknowledged >= target {
                writer.kill()?;
            }
        }
        let status = writer.wait()?;
        if acknowledged < target {
            return Err(format!("the writer ended by itself: {status}").into());
        }
        let report = self.step("reopen", durability, Layout::Ingest, &[])?;
        let found = report["found"][0];
        let note = Some(format!("{acknowledged} rows acknowledged, {found} found"));
        // The batch in flight may be found without having been acknowledged.
        let lost = Some((acknowledged - found).max(0.0) as u64);
        let name = format!("reopen_killed_{}", durability.name());
        let figure = self.figure(&name, "ms", report["reopen"].clone());
        self.print_figure(Figure { lost, note, ..figure });
        Ok(())
    }

    /// Runs a step on an empty directory.
    fn fresh_step(
        &self,
        step: &str,
        durability: Durability,
        layout: Layout,
        more: &[String],
    ) -> Result<Report> {
        self.clear()?;
        self.step(step, durability, layout, more)
    }

    fn clear(&self) -> Result<()> {
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir)?;
        }
        Ok(std::fs::create_dir_all(&self.dir)?)
    }

    fn step(
        &self,
        step: &str,
        durability: Durability,
        layout: Layout,
        more: &[String],
    ) -> Result<Report> {
        let output =
            self.command(step, durability, layout, more)?.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("step {step} of {} failed: {}", self.engine, output.status).into());
        }
        String::from_utf8(output.stdout)?
            .lines()
            .map(|line| {
                let (name, numbers) = line.split_once(' ').ok_or("a report has numbers")?;
                let numbers: std::result::Result<_, _> =
                    numbers.split(' ').map(str::parse).collect();
                Ok((name.to_owned(), numbers?))
            })
            .collect()
    }

    fn command(
        &self,
        step: &str,
        durability: Durability,
        layout: Layout,
        more: &[String],
    ) -> Result<Command> {
        let Options { devices, ticks, variant, late, .. } = self.workload;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["step", self.engine, step, "--dir"]).arg(&self.dir);
        command.args(["--durability", durability.name(), "--layout", layout.name()]);
        command.args(["--devices", &devices.to_string(), "--ticks", &ticks.to_string()]);
        command.args(["--variant", variant.name(), "--late", &late.to_string()]).args(more);
        Ok(command)
    }

    fn with_variant(&self, variant: Variant) -> Suite {
        let workload = Options { variant, ..self.workload };
        Suite { version: self.version.clone(), dir: self.dir.clone(), workload, ..*self }
    }

    fn figure(&self, figure: &str, unit: &'static str, runs: Vec<f64>) -> Figure {
        Figure {
            engine: self.engine,
            version: self.version.clone(),
            figure: figure.to_owned(),
            workload: self.workload,
            unit,
            runs,
            answer: None,
            lost: None,
            note: None,
        }
    }

    fn print(&self, figure: &str, unit: &'static str, runs: Vec<f64>) {
        self.print_figure(self.figure(figure, unit, runs));
    }

    fn print_figure(&self, figure: Figure) {
        println!("{figure}");
    }
}

fn answer(report: &Report, query: &str) -> Option<Answer> {
    let numbers = report.get(&format!("{query}_answer"))?;
    Some(Answer { rows: numbers[0] as u64, checksum: numbers[1] })
}
