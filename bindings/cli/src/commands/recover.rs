//! `tidelog recover`: makes a damaged store one that opens.

use super::verify::findings_json;
use super::{counted, print, print_json};
use crate::error::{CommandError, Outcome};
use crate::progress::Progress;
use clap::Args;
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;
use tidelog::RecoverReport;

/// Rebuild a damaged store, offline, from what can be read. Damage moves to quarantine/; nothing is
/// deleted. Exits 1 when there was damage.
#[derive(Args, Debug)]
pub(crate) struct Recover {
    /// The store's directory.
    store: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Recover {
    pub(super) fn run(self) -> Result<Outcome, CommandError> {
        let progress = Progress::new("recovering");
        let report = tidelog::recover(&self.store, |done, all| {
            progress.set(done, all);
            true
        })?;
        drop(progress);
        if self.json {
            let rescued: Vec<_> = report
                .rescued
                .iter()
                .map(|(damaged, new)| json!({ "damaged": damaged, "new": new }))
                .collect();
            let quarantined: Vec<_> = report
                .quarantined
                .iter()
                .map(|(path, why)| json!({ "path": path, "why": why }))
                .collect();
            print_json(&json!({
                "files": report.files.len(),
                "rows": report.rows,
                "listed_again": report.listed_again,
                "rescued": rescued,
                "quarantined": quarantined,
                "missing": report.missing,
                "log_records": report.log_records,
                "damage": findings_json(&report.findings),
                "notes": report.notes,
                "manifest_replaced": report.manifest_replaced,
            }))?;
        } else {
            print(&to_text(&report))?;
        }
        Ok(if report.findings.is_empty() { Outcome::Done } else { Outcome::Found })
    }
}

fn to_text(report: &RecoverReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for finding in &report.findings {
        let _ = writeln!(text, "damaged: {finding}");
    }
    for path in &report.missing {
        let _ = writeln!(text, "missing: {path}");
    }
    for path in &report.listed_again {
        let _ = writeln!(text, "found again: {path}");
    }
    for (damaged, new) in &report.rescued {
        let _ = writeln!(text, "rescued: what can be read of {damaged} is in {new}");
    }
    for (path, why) in &report.quarantined {
        let _ = writeln!(text, "to quarantine: {path} ({why})");
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = writeln!(
        text,
        "{}, {}, {} in the log; {}",
        counted(report.files.len() as u64, "file"),
        counted(report.rows, "row"),
        counted(report.log_records, "record"),
        if report.manifest_replaced { "the manifest was rebuilt" } else { "nothing was changed" },
    );
    text
}
