//! One comparison with a running node, without staying.

use super::ask::Reports;
use super::identity::{fingerprint, identity_of};
use super::runtime;
use crate::abi::{TIDELOG_KIND_RETRY, TIDELOG_PEER};
use crate::block::Table;
use crate::fault::Fault;
use crate::node_words::Visit;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tidelog_engine::Store;
use tidelog_replica::protocol::{Config, Event, Outcome, Report};
use tidelog_replica::topology::{FixedTopology, NodeInfo};
use tidelog_replica::{Node, NodeOptions, Permanence};

/// It is looked so often whether the peer can be linked at all.
const LOOK: Duration = Duration::from_millis(50);

/// Compares once and repairs; what it came to.
pub fn sync(store: &Store, visit: &Visit) -> Result<Table, Fault> {
    let identity = identity_of(store, &visit.identity)?;
    let own = NodeInfo::new("self", true, "", vec![identity.fingerprint()]);
    let there = vec![fingerprint(&visit.fingerprint)?];
    let peer = NodeInfo::new("peer", false, visit.peer.as_str(), there);
    let topology =
        FixedTopology::new(vec![own, peer]).map_err(|error| Fault::argument(error.to_string()))?;
    // Any port: nobody dials this store.
    let mut options = NodeOptions::new(SocketAddr::from(([0, 0, 0, 0], 0)), identity);
    options.protocol = Config { once: true, ..Config::default() };
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let node = Node::start(store.clone(), Arc::new(topology), options)?;
        let ended = tokio::select! {
            ended = one_comparison(&node) => ended.map_err(Some),
            why = hopeless(&node) => Err(Some(why)),
            () = tokio::time::sleep(visit.limit) => Err(None),
        };
        let last = not_linked(&node).await;
        node.stop().await;
        ended.map_err(|why| {
            let why = why.or(last.map(|(why, _)| why));
            let why = why.unwrap_or_else(|| "it does not answer".to_owned());
            let message = format!("{} could not be synchronised with: {why}", visit.peer);
            Fault::new(TIDELOG_PEER, TIDELOG_KIND_RETRY, message)
        })
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    let (outcome, report) = ended?;
    let mut reports = Reports::new();
    reports.push(&visit.peer, &outcome, &report);
    Ok(reports.into_table())
}

/// Waits until a comparison came to its end; one that did not is tried again by the node. An error is the peer's refusal.
async fn one_comparison(node: &Node) -> Result<(Outcome, Report), String> {
    let mut events = node.events();
    loop {
        let Ok(happening) = events.recv().await else { continue };
        match happening.event {
            Event::Completed { outcome, report, .. } => return Ok((outcome, report)),
            Event::Refused { refusal, .. } => return Err(refusal.text),
            _ => {}
        }
    }
}

/// Waits until it is known that dialling again cannot help before somebody changes something, and says why.
async fn hopeless(node: &Node) -> String {
    loop {
        if let Some((why, Permanence::Permanent)) = not_linked(node).await {
            return why;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why the last dial gave no link, if there never was one.
async fn not_linked(node: &Node) -> Option<(String, Permanence)> {
    node.status().await?.unseen.into_iter().next()?.why
}
