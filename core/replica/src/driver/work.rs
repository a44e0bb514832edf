//! The one task that owns the protocol: everything that happens comes to it in turn.

use super::drop_group::{DropError, Holder, holders};
use super::forget::{ForgetError, to_forget};
use super::groups::{GroupStatus, status_of};
use super::held_back::HeldBack;
use super::lanes::Lanes;
use super::links::{Linked, Links};
use super::policy::{Policy, Runner};
use super::scrub::Healed;
use super::status::{EpochBehind, Happening, PeerReport, Status, Unseen};
use crate::bridge::Access;
use crate::clock;
use crate::topology::{Right, Rights, Selection, Topology};
use crate::{DialError, Permanence};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};
use tidelog_engine::Store;
use tidelog_model::policy::Round;
use tidelog_model::{GroupEpoch, GroupId, StoreId};
use tidelog_protocol::compare::Only;
use tidelog_protocol::{Event, Input, LinkId, Node, Now, Output, PeerState, PeerStatus, RoundId};
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
    /// A comparison is wanted, with a peer or all, of a part or everything.
    Check(Option<Arc<str>>, Option<Only>),
    /// Which other stores hold a group that is not placed here any more?
    Holders(GroupId, oneshot::Sender<Result<Vec<Holder>, DropError>>),
    /// A comparison of these groups alone is wanted.
    CheckGroups(StoreId, Vec<GroupId>),
    /// Nothing is to be kept of a peer any more: may that be, and which store is it?
    Forget(String, oneshot::Sender<Result<StoreId, ForgetError>>),
    /// Another policy, or none.
    Policy(Option<Policy>),
    /// A dial failed.
    NotDialled(Arc<str>, DialError),
    /// Tell the host.
    Tell(Event),
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
    pub(super) unseen: HashMap<Arc<str>, (String, Permanence)>,
    pub(super) agreed: HeldBack,
    pub(super) healed: std::sync::mpsc::Sender<Healed>,
    /// Of groups in the topology, those that were ever raised.
    pub(super) epochs: Vec<(GroupId, GroupEpoch)>,
    /// Decides from the start on.
    pub(super) policy: Option<Policy>,
    pub(super) runner: Option<Runner>,
    /// To this task itself.
    pub(super) work: mpsc::Sender<Work>,
}

impl Worker {
    pub(super) async fn run(mut self, mut work: mpsc::Receiver<Work>) {
        if self.topology.nodes().iter().all(|node| node.is_self) {
            self.node.handle(self.now(), Input::Alone);
        }
        let policy = self.policy.take();
        self.set_policy(policy);
        self.look_at_epochs();
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
                self.look_at_epochs();
            }
            Work::Status(to) => {
                let _ = to.send(self.status());
            }
            Work::Check(name, only) => {
                let peer = name.as_ref().and_then(|name| {
                    self.names.iter().find(|(_, own)| *own == name).map(|(peer, _)| *peer)
                });
                if name.is_none() || peer.is_some() {
                    self.node.handle(now, Input::Check { peer, only });
                }
            }
            Work::Holders(group, to) => {
                let linked = |peer: StoreId| self.links.figures(peer).is_some();
                let _ = to.send(holders(group, &*self.topology, &self.names, linked));
            }
            Work::CheckGroups(peer, groups) => {
                self.node.handle(now, Input::CheckGroups { peer, groups });
            }
            Work::Forget(who, to) => {
                let _ = to.send(self.forget(&who));
            }
            Work::Policy(policy) => self.set_policy(policy),
            Work::NotDialled(name, error) => {
                self.unseen.insert(name, (error.to_string(), error.permanence()));
            }
            Work::Tell(event) => self.tell(event),
            Work::Stop(_) => {}
        }
    }

    fn set_policy(&mut self, policy: Option<Policy>) {
        let (runner, input) = match policy {
            Some(policy) => {
                let (runner, input) = Runner::start(&policy, self.work.clone());
                (Some(runner), input)
            }
            None => (None, Input::Policy { config: None, state: None }),
        };
        self.runner = runner;
        for (peer, name) in &self.names {
            self.runner.iter().for_each(|runner| runner.know(name, *peer));
        }
        self.node.handle(self.now(), input);
    }

    /// Asks the policy, with what only the links know.
    fn ask_policy(&self, id: RoundId, mut round: Round) {
        for peer in &mut round.peers {
            let rtt = self.links.figures(peer.store).map(|figures| figures.rtt.as_micros());
            peer.rtt = rtt.map_or(0, |rtt| u32::try_from(rtt).unwrap_or(u32::MAX));
        }
        if let Some(runner) = &self.runner {
            runner.plan(id, round);
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
        // A peer with an empty disk and a new key is another store.
        let before = self.names.iter().find(|(own, one)| **one == name && **own != peer);
        if let Some(before) = before.map(|(own, _)| *own) {
            self.names.remove(&before);
            self.lanes.forget(before);
            let gone = Input::Shares { peer: before, groups: Vec::new() };
            self.node.handle(self.now(), gone);
        }
        if let Some(runner) = &self.runner {
            runner.know(&name, peer);
        }
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
        let cost = node.as_ref().map(|node| node.cost).unwrap_or_default();
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
            self.lanes.allow(peer, access_of(rights));
        }
        let now = self.now();
        self.node.handle(now, Input::Cost { peer, cost });
        self.node.handle(now, Input::Shares { peer, groups });
    }

    /// Tells the protocol which epochs hold. Peers that were sent away for theirs are dialled again at once.
    fn look_at_epochs(&mut self) {
        let groups = (0..self.store.group_count()).map(GroupId);
        let epochs = groups.map(|group| (group, self.topology.epoch(group)));
        let epochs: Vec<_> = epochs.filter(|(_, epoch)| epoch.0 > 0).collect();
        if epochs == self.epochs {
            return;
        }
        self.epochs.clone_from(&epochs);
        self.node.handle(self.now(), Input::Epochs(epochs));
        self.links.unbar();
    }

    /// Groups whose epoch in the topology is older than one that was seen.
    fn behind(&self) -> Vec<EpochBehind> {
        let own = self.topology.my_groups();
        let seen = self.store.epochs().into_iter().filter(|(group, _)| own.contains(group));
        let behind = |(group, seen)| {
            let epoch = self.topology.epoch(group);
            (epoch < seen).then_some(EpochBehind { group, epoch, seen })
        };
        seen.filter_map(behind).collect()
    }

    /// Keeps nothing of a peer that is neither in the topology nor linked.
    fn forget(&mut self, who: &str) -> Result<StoreId, ForgetError> {
        let linked: Vec<StoreId> =
            self.names.keys().copied().filter(|peer| self.links.figures(*peer).is_some()).collect();
        let store = to_forget(who, &self.store, &*self.topology, &self.names, &linked)?;
        self.names.remove(&store);
        self.lanes.forget(store);
        self.node.handle(self.now(), Input::Shares { peer: store, groups: Vec::new() });
        Ok(store)
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
                        self.agreed.agreed(self.now().monotonic, stamp);
                    }
                }
                Output::Healed { peer, lacks } => {
                    let _ = self.healed.send((peer, lacks));
                }
                Output::AskPolicy { id, round } => self.ask_policy(id, round),
                Output::KeepPolicy(state) => {
                    if let Some(runner) = &self.runner {
                        runner.keep(state);
                    }
                }
                Output::Event(event) => self.tell(event),
            }
        }
        if let Some(stamp) = self.agreed.due(self.now().monotonic) {
            self.store.set_agreed(stamp);
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
            | Event::Stalled { why, .. }
            | Event::NotReceived { why, .. } => {
                tracing::warn!(peer = name, %why, "replica");
            }
            Event::Planned { fault: Some(fault), policy, .. } => {
                tracing::warn!(peer = name, %policy, %fault, "everything is repaired instead");
            }
            Event::Damaged { .. } => tracing::warn!(?event, "replica"),
            Event::Refused { refusal, .. } => {
                tracing::warn!(peer = name, why = %refusal.text, "replica");
            }
            _ => tracing::info!(peer = name, ?event, "replica"),
        }
        // Nobody has to listen, and one who is slow misses the oldest.
        let _ = self.events.send(Happening { peer, event });
    }

    fn status(&self) -> Status {
        let now = self.now().monotonic;
        let statuses = self.node.status();
        let groups = self.groups(&statuses);
        let peers = statuses.into_iter().map(|status| {
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
            let why = self.unseen.get(&node.name).cloned();
            Unseen { name: Arc::clone(&node.name), why }
        });
        let (peers, unseen) = (peers.collect(), unseen.collect());
        let (damaged, behind) = (self.store.aside(), self.behind());
        let policy = self.node.policy_status();
        Status { ready: self.node.is_ready(), peers, groups, unseen, damaged, behind, policy }
    }

    fn groups(&self, statuses: &[PeerStatus]) -> Vec<GroupStatus> {
        let own = self.topology.my_groups();
        let state = |name: &Arc<str>| {
            let status = statuses.iter().find(|one| self.names.get(&one.peer) == Some(name));
            status.map_or(PeerState::Disconnected, |status| status.state)
        };
        let groups = (0..self.store.group_count()).map(GroupId);
        let of = |group| {
            let others = self.topology.replicas(group).into_iter().filter(|node| !node.is_self);
            let others: Vec<PeerState> = others.map(|node| state(&node.name)).collect();
            status_of(group, &others)
        };
        groups.filter(|group| own.contains(group)).map(of).collect()
    }
}

/// Who may replicate or repair may see and send.
fn access_of(rights: Rights) -> Access {
    let may = [Right::Replicate, Right::Repair].iter().any(|right| rights.rights.contains(right));
    let Rights { groups, databases, .. } = rights;
    match databases {
        Selection::All => Access::Groups(Arc::new(move |group| may && groups.contains(&group))),
        databases => Access::Databases(Arc::new(move |group, database| {
            may && group.is_none_or(|group| groups.contains(&group)) && databases.contains(database)
        })),
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
        | Event::Resumed { peer }
        | Event::Planned { peer, .. }
        | Event::Healed { peer, .. } => Some(*peer),
        _ => None,
    }
}
