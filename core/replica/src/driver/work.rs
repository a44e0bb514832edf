//! The one task that owns the protocol: everything that happens comes to it in turn.

use super::lanes::Lanes;
use super::links::{Linked, Links};
use super::status::{Happening, PeerReport, Status};
use crate::bridge::Access;
use crate::clock;
use crate::topology::{Right, Topology};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};
use tidelog_engine::Store;
use tidelog_model::{GroupId, StoreId};
use tidelog_protocol::{Event, Input, LinkId, Node, Now, Output};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// What comes to the task.
pub(super) enum Work {
    /// To the protocol as it is.
    Input(Input),
    /// A peer is connected.
    Linked(Linked),
    /// A connection ended.
    Ended { peer: StoreId, link: LinkId, why: String },
    /// The topology changed.
    Topology,
    /// How do things stand?
    Status(oneshot::Sender<Status>),
    /// A comparison is wanted.
    Check(Option<Arc<str>>),
    /// A dial failed.
    NotDialled(Arc<str>, String),
    /// It is over.
    Stop(oneshot::Sender<()>),
}

/// See the module documentation.
pub(super) struct Worker {
    pub(super) node: Node,
    pub(super) store: Store,
    pub(super) topology: Arc<dyn Topology>,
    pub(super) lanes: Lanes,
    pub(super) links: Links,
    pub(super) events: broadcast::Sender<Happening>,
    pub(super) ready: watch::Sender<bool>,
    pub(super) started: Instant,
    pub(super) names: HashMap<StoreId, Arc<str>>,
    pub(super) unseen: HashMap<Arc<str>, String>,
}

impl Worker {
    pub(super) async fn run(mut self, mut work: mpsc::Receiver<Work>) {
        loop {
            self.act();
            let wake = self.node.wake_at().map(|at| {
                tokio::time::Instant::from_std(self.started + std::time::Duration::from_millis(at))
            });
            let sleep = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                next = work.recv() => next,
                () = sleep => Some(Work::Input(Input::Tick)),
            };
            match next {
                None => return,
                Some(Work::Stop(done)) => {
                    self.links.close_all();
                    let _ = done.send(());
                    return;
                }
                Some(next) => self.take(next),
            }
        }
    }

    fn now(&self) -> Now {
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let wall = clock::now().duration_since(UNIX_EPOCH).map_or(0, millis);
        Now { monotonic: millis(self.started.elapsed()), wall }
    }

    fn take(&mut self, work: Work) {
        let now = self.now();
        match work {
            Work::Input(input) => self.node.handle(now, input),
            Work::Linked(linked) => self.linked(linked),
            Work::Ended { peer, link, why } => {
                if self.links.remove(peer, link) {
                    if let Some(name) = self.names.get(&peer) {
                        self.topology.set_active(name, false);
                    }
                    self.node.handle(now, Input::Unlinked { peer, link, why });
                }
            }
            Work::Topology => {
                let known: Vec<StoreId> = self.names.keys().copied().collect();
                known.into_iter().for_each(|peer| self.share(peer));
            }
            Work::Status(to) => {
                let _ = to.send(self.status());
            }
            Work::Check(name) => {
                let peer = name.as_ref().and_then(|name| {
                    self.names.iter().find(|(_, own)| *own == name).map(|(peer, _)| *peer)
                });
                if name.is_none() || peer.is_some() {
                    self.node.handle(now, Input::Check { peer });
                }
            }
            Work::NotDialled(name, why) => {
                self.unseen.insert(name, why);
            }
            Work::Stop(_) => {}
        }
    }

    fn linked(&mut self, linked: Linked) {
        let (peer, link) = (linked.peer(), linked.link());
        let name = linked.name();
        if !self.links.admit(linked) {
            return;
        }
        self.unseen.remove(&name);
        self.topology.set_active(&name, true);
        self.names.insert(peer, name);
        self.share(peer);
        let now = self.now();
        self.node.handle(now, Input::Linked { peer, link });
    }

    /// Tells the protocol which groups a peer shares, by placement and rights.
    fn share(&mut self, peer: StoreId) {
        let Some(name) = self.names.get(&peer).cloned() else { return };
        let node = self.topology.node(&name);
        let own = self.topology.my_groups();
        let groups: Vec<GroupId> = match &node {
            None => Vec::new(),
            Some(node) => {
                let may = node.rights.rights.contains(&Right::Replicate)
                    || node.rights.rights.contains(&Right::Repair);
                (0..self.store.group_count())
                    .map(GroupId)
                    .filter(|group| may && own.contains(group) && node.groups.contains(group))
                    .filter(|group| node.rights.groups.contains(group))
                    .collect()
            }
        };
        if let Some(node) = node {
            let rights = node.rights.clone();
            let access: Access = Arc::new(move |group, database| {
                rights.allows(Right::Replicate, group, database)
                    || rights.allows(Right::Repair, group, database)
            });
            self.lanes.allow(peer, access);
        }
        let now = self.now();
        self.node.handle(now, Input::Shares { peer, groups });
    }

    /// Does what the protocol wants.
    fn act(&mut self) {
        while let Some(output) = self.node.poll() {
            match output {
                Output::Send { peer, link, channel, bytes } => {
                    self.links.send(peer, link, channel, bytes);
                }
                Output::Finish { peer, link, channel } => self.links.finish(peer, link, channel),
                Output::Ask { id, ask } => self.lanes.ask(id, ask),
                Output::Close { peer, link, why, for_good } => {
                    self.links.close(peer, link, &why, for_good);
                }
                Output::Agreed(stamp) => {
                    // A peer that was never heard of may have written anything.
                    let peers = self.topology.nodes().iter().filter(|node| !node.is_self).count();
                    if self.names.len() >= peers {
                        self.store.set_agreed(stamp);
                    }
                }
                Output::Event(event) => self.tell(event),
            }
        }
    }

    fn tell(&self, event: Event) {
        if event == Event::Ready {
            self.ready.send_replace(true);
        }
        let peer = peer_of(&event).and_then(|peer| self.names.get(&peer).cloned());
        let name = peer.as_deref().unwrap_or("-");
        match &event {
            Event::Progress { .. } | Event::Receiving { .. } => {
                tracing::debug!(peer = name, ?event, "replica")
            }
            Event::Failed { why, .. }
            | Event::Refused { why, .. }
            | Event::Stalled { why, .. }
            | Event::NotReceived { why, .. } => {
                tracing::warn!(peer = name, %why, "replica");
            }
            _ => tracing::info!(peer = name, ?event, "replica"),
        }
        // Nobody has to listen, and one who is slow misses the oldest.
        let _ = self.events.send(Happening { peer, event });
    }

    fn status(&self) -> Status {
        let now = self.now().monotonic;
        let peers = self.node.status().into_iter().map(|status| {
            let name = self.names.get(&status.peer).cloned();
            PeerReport {
                name: name.unwrap_or_else(|| status.peer.to_string().into()),
                link: self.links.figures(status.peer),
                agreed_millis_ago: status.agreed_at.map(|at| now.saturating_sub(at)),
                status,
            }
        });
        let seen: Vec<&Arc<str>> = self.names.values().collect();
        let unseen = self.topology.nodes().into_iter().filter(|node| !node.is_self);
        let unseen = unseen.filter(|node| !seen.contains(&&node.name)).map(|node| {
            let why = self.unseen.get(&node.name).cloned().unwrap_or_default();
            (Arc::clone(&node.name), why)
        });
        Status { ready: self.node.is_ready(), peers: peers.collect(), unseen: unseen.collect() }
    }
}

fn peer_of(event: &Event) -> Option<StoreId> {
    match event {
        Event::Connected { peer }
        | Event::Disconnected { peer, .. }
        | Event::Refused { peer, .. }
        | Event::Started { peer, .. }
        | Event::Progress { peer, .. }
        | Event::Receiving { peer, .. }
        | Event::Received { peer, .. }
        | Event::NotReceived { peer, .. }
        | Event::Completed { peer, .. }
        | Event::Failed { peer, .. }
        | Event::Stalled { peer, .. }
        | Event::Resumed { peer } => Some(*peer),
        _ => None,
    }
}
