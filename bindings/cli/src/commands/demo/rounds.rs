//! One round: a writer is started, killed in mid-write, and what is left is compared with what it said.

use super::check::{self, Rows};
use super::{own_path, writer};
use crate::error::CommandError;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidelog::Store;

/// What one round found.
pub(super) struct Round {
    first_batch: u64,
    /// Batches of this round that the writer acknowledged.
    pub(super) acknowledged: u64,
    /// Batches of this round that are there whole though nobody was told.
    pub(super) whole_unacknowledged: u64,
    /// Rows of this round that are there.
    pub(super) rows_found: u64,
    pub(super) reopen_seconds: f64,
    /// What the next round begins with.
    pub(super) next_batch: u64,
    pub(super) failures: Vec<String>,
}

/// The writer works at least so long, and longer in each round, so that the kill meets flushes and
/// merges at different stages.
const WRITING: Duration = Duration::from_millis(700);
/// Or until so many batches are acknowledged, and more in each round: a fast machine would write so much that comparing it
/// takes most of the demo.
const ENOUGH: u64 = 400;
/// A writer that has acknowledged nothing by then is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

impl Round {
    pub(super) fn run(path: &Path, first_batch: u64, number: u64) -> Result<Self, CommandError> {
        let writing = WRITING + WRITING * number as u32 / 3;
        let acknowledged =
            write_and_kill(path, first_batch, writing, ENOUGH + ENOUGH * number / 3)?;
        let begun = Instant::now();
        let store = Store::open(path)?;
        let reopen_seconds = begun.elapsed().as_secs_f64();
        let mut round = Round {
            first_batch,
            acknowledged,
            whole_unacknowledged: 0,
            rows_found: 0,
            reopen_seconds,
            next_batch: first_batch + acknowledged,
            failures: Vec::new(),
        };
        if acknowledged == 0 {
            round.failures.push("the writer acknowledged nothing".to_owned());
            return Ok(round);
        }
        let mut found = check::rows_of(&store, &writer::collection())?;
        store.close()?;
        round.take_unacknowledged(&mut found);
        // All rounds so far: an acknowledged row stays.
        let expected = writer::rows(0..first_batch + acknowledged);
        if let Some(difference) = check::difference(&expected, &found) {
            round.failures.push(format!("after the kill, {difference}"));
        }
        Ok(round)
    }

    pub(super) fn acknowledged_rows(&self) -> u64 {
        self.acknowledged * writer::BATCH_ROWS
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "acknowledged_batches": self.acknowledged,
            "acknowledged_rows": self.acknowledged_rows(),
            "rows_found": self.rows_found,
            "whole_unacknowledged_batches": self.whole_unacknowledged,
            "reopen_seconds": self.reopen_seconds,
            "next_batch": self.next_batch,
        })
    }

    /// Takes rows of batches that were not acknowledged out of `found`: such a batch may be there, but
    /// only whole, and only the one that was on its way.
    fn take_unacknowledged(&mut self, found: &mut Rows) {
        let end = self.first_batch + self.acknowledged;
        let mut beyond: BTreeMap<u64, Rows> = BTreeMap::new();
        found.retain(|key, values| {
            let batch = writer::batch_of(key.1).unwrap_or(u64::MAX);
            self.rows_found += u64::from(batch >= self.first_batch);
            if batch >= end {
                beyond.entry(batch).or_default().insert(key.clone(), std::mem::take(values));
            }
            batch < end
        });
        for (batch, rows) in beyond {
            if batch != end {
                self.failures.push(format!("batch {batch} was never written, and has rows"));
            } else if let Some(difference) =
                check::difference(&writer::rows(batch..batch + 1), &rows)
            {
                self.failures.push(format!("a part of batch {batch} is there: {difference}"));
            } else {
                self.whole_unacknowledged += 1;
                self.next_batch += 1;
            }
        }
    }
}

/// Runs a writer for a while, or until it has acknowledged enough, and kills it; how many batches it acknowledged.
fn write_and_kill(
    path: &Path,
    first: u64,
    writing: Duration,
    enough: u64,
) -> Result<u64, CommandError> {
    let failed = |source| CommandError::File { path: path.to_owned(), source };
    let mut child = Command::new(own_path()?)
        .arg("demo-writer")
        .arg(path)
        .arg(first.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let pipe = child.stdout.take();
    let (told, heard) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || {
        let mut acknowledged = 0;
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
            // Numbers come one after the other; the last line may be cut off by the kill.
            if line.is_ok_and(|line| line.parse() == Ok(first + acknowledged)) {
                acknowledged += 1;
                let _ = told.send(());
            }
        }
        acknowledged
    });
    // The clock starts with the first acknowledgement, for a slow start must not end in nothing.
    if heard.recv_timeout(PATIENCE).is_ok() {
        let until = Instant::now() + writing;
        for _ in 1..enough {
            if heard.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                break;
            }
        }
    }
    child.kill().map_err(failed)?;
    child.wait().map_err(failed)?;
    Ok(listener.join().unwrap_or_default())
}
