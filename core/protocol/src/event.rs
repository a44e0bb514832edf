//! What happens, told to the host as it happens; and how things stand, told when asked.

use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::session::{Outcome, Report};
use crate::snapshot::Transfer;
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::policy::PolicyError;
use tidelog_model::{GroupEpoch, GroupId, Stamp, StoreId};

/// Why a comparison began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// What was written before the peer could be followed has to be found by comparing.
    Startup,
    /// It was time.
    Interval,
    /// The host asked.
    Asked,
    /// The one before did not come to its end.
    Retry,
    /// A peer that comes now and then brought rows that the others lack.
    PassOn,
    /// A file here is damaged, and the peer may have what is lacking.
    Damage,
    /// A policy left something for later, or to this peer; or the peer leaves it to the policy here.
    Policy,
}

/// Something that happened with a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer greeted, and both can speak.
    Connected {
        /// The peer.
        peer: StoreId,
    },
    /// The link is gone.
    Disconnected {
        /// The peer.
        peer: StoreId,
        /// Why.
        why: String,
    },
    /// The peer cannot be a replica of this store as it is.
    Refused {
        /// The peer.
        peer: StoreId,
        /// Why, and what to do.
        refusal: Refusal,
    },
    /// A comparison began.
    Started {
        /// The peer.
        peer: StoreId,
        /// Which.
        session: u32,
        /// Why.
        reason: Reason,
        /// Of these groups.
        groups: Vec<GroupId>,
        /// The epoch of each, in the same order.
        epochs: Vec<GroupEpoch>,
    },
    /// A comparison goes on.
    Progress {
        /// The peer.
        peer: StoreId,
        /// Which.
        session: u32,
        /// What it has done so far.
        report: Report,
    },
    /// A policy was asked about what differs.
    Planned {
        /// The peer.
        peer: StoreId,
        /// In which comparison.
        session: u32,
        /// Its name.
        policy: String,
        /// So many windows differ.
        windows: u32,
        /// So many are repaired now, in one direction at least.
        repaired: u32,
        /// Of so many rollups are borrowed.
        rollups: u32,
        /// So many had waited too long: they are repaired whatever it says.
        overdue: u32,
        /// Why everything is repaired instead.
        fault: Option<PolicyError>,
    },
    /// Files of the peer are being received, before the comparison.
    Receiving {
        /// The peer.
        peer: StoreId,
        /// How far that has come.
        transfer: Transfer,
    },
    /// All files that the peer offered are here.
    Received {
        /// The peer.
        peer: StoreId,
        /// What that came to.
        transfer: Transfer,
    },
    /// A file here is damaged: what could be read of it was kept, and peers are asked for the rest. Until it is here, answers that
    /// need it are refused.
    Damaged {
        /// The file, in the store's directory.
        file: String,
        /// Of which group it has rows.
        group: GroupId,
        /// How many it had.
        rows: u64,
    },
    /// A peer agrees on all that a damaged file held: what it had of it is here again.
    Healed {
        /// The peer.
        peer: StoreId,
        /// The file, which is no part of the store any more.
        file: String,
        /// Of which group.
        group: GroupId,
    },
    /// Files could not be received now. What was is kept, and it goes on from there with the next comparison.
    NotReceived {
        /// The peer.
        peer: StoreId,
        /// Why.
        why: String,
        /// How far it came.
        transfer: Transfer,
    },
    /// A comparison came to its end.
    Completed {
        /// The peer.
        peer: StoreId,
        /// Which.
        session: u32,
        /// To what.
        outcome: Outcome,
        /// What it did.
        report: Report,
    },
    /// A comparison did not come to its end; it is tried again.
    Failed {
        /// The peer.
        peer: StoreId,
        /// Which.
        session: u32,
        /// Why.
        why: String,
        /// What it did.
        report: Report,
    },
    /// What the peer sends cannot be taken now; it is kept and tried again.
    Stalled {
        /// The peer.
        peer: StoreId,
        /// Why.
        why: String,
        /// Its stamps are so many milliseconds further ahead than is allowed.
        clock_ahead: Option<u64>,
    },
    /// What the peer sends is taken again.
    Resumed {
        /// The peer.
        peer: StoreId,
    },
    /// What is needed of the peers is here: the store can serve.
    Ready,
}

/// How things stand with a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PeerState {
    /// There is no link.
    Disconnected,
    /// The peer's log is followed, and nothing more is known to be missing.
    Connected,
    /// What was written before the peer could be followed is being found.
    Syncing,
    /// The peer's log is followed, and there is more of it than was taken.
    Lagging,
    /// A comparison found differences and repairs them.
    Repairing,
    /// The last comparison ended with stores that differ.
    Diverged,
    /// The peer's stamps are too far ahead.
    ClockAhead,
}

/// How things stand with a peer, in figures.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer.
    pub peer: StoreId,
    /// In a word.
    pub state: PeerState,
    /// All of its writes up to this stamp are here.
    pub known: Stamp,
    /// All of this store's writes up to this stamp are there.
    pub known_there: Stamp,
    /// Milliseconds between what is here of its writes and what it has; zero when nobody writes.
    pub lag_millis: u64,
    /// When the last comparison agreed, in milliseconds of the monotonic clock.
    pub agreed_at: Option<u64>,
    /// Comparisons that came to their end, and that did not.
    pub sessions: (u64, u64),
    /// What all of them did, those in which this side answers too.
    pub counts: crate::compare::Counts,
    /// Bytes of messages sent and received.
    pub bytes: (u64, u64),
    /// Messages that were none, or not allowed.
    pub violations: u64,
    /// Why it is not spoken with, or was not the last time.
    pub refusal: Option<Refusal>,
    /// Of the comparison that is under way, where this side asks.
    pub comparing: Option<Progress>,
    /// Of the peer's files that are being received.
    pub receiving: Option<Transfer>,
}
