//! A replica of the demo: a process that opens a store, embeds a node, and does what it is told on stdin.
//!
//! A request is a line of JSON, and so is its answer on stdout. It ends when stdin does, so that none is left over when
//! whoever started it is gone.

use super::super::super::replica::{identity_of, runtime};
use super::plan::Step;
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::stdin;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidelog::model::policy::{Metered, RawHours};
use tidelog::replication::bridge::PinBudget;
use tidelog::replication::protocol::Event;
use tidelog::replication::topology::FileTopology;
use tidelog::replication::{Node, NodeOptions, Policy};
use tidelog::{Aggregate, CollectionName, Device, DeviceSelector, Durability, Every, Query};
use tidelog::{Store, TimeRange, Unit, ValueRef};
use tokio::runtime::Runtime;

/// Leaving takes no longer.
const GOODBYE: Duration = Duration::from_secs(5);
/// What takes longer than the demo is not kept: its logs do not reach back to what a peer missed while it was away, as after
/// days in earnest.
const PINS: PinBudget = PinBudget { bytes_max: 0, age_max: Duration::ZERO };

/// Serve a store, and obey lines on stdin.
#[derive(Args, Debug)]
pub(crate) struct DemoReplica {
    /// The configuration of the node.
    config: PathBuf,
}

/// Bytes of the comparisons that this side began, by peer.
type Compared = Arc<Mutex<BTreeMap<Arc<str>, u64>>>;

struct Replica {
    store: Store,
    collection: CollectionName,
    runtime: Runtime,
    topology: Arc<FileTopology>,
    node: Option<Node>,
    compared: Compared,
}

impl DemoReplica {
    pub(crate) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let topology = Arc::new(FileTopology::load(&self.config)?);
        let mut replica = Replica {
            store: opener.write(&topology.config().node.store, true)?,
            collection: super::plan::collection(),
            runtime: runtime()?,
            topology,
            node: None,
            compared: Arc::default(),
        };
        for line in stdin().lines() {
            let line = line.map_err(CommandError::Output)?;
            let request: Value = serde_json::from_str(&line).unwrap_or_default();
            let answer = replica.obey(&request);
            let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
            super::super::print_json(&answer)?;
            if request["do"] == "close" {
                break;
            }
        }
        replica.leave();
        replica.store.close()?;
        Ok(Outcome::Done)
    }
}

impl Replica {
    fn obey(&mut self, request: &Value) -> Result<Value, CommandError> {
        match request["do"].as_str() {
            Some("join") => self.join(policy_of(request))?,
            Some("policy") => self.set_policy(policy_of(request)),
            Some("days") => return self.days(request),
            Some("seal") => {
                self.store.seal()?;
            }
            Some("close") => self.leave(),
            Some("digests") => return self.digests(request),
            Some("status") => return Ok(self.status()),
            _ => match Step::from_json(request) {
                Some(step) => self.take(&step)?,
                None => return Err(CommandError::Usage(format!("no such request: {request}"))),
            },
        }
        Ok(json!({}))
    }

    /// Joins the peers; comparisons may be left to a policy.
    fn join(&mut self, policy: Option<Policy>) -> Result<(), CommandError> {
        let config = self.topology.config();
        let identity = identity_of(&self.store, &config.node.identity)?;
        let mut options = NodeOptions::new(config.node.listen, identity);
        options.pins = PINS;
        options.policy = policy;
        let _inside = self.runtime.enter();
        let node = Node::start(self.store.clone(), Arc::clone(&self.topology) as _, options)?;
        let (mut events, compared) = (node.events(), Arc::clone(&self.compared));
        self.runtime.spawn(async move {
            use tokio::sync::broadcast::error::RecvError;
            loop {
                let happening = match events.recv().await {
                    Ok(happening) => happening,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                };
                if let (
                    Some(peer),
                    Event::Completed { report, .. } | Event::Failed { report, .. },
                ) = (happening.peer, happening.event)
                {
                    let mut compared = compared.lock().unwrap_or_else(PoisonError::into_inner);
                    *compared.entry(peer).or_default() += report.sent + report.received;
                }
            }
        });
        self.node = Some(node);
        Ok(())
    }

    fn take(&self, step: &Step) -> Result<(), CommandError> {
        let wrong = |error: tidelog::BatchError| CommandError::Usage(error.to_string());
        match step {
            Step::Write(_) => {
                let batch = step.batch(&self.collection).map_err(wrong)?;
                self.store.write(&batch, Durability::Sync)?;
            }
            Step::Delete { .. } => {
                self.store.delete(&step.delete(&self.collection)?)?;
            }
        }
        Ok(())
    }

    /// The digests of a level in some windows, or in all; [`super::levels::parse`] reads them.
    fn digests(&self, request: &Value) -> Result<Value, CommandError> {
        let level = super::levels::level_of(request["level"].as_str())
            .ok_or_else(|| CommandError::Usage("no such level".to_owned()))?;
        if !self.store.collections()?.iter().any(|known| known.name == self.collection) {
            return Ok(json!([]));
        }
        let windows: Option<Vec<TimeRange>> =
            request["windows"].as_array().map(|all| all.iter().filter_map(window_of).collect());
        let wanted = |row: &tidelog::DigestRow| match &windows {
            Some(windows) => windows.iter().any(|window| window.overlaps(row.window)),
            None => true,
        };
        let rows = self.store.digests(&self.collection, level, TimeRange::ALL)?;
        let one = |row: &tidelog::DigestRow| {
            let at = row.group.map(|group| (group.0, row.window.first(), row.window.last()));
            let (group, first, last) = at.unwrap_or_default();
            json!([group, first, last, row.device.as_deref(), row.digest.to_string()])
        };
        Ok(rows.iter().filter(|row| wanted(row)).map(one).collect())
    }

    /// Another policy decides from now on.
    fn set_policy(&self, policy: Option<Policy>) {
        if let Some(node) = &self.node {
            self.runtime.block_on(node.set_policy(policy));
        }
    }

    /// How many rows a device has on each day, as the store answers; and how many rollups that answer took which were
    /// borrowed of a peer.
    fn days(&self, request: &Value) -> Result<Value, CommandError> {
        if !self.store.collections()?.iter().any(|known| known.name == self.collection) {
            return Ok(json!({ "days": [], "borrowed": 0 }));
        }
        let device = Device::parse(request["device"].as_str().unwrap_or_default())?;
        let query = Query::new()
            .every(Every::Calendar { unit: Unit::Day, zone: None })
            .aggregates([Aggregate::Count])
            .devices(DeviceSelector::one(device));
        let mut answer = self.store.query(&self.collection, query)?;
        let mut days = Vec::new();
        for batch in answer.by_ref() {
            let batch = batch?;
            for row in 0..batch.rows() {
                let counts = batch.columns.iter().filter_map(|column| match column.at(row) {
                    Some(ValueRef::U64(count)) => Some(count),
                    _ => None,
                });
                days.push(json!([batch.times[row], counts.max()]));
            }
        }
        Ok(json!({ "days": days, "borrowed": answer.explain().borrowed }))
    }

    fn status(&self) -> Value {
        let node = self.node.as_ref();
        let status = node.and_then(|node| self.runtime.block_on(node.status())).unwrap_or_default();
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = |peer: &tidelog::replication::PeerReport| {
            let figures = json!({
                "linked": peer.link.is_some(),
                "agreed": peer.agreed_millis_ago.is_some(),
                "bytes": peer.status.bytes.0 + peer.status.bytes.1,
                "compared_bytes": compared.get(&peer.name).copied().unwrap_or_default(),
                "rows_taken": peer.status.counts.rows_taken,
                "rows_sent": peer.status.counts.rows_sent,
            });
            (peer.name.to_string(), figures)
        };
        status.peers.iter().map(peer).collect::<serde_json::Map<_, _>>().into()
    }

    /// Tells the peers that it goes.
    fn leave(&mut self) {
        if let Some(node) = self.node.take() {
            let _ =
                self.runtime.block_on(async { tokio::time::timeout(GOODBYE, node.stop()).await });
        }
    }
}

/// The policy for a metered link, if its hours are named: the minutes of the UTC day when rows may cross.
fn policy_of(request: &Value) -> Option<Policy> {
    let minute = |at: usize| u16::try_from(request["raw_minutes"][at].as_u64()?).ok();
    let raw = RawHours { from: minute(0)?, to: minute(1)? };
    let options = [raw.from.to_le_bytes(), raw.to.to_le_bytes()].concat();
    Some(Policy::new(Box::new(Metered { raw }), &options))
}

/// A window by its first and last instant.
fn window_of(window: &Value) -> Option<TimeRange> {
    TimeRange::inclusive(window[0].as_i64()?, window[1].as_i64()?)
}
