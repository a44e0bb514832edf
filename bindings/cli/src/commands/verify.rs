//! `tidelog verify`: reads every byte and says what is damaged.

use super::{counted, grouped, print, print_json};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use crate::progress::Progress;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use tidelog::{CheckReport, Finding, Kind};

/// Read every byte of a store and list all damage: file, series, window. Exits 1 when there is any.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The store's directory.
    store: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = match opener.read_quietly(&self.store) {
            Ok(store) => store,
            // So damaged that it does not open: that is what was asked.
            Err(CommandError::Open(error)) if error.kind() == Kind::Restore => {
                let what = error.to_string();
                if self.json {
                    let damage = json!([{ "path": Value::Null, "what": what }]);
                    print_json(&json!({ "clean": false, "damage": damage }))?;
                } else {
                    print(&format!("{what}\nthe store does not open: run `tidelog recover`\n"))?;
                }
                return Ok(Outcome::Found);
            }
            Err(error) => return Err(error),
        };
        let progress = Progress::new("verifying");
        let report = store.check(|done, all| {
            progress.set(done, all);
            true
        })?;
        drop(progress);
        if self.json {
            print_json(&to_json(&report))?
        } else {
            print(&to_text(&report))?
        }
        Ok(if report.is_clean() { Outcome::Done } else { Outcome::Found })
    }
}

fn to_json(report: &CheckReport) -> Value {
    json!({
        "clean": report.is_clean(),
        "files": report.files,
        "pages": report.pages,
        "rows": report.rows,
        "bytes": report.bytes,
        "log_records": report.log_records,
        "damage": findings_json(&report.findings),
    })
}

/// Each with file, series and window, `null` where the damage is not of one.
pub(super) fn findings_json(findings: &[Finding]) -> Vec<Value> {
    let one = |finding: &Finding| {
        json!({
            "path": finding.path,
            "collection": finding.collection.as_ref().map(ToString::to_string),
            "device": finding.device,
            "first_ns": finding.range.map(tidelog::TimeRange::first),
            "last_ns": finding.range.map(tidelog::TimeRange::last),
            "what": finding.what,
        })
    };
    findings.iter().map(one).collect()
}

fn to_text(report: &CheckReport) -> String {
    let read = format!(
        "{}, {}, {}, {} bytes",
        counted(report.files, "file"),
        counted(report.pages, "page"),
        counted(report.rows, "row"),
        grouped(report.bytes)
    );
    if report.is_clean() {
        return format!("all is well: {read}\n");
    }
    let damage: String = report.findings.iter().map(|finding| format!("{finding}\n")).collect();
    format!(
        "{damage}{} in {read}: restore from a backup, or run `tidelog recover`\n",
        counted(report.findings.len() as u64, "finding")
    )
}
