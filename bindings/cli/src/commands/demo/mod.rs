//! `tidelog demo`: real data in, a writer killed in mid-write, and proof that nothing acknowledged is
//! lost; then three replicas, one of them killed and left behind, and proof that they become equal.
//!
//! What the store answers is held against an oracle of the demo's own: the rows of the bundled files,
//! read by a few lines of code that know nothing of the store (`bundled.rs`), and the rows of the
//! writer, which follow from their number (`writer.rs`).

mod bundled;
mod check;
#[cfg(feature = "replication")]
mod replicas;
mod rounds;
mod writer;

#[cfg(feature = "replication")]
pub(super) use replicas::DemoReplica;
pub(super) use writer::DemoWriter;

use super::{bytes_on_disk, counted, grouped, print, print_json};
use crate::error::{CommandError, Outcome};
use check::Rows;
use clap::Args;
#[cfg(feature = "replication")]
use clap::ValueEnum;
use rounds::Round;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tidelog::{CollectionName, Store};

/// Import real data, kill a writer in mid-write, reopen, and prove that nothing acknowledged is lost; then kill one of
/// three replicas, write on, and prove that all become equal.
///
/// Takes some seconds; exits 1 if anything is not as claimed.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Keep the store in this directory, which must be empty or new. [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Instead: two replicas with this repair policy between them.
    #[cfg(feature = "replication")]
    #[arg(long)]
    policy: Option<DemoPolicy>,
}

/// A repair policy that can be shown.
#[cfg(feature = "replication")]
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum DemoPolicy {
    /// Over links where each byte is paid for: rollups at once, rows when they are cheap.
    Metered,
}

/// What was done and found. Every claim that does not hold is in `failures`.
struct Report<'d> {
    demo: &'d Demo,
    failures: Vec<String>,
    rows_compared: u64,
    windows_compared: u64,
    figures: serde_json::Map<String, Value>,
    /// Those of the replicas.
    #[cfg(feature = "replication")]
    replicas: serde_json::Map<String, Value>,
}

const ROUNDS: u64 = 3;

impl Demo {
    pub(super) fn run(self) -> Result<Outcome, CommandError> {
        let begun = Instant::now();
        let temporary;
        let directory = match &self.dir {
            Some(directory) => {
                require_empty(directory)?;
                directory.as_path()
            }
            None => {
                temporary = tempfile::tempdir()
                    .map_err(|source| CommandError::File { path: std::env::temp_dir(), source })?;
                temporary.path()
            }
        };
        let mut report = Report::new(&self);
        #[cfg(feature = "replication")]
        if let Some(DemoPolicy::Metered) = self.policy {
            report.replicate(directory, replicas::run_metered)?;
            return report.finish(&directory.join("replicas").join("office"), begun);
        }
        let path = directory.join("store");
        let expected = report.import(directory, &path)?;
        report.kill_and_reopen(&path)?;
        report.compare_all(&path, &expected)?;
        #[cfg(feature = "replication")]
        report.replicate(directory, replicas::run)?;
        report.finish(&path, begun)
    }
}

impl<'d> Report<'d> {
    fn new(demo: &'d Demo) -> Self {
        Report {
            demo,
            failures: Vec::new(),
            rows_compared: 0,
            windows_compared: 0,
            figures: serde_json::Map::new(),
            #[cfg(feature = "replication")]
            replicas: serde_json::Map::new(),
        }
    }

    fn say(&self, text: &str) -> Result<(), CommandError> {
        if self.demo.json { Ok(()) } else { print(&format!("{text}\n")) }
    }

    /// Imports the bundled files by the command that users type; what the store must hold then.
    fn import(
        &mut self,
        directory: &Path,
        store: &Path,
    ) -> Result<Vec<(CollectionName, Rows)>, CommandError> {
        self.say("1. Real data: three small sets, imported as you would")?;
        let mut expected = Vec::new();
        let mut imported = Vec::new();
        for set in &bundled::SETS {
            let file = directory.join(format!("{}.csv.zst", set.name));
            let failed = |source| CommandError::File { path: file.clone(), source };
            std::fs::write(&file, set.bytes).map_err(failed)?;
            let collection = format!("demo.{}", set.name);
            let output = Command::new(own_path()?)
                .args(["import", "--json"])
                .args([store.as_os_str(), collection.as_ref(), file.as_os_str()])
                .output()
                .map_err(failed)?;
            let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let lines = set.lines().map_err(failed)?;
            let rows = printed["rows"].as_u64().unwrap_or_default();
            if !output.status.success() || rows != lines {
                let told = String::from_utf8_lossy(&output.stderr);
                self.failures.push(format!(
                    "{}: {rows} of {lines} rows were imported; {}",
                    set.name,
                    told.trim()
                ));
            }
            let seconds = printed["seconds"].as_f64().unwrap_or_default();
            self.say(&format!(
                "   {collection}: {}, {} ({seconds:.2} s)",
                counted(rows, "row"),
                set.what
            ))?;
            imported.push(json!({ "collection": collection, "rows": rows, "seconds": seconds }));
            expected.push((CollectionName::parse(&collection)?, set.rows().map_err(failed)?));
        }
        self.figures.insert("imported".to_owned(), imported.into());
        Ok(expected)
    }

    /// Kills a writer, three times, and checks what is left after each.
    fn kill_and_reopen(&mut self, path: &Path) -> Result<(), CommandError> {
        self.say("2. A child process writes on, each batch acknowledged after its fsync, and is killed (SIGKILL)")?;
        let mut first_batch = 0;
        let mut rounds = Vec::new();
        for number in 0..ROUNDS {
            let round = Round::run(path, first_batch, number)?;
            self.say(&format!(
                "   killed after {} acknowledged batches; reopened in {:.0} ms: {} of {} acknowledged rows are there, {}",
                grouped(round.acknowledged),
                round.reopen_seconds * 1e3,
                grouped(round.rows_found.min(round.acknowledged_rows())),
                grouped(round.acknowledged_rows()),
                match round.whole_unacknowledged {
                    0 => "no part of another".to_owned(),
                    more => format!("and {more} whole batch that was not acknowledged yet"),
                },
            ))?;
            self.rows_compared += round.rows_found;
            first_batch = round.next_batch;
            rounds.push(round.to_json());
            self.failures.extend(round.failures);
        }
        self.figures.insert("rounds".to_owned(), rounds.into());
        Ok(())
    }

    /// Compares everything, asks questions, verifies, compacts, and compares again.
    fn compare_all(
        &mut self,
        path: &Path,
        expected: &[(CollectionName, Rows)],
    ) -> Result<(), CommandError> {
        self.say("3. All rows and hourly means against a computation of the demo's own")?;
        let store = Store::open(path)?;
        for compacted in [false, true] {
            if compacted {
                store.compact()?;
            }
            for (collection, rows) in expected {
                self.compare(&store, collection, rows)?;
            }
            let batches = self.figures["rounds"][ROUNDS as usize - 1]["next_batch"].as_u64();
            let rows = writer::rows(0..batches.unwrap_or_default());
            self.compare(&store, &writer::collection(), &rows)?;
        }
        let found = store.check(|_, _| true)?.findings;
        self.failures.extend(found.iter().map(ToString::to_string));
        store.close()?;
        self.say(&format!(
            "   {} and {} compared, before and after compaction; every byte verified",
            counted(self.rows_compared, "row"),
            counted(self.windows_compared, "hourly mean")
        ))
    }

    fn compare(
        &mut self,
        store: &Store,
        collection: &CollectionName,
        expected: &Rows,
    ) -> Result<(), CommandError> {
        let found = check::rows_of(store, collection)?;
        self.rows_compared += found.len() as u64;
        if let Some(difference) = check::difference(expected, &found) {
            self.failures.push(format!("{collection}: {difference}"));
        }
        let (windows, difference) = check::hourly_means(store, collection, expected)?;
        self.windows_compared += windows;
        self.failures.extend(difference.map(|text| format!("{collection}: {text}")));
        Ok(())
    }

    /// Replicas, and what they are to show. What ends this part early is a claim that does not hold.
    #[cfg(feature = "replication")]
    fn replicate(
        &mut self,
        directory: &Path,
        run: impl FnOnce(&mut Self, PathBuf) -> Result<(), replicas::Stop>,
    ) -> Result<(), CommandError> {
        let ended = run(self, directory.join("replicas"));
        self.figures
            .insert("replicas".to_owned(), Value::Object(std::mem::take(&mut self.replicas)));
        match ended {
            Ok(()) => Ok(()),
            Err(replicas::Stop::Claim(text)) => {
                self.failures.push(text);
                Ok(())
            }
            Err(replicas::Stop::Command(error)) => Err(error),
        }
    }

    fn finish(mut self, path: &Path, begun: Instant) -> Result<Outcome, CommandError> {
        let bytes = bytes_on_disk(path)
            .map_err(|source| CommandError::File { path: path.to_owned(), source })?;
        let seconds = begun.elapsed().as_secs_f64();
        let ok = self.failures.is_empty();
        if self.demo.json {
            let figures = &mut self.figures;
            figures.insert("ok".to_owned(), ok.into());
            figures.insert("failures".to_owned(), self.failures.into());
            figures.insert("rows_compared".to_owned(), self.rows_compared.into());
            figures.insert("windows_compared".to_owned(), self.windows_compared.into());
            figures.insert("bytes_on_disk".to_owned(), bytes.into());
            figures.insert("seconds".to_owned(), seconds.into());
            print_json(&Value::Object(self.figures))?;
        } else {
            for failure in &self.failures {
                print(&format!("NOT AS CLAIMED: {failure}\n"))?;
            }
            let verdict = if ok { "All as claimed" } else { "Not all is as claimed" };
            print(&format!("{verdict}: {seconds:.1} s, {} bytes on disk\n", grouped(bytes)))?;
            if self.demo.dir.is_some() {
                print(&format!("Look around: tidelog info {}\n", path.display()))?;
            }
        }
        Ok(if ok { Outcome::Done } else { Outcome::Found })
    }
}

/// This program, to be run again.
fn own_path() -> Result<PathBuf, CommandError> {
    std::env::current_exe()
        .map_err(|source| CommandError::File { path: PathBuf::from("tidelog"), source })
}

fn require_empty(directory: &Path) -> Result<(), CommandError> {
    let failed = |source| CommandError::File { path: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(failed)?;
    if directory.read_dir().map_err(failed)?.next().is_some() {
        let directory = directory.display();
        return Err(CommandError::Usage(format!("{directory} is not empty: name a new directory")));
    }
    Ok(())
}
