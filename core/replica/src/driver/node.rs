//! A store among its peers, as hosts hold it.

use super::forget::ForgetError;
use super::held_back::HeldBack;
use super::lanes::Lanes;
use super::links::{Links, Watched, accept, keep};
use super::policy::Policy;
use super::scrub::Scrub;
use super::status::{Happening, Status};
use super::work::{Work, Worker};
use crate::bridge::PinBudget;
use crate::identity::Identity;
use crate::topology::Topology;
use crate::{BindError, Endpoint, EndpointOptions, Limits};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidelog_engine::{Store, WriteError};
use tidelog_model::StoreId;
use tidelog_protocol::compare::Only;
use tidelog_protocol::{Config, Input, Me};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

/// Inputs that wait; links are read no further while there are as many.
const WORK: usize = 64;
/// Events that a slow listener may be behind.
const EVENTS: usize = 1024;
/// The log is looked at so often, at least, to end when the node does.
const LOG_WAIT: Duration = Duration::from_millis(200);

/// How a store joins its peers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who this store is.
    pub identity: Identity,
    /// The certificate, in DER, of an authority that must vouch for every peer; `None` when pins alone decide.
    pub authority: Option<Vec<u8>>,
    /// When to compare, and how.
    pub protocol: Config,
    /// How much of the log is kept for a peer that is away.
    pub pins: PinBudget,
    /// All files of rows are verified so often, in the background; `None`: only those of which a read has met damage. Damaged
    /// ones are healed from peers either way. Seven days.
    pub scrub: Option<Duration>,
    /// Decides about repairs; `None`: everything is repaired at once.
    pub policy: Option<Policy>,
    /// Bounds of the transport.
    pub limits: Limits,
}

impl NodeOptions {
    /// The defaults, for an address and an identity.
    #[must_use]
    pub fn new(listen: SocketAddr, identity: Identity) -> Self {
        NodeOptions {
            listen,
            identity,
            authority: None,
            protocol: Config::default(),
            pins: PinBudget::default(),
            scrub: Some(Duration::from_secs(7 * 86_400)),
            policy: None,
            limits: Limits::default(),
        }
    }
}

/// Why a store cannot join its peers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store is open for reading only.
    #[error("the store is open for reading only: open it for writing to replicate it")]
    ReadOnly,
    /// The identity is another store's.
    #[error("the identity is that of store {identity}, and this is {store}: make one for it")]
    OtherStore {
        /// Whose identity it is.
        identity: tidelog_model::StoreId,
        /// The store.
        store: tidelog_model::StoreId,
    },
    /// The endpoint cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The store could not be marked as one with peers.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A store among its peers: follows them, is followed, compares and repairs, for as long as this lives or until
/// [`Node::stop`]. Needs a tokio runtime with time and I/O; writes and queries go to the store as ever and wait for none
/// of this.
#[derive(Debug)]
pub struct Node {
    store: Store,
    endpoint: Endpoint,
    pub(super) work: mpsc::Sender<Work>,
    events: broadcast::Sender<Happening>,
    ready: watch::Receiver<bool>,
    running: Running,
}

/// What ends with the node.
#[derive(Debug)]
struct Running {
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
    stopping: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Node {
    /// Joins. Has to be called inside a tokio runtime; returns at once, and goes on in its tasks.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        store: Store,
        topology: Arc<dyn Topology>,
        options: NodeOptions,
    ) -> Result<Self, StartError> {
        let incarnation = store.incarnation().ok_or(StartError::ReadOnly)?;
        let identity = options.identity.store();
        if identity != store.store_id() {
            return Err(StartError::OtherStore { identity, store: store.store_id() });
        }
        store.set_replicated()?;
        let endpoint = Endpoint::bind(EndpointOptions {
            listen: options.listen,
            identity: options.identity,
            pins: topology.pins(),
            authority: options.authority,
            limits: options.limits,
        })?;
        let me = Me { store: store.store_id(), incarnation, groups: store.group_count() };
        let seed = u64::from_le_bytes(incarnation.0.first_chunk().copied().unwrap_or_default());
        let clock_ahead = store.clock_ahead_max().as_millis();
        let clock_ahead = u64::try_from(clock_ahead).unwrap_or(u64::MAX);
        let protocol = Config { clock_ahead, ..options.protocol };
        let (work, inbox) = mpsc::channel(WORK);
        let links = Links::new(me.store, work.clone());
        let (events, _) = broadcast::channel(EVENTS);
        let (ready_in, ready) = watch::channel(false);
        let (healed_in, healed) = std::sync::mpsc::channel();
        let dialled = links.watch();
        let worker = Worker {
            node: tidelog_protocol::Node::new(me, protocol, seed),
            store: store.clone(),
            topology: Arc::clone(&topology),
            lanes: Lanes::new(store.clone(), options.pins, work.clone()),
            links,
            events: events.clone(),
            ready: ready_in,
            started: Instant::now(),
            names: HashMap::new(),
            unseen: HashMap::new(),
            agreed: HeldBack::default(),
            healed: healed_in,
            epochs: Vec::new(),
            policy: options.policy,
            runner: None,
            work: work.clone(),
        };
        let running = Running { tasks: Arc::default(), stopping: Arc::default() };
        let run = |task: AbortHandle| {
            running.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        };
        run(tokio::spawn(worker.run(inbox)).abort_handle());
        run(tokio::spawn(accept(endpoint.clone(), work.clone())).abort_handle());
        let dialling = dial_all(endpoint.clone(), topology, seed, dialled, work.clone());
        run(tokio::spawn(dialling).abort_handle());
        watch_log(store.clone(), work.clone(), Arc::clone(&running.stopping));
        let stopping = Arc::clone(&running.stopping);
        let every = options.scrub;
        Scrub { store: store.clone(), every, work: work.clone(), healed, stopping }.start();
        Ok(Node { store, endpoint, work, events, ready, running })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The endpoint: its address, buffers and counters.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What happens from now on. A listener that is more than 1,024 events behind misses the oldest; nothing waits for it.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Happening> {
        self.events.subscribe()
    }

    /// Waits until what is needed of the peers is here: a comparison with one of them came to its end, or its log was
    /// followed without a gap. A store without peers is ready.
    pub async fn ready(&self) {
        let mut ready = self.ready.clone();
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// How things stand; `None` when the node has stopped.
    pub async fn status(&self) -> Option<Status> {
        let (to, status) = oneshot::channel();
        self.work.send(Work::Status(to)).await.ok()?;
        status.await.ok()
    }

    /// Another policy decides about repairs from the next round on; `None`: everything is repaired. A round that is under way
    /// is planned by the one before. Peers are told when they are linked again.
    pub async fn set_policy(&self, policy: Option<Policy>) {
        let _ = self.work.send(Work::Policy(policy)).await;
    }

    /// Compares now, with the peer of this name or with all that are linked, and repairs what differs. Tells by events what
    /// comes of it.
    pub async fn check(&self, peer: Option<&str>) {
        let _ = self.work.send(Work::Check(peer.map(Arc::from), None)).await;
    }

    /// The same of a part. Ends as `Partial` where stores differ outside of it.
    pub async fn check_only(&self, peer: Option<&str>, only: Only) {
        let _ = self.work.send(Work::Check(peer.map(Arc::from), Some(only))).await;
    }

    /// Keeps nothing for a store that is gone, neither the log nor how far its own is followed, and refuses it from then on. By
    /// its name, if it was linked since the start, or its id. Its rows that are here stay.
    ///
    /// # Errors
    /// [`ForgetError`]: it is still in the topology or linked, or not known; nothing was changed then.
    pub async fn forget(&self, who: &str) -> Result<StoreId, ForgetError> {
        let (to, meant) = oneshot::channel();
        let asked = self.work.send(Work::Forget(who.to_owned(), to)).await;
        asked.map_err(|_| ForgetError::Ending)?;
        let meant = meant.await.map_err(|_| ForgetError::Ending)??;
        let store = self.store.clone();
        let forgetting = tokio::task::spawn_blocking(move || store.forget_store(meant));
        forgetting.await.map_err(|_| ForgetError::Ending)??;
        Ok(meant)
    }

    /// Leaves: links are closed, tasks end. The store stays open.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        if self.work.send(Work::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
        self.endpoint.close().await;
        drop(self.running);
    }
}

/// Dials every peer of the topology, and goes by its changes.
async fn dial_all(
    endpoint: Endpoint,
    topology: Arc<dyn Topology>,
    seed: u64,
    watched: Watched,
    work: mpsc::Sender<Work>,
) {
    let mut dialling: HashMap<(Arc<str>, String), tokio::task::JoinHandle<()>> = HashMap::new();
    let mut changes = topology.changes();
    let mut number = seed;
    loop {
        let peers: Vec<(Arc<str>, String)> = topology
            .nodes()
            .into_iter()
            .filter(|node| !node.is_self)
            .map(|node| (Arc::clone(&node.name), node.address.clone()))
            .collect();
        dialling.retain(|peer, task| {
            let stays = peers.contains(peer);
            if !stays {
                task.abort();
            }
            stays
        });
        for peer in peers {
            number = number.wrapping_add(1);
            dialling.entry(peer.clone()).or_insert_with(|| {
                let (endpoint, watched) = (endpoint.clone(), watched.clone());
                tokio::spawn(keep(endpoint, peer, number, watched, work.clone()))
            });
        }
        if changes.changed().await.is_err() {
            return;
        }
        endpoint.set_pins(topology.pins());
        if work.send(Work::Topology).await.is_err() {
            return;
        }
    }
}

/// Tells when the log has grown, from a thread of its own, for waiting for that blocks.
fn watch_log(store: Store, work: mpsc::Sender<Work>, stopping: Arc<AtomicBool>) {
    tokio::task::spawn_blocking(move || {
        let Some(mut seen) = store.position() else { return };
        while !stopping.load(Ordering::Relaxed) {
            let Some(end) = store.wait_for_log(seen, LOG_WAIT) else { return };
            if end.offset > seen.offset {
                seen = end;
                if work.blocking_send(Work::Input(Input::LogGrew)).is_err() {
                    return;
                }
            }
        }
    });
}
