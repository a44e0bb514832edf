//! `tidelog sync`: one comparison with one peer, for cron and laptops.

use super::super::{print, print_json};
use super::print::{report_json, report_text};
use super::visit::Visit;
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use clap::Args;
use std::path::PathBuf;
use tidelog::replication::protocol::{Config, Outcome as SyncOutcome};

/// Compare a store with a running node once, repair what differs in both, and end. What was just written goes too.
///
/// Exits 1 if the stores are not equal afterwards.
#[derive(Args, Debug)]
pub(crate) struct Sync {
    /// The store's directory.
    store: PathBuf,
    #[command(flatten)]
    visit: Visit,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Sync {
    pub(crate) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.write(&self.store, true)?;
        let ended = self.visit.compare(&store, Config::default());
        store.close()?;
        let (outcome, report) = ended?;
        let report = report_json(&self.visit.peer, &outcome, &report);
        if self.json {
            print_json(&report)?
        } else {
            print(&format!("{}\n", report_text(&report)))?
        }
        Ok(if outcome == SyncOutcome::Agreed { Outcome::Done } else { Outcome::Found })
    }
}
