//! `tidelog info`: what a store holds and what it costs.

use super::{bytes_on_disk, counted, grouped, hex, print, print_json};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use crate::time::print_time;
use clap::Args;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use tidelog::{CollectionStats, Retention, Stats, StoreId, TierStats};

/// Show collections, devices, rows, values, times, and what they take.
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// The store's directory.
    store: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Everything that is shown.
struct Figures {
    id: StoreId,
    collections: Vec<CollectionStats>,
    tiers: Vec<TierStats>,
    stats: Stats,
    bytes_on_disk: u64,
}

impl Info {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.read(&self.store)?;
        let figures = Figures {
            id: store.store_id(),
            collections: store.collections()?,
            tiers: store.tiers(),
            stats: store.stats(),
            bytes_on_disk: bytes_on_disk(&self.store)
                .map_err(|source| CommandError::File { path: self.store.clone(), source })?,
        };
        if self.json {
            print_json(&figures.to_json())?
        } else {
            print(&figures.to_text())?
        }
        Ok(Outcome::Done)
    }
}

impl Figures {
    fn sum(&self, of: impl Fn(&CollectionStats) -> u64) -> u64 {
        self.collections.iter().map(of).sum()
    }

    fn range(&self) -> Option<(i64, i64)> {
        let ranges = || self.collections.iter().filter_map(|stats| stats.range);
        Some((ranges().map(|(first, _)| first).min()?, ranges().map(|(_, last)| last).max()?))
    }

    fn to_json(&self) -> Value {
        let collections: Vec<Value> = self.collections.iter().map(collection_json).collect();
        let tiers: Vec<Value> = self.tiers.iter().map(tier_json).collect();
        let stats = &self.stats;
        json!({
            "store_id": hex(self.id),
            "collections": collections,
            "devices": self.sum(|stats| stats.devices),
            "rows": self.sum(|stats| stats.rows),
            "values": self.sum(|stats| stats.values),
            "time_range": range_json(self.range()),
            "tiers": tiers,
            "files": stats.files,
            "files_broken": stats.files_broken,
            "file_bytes": stats.file_bytes,
            "wal_bytes": stats.log_bytes,
            "wal_segments": stats.log_segments,
            "bytes_on_disk": self.bytes_on_disk,
            "tombstones": stats.tombstones,
            "memory": {
                "bytes": stats.memory_bytes,
                "rows": stats.memory_rows,
                "budget": stats.memory_budget,
                "cache_bytes": stats.cache_bytes,
            },
        })
    }

    fn to_text(&self) -> String {
        let mut text = format!("store {}\n", hex(self.id));
        // Writing to a string cannot fail.
        for collection in &self.collections {
            let _ = writeln!(text, "\n{}", collection.name);
            let _ = writeln!(
                text,
                "  {}, {}, {}",
                counted(collection.devices, "device"),
                counted(collection.rows, "row"),
                counted(collection.values, "value")
            );
            if let Some((first, last)) = collection.range {
                let _ = writeln!(text, "  {} to {}", print_time(first), print_time(last));
            }
            let fields: Vec<String> =
                collection.fields.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
            let _ = writeln!(text, "  fields: {}", fields.join(", "));
            if collection.retention != Retention::FOREVER {
                let _ = writeln!(text, "  kept: {}", collection.retention);
            }
            if let Some(cut) = collection.cut {
                let _ = writeln!(text, "  rows are kept from {} on", print_time(cut));
            }
            let [leaves, days, months, years] = collection.dirty;
            if leaves + days > 0 {
                let _ = writeln!(
                    text,
                    "  to be sealed: {}, {} above them",
                    counted(leaves, "leaf window"),
                    counted(days + months + years, "rollup"),
                );
            }
        }
        let stats = &self.stats;
        let _ = writeln!(text, "\non disk: {} bytes", grouped(self.bytes_on_disk));
        for tier in &self.tiers {
            let per_value = per_value(tier)
                .map_or(String::new(), |bytes| format!(", {bytes:.3} bytes per value"));
            let _ = writeln!(
                text,
                "  {}{}: {} bytes in {}{per_value}",
                tier.tier,
                if tier.settled { " settled" } else { "" },
                grouped(tier.bytes),
                counted(tier.files, "file"),
            );
        }
        let _ = writeln!(
            text,
            "  log: {} bytes in {}",
            grouped(stats.log_bytes),
            counted(stats.log_segments, "segment")
        );
        let _ = writeln!(
            text,
            "in memory: {} bytes, {}",
            grouped(stats.memory_bytes),
            counted(stats.memory_rows, "row")
        );
        if stats.files_broken > 0 {
            let broken = counted(stats.files_broken, "file");
            let _ = writeln!(text, "{broken} cannot be read: run `tidelog verify`");
        }
        text
    }
}

fn collection_json(collection: &CollectionStats) -> Value {
    let fields: Map<String, Value> =
        collection.fields.iter().map(|(name, kind)| (name.clone(), kind.name().into())).collect();
    json!({
        "name": collection.name.to_string(),
        "devices": collection.devices,
        "rows": collection.rows,
        "values": collection.values,
        "time_range": range_json(collection.range),
        "fields": fields,
        "retention": retention_json(collection.retention),
        "rows_from_ns": collection.cut,
        "dirty": tiers_json(collection.dirty),
    })
}

/// Days by tier; none: for ever.
fn retention_json(retention: Retention) -> Value {
    let tiers = ["raw", "1h", "1d", "1mo", "1y"];
    let days = |tier: &str| Value::from(retention.days(tier));
    Value::Object(tiers.map(|tier| (tier.to_owned(), days(tier))).into_iter().collect())
}

fn tiers_json([leaves, days, months, years]: [u64; 4]) -> Value {
    json!({ "1h": leaves, "1d": days, "1mo": months, "1y": years })
}

fn tier_json(tier: &TierStats) -> Value {
    json!({
        "tier": tier.tier,
        "settled": tier.settled,
        "files": tier.files,
        "bytes": tier.bytes,
        "rows": tier.rows,
        "values": tier.values,
        "bytes_per_value": per_value(tier),
    })
}

/// First and last, both included, in nanoseconds since 1970.
fn range_json(range: Option<(i64, i64)>) -> Value {
    range.map_or(Value::Null, |(first, last)| json!({ "first_ns": first, "last_ns": last }))
}

fn per_value(tier: &TierStats) -> Option<f64> {
    (tier.values > 0).then(|| tier.bytes as f64 / tier.values as f64)
}
