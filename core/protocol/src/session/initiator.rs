//! The side of a comparison that asks: it holds what is still to be said, in bounds, and says when it is over.

use super::planned::{Batch, Pending};
use super::responder::too_many_parts;
use super::{Act, Outcome, PASSES_MAX, Report, TURN_BYTES, cut, hash_of, roots};
use crate::ask::{Answer, Ask, Failure, View};
use crate::compare::{Difference, Item, LeftOut, Look, Only, Pace, Scope};
use crate::message::{Part, Roots, STATE_PARTS_MAX, SessionMessage};
use crate::progress::{Progress, time_left};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::policy::Checked;
use tidelog_model::{GroupId, Horizon, StoreId, TimeRange};

/// Differences that are noted at the first look; beyond, they are found again in the next pass.
const SUSPECT_BYTES_MAX: usize = 4 << 20;

/// Turns in which no row moves, one after the other. A turn says half a MiB, so honest sides have described terabytes
/// by then; a peer that makes up differences could go on for ever.
const TURNS_IDLE_MAX: u32 = 4096;

/// So many differences are told.
const DIFFERENCES_MAX: usize = 10_000;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Initiator {
    pub(crate) view: View,
    groups: Vec<GroupId>,
    doing: Doing,
    look: Look,
    /// Looks twice, and how long after the first look the second is.
    second_look: Option<u64>,
    pause: u64,
    eager: bool,
    only: Option<Only>,
    from: i64,
    groups_at_once: usize,
    tell: bool,
    /// Said by the other side of groups that wait, by group.
    waiting: VecDeque<(GroupId, Vec<Item>)>,
    /// Said by the other side, to be held against what is here.
    local: Vec<Item>,
    /// To be said to the other side.
    remote: Vec<Item>,
    suspects: Vec<Item>,
    suspect_bytes: usize,
    left_out: BTreeMap<LeftOut, u64>,
    /// Parts of the state that the other side lacks.
    owed: Vec<Part>,
    want: Vec<u64>,
    /// Were parts that came last among those that are wanted?
    got_wanted: bool,
    ours: Roots,
    pass: u32,
    turn: u32,
    /// Leaves that differed in this pass.
    pass_leaves: u64,
    first_leaves: u64,
    /// The same of groups that are done in this pass.
    settled_leaves: u64,
    /// Rows that had moved before this pass.
    moved_before: u64,
    /// In which turn rows moved last, and how many had then.
    moved_at: (u32, u64),
    /// Windows that were looked at, those before the present look, and when that began.
    looked: u64,
    looked_before: u64,
    look_began: u64,
    /// Windows that the store or the other side is looking at.
    under_way: u64,
    pub(crate) report: Report,
    /// How often something was found lacking here before it began.
    pub(crate) lacks: u64,
    pub(crate) apart: bool,
    /// A policy decides about what differs at the first look.
    asks_policy: bool,
    /// What it is asked about.
    pub(crate) pending: Option<Pending>,
    /// What is left of its plan.
    batches: VecDeque<Batch>,
    /// The plan ends when so many bytes have been sent and received.
    bytes_max: u64,
    /// What it leaves for later.
    pub(crate) later: Later,
    started: u64,
    pub(crate) active: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    Summing,
    Opening,
    Naming,
    /// The state of the other side was heard and parts of it were asked for.
    State,
    TakingState,
    Stepping,
    /// Waiting for the reply to the turn.
    Turn,
    /// Until the second look.
    Waiting(u64),
    /// Until the next pass.
    Pausing(u64),
    /// Both sides say how much they have of what differs.
    Weighing,
    WeighingThere,
    /// Until the policy has decided.
    Planning,
    SummingAgain,
    Closing,
    Over,
}

/// What plans left for later.
#[derive(Debug, Default)]
pub(crate) struct Later {
    /// When the first of it is to be looked at again, in milliseconds since the Unix epoch.
    pub(crate) until: Option<u64>,
    /// The budget was used up.
    pub(crate) starved: bool,
    /// Windows whose rollups were asked for, with the rows that the other side had.
    pub(crate) borrowed: Vec<(Scope, TimeRange, u64)>,
}

/// What a comparison begins with.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) peer: StoreId,
    pub(crate) session: u32,
    pub(crate) horizon: Horizon,
    pub(crate) salt: u64,
    pub(crate) groups: Vec<GroupId>,
    /// How long after the first look the second is; none: rows are sent at once.
    pub(crate) second_look: Option<u64>,
    /// How long to wait for a later horizon before another pass.
    pub(crate) pause: u64,
    /// Says more than is asked for, to save round trips.
    pub(crate) eager: bool,
    /// Of groups that were named: nothing of what is shared is settled by it.
    pub(crate) apart: bool,
    /// Only a part is compared.
    pub(crate) only: Option<Only>,
    /// Only rows from this time on are.
    pub(crate) from: i64,
    /// So many groups are compared at once.
    pub(crate) groups_at_once: usize,
    /// Tells where the sides differ, and changes neither.
    pub(crate) tell: bool,
    /// A policy decides about what differs at the first look.
    pub(crate) asks_policy: bool,
}

impl Initiator {
    pub(crate) fn new(begin: Begin, now: u64) -> (Self, Vec<Act>) {
        let Begin { peer, session, horizon, salt, groups, second_look, .. } = begin;
        let Begin { pause, eager, apart, only, from, groups_at_once, tell, asks_policy, .. } =
            begin;
        // What a policy decides about has to be seen first.
        let second_look = second_look.or(asks_policy.then_some(0)).filter(|_| !tell);
        let view = View { peer, session, epoch: 0, horizon, salt };
        let ask = Ask::Summary { view: view.clone(), groups: groups.clone() };
        let report = Report { groups: groups.clone(), ..Report::default() };
        let initiator = Initiator {
            view,
            groups,
            doing: Doing::Summing,
            look: match second_look {
                _ if tell => Look::Tell,
                Some(_) => Look::First,
                None => Look::Second,
            },
            second_look,
            pause,
            eager,
            only,
            from,
            groups_at_once: groups_at_once.max(1),
            tell,
            waiting: VecDeque::new(),
            local: Vec::new(),
            remote: Vec::new(),
            suspects: Vec::new(),
            suspect_bytes: 0,
            left_out: BTreeMap::new(),
            owed: Vec::new(),
            want: Vec::new(),
            got_wanted: false,
            ours: Roots::default(),
            pass: 1,
            turn: 0,
            pass_leaves: 0,
            first_leaves: 0,
            settled_leaves: 0,
            moved_before: 0,
            moved_at: (0, 0),
            looked: 0,
            looked_before: 0,
            look_began: now,
            under_way: 0,
            report,
            lacks: 0,
            apart,
            asks_policy: asks_policy && !tell,
            pending: None,
            batches: VecDeque::new(),
            bytes_max: u64::MAX,
            later: Later::default(),
            started: now,
            active: now,
        };
        (initiator, vec![Act::Ask(ask)])
    }

    /// Has it found differences?
    pub(crate) fn repairs(&self) -> bool {
        self.pass_leaves > 0 && self.look.repairs()
    }

    /// Another look at what is left: how fast the one before was tells nothing of it.
    fn begin_look(&mut self, now: u64) {
        (self.looked_before, self.look_began) = (self.looked, now);
    }

    /// What was under way was looked at, but for what is to be said again.
    fn looked_at(&mut self, later: &[Item]) {
        self.looked += core::mem::take(&mut self.under_way).saturating_sub(windows(later));
    }

    /// Says in the report how far it has come.
    pub(crate) fn tell_progress(&mut self, now: u64) {
        let queues = [&self.local, &self.remote, &self.suspects].map(|items| windows(items));
        let waiting = self.waiting.iter().map(|(_, items)| windows(items)).sum::<u64>();
        let left = queues.iter().sum::<u64>() + waiting + self.under_way;
        let (done, millis) = (self.looked - self.looked_before, now - self.look_began);
        self.report.windows = Progress::new(self.looked, left, time_left(done, left, millis));
    }

    /// Something was said.
    pub(crate) fn hear(&mut self, message: SessionMessage, now: u64) -> Vec<Act> {
        self.active = now;
        match (self.doing, message) {
            (_, SessionMessage::Abort(why)) => self.end(Outcome::Aborted { why }, now),
            (Doing::Opening, SessionMessage::Opened { roots, state, items }) => {
                if roots.store == self.ours.store && roots.state == self.ours.state {
                    return self.end(Outcome::Agreed, now);
                }
                self.waiting = by_group(self.narrowed(items));
                self.take_groups();
                self.report.state_differs = self.tell && state.is_some();
                match state.filter(|_| !self.tell) {
                    None => self.go_on(now),
                    Some(hashes) => {
                        self.want = hashes;
                        self.doing = Doing::Naming;
                        vec![Act::Ask(Ask::State {
                            peer: self.view.peer,
                            horizon: self.view.horizon.clone(),
                        })]
                    }
                }
            }
            (Doing::State, SessionMessage::State { parts, .. }) => {
                if parts.is_empty() {
                    // What was wanted is there no more: superseded meanwhile.
                    self.want.clear();
                    return self.exchange_state(now);
                }
                let got: BTreeSet<u64> = parts.iter().map(hash_of).collect();
                let wanted = self.want.len();
                self.want.retain(|hash| !got.contains(hash));
                self.got_wanted = self.want.len() < wanted;
                self.doing = Doing::TakingState;
                vec![Act::Ask(Ask::TakeState { peer: self.view.peer, parts })]
            }
            (Doing::Turn, SessionMessage::Reply { turn, items, later }) if turn == self.turn => {
                self.looked_at(&later);
                self.sort(items);
                self.remote.extend(later);
                self.go_on(now)
            }
            (Doing::WeighingThere, SessionMessage::Weighed(sides)) => {
                let windows = self.pending.iter_mut().flat_map(|pending| &mut pending.windows);
                windows.zip(sides).for_each(|(window, side)| window.theirs = side);
                self.doing = Doing::Planning;
                vec![Act::Plan]
            }
            (Doing::Closing, SessionMessage::Closed { roots, ahead }) => {
                self.closed(&roots, ahead, now)
            }
            // Late or twice.
            _ => Vec::new(),
        }
    }

    /// The store answered.
    pub(crate) fn answered(&mut self, answer: Answer, now: u64) -> Vec<Act> {
        self.active = now;
        match (self.doing, answer) {
            (_, Answer::Failed(Failure { text, .. })) => self.say_and_abort(&text, now),
            (Doing::Summing, Answer::Summary { store, groups, state }) => {
                self.ours = roots(store, &groups, state, self.groups.len());
                self.report.root = store;
                self.doing = Doing::Opening;
                vec![Act::Say(SessionMessage::Open {
                    epoch: self.view.epoch,
                    eager: self.eager,
                    horizon: self.view.horizon.clone(),
                    salt: self.view.salt,
                    groups: self.groups.clone(),
                    roots: self.ours.clone(),
                })]
            }
            (Doing::Naming, Answer::State(parts)) => {
                if parts.len() > STATE_PARTS_MAX {
                    return self.say_and_abort(&too_many_parts(), now);
                }
                let theirs: BTreeSet<u64> = self.want.iter().copied().collect();
                let ours: BTreeSet<u64> = parts.iter().map(hash_of).collect();
                self.want.retain(|hash| !ours.contains(hash));
                self.owed = parts;
                self.owed.retain(|part| !theirs.contains(&hash_of(part)));
                self.exchange_state(now)
            }
            (Doing::TakingState, Answer::StateTaken { ahead, superseding, .. }) => {
                self.report.counts.ahead += ahead;
                // Each part is wanted once, so that this comes to an end whatever the other side says.
                if self.got_wanted {
                    self.owed.extend(superseding);
                }
                self.exchange_state(now)
            }
            (Doing::Stepping, Answer::Stepped(step)) => {
                self.report.counts.add(&step.counts);
                self.pass_leaves += step.counts.leaves;
                let rest: Vec<Item> = step.rest.into();
                self.looked_at(&rest);
                self.local = rest;
                self.note(step.out);
                self.go_on(now)
            }
            (Doing::Weighing, Answer::Weighed(sides)) => {
                let Some(pending) = &mut self.pending else { return Vec::new() };
                let windows = pending.windows.iter_mut().zip(sides);
                windows.for_each(|(window, side)| window.ours = side);
                self.doing = Doing::WeighingThere;
                let (epoch, items) = (self.view.epoch, pending.items());
                vec![Act::Say(SessionMessage::Weigh { epoch, items })]
            }
            (Doing::SummingAgain, Answer::Summary { store, groups, state }) => {
                self.ours = roots(store, &groups, state, self.groups.len());
                self.report.root = store;
                self.doing = Doing::Closing;
                let epoch = self.view.epoch;
                vec![Act::Say(SessionMessage::Close { epoch, roots: self.ours.clone() })]
            }
            _ => Vec::new(),
        }
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: u64) -> Vec<Act> {
        match self.doing {
            Doing::Waiting(until) if now >= until => {
                self.look = Look::Second;
                self.view.epoch += 1;
                self.first_leaves += core::mem::take(&mut self.pass_leaves);
                if self.asks_policy {
                    return self.weigh();
                }
                self.local = core::mem::take(&mut self.suspects);
                self.suspect_bytes = 0;
                self.begin_look(now);
                self.go_on(now)
            }
            Doing::Pausing(until) if now >= until => vec![Act::Again],
            Doing::Waiting(until) | Doing::Pausing(until) => vec![Act::WakeAt(until)],
            _ => Vec::new(),
        }
    }

    /// Before a policy is asked: how much is there of what differs?
    fn weigh(&mut self) -> Vec<Act> {
        let pending = Pending::take(&mut self.suspects);
        self.suspect_bytes = self.suspects.iter().map(Item::bytes).sum();
        self.report.planned += pending.windows.len() as u64;
        let (view, items) = (self.view.clone(), pending.items());
        self.pending = Some(pending);
        self.doing = Doing::Weighing;
        vec![Act::Ask(Ask::Weigh { view, items })]
    }

    /// The policy has decided, or the built-in one for it; the peer of this comparison is `here` in its round. Of the budget
    /// so many bytes are left.
    pub(crate) fn planned(
        &mut self,
        checked: &Checked,
        (here, budget): (u32, u64),
        now: u64,
    ) -> (Vec<Act>, BTreeSet<u32>) {
        let Some(pending) = self.pending.take().filter(|_| self.doing == Doing::Planning) else {
            return (Vec::new(), BTreeSet::new());
        };
        self.active = now;
        let decided = pending.decide(checked, here);
        self.batches = decided.batches;
        self.bytes_max = (self.report.sent + self.report.received).saturating_add(budget);
        self.leave(decided.left);
        for window in decided.borrow {
            let key = (window.scope.clone(), window.range, window.theirs.rows);
            self.later.borrowed.push(key);
            self.remote.push(window.borrow());
        }
        self.later.until = self.later.until.into_iter().chain(decided.until).min();
        self.begin_look(now);
        (self.go_on(now), decided.elsewhere)
    }

    fn leave(&mut self, windows: u64) {
        if windows > 0 {
            let known = self.left_out.entry(LeftOut::Policy).or_default();
            *known = known.saturating_add(windows);
        }
    }

    /// The next part of the plan, as long as the budget reaches.
    fn take_batch(&mut self) -> bool {
        while let Some(batch) = self.batches.pop_front() {
            let spent = self.report.sent + self.report.received;
            if batch.overdue || spent < self.bytes_max {
                self.look = batch.look;
                self.local = batch.items;
                return true;
            }
            self.later.starved = true;
            self.leave(batch.items.len() as u64);
        }
        false
    }

    /// Sends parts of the state and asks for others, until neither side lacks any; then rows.
    fn exchange_state(&mut self, now: u64) -> Vec<Act> {
        if self.owed.is_empty() && self.want.is_empty() {
            // Deletes may hide rows that were claimed.
            self.view.epoch += 1;
            return self.go_on(now);
        }
        let mut bytes = 0;
        let fit = self.owed.iter().take_while(|part| {
            bytes += part.1.len() + 8;
            bytes < TURN_BYTES
        });
        let fit = fit.count().max(1).min(self.owed.len());
        let rest = self.owed.split_off(fit);
        let parts = core::mem::replace(&mut self.owed, rest);
        self.doing = Doing::State;
        vec![Act::Say(SessionMessage::State { parts, want: self.want.clone() })]
    }

    /// What is held against what is here at first: what the other side claims, or the part that was asked for.
    fn narrowed(&self, items: Vec<Item>) -> Vec<Item> {
        let Some(Only { collection, range }) = &self.only else {
            let mut items = items;
            items.retain_mut(|item| item.narrow(self.from));
            return items;
        };
        let of = |group: &GroupId| {
            let scope = Scope { group: *group, collection: collection.clone() };
            Item::Suspects { scope, range: *range, devices: Vec::new() }
        };
        self.groups.iter().map(of).collect()
    }

    /// Goes on with the next groups.
    fn take_groups(&mut self) {
        let next = self.groups_at_once.min(self.waiting.len());
        self.local.extend(self.waiting.drain(..next).flat_map(|(_, items)| items));
    }

    /// The next thing to do for rows.
    fn go_on(&mut self, now: u64) -> Vec<Act> {
        let waiting: usize = self.remote.iter().map(Item::bytes).sum();
        if !self.local.is_empty() && waiting < TURN_BYTES / 2 {
            self.doing = Doing::Stepping;
            let (view, look) = (self.view.clone(), self.look);
            let items = core::mem::take(&mut self.local);
            self.under_way = windows(&items);
            let (eager, bytes_max, from) = (self.eager, TURN_BYTES, self.from);
            let pace = Pace { look, eager, bytes_max, from };
            return vec![Act::Ask(Ask::Step { view, pace, items })];
        }
        if !self.remote.is_empty() {
            let (items, rest) = cut(core::mem::take(&mut self.remote), 2 * TURN_BYTES);
            self.remote = rest;
            self.under_way = windows(&items);
            self.turn += 1;
            self.report.turns += 1;
            let moved = self.report.counts.moved();
            if moved > self.moved_at.1 {
                self.moved_at = (self.turn, moved);
            } else if self.turn - self.moved_at.0 > TURNS_IDLE_MAX {
                return self
                    .say_and_abort("the peer goes on differing and nothing comes of it", now);
            }
            self.doing = Doing::Turn;
            let (turn, epoch, look) = (self.turn, self.view.epoch, self.look);
            return vec![Act::Say(SessionMessage::Turn { turn, epoch, look, items })];
        }
        if self.take_batch() {
            return self.go_on(now);
        }
        match self.second_look {
            Some(_) if self.look != Look::First && !self.suspects.is_empty() => {
                self.look = Look::Second;
                self.weigh()
            }
            Some(wait) if self.look == Look::First && !self.suspects.is_empty() => {
                let until = now + wait;
                self.doing = Doing::Waiting(until);
                vec![Act::WakeAt(until)]
            }
            _ if !self.waiting.is_empty() => {
                self.settled_leaves += core::mem::take(&mut self.pass_leaves);
                self.take_groups();
                if self.second_look.is_some() {
                    self.look = Look::First;
                    self.begin_look(now);
                }
                self.go_on(now)
            }
            _ if self.tell => self.end(Outcome::Different, now),
            _ => {
                self.view.epoch += 1;
                self.doing = Doing::SummingAgain;
                let (view, groups) = (self.view.clone(), self.groups.clone());
                vec![Act::Ask(Ask::Summary { view, groups })]
            }
        }
    }

    /// What this side found goes to the other one, but for what only this side has to know.
    fn note(&mut self, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Suspects { .. } | Item::LeftOut { .. } => self.keep(item),
                Item::Difference(one) => self.tell(one),
                item => self.remote.push(item),
            }
        }
    }

    /// What the other side found is held against what is here.
    fn sort(&mut self, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Suspects { .. } | Item::LeftOut { .. } => {
                    if let Item::Suspects { devices, .. } = &item {
                        self.pass_leaves += devices.len().max(1) as u64;
                    }
                    self.keep(item);
                }
                Item::Difference(one) => self.tell(one.turned()),
                item => self.local.push(item),
            }
        }
    }

    fn tell(&mut self, one: Difference) {
        if self.tell && self.report.differences.len() < DIFFERENCES_MAX {
            self.report.differences.push(one);
        }
    }

    fn keep(&mut self, item: Item) {
        if let Item::LeftOut { why, windows, .. } = &item {
            let known = self.left_out.entry(*why).or_default();
            *known = known.saturating_add(*windows);
            return;
        }
        let bytes = item.bytes();
        if self.suspect_bytes + bytes <= SUSPECT_BYTES_MAX {
            self.suspect_bytes += bytes;
            self.suspects.push(item);
        }
    }

    fn closed(&mut self, theirs: &Roots, ahead: u64, now: u64) -> Vec<Act> {
        // Where nothing moved, what was seen at the first look was on its way.
        let moved = self.report.counts.moved();
        if moved == self.moved_before {
            let leaves = self.pass_leaves + self.first_leaves + self.settled_leaves;
            self.report.false_mismatches += leaves;
        }
        self.moved_before = moved;
        if theirs.store == self.ours.store && theirs.state == self.ours.state {
            let mut left_out = core::mem::take(&mut self.left_out);
            // Nothing was left there, as it turns out.
            left_out.remove(&LeftOut::Policy);
            let outcome =
                if left_out.is_empty() { Outcome::Agreed } else { Outcome::Partial { left_out } };
            return self.end(outcome, now);
        }
        // Of what is too far ahead no pass brings more, until a clock is set.
        let ahead = ahead.saturating_add(self.report.counts.ahead);
        if ahead > 0 {
            self.left_out.insert(LeftOut::ClockAhead, ahead);
            let left_out = core::mem::take(&mut self.left_out);
            return self.end(Outcome::Partial { left_out }, now);
        }
        if self.only.is_some() || self.from > i64::MIN {
            self.left_out.insert(LeftOut::NotAsked, 1);
        }
        let repaired =
            self.pass_leaves + self.settled_leaves > 0 || theirs.state != self.ours.state;
        // What the policy left differs still, and it would be asked the same.
        let decided = self.left_out.contains_key(&LeftOut::Policy);
        if (!repaired || decided) && !self.left_out.is_empty() {
            let left_out = core::mem::take(&mut self.left_out);
            return self.end(Outcome::Partial { left_out }, now);
        }
        if self.pass == PASSES_MAX {
            return self.end(Outcome::Diverged, now);
        }
        self.pass += 1;
        (self.pass_leaves, self.first_leaves, self.settled_leaves) = (0, 0, 0);
        self.begin_look(now);
        self.left_out.clear();
        self.look = if self.second_look.is_some() { Look::First } else { Look::Second };
        // Another salt: what hid by chance does not hide twice.
        self.view.salt = self.view.salt.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        self.view.epoch += 1;
        if self.pause == 0 {
            return vec![Act::Again];
        }
        let until = now + self.pause;
        self.doing = Doing::Pausing(until);
        vec![Act::WakeAt(until)]
    }

    /// Begins a pass, up to a horizon of now: what was merged away by what is beyond the one before cannot be held
    /// against it.
    pub(crate) fn again(&mut self, horizon: Horizon) -> Vec<Act> {
        self.view.horizon = horizon;
        self.doing = Doing::Summing;
        let (view, groups) = (self.view.clone(), self.groups.clone());
        vec![Act::Ask(Ask::Summary { view, groups })]
    }

    fn end(&mut self, outcome: Outcome, now: u64) -> Vec<Act> {
        self.doing = Doing::Over;
        self.tell_progress(now);
        self.report.millis = now.saturating_sub(self.started);
        self.report.horizon = self.view.horizon.clone();
        vec![Act::End(outcome)]
    }

    /// Nothing was heard for too long.
    pub(crate) fn give_up(&mut self, now: u64) -> Vec<Act> {
        self.say_and_abort("nothing was heard of the peer for too long", now)
    }

    fn say_and_abort(&mut self, why: &str, now: u64) -> Vec<Act> {
        let why = why.to_string();
        let mut acts = vec![Act::Say(SessionMessage::Abort(why.clone()))];
        acts.extend(self.end(Outcome::Aborted { why }, now));
        acts
    }
}

/// About how many leaf windows items are of.
fn windows(items: &[Item]) -> u64 {
    items.iter().map(Item::windows).sum()
}

/// What was said of each group, in the order in which groups were first spoken of.
fn by_group(items: Vec<Item>) -> VecDeque<(GroupId, Vec<Item>)> {
    let mut groups: VecDeque<(GroupId, Vec<Item>)> = VecDeque::new();
    for item in items {
        let Some(group) = item.group() else { continue };
        match groups.iter_mut().find(|(own, _)| *own == group) {
            Some((_, items)) => items.push(item),
            None => groups.push_back((group, vec![item])),
        }
    }
    groups
}
