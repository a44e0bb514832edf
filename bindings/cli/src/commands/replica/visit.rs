//! One comparison with a running node, without staying: what `sync` and `compare` have in common.

use super::print::far_text;
use super::{identity_of, runtime};
use crate::error::CommandError;
use crate::progress::Progress;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidelog::Store;
use tidelog::replication::identity::Fingerprint;
use tidelog::replication::protocol::{Config, Event, Outcome, Report};
use tidelog::replication::topology::{FixedTopology, NodeInfo};
use tidelog::replication::{Node, NodeOptions, Permanence};

/// How often it is looked whether the peer can be linked at all.
const LOOK: Duration = Duration::from_millis(50);

/// Which node, and who this is.
#[derive(Args, Debug)]
pub(crate) struct Visit {
    /// Where the node listens.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) peer: String,
    /// The node's fingerprint, as its `tidelog pair` prints it.
    #[arg(long, value_name = "TL1")]
    pub(crate) fingerprint: Fingerprint,
    /// The folder of this store's key and certificate, from `tidelog cert`.
    #[arg(long, value_name = "DIR")]
    pub(crate) identity: PathBuf,
    /// Give up after so many seconds without success.
    #[arg(long, value_name = "S", default_value_t = 300)]
    pub(crate) timeout: u64,
}

impl Visit {
    /// Compares once, in this way.
    pub(crate) fn compare(
        &self,
        store: &Store,
        protocol: Config,
    ) -> Result<(Outcome, Report), CommandError> {
        let identity = identity_of(store, &self.identity)?;
        let own = NodeInfo::new("self", true, "", vec![identity.fingerprint()]);
        let peer = NodeInfo::new("peer", false, self.peer.as_str(), vec![self.fingerprint]);
        let topology = FixedTopology::new(vec![own, peer])
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        // Any port: nobody dials this store.
        let mut options = NodeOptions::new(SocketAddr::from(([0, 0, 0, 0], 0)), identity);
        options.protocol = Config { once: true, ..protocol };
        runtime()?.block_on(async {
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
        })
    }
}

/// Waits until a comparison came to its end; one that did not is tried again by the node. An error is the peer's refusal.
async fn one_comparison(node: &Node) -> Result<(Outcome, Report), String> {
    let mut events = node.events();
    // An empty store is given whole files first.
    let mut shown: Option<Progress> = None;
    loop {
        let Ok(happening) = events.recv().await else { continue };
        match happening.event {
            Event::Receiving { transfer, .. } => {
                let progress = shown.get_or_insert_with(|| Progress::new("receiving"));
                let far = (transfer.bytes, transfer.bytes_total);
                progress.tell(far_text("receiving", far, "bytes", transfer.millis_left));
            }
            Event::Progress { report, .. } => {
                let progress = shown.get_or_insert_with(|| Progress::new("comparing"));
                let windows = report.windows;
                let far = (windows.done, windows.total);
                progress.tell(far_text("comparing", far, "windows", windows.millis_left));
            }
            Event::NotReceived { why, .. } => match &shown {
                Some(progress) => progress.say(&format!("tidelog: {why}")),
                None => crate::error::say(&format!("tidelog: {why}")),
            },
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
