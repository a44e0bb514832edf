//! `tidelog demo --policy metered`: a link where each byte is paid for. Rollups cross at once and answer for days; the rows
//! follow when they are cheap, and take their place.

use super::levels;
use super::plan::{self, Plan};
use super::process::Process;
use super::{PATIENCE, PAUSE, Stop, prepare, shortly};
use crate::commands::demo::Report;
use crate::commands::demo::check::Rows;
use crate::commands::{counted, grouped};
use crate::error::CommandError;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tidelog::Store;

/// The one that has the rows, and the one that decides.
const NAMES: [&str; 2] = ["gateway", "office"];
const DAY: i64 = 86_400_000_000_000;
const MINUTES_OF_DAY: i64 = 1_440;

struct Pair {
    gateway: Process,
    office: Process,
    oracle: Rows,
}

/// Runs it; the stores and configurations stay in the folder.
pub(in super::super) fn run(report: &mut Report<'_>, folder: PathBuf) -> Result<(), Stop> {
    report.say("1. A gateway with real data and an office, over QUIC on loopback; each byte of the link is paid for")?;
    prepare(&folder, &NAMES, "cost = \"metered\"\n")?;
    let mut pair = Pair::start(&folder)?;
    let plan = Plan::new().map_err(|error| error.to_string())?;
    for (_, step) in &plan.filling {
        pair.gateway.ask(&step.to_json())?;
        step.apply(&mut pair.oracle);
    }
    pair.gateway.ask(&json!({ "do": "seal" }))?;
    report.say(&format!("   {} on the gateway", counted(pair.oracle.len() as u64, "row")))?;
    pair.lend(report)?;
    pair.send_rows(report)?;
    pair.close_and_compare(report, &folder)
}

impl Pair {
    fn start(folder: &Path) -> Result<Self, String> {
        let start = |name: &'static str| Process::start(name, &folder.join(format!("{name}.toml")));
        Ok(Pair { gateway: start(NAMES[0])?, office: start(NAMES[1])?, oracle: Rows::new() })
    }

    /// Rows may not cross yet: rollups do.
    fn lend(&self, report: &mut Report<'_>) -> Result<(), Stop> {
        let minute = jiff::Timestamp::now().as_second().div_euclid(60).rem_euclid(MINUTES_OF_DAY);
        let [from, to] = [720, 780].map(|later| (minute + later) % MINUTES_OF_DAY);
        let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        report.say(&format!(
            "2. The policy `metered` of the office: rows cross from {} to {} UTC, it is {}",
            clock(from),
            clock(to),
            clock(minute)
        ))?;
        let begun = Instant::now();
        self.gateway.ask(&json!({ "do": "join" }))?;
        self.office.ask(&json!({ "do": "join", "raw_minutes": [from, to] }))?;
        let borrowed = self.wait_for_days(|borrowed| borrowed > 0)?;
        // What was borrowed may be asked before the comparison that brought it has ended.
        let bytes = self.wait_for_bytes(0)?;
        let seconds = begun.elapsed().as_secs_f64();
        let taken = self.peer()?["rows_taken"].as_u64().unwrap_or_default();
        if taken > 0 {
            return Err(format!("{taken} rows crossed, and none was to").into());
        }
        let days = days_of(&self.oracle).values().map(BTreeMap::len).sum::<usize>() as u64;
        report.say(&format!(
            "   after {seconds:.2} s the office answers {} right, from {} borrowed rollups; no row has crossed: {} bytes",
            counted(days, "day"),
            grouped(borrowed),
            grouped(bytes)
        ))?;
        let figures = &mut report.replicas;
        figures.insert("days".to_owned(), days.into());
        figures.insert("rollups_borrowed".to_owned(), borrowed.into());
        figures.insert("bytes_of_rollups".to_owned(), bytes.into());
        Ok(())
    }

    /// Another policy takes over while the nodes run: rows may cross.
    fn send_rows(&self, report: &mut Report<'_>) -> Result<(), Stop> {
        report.say("3. The policy is swapped while both run: rows may cross at any time")?;
        let (begun, before) = (Instant::now(), self.compared()?);
        self.office.ask(&json!({ "do": "policy", "raw_minutes": [0, 0] }))?;
        let root = self.wait_until_equal()?;
        self.wait_for_days(|borrowed| borrowed == 0)?;
        let seconds = begun.elapsed().as_secs_f64();
        let bytes = self.wait_for_bytes(before)?;
        let taken = self.peer()?["rows_taken"].as_u64().unwrap_or_default();
        report.say(&format!(
            "   after {seconds:.2} s both have root {}: {} crossed in {} bytes, and nothing is borrowed any more",
            shortly(&root),
            counted(taken, "row"),
            grouped(bytes)
        ))?;
        let figures = &mut report.replicas;
        figures.insert("rows_taken".to_owned(), taken.into());
        figures.insert("bytes_of_rows".to_owned(), bytes.into());
        figures.insert("root".to_owned(), root.into());
        Ok(())
    }

    /// Ends both, and compares each store with the oracle.
    fn close_and_compare(self, report: &mut Report<'_>, folder: &Path) -> Result<(), Stop> {
        self.gateway.close()?;
        self.office.close()?;
        for name in NAMES {
            let store = Store::open(folder.join(name)).map_err(CommandError::from)?;
            report.compare(&store, &plan::collection(), &self.oracle)?;
            store.close().map_err(CommandError::from)?;
        }
        report.say("   all rows and hourly means of both compared with the demo's own")?;
        Ok(())
    }

    /// How the office stands with the gateway.
    fn peer(&self) -> Result<Value, String> {
        Ok(self.office.ask(&json!({ "do": "status" }))?[NAMES[0]].take())
    }

    fn compared(&self) -> Result<u64, String> {
        Ok(self.peer()?["compared_bytes"].as_u64().unwrap_or_default())
    }

    /// Waits for a comparison to end, and says what it and those before took since.
    fn wait_for_bytes(&self, before: u64) -> Result<u64, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let bytes = self.compared()?;
            if bytes > before {
                return Ok(bytes - before);
            }
            if Instant::now() > until {
                return Err("no comparison of the office has ended".to_owned());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the office counts the rows of all days right, with as many borrowed rollups as is asked for.
    fn wait_for_days(&self, is_enough: impl Fn(u64) -> bool) -> Result<u64, String> {
        let (expected, until) = (days_of(&self.oracle), Instant::now() + PATIENCE);
        loop {
            let (mut borrowed, mut wrong) = (0, BTreeSet::new());
            for (device, days) in &expected {
                let answer = self.office.ask(&json!({ "do": "days", "device": device }))?;
                borrowed += answer["borrowed"].as_u64().unwrap_or_default();
                let day = |day: &Value| Some((day[0].as_i64()?, day[1].as_u64()?));
                let found = answer["days"].as_array().into_iter().flatten().filter_map(day);
                let found: BTreeMap<i64, u64> = found.filter(|(_, rows)| *rows > 0).collect();
                if found != *days {
                    wrong.insert(device.as_str());
                }
            }
            if wrong.is_empty() && is_enough(borrowed) {
                return Ok(borrowed);
            }
            if Instant::now() > until {
                let text =
                    format!("the office answers wrong for {wrong:?}, {borrowed} rollups borrowed");
                return Err(format!("after {} s {text}", PATIENCE.as_secs()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn wait_until_equal(&self) -> Result<String, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let root = |process: &Process| {
                let answer = process.ask(&json!({ "do": "digests", "level": "root" }))?;
                Ok::<_, String>(levels::parse(&answer).into_values().next())
            };
            let (gateway, office) = (root(&self.gateway)?, root(&self.office)?);
            match gateway {
                Some(root) if office.as_ref() == Some(&root) => return Ok(root),
                _ if Instant::now() > until => {
                    return Err(format!("after {} s roots differ", PATIENCE.as_secs()));
                }
                _ => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// How many rows each device has on each day.
fn days_of(rows: &Rows) -> BTreeMap<String, BTreeMap<i64, u64>> {
    let mut days: BTreeMap<String, BTreeMap<i64, u64>> = BTreeMap::new();
    for (device, time) in rows.keys() {
        let day = time.div_euclid(DAY) * DAY;
        *days.entry(device.clone()).or_default().entry(day).or_default() += 1;
    }
    days
}
