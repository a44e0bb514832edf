//! `tidelog repair`: a comparison now, and the repair of what differs.

use super::super::{print, print_json};
use super::print::report_text;
use super::socket;
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Have the node that serves a store compare itself with its peers now, and repair what differs; prints what came of it.
///
/// Exits 1 if a comparison did not end with equal stores.
#[derive(Args, Debug)]
pub(crate) struct Repair {
    /// The store's directory.
    store: PathBuf,
    /// Only with this peer.
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Print one JSON object for each peer.
    #[arg(long)]
    json: bool,
}

impl Repair {
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let mut outcome = Outcome::Done;
        let request = json!({ "ask": "check", "peer": self.peer });
        socket::ask(&self.store, &request, |report| {
            if report["outcome"].as_str() != Some("agreed") {
                outcome = Outcome::Found;
            }
            if self.json {
                print_json(&report)
            } else {
                print(&format!("{}\n", report_text(&report)))
            }
        })?;
        Ok(outcome)
    }
}
