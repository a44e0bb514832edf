//! One peer: its link, its log being followed and ours by it, and the comparisons with it.

use crate::compare::{Counts, Only};
use crate::event::{PeerState, PeerStatus};
use crate::message::{Channel, Hello, Pulse};
use crate::refusal::Refusal;
use crate::session::{Initiator, Outcome, Responder};
use crate::tail::{TailIn, TailOut};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::{GroupId, Incarnation, Stamp, StoreId};

/// A connection with a peer, by the number that the driver gave it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// Comparisons that a peer may have open on this side.
pub(crate) const RESPONDERS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) store: StoreId,
    /// The groups that both hold.
    pub(crate) shared: Vec<GroupId>,
    pub(crate) link: Option<LinkId>,
    pub(crate) greeted: bool,
    pub(crate) hello: Option<Hello>,
    pub(crate) pulse: Option<Pulse>,
    pub(crate) heard_at: u64,
    pub(crate) up_at: u64,
    pub(crate) tail_out: TailOut,
    pub(crate) tail_in: TailIn,
    pub(crate) stalled: Option<(String, Option<u64>)>,
    pub(crate) session: Option<(u32, Initiator)>,
    pub(crate) responders: BTreeMap<u32, Responder>,
    pub(crate) next_session: u32,
    /// Files were received from it since it was linked, or it is not to be asked for any.
    pub(crate) no_snapshot: bool,
    /// When to compare, and why.
    pub(crate) check_at: Option<(u64, crate::event::Reason)>,
    /// What may be held with stamps ahead of the clock is still to be looked for.
    pub(crate) again: bool,
    /// Of the comparison that the host asked for.
    pub(crate) only: Option<Only>,
    /// The groups that it asked for, shared or not.
    pub(crate) check_groups: Option<Vec<GroupId>>,
    pub(crate) failures: u32,
    pub(crate) agreed_at: Option<u64>,
    pub(crate) last_outcome: Option<Outcome>,
    /// Has anything been settled with this peer since it was linked first?
    pub(crate) verdict: bool,
    pub(crate) sessions: (u64, u64),
    pub(crate) counts: Counts,
    pub(crate) bytes: (u64, u64),
    pub(crate) violations: u64,
    /// What is sent is passed over: the link is being closed.
    pub(crate) refused: bool,
    /// Why it was the last time; none once both can speak.
    pub(crate) refusal: Option<Refusal>,
    /// What came before the greeting did, which travels on a channel of its own.
    pub(crate) early: Vec<(Channel, Vec<u8>)>,
    /// The openings of the store that greeted, the latest last.
    openings: Vec<Incarnation>,
}

/// So many bytes are kept that came before the greeting: as many as may be on their way.
pub(crate) const EARLY_BYTES_MAX: usize = 2 * crate::tail::WINDOW_BYTES;
/// So many openings of a peer's store are remembered.
const OPENINGS_MAX: usize = 16;

impl Peer {
    pub(crate) fn new(store: StoreId, shared: Vec<GroupId>, first_session: u32) -> Self {
        Peer {
            store,
            shared,
            link: None,
            greeted: false,
            hello: None,
            pulse: None,
            heard_at: 0,
            up_at: 0,
            tail_out: TailOut::default(),
            tail_in: TailIn::default(),
            stalled: None,
            session: None,
            responders: BTreeMap::new(),
            next_session: first_session,
            no_snapshot: false,
            check_at: None,
            again: false,
            only: None,
            check_groups: None,
            failures: 0,
            agreed_at: None,
            last_outcome: None,
            verdict: false,
            sessions: (0, 0),
            counts: Counts::default(),
            bytes: (0, 0),
            violations: 0,
            refused: false,
            refusal: None,
            early: Vec::new(),
            openings: Vec::new(),
        }
    }

    /// The peer's store was opened anew, or greets again. Not so when an opening greets that another one followed: none
    /// comes back, so the store is open twice, and one of the two is a copy.
    pub(crate) fn is_opened(&mut self, incarnation: Incarnation) -> bool {
        if self.openings.last() == Some(&incarnation) {
            return true;
        }
        if self.openings.contains(&incarnation) {
            return false;
        }
        if self.openings.len() == OPENINGS_MAX {
            self.openings.remove(0);
        }
        self.openings.push(incarnation);
        true
    }

    /// Both have greeted, and each can speak to the other.
    pub(crate) fn is_up(&self) -> bool {
        self.link.is_some() && self.greeted && self.hello.is_some() && !self.refused
    }

    /// Does the host wait for a comparison?
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.check_at, Some((_, crate::event::Reason::Asked)))
    }

    pub(crate) fn is_once(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.once)
    }

    /// Is it known how far both have come, so that a horizon can be told?
    pub(crate) fn knows_enough(&self, me: StoreId) -> bool {
        let there = self.known_there(me).is_some_and(|stamp| stamp > Stamp::ZERO);
        let here = self.tail_in.known > Stamp::ZERO;
        (there || !self.tail_out.is_on()) && (here || !self.tail_in.is_on())
    }

    /// What the peer said to know of a store's writes.
    pub(crate) fn known_there(&self, of: StoreId) -> Option<Stamp> {
        let pulse = self.pulse.as_ref()?;
        pulse.known.iter().find(|(store, _)| *store == of).map(|(_, stamp)| *stamp)
    }

    /// The link is gone: what was on its way is lost.
    pub(crate) fn unlink(&mut self) {
        self.link = None;
        self.greeted = false;
        self.hello = None;
        self.pulse = None;
        self.tail_out.stop();
        self.tail_in = TailIn::default();
        self.stalled = None;
        self.session = None;
        self.no_snapshot = false;
        self.responders.clear();
        self.early.clear();
    }

    pub(crate) fn status(&self, me: StoreId) -> PeerStatus {
        let promised = self.pulse.as_ref().map_or(Stamp::ZERO, |pulse| pulse.closed);
        let known = self.tail_in.known;
        let lag = promised.millis().saturating_sub(known.millis());
        let repairing = self.session.as_ref().is_some_and(|(_, session)| session.repairs())
            || self.responders.values().any(|one| one.counts.leaves > 0);
        let state = if !self.is_up() {
            PeerState::Disconnected
        } else if self.stalled.as_ref().is_some_and(|(_, ahead)| ahead.is_some()) {
            PeerState::ClockAhead
        } else if repairing {
            PeerState::Repairing
        } else if self.last_outcome == Some(Outcome::Diverged) {
            PeerState::Diverged
        } else if !self.verdict || !self.tail_in.is_whole() {
            PeerState::Syncing
        } else if lag > LAGGING_MILLIS {
            PeerState::Lagging
        } else {
            PeerState::Connected
        };
        PeerStatus {
            peer: self.store,
            state,
            known,
            known_there: self.known_there(me).unwrap_or(Stamp::ZERO),
            lag_millis: if self.tail_in.is_on() { lag } else { 0 },
            agreed_at: self.agreed_at,
            sessions: self.sessions,
            counts: self.counts,
            bytes: self.bytes,
            violations: self.violations,
            refusal: self.refusal.clone(),
            comparing: self.session.as_ref().map(|(_, session)| session.report.windows),
            receiving: None,
        }
    }
}

/// A peer whose log is so far behind is said to lag.
const LAGGING_MILLIS: u64 = 3_000;
