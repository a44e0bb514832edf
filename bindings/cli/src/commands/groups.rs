//! `tidelog groups`: the groups of a store, and which one a device is in.

use super::{grouped, print, print_json};
use crate::arguments::{Opener, parse_device};
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;
use tidelog::{CollectionName, Device, GroupInfo, Store};

/// Show the groups that devices are spread over, or the group of a device.
#[derive(Args, Debug)]
pub(crate) struct Groups {
    /// The store's directory.
    store: PathBuf,
    /// The collection of the devices.
    #[arg(value_name = "DB.COLLECTION", requires = "devices")]
    collection: Option<String>,
    /// Show the group of this device. It need not exist: its name decides.
    #[arg(long = "device", value_name = "D", value_parser = parse_device, requires = "collection")]
    devices: Vec<Device>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Groups {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.read(&self.store)?;
        match &self.collection {
            Some(name) => self.of_devices(&store, &CollectionName::parse(name)?)?,
            None if self.json => {
                let groups: Vec<_> = store.groups().iter().map(to_json).collect();
                print_json(&json!({ "groups": groups }))?;
            }
            None => print(&to_text(&store.groups()))?,
        }
        Ok(Outcome::Done)
    }

    fn of_devices(&self, store: &Store, collection: &CollectionName) -> Result<(), CommandError> {
        let groups = self.devices.iter().map(|device| {
            let group = store.group_of(collection, device).0;
            (device.to_text().into_owned(), group)
        });
        if self.json {
            let devices: Vec<_> =
                groups.map(|(device, group)| json!({ "device": device, "group": group })).collect();
            return print_json(&json!({ "devices": devices }));
        }
        let mut text = String::new();
        for (device, group) in groups {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{group}  {device}");
        }
        print(&text)
    }
}

fn to_json(info: &GroupInfo) -> serde_json::Value {
    let collections: Vec<String> = info.collections.iter().map(ToString::to_string).collect();
    json!({
        "group": info.group.0,
        "files": info.files,
        "bytes": info.bytes,
        "rows": info.rows,
        "memory_rows": info.memory_rows,
        "collections": collections,
    })
}

fn to_text(groups: &[GroupInfo]) -> String {
    let mut text = format!(
        "{:>5}  {:>5}  {:>14}  {:>14}  {:>14}  {:>11}\n",
        "group", "files", "bytes", "rows in files", "rows in memory", "collections"
    );
    for info in groups {
        let _ = writeln!(
            text,
            "{:>5}  {:>5}  {:>14}  {:>14}  {:>14}  {:>11}",
            info.group.0,
            info.files,
            grouped(info.bytes),
            grouped(info.rows),
            grouped(info.memory_rows),
            info.collections.len(),
        );
    }
    text
}
