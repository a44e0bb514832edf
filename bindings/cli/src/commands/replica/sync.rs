//! `tidelog sync`: one comparison with one peer, for cron and laptops.

use super::super::{print, print_json};
use super::print::{report_json, report_text};
use super::{identity_of, runtime};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidelog::replication::identity::Fingerprint;
use tidelog::replication::protocol::{Config, Event, Outcome as SyncOutcome};
use tidelog::replication::topology::{FixedTopology, NodeInfo};
use tidelog::replication::{Node, NodeOptions, Permanence};

/// How often it is looked whether the peer can be linked at all.
const LOOK: Duration = Duration::from_millis(50);

/// Compare a store with a running node once, repair what differs in both, and end. What was just written goes too.
///
/// Exits 1 if the stores are not equal afterwards.
#[derive(Args, Debug)]
pub(crate) struct Sync {
    /// The store's directory.
    store: PathBuf,
    /// Where the node listens.
    #[arg(long, value_name = "HOST:PORT")]
    peer: String,
    /// The node's fingerprint, as its `tidelog pair` prints it.
    #[arg(long, value_name = "TL1")]
    fingerprint: Fingerprint,
    /// The folder of this store's key and certificate, from `tidelog cert`.
    #[arg(long, value_name = "DIR")]
    identity: PathBuf,
    /// Give up after so many seconds without success.
    #[arg(long, value_name = "S", default_value_t = 300)]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Sync {
    pub(crate) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.write(&self.store, true)?;
        let identity = identity_of(&store, &self.identity)?;
        let own = NodeInfo::new("self", true, "", vec![identity.fingerprint()]);
        let peer = NodeInfo::new("peer", false, self.peer.as_str(), vec![self.fingerprint]);
        let topology = FixedTopology::new(vec![own, peer])
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        // Any port: nobody dials this store.
        let mut options = NodeOptions::new(SocketAddr::from(([0, 0, 0, 0], 0)), identity);
        options.protocol = Config { once: true, ..Config::default() };
        let outcome = runtime()?.block_on(async {
            let node = Node::start(store.clone(), Arc::new(topology), options)?;
            let limit = Duration::from_secs(self.timeout);
            let ended = tokio::select! {
                ended = one_comparison(&node) => ended.map_err(Some),
                why = hopeless(&node) => Err(Some(why)),
                () = tokio::time::sleep(limit) => Err(None),
            };
            let last = not_linked(&node).await;
            node.stop().await;
            ended.map_err(|why| {
                let why = why.or(last.map(|(why, _)| why));
                let why = why.unwrap_or_else(|| "it does not answer".to_owned());
                CommandError::Peer { peer: self.peer.clone(), why }
            })
        });
        store.close()?;
        let (outcome, report) = outcome?;
        let report = report_json(&self.peer, &outcome, &report);
        if self.json {
            print_json(&report)?
        } else {
            print(&format!("{}\n", report_text(&report)))?
        }
        Ok(if outcome == SyncOutcome::Agreed { Outcome::Done } else { Outcome::Found })
    }
}

/// Waits until a comparison came to its end; one that did not is tried again by the node. An error is the peer's refusal.
async fn one_comparison(
    node: &Node,
) -> Result<(SyncOutcome, tidelog::replication::protocol::Report), String> {
    let mut events = node.events();
    loop {
        let Ok(happening) = events.recv().await else { continue };
        match happening.event {
            Event::Completed { outcome, report, .. } => return Ok((outcome, report)),
            Event::Refused { why, .. } => return Err(why),
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
