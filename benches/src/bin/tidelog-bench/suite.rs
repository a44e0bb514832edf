//! All figures: runs the steps as child processes and prints a line of JSON a figure.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tidelog_benches::figure::{Figure, Setup, spread};
use tidelog_benches::process::disk_bytes;
use tidelog_benches::query::{Answer, NAMES, Query, RUNS};
use tidelog_benches::workload::{FIELD_COUNT, Options, Variant};

use crate::engine::SETTINGS;
use crate::report::{Report, Result, parse};
use crate::steps::{Durability, Step, WorkloadArgs};

/// What `--only` takes, beside the names of queries: parts first, then single figures.
const CHOICES: [&str; 15] = [
    "ingest",
    "writers",
    "disk",
    "queries",
    "kill",
    "ingest_relaxed",
    "ingest_durable",
    "int",
    "late",
    "prepared",
    "tickets",
    "8_writers",
    "scan",
    "reopen_64mib",
    "open_cold",
];
const WRITERS: u32 = 8;
const LATE: f64 = 0.1;
/// The log that a killed writer leaves.
const LOG_BYTES: u64 = 64 << 20;
/// More rows than it holds.
const LOG_ROWS: u32 = 1_200_000;
/// Memory that the default options budget for rows and for indexes of files.
const BUDGET_MB: f64 = (192 << 20) as f64 / 1e6;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SuiteArgs {
    /// Where stores are made, on the disk to be measured.
    #[arg(long)]
    dir: PathBuf,
    /// Parts (ingest, writers, disk, queries, kill) or figures (q1 to q7, ingest_relaxed, ...) to
    /// measure; all if absent.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Runs of each ingest and reopening.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Timed runs of each query.
    #[arg(long, default_value_t = RUNS)]
    rounds: u32,
    /// Keeps the store that is queried, and queries the one that an earlier run kept.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    workload: WorkloadArgs,
}

pub(crate) fn run(args: &SuiteArgs) -> Result<()> {
    let known = |name: &String| CHOICES.contains(&&**name) || NAMES.contains(&&**name);
    if let Some(name) = args.only.iter().find(|name| !known(name)) {
        return Err(format!("no figure {name}: use {} or q1 to q7", CHOICES.join(", ")).into());
    }
    let mut suite =
        Suite { args, dir: args.dir.join("tidelog"), workload: args.workload.options() };
    let settings = SETTINGS;
    println!("{}", Setup { engine: "tidelog", version: version(), settings });
    let whole = suite.workload;
    let late = Options { late: LATE, ..whole };
    let int = Options { variant: Variant::Int, ..whole };
    for durability in [Durability::Relaxed, Durability::Durable] {
        let own = format!("ingest_{}", durability.name());
        suite.ingest_of(whole, durability, &["ingest", &own])?;
        suite.ingest_of(int, durability, &["ingest", "int"])?;
        suite.ingest_of(late, durability, &["ingest", "late"])?;
    }
    suite.workload = whole;
    suite.writers()?;
    suite.kill()?;
    let wrong = suite.sizes_and_queries()?;
    let scratch = args.dir.join("tidelog");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("wrong answers: {}", wrong.join(", ")).into()),
    }
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

struct Suite<'a> {
    args: &'a SuiteArgs,
    dir: PathBuf,
    workload: Options,
}

impl Suite<'_> {
    fn wants(&self, names: &[&str]) -> bool {
        self.args.only.is_empty() || self.args.only.iter().any(|only| names.contains(&&**only))
    }

    fn ingest_of(&mut self, of: Options, durability: Durability, names: &[&str]) -> Result<()> {
        self.workload = of;
        if self.wants(names) { self.ingest(durability) } else { Ok(()) }
    }

    fn ingest(&self, durability: Durability) -> Result<()> {
        let name = format!("ingest_{}", durability.name());
        let rows = self.workload.rows() as f64;
        let reports: Vec<Report> = (0..self.args.runs)
            .map(|_| self.fresh_step(Step::Ingest, durability, &[]))
            .collect::<Result<_>>()?;
        let each = |value: &dyn Fn(&Report) -> f64| reports.iter().map(value).collect::<Vec<_>>();
        let last = &reports[reports.len() - 1];
        self.print(&name, "rows/s", each(&|r| rows / r["seconds"][0]));
        let figure = self.figure(
            &format!("{name}_flushed"),
            "rows/s",
            each(&|r| rows / (r["seconds"][0] + r["seconds"][1])),
        );
        let note = format!(
            "{} flushes of {:.2} s in all, {} waits for memory, {} fsyncs of the log",
            last["flushes"][0], last["flushes"][1], last["waits"][0], last["syncs"][0],
        );
        print_figure(Figure { note: Some(note), ..figure });
        let closed = |r: &Report| rows / r["seconds"].iter().sum::<f64>();
        self.print(&format!("{name}_closed"), "rows/s", each(&closed));
        for (i, percentile) in ["p50", "p99", "max"].into_iter().enumerate() {
            self.print(&format!("{name}_batch_{percentile}"), "ms", each(&|r| r["batch_ms"][i]));
        }
        let figure = self.figure(&format!("{name}_memory"), "MB", each(&|r| r["peak_mb"][0]));
        let note = match self.workload.late {
            0.0 => format!("budget {BUDGET_MB:.0} MB: 128 MiB of rows, 64 MiB of indexes"),
            _ => "the generator's backlog of late rows included".to_owned(),
        };
        print_figure(Figure { note: Some(note), ..figure });
        if durability == Durability::Relaxed {
            self.amplification(&reports);
        }
        Ok(())
    }

    /// What was written for what is kept, by the store's own counts and by the kernel's.
    fn amplification(&self, reports: &[Report]) {
        let each = |i: usize| reports.iter().map(|r| r["amplification"][i]).collect::<Vec<_>>();
        let last = &reports[reports.len() - 1];
        let mb = |name: &str, i: usize| last[name][i] / 1e6;
        let note = format!(
            "log {:.1} + flushed {:.1} + compacted {:.1} MB for {:.1} MB kept; the process wrote \
             {:.1} MB to the disk",
            mb("log", 0),
            mb("flushed", 0),
            mb("compacted", 1),
            mb("files", 1),
            mb("kernel", 0),
        );
        let figure = self.figure("amplification", "x", each(0));
        print_figure(Figure { note: Some(note), ..figure });
        let note = format!(
            "flushed {:.1} + compacted {:.1} MB, {:.1} MB in files",
            mb("flushed", 0),
            mb("compacted", 0),
            mb("files", 0),
        );
        let figure = self.figure("amplification_files", "x", each(1));
        print_figure(Figure { note: Some(note), ..figure });
        self.print("amplification_files_closed", "x", each(2));
    }

    fn writers(&self) -> Result<()> {
        for durability in [Durability::Relaxed, Durability::Durable] {
            if self.wants(&["writers", "8_writers"]) {
                self.prepared("8_writers", durability, WRITERS, 0)?;
            }
            if self.wants(&["writers", "prepared"]) {
                self.prepared("prepared", durability, 1, 0)?;
            }
        }
        if self.wants(&["writers", "tickets"]) {
            self.prepared("8_tickets", Durability::Durable, 1, 8)?;
            self.prepared("32_tickets", Durability::Durable, 1, 32)?;
        }
        Ok(())
    }

    fn prepared(
        &self,
        name: &str,
        durability: Durability,
        writers: u32,
        in_flight: u32,
    ) -> Result<()> {
        let more = ["--writers", &writers.to_string(), "--in-flight", &in_flight.to_string()]
            .map(str::to_owned);
        let reports: Vec<Report> = (0..self.args.runs)
            .map(|_| self.fresh_step(Step::Prepared, durability, &more))
            .collect::<Result<_>>()?;
        let rows = self.workload.rows() as f64;
        let name = format!("ingest_{}_{name}", durability.name());
        let written = reports.iter().map(|r| rows / r["seconds"][0]).collect();
        self.print(&name, "rows/s", written);
        let flushed = reports.iter().map(|r| rows / r["seconds"].iter().sum::<f64>()).collect();
        let figure = self.figure(&format!("{name}_flushed"), "rows/s", flushed);
        let note = format!("{} fsyncs of the log", reports[reports.len() - 1]["syncs"][0]);
        print_figure(Figure { note: Some(note), ..figure });
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        if self.wants(&["kill"]) {
            for durability in [Durability::Durable, Durability::Relaxed] {
                let name = format!("reopen_killed_{}", durability.name());
                let nine_tenths = self.workload.rows() as f64 * 0.9;
                self.killed(&name, durability, 0, nine_tenths)?;
            }
        }
        if self.wants(&["kill", "reopen_64mib"]) {
            // A smaller workload goes on until the log is full.
            let ticks = self.workload.ticks.max(LOG_ROWS / self.workload.devices);
            let workload = Options { ticks, ..self.workload };
            let suite = Suite { args: self.args, dir: self.dir.clone(), workload };
            suite.killed("reopen_64mib", Durability::Durable, LOG_BYTES, 0.0)?;
        }
        Ok(())
    }

    /// Kills a writer while it goes on writing, once so much is in the log and so many rows are
    /// acknowledged.
    fn killed(&self, name: &str, durability: Durability, log_bytes: u64, rows: f64) -> Result<()> {
        let (mut answered, mut opened) = (Vec::new(), Vec::new());
        let (mut lost, mut note) = (0, String::new());
        for _ in 0..self.args.runs {
            clear(&self.dir)?;
            let acknowledged = self.kill_writer(durability, log_bytes, rows)?;
            let report = self.step(Step::Reopen, durability, &[])?;
            let found = report["found"][0];
            // The batch in flight may be found without having been acknowledged.
            lost += (acknowledged - found).max(0.0) as u64;
            note = format!(
                "{acknowledged} rows acknowledged, {found} found, {:.1} MiB of log replayed",
                report["replayed"][0] / f64::from(1 << 20),
            );
            if report["damage"][0] > 0.0 {
                note += ", damage reported";
            }
            answered.push(report["reopen"][0]);
            opened.push(report["open"][0]);
        }
        let figure = self.figure(name, "ms", answered);
        print_figure(Figure { lost: Some(lost), note: Some(note), ..figure });
        self.print(&format!("{name}_open"), "ms", opened);
        match lost {
            0 => Ok(()),
            _ => Err(format!("{name}: {lost} acknowledged rows were lost").into()),
        }
    }

    fn kill_writer(&self, durability: Durability, log_bytes: u64, rows: f64) -> Result<f64> {
        let more = ["--log-bytes".to_owned(), log_bytes.to_string()];
        let mut writer =
            self.command(Step::Survive, durability, &more)?.stdout(Stdio::piped()).spawn()?;
        let (mut acknowledged, mut killed) = (0.0, false);
        // What the pipe still holds after the kill was acknowledged before it.
        for line in BufReader::new(writer.stdout.take().ok_or("the pipe is open")?).lines() {
            let line = line?;
            let mut numbers = line.split(' ').skip(1).map(str::parse::<f64>);
            let logged = numbers.next().ok_or("a report has numbers")??;
            acknowledged = numbers.next().ok_or("a report has two numbers")??;
            if !killed && logged >= log_bytes as f64 && acknowledged >= rows {
                killed = true;
                writer.kill()?;
            }
        }
        let status = writer.wait()?;
        if killed {
            Ok(acknowledged)
        } else {
            Err(format!("the writer ended by itself: {status}").into())
        }
    }

    /// Sizes of both variants, and all queries on the second store. Returns what was answered wrongly.
    fn sizes_and_queries(&mut self) -> Result<Vec<String>> {
        let whole = self.workload;
        if self.wants(&["disk"]) {
            self.workload.variant = Variant::Int;
            self.disk()?;
            self.workload = whole;
        }
        let asked: Vec<&str> =
            NAMES[..6].iter().copied().filter(|name| self.wants(&["queries", *name])).collect();
        let cold = self.wants(&["queries", "q7", "open_cold"]);
        let scan = self.wants(&["queries", "scan"]);
        if !self.wants(&["disk"]) && asked.is_empty() && !cold && !scan {
            return Ok(Vec::new());
        }
        if self.args.keep {
            self.dir = self.args.dir.join(format!(
                "tidelog-{}-{}x{}",
                whole.variant.name(),
                whole.devices,
                whole.ticks
            ));
        }
        let loaded = self.dir.with_extension("loaded");
        if self.wants(&["disk"]) {
            self.disk()?;
        } else if !(self.args.keep && loaded.exists()) {
            self.fresh_step(Step::Load, Durability::Relaxed, &[])?;
        }
        if self.args.keep {
            std::fs::write(&loaded, "")?;
        }
        let mut wrong = Vec::new();
        if !asked.is_empty() {
            self.queries(&asked, &mut wrong)?;
        }
        if cold {
            self.cold(&mut wrong)?;
        }
        if scan {
            self.scan(&mut wrong)?;
        }
        Ok(wrong)
    }

    fn disk(&self) -> Result<()> {
        let report = self.fresh_step(Step::Load, Durability::Relaxed, &[])?;
        let rows = self.workload.rows() as f64;
        self.print("load", "rows/s", vec![rows / report["seconds"][0]]);
        let bytes = disk_bytes(&self.dir)?;
        self.print("disk", "B", vec![bytes.apparent as f64]);
        self.print("disk_allocated", "B", vec![bytes.allocated as f64]);
        let values = rows * FIELD_COUNT as f64;
        self.print("disk_per_value", "B", vec![bytes.apparent as f64 / values]);
        Ok(())
    }

    fn queries(&self, asked: &[&str], wrong: &mut Vec<String>) -> Result<()> {
        let more = ["--query".to_owned(), asked.join(","), "--rounds".to_owned()]
            .into_iter()
            .chain([self.args.rounds.to_string()])
            .collect::<Vec<_>>();
        let mut report = self.step(Step::Queries, Durability::Relaxed, &more)?;
        for name in asked {
            let runs = report.remove(*name).ok_or("the step reports every query")?;
            let answer = self.checked(&report, name, wrong)?;
            print_figure(Figure { answer, ..self.figure(name, "ms", runs) });
        }
        Ok(())
    }

    fn cold(&self, wrong: &mut Vec<String>) -> Result<()> {
        for cached in [false, true] {
            let suffix = if cached { "_cached" } else { "" };
            let reports: Vec<Report> = (0..=RUNS)
                .map(|run| {
                    let mut more = vec!["--run".to_owned(), run.to_string()];
                    more.extend(cached.then(|| "--cached".to_owned()));
                    self.step(Step::Cold, Durability::Relaxed, &more)
                })
                .collect::<Result<_>>()?;
            let timed = |name: &str| reports[1..].iter().map(|r| r[name][0]).collect();
            self.print(&format!("open_cold{suffix}"), "ms", timed("open"));
            for name in ["q7", "q7_again"] {
                let answer = self.checked(&reports[0], name, wrong)?;
                let figure = self.figure(&format!("{name}{suffix}"), "ms", timed(name));
                print_figure(Figure { answer, ..figure });
            }
        }
        Ok(())
    }

    fn scan(&self, wrong: &mut Vec<String>) -> Result<()> {
        let report = self.step(Step::Scan, Durability::Relaxed, &[])?;
        if report["scan_answer"][0] != self.workload.rows() as f64 {
            wrong.push("scan".to_owned());
        }
        self.print("scan", "ms", report["scan"].clone());
        let [before, peak] = report["peak_mb"][..] else { return Err("two peaks".into()) };
        let figure = self.figure("scan_memory", "MB", vec![peak]);
        let note =
            format!("{before:.0} MB once open; budget {BUDGET_MB:.0} MB, of which no rows used");
        print_figure(Figure { note: Some(note), ..figure });
        Ok(())
    }

    /// The answer of run 0, held against a naive pass over the workload.
    fn checked(
        &self,
        report: &Report,
        name: &str,
        wrong: &mut Vec<String>,
    ) -> Result<Option<Answer>> {
        let numbers = &report[&format!("{name}_answer")];
        let answer = Answer { rows: numbers[0] as u64, checksum: numbers[1] };
        let number =
            NAMES.iter().position(|known| name.starts_with(known)).ok_or("a query's name")? + 1;
        let expected = Query::nth(number, 0, &self.workload).expected(self.workload);
        if !answer.agrees_with(&expected) {
            eprintln!("{name}: {answer:?}, not {expected:?}");
            wrong.push(name.to_owned());
        }
        Ok(Some(answer))
    }

    /// Runs a step on an empty directory.
    fn fresh_step(&self, step: Step, durability: Durability, more: &[String]) -> Result<Report> {
        clear(&self.dir)?;
        self.step(step, durability, more)
    }

    fn step(&self, step: Step, durability: Durability, more: &[String]) -> Result<Report> {
        let output = self.command(step, durability, more)?.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("step {} failed: {}", step.name(), output.status).into());
        }
        parse(std::str::from_utf8(&output.stdout)?)
    }

    fn command(&self, step: Step, durability: Durability, more: &[String]) -> Result<Command> {
        let Options { devices, ticks, variant, late, .. } = self.workload;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["step", step.name(), "--dir"]).arg(&self.dir);
        command.args(["--durability", durability.name()]);
        command.args(["--devices", &devices.to_string(), "--ticks", &ticks.to_string()]);
        command.args(["--variant", variant.name(), "--late", &late.to_string()]).args(more);
        Ok(command)
    }

    fn figure(&self, figure: &str, unit: &'static str, runs: Vec<f64>) -> Figure {
        Figure {
            engine: "tidelog",
            version: version(),
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
        print_figure(self.figure(figure, unit, runs));
    }
}

/// A line for the table, and one for whoever watches.
fn print_figure(figure: Figure) {
    println!("{figure}");
    let (least, median, greatest) = spread(&figure.runs);
    let late = if figure.workload.late > 0.0 { " late" } else { "" };
    let shown = match figure.unit {
        "rows/s" => {
            let millions = |rate: f64| rate * FIELD_COUNT as f64 / 1e6;
            let (least, median, greatest) = (millions(least), millions(median), millions(greatest));
            format!("{median:.2} M values/s ({least:.2}-{greatest:.2})")
        }
        unit => format!("{median:.4} {unit} ({least:.4}-{greatest:.4})"),
    };
    let note = figure.note.as_deref().unwrap_or_default();
    eprintln!("{:34} {}{late:5} {shown}  {note}", figure.figure, figure.workload.variant.name());
}

fn clear(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(std::fs::create_dir_all(dir)?)
}
