//! `tidelog repair`: a comparison now, and the repair of what differs.

use super::super::{print, print_json};
use super::print::report_text;
use super::socket;
use crate::arguments::{Range, parse_collection};
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use tidelog::CollectionName;

/// Have the node that serves a store compare itself with its peers now, and repair what differs; prints what came of it.
///
/// Exits 1 if a comparison did not end with equal stores, or with an equal part where a part was asked for.
#[derive(Args, Debug)]
pub(crate) struct Repair {
    /// The store's directory.
    store: PathBuf,
    /// Only with this peer.
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Only this collection, as database.collection. [default: all]
    #[arg(long, value_name = "DB.COLLECTION", value_parser = parse_collection)]
    collection: Option<CollectionName>,
    /// Of the collection, only the whole UTC hours that this range touches.
    #[command(flatten)]
    range: Range,
    /// Print one JSON object for each peer.
    #[arg(long)]
    json: bool,
}

impl Repair {
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let mut outcome = Outcome::Done;
        if self.collection.is_none() && !self.range.is_open() {
            let needs = "--from and --to are times of a collection: name it with --collection";
            return Err(CommandError::Usage(needs.to_owned()));
        }
        let range = self.range.time_range()?;
        let request = json!({
            "ask": "check",
            "peer": self.peer,
            "collection": self.collection.as_ref().map(ToString::to_string),
            "first_ns": range.first(),
            "last_ns": range.last(),
        });
        socket::ask(&self.store, &request, |report| {
            let left_out = report["left_out"].as_object();
            let part_equal = report["outcome"].as_str() == Some("partial")
                && left_out.is_some_and(|left_out| left_out.keys().all(|why| why == "NotAsked"));
            if report["outcome"].as_str() != Some("agreed") && !part_equal {
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
