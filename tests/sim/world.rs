//! A world of stores that are replicas of each other: the shipped engine on simulated disks, the shipped protocol over
//! a simulated network, virtual time, one thread. The same seed gives the same run.

use crate::net::{Net, Parcel};
use crate::plant::{Plant, Planted};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tidelog_engine::clock::Entropy;
use tidelog_engine::{Aside, Options, Store, Upkeep};
use tidelog_model::policy::{Cost, PolicyErrorKind, Recorded, RepairPolicy, Round};
use tidelog_model::{GroupEpoch, GroupId, StoreId};
use tidelog_protocol::{
    Answer, Ask, AskId, Config, Event, FailureKind, Input, Lack, LinkId, Me, Node, Now, Outcome,
    Output, PolicyConfig, PolicyState, RoundId,
};
use tidelog_replica::bridge::{Bridge, PinBudget};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::SimDisk;

pub const GROUPS: u32 = 2;
/// Where wall clocks begin: milliseconds since the Unix epoch.
pub const EPOCH_MILLIS: u64 = 1_700_000_000_000;
/// A connection that ended is made again after so many milliseconds; one that was refused for good, later.
const REDIAL: u64 = 200;
const REDIAL_REFUSED: u64 = 60_000;
/// What one moment of virtual time may cost, and one second of it: more is a livelock.
const STEPS_PER_MOMENT_MAX: u64 = 20_000;
const MESSAGES_PER_SECOND_MAX: u64 = 6_000;

/// One machine: its disk, its clock, and the store while it is up.
pub struct Machine {
    pub disk: SimDisk,
    pub clock: SimClock,
    pub id: Option<StoreId>,
    pub up: Option<Up>,
    /// Wall clock minus virtual time, and the most it ever was.
    pub skew: i64,
    pub skew_max: i64,
    /// Answers of its store take up to so many milliseconds.
    pub slow: u64,
    pub events: Vec<Event>,
    /// Its store said that it must be opened again.
    pub broken: bool,
    /// In its topology, of all groups.
    pub epoch: GroupEpoch,
    /// It is in the topology of the others.
    pub member: bool,
    /// Decides about its repairs.
    pub policy: Option<Deciding>,
}

/// A policy, as a host runs it.
pub struct Deciding {
    pub policy: Box<dyn RepairPolicy>,
    pub config: PolicyConfig,
    /// What its links cost.
    pub cost: Cost,
    /// Bytes that the host keeps over restarts.
    pub kept: Option<Vec<u8>>,
    /// What it was told and said.
    pub rounds: Vec<Recorded>,
}

/// What runs on a machine.
pub struct Up {
    pub store: Store,
    pub node: Node,
    bridge: Bridge,
    planted: Planted,
    asks: VecDeque<(AskId, Ask)>,
    /// The store is busy until then.
    busy_until: u64,
    seen: tidelog_model::Position,
}

pub struct World {
    pub machines: Vec<Machine>,
    pub net: Net,
    pub now: u64,
    pub config: Config,
    /// The bug that was planted.
    pub plant: Plant,
    next_link: u64,
    links: BTreeMap<LinkId, (usize, usize)>,
    redial_at: BTreeMap<(usize, usize), u64>,
    second: (u64, u64),
    /// For a planted bug: where the last message of a tail ended.
    gaps: BTreeMap<(LinkId, usize), tidelog_model::Position>,
    /// What was done, to be printed when it went wrong.
    pub log: Vec<String>,
}

impl World {
    pub fn new(machines: usize, seed: u64) -> Self {
        let machine = |number: usize| Machine {
            disk: SimDisk::new(),
            clock: SimClock::new(EPOCH_MILLIS, seed.wrapping_mul(31).wrapping_add(number as u64)),
            id: None,
            up: None,
            skew: 0,
            skew_max: 0,
            slow: 0,
            events: Vec::new(),
            broken: false,
            epoch: GroupEpoch::default(),
            member: true,
            policy: None,
        };
        World {
            machines: (0..machines).map(machine).collect(),
            net: Net::new(seed),
            now: 0,
            config: Config { interval: Some(30_000), initial_delay: 5_000, ..Config::default() },
            plant: Plant::Nothing,
            next_link: 1,
            links: BTreeMap::new(),
            redial_at: BTreeMap::new(),
            second: (0, 0),
            gaps: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    pub fn options(clock: &SimClock, entropy: Arc<dyn Entropy>) -> Options {
        Options::new()
            .upkeep(Upkeep::Caller)
            .groups(GROUPS)
            .memory_budget(1 << 20)
            .segment_bytes(64 << 10)
            .clock(Arc::new(clock.clone()))
            .entropy(entropy)
    }

    /// Opens the store of a machine and joins it to the others. A store that cannot be opened now stays down.
    pub fn start(&mut self, number: usize) -> bool {
        let now = self.now_of(number);
        let machine = &mut self.machines[number];
        machine.clock.set(now.wall);
        machine.broken = false;
        let entropy = self.plant.entropy(&machine.clock, number);
        let opened = Self::options(&machine.clock, entropy).open_on(Arc::new(machine.disk.clone()));
        let store = match opened.map(|store| store.set_replicated().map(|()| store)) {
            Ok(Ok(store)) => store,
            failed => {
                self.log.push(format!("{:>7} {number} does not open: {failed:?}", self.now));
                let machine = &mut self.machines[number];
                machine.disk.kill();
                machine.disk = machine.disk.restart();
                return false;
            }
        };
        machine.id = Some(store.store_id());
        let incarnation = store.incarnation().expect("open for writing");
        let me = Me { store: store.store_id(), incarnation, groups: GROUPS };
        let mut node = Node::new(me, self.config.clone(), self.net.draw());
        node.handle(now, Input::Epochs(epochs(machine.epoch)));
        let bridge = Bridge::new(store.clone(), PinBudget::default());
        let seen = store.position().expect("open for writing");
        let planted = Planted::new(self.plant);
        let (asks, busy_until) = (VecDeque::new(), 0);
        machine.up = Some(Up { store, node, bridge, planted, asks, busy_until, seen });
        self.share();
        self.say_policy(number, true);
        self.say_what_lacks(number);
        true
    }

    /// A policy decides about a machine's repairs from now on.
    pub fn set_policy(&mut self, number: usize, deciding: Option<Deciding>) {
        self.machines[number].policy = deciding;
        self.say_policy(number, false);
    }

    fn say_policy(&mut self, number: usize, opened: bool) {
        let now = self.now_of(number);
        let peers: Vec<_> = self.machines.iter().filter_map(|one| one.id).collect();
        let machine = &mut self.machines[number];
        let Some(up) = &mut machine.up else { return };
        let deciding = machine.policy.as_ref();
        let kept = deciding.and_then(|one| one.kept.as_ref()).filter(|_| opened);
        let state = kept.map(|bytes| PolicyState::decode(bytes).expect("as it was kept"));
        let config = deciding.map(|one| one.config.clone());
        up.node.handle(now, Input::Policy { config, state });
        for peer in peers {
            let cost = deciding.map_or(Cost::Free, |one| one.cost);
            up.node.handle(now, Input::Cost { peer, cost });
        }
    }

    /// The host of a machine asks its policy.
    fn ask_policy(&mut self, number: usize, id: RoundId, round: Round) {
        let now = self.now_of(number);
        let machine = &mut self.machines[number];
        let (Some(up), Some(deciding)) = (&mut machine.up, &mut machine.policy) else { return };
        let plan = deciding.policy.plan(&round);
        if plan.as_ref().is_err_and(|error| error.kind == PolicyErrorKind::Deadline) {
            // It does not come back.
            return;
        }
        let steps = plan.clone().unwrap_or_default();
        deciding.rounds.push(Recorded { round, plan: steps });
        up.node.handle(now, Input::Plan { id, plan });
    }

    /// Tells every node of all others.
    fn share(&mut self) {
        let ids: Vec<_> = self.machines.iter().map(|one| Some((one.id?, one.member))).collect();
        for number in 0..self.machines.len() {
            let now = self.now_of(number);
            let Some(up) = &mut self.machines[number].up else { continue };
            for (id, member) in ids.iter().flatten().filter(|one| one.0 != up.store.store_id()) {
                let groups = (0..if *member { GROUPS } else { 0 }).map(GroupId).collect();
                up.node.handle(now, Input::Shares { peer: *id, groups });
            }
        }
    }

    /// A machine is taken into the topology of the others, or out of it.
    pub fn set_member(&mut self, number: usize, member: bool) {
        self.machines[number].member = member;
        self.share();
    }

    /// A machine that is down gets an empty disk: its store is another one from then on.
    pub fn empty(&mut self, number: usize) {
        let Some(gone) = self.machines[number].id.take() else { return };
        self.machines[number].disk = SimDisk::new();
        for other in 0..self.machines.len() {
            let now = self.now_of(other);
            if let Some(up) = &mut self.machines[other].up {
                up.node.handle(now, Input::Shares { peer: gone, groups: Vec::new() });
            }
        }
    }

    /// The epoch is changed in a machine's topology, which is read again; who was told not to come soon is dialled again.
    pub fn set_epoch(&mut self, number: usize, epoch: u64) {
        let now = self.now_of(number);
        let machine = &mut self.machines[number];
        machine.epoch = GroupEpoch(epoch);
        if let Some(up) = &mut machine.up {
            up.node.handle(now, Input::Epochs(epochs(machine.epoch)));
        }
        self.redial_at.retain(|(a, b), _| *a != number && *b != number);
    }

    /// The power fails: what the disk did not sync may be lost.
    pub fn crash(&mut self, number: usize) {
        let seed = self.net.draw();
        self.unlink_all(number, "crash");
        let machine = &mut self.machines[number];
        machine.disk.kill();
        machine.up = None;
        machine.disk = machine.disk.random_crash(seed);
    }

    /// The power fails: what the disk did not sync is lost.
    pub fn crash_lose_all(&mut self, number: usize) {
        self.unlink_all(number, "crash");
        let machine = &mut self.machines[number];
        machine.disk.kill();
        machine.up = None;
        machine.disk = machine.disk.crash_lose_all();
    }

    /// The process ends as it should, if its disk lets it.
    pub fn stop(&mut self, number: usize) {
        self.unlink_all(number, "stop");
        let machine = &mut self.machines[number];
        if let Some(up) = machine.up.take() {
            let _ = up.store.close();
        }
        machine.disk.kill();
        machine.disk = machine.disk.restart();
    }

    pub fn store(&self, number: usize) -> &Store {
        &self.machines[number].up.as_ref().expect("it is up").store
    }

    pub fn node(&self, number: usize) -> &Node {
        &self.machines[number].up.as_ref().expect("it is up").node
    }

    pub fn is_up(&self, number: usize) -> bool {
        self.machines[number].up.is_some()
    }

    pub fn now_of(&self, number: usize) -> Now {
        let wall =
            EPOCH_MILLIS.wrapping_add(self.now).wrapping_add_signed(self.machines[number].skew);
        Now { monotonic: self.now, wall }
    }

    /// Sets a machine's clock, so many milliseconds ahead.
    pub fn skew(&mut self, number: usize, millis: i64) {
        self.machines[number].skew = millis;
        self.machines[number].skew_max = self.machines[number].skew_max.max(millis);
        let now = self.now_of(number);
        self.machines[number].clock.set(now.wall);
    }

    /// The host of a machine, or of all, wants comparisons now.
    pub fn check(&mut self, number: Option<usize>) {
        for at in 0..self.machines.len() {
            let now = self.now_of(at);
            if number.is_none_or(|number| number == at)
                && let Some(up) = &mut self.machines[at].up
            {
                up.node.handle(now, Input::Check { peer: None, only: None });
            }
        }
    }

    /// A machine looks for damage in its files, and sets aside what it finds; how many files.
    pub fn scrub(&mut self, number: usize) -> usize {
        let found = self.store(number).set_damage_aside(true, |_, _| true).expect("a disk");
        self.say_what_lacks(number);
        found.len()
    }

    fn say_what_lacks(&mut self, number: usize) {
        let now = self.now_of(number);
        let Some(up) = &mut self.machines[number].up else { return };
        let lack = |aside: &Aside| Lack { group: aside.group, newest: aside.newest };
        let lacks = up.store.aside().iter().map(lack).collect();
        up.node.handle(now, Input::Lacks(lacks));
    }

    pub fn unlink_all(&mut self, number: usize, why: &str) {
        let own = self.links.iter().filter(|(_, (a, b))| *a == number || *b == number);
        let own: Vec<LinkId> = own.map(|(link, _)| *link).collect();
        own.into_iter().for_each(|link| self.unlink(link, why, REDIAL));
    }

    /// A connection ends; both sides are told.
    fn unlink(&mut self, link: LinkId, why: &str, redial: u64) {
        let Some(pair) = self.links.remove(&link) else { return };
        self.net.forget(link);
        self.redial_at.insert(pair, self.now + redial);
        for (own, other) in [pair, (pair.1, pair.0)] {
            let now = self.now_of(own);
            let Some(peer) = self.machines[other].id else { continue };
            if let Some(up) = &mut self.machines[own].up {
                up.node.handle(now, Input::Unlinked { peer, link, why: why.to_owned() });
            }
        }
    }

    /// Connects what can be connected. A store is not connected with itself, nor with a copy of it.
    fn dial(&mut self) {
        for a in 0..self.machines.len() {
            for b in a + 1..self.machines.len() {
                let due = self.redial_at.get(&(a, b)).is_none_or(|at| *at <= self.now);
                let up = self.is_up(a) && self.is_up(b);
                let linked = self.links.values().any(|pair| *pair == (a, b));
                let same = self.machines[a].id == self.machines[b].id;
                let members = self.machines[a].member && self.machines[b].member;
                if !due || !up || same || linked || !members || !self.net.reaches_both(a, b) {
                    continue;
                }
                let link = LinkId(self.next_link);
                self.next_link += 1;
                self.links.insert(link, (a, b));
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
        let ups = || self.machines.iter().filter_map(|one| one.up.as_ref());
        let nodes = ups().filter_map(|up| up.node.wake_at());
        let answers = ups().filter(|up| !up.asks.is_empty()).map(|up| up.busy_until);
        let planted = ups().filter_map(|up| up.planted.wake_at());
        let redial = self.redial_at.values().copied().filter(|at| *at > self.now);
        let moments = nodes.chain(answers).chain(planted).chain(redial).chain(self.net.next_at());
        moments.map(|at| at.max(self.now + 1)).min()
    }

    fn deliver(&mut self) {
        while let Some(parcel) = self.net.arrived(self.now) {
            let Parcel { from, to, link, channel, bytes } = parcel;
            self.count_message();
            let now = self.now_of(to);
            let Some(peer) = self.machines[from].id else { continue };
            let bytes = self.plant.deliver(&mut self.gaps, (link, from), channel, bytes);
            if let Some(up) = &mut self.machines[to].up {
                up.node.handle(now, Input::Frame { peer, link, channel, bytes });
            }
            self.settle();
        }
    }

    fn count_message(&mut self) {
        let second = self.now / 1000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        let many = self.second.1 > MESSAGES_PER_SECOND_MAX;
        assert!(!many, "a livelock: more than {MESSAGES_PER_SECOND_MAX} messages in a second");
    }

    fn tick(&mut self) {
        let broken: Vec<LinkId> = self.net.broken.iter().copied().collect();
        broken.into_iter().for_each(|link| self.unlink(link, "a message was lost", REDIAL));
        for number in 0..self.machines.len() {
            let now = self.now_of(number);
            self.machines[number].clock.set(now.wall);
            if let Some(up) = &mut self.machines[number].up
                && up.node.wake_at().is_some_and(|at| at <= self.now)
            {
                up.node.handle(now, Input::Tick);
                // One that wants another tick at once would spin.
                let next = up.node.wake_at();
                assert!(
                    next.is_none_or(|at| at > now.monotonic),
                    "{next:?} after a tick at {now:?}"
                );
            }
        }
    }

    /// Does what nodes want until they want nothing more.
    pub fn settle(&mut self) {
        let (mut busy, mut steps) = (true, 0);
        while busy {
            busy = false;
            for number in 0..self.machines.len() {
                busy |= self.settle_one(number);
            }
            steps += 1;
            assert!(steps < STEPS_PER_MOMENT_MAX, "a livelock: nodes find no rest in one moment");
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
        up.planted.tick(&mut up.bridge, self.now);
        let mut busy = false;
        while let Some(output) = self.next_output(number) {
            busy = true;
            trace(self.now, number, &output);
            self.perform(number, output);
        }
        busy
    }

    /// The next thing that a node wants, answering what it asks.
    fn next_output(&mut self, number: usize) -> Option<Output> {
        let (now, slow) = (self.now_of(number), self.machines[number].slow);
        loop {
            let up = self.machines[number].up.as_mut()?;
            if let Some(output) = up.node.poll() {
                return Some(output);
            }
            if up.busy_until > self.now {
                return None;
            }
            let (id, ask) = up.asks.pop_front()?;
            self.plant.meddle(&up.store, &ask);
            if let Some(answer) = up.planted.answer(&mut up.bridge, ask, self.now) {
                if let Answer::Failed(failure) = &answer {
                    self.machines[number].broken |= failure.kind == FailureKind::Store;
                }
                let up = self.machines[number].up.as_mut()?;
                up.node.handle(now, Input::Answer { id, answer });
            }
            let pause = if slow > 0 { self.net.below(slow + 1) } else { 0 };
            let up = self.machines[number].up.as_mut()?;
            up.busy_until = self.now + pause;
        }
    }

    fn perform(&mut self, number: usize, output: Output) {
        let Some(up) = &mut self.machines[number].up else { return };
        match output {
            Output::Send { link, channel, bytes, .. } => {
                let Some((a, b)) = self.links.get(&link).copied() else { return };
                let to = if a == number { b } else { a };
                self.net.send(self.now, Parcel { from: number, to, link, channel, bytes });
            }
            Output::Ask { id, ask } => up.asks.push_back((id, ask)),
            Output::Close { link, why, for_good, .. } => {
                self.unlink(link, &why, if for_good { REDIAL_REFUSED } else { REDIAL });
            }
            Output::Agreed(stamp) => up.store.set_agreed(stamp),
            Output::Event(event) => self.machines[number].events.push(event),
            Output::Finish { .. } => {}
            Output::AskPolicy { id, round } => self.ask_policy(number, id, round),
            Output::KeepPolicy(state) => {
                if let Some(deciding) = &mut self.machines[number].policy {
                    deciding.kept = Some(state.encode());
                }
            }
            Output::Healed { lacks, .. } => {
                for aside in up.store.aside() {
                    if lacks.contains(&Lack { group: aside.group, newest: aside.newest }) {
                        // A disk that is full or dead now is asked again after the next opening.
                        let _ = up.store.drop_aside(&aside);
                    }
                }
            }
        }
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

fn epochs(epoch: GroupEpoch) -> Vec<(GroupId, GroupEpoch)> {
    (0..GROUPS).filter(|_| epoch.0 > 0).map(|group| (GroupId(group), epoch)).collect()
}

#[expect(clippy::print_stderr, reason = "asked for")]
fn trace(now: u64, number: usize, output: &Output) {
    if let Ok(most) = std::env::var("TIDELOG_SIM_TRACE") {
        let most = most.parse().unwrap_or(300);
        let text: String = format!("{output:?}").chars().take(most).collect();
        eprintln!("{now:>8} {number} {text}");
    }
}
