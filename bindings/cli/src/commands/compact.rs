//! `tidelog compact`: everything into few, small files.

use super::{bytes_on_disk, grouped, print, print_json};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use crate::progress::Progress;
use clap::Args;
use std::path::PathBuf;
use std::time::Instant;

/// Merge the files of a store, for size and speed, and free what deletes and retention hide.
#[derive(Args, Debug)]
pub(crate) struct Compact {
    /// The store's directory.
    store: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Compact {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let begun = Instant::now();
        let store = opener.write(&self.store, false)?;
        let progress = Progress::new("compacting");
        store.compact_with(|done, all| {
            progress.set(done, all);
            true
        })?;
        drop(progress);
        let files = store.stats().files;
        store.close()?;
        let bytes = bytes_on_disk(&self.store)
            .map_err(|source| CommandError::File { path: self.store.clone(), source })?;
        let seconds = begun.elapsed().as_secs_f64();
        if self.json {
            print_json(&serde_json::json!({
                "files": files, "bytes_on_disk": bytes, "seconds": seconds,
            }))?;
        } else {
            let bytes = grouped(bytes);
            print(&format!("{files} files, {bytes} bytes on disk, {seconds:.1} s\n"))?;
        }
        Ok(Outcome::Done)
    }
}
