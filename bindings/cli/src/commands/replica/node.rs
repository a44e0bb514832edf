//! `tidelog node`: serves a store to its peers until it is told to end.

use super::print::{behind_json, behind_text, report_json, status_json};
use super::{by_node, identity_of, policy, runtime, socket};
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome, say};
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidelog::replication::identity::Authority;
use tidelog::replication::protocol::compare::Only;
use tidelog::replication::protocol::{Config, Event, Outcome as SyncOutcome, Portion, Reason};
use tidelog::replication::topology::{FileTopology, SyncConfig, Topology};
use tidelog::replication::{Node, NodeOptions};
use tidelog::{CollectionName, GroupId, TimeRange};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

/// The configuration is looked at so often.
const WATCH: Duration = Duration::from_secs(2);
/// A comparison that was asked for is waited for so long.
const CHECK: Duration = Duration::from_secs(3600);

/// Serve a store to its peers: follow them, be followed, compare and repair, until SIGTERM or Ctrl-C.
///
/// `tidelog status`, `repair`, `policy`, `forget`, `drop-group`, `import` and `delete` reach it through a socket in the store's directory.
#[derive(Args, Debug)]
pub(crate) struct NodeCommand {
    /// The configuration: this store, its peers, how it keeps in step.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl NodeCommand {
    pub(crate) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let topology = Arc::new(FileTopology::load(&self.config)?);
        let config = topology.config();
        let store = opener.write(&config.node.store, true)?;
        let mut options =
            NodeOptions::new(config.node.listen, identity_of(&store, &config.node.identity)?);
        if let Some(path) = &config.node.authority {
            options.authority = Some(Authority::load_certificate(path)?);
        }
        options.protocol = protocol(&config.sync);
        options.scrub = Some(config.sync.scrub).filter(|every| !every.is_zero());
        options.limits.congestion = config.sync.congestion;
        options.policy = match &config.policy {
            Some(section) => policy::of(section, &config.node.store)?,
            None => None,
        };
        let outcome = runtime()?.block_on(async {
            let watching = tokio::spawn(Arc::clone(&topology).watch(WATCH));
            let known: Arc<dyn Topology> = Arc::clone(&topology) as _;
            let node = Arc::new(Node::start(store.clone(), known, options)?);
            say(&format!(
                "store {} listens on {}",
                store.store_id(),
                node.endpoint().local_address()
            ));
            for one in node.status().await.unwrap_or_default().behind {
                say(&format!("warning: {}", behind_text(&behind_json(&one))));
            }
            let serving = serve(&topology, &node);
            tokio::select! {
                ended = ended() => ended?,
                () = tell_ready(&node, &config.sync) => {}
            }
            watching.abort();
            if let Some(serving) = serving {
                serving.abort();
            }
            let _ = std::fs::remove_file(socket::path_of(&config.node.store));
            if let Ok(node) = Arc::try_unwrap(node) {
                node.stop().await;
            }
            Ok::<(), CommandError>(())
        });
        store.close()?;
        outcome?;
        Ok(Outcome::Done)
    }
}

fn protocol(sync: &SyncConfig) -> Config {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Config {
        interval: sync.anti_entropy.then(|| millis(sync.interval)),
        initial_delay: millis(sync.initial_delay),
        window: sync.window.map(millis),
        groups_at_once: sync.groups_at_once,
        portion: Portion { rows: sync.batch_rows, bytes: sync.batch_bytes },
        ..Config::default()
    }
}

/// Says when what is needed of the peers is here, or that it goes on in the background. Never ends.
async fn tell_ready(node: &Node, sync: &SyncConfig) {
    match tokio::time::timeout(sync.startup_timeout, node.ready()).await {
        Ok(()) => say("ready"),
        Err(_) => say("no peer could be compared with yet: going on, and trying in the background"),
    }
    std::future::pending().await
}

/// Waits until somebody wants the process to end.
async fn ended() -> Result<(), CommandError> {
    let failed = |source| CommandError::Network { what: "signals cannot be waited for", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Answers on the socket in the store's directory. Without one the node goes on.
fn serve(topology: &Arc<FileTopology>, node: &Arc<Node>) -> Option<tokio::task::JoinHandle<()>> {
    let path = socket::path_of(&topology.config().node.store);
    // The store is locked by this process, so whatever stands there is left over.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).and_then(|listener| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!(
                "warning: `tidelog status` cannot reach this node ({}: {error})",
                path.display()
            ));
            return None;
        }
    };
    let (node, topology) = (Arc::downgrade(node), Arc::clone(topology));
    Some(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Some(node) = node.upgrade() else { return };
            let topology = Arc::clone(&topology);
            tokio::spawn(async move {
                // Whoever asked may have gone.
                let _ = answer(stream, node, &topology).await;
            });
        }
    }))
}

async fn answer(
    stream: UnixStream,
    node: Arc<Node>,
    topology: &FileTopology,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let Some(line) = lines.next_line().await? else { return Ok(()) };
    let request: Value = serde_json::from_str(&line).unwrap_or_default();
    match request["ask"].as_str() {
        Some("status") => {
            let status = node.status().await.map(|status| status_json(&status));
            let status = status.unwrap_or_else(|| json!({ "error": "the node is ending" }));
            write.write_all(format!("{status}\n").as_bytes()).await
        }
        Some("write") => {
            let store = node.store().clone();
            drop(node);
            let writing = tokio::task::spawn_blocking(move || by_node::write(&store, &request));
            let done = writing.await.map_err(std::io::Error::other)?;
            write.write_all(format!("{done}\n").as_bytes()).await
        }
        Some("forget") => {
            let done = node.forget(request["node"].as_str().unwrap_or_default()).await;
            let done = match done {
                Ok(store) => json!({ "forgotten": store.to_string() }),
                Err(error) => json!({ "error": error.to_string() }),
            };
            write.write_all(format!("{done}\n").as_bytes()).await
        }
        Some("drop-group") => {
            let done = drop_group(&node, &request["group"]).await;
            write.write_all(format!("{done}\n").as_bytes()).await
        }
        Some("policy") => {
            let done = policy::answer(&node, &topology.config(), &request["set"]).await;
            write.write_all(format!("{done}\n").as_bytes()).await
        }
        Some("check") => {
            check(&node, request["peer"].as_str(), part_of(&request), &mut write).await
        }
        _ => {
            let error =
                json!({ "error": "this node does not know the request: is it an older one?" });
            write.write_all(format!("{error}\n").as_bytes()).await
        }
    }
}

async fn drop_group(node: &Node, group: &Value) -> Value {
    let Some(number) = group.as_u64().and_then(|number| u32::try_from(number).ok()) else {
        return json!({ "error": "a group is a number" });
    };
    match node.drop_group(GroupId(number)).await {
        Ok(gone) => json!({ "group": number, "rows": gone.rows(), "bytes": gone.bytes() }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// What a request for a comparison is about, when that is not everything.
fn part_of(request: &Value) -> Option<Only> {
    let collection = CollectionName::parse(request["collection"].as_str()?).ok()?;
    let bound = |name: &str| request[name].as_i64();
    let range = TimeRange::inclusive(bound("first_ns")?, bound("last_ns")?)?;
    Some(Only::new(collection, range))
}

/// Compares with peers, and tells of each when it is over.
async fn check(
    node: &Node,
    only: Option<&str>,
    part: Option<Only>,
    write: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let linked = node.status().await.map(|status| status.peers).unwrap_or_default();
    let mut waiting: BTreeSet<Arc<str>> = linked
        .iter()
        .filter(|peer| peer.link.is_some() && only.is_none_or(|only| *peer.name == *only))
        .map(|peer| Arc::clone(&peer.name))
        .collect();
    if waiting.is_empty() {
        let error = match only {
            Some(name) => format!("there is no link with a peer {name}: see `tidelog status`"),
            None => "no peer is linked: see `tidelog status`".to_owned(),
        };
        return write.write_all(format!("{}\n", json!({ "error": error })).as_bytes()).await;
    }
    let mut events = node.events();
    match part {
        Some(part) => node.check_only(only, part).await,
        None => node.check(only).await,
    }
    // A comparison that was under way when this was asked is none of these.
    let mut asked: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    while !waiting.is_empty() {
        let Ok(Ok(happening)) = tokio::time::timeout(CHECK, events.recv()).await else {
            return Ok(());
        };
        let Some(peer) = happening.peer.filter(|peer| waiting.contains(peer)) else { continue };
        let is_own = |session: u32| asked.get(&peer) == Some(&session);
        let report = match happening.event {
            Event::Started { session, reason: Reason::Asked, .. } => {
                asked.entry(peer).or_insert(session);
                continue;
            }
            Event::Completed { session, outcome, report, .. } if is_own(session) => {
                report_json(&peer, &outcome, &report)
            }
            Event::Failed { session, why, report, .. } if is_own(session) => {
                report_json(&peer, &SyncOutcome::Aborted { why }, &report)
            }
            _ => continue,
        };
        waiting.remove(&peer);
        write.write_all(format!("{report}\n").as_bytes()).await?;
    }
    Ok(())
}
