//! The repair policy: which comparisons it is asked in, what it is told, and what happens when it fails.
//!
//! The one that is asked decides; whoever drives the node runs it, with [`Output::AskPolicy`] and
//! [`Input::Plan`](super::Input::Plan). A plan that does not come in time or does not fit its round loses that round to
//! the built-in one, which repairs everything.

use super::{Node, Output};
use crate::compare::Scope;
use crate::event::{Event, Reason};
use crate::message::{Channel, Control};
use crate::peer::Peer;
use crate::session::{Initiator, Outcome, Pending};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use tidelog_model::format::{Malformed, Reader, Writer};
use tidelog_model::policy::{
    Action, Checked, Complete, Cost, Divergence, Health, PEERS_MAX, PeerFacts, PolicyError,
    PolicyErrorKind, RepairPolicy, Round, Step, check,
};
use tidelog_model::{CollectionName, GroupId, Horizon, StoreId, TimeRange};

/// So many windows that wait are remembered; others count as overdue.
const WAITING_MAX: usize = 100_000;
const DAY: u64 = 86_400_000;

/// How a node works with its policy. Times are milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyConfig {
    /// Its name, for events and status.
    pub name: String,
    /// Names the policy and its options: peers say it to each other. Not 0.
    pub hash: u64,
    /// A window that has differed for so long is repaired whatever the policy says.
    pub max_deferral: u64,
    /// A plan that has not come after so long is not waited for.
    pub timeout: u64,
    /// Over metered links comparisons may send and receive so many bytes in a UTC day; none: there is no bound.
    pub bytes_per_day: Option<u64>,
}

/// Names a question to the policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RoundId(pub u64);

/// A window by peer, group, collection and the UTC day that it begins in.
type Key = (StoreId, GroupId, CollectionName, i64);

/// What is to survive a restart: since when windows wait, and what of the day's budget is used.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PolicyState {
    /// The UTC day, counted from 1970, ...
    day: u64,
    /// ... and the bytes that were sent and received over metered links in it.
    spent: u64,
    waiting: BTreeMap<Key, Waits>,
}

/// A window that differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waits {
    /// When that was first seen, in milliseconds since the Unix epoch.
    since: u64,
    /// How far the horizon was: all that differed was written before.
    covered: u64,
    /// Rollups of it were borrowed when the peer had so many rows.
    borrowed: Option<u64>,
}

/// How a policy does.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PolicyStatus {
    /// Its name.
    pub name: String,
    /// See [`PolicyConfig::hash`].
    pub hash: u64,
    /// Rounds that it planned.
    pub rounds: u64,
    /// Rounds that the built-in one planned for it.
    pub fallbacks: u64,
    /// Why, the last time.
    pub fault: Option<PolicyError>,
    /// It is not asked for so many milliseconds more.
    pub quarantine: Option<u64>,
    /// Windows that wait.
    pub waiting: u64,
    /// Bytes of the day's budget that are used.
    pub spent: u64,
    /// The budget.
    pub bytes_per_day: Option<u64>,
}

#[derive(Debug)]
struct Asked {
    peer: StoreId,
    session: u32,
    round: Round,
    until: u64,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) config: Option<PolicyConfig>,
    state: PolicyState,
    health: Health,
    asked: BTreeMap<RoundId, Asked>,
    next: u64,
    costs: BTreeMap<StoreId, Cost>,
    rounds: u64,
    fallbacks: u64,
    fault: Option<PolicyError>,
}

impl Policy {
    fn key(peer: StoreId, scope: &Scope, range: TimeRange) -> Key {
        let Scope { group, collection } = scope.clone();
        (peer, group, collection, (range.first() / 1_000_000).div_euclid(DAY as i64))
    }

    /// What is left of the budget for a peer.
    fn budget(&self, peer: StoreId, wall: u64) -> u64 {
        let most = self.config.as_ref().and_then(|config| config.bytes_per_day);
        match most {
            Some(most) if self.costs.get(&peer) == Some(&Cost::Metered) => {
                let today = self.state.day == wall / DAY;
                most.saturating_sub(if today { self.state.spent } else { 0 })
            }
            _ => u64::MAX,
        }
    }

    fn spend(&mut self, peer: StoreId, bytes: u64, wall: u64) {
        if self.costs.get(&peer) != Some(&Cost::Metered) {
            return;
        }
        // A clock that was set back does not fill the budget again.
        let day = wall / DAY;
        if day > self.state.day {
            (self.state.day, self.state.spent) = (day, 0);
        }
        self.state.spent = self.state.spent.saturating_add(bytes);
    }

    /// For how long a window has waited, and how many rows the peer had when rollups of it were borrowed. From now on, if it did
    /// not.
    fn waits(&mut self, key: Key, wall: u64, horizon: &Horizon) -> (u64, Option<u64>) {
        let covered = covered(horizon);
        if let Some(one) = self.state.waiting.get_mut(&key) {
            one.covered = one.covered.max(covered);
            return (wall.saturating_sub(one.since), one.borrowed);
        }
        if self.state.waiting.len() >= WAITING_MAX {
            return (u64::MAX, None);
        }
        self.state.waiting.insert(key, Waits { since: wall, covered, borrowed: None });
        (0, None)
    }
}

impl Node {
    /// How the policy does; none when everything is repaired.
    #[must_use]
    pub fn policy_status(&self) -> Option<PolicyStatus> {
        let Policy { config, state, health, rounds, fallbacks, fault, .. } = &self.policy;
        let config = config.as_ref()?;
        let now = self.now.monotonic;
        let spent = if state.day == self.now.wall / DAY { state.spent } else { 0 };
        Some(PolicyStatus {
            name: config.name.clone(),
            hash: config.hash,
            rounds: *rounds,
            fallbacks: *fallbacks,
            fault: fault.clone(),
            quarantine: health.quarantined_until(now).map(|until| until - now),
            waiting: state.waiting.len() as u64,
            spent,
            bytes_per_day: config.bytes_per_day,
        })
    }

    /// Another policy, or none: rounds that are under way are planned by the one that was asked.
    pub(super) fn set_policy(&mut self, config: Option<PolicyConfig>, state: Option<PolicyState>) {
        let changed =
            self.policy.config.as_ref().map(|one| one.hash) != config.as_ref().map(|one| one.hash);
        self.policy.config = config;
        if let Some(state) = state {
            self.policy.state = state;
        }
        if changed {
            (self.policy.health, self.policy.fault) = (Health::default(), None);
            (self.policy.rounds, self.policy.fallbacks) = (0, 0);
            // What the one before left is asked of this one.
            let now = self.now.monotonic;
            for one in self.peers.values_mut() {
                if let Some((at, Reason::Policy)) = &mut one.check_at {
                    *at = now;
                }
            }
        }
    }

    pub(super) fn set_cost(&mut self, peer: StoreId, cost: Cost) {
        self.policy.costs.insert(peer, cost);
    }

    /// Does this side begin the comparisons that nobody asked for? The one whose policy decides does, where only one has any.
    pub(super) fn begins(&self, peer: StoreId) -> bool {
        let theirs = self.peers.get(&peer).is_some_and(decides);
        match (self.policy.config.is_some(), theirs) {
            (true, false) => true,
            (false, true) => false,
            _ => self.me.store < peer,
        }
    }

    /// Leaves a comparison to the peer, whose policy decides.
    pub(super) fn leave_to(&mut self, peer: StoreId) -> bool {
        let theirs = self.peers.get(&peer).is_some_and(decides);
        let leaves = theirs && self.policy.config.is_none();
        if leaves {
            self.send(peer, Channel::Control, Control::Compare.encode());
        }
        leaves
    }

    /// Asks the policy about the windows that a comparison found.
    pub(super) fn plan(&mut self, peer: StoreId, number: u32) {
        let Some(session) = self.session_of(peer, number) else { return };
        let Some(pending) = session.pending.clone() else { return };
        let horizon = session.view.horizon.clone();
        let round = self.round(peer, &pending, &horizon);
        let (now, id) = (self.now.monotonic, RoundId(self.policy.next));
        let config = self.policy.config.as_ref().filter(|_| self.policy.health.is_asked(now));
        let Some(config) = config else {
            // It is in quarantine, or was taken away meanwhile.
            self.policy.fallbacks += u64::from(self.policy.config.is_some());
            return self.decide(peer, number, &round, complete(&round), None);
        };
        let until = now + config.timeout;
        self.policy.next += 1;
        let asked = Asked { peer, session: number, round: round.clone(), until };
        self.policy.asked.insert(id, asked);
        self.out.push_back(Output::AskPolicy { id, round });
    }

    fn round(&mut self, peer: StoreId, pending: &Pending, horizon: &Horizon) -> Round {
        let (now, wall) = (self.now.monotonic, self.now.wall);
        let facts = |one: &Peer| PeerFacts {
            store: one.store,
            up: one.is_up(),
            cost: self.policy.costs.get(&one.store).copied().unwrap_or_default(),
            rtt: 0,
            lag: one.status(self.me.store).lag_millis,
            agreed: one.agreed_at.map_or(u64::MAX, |at| now.saturating_sub(at)),
        };
        // The peer of the comparison is among them however many there are.
        let own = self.peers.values().filter(|one| one.store == peer);
        let others = self.peers.values().filter(|one| one.store != peer);
        let peers: Vec<PeerFacts> = own.chain(others).map(facts).take(PEERS_MAX).collect();
        let divergence = |window: &crate::session::Window| {
            let key = Policy::key(peer, &window.scope, window.range);
            let (age, borrowed) = self.policy.waits(key, wall, horizon);
            Divergence {
                group: window.scope.group,
                collection: window.scope.collection.clone(),
                range: window.range,
                devices: window.devices(),
                ours: window.ours,
                theirs: window.theirs,
                age,
                borrowed: borrowed == Some(window.theirs.rows),
            }
        };
        let windows = pending.windows.iter().map(divergence).collect();
        let max_deferral = self.policy.config.as_ref().map_or(0, |config| config.max_deferral);
        let budget = self.policy.budget(peer, wall);
        Round { now: wall, peer: 0, budget, max_deferral, peers, windows }
    }

    /// The policy answered.
    pub(super) fn planned(&mut self, id: RoundId, plan: Result<Vec<Step>, PolicyError>) {
        // One that comes too late is not waited for any more.
        let Some(asked) = self.policy.asked.remove(&id) else { return };
        let checked = plan.and_then(|plan| {
            let void = |error: tidelog_model::policy::PlanError| {
                PolicyError::new(PolicyErrorKind::Plan, error.to_string())
            };
            check(&asked.round, &plan).map_err(void)
        });
        self.settle_round(asked, checked);
    }

    fn settle_round(&mut self, asked: Asked, checked: Result<Checked, PolicyError>) {
        let Asked { peer, session, round, .. } = asked;
        let (checked, fault) = match checked {
            Ok(checked) => {
                self.policy.rounds += 1;
                self.policy.health.well();
                (checked, None)
            }
            Err(error) => {
                self.policy.fallbacks += 1;
                self.policy.health.failed(self.now.monotonic);
                self.policy.fault = Some(error.clone());
                (complete(&round), Some(error))
            }
        };
        self.decide(peer, session, &round, checked, fault);
    }

    fn decide(
        &mut self,
        peer: StoreId,
        number: u32,
        round: &Round,
        checked: Checked,
        fault: Option<PolicyError>,
    ) {
        let now = self.now.monotonic;
        let budget = round.budget;
        let Some(session) = self.session_of(peer, number) else { return };
        let (acts, elsewhere) = session.planned(&checked, (round.peer, budget), now);
        let of = |wanted: fn(&Action) -> bool| {
            checked.steps.iter().filter(|step| wanted(&step.action)).count() as u32
        };
        let policy = self.policy.config.as_ref().map(|one| one.name.clone()).unwrap_or_default();
        let repaired =
            |action: &Action| matches!(action, Action::Both | Action::Pull | Action::Push);
        self.event(Event::Planned {
            peer,
            session: number,
            policy,
            windows: round.windows.len() as u32,
            repaired: of(repaired),
            rollups: of(|action| *action == Action::Rollups),
            overdue: checked.overdue as u32,
            fault,
        });
        for other in elsewhere {
            let store = round.peers.get(other as usize).map(|facts| facts.store);
            let other = store.and_then(|store| self.peers.get_mut(&store));
            let soon = now + self.config.pulse;
            if let Some(one) = other.filter(|one| one.check_at.is_none_or(|(at, _)| at > soon)) {
                one.check_at = Some((soon, crate::event::Reason::Policy));
            }
        }
        self.act(peer, number, acts);
    }

    /// A comparison is over: what was settled does not wait any more, and what it cost is counted.
    pub(super) fn policy_after(&mut self, peer: StoreId, session: &Initiator, outcome: &Outcome) {
        self.policy.asked.retain(|_, asked| asked.peer != peer);
        if self.policy.config.is_none() {
            return;
        }
        let before = (self.policy.state.spent, self.policy.state.waiting.len());
        self.policy.spend(peer, session.report.sent + session.report.received, self.now.wall);
        if !matches!(outcome, Outcome::Aborted { .. }) {
            for (scope, range, rows) in &session.later.borrowed {
                let key = Policy::key(peer, scope, *range);
                if let Some(one) = self.policy.state.waiting.get_mut(&key) {
                    one.borrowed = Some(*rows);
                }
            }
        }
        if outcome.settles() && !session.apart {
            // One whose horizon is not as far has not looked at what differed.
            let covered = covered(&session.view.horizon);
            let waiting = &mut self.policy.state.waiting;
            waiting.retain(|key, one| key.0 != peer || one.covered > covered);
        }
        let planned = session.report.planned > 0;
        if planned || before != (self.policy.state.spent, self.policy.state.waiting.len()) {
            self.out.push_back(Output::KeepPolicy(self.policy.state.clone()));
        }
    }

    /// When a comparison whose policy left something begins again, in milliseconds from now.
    pub(super) fn later(&self, peer: StoreId, session: &Initiator) -> u64 {
        const SOONEST: u64 = 1_000;
        let wall = self.now.wall;
        // What has waited longest is overdue then, whatever the plan says.
        let waits = self.policy.state.waiting.iter().filter(|(key, _)| key.0 == peer);
        let oldest = waits.map(|(_, one)| one.since).min();
        let most = self.policy.config.as_ref().map_or(0, |config| config.max_deferral);
        let overdue = oldest.map(|since| since.saturating_add(most));
        let next_day = session.later.starved.then_some(wall - wall % DAY + DAY);
        let until = session.later.until.into_iter().chain(next_day).chain(overdue).min();
        let every = self.config.interval.unwrap_or(DAY);
        until.map_or(every, |until| until.saturating_sub(wall).clamp(SOONEST, every.max(SOONEST)))
    }

    /// Plans that did not come are not waited for.
    pub(super) fn tick_policy(&mut self) {
        let now = self.now.monotonic;
        let late = self.policy.asked.iter().filter(|(_, asked)| asked.until <= now);
        let late: Vec<RoundId> = late.map(|(id, _)| *id).collect();
        for id in late {
            let text = "no plan came in time";
            let error = PolicyError::new(PolicyErrorKind::Deadline, text);
            self.planned(id, Err(error));
        }
    }

    /// When the first plan is not waited for any more.
    pub(super) fn plan_due(&self) -> Option<u64> {
        self.policy.asked.values().map(|asked| asked.until).min()
    }

    fn session_of(&mut self, peer: StoreId, number: u32) -> Option<&mut Initiator> {
        let session = self.peers.get_mut(&peer)?.session.as_mut();
        session.filter(|(own, _)| *own == number).map(|(_, session)| session)
    }
}

/// Has a peer a policy?
fn decides(one: &Peer) -> bool {
    one.hello.as_ref().is_some_and(|hello| hello.policy != 0)
}

/// Up to when everything is compared, in milliseconds.
fn covered(horizon: &Horizon) -> u64 {
    horizon.bounds().iter().map(|(_, stamp)| stamp.millis()).min().unwrap_or(u64::MAX)
}

fn complete(round: &Round) -> Checked {
    let plan = Complete.plan(round).unwrap_or_default();
    let overdue = plan.len();
    Checked { steps: plan, overdue }
}

impl PolicyState {
    /// As bytes: version u8 = 1, day, spent, count, { store 16 bytes, group, database, collection, day, since, covered,
    /// option of borrowed };
    /// numbers as varints, days before 1970 zigzag.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u8(STATE_VERSION).varint(self.day).varint(self.spent);
        to.list(self.waiting.iter(), |to, ((store, group, name, day), one)| {
            to.raw(&store.0).varint(group.0.into());
            to.text(name.database().as_str()).text(name.collection().as_str());
            to.zigzag(*day).varint(one.since).varint(one.covered);
            to.option(one.borrowed, |to, rows| {
                to.varint(rows);
            });
        });
        to.bytes
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// When the bytes are not such.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        if from.u8()? != STATE_VERSION {
            return Err(Malformed("the state of a policy in a version that is not known"));
        }
        let (day, spent) = (from.varint()?, from.varint()?);
        let waiting = from.list(24, |from| {
            let (store, group) = (StoreId(from.array()?), GroupId(from.varint32()?));
            let (database, collection) = (from.text()?, from.text()?);
            let name = CollectionName::new(database, collection)
                .map_err(|_| Malformed("not a collection's name"))?;
            let key = (store, group, name, from.zigzag()?);
            let (since, covered) = (from.varint()?, from.varint()?);
            Ok((key, Waits { since, covered, borrowed: from.option(Reader::varint)? }))
        })?;
        from.end()?;
        if waiting.len() > WAITING_MAX {
            return Err(Malformed("more windows than may wait"));
        }
        Ok(PolicyState { day, spent, waiting: waiting.into_iter().collect() })
    }
}

const STATE_VERSION: u8 = 1;
