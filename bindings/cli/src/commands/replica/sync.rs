//! `tidelog sync`: one comparison with one peer, for cron and laptops.

use super::super::{print, print_json};
use super::print::{report_json, report_text};
use super::{identity_of, runtime};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use crate::progress::Progress;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidelog::replication::identity::Fingerprint;
use tidelog::replication::protocol::{Config, Event, Outcome as SyncOutcome};
use tidelog::replication::topology::{FixedTopology, NodeInfo};
use tidelog::replication::{Node, NodeOptions};

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
            let ended = tokio::time::timeout(limit, one_comparison(&node)).await;
            let status = node.status().await;
            node.stop().await;
            match ended {
                Ok(ended) => ended,
                Err(_) => {
                    let unseen = status.and_then(|status| status.unseen.into_iter().next());
                    let why = unseen.map(|(_, why)| why).unwrap_or_default();
                    let why = if why.is_empty() { "it does not answer".to_owned() } else { why };
                    Err(CommandError::Peer { peer: self.peer.clone(), why })
                }
            }
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

/// Waits until a comparison came to its end; one that did not is tried again by the node.
async fn one_comparison(
    node: &Node,
) -> Result<(SyncOutcome, tidelog::replication::protocol::Report), CommandError> {
    let mut events = node.events();
    // An empty store is given whole files first.
    let mut receiving: Option<Progress> = None;
    loop {
        let Ok(happening) = events.recv().await else { continue };
        match happening.event {
            Event::Receiving { transfer, .. } => {
                let progress = receiving.get_or_insert_with(|| Progress::new("receiving"));
                progress.set(transfer.bytes, transfer.bytes_total);
            }
            Event::Received { .. } => {
                receiving.iter().for_each(|progress| progress.turn_to("comparing"));
            }
            Event::NotReceived { why, .. } => match &receiving {
                Some(progress) => progress.say(&format!("tidelog: {why}")),
                None => crate::error::say(&format!("tidelog: {why}")),
            },
            Event::Completed { outcome, report, .. } => return Ok((outcome, report)),
            Event::Refused { why, .. } => {
                return Err(CommandError::Peer { peer: "the peer".to_owned(), why });
            }
            _ => {}
        }
    }
}
