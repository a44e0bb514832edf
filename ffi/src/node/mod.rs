//! Nodes behind the C ABI: a runtime of their own each, and calls that block until they know.

mod ask;
mod fault;
mod hear;
mod identity;
mod member;
mod policy;
mod visit;

pub use identity::identity_create;
pub(crate) use identity::identity_fingerprint;
pub use member::forget;
pub use visit::sync;

pub use crate::node_words::{Heard, Settings, Visit};
pub(crate) use crate::node_words::{Part, Peer};

use crate::abi::{TIDELOG_CLOSED, TIDELOG_IO, TIDELOG_KIND_FIX_CALL, TIDELOG_KIND_RETRY};
use crate::fault::Fault;
use identity::identity_of;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tidelog_engine::Store;
use tidelog_replica::identity::Authority;
use tidelog_replica::protocol::{Config, Portion};
use tidelog_replica::topology::{FileTopology, FixedTopology, NodeInfo, Topology};
use tidelog_replica::{Node, NodeOptions, Policy};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// A configuration file is looked at so often.
const WATCH: Duration = Duration::from_secs(2);
/// Who waits with a node that stops has so long to hear of it.
const STOP: Duration = Duration::from_secs(5);

/// A node that runs, until it is stopped.
pub struct OpenNode {
    parts: Mutex<Option<Running>>,
    /// `true` once it stops: who waits with it stops waiting.
    stopping: watch::Sender<bool>,
    listeners: Mutex<Vec<JoinHandle<()>>>,
}

struct Running {
    runtime: Arc<Runtime>,
    node: Arc<Node>,
}

/// A runtime with threads of its own.
fn runtime() -> Result<Runtime, Fault> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("tidelog-node")
        .enable_all()
        .build();
    runtime.map_err(|error| {
        let message = format!("the threads of a node could not be started ({error}): raise the limits on threads and files");
        Fault::new(TIDELOG_IO, TIDELOG_KIND_RETRY, message)
    })
}

fn closed() -> Fault {
    Fault::new(TIDELOG_CLOSED, TIDELOG_KIND_FIX_CALL, "the node was stopped: start it again")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn start(store: &Store, path: &Path, mut settings: Settings) -> Result<OpenNode, Fault> {
    let policy = settings.policy.take().map(policy::with_bounds);
    let runtime = runtime()?;
    let node = match &settings.config {
        Some(config) => from_file(&runtime, (store, path), config, &settings, policy)?,
        None => from_settings(&runtime, store, &settings, policy)?,
    };
    let parts = Running { runtime: Arc::new(runtime), node: Arc::new(node) };
    Ok(OpenNode {
        parts: Mutex::new(Some(parts)),
        stopping: watch::Sender::new(false),
        listeners: Mutex::default(),
    })
}

fn from_file(
    runtime: &Runtime,
    (store, path): (&Store, &Path),
    file: &Path,
    settings: &Settings,
    policy: Option<Policy>,
) -> Result<Node, Fault> {
    let more = settings.listen.is_some()
        || settings.identity.is_some()
        || settings.authority.is_some()
        || !settings.peers.is_empty()
        || settings.interval.is_some()
        || settings.initial_delay.is_some();
    if more {
        return Err(Fault::argument(
            "config says everything that the other options say: leave them zero",
        ));
    }
    let topology = Arc::new(FileTopology::load(file)?);
    let config = topology.config();
    let same = |a: &Path, b: &Path| {
        a.canonicalize().ok().is_some_and(|a| b.canonicalize().ok() == Some(a))
    };
    if !same(&config.node.store, path) {
        return Err(Fault::argument(format!(
            "{} is about the store {}, and this one is {}: name it there",
            file.display(),
            config.node.store.display(),
            path.display()
        )));
    }
    let identity = identity_of(store, &config.node.identity)?;
    let mut options = NodeOptions::new(config.node.listen, identity);
    if let Some(path) = &config.node.authority {
        options.authority = Some(Authority::load_certificate(path)?);
    }
    let sync = &config.sync;
    options.protocol = Config {
        interval: sync.anti_entropy.then(|| millis(sync.interval)),
        initial_delay: millis(sync.initial_delay),
        window: sync.window.map(millis),
        groups_at_once: sync.groups_at_once,
        portion: Portion { rows: sync.batch_rows, bytes: sync.batch_bytes },
        ..Config::default()
    };
    options.scrub = Some(sync.scrub).filter(|every| !every.is_zero());
    options.limits.congestion = sync.congestion;
    options.policy = policy::of_config(config.policy.as_ref(), policy, path)?;
    let _inside = runtime.enter();
    let known: Arc<dyn Topology> = Arc::clone(&topology) as _;
    let node = Node::start(store.clone(), known, options)?;
    runtime.spawn(topology.watch(WATCH));
    Ok(node)
}

fn from_settings(
    runtime: &Runtime,
    store: &Store,
    settings: &Settings,
    policy: Option<Policy>,
) -> Result<Node, Fault> {
    let listen = settings.listen.as_deref().ok_or_else(|| {
        Fault::argument("neither config nor listen is set: name a file, or an address to listen on")
    })?;
    let listen: SocketAddr = listen.parse().map_err(|_| {
        Fault::argument(format!(
            "listen is {listen:?}: write an address and a port, as \"0.0.0.0:7447\""
        ))
    })?;
    let folder = settings.identity.as_deref().ok_or_else(|| {
        Fault::argument("identity is not set: name the folder that tidelog_identity_create made")
    })?;
    let identity = identity_of(store, folder)?;
    let mut nodes =
        vec![NodeInfo::new("self", true, listen.to_string(), vec![identity.fingerprint()])];
    for peer in &settings.peers {
        let fingerprint = identity::fingerprint(&peer.fingerprint)?;
        nodes.push(NodeInfo::new(
            peer.name.as_str(),
            false,
            peer.address.as_str(),
            vec![fingerprint],
        ));
    }
    let topology = FixedTopology::new(nodes).map_err(|error| Fault::argument(error.to_string()))?;
    let mut options = NodeOptions::new(listen, identity);
    if let Some(path) = &settings.authority {
        options.authority = Some(Authority::load_certificate(path)?);
    }
    if let Some(interval) = settings.interval {
        options.protocol.interval = Some(millis(interval).max(1));
    }
    if let Some(delay) = settings.initial_delay {
        options.protocol.initial_delay = millis(delay);
    }
    options.policy = policy;
    let _inside = runtime.enter();
    Ok(Node::start(store.clone(), Arc::new(topology), options)?)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl OpenNode {
    /// The runtime and the node, for one call.
    fn parts(&self) -> Result<(Arc<Runtime>, Arc<Node>), Fault> {
        let parts = locked(&self.parts);
        let parts = parts.as_ref().ok_or_else(closed)?;
        Ok((Arc::clone(&parts.runtime), Arc::clone(&parts.node)))
    }

    pub fn address(&self) -> Result<String, Fault> {
        Ok(self.parts()?.1.endpoint().local_address().to_string())
    }

    pub fn stop(&self) {
        let parts = locked(&self.parts).take();
        let Some(Running { runtime, node }) = parts else { return };
        self.stopping.send_replace(true);
        // Whoever waits with the node lets go of it now.
        let patience = Instant::now() + STOP;
        if let Some(node) = alone(node, patience) {
            runtime.block_on(node.stop());
        }
        if let Some(runtime) = alone(runtime, patience) {
            runtime.shutdown_timeout(STOP);
        }
        // Taken out first: a callback that listens once more waits for no lock that is held until it returns.
        let listeners = std::mem::take(&mut *locked(&self.listeners));
        for listener in listeners {
            if listener.thread().id() != thread::current().id() {
                // A panic there has ended it, which is what is wanted.
                let _ = listener.join();
            }
        }
    }
}

impl Drop for OpenNode {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What an `Arc` holds, once nobody else does.
fn alone<T>(mut shared: Arc<T>, patience: Instant) -> Option<T> {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(own) => return Some(own),
            Err(_) if Instant::now() > patience => return None,
            Err(back) => {
                shared = back;
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}
