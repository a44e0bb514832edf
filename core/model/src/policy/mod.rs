//! Repair policies: what one is told of a difference between two stores, and what it may decide.
//!
//! A policy decides which windows are repaired now, in which direction and from whom. It never decides which value
//! wins, and it touches no data: [`check()`] holds each plan against its round, and what has waited for too long is
//! repaired whatever a policy says. So a policy can make repair slower or cheaper, never wrong and never absent.
//!
//! A plan follows from its [`Round`] alone: clock and budget are in it. That is why rounds can be recorded and planned
//! again, by the same policy or another one.

mod built_in;
mod check;
mod health;
mod metered;
mod record;

pub use built_in::{Complete, NewestFirst, PreferPeer};
pub use check::{Checked, PlanError, check};
pub use health::{FAULTS_MAX, FAULTS_WITHIN, Health};
pub use metered::{Metered, RawHours};
pub use record::{Recorded, decode_plan, encode_plan};

use crate::{CollectionName, GroupId, StoreId, TimeRange};
use alloc::string::String;
use alloc::vec::Vec;

/// A round is about so many windows at most; more of them take more rounds.
pub const WINDOWS_MAX: usize = 1_000;
/// A round names so many peers at most.
pub const PEERS_MAX: usize = 64;

/// What a policy is told, once for each plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Round {
    /// The wall clock: milliseconds since the Unix epoch.
    pub now: u64,
    /// With whom this comparison is: an index into `peers`.
    pub peer: u32,
    /// Bytes that repairs may still send and receive until the budget is filled up again; `u64::MAX`: there is no bound.
    pub budget: u64,
    /// A window that has differed for so many milliseconds is repaired whatever the plan says.
    pub max_deferral: u64,
    /// The peers that this store is linked with or waits for.
    pub peers: Vec<PeerFacts>,
    /// The windows that differ, [`WINDOWS_MAX`] at most, ascending by group, collection and time.
    pub windows: Vec<Divergence>,
}

/// What is known of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerFacts {
    /// Which store it is.
    pub store: StoreId,
    /// Can it be reached now?
    pub up: bool,
    /// What its link costs, as the topology says.
    pub cost: Cost,
    /// The round-trip time of its link in microseconds; 0: not known.
    pub rtt: u32,
    /// Milliseconds since this store last had all that the peer had written.
    pub lag: u64,
    /// Milliseconds since both last agreed; `u64::MAX`: not since the start.
    pub agreed: u64,
}

/// What it costs to send over a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum Cost {
    /// Bytes cost nothing.
    #[default]
    Free = 0,
    /// Each byte is paid for: a mobile network, a satellite.
    Metered = 1,
}

impl Cost {
    /// The cost class of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Cost::Free, Cost::Metered].into_iter().find(|cost| *cost as u8 == number)
    }
}

/// What a side has in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Side {
    /// Rows that can be seen.
    pub rows: u64,
    /// About how many bytes they are, before they are encoded.
    pub bytes: u64,
}

/// A window in which two stores differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// The group.
    pub group: GroupId,
    /// The collection.
    pub collection: CollectionName,
    /// Whole leaf windows, in nanoseconds since the Unix epoch: one, or some in a row of which one side has nothing.
    pub range: TimeRange,
    /// So many devices differ in it; 0: it is not known how many.
    pub devices: u32,
    /// What is here.
    pub ours: Side,
    /// What the peer has.
    pub theirs: Side,
    /// Milliseconds since it was first seen to differ.
    pub age: u64,
    /// Rollups of the peer were borrowed for it.
    pub borrowed: bool,
}

/// What is done about a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Rows that the peer has and this store lacks come.
    Pull,
    /// Rows that this store has and the peer lacks go.
    Push,
    /// Both.
    Both,
    /// The peer's rollups by hour come and answer queries until the rows do.
    Rollups,
    /// Nothing before this time, in milliseconds since the Unix epoch.
    Defer(u64),
    /// Nothing until the next comparison.
    Skip,
}

/// One decision. The order of steps is the order of repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// An index into the windows of the round.
    pub window: u32,
    /// What is done about it.
    pub action: Action,
    /// From whom, or to whom: an index into the peers of the round. Another one than the comparison is with: it is left
    /// to a comparison with that one, which begins soon.
    pub peer: u32,
}

/// Decides how differences are repaired.
///
/// It is called from one thread at a time, with no lock held, and not on the way of writes or queries. It may block
/// only until the deadline it was registered with; what comes later is not used.
pub trait RepairPolicy: Send {
    /// A short name, for events and status.
    fn name(&self) -> &str;

    /// Plans a round. Windows that no step names are skipped.
    ///
    /// # Errors
    /// When it has no plan: the round is repaired completely, and the policy is asked again later.
    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError>;
}

/// Why a policy gave no plan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind}: {text}")]
pub struct PolicyError {
    /// What went wrong.
    pub kind: PolicyErrorKind,
    /// In words.
    pub text: String,
}

impl PolicyError {
    /// An error of a kind.
    #[must_use]
    pub fn new(kind: PolicyErrorKind, text: impl Into<String>) -> Self {
        PolicyError { kind, text: text.into() }
    }
}

/// What went wrong with a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum PolicyErrorKind {
    /// It cannot plan such a round, and says so.
    #[error("the policy does not support this round")]
    Unsupported = 1,
    /// It finds the round invalid, and says so.
    #[error("the policy finds the round invalid")]
    InvalidInput = 2,
    /// It failed, and says so.
    #[error("the policy failed")]
    Internal = 3,
    /// Its code ended abnormally.
    #[error("the policy trapped")]
    Trap = 4,
    /// It had not answered when its time was over.
    #[error("the policy ran over its deadline")]
    Deadline = 5,
    /// It wanted more memory, or said more, than it may.
    #[error("the policy went over a limit")]
    Limit = 6,
    /// Its plan does not fit the round.
    #[error("the plan is not valid")]
    Plan = 7,
}

#[cfg(test)]
mod tests;
