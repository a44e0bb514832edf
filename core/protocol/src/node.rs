//! A store among its peers: what is heard, asked and said, from link to link. Decides and does nothing itself.
//!
//! `handle` takes what happened, with the time it happened at; `poll` gives what is to be done, until there is nothing
//! more. Threads: none; whoever drives it calls it from one at a time.

use crate::ask::{Answer, Ask, AskId, Closed, Failure, FailureKind, View};
use crate::event::{Event, PeerStatus, Reason};
use crate::message::{
    CANONICAL, Channel, Control, Hello, Pulse, SessionMessage, TailBatch, VERSION,
};
use crate::peer::{EARLY_BYTES_MAX, LinkId, Peer, RESPONDERS_MAX};
use crate::session::{Act, Begin, Initiator, Outcome, Responder};
use crate::tail::{Heard, MESSAGE_BYTES};
use crate::wire::Malformed;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use tidelog_model::{GroupId, Horizon, Incarnation, Position, Stamp, StoreId};

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
    /// One comparison with each peer, without following it.
    pub once: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            interval: Some(3_600_000),
            initial_delay: 30_000,
            second_look: 250,
            silence: 15_000,
            pulse: 1_000,
            once: false,
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
    },
    /// The groups that a peer shares with this store, from now on; none: it is no peer any more.
    Shares {
        /// The peer.
        peer: StoreId,
        /// The groups, ascending.
        groups: Vec<GroupId>,
    },
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
    /// Every peer's writes up to this stamp are here.
    Agreed(Stamp),
    /// Tell the host.
    Event(Event),
}

/// A comparison waits so long for what tells a horizon; then it begins with what there is.
const PATIENCE: u64 = 5_000;

fn one_needs(one: Option<&Peer>) -> bool {
    one.is_some_and(|one| one.tail_in.needs_comparison() && !one.is_once())
}

/// What an answer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    Closed,
    Session(StoreId, u32),
    Responder(StoreId, u32),
    Tail(StoreId, LinkId, Position),
    Apply(StoreId, LinkId),
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
            Input::Check { peer } => {
                for one in self.peers.values_mut() {
                    if peer.is_none_or(|peer| peer == one.store) {
                        one.check_at = Some((now.monotonic, Reason::Asked));
                    }
                }
                self.ask_closed();
            }
            Input::Shares { peer, groups } => self.shares(peer, groups),
        }
    }

    /// What is to be done next; `None` when there is nothing until something happens.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to say [`Input::Tick`], in milliseconds of the monotonic clock; none: nobody waits for time to pass.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let linked = self.peers.values().any(|peer| peer.link.is_some());
        let pulse = linked.then_some(self.pulse_at);
        let checks = self.peers.values().filter(|peer| peer.is_up() && peer.session.is_none());
        let checks = checks.filter_map(|peer| peer.check_at.map(|(at, _)| at));
        let retries = self.peers.values().filter_map(|peer| peer.tail_in.retry_at);
        checks.chain(retries).chain(pulse).chain(self.wake_at).min()
    }

    /// How things stand with each peer.
    #[must_use]
    pub fn status(&self) -> Vec<PeerStatus> {
        self.peers.values().map(|peer| peer.status(self.me.store)).collect()
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

    fn shares(&mut self, peer: StoreId, groups: Vec<GroupId>) {
        if peer == self.me.store {
            return;
        }
        if groups.is_empty() {
            if let Some(gone) = self.peers.remove(&peer)
                && let Some(link) = gone.link
            {
                let why = String::from("it is no replica any more");
                self.out.push_back(Output::Close { peer, link, why, for_good: true });
            }
            return;
        }
        // Each side numbers its comparisons so that the two never meet.
        let first = u32::from(self.me.store > peer);
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(peer, Vec::new(), first));
        entry.shared = groups;
    }

    fn linked(&mut self, peer: StoreId, link: LinkId) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else {
            let why = String::from("it is no replica of this store");
            self.out.push_back(Output::Close { peer, link, why, for_good: true });
            return;
        };
        if let Some(old) = one.link.filter(|old| *old != link) {
            one.unlink();
            let why = String::from("another connection took its place");
            self.out.push_back(Output::Close { peer, link: old, why, for_good: false });
            self.forget_asks(peer);
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.link = Some(link);
        one.refused = false;
        one.heard_at = now;
        self.ask_closed();
    }

    fn unlinked(&mut self, peer: StoreId, link: LinkId, why: String) {
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.link == Some(link)) else {
            return;
        };
        let session = one.session.take();
        let responders: Vec<u32> = one.responders.keys().copied().collect();
        let was_up = one.is_up();
        one.unlink();
        if let Some((number, session)) = session {
            one.sessions.1 += 1;
            let (why, report) = (why.clone(), session.report);
            self.event(Event::Failed { peer, session: number, why, report });
            self.forget(peer, number);
        }
        responders.into_iter().for_each(|number| self.forget(peer, number));
        self.forget_asks(peer);
        if was_up {
            self.event(Event::Disconnected { peer, why });
        }
    }

    /// Answers to what was asked for a link that is gone are for nobody.
    fn forget_asks(&mut self, peer: StoreId) {
        for one in self.asks.values_mut() {
            let gone = match one {
                For::Session(of, _) | For::Responder(of, _) => *of == peer,
                For::Tail(of, ..) | For::Apply(of, _) => *of == peer,
                For::Closed | For::Nobody => false,
            };
            if gone {
                *one = For::Nobody;
            }
        }
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

    fn refuse(&mut self, peer: StoreId, why: String, for_good: bool) {
        self.send(peer, Channel::Control, Control::Goodbye(why.clone()).encode());
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.refused = true;
        if let Some(link) = one.link {
            let event = Event::Refused { peer, why: why.clone() };
            self.out.push_back(Output::Close { peer, link, why, for_good });
            self.event(event);
        }
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

    fn frame(&mut self, peer: StoreId, link: LinkId, channel: Channel, bytes: &[u8]) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.link == Some(link)) else {
            return;
        };
        one.heard_at = now;
        one.bytes.1 += bytes.len() as u64;
        if one.refused {
            return;
        }
        if !one.is_up() && channel != Channel::Control {
            let kept: usize = one.early.iter().map(|(_, bytes)| bytes.len() + 64).sum();
            if kept + bytes.len() <= EARLY_BYTES_MAX {
                one.early.push((channel, bytes.to_vec()));
            }
            return;
        }
        self.take_frame(peer, channel, bytes);
    }

    fn take_frame(&mut self, peer: StoreId, channel: Channel, bytes: &[u8]) {
        let taken = match channel {
            Channel::Control => Control::decode(bytes).map(|message| self.control(peer, message)),
            Channel::Tail => TailBatch::decode(bytes).map(|batch| self.tail(peer, batch)),
            Channel::Session(number) => SessionMessage::decode(bytes)
                .map(|message| self.session(peer, number, message, bytes.len())),
        };
        if let Err(error) = taken {
            self.violation(peer, &error);
        }
    }

    fn violation(&mut self, peer: StoreId, error: &Malformed) {
        if let Some(one) = self.peers.get_mut(&peer) {
            one.violations += 1;
        }
        let why = format!("a message could not be read ({error}): one of the two is damaged");
        self.refuse(peer, why, false);
    }

    fn control(&mut self, peer: StoreId, message: Control) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        match message {
            Control::Hello(hello) => self.hello(peer, hello),
            Control::Pulse(pulse) => self.pulsed(peer, pulse),
            Control::Ack(position) => {
                one.tail_out.ack(position);
                if let Some(from) = one.tail_out.pin() {
                    self.ask_unanswered(Ask::Pin { peer, from });
                }
                self.read_tails();
            }
            Control::Resend(position) => {
                match position {
                    Some(position) => one.tail_out.resend(position),
                    None => {
                        self.closed.iter().for_each(|closed| one.tail_out.begin_late(closed));
                        self.start_check(peer);
                    }
                }
                self.read_tails();
            }
            Control::Goodbye(why) => {
                let link = one.link;
                one.refused = true;
                self.event(Event::Refused { peer, why: why.clone() });
                if let Some(link) = link {
                    self.out.push_back(Output::Close { peer, link, why, for_good: false });
                }
            }
        }
    }

    fn pulsed(&mut self, peer: StoreId, pulse: Pulse) {
        let (now, silence) = (self.now.monotonic, self.config.silence);
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.tail_in.promised(pulse.closed, pulse.position);
        one.pulse = Some(pulse);
        let follows = one.is_up() && !one.is_once() && !self.config.once;
        if follows && let Some(Heard::Gap(from)) = one.tail_in.is_overdue(now, silence) {
            self.send(peer, Channel::Control, Control::Resend(from).encode());
        }
        self.agree();
        self.begin_sessions();
    }

    fn hello(&mut self, peer: StoreId, hello: Hello) {
        if let Some((why, for_good)) = self.objection(peer, &hello) {
            self.refuse(peer, why, for_good);
            return;
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if one.hello.is_some() {
            return;
        }
        if !one.is_opened(hello.incarnation) {
            let why = format!(
                "store {peer} is open on two machines, one of them with a copy of its directory: stop that one, and adopt the copy before it is opened again"
            );
            self.refuse(peer, why, true);
            return;
        }
        one.hello = Some(hello);
        if one.greeted {
            self.up(peer);
        }
    }

    /// Why a peer cannot be spoken with, and whether that is for good.
    fn objection(&self, peer: StoreId, hello: &Hello) -> Option<(String, bool)> {
        if hello.store != peer {
            let why = format!("it says it is store {}, and its key is that of {peer}", hello.store);
            return Some((why, true));
        }
        if hello.canonical != CANONICAL {
            let (own, other) = (CANONICAL, hello.canonical);
            let why = format!(
                "digests are of version {own} here and {other} there: upgrade the older store"
            );
            return Some((why, true));
        }
        if hello.groups != self.me.groups {
            let (own, other) = (self.me.groups, hello.groups);
            let why =
                format!("{own} groups here and {other} there: replicas are created with as many");
            return Some((why, true));
        }
        None
    }

    /// Both have greeted.
    fn up(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let me = self.me;
        let once = self.config.once;
        let initial_delay = self.config.initial_delay;
        let jitter = self.jitter(initial_delay / 10 + 1);
        let Some(closed) = self.closed.clone() else { return };
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some(hello) = &one.hello else { return };
        let first = me.store < peer;
        let mut late = false;
        if once || hello.once {
            one.tail_out.stop();
        } else {
            match hello.cursor.filter(|cursor| cursor.incarnation == me.incarnation) {
                Some(cursor) => one.tail_out.begin(cursor),
                None => {
                    one.tail_out.begin_late(&closed);
                    late = true;
                }
            }
            let own = closed.cursors.iter().find(|(store, _)| *store == peer).map(|(_, at)| *at);
            let own = own.filter(|own| own.incarnation == hello.incarnation);
            late |= own.is_none();
            one.tail_in.begin(own, now);
        }
        one.up_at = now;
        one.verdict |= !late && !once;
        one.check_at = if once {
            Some((now, Reason::Asked))
        } else if hello.once || !first {
            None
        } else if late {
            Some((now, Reason::Startup))
        } else {
            self.config.interval.map(|_| (now + initial_delay + jitter, Reason::Interval))
        };
        let early = core::mem::take(&mut one.early);
        self.event(Event::Connected { peer });
        early.into_iter().for_each(|(channel, bytes)| self.take_frame(peer, channel, &bytes));
        self.read_tails();
        self.begin_sessions();
        self.look_ready();
    }

    fn tail(&mut self, peer: StoreId, batch: TailBatch) {
        let now = self.now.monotonic;
        let first = self.me.store < peer;
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.is_up()) else { return };
        let late = batch.floor.is_some();
        match one.tail_in.hear(batch, now) {
            Heard::Waits | Heard::Passed => {}
            Heard::Known(position) => {
                self.send(peer, Channel::Control, Control::Ack(position).encode());
            }
            Heard::Gap(from) => {
                self.send(peer, Channel::Control, Control::Resend(from).encode());
            }
            Heard::Flood => {
                one.violations += 1;
                self.refuse(peer, String::from("more was sent than was acknowledged"), false);
                return;
            }
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if late && first && one.check_at.is_none_or(|(at, _)| at > now) {
            one.check_at = Some((now, Reason::Startup));
            self.ask_closed();
        }
        self.apply_next(peer);
    }

    fn apply_next(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some(link) = one.link else { return };
        let next = one.tail_in.take_next(now);
        let next = next.map(|(batch, cursor)| {
            let (tombstones, batches) = (batch.tombstones.clone(), batch.batches.clone());
            (tombstones, batches, cursor.map(|at| (peer, at)))
        });
        if let Some(position) = one.tail_in.passed.take() {
            self.send(peer, Channel::Control, Control::Ack(position).encode());
        }
        let Some((tombstones, batches, cursor)) = next else { return };
        self.ask(Ask::Apply { peer, cursor, tombstones, batches }, For::Apply(peer, link));
    }

    fn applied(&mut self, peer: StoreId, answer: Answer) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        match answer {
            Answer::Applied { .. } => {
                let news = one.tail_in.known;
                let position = one.tail_in.taken();
                if news == Stamp::ZERO {
                    // The peer waits to hear how far it is followed, to tell a horizon.
                    self.pulse_at = now;
                }
                let resumed = one.stalled.take().is_some();
                if let Some(position) = position {
                    self.send(peer, Channel::Control, Control::Ack(position).encode());
                }
                if resumed {
                    self.event(Event::Resumed { peer });
                }
                self.agree();
                self.apply_next(peer);
            }
            Answer::Failed(Failure { kind, text }) => {
                let ahead = match kind {
                    FailureKind::ClockAhead(by) => Some(by),
                    FailureKind::Peer => {
                        one.violations += 1;
                        self.refuse(peer, text, false);
                        return;
                    }
                    FailureKind::Later | FailureKind::Store => None,
                };
                one.tail_in.not_taken(now + 1_000);
                let news = one.stalled.is_none();
                one.stalled = Some((text.clone(), ahead));
                if news {
                    self.event(Event::Stalled { peer, why: text, clock_ahead: ahead });
                }
            }
            _ => {}
        }
    }

    /// Reads the log for the peers that have room for it.
    fn read_tails(&mut self) {
        let mut asks = Vec::new();
        for one in self.peers.values_mut().filter(|one| one.is_up()) {
            if let (Some(from), Some(link)) = (one.tail_out.read_next(), one.link) {
                let groups = one.shared.clone();
                let (peer, bytes_max) = (one.store, MESSAGE_BYTES);
                asks.push((
                    Ask::Tail { peer, from, groups, bytes_max },
                    For::Tail(peer, link, from),
                ));
            }
        }
        asks.into_iter().for_each(|(ask, who)| self.ask(ask, who));
    }

    fn tail_read(&mut self, peer: StoreId, from: Position, answer: Answer) {
        let one = self.peers.get_mut(&peer).filter(|one| one.tail_out.is_reading(from));
        let Some(one) = one else { return };
        match answer {
            Answer::Tail { next, tombstones, batches, at_end } => {
                if let Some(batch) = one.tail_out.read(next, tombstones, batches, at_end) {
                    self.send(peer, Channel::Tail, batch.encode());
                }
                self.read_tails();
            }
            Answer::TailGone => {
                one.tail_out.gone();
                if let Some(closed) = &self.closed {
                    one.tail_out.begin_late(closed);
                }
                self.start_check(peer);
                self.read_tails();
            }
            // The log cannot be read now: with the next pulse again.
            _ => one.tail_out.failed(),
        }
    }

    /// Something is missing that only a comparison finds.
    fn start_check(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let first = self.me.store < peer;
        if let Some(one) = self.peers.get_mut(&peer).filter(|_| first) {
            one.check_at = Some((now, Reason::Startup));
            self.ask_closed();
        }
    }

    fn session(&mut self, peer: StoreId, number: u32, message: SessionMessage, bytes: usize) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer).filter(|one| one.is_up()) else { return };
        let own = number % 2 == u32::from(self.me.store > peer);
        if own {
            let Some((_, session)) = one.session.as_mut().filter(|(own, _)| *own == number) else {
                return;
            };
            session.report.received += bytes as u64;
            let acts = session.hear(message, now);
            let report = session.report.clone();
            self.event(Event::Progress { peer, session: number, report });
            self.act(peer, number, acts);
            return;
        }
        if let SessionMessage::Open { epoch, eager, horizon, salt, groups, roots } = message {
            if one.responders.len() >= RESPONDERS_MAX && !one.responders.contains_key(&number) {
                let text = String::from("too many comparisons at once: end others first");
                let bytes = SessionMessage::Abort(text).encode();
                self.send(peer, Channel::Session(number), bytes);
                return;
            }
            let view = View { peer, session: number, epoch, horizon, salt };
            let shared = one.shared.clone();
            let (responder, acts) = Responder::new((view, eager), &shared, (groups, roots), now);
            if let Some(before) = one.responders.insert(number, responder) {
                // Another pass.
                one.counts.add(&before.counts);
            }
            self.respond(peer, number, acts);
            return;
        }
        let Some(responder) = one.responders.get_mut(&number) else { return };
        let acts = responder.hear(message, now);
        self.respond(peer, number, acts);
    }

    fn respond(&mut self, peer: StoreId, number: u32, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(message) => {
                    self.send(peer, Channel::Session(number), message.encode());
                    self.answered_agreed(peer, number);
                }
                Act::Ask(ask) => self.ask(ask, For::Responder(peer, number)),
                Act::WakeAt(_) | Act::Again => {}
                Act::End(_) => self.end_responder(peer, number),
            }
        }
    }

    /// The side that answers knows that both agree when it has told its roots.
    fn answered_agreed(&mut self, peer: StoreId, number: u32) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some(responder) = one.responders.get_mut(&number) else { return };
        if core::mem::take(&mut responder.agreed) {
            let horizon = responder.view.horizon.clone();
            self.end_responder(peer, number);
            self.agreed(peer, &horizon);
        }
    }

    fn end_responder(&mut self, peer: StoreId, number: u32) {
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if let Some(responder) = one.responders.remove(&number) {
            one.counts.add(&responder.counts);
            let link = one.link;
            self.forget(peer, number);
            if let Some(link) = link {
                let channel = Channel::Session(number);
                self.out.push_back(Output::Finish { peer, link, channel });
            }
        }
    }

    /// Begins the comparisons that are due.
    fn begin_sessions(&mut self) {
        let now = self.now.monotonic;
        let due = |one: &&Peer| {
            one.is_up()
                && one.session.is_none()
                && one.check_at.is_some_and(|(at, _)| at <= now)
                && (one.knows_enough(self.me.store) || now >= one.up_at + PATIENCE)
        };
        let due: Vec<StoreId> = self.peers.values().filter(due).map(|one| one.store).collect();
        for peer in due {
            let salt = self.jitter(u64::MAX);
            let horizon = self.horizon(peer);
            let Some(one) = self.peers.get_mut(&peer) else { continue };
            let Some((_, reason)) = one.check_at.take() else { continue };
            let number = one.next_session;
            one.next_session = one.next_session.wrapping_add(2);
            let follows = one.tail_out.is_on() || one.tail_in.is_on();
            let begin = Begin {
                peer,
                session: number,
                horizon,
                salt,
                groups: one.shared.clone(),
                second_look: follows.then_some(self.config.second_look),
                // Once stores have agreed differences are few, and bytes count.
                eager: one.agreed_at.is_none(),
            };
            let groups = one.shared.clone();
            let (session, acts) = Initiator::new(begin, now);
            one.session = Some((number, session));
            self.event(Event::Started { peer, session: number, reason, groups });
            self.act(peer, number, acts);
        }
    }

    /// Up to where both are expected to have everything.
    fn horizon(&self, peer: StoreId) -> Horizon {
        let Some(one) = self.peers.get(&peer) else { return Horizon::default() };
        let me = self.me.store;
        let mut bounds: Vec<(StoreId, Stamp)> = Vec::new();
        let ours = self.closed.as_ref().map_or(Stamp::MAX, |closed| closed.stamp);
        let there = if one.tail_out.is_on() { one.known_there(me) } else { Some(ours) };
        bounds.push((me, there.unwrap_or(Stamp::ZERO).min(ours)));
        let theirs = one.pulse.as_ref().map(|pulse| pulse.closed);
        let theirs = theirs.or(one.hello.as_ref().map(|hello| hello.closed));
        let here = if one.tail_in.is_on() || !one.is_once() && !self.config.once {
            Some(one.tail_in.known)
        } else {
            theirs
        };
        bounds.push((peer, here.unwrap_or(Stamp::ZERO)));
        // What comes from others to both is in flight to both.
        for other in self.peers.values().filter(|other| other.store != peer && other.is_up()) {
            if let (true, Some(there)) = (other.tail_in.is_on(), one.known_there(other.store)) {
                bounds.push((other.store, other.tail_in.known.min(there)));
            }
        }
        bounds.truncate(Horizon::ORIGINS_MAX);
        Horizon::new(bounds)
    }

    fn act(&mut self, peer: StoreId, number: u32, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(message) => {
                    let bytes = message.encode();
                    if let Some((_, session)) =
                        self.peers.get_mut(&peer).and_then(|one| one.session.as_mut())
                    {
                        session.report.sent += bytes.len() as u64;
                    }
                    self.send(peer, Channel::Session(number), bytes);
                }
                Act::Ask(ask) => self.ask(ask, For::Session(peer, number)),
                Act::WakeAt(at) => {
                    self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
                }
                Act::Again => self.again(peer, number),
                Act::End(outcome) => self.end_session(peer, number, outcome),
            }
        }
    }

    fn again(&mut self, peer: StoreId, number: u32) {
        let horizon = self.horizon(peer);
        let one = self.peers.get_mut(&peer).and_then(|one| one.session.as_mut());
        if let Some((_, session)) = one {
            let acts = session.again(horizon);
            self.act(peer, number, acts);
        }
    }

    fn end_session(&mut self, peer: StoreId, number: u32, outcome: Outcome) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let Some((_, session)) = one.session.take().filter(|(own, _)| *own == number) else {
            return;
        };
        one.counts.add(&session.report.counts);
        one.last_outcome = Some(outcome.clone());
        let link = one.link;
        let (report, horizon) = (session.report, session.view.horizon);
        let failed = matches!(outcome, Outcome::Aborted { .. } | Outcome::Diverged);
        if failed {
            one.failures += 1;
            one.sessions.1 += u64::from(matches!(outcome, Outcome::Aborted { .. }));
        } else {
            one.failures = 0;
        }
        let failures = one.failures;
        let wait = if failed {
            let ceiling = (1_000u64 << failures.min(6)).min(60_000);
            Some((ceiling / 2 + self.jitter(ceiling), Reason::Retry))
        } else {
            let interval = self.config.interval;
            interval.map(|every| (every - every / 10 + self.jitter(every / 5), Reason::Interval))
        };
        let once = self.config.once;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if one.check_at.is_none() && !once && (failed || self.me.store < peer) {
            one.check_at = wait.map(|(wait, reason)| (now + wait, reason));
        }
        self.forget(peer, number);
        if let Some(link) = link {
            self.out.push_back(Output::Finish { peer, link, channel: Channel::Session(number) });
        }
        match outcome {
            Outcome::Aborted { why } => {
                self.event(Event::Failed { peer, session: number, why, report });
            }
            outcome => {
                let settled = outcome != Outcome::Diverged;
                if let Some(one) = self.peers.get_mut(&peer) {
                    one.sessions.0 += 1;
                }
                self.event(Event::Completed { peer, session: number, outcome, report });
                if settled {
                    self.agreed(peer, &horizon);
                }
            }
        }
    }

    /// Both sides hold the same up to a horizon.
    fn agreed(&mut self, peer: StoreId, horizon: &Horizon) {
        let now = self.now.monotonic;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        one.agreed_at = Some(now);
        one.verdict = true;
        let bound = horizon.bounds().iter().find(|(store, _)| *store == peer);
        let up_to = bound.map_or(Stamp::MAX, |(_, stamp)| *stamp);
        if let Some(position) = one.tail_in.agreed(up_to) {
            let (tombstones, batches) = (Vec::new(), Vec::new());
            let cursor = Some((peer, position));
            self.ask(Ask::Apply { peer, cursor, tombstones, batches }, For::Nobody);
        }
        // What was written before the peer could be followed may have been beyond the horizon.
        let again = one_needs(self.peers.get(&peer));
        if let Some(one) = self.peers.get_mut(&peer).filter(|_| again) {
            let soon = now + self.config.pulse;
            if one.check_at.is_none_or(|(at, _)| at > soon) {
                one.check_at = Some((soon, Reason::Startup));
            }
        }
        self.agree();
        self.look_ready();
    }

    /// Up to which stamp everything that any peer wrote is here.
    fn agree(&mut self) {
        let known = |one: &Peer| match one.tail_in.is_whole() {
            true => one.tail_in.known,
            false => Stamp::ZERO,
        };
        let least = self.peers.values().map(known).min().unwrap_or(Stamp::ZERO);
        if least > self.agreed {
            self.agreed = least;
            self.out.push_back(Output::Agreed(least));
        }
    }

    fn look_ready(&mut self) {
        let any = self.peers.is_empty() || self.peers.values().any(|one| one.verdict);
        if any && !self.ready {
            self.ready = true;
            self.event(Event::Ready);
        }
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
            For::Tail(..) | For::Apply(..) | For::Nobody => {}
        }
    }

    /// The store said how far it has come: greet, say so to all, and begin what waits for it.
    fn closed(&mut self, answer: Answer) {
        self.closing = false;
        let Answer::Closed(closed) = answer else { return };
        self.closed = Some(closed.clone());
        let ungreeted = |one: &&Peer| one.link.is_some() && !one.greeted;
        let ungreeted: Vec<StoreId> =
            self.peers.values().filter(ungreeted).map(|one| one.store).collect();
        for peer in ungreeted {
            let cursor = closed.cursors.iter().find(|(store, _)| *store == peer).map(|(_, at)| *at);
            let hello = Hello {
                version: VERSION,
                canonical: CANONICAL,
                store: self.me.store,
                incarnation: self.me.incarnation,
                groups: self.me.groups,
                cursor,
                closed: closed.stamp,
                wall: self.now.wall,
                once: self.config.once,
            };
            self.send(peer, Channel::Control, Control::Hello(hello).encode());
            let Some(one) = self.peers.get_mut(&peer) else { continue };
            one.greeted = true;
            if one.hello.is_some() && !one.refused {
                self.up(peer);
            }
        }
        if self.now.monotonic >= self.pulse_at {
            self.pulse(&closed);
        }
        self.begin_sessions();
    }

    fn pulse(&mut self, closed: &Closed) {
        self.pulse_at = self.now.monotonic + self.config.pulse;
        let followed = self.peers.values().filter(|one| one.is_up() && one.tail_in.is_on());
        let known: Vec<(StoreId, Stamp)> =
            followed.map(|one| (one.store, one.tail_in.known)).take(Horizon::ORIGINS_MAX).collect();
        let pulse = Pulse { closed: closed.stamp, position: closed.position, known };
        let bytes = Control::Pulse(pulse).encode();
        let up: Vec<StoreId> =
            self.peers.values().filter(|one| one.is_up()).map(|one| one.store).collect();
        for peer in up {
            let passed = self.peers.get_mut(&peer).and_then(|one| one.tail_out.pass_over());
            if let Some(batch) = passed {
                self.send(peer, Channel::Tail, batch.encode());
            }
            self.send(peer, Channel::Control, bytes.clone());
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
                one.refused = true;
                let why = format!("nothing was heard of it for {silent} ms");
                self.out.push_back(Output::Close { peer, link, why, for_good: false });
                continue;
            }
            self.tick_sessions(peer);
            self.apply_next(peer);
        }
        if now >= self.pulse_at && self.peers.values().any(|one| one.link.is_some()) {
            self.ask_closed();
        }
        self.read_tails();
        self.begin_sessions();
    }

    fn tick_sessions(&mut self, peer: StoreId) {
        let now = self.now.monotonic;
        let limit = 2 * self.config.silence;
        let Some(one) = self.peers.get_mut(&peer) else { return };
        if let Some((number, session)) = &mut one.session {
            let number = *number;
            let acts = if now.saturating_sub(session.active) > limit {
                session.give_up(now)
            } else {
                session.tick(now)
            };
            self.act(peer, number, acts);
        }
        let Some(one) = self.peers.get_mut(&peer) else { return };
        let stale = one.responders.iter().filter(|(_, r)| now.saturating_sub(r.active) > 2 * limit);
        let stale: Vec<u32> = stale.map(|(number, _)| *number).collect();
        stale.into_iter().for_each(|number| self.end_responder(peer, number));
    }
}

impl core::fmt::Display for LinkId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0.to_string())
    }
}
