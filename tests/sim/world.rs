//! A world of stores that are replicas of each other: the shipped engine on simulated disks, the shipped protocol over
//! a simulated network, virtual time, one thread. The same seed gives the same run.

use crate::net::{Net, Parcel};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tidelog_engine::{Options, Store, Upkeep};
use tidelog_model::{GroupId, StoreId};
use tidelog_protocol::{Ask, AskId, Config, Event, Input, LinkId, Me, Node, Now, Outcome, Output};
use tidelog_replica::bridge::{Bridge, PinBudget};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::SimDisk;

pub const GROUPS: u32 = 2;
/// Where wall clocks begin: milliseconds since the Unix epoch.
pub const EPOCH_MILLIS: u64 = 1_700_000_000_000;

/// One machine: its disk, its clock, and the store while it is up.
pub struct Machine {
    pub disk: SimDisk,
    pub clock: SimClock,
    pub id: Option<StoreId>,
    pub up: Option<Up>,
    /// Wall clock minus virtual time.
    pub skew: i64,
    pub events: Vec<Event>,
}

/// What runs on a machine.
pub struct Up {
    pub store: Store,
    pub node: Node,
    bridge: Bridge,
    asks: VecDeque<(AskId, Ask)>,
    seen: tidelog_model::Position,
}

pub struct World {
    pub machines: Vec<Machine>,
    pub net: Net,
    pub now: u64,
    pub config: Config,
    next_link: u64,
    /// By pair of machines: the link, if there is one.
    links: BTreeMap<(usize, usize), LinkId>,
    redial_at: BTreeMap<(usize, usize), u64>,
}

impl World {
    pub fn new(machines: usize, seed: u64) -> Self {
        let machine = |number: usize| Machine {
            disk: SimDisk::new(),
            clock: SimClock::new(EPOCH_MILLIS, seed.wrapping_mul(31).wrapping_add(number as u64)),
            id: None,
            up: None,
            skew: 0,
            events: Vec::new(),
        };
        World {
            machines: (0..machines).map(machine).collect(),
            net: Net::new(seed),
            now: 0,
            config: Config { interval: Some(30_000), initial_delay: 5_000, ..Config::default() },
            next_link: 1,
            links: BTreeMap::new(),
            redial_at: BTreeMap::new(),
        }
    }

    pub fn options(clock: &SimClock) -> Options {
        Options::new()
            .upkeep(Upkeep::Caller)
            .groups(GROUPS)
            .memory_budget(1 << 20)
            .segment_bytes(64 << 10)
            .clock(Arc::new(clock.clone()))
            .entropy(Arc::new(clock.clone()))
    }

    /// Opens the store of a machine and joins it to the others.
    pub fn start(&mut self, number: usize) {
        let now = self.now_of(number);
        let machine = &mut self.machines[number];
        machine.clock.set(now.wall);
        let store = Self::options(&machine.clock)
            .open_on(Arc::new(machine.disk.clone()))
            .expect("the store opens");
        store.set_replicated().expect("an edit");
        machine.id = Some(store.store_id());
        let incarnation = store.incarnation().expect("open for writing");
        let me = Me { store: store.store_id(), incarnation, groups: GROUPS };
        let node = Node::new(me, self.config.clone(), self.net.draw());
        let bridge = Bridge::new(store.clone(), PinBudget::default());
        let seen = store.position().expect("open for writing");
        machine.up = Some(Up { store, node, bridge, asks: VecDeque::new(), seen });
        self.share();
    }

    /// Tells every node of all others.
    fn share(&mut self) {
        let ids: Vec<Option<StoreId>> = self.machines.iter().map(|one| one.id).collect();
        for number in 0..self.machines.len() {
            let now = self.now_of(number);
            let Some(up) = &mut self.machines[number].up else { continue };
            for id in ids.iter().flatten().filter(|id| **id != up.store.store_id()) {
                let groups = (0..GROUPS).map(GroupId).collect();
                up.node.handle(now, Input::Shares { peer: *id, groups });
            }
        }
    }

    /// The process ends without a word, and what its disk did not sync is lost.
    pub fn crash(&mut self, number: usize) {
        self.unlink_all(number, "crash");
        let machine = &mut self.machines[number];
        machine.disk.kill();
        machine.up = None;
        machine.disk = machine.disk.crash_lose_all();
    }

    /// The process ends as it should.
    pub fn stop(&mut self, number: usize) {
        self.unlink_all(number, "stop");
        let machine = &mut self.machines[number];
        if let Some(up) = machine.up.take() {
            up.store.close().expect("it closes");
        }
        machine.disk = machine.disk.restart();
    }

    pub fn store(&self, number: usize) -> &Store {
        &self.machines[number].up.as_ref().expect("it is up").store
    }

    pub fn now_of(&self, number: usize) -> Now {
        let wall =
            EPOCH_MILLIS.wrapping_add(self.now).wrapping_add_signed(self.machines[number].skew);
        Now { monotonic: self.now, wall }
    }

    fn unlink_all(&mut self, number: usize, why: &str) {
        let own: Vec<(usize, usize)> =
            self.links.keys().filter(|(a, b)| *a == number || *b == number).copied().collect();
        own.into_iter().for_each(|pair| self.unlink(pair, why));
    }

    /// A connection ends; both sides are told.
    fn unlink(&mut self, pair: (usize, usize), why: &str) {
        let Some(link) = self.links.remove(&pair) else { return };
        self.net.forget(link);
        self.redial_at.insert(pair, self.now + 200);
        for (own, other) in [pair, (pair.1, pair.0)] {
            let now = self.now_of(own);
            let Some(peer) = self.machines[other].id else { continue };
            if let Some(up) = &mut self.machines[own].up {
                up.node.handle(now, Input::Unlinked { peer, link, why: why.to_owned() });
            }
        }
    }

    /// Connects what can be connected.
    fn dial(&mut self) {
        for a in 0..self.machines.len() {
            for b in a + 1..self.machines.len() {
                let due = self.redial_at.get(&(a, b)).is_none_or(|at| *at <= self.now);
                let up = self.machines[a].up.is_some() && self.machines[b].up.is_some();
                if !due || !up || self.links.contains_key(&(a, b)) || !self.net.reaches_both(a, b) {
                    continue;
                }
                let link = LinkId(self.next_link);
                self.next_link += 1;
                self.links.insert((a, b), link);
                for (own, other) in [(a, b), (b, a)] {
                    let now = self.now_of(own);
                    let Some(peer) = self.machines[other].id else { continue };
                    if let Some(up) = &mut self.machines[own].up {
                        up.node.handle(now, Input::Linked { peer, link });
                    }
                }
            }
        }
    }

    /// Runs for so many milliseconds of virtual time.
    pub fn run(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.now <= until {
            self.dial();
            self.settle();
            let next = self.next_moment().filter(|next| *next <= until);
            let Some(next) = next else { break };
            self.now = next.max(self.now);
            self.deliver();
            self.tick();
        }
        self.now = until;
    }

    fn next_moment(&self) -> Option<u64> {
        let nodes = self.machines.iter().filter_map(|one| one.up.as_ref()?.node.wake_at());
        let redial = self.redial_at.values().copied().filter(|at| *at > self.now);
        nodes.chain(redial).chain(self.net.next_at()).map(|at| at.max(self.now + 1)).min()
    }

    fn deliver(&mut self) {
        while let Some(Parcel { from, to, link, channel, bytes }) = self.net.arrived(self.now) {
            let now = self.now_of(to);
            let Some(peer) = self.machines[from].id else { continue };
            if let Some(up) = &mut self.machines[to].up {
                up.node.handle(now, Input::Frame { peer, link, channel, bytes });
            }
            self.settle();
        }
    }

    fn tick(&mut self) {
        for number in 0..self.machines.len() {
            let now = self.now_of(number);
            self.machines[number].clock.set(now.wall);
            if let Some(up) = &mut self.machines[number].up
                && up.node.wake_at().is_some_and(|at| at <= self.now)
            {
                up.node.handle(now, Input::Tick);
            }
        }
    }

    /// Does what nodes want until they want nothing more.
    pub fn settle(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for number in 0..self.machines.len() {
                busy |= self.settle_one(number);
            }
        }
    }

    fn settle_one(&mut self, number: usize) -> bool {
        let now = self.now_of(number);
        self.machines[number].clock.set(now.wall);
        let Some(up) = &mut self.machines[number].up else { return false };
        let end = up.store.position().expect("open for writing");
        if end != up.seen {
            up.seen = end;
            up.node.handle(now, Input::LogGrew);
        }
        let mut busy = false;
        let mut closes = Vec::new();
        loop {
            let Some(up) = &mut self.machines[number].up else { break };
            let Some(output) = up.node.poll() else {
                let Some((id, ask)) = up.asks.pop_front() else { break };
                if let Some(answer) = up.bridge.answer(ask) {
                    up.node.handle(now, Input::Answer { id, answer });
                }
                continue;
            };
            busy = true;
            if std::env::var_os("SIM_TRACE").is_some() {
                let text = format!("{output:?}");
                eprintln!("{:>8} {number} {}", self.now, &text[..text.len().min(300)]);
            }
            match output {
                Output::Send { peer, link, channel, bytes } => {
                    let to = self.machines.iter().position(|one| one.id == Some(peer));
                    if let Some(to) = to {
                        self.net.send(self.now, Parcel { from: number, to, link, channel, bytes });
                    }
                }
                Output::Ask { id, ask } => up.asks.push_back((id, ask)),
                Output::Close { link, why, .. } => closes.push((link, why)),
                Output::Agreed(stamp) => up.store.set_agreed(stamp),
                Output::Event(event) => self.machines[number].events.push(event),
                Output::Finish { .. } => {}
            }
        }
        for (link, why) in closes {
            let pair = self.links.iter().find(|(_, own)| **own == link).map(|(pair, _)| *pair);
            if let Some(pair) = pair {
                self.unlink(pair, &why);
            }
        }
        busy
    }

    /// The outcomes of the comparisons that a machine asked for.
    pub fn outcomes(&self, number: usize) -> Vec<Outcome> {
        let ended = self.machines[number].events.iter().filter_map(|event| match event {
            Event::Completed { outcome, .. } => Some(outcome.clone()),
            Event::Failed { why, .. } => Some(Outcome::Aborted { why: why.clone() }),
            _ => None,
        });
        ended.collect()
    }
}
