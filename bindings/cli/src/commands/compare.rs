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
/// them are missing in the first store, extra in it, or have other values. The second store may be one that a
/// node serves elsewhere (--peer); then what was written a moment ago is left out, and neither store is changed.
#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// A store's directory.
    a: PathBuf,
    /// Another.
    #[cfg_attr(
        feature = "replication",
        arg(required_unless_present = "peer", conflicts_with = "peer")
    )]
    #[cfg_attr(not(feature = "replication"), arg(required = true))]
    b: Option<PathBuf>,
    #[cfg(feature = "replication")]
    #[command(flatten)]
    node: OtherNode,
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

/// A node that serves the other store.
#[cfg(feature = "replication")]
#[derive(Args, Debug)]
struct OtherNode {
    /// Where the node listens that serves the second store.
    #[arg(long, value_name = "HOST:PORT", requires = "fingerprint", requires = "identity")]
    peer: Option<String>,
    /// The node's fingerprint, as its `tidelog pair` prints it.
    #[arg(long, value_name = "TL1", requires = "peer")]
    fingerprint: Option<tidelog::replication::identity::Fingerprint>,
    /// The folder of the first store's key and certificate, from `tidelog cert`.
    #[arg(long, value_name = "DIR", requires = "peer")]
    identity: Option<PathBuf>,
    /// Give up after so many seconds without success.
    #[arg(long, value_name = "S", default_value_t = 300)]
    timeout: u64,
}

#[cfg(feature = "replication")]
impl OtherNode {
    fn visit(&self) -> Option<super::replica::Visit> {
        Some(super::replica::Visit {
            peer: self.peer.clone()?,
            fingerprint: self.fingerprint?,
            identity: self.identity.clone()?,
            timeout: self.timeout,
        })
    }
}

/// A collection compared.
struct Compared {
    name: CollectionName,
    report: CompareReport,
    found: Vec<Difference>,
}

impl Compare {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        #[cfg(feature = "replication")]
        if let Some(visit) = self.node.visit() {
            return self.visit(opener, &visit);
        }
        let Some(b) = &self.b else {
            return Err(CommandError::Usage("name two stores".to_owned()));
        };
        let (a, b) = (opener.read(&self.a)?, opener.read(b)?);
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
            all.iter().for_each(|one| write_lines(&mut text, &one.name, &one.found));
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

#[cfg(feature = "replication")]
impl Compare {
    /// Compares with a store that a node serves.
    fn visit(
        &self,
        opener: &Opener,
        visit: &super::replica::Visit,
    ) -> Result<Outcome, CommandError> {
        use std::collections::BTreeMap;
        use tidelog::replication::protocol::{Config, Outcome as Ended, compare::Only};
        let store = opener.write(&self.a, false)?;
        let only = self.collection.clone().map(|name| Only::new(name, tidelog::TimeRange::ALL));
        let ended = visit.compare(&store, Config { tell: true, only, ..Config::default() });
        store.close()?;
        let (outcome, report) = ended?;
        let equal =
            outcome == Ended::Agreed || self.collection.is_some() && report.differences.is_empty();
        let mut found: BTreeMap<CollectionName, Vec<Difference>> = BTreeMap::new();
        for one in report.differences.into_iter().take(self.limit) {
            let difference = Difference {
                window: one.range,
                group: one.scope.group,
                device: one.device.into(),
                rows: one.rows,
                missing: one.missing,
                extra: one.extra,
                mismatched: one.mismatched,
            };
            found.entry(one.scope.collection).or_default().push(difference);
        }
        for found in found.values_mut() {
            found.sort_by(|a, b| (a.window.first(), &a.device).cmp(&(b.window.first(), &b.device)));
        }
        let count: usize = found.values().map(Vec::len).sum();
        if self.json {
            let all: Vec<Value> = found
                .iter()
                .map(|(name, found)| json!({ "collection": name.to_string(), "differences": list(found) }))
                .collect();
            print_json(&json!({
                "equal": equal,
                "collections": all,
                "deletes_or_schemas_differ": report.state_differs,
                "bytes_sent": report.sent,
                "bytes_received": report.received,
            }))?;
        } else {
            let mut text = String::new();
            found.iter().for_each(|(name, found)| write_lines(&mut text, name, found));
            if report.state_differs {
                let _ = writeln!(text, "deletes, schemas or options differ");
            }
            let bytes = super::grouped(report.sent + report.received);
            let _ = if equal {
                writeln!(text, "equal ({bytes} bytes)")
            } else {
                let windows = counted(count as u64, "window");
                writeln!(text, "different: {windows} of devices ({bytes} bytes)")
            };
            print(&text)?;
        }
        Ok(if equal { Outcome::Done } else { Outcome::Found })
    }
}

fn names(store: &Store) -> Result<Vec<CollectionName>, CommandError> {
    Ok(store.collections()?.into_iter().map(|stats| stats.name).collect())
}

fn write_lines(text: &mut String, name: &CollectionName, found: &[Difference]) {
    for found in found {
        let device = tidelog::model::device::to_text(&found.device);
        let (ours, theirs) = found.rows;
        let _ = writeln!(
            text,
            "{} {device} from {}: {ours} and {theirs} rows, {} missing, {} extra, {} mismatched",
            name,
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
    json!({
        "collection": compared.name.to_string(),
        "root_a": root(a),
        "root_b": root(b),
        "differences": list(&compared.found),
    })
}

fn list(found: &[Difference]) -> Vec<Value> {
    found
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
        .collect()
}
