//! `tidelog backup`: a verified copy.

use super::{counted, grouped, print, print_json};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use crate::progress::Progress;
use clap::Args;
use std::path::PathBuf;

/// Copy a store to a new directory, digests verified. The copy opens like any other store; adopt it
/// first to write to both.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The store's directory.
    store: PathBuf,
    /// The copy: a directory that is empty or does not exist.
    dest: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.write(&self.store, false)?;
        let progress = Progress::new("copying");
        let report = store.backup(&self.dest, |done, all| {
            progress.set(done, all);
            true
        })?;
        drop(progress);
        store.close()?;
        if self.json {
            print_json(&serde_json::json!({
                "files": report.files, "bytes": report.bytes, "rows": report.rows,
            }))?;
        } else {
            let (files, rows) = (counted(report.files, "file"), counted(report.rows, "row"));
            print(&format!("{files}, {rows}, {} bytes\n", grouped(report.bytes)))?;
        }
        Ok(Outcome::Done)
    }
}
