//! `tidelog digest`: what a collection holds, in 32 bytes.

use super::{print, print_json};
use crate::arguments::{Opener, Range, Target};
use crate::error::{CommandError, Outcome};
use crate::time::print_time;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;
use tidelog::{DigestRow, Level};

/// Print digests of a collection: equal rows give equal digests, in whatever store, order and files they are.
///
/// A line has the digest, then for windows the group and the window, and for series the device.
#[derive(Args, Debug)]
pub(crate) struct DigestArguments {
    #[command(flatten)]
    target: Target,
    /// Down to which level of the tree.
    #[arg(long, value_name = "LEVEL", default_value = "root")]
    level: DigestLevel,
    #[command(flatten)]
    range: Range,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum DigestLevel {
    /// One digest of all.
    Root,
    /// One per UTC year and group.
    Year,
    Month,
    Day,
    /// One per leaf window and group.
    Leaf,
    /// One per leaf window and device.
    Series,
}

impl DigestArguments {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let level = match self.level {
            DigestLevel::Root => Level::Root,
            DigestLevel::Year => Level::Year,
            DigestLevel::Month => Level::Month,
            DigestLevel::Day => Level::Day,
            DigestLevel::Leaf => Level::Window,
            DigestLevel::Series => Level::Series,
        };
        if level == Level::Root && !self.range.is_open() {
            let why = "the root is of all times: narrow a level below it, as --level day";
            return Err(CommandError::Usage(why.to_owned()));
        }
        let range = self.range.time_range()?;
        let store = opener.read(&self.target.store)?;
        let rows = store.digests(&self.target.collection, level, range)?;
        if self.json {
            let rows: Vec<Value> = rows.iter().map(to_json).collect();
            let collection = self.target.collection.to_string();
            print_json(
                &json!({ "collection": collection, "level": level.name(), "digests": rows }),
            )?;
        } else {
            let mut text = String::new();
            for row in &rows {
                let _ = writeln!(text, "{}", to_text(row));
            }
            if rows.is_empty() {
                text.push_str("no rows\n");
            }
            print(&text)?;
        }
        Ok(Outcome::Done)
    }
}

fn to_text(row: &DigestRow) -> String {
    let mut text = row.digest.to_string();
    if let Some(group) = row.group {
        let first = print_time(row.window.first());
        let _ = write!(text, "  {group}  {first}");
    }
    if let Some(device) = &row.device {
        let _ = write!(text, "  {}", tidelog::model::device::to_text(device));
    }
    text
}

fn to_json(row: &DigestRow) -> Value {
    json!({
        "digest": row.digest.to_string(),
        "group": row.group.map(|group| group.0),
        "from_ns": row.group.map(|_| row.window.first()),
        "last_ns": row.group.map(|_| row.window.last()),
        "device": row.device.as_deref().map(tidelog::model::device::to_text),
    })
}
