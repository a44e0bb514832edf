//! Replicas as people and programs read them.

use super::super::{counted, grouped};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use tidelog::replication::protocol::snapshot::Transfer;
use tidelog::replication::protocol::{Outcome, PeerState, PolicyStatus, Progress, Report};
use tidelog::replication::{EpochBehind, GroupState, GroupStatus, PeerReport, Permanence, Status};

pub(super) fn state_name(state: PeerState) -> &'static str {
    match state {
        PeerState::Disconnected => "disconnected",
        PeerState::Connected => "connected",
        PeerState::Syncing => "syncing",
        PeerState::Lagging => "lagging",
        PeerState::Repairing => "repairing",
        PeerState::Diverged => "diverged",
        PeerState::ClockAhead => "clock ahead",
        _ => "unknown",
    }
}

pub(super) fn status_json(status: &Status) -> Value {
    let unseen = status.unseen.iter().map(|peer| {
        let (why, permanence) = peer.why.clone().unzip();
        let permanent = permanence.map(|permanence| permanence == Permanence::Permanent);
        json!({ "name": &*peer.name, "why": why, "permanent": permanent })
    });
    let damaged = status.damaged.iter();
    let damaged =
        damaged.map(|file| json!({ "file": file.path, "group": file.group.0, "rows": file.rows }));
    json!({
        "ready": status.ready,
        "peers": status.peers.iter().map(peer_json).collect::<Vec<_>>(),
        "groups": status.groups.iter().map(group_json).collect::<Vec<_>>(),
        "unseen": unseen.collect::<Vec<_>>(),
        "damaged": damaged.collect::<Vec<_>>(),
        "behind": status.behind.iter().map(behind_json).collect::<Vec<_>>(),
        "policy": status.policy.as_ref().map(policy_json),
    })
}

fn policy_json(policy: &PolicyStatus) -> Value {
    json!({
        "name": policy.name,
        "hash": format!("{:016x}", policy.hash),
        "rounds": policy.rounds,
        "fallbacks": policy.fallbacks,
        "fault": policy.fault.as_ref().map(ToString::to_string),
        "quarantine_ms": policy.quarantine,
        "waiting": policy.waiting,
        "bytes_today": policy.spent,
        "bytes_per_day": policy.bytes_per_day,
    })
}

/// What [`policy_json`] says, on a line or two.
pub(crate) fn policy_text(policy: &Value) -> String {
    let number = |name: &str| grouped(policy[name].as_u64().unwrap_or_default());
    let mut text = format!(
        "policy {}: planned {} rounds, {} windows wait",
        policy["name"].as_str().unwrap_or("?"),
        number("rounds"),
        number("waiting"),
    );
    if policy["bytes_per_day"].is_u64() {
        let (today, most) = (number("bytes_today"), number("bytes_per_day"));
        let _ = write!(text, ", {today} of {most} bytes of today used");
    }
    text.push('\n');
    if let Some(fault) = policy["fault"].as_str() {
        let times = number("fallbacks");
        let _ = writeln!(
            text,
            "policy failed, and everything was repaired instead {times} times; the last time: {fault}"
        );
    }
    if policy["quarantine_ms"].is_u64() {
        let _ = writeln!(text, "policy is asked again in {} ms", number("quarantine_ms"));
    }
    text
}

pub(super) fn behind_json(behind: &EpochBehind) -> Value {
    json!({ "group": behind.group.0, "epoch": behind.epoch.0, "seen": behind.seen.0 })
}

/// What [`behind_json`] says, in words.
pub(super) fn behind_text(behind: &Value) -> String {
    format!(
        "the topology file of this node has epoch {} of group {}, and epoch {} was seen: update the file",
        behind["epoch"], behind["group"], behind["seen"]
    )
}

fn group_json(group: &GroupStatus) -> Value {
    let state = match group.state {
        GroupState::Single => "single copy",
        GroupState::Syncing => "syncing",
        GroupState::Repairing => "repairing",
        GroupState::Degraded => "degraded",
        GroupState::Active => "active",
        _ => "unknown",
    };
    json!({
        "group": group.group.0,
        "state": state,
        "replicas": group.replicas,
        "linked": group.linked,
    })
}

fn peer_json(peer: &PeerReport) -> Value {
    let status = &peer.status;
    json!({
        "name": &*peer.name,
        "store": status.peer.to_string(),
        "state": state_name(status.state),
        "lag_ms": status.lag_millis,
        "known_ms": status.known.millis(),
        "known_there_ms": status.known_there.millis(),
        "agreed_ms_ago": peer.agreed_millis_ago,
        "sessions": status.sessions.0,
        "sessions_failed": status.sessions.1,
        "rows_sent": status.counts.rows_sent,
        "rows_taken": status.counts.rows_taken,
        "bytes_sent": status.bytes.0,
        "bytes_received": status.bytes.1,
        "violations": status.violations,
        "address": peer.link.map(|link| link.remote.to_string()),
        "rtt_us": peer.link.map(|link| u64::try_from(link.rtt.as_micros()).unwrap_or(u64::MAX)),
        "comparing": status.comparing.as_ref().map(windows_json),
        "receiving": status.receiving.as_ref().map(transfer_json),
        "refused": status.refusal.as_ref().map(|refusal| &refusal.text),
    })
}

fn windows_json(windows: &Progress) -> Value {
    json!({ "windows": windows.done, "total": windows.total, "ms_left": windows.millis_left })
}

fn transfer_json(transfer: &Transfer) -> Value {
    json!({
        "bytes": transfer.bytes,
        "total": transfer.bytes_total,
        "files": transfer.files,
        "files_total": transfer.files_total,
        "rows": transfer.rows,
        "ms_left": transfer.millis_left,
    })
}

/// `comparing: 10 of 40 windows, 2 s left`.
pub(super) fn far_text(
    what: &str,
    far: (u64, u64),
    unit: &str,
    millis_left: Option<u64>,
) -> String {
    let left = match millis_left {
        Some(millis) => format!("about {} s left", grouped(millis.div_ceil(1000))),
        None => "time left not known yet".to_owned(),
    };
    format!("{what}: {} of {} {unit}, {left}", grouped(far.0), grouped(far.1))
}

/// What is under way with a peer, as [`peer_json`] says it, a line each.
fn under_way(peer: &Value) -> Vec<String> {
    let lines = [("comparing", "windows"), ("receiving", "bytes")].map(|(what, unit)| {
        let one = &peer[what];
        let far = (one[unit].as_u64()?, one["total"].as_u64()?);
        Some(far_text(what, far, unit, one["ms_left"].as_u64()))
    });
    lines.into_iter().flatten().collect()
}

/// A table of what [`status_json`] says.
pub(super) fn status_text(status: &Value) -> String {
    let mut text = String::new();
    let ready = status["ready"].as_bool() == Some(true);
    let _ = writeln!(text, "{}", if ready { "ready" } else { "not ready yet" });
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for group in status["groups"].as_array().into_iter().flatten() {
        *states.entry(group["state"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let states: Vec<String> =
        states.into_iter().map(|(state, groups)| format!("{groups} {state}")).collect();
    let _ = writeln!(text, "groups: {}", states.join(", "));
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), grouped);
    for file in status["damaged"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "damaged: {}, a file of {} rows; what it lacks is asked of peers, and answers that need it are refused",
            file["file"].as_str().unwrap_or("?"),
            number(&file["rows"]),
        );
    }
    if status["policy"].is_object() {
        text.push_str(&policy_text(&status["policy"]));
    }
    for peer in status["peers"].as_array().into_iter().flatten() {
        let agreed = match peer["agreed_ms_ago"].as_u64() {
            Some(millis) => format!("agreed {} s ago", grouped(millis / 1000)),
            None => "not compared yet".to_owned(),
        };
        let _ = writeln!(
            text,
            "{:<16} {:<12} lag {} ms, {agreed}, rows sent {} and taken {}, bytes sent {} and received {}",
            peer["name"].as_str().unwrap_or("?"),
            peer["state"].as_str().unwrap_or("?"),
            number(&peer["lag_ms"]),
            number(&peer["rows_sent"]),
            number(&peer["rows_taken"]),
            number(&peer["bytes_sent"]),
            number(&peer["bytes_received"]),
        );
        for line in under_way(peer) {
            let _ = writeln!(text, "{:<16} {line}", "");
        }
        if let Some(why) = peer["refused"].as_str() {
            let _ = writeln!(text, "{:<16} refused: {why}", "");
        }
    }
    for behind in status["behind"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "{}", behind_text(behind));
    }
    for peer in status["unseen"].as_array().into_iter().flatten() {
        let why = peer["why"].as_str().unwrap_or("not reached yet");
        let _ = writeln!(text, "{:<16} not seen     {why}", peer["name"].as_str().unwrap_or("?"));
    }
    text
}

pub(super) fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Agreed => "agreed",
        Outcome::Partial { .. } => "partial",
        Outcome::Diverged => "diverged",
        Outcome::Different => "different",
        _ => "aborted",
    }
}

/// What a comparison came to.
pub(super) fn report_json(peer: &str, outcome: &Outcome, report: &Report) -> Value {
    let left_out = match outcome {
        Outcome::Partial { left_out } => {
            left_out.iter().map(|(why, count)| (format!("{why:?}"), json!(count))).collect()
        }
        _ => serde_json::Map::new(),
    };
    json!({
        "peer": peer,
        "outcome": outcome_name(outcome),
        "left_out": left_out,
        "root": report.root.map(|root| root.to_string()),
        "digests": report.counts.digests,
        "leaves": report.counts.leaves,
        "rows_sent": report.counts.rows_sent,
        "rows_taken": report.counts.rows_taken,
        "row_bytes_sent": report.counts.row_bytes_sent,
        "bytes_sent": report.sent,
        "bytes_received": report.received,
        "turns": report.turns,
        "windows": report.windows.done,
        "false_mismatches": report.false_mismatches,
        "ms": report.millis,
    })
}

/// What [`report_json`] says, on a line.
pub(super) fn report_text(report: &Value) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    format!(
        "{}: {} after {} ms; {} differed, {} sent, {} taken; {} bytes sent, {} received, in {}",
        report["peer"].as_str().unwrap_or("peer"),
        report["outcome"].as_str().unwrap_or("?"),
        grouped(number("ms")),
        counted(number("leaves"), "leaf window"),
        counted(number("rows_sent"), "row"),
        counted(number("rows_taken"), "row"),
        grouped(number("bytes_sent")),
        grouped(number("bytes_received")),
        counted(number("turns"), "turn"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_told_with_its_total_and_the_time_left() {
        let peer = json!({
            "name": "b", "state": "repairing",
            "comparing": { "windows": 10, "total": 4000, "ms_left": 1200 },
            "receiving": { "bytes": 0, "total": 5_000_000, "ms_left": null },
        });
        let text = status_text(&json!({ "ready": true, "peers": [peer] }));
        let lines: Vec<&str> = text.lines().skip(3).map(str::trim).collect();
        assert_eq!(lines[0], "comparing: 10 of 4,000 windows, about 2 s left");
        assert_eq!(lines[1], "receiving: 0 of 5,000,000 bytes, time left not known yet");
        let idle = json!({ "name": "b", "comparing": null, "receiving": null });
        assert_eq!(under_way(&idle), [""; 0]);
    }
}
