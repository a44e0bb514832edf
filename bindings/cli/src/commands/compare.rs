//! `tidelog compare`: where two stores differ, and in nothing else.

use super::{counted, print, print_json};
use crate::arguments::{Opener, parse_collection};
use crate::error::{CommandError, Outcome};
use crate::time::print_time;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use tidelog::{CollectionName, CompareReport, Difference, Store};

/// Compare two stores, by their digest trees: exit code 0 when they hold the same rows, 1 when not.
///
/// Each line is a device and a leaf window in which they differ, with the rows on both sides, and how many of
/// them are missing in the first store, extra in it, or have other values.
#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// A store's directory.
    a: PathBuf,
    /// Another.
    b: PathBuf,
    /// Only this collection, as database.collection. [default: all]
    #[arg(long, value_name = "DB.COLLECTION", value_parser = parse_collection)]
    collection: Option<CollectionName>,
    /// Stop after so many differences of a collection.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A collection compared.
struct Compared {
    name: CollectionName,
    report: CompareReport,
    found: Vec<Difference>,
}

impl Compare {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let (a, b) = (opener.read(&self.a)?, opener.read(&self.b)?);
        let names = match self.collection {
            Some(name) => BTreeSet::from([name]),
            None => names(&a)?.into_iter().chain(names(&b)?).collect(),
        };
        let mut all = Vec::new();
        for name in names {
            let mut found = Vec::new();
            let report = a.compare(&b, &name, |difference| {
                found.push(difference);
                found.len() < self.limit
            })?;
            all.push(Compared { name, report, found });
        }
        let differences: u64 = all.iter().map(|one| one.report.differences).sum();
        let digests: u64 = all.iter().map(|one| one.report.digests).sum();
        let equal = all.iter().all(|one| one.report.roots.0 == one.report.roots.1);
        if self.json {
            let all: Vec<Value> = all.iter().map(to_json).collect();
            print_json(&json!({ "equal": equal, "collections": all, "digests_loaded": digests }))?;
        } else {
            let mut text = String::new();
            all.iter().for_each(|one| write_text(&mut text, one));
            let loaded = counted(digests, "digest");
            let _ = if equal {
                writeln!(text, "equal ({loaded} loaded)")
            } else {
                let windows = counted(differences, "window");
                writeln!(text, "different: {windows} of devices ({loaded} loaded)")
            };
            print(&text)?;
        }
        Ok(if equal { Outcome::Done } else { Outcome::Found })
    }
}

fn names(store: &Store) -> Result<Vec<CollectionName>, CommandError> {
    Ok(store.collections()?.into_iter().map(|stats| stats.name).collect())
}

fn write_text(text: &mut String, compared: &Compared) {
    for found in &compared.found {
        let device = tidelog::model::device::to_text(&found.device);
        let (ours, theirs) = found.rows;
        let _ = writeln!(
            text,
            "{} {device} from {}: {ours} and {theirs} rows, {} missing, {} extra, {} mismatched",
            compared.name,
            print_time(found.window.first()),
            found.missing,
            found.extra,
            found.mismatched,
        );
    }
}

fn to_json(compared: &Compared) -> Value {
    let root = |root: Option<tidelog::Digest>| root.map(|digest| digest.to_string());
    let (a, b) = compared.report.roots;
    let differences: Vec<Value> = compared
        .found
        .iter()
        .map(|found| {
            json!({
                "device": tidelog::model::device::to_text(&found.device),
                "group": found.group.0,
                "from_ns": found.window.first(),
                "last_ns": found.window.last(),
                "rows_a": found.rows.0,
                "rows_b": found.rows.1,
                "missing": found.missing,
                "extra": found.extra,
                "mismatched": found.mismatched,
            })
        })
        .collect();
    json!({
        "collection": compared.name.to_string(),
        "root_a": root(a),
        "root_b": root(b),
        "differences": differences,
    })
}
