//! The side of a comparison that answers. It keeps nothing but which moment is looked at.

use super::{Act, Outcome, TURN_BYTES, hash_of, roots, short};
use crate::ask::{Answer, Ask, Failure, View};
use crate::compare::{Counts, Item, Pace};
use crate::message::{Part, Roots, STATE_PARTS_MAX, SessionMessage};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::GroupId;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Responder {
    pub(crate) view: View,
    eager: bool,
    groups: Vec<GroupId>,
    doing: Doing,
    pub(crate) counts: Counts,
    /// The last thing that was heard or done.
    pub(crate) active: u64,
    /// Roots that were found equal.
    pub(crate) agreed: bool,
    /// How often something was found lacking here before it began.
    pub(crate) lacks: u64,
    /// It is about all groups that are shared, and so settles what is missing of a log.
    pub(crate) whole: bool,
}

#[derive(Debug)]
enum Doing {
    Nothing,
    /// Summing up what is here, to hold it against these.
    Summing(Roots),
    /// Listing what differs.
    Listing {
        ours: Roots,
        state: bool,
    },
    /// Reading the state, to say which parts there are.
    Naming {
        ours: Roots,
        items: Vec<Item>,
    },
    /// Taking parts of the state; others are wanted.
    TakingState {
        want: Vec<u64>,
    },
    /// Reading the state, to send parts.
    SendingState {
        want: Vec<u64>,
        /// What is here in place of parts that were taken.
        superseding: Vec<Part>,
    },
    Stepping {
        turn: u32,
    },
    Weighing,
    /// Summing up once more.
    Closing(Roots),
}

impl Responder {
    pub(crate) fn new(
        (view, eager): (View, bool),
        shared: &[GroupId],
        (groups, theirs): (Vec<GroupId>, Roots),
        now: u64,
    ) -> (Self, Vec<Act>) {
        let groups: Vec<GroupId> =
            groups.into_iter().filter(|group| shared.contains(group)).collect();
        let whole = groups == shared;
        let ask = Ask::Summary { view: view.clone(), groups: groups.clone() };
        let (counts, doing) = (Counts::default(), Doing::Summing(theirs));
        let responder = Responder {
            view,
            eager,
            groups,
            doing,
            counts,
            active: now,
            agreed: false,
            lacks: 0,
            whole,
        };
        (responder, vec![Act::Ask(ask)])
    }

    /// Something was said. While the store is busy for this comparison nothing more is due: it is passed over.
    pub(crate) fn hear(&mut self, message: SessionMessage, now: u64) -> Vec<Act> {
        self.active = now;
        if !matches!(self.doing, Doing::Nothing) {
            return Vec::new();
        }
        match message {
            SessionMessage::Turn { turn, epoch, look, items } => {
                self.view.epoch = self.view.epoch.max(epoch);
                self.doing = Doing::Stepping { turn };
                let view = self.view.clone();
                let (eager, bytes_max, from) = (self.eager, TURN_BYTES, i64::MIN);
                let pace = Pace { look: look.turned(), eager, bytes_max, from };
                vec![Act::Ask(Ask::Step { view, pace, items })]
            }
            SessionMessage::State { parts, want } => {
                if parts.is_empty() {
                    self.doing = Doing::SendingState { want, superseding: Vec::new() };
                    return vec![Act::Ask(Ask::State {
                        peer: self.view.peer,
                        horizon: self.view.horizon.clone(),
                    })];
                }
                self.doing = Doing::TakingState { want };
                vec![Act::Ask(Ask::TakeState { peer: self.view.peer, parts })]
            }
            SessionMessage::Weigh { epoch, items } => {
                self.view.epoch = self.view.epoch.max(epoch);
                self.doing = Doing::Weighing;
                vec![Act::Ask(Ask::Weigh { view: self.view.clone(), items })]
            }
            SessionMessage::Close { epoch, roots } => {
                self.view.epoch = self.view.epoch.max(epoch);
                self.doing = Doing::Closing(roots);
                let (view, groups) = (self.view.clone(), self.groups.clone());
                vec![Act::Ask(Ask::Summary { view, groups })]
            }
            SessionMessage::Abort(why) => vec![Act::End(Outcome::Aborted { why })],
            _ => vec![Act::End(Outcome::Aborted { why: String::from("said out of turn") })],
        }
    }

    /// The store answered.
    pub(crate) fn answered(&mut self, answer: Answer, now: u64) -> Vec<Act> {
        self.active = now;
        let doing = core::mem::replace(&mut self.doing, Doing::Nothing);
        match (doing, answer) {
            (_, Answer::Failed(Failure { text, .. })) => {
                let why = text.clone();
                vec![Act::Say(SessionMessage::Abort(text)), Act::End(Outcome::Aborted { why })]
            }
            (Doing::Summing(theirs), Answer::Summary { store, groups, state }) => {
                self.summed(&theirs, store, &groups, state)
            }
            (Doing::Listing { ours, state }, Answer::Collections(items)) => {
                if state {
                    self.doing = Doing::Naming { ours, items };
                    return vec![Act::Ask(Ask::State {
                        peer: self.view.peer,
                        horizon: self.view.horizon.clone(),
                    })];
                }
                vec![Act::Say(SessionMessage::Opened { roots: ours, state: None, items })]
            }
            (Doing::Naming { ours, items }, Answer::State(parts)) => {
                if parts.len() > STATE_PARTS_MAX {
                    let why = too_many_parts();
                    return vec![
                        Act::Say(SessionMessage::Abort(why.clone())),
                        Act::End(Outcome::Aborted { why }),
                    ];
                }
                let state = Some(parts.iter().map(hash_of).collect());
                vec![Act::Say(SessionMessage::Opened { roots: ours, state, items })]
            }
            (Doing::TakingState { want }, Answer::StateTaken { ahead, superseding, .. }) => {
                self.counts.ahead += ahead;
                self.doing = Doing::SendingState { want, superseding };
                vec![Act::Ask(Ask::State {
                    peer: self.view.peer,
                    horizon: self.view.horizon.clone(),
                })]
            }
            (Doing::SendingState { want, superseding }, Answer::State(parts)) => {
                let parts = fitting(superseding.into_iter().chain(wanted(parts, &want)));
                vec![Act::Say(SessionMessage::State { parts, want: Vec::new() })]
            }
            (Doing::Stepping { turn }, Answer::Stepped(step)) => {
                self.counts.add(&step.counts);
                let (items, later) = (step.out, step.rest.into());
                vec![Act::Say(SessionMessage::Reply { turn, items, later })]
            }
            (Doing::Weighing, Answer::Weighed(sides)) => {
                vec![Act::Say(SessionMessage::Weighed(sides))]
            }
            (Doing::Closing(theirs), Answer::Summary { store, groups, state }) => {
                self.agreed = theirs.store == store && theirs.state == Some(state);
                let roots = roots(store, &groups, state, self.groups.len());
                vec![Act::Say(SessionMessage::Closed { roots, ahead: self.counts.ahead })]
            }
            _ => vec![Act::End(Outcome::Aborted { why: "answered out of turn".to_string() })],
        }
    }

    fn summed(
        &mut self,
        theirs: &Roots,
        store: Option<tidelog_model::Digest>,
        groups: &[(GroupId, tidelog_model::Digest)],
        state: tidelog_model::Digest,
    ) -> Vec<Act> {
        let ours = roots(store, groups, state, self.groups.len());
        let state_differs = theirs.state != Some(state);
        self.agreed = theirs.store == store && !state_differs;
        if self.agreed {
            let ours = Roots { groups: None, ..ours };
            return vec![Act::Say(SessionMessage::Opened {
                roots: ours,
                state: None,
                items: Vec::new(),
            })];
        }
        let own = |group: &GroupId| {
            groups.iter().find(|(other, _)| other == group).map(|(_, root)| short(root))
        };
        let differing = match (&theirs.groups, theirs.store == store) {
            (_, true) => Vec::new(),
            (Some(theirs), false) => {
                let other = |group: &GroupId| {
                    theirs.iter().find(|(other, _)| other == group).map(|(_, root)| *root)
                };
                let differs = |group: &&GroupId| own(group) != other(group);
                self.groups.iter().filter(differs).copied().collect()
            }
            (None, false) => self.groups.clone(),
        };
        self.doing = Doing::Listing { ours, state: state_differs };
        vec![Act::Ask(Ask::Collections { view: self.view.clone(), groups: differing })]
    }
}

pub(super) fn too_many_parts() -> String {
    alloc::format!("there are more than {STATE_PARTS_MAX} deletes and fields: delete wider ranges")
}

/// The parts that are wanted.
pub(super) fn wanted(parts: Vec<Part>, want: &[u64]) -> impl Iterator<Item = Part> {
    parts.into_iter().filter(|part| want.contains(&hash_of(part)))
}

/// As many parts as fit a message.
fn fitting(parts: impl Iterator<Item = Part>) -> Vec<Part> {
    let mut bytes = 0;
    parts
        .take_while(|part| {
            bytes += part.1.len() + 8;
            bytes < TURN_BYTES
        })
        .collect()
}
