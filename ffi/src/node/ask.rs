//! What a node is asked: whether it is ready, how it stands, to repair now.

use super::{OpenNode, closed};
use crate::abi::{TIDELOG_KIND_RETRY, TIDELOG_PEER};
use crate::block::Table;
use crate::fault::Fault;
use crate::node_words::Part;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::FieldType::{Bytes, String as Text, U64};
use tidelog_engine::ValueRef;
use tidelog_replica::protocol::compare::Only;
use tidelog_replica::protocol::{Event, Outcome, PeerState, Report};
use tidelog_replica::{GroupState, Node, PeerReport, Status, Unseen};

fn text(value: &str) -> Option<ValueRef<'_>> {
    Some(ValueRef::String(value))
}

fn number(value: u64) -> Option<ValueRef<'static>> {
    Some(ValueRef::U64(value))
}

impl OpenNode {
    /// Runs a future until it ends, or the node is stopped.
    pub(super) fn wait<T>(&self, work: impl AsyncFnOnce(&Node) -> T) -> Result<T, Fault> {
        let (runtime, node) = self.parts()?;
        let mut stopping = self.stopping.subscribe();
        runtime.block_on(async {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => Err(closed()),
                done = work(&node) => Ok(done),
            }
        })
    }

    pub fn ready(&self, limit: Duration) -> Result<bool, Fault> {
        self.wait(async |node| tokio::time::timeout(limit, node.ready()).await.is_ok())
    }

    pub(super) fn stands(&self) -> Result<Status, Fault> {
        self.wait(async |node| node.status().await)?.ok_or_else(closed)
    }

    pub fn status(&self) -> Result<Table, Fault> {
        let status = self.stands()?;
        let texts = ["peer", "store", "state", "why", "address"].map(|name| (name, Text));
        let numbers = [
            "lag_ms",
            "agreed_ms_ago",
            "sessions",
            "sessions_failed",
            "rows_sent",
            "rows_taken",
            "bytes_sent",
            "bytes_received",
            "rtt_us",
            "violations",
        ];
        let numbers = numbers.map(|name| (name, U64));
        let mut table = Table::new(&[&texts[..], &numbers[..]].concat());
        status.peers.iter().for_each(|peer| push_peer(&mut table, peer));
        status.unseen.iter().for_each(|peer| push_unseen(&mut table, peer));
        Ok(table)
    }

    pub fn groups(&self) -> Result<Table, Fault> {
        let status = self.stands()?;
        let mut table =
            Table::new(&[("group", U64), ("state", Text), ("replicas", U64), ("linked", U64)]);
        for group in &status.groups {
            let state = match group.state {
                GroupState::Single => "single copy",
                GroupState::Syncing => "syncing",
                GroupState::Repairing => "repairing",
                GroupState::Degraded => "degraded",
                GroupState::Active => "active",
                _ => "unknown",
            };
            table.push(&[
                number(u64::from(group.group.0)),
                text(state),
                number(group.replicas as u64),
                number(group.linked as u64),
            ]);
        }
        Ok(table)
    }

    pub fn repair(
        &self,
        peer: Option<&str>,
        part: Option<Part>,
        limit: Duration,
    ) -> Result<Table, Fault> {
        self.wait(async |node| repair(node, peer, part, limit).await)?
    }
}

fn state_name(state: PeerState) -> &'static str {
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

fn push_peer(table: &mut Table, peer: &PeerReport) {
    let status = &peer.status;
    let address = peer.link.map(|link| link.remote.to_string());
    let rtt = peer.link.map(|link| u64::try_from(link.rtt.as_micros()).unwrap_or(u64::MAX));
    table.push(&[
        text(&peer.name),
        text(&status.peer.to_string()),
        text(state_name(status.state)),
        status.refusal.as_ref().and_then(|refusal| text(&refusal.text)),
        address.as_deref().and_then(text),
        number(status.lag_millis),
        peer.agreed_millis_ago.and_then(number),
        number(status.sessions.0),
        number(status.sessions.1),
        number(status.counts.rows_sent),
        number(status.counts.rows_taken),
        number(status.bytes.0),
        number(status.bytes.1),
        rtt.and_then(number),
        number(status.violations),
    ]);
}

fn push_unseen(table: &mut Table, peer: &Unseen) {
    let why = peer.why.as_ref().map(|(why, _)| why.as_str());
    let mut cells = vec![text(&peer.name), None, text("not seen"), why.and_then(text), None];
    cells.resize(15, None);
    table.push(&cells);
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

/// What comparisons came to.
pub(super) struct Reports(Table);

impl Reports {
    pub(super) fn new() -> Self {
        Reports(Table::new(&[
            ("peer", Text),
            ("outcome", Text),
            ("why", Text),
            ("leaves", U64),
            ("rows_sent", U64),
            ("rows_taken", U64),
            ("bytes_sent", U64),
            ("bytes_received", U64),
            ("ms", U64),
            ("root", Bytes),
        ]))
    }

    pub(super) fn push(&mut self, peer: &str, outcome: &Outcome, report: &Report) {
        let why = match outcome {
            Outcome::Aborted { why } => Some(why.as_str()),
            _ => None,
        };
        self.0.push(&[
            text(peer),
            text(outcome_name(outcome)),
            why.and_then(text),
            number(report.counts.leaves),
            number(report.counts.rows_sent),
            number(report.counts.rows_taken),
            number(report.sent),
            number(report.received),
            number(report.millis),
            report.root.as_ref().map(|root| ValueRef::Bytes(&root.0)),
        ]);
    }

    pub(super) fn into_table(self) -> Table {
        self.0
    }
}

async fn ask(node: &Node, peer: Option<&str>, part: Option<&Only>) {
    match part {
        Some(part) => node.check_only(peer, part.clone()).await,
        None => node.check(peer).await,
    }
}

/// Compares with peers, and tells of each when it is over.
async fn repair(
    node: &Node,
    only: Option<&str>,
    part: Option<Part>,
    limit: Duration,
) -> Result<Table, Fault> {
    let linked = node.status().await.map(|status| status.peers).unwrap_or_default();
    let wanted =
        |peer: &&PeerReport| peer.link.is_some() && only.is_none_or(|only| *peer.name == *only);
    let mut waiting: BTreeSet<Arc<str>> =
        linked.iter().filter(wanted).map(|peer| Arc::clone(&peer.name)).collect();
    if waiting.is_empty() {
        let message = match only {
            Some(name) => format!("there is no link with a peer {name}: see tidelog_node_status"),
            None => "no peer is linked: see tidelog_node_status".to_owned(),
        };
        return Err(Fault::new(TIDELOG_PEER, TIDELOG_KIND_RETRY, message));
    }
    let mut events = node.events();
    let part = part.map(|part| Only::new(part.collection, part.range));
    ask(node, only, part.as_ref()).await;
    let mut reports = Reports::new();
    // A comparison that was under way may have passed by what was written last: only those that begin now count.
    let mut begun: BTreeSet<(Arc<str>, u32)> = BTreeSet::new();
    let ended = tokio::time::timeout(limit, async {
        while !waiting.is_empty() {
            let Ok(happening) = events.recv().await else { continue };
            let Some(peer) = happening.peer.filter(|peer| waiting.contains(peer)) else { continue };
            match happening.event {
                Event::Started { session, .. } => {
                    begun.insert((peer, session));
                    continue;
                }
                // What was asked of a link is forgotten with it.
                Event::Connected { .. } => {
                    ask(node, Some(&peer), part.as_ref()).await;
                    continue;
                }
                Event::Completed { session, outcome, report, .. }
                    if begun.contains(&(Arc::clone(&peer), session)) =>
                {
                    reports.push(&peer, &outcome, &report);
                }
                Event::Failed { session, why, report, .. }
                    if begun.contains(&(Arc::clone(&peer), session)) =>
                {
                    reports.push(&peer, &Outcome::Aborted { why }, &report);
                }
                _ => continue,
            }
            waiting.remove(&peer);
        }
    });
    if ended.await.is_err() {
        for peer in &waiting {
            let why = "it took longer than timeout_ns: it goes on in the background".to_owned();
            reports.push(peer, &Outcome::Aborted { why }, &Report::default());
        }
    }
    Ok(reports.into_table())
}
