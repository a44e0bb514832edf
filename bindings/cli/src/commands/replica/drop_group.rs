//! `tidelog drop-group`: removes a group that is not placed here any more, once the others have shown that they have it.

use super::super::{counted, grouped, print, print_json};
use super::socket;
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Have the node that serves a store remove the rows of a group that its configuration does not place on it any more.
///
/// Take the group out of `groups` under [node] first, and leave it in the [[peer]] of this node on the others until this is done: each
/// store that holds the group is compared with, and has to agree that it has all of it. Else nothing is removed, and it is said
/// which store did not agree, and why. What is written to the group here meanwhile and afterwards stays.
#[derive(Args, Debug)]
pub(crate) struct DropGroup {
    /// The directory of this node's store.
    store: PathBuf,
    /// The group's number.
    group: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl DropGroup {
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let request = json!({ "ask": "drop-group", "group": self.group });
        socket::ask(&self.store, &request, |done| {
            if self.json {
                return print_json(&done);
            }
            let number = |name: &str| done[name].as_u64().unwrap_or_default();
            let rows = counted(number("rows"), "row");
            print(&format!(
                "group {}: {rows} in {} bytes removed\n",
                self.group,
                grouped(number("bytes"))
            ))
        })?;
        Ok(Outcome::Done)
    }
}
