//! A store among its peers: what is heard, asked and said, from link to link. Decides and does nothing itself.
//!
//! `handle` takes what happened, with the time it happened at; `poll` gives what is to be done, until there is nothing
//! more. Threads: none; whoever drives it calls it from one at a time.

mod lacks;
mod links;
mod members;
mod policy;
mod sessions;
mod snapshots;
mod tails;

use crate::ask::{Answer, Ask, AskId, Closed, Portion};
use crate::compare::Only;
use crate::event::{Event, PeerStatus, Reason};
use crate::message::Channel;
use crate::peer::{LinkId, Peer};
use crate::session::Report;
use crate::snapshot::Giver;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
pub use lacks::Lack;
use lacks::Lacks;
use policy::Policy;
pub use policy::{PolicyConfig, PolicyState, PolicyStatus, RoundId};
use snapshots::Fetch;
use tidelog_model::policy::{Cost, PolicyError, Round, Step};
use tidelog_model::{GroupEpoch, GroupId, Incarnation, Position, Stamp, StoreId};

/// Who this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Me {
    /// The store.
    pub store: StoreId,
    /// Its opening.
    pub incarnation: Incarnation,
    /// Over how many groups it spreads devices.
    pub groups: u32,
}

/// How a node behaves. Times are milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Compares with each peer so often; none: only when it must or is asked to.
    pub interval: Option<u64>,
    /// The first comparison that is not needed comes so long after the link.
    pub initial_delay: u64,
    /// So long after a difference was seen it is looked at again, before anything is sent for it.
    pub second_look: u64,
    /// A peer that nothing is heard of for so long is gone.
    pub silence: u64,
    /// Says how far things have come so often.
    pub pulse: u64,
    /// No store takes what is stamped further ahead of its clock.
    pub clock_ahead: u64,
    /// One comparison with each peer, without following it.
    pub once: bool,
    /// Comparisons tell where the stores differ, and change neither.
    pub tell: bool,
    /// Comparisons are about a part, unless the host asks for another one.
    pub only: Option<Only>,
    /// Comparisons that nobody asked for and that bring no missing part of a log cover rows of so long up to now; none: all.
    pub window: Option<u64>,
    /// So many groups are compared row by row at once; the others wait.
    pub groups_at_once: usize,
    /// How much of the log goes into one message.
    pub portion: Portion,
    /// Files are given and received when they have so many bytes; less goes by rows.
    pub snapshot_bytes_min: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            interval: Some(3_600_000),
            initial_delay: 30_000,
            second_look: 250,
            silence: 15_000,
            pulse: 1_000,
            clock_ahead: 10_000,
            once: false,
            tell: false,
            only: None,
            window: None,
            groups_at_once: 5,
            portion: Portion::default(),
            snapshot_bytes_min: 4 << 20,
        }
    }
}

/// When something happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub monotonic: u64,
    /// Milliseconds since the Unix epoch.
    pub wall: u64,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A peer is connected, and proven to be who it is.
    Linked {
        /// The peer.
        peer: StoreId,
        /// The connection.
        link: LinkId,
    },
    /// A connection is gone.
    Unlinked {
        /// The peer.
        peer: StoreId,
        /// The connection.
        link: LinkId,
        /// Why.
        why: String,
    },
    /// A message came.
    Frame {
        /// From whom.
        peer: StoreId,
        /// On which connection.
        link: LinkId,
        /// On which channel.
        channel: Channel,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The store answered.
    Answer {
        /// Which question.
        id: AskId,
        /// What.
        answer: Answer,
    },
    /// The store's log has grown.
    LogGrew,
    /// Time passed.
    Tick,
    /// The host wants a comparison now, with one peer or with all.
    Check {
        /// With whom.
        peer: Option<StoreId>,
        /// Of what, when not of everything.
        only: Option<Only>,
    },
    /// What the store cannot read of what it had, all of it; less than before when the host gave some of it up.
    Lacks(Vec<Lack>),
    /// The host wants a comparison of these groups now, which need not be shared any more. It settles nothing else.
    CheckGroups {
        /// With whom.
        peer: StoreId,
        /// Ascending.
        groups: Vec<GroupId>,
    },
    /// This policy decides about repairs from now on; none: everything is repaired. With what was kept for it, when the
    /// store was just opened.
    Policy {
        /// The policy.
        config: Option<PolicyConfig>,
        /// See [`Output::KeepPolicy`].
        state: Option<PolicyState>,
    },
    /// The policy's plan for a round, or why there is none.
    Plan {
        /// Which round.
        id: RoundId,
        /// Its steps.
        plan: Result<Vec<Step>, PolicyError>,
    },
    /// What a link with a peer costs.
    Cost {
        /// The peer.
        peer: StoreId,
        /// The cost.
        cost: Cost,
    },
    /// There are no peers to wait for.
    Alone,
    /// The groups that a peer shares with this store, from now on; none: it is no peer any more.
    Shares {
        /// The peer.
        peer: StoreId,
        /// The groups, ascending.
        groups: Vec<GroupId>,
    },
    /// The epochs of groups in the topology from now on, of those that were ever raised; ascending.
    Epochs(Vec<(GroupId, GroupEpoch)>),
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send a message; those of one channel in order.
    Send {
        /// To whom.
        peer: StoreId,
        /// On which connection.
        link: LinkId,
        /// On which channel.
        channel: Channel,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Nothing more comes on this channel.
    Finish {
        /// To whom.
        peer: StoreId,
        /// On which connection.
        link: LinkId,
        /// Which channel.
        channel: Channel,
    },
    /// Ask the store.
    Ask {
        /// To be given back with the answer.
        id: AskId,
        /// What.
        ask: Ask,
    },
    /// Close a connection.
    Close {
        /// With whom.
        peer: StoreId,
        /// Which.
        link: LinkId,
        /// Why.
        why: String,
        /// It makes no sense to connect again soon.
        for_good: bool,
    },
    /// What was lacking is here again, as far as this peer has it.
    Healed {
        /// The peer.
        peer: StoreId,
        /// What.
        lacks: Vec<Lack>,
    },
    /// Ask the policy, off the path of everything else. Round-trip times are for the driver to fill in.
    AskPolicy {
        /// To be given back with the plan.
        id: RoundId,
        /// What it is told.
        round: Round,
    },
    /// Keep this for the next opening: since when windows wait, and what is used of the budget. Losing it makes them wait
    /// longer, and the budget larger, once.
    KeepPolicy(PolicyState),
    /// Every peer's writes up to this stamp are here.
    Agreed(Stamp),
    /// Tell the host.
    Event(Event),
}

/// What an answer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    Closed,
    Session(StoreId, u32),
    Responder(StoreId, u32),
    Tail(StoreId, LinkId, Position),
    Apply(StoreId, LinkId),
    Receiver(StoreId),
    Giver(StoreId, u32),
    Nobody,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Node {
    me: Me,
    config: Config,
    peers: BTreeMap<StoreId, Peer>,
    asks: BTreeMap<AskId, For>,
    next_ask: u64,
    closed: Option<Closed>,
    /// Is the store being asked how far it has come?
    closing: bool,
    pulse_at: u64,
    random: u64,
    agreed: Stamp,
    ready: bool,
    lacking: Lacks,
    policy: Policy,
    /// Of groups in the topology.
    epochs: BTreeMap<GroupId, GroupEpoch>,
    /// The snapshot that is being received: one at a time.
    fetch: Option<Fetch>,
    /// Those that are given.
    givers: BTreeMap<(StoreId, u32), Giver>,
    out: VecDeque<Output>,
    now: Now,
    wake_at: Option<u64>,
}

impl Node {
    /// A store without links. `seed` makes the jitter of its own.
    #[must_use]
    pub fn new(me: Me, config: Config, seed: u64) -> Self {
        Node {
            me,
            config,
            peers: BTreeMap::new(),
            asks: BTreeMap::new(),
            next_ask: 0,
            closed: None,
            closing: false,
            pulse_at: 0,
            random: seed,
            agreed: Stamp::ZERO,
            ready: false,
            lacking: Lacks::default(),
            policy: Policy::default(),
            epochs: BTreeMap::new(),
            fetch: None,
            givers: BTreeMap::new(),
            out: VecDeque::new(),
            now: Now { monotonic: 0, wall: 0 },
            wake_at: None,
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Linked { peer, link } => self.linked(peer, link),
            Input::Unlinked { peer, link, why } => self.unlinked(peer, link, why),
            Input::Frame { peer, link, channel, bytes } => self.frame(peer, link, channel, &bytes),
            Input::Answer { id, answer } => self.answered(id, answer),
            Input::LogGrew => {
                self.peers.values_mut().for_each(|peer| peer.tail_out.grew());
                self.read_tails();
            }
            Input::Tick => self.tick(),
            Input::Check { peer, only } => {
                for one in self.peers.values_mut() {
                    if peer.is_none_or(|peer| peer == one.store) {
                        one.check_at = Some((now.monotonic, Reason::Asked));
                        one.only.clone_from(&only);
                    }
                }
                self.ask_closed();
            }
            Input::Lacks(lacks) => self.lacks_these(lacks),
            Input::CheckGroups { peer, groups } => {
                match self.peers.get_mut(&peer) {
                    Some(one) => one.check_groups = Some(groups),
                    None => {
                        let why = String::from("it shares no group with this store");
                        let report = Report { groups, ..Report::default() };
                        self.event(Event::Failed { peer, session: 0, why, report });
                    }
                }
                self.ask_closed();
            }
            Input::Policy { config, state } => self.set_policy(config, state),
            Input::Plan { id, plan } => self.planned(id, plan),
            Input::Cost { peer, cost } => self.set_cost(peer, cost),
            Input::Alone => self.be_ready(),
            Input::Shares { peer, groups } => self.shares(peer, groups),
            Input::Epochs(epochs) => self.have_epochs(epochs),
        }
    }

    /// What is to be done next; `None` when there is nothing until something happens.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to say [`Input::Tick`], in milliseconds of the monotonic clock; none: nobody waits for time to pass. After a
    /// tick it lies ahead: what waits for something else than time is not waited for here.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let linked = self.peers.values().any(|peer| peer.link.is_some());
        // The answer to how far the store has come goes on to the pulse.
        let pulse = (linked && !self.closing).then_some(self.pulse_at);
        let checks = self.peers.values().filter_map(|peer| self.check_due(peer));
        let retries = self.peers.values().filter(|peer| peer.link.is_some());
        let retries = retries.filter_map(|peer| peer.tail_in.retry_at);
        let silence = self.peers.values().filter(|peer| peer.link.is_some() && !peer.refused);
        let silence = silence.map(|peer| peer.heard_at + self.config.silence + 1);
        checks
            .chain(retries)
            .chain(silence)
            .chain(pulse)
            .chain(self.wake_at)
            .chain(self.plan_due())
            .min()
    }

    /// How things stand with each peer.
    #[must_use]
    pub fn status(&self) -> Vec<PeerStatus> {
        let of = |peer: &Peer| PeerStatus {
            receiving: self.receiving_from(peer.store),
            ..peer.status(self.me.store)
        };
        self.peers.values().map(of).collect()
    }

    /// Is what is needed of the peers here?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Has a peer acknowledged everything that was written here?
    #[must_use]
    pub fn is_drained(&self, peer: StoreId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.tail_out.is_drained())
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn ask(&mut self, ask: Ask, who: For) {
        let id = AskId(self.next_ask);
        self.next_ask += 1;
        self.asks.insert(id, who);
        self.out.push_back(Output::Ask { id, ask });
    }

    fn ask_unanswered(&mut self, ask: Ask) {
        let id = AskId(self.next_ask);
        self.next_ask += 1;
        self.out.push_back(Output::Ask { id, ask });
    }

    fn forget(&mut self, peer: StoreId, session: u32) {
        self.ask_unanswered(Ask::Forget { peer, session });
    }

    fn ask_closed(&mut self) {
        if !self.closing {
            self.closing = true;
            self.ask(Ask::Closed, For::Closed);
        }
    }

    fn send(&mut self, peer: StoreId, channel: Channel, bytes: Vec<u8>) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some(link) = one.link else { return };
        one.bytes.0 += bytes.len() as u64;
        self.out.push_back(Output::Send { peer, link, channel, bytes });
    }

    /// A number from nowhere in `0..below`.
    fn jitter(&mut self, below: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    fn answered(&mut self, id: AskId, answer: Answer) {
        let now = self.now.monotonic;
        let Some(who) = self.asks.remove(&id) else { return };
        let current = |node: &Node, peer: StoreId, link: LinkId| {
            node.peers.get(&peer).is_some_and(|one| one.link == Some(link))
        };
        match who {
            For::Closed => self.closed(answer),
            For::Session(peer, number) => {
                let session = self.peers.get_mut(&peer).and_then(|one| one.session.as_mut());
                if let Some((_, session)) = session.filter(|(own, _)| *own == number) {
                    let acts = session.answered(answer, now);
                    self.act(peer, number, acts);
                }
            }
            For::Responder(peer, number) => {
                let one = self.peers.get_mut(&peer);
                if let Some(responder) = one.and_then(|one| one.responders.get_mut(&number)) {
                    let acts = responder.answered(answer, now);
                    self.respond(peer, number, acts);
                }
            }
            For::Tail(peer, link, from) if current(self, peer, link) => {
                self.tail_read(peer, from, answer);
            }
            For::Apply(peer, link) if current(self, peer, link) => self.applied(peer, answer),
            For::Receiver(peer) => self.receiver_answered(peer, answer),
            For::Giver(peer, number) => self.giver_answered(peer, number, answer),
            For::Tail(..) | For::Apply(..) | For::Nobody => {}
        }
    }

    fn tick(&mut self) {
        let now = self.now.monotonic;
        self.wake_at = None;
        let silent = self.config.silence;
        let peers: Vec<StoreId> = self.peers.keys().copied().collect();
        for peer in peers {
            let Some(one) = self.peers.get_mut(&peer) else { continue };
            let Some(link) = one.link else { continue };
            if now.saturating_sub(one.heard_at) > silent && !one.refused {
                let was_up = one.is_up();
                one.refused = true;
                let why = format!("nothing was heard of it for {silent} ms");
                self.out.push_back(Output::Close { peer, link, why: why.clone(), for_good: false });
                if was_up {
                    self.event(Event::Disconnected { peer, why });
                }
                continue;
            }
            self.tick_sessions(peer);
            self.apply_next(peer);
        }
        if now >= self.pulse_at && self.peers.values().any(|one| one.link.is_some()) {
            self.ask_closed();
        }
        self.read_tails();
        self.tick_snapshots();
        self.tick_lacks();
        self.tick_policy();
        self.begin_sessions();
    }
}

impl core::fmt::Display for LinkId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0.to_string())
    }
}
