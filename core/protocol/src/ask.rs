//! What the protocol asks of its store, and the answers. Whoever drives it does as asked, in the order asked for each
//! peer, and gives the answer back under the same number.

use crate::compare::{Item, Pace, Step};
use crate::message::Part;
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::{Digest, GroupId, Horizon, Position, Stamp, StoreId};

/// A number that an answer is given back under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AskId(pub u64);

/// A moment of the store, for as long as a comparison looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// With whom it is compared.
    pub peer: StoreId,
    /// In which comparison.
    pub session: u32,
    /// When it goes up, the moment is another one: what was kept of the one before is forgotten.
    pub epoch: u32,
    /// What is looked at.
    pub horizon: Horizon,
    /// For prints.
    pub salt: u64,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// How far the store's own writes have come.
    Closed,
    /// The content roots of groups.
    Summary {
        /// The moment.
        view: View,
        /// The groups.
        groups: Vec<GroupId>,
    },
    /// What groups hold, as items.
    Collections {
        /// The moment.
        view: View,
        /// The groups.
        groups: Vec<GroupId>,
    },
    /// A step of a comparison ([`crate::compare::step`]).
    Step {
        /// The moment.
        view: View,
        /// How it goes about it.
        pace: Pace,
        /// What was said.
        items: Vec<Item>,
    },
    /// The comparison is over: what was kept for it can go. Not answered.
    Forget {
        /// With whom.
        peer: StoreId,
        /// Which.
        session: u32,
    },
    /// All parts of the state that the peer may see, up to the horizon as rows are.
    State {
        /// The moment.
        view: View,
    },
    /// Take parts of the state.
    TakeState {
        /// The moment; of it, from whom.
        view: View,
        /// Parts.
        parts: Vec<Part>,
    },
    /// Take what a peer wrote to its log: durable when it is answered, rows, deletes and cursor in one.
    Apply {
        /// From whom.
        peer: StoreId,
        /// All that the peer wrote before the position is here then.
        cursor: Option<(StoreId, Position)>,
        /// Deletes.
        tombstones: Vec<Vec<u8>>,
        /// `BatchV1` archives.
        batches: Vec<Vec<u8>>,
    },
    /// Read the store's own log.
    Tail {
        /// For whom: a place in the log is kept for each.
        peer: StoreId,
        /// From where.
        from: Position,
        /// Only of these groups.
        groups: Vec<GroupId>,
        /// About so much.
        bytes_max: usize,
    },
    /// Keep the log from a position on for a peer, within the budget that pins have. Not answered.
    Pin {
        /// For whom.
        peer: StoreId,
        /// From where.
        from: Position,
    },
}

/// How far the store's own writes have come, and how far it follows others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// None with a stamp up to this one is still to come.
    pub stamp: Stamp,
    /// All of those stand in the log before this.
    pub position: Position,
    /// All that stands in the log before this can be seen.
    pub visible: Position,
    /// The latest stamp that was drawn.
    pub latest: Stamp,
    /// By store: all that it wrote to its log before this is here.
    pub cursors: Vec<(StoreId, Position)>,
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Ask::Closed`].
    Closed(Closed),
    /// To [`Ask::Summary`]: the groups that hold anything, and the root over them.
    Summary {
        /// Over all.
        store: Option<Digest>,
        /// Of each.
        groups: Vec<(GroupId, Digest)>,
        /// Over deletes, schemas, options and cuts.
        state: Digest,
    },
    /// To [`Ask::Collections`].
    Collections(Vec<Item>),
    /// To [`Ask::Step`].
    Stepped(Step),
    /// To [`Ask::State`], ascending.
    State(Vec<Part>),
    /// To [`Ask::TakeState`].
    StateTaken {
        /// Collections whose leaves have another width there.
        conflicts: u64,
        /// Parts with stamps too far ahead of the clock here, left out.
        ahead: u64,
    },
    /// To [`Ask::Apply`].
    Applied {
        /// Rows that were taken.
        rows: u64,
    },
    /// To [`Ask::Tail`].
    Tail {
        /// Where the next begins.
        next: Position,
        /// Deletes.
        tombstones: Vec<Vec<u8>>,
        /// `BatchV1` archives.
        batches: Vec<Vec<u8>>,
        /// Is this all there is?
        at_end: bool,
    },
    /// To [`Ask::Tail`]: the log does not reach back so far.
    TailGone,
    /// The store could not do it.
    Failed(Failure),
}

/// Why the store could not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// In words.
    pub text: String,
}

/// What can be done about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// The same may succeed later: space or memory was short, a file could not be read.
    Later,
    /// The stamps are so many milliseconds further ahead than is allowed.
    ClockAhead(u64),
    /// What the peer sent is none that a store sends.
    Peer,
    /// The store must be opened again.
    Store,
}
