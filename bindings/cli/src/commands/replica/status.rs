//! `tidelog status`: how a running node stands with its peers.

use super::super::{print, print_json};
use super::print::status_text;
use super::socket;
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Show how the node that serves a store stands with its peers: state, lag, last agreement, rows and bytes.
#[derive(Args, Debug)]
pub(crate) struct StatusCommand {
    /// The store's directory.
    store: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        socket::ask(&self.store, &json!({ "ask": "status" }), |status| {
            if self.json { print_json(&status) } else { print(&status_text(&status)) }
        })?;
        Ok(Outcome::Done)
    }
}
