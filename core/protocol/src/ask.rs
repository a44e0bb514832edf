//! What the protocol asks of its store, and the answers. Whoever drives it does as asked, in the order asked for each
//! peer, and gives the answer back under the same number.

use crate::compare::{Item, Pace, Step};
use crate::message::Part;
use crate::snapshot::{FileOffer, PieceSum};
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::policy::Side;
use tidelog_model::{Digest, GroupEpoch, GroupId, Horizon, Position, Stamp, StoreId};

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

/// About how much of a log goes into one message: up to the first record with which either is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Portion {
    /// Rows.
    pub rows: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Default for Portion {
    fn default() -> Self {
        Portion { rows: usize::MAX, bytes: 1 << 20 }
    }
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
    /// About what there is of windows that differ, which items name ([`crate::compare::weigh`]).
    Weigh {
        /// The moment.
        view: View,
        /// Suspects.
        items: Vec<Item>,
    },
    /// The comparison is over: what was kept for it can go. Not answered.
    Forget {
        /// With whom.
        peer: StoreId,
        /// Which.
        session: u32,
    },
    /// All parts of the state that the peer may see, up to a horizon as rows are.
    State {
        /// For whom.
        peer: StoreId,
        /// What is looked at.
        horizon: Horizon,
    },
    /// Take parts of the state.
    TakeState {
        /// From whom.
        peer: StoreId,
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
        portion: Portion,
    },
    /// Keep the log from a position on for a peer, within the budget that pins have. Not answered.
    Pin {
        /// For whom.
        peer: StoreId,
        /// From where.
        from: Position,
    },
    /// Keep epochs of groups that are higher than those seen before. Not answered.
    SeeEpochs {
        /// Of these groups.
        epochs: Vec<(GroupId, GroupEpoch)>,
    },
    /// Keep the files for a peer that it lacks of groups, unless they are fewer bytes than `bytes_min`.
    OfferSnapshot {
        /// For whom.
        peer: StoreId,
        /// About how many bytes the peer holds of each group.
        held: Vec<(GroupId, u64)>,
        /// Less is not worth it.
        bytes_min: u64,
    },
    /// The sums of pieces of a file that is kept for a peer.
    PieceSums {
        /// For whom.
        peer: StoreId,
        /// Which file.
        file: Digest,
        /// From this piece on.
        from: u64,
        /// At most so many.
        count: u64,
    },
    /// A piece of a file that is kept for a peer.
    Piece {
        /// For whom.
        peer: StoreId,
        /// Which file.
        file: Digest,
        /// Which piece.
        piece: u64,
    },
    /// Nothing has to be kept for the peer any more. Not answered.
    EndSnapshot {
        /// Which.
        peer: StoreId,
    },
    /// Which of these files are not here? What was received of others can go.
    ChooseFiles {
        /// From whom.
        peer: StoreId,
        /// The files.
        files: Vec<FileOffer>,
    },
    /// Take up a file, where it was left or at its beginning.
    OpenFile {
        /// From whom.
        peer: StoreId,
        /// Which.
        file: FileOffer,
        /// Of its pieces.
        sums: Vec<PieceSum>,
    },
    /// Take a piece of the file that was taken up last: the next one.
    TakePiece {
        /// From whom.
        peer: StoreId,
        /// Of which file.
        file: Digest,
        /// Which.
        piece: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// All pieces of the file are here: make it durable.
    FinishFile {
        /// From whom.
        peer: StoreId,
        /// Which.
        file: Digest,
    },
    /// All files of a group are here: add them, all or none.
    Install {
        /// From whom.
        peer: StoreId,
        /// The group.
        group: GroupId,
        /// Its files.
        files: Vec<FileOffer>,
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
    /// About how many bytes each group holds.
    pub held: Vec<(GroupId, u64)>,
    /// May files be installed? Not in a store that gives up what it has no room for.
    pub takes_files: bool,
    /// Is there anything of files that were not received to their end?
    pub partials: bool,
    /// The highest epochs of groups that were seen, of those that were ever raised.
    pub epochs: Vec<(GroupId, GroupEpoch)>,
    /// Stores that are to stay away, ascending.
    pub forgotten: Vec<StoreId>,
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
    /// To [`Ask::Weigh`], in the same order.
    Weighed(Vec<Side>),
    /// To [`Ask::State`], ascending.
    State(Vec<Part>),
    /// To [`Ask::TakeState`].
    StateTaken {
        /// Collections whose leaves have another width there.
        conflicts: u64,
        /// Parts with stamps too far ahead of the clock here, left out.
        ahead: u64,
        /// What is here in place of parts that were given.
        superseding: Vec<Part>,
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
    /// To [`Ask::OfferSnapshot`].
    Offered(Vec<FileOffer>),
    /// To [`Ask::PieceSums`].
    PieceSums {
        /// Of which file.
        file: Digest,
        /// From this piece on.
        from: u64,
        /// One for each piece.
        sums: Vec<PieceSum>,
    },
    /// To [`Ask::Piece`].
    Piece {
        /// Of which file.
        file: Digest,
        /// Which.
        piece: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// To [`Ask::PieceSums`] and [`Ask::Piece`]: no such file is kept for the peer.
    SnapshotGone,
    /// To [`Ask::ChooseFiles`]: those that are not here.
    Lacking(Vec<Digest>),
    /// To [`Ask::OpenFile`].
    PartialOpened {
        /// So many pieces are here: the first ones.
        pieces: u64,
    },
    /// To [`Ask::TakePiece`].
    PieceTaken,
    /// To [`Ask::FinishFile`].
    PartialDone,
    /// To [`Ask::Install`].
    Installed {
        /// Files that were added.
        files: u64,
        /// Rows in them.
        rows: u64,
    },
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
