//! A comparison of two stores: one side asks and says when it is over, the other answers.

mod initiator;
mod planned;
mod responder;

pub(crate) use initiator::{Begin, Initiator};
pub(crate) use planned::{Pending, Window};
pub(crate) use responder::Responder;

use crate::ask::Ask;
use crate::compare::{Counts, Difference, Item, LeftOut};
use crate::message::{Part, Roots, SessionMessage};
use crate::progress::Progress;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::digest::{StateKind, StateRoot};
use tidelog_model::{Digest, GroupId, Horizon};

/// Group roots are said at once when there are so few.
pub(crate) const GROUPS_AT_ONCE: usize = 32;
/// What one side says in a turn: a round trip over a long link carries that much.
pub(crate) const TURN_BYTES: usize = 512 << 10;
/// After so many passes stores that still differ are said to.
pub(crate) const PASSES_MAX: u32 = 3;

/// What a session does next.
#[derive(Debug)]
pub(crate) enum Act {
    /// To the other side.
    Say(SessionMessage),
    /// To the store.
    Ask(Ask),
    /// Wake it then, in milliseconds of the monotonic clock.
    WakeAt(u64),
    /// Begin another pass.
    Again,
    /// Ask the policy about the windows that were weighed.
    Plan,
    /// It is over.
    End(Outcome),
}

/// How a comparison ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Both sides hold the same up to the horizon.
    Agreed,
    /// They do but for what was left out.
    Partial {
        /// How many windows were, and why.
        left_out: BTreeMap<LeftOut, u64>,
    },
    /// They still differ after all that was repaired.
    Diverged,
    /// They differ, and it was only looked where.
    Different,
    /// It did not come to its end.
    Aborted {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// Is everything up to the horizon settled, but for what cannot be held against each other at all?
    pub(crate) fn settles(&self) -> bool {
        match self {
            Outcome::Agreed => true,
            Outcome::Partial { left_out } => {
                let open = [LeftOut::ClockAhead, LeftOut::NotAsked, LeftOut::Policy];
                !open.iter().any(|why| left_out.contains_key(why))
            }
            Outcome::Diverged | Outcome::Different | Outcome::Aborted { .. } => false,
        }
    }
}

/// What a comparison has done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Digests, leaves and rows, on this side.
    pub counts: Counts,
    /// Turns of the side that asks, beside opening and closing.
    pub turns: u32,
    /// Windows that a policy was asked about.
    pub planned: u64,
    /// Leaves that differed at the first look and not at the second.
    pub false_mismatches: u64,
    /// Bytes of messages sent.
    pub sent: u64,
    /// Bytes of messages received.
    pub received: u64,
    /// The root over all shared groups at its end.
    pub root: Option<Digest>,
    /// Where they differ, when that is only looked at; the first 10,000.
    pub differences: Vec<Difference>,
    /// Deletes, schemas, options or cuts differ, when that is only looked at.
    pub state_differs: bool,
    /// The groups that it is about.
    pub groups: Vec<GroupId>,
    /// Up to where it covers what there is; known at its end.
    pub horizon: Horizon,
    /// Windows that were looked at, of those that are known to be looked at; a series of a window counts as one, a whole
    /// day as its hours.
    pub windows: Progress,
    /// Milliseconds it took.
    pub millis: u64,
}

/// What a summary says, as it is sent.
pub(crate) fn roots(
    store: Option<Digest>,
    groups: &[(GroupId, Digest)],
    state: Digest,
    shared: usize,
) -> Roots {
    let short = |(group, root): &(GroupId, Digest)| (*group, short(root));
    let groups = (shared <= GROUPS_AT_ONCE).then(|| groups.iter().map(short).collect());
    Roots { store, state: Some(state), groups }
}

pub(crate) fn short(digest: &Digest) -> u64 {
    u64::from_le_bytes(digest.0.first_chunk().copied().unwrap_or_default())
}

/// Names a part among others.
pub(crate) fn hash_of(part: &Part) -> u64 {
    let mut root = StateRoot::new(None);
    let kind = StateKind::from_number(part.0).unwrap_or(StateKind::Cut);
    root.push(kind, &part.1);
    short(&root.finish())
}

/// Cuts items into the first that fit a message and the rest.
pub(crate) fn cut(items: Vec<Item>, bytes_max: usize) -> (Vec<Item>, Vec<Item>) {
    let mut bytes = 0;
    let mut first = items;
    let fits = first
        .iter()
        .take_while(|item| {
            bytes += item.bytes();
            bytes <= bytes_max
        })
        .count();
    let rest = first.split_off(fits.max(1).min(first.len()));
    (first, rest)
}
