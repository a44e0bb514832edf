//! The side that receives: one file after the other, piece by piece in order, with a bounded number of pieces under way;
//! the files of a group are installed when all of them are here, while those of the next come.

use super::{FileOffer, PieceSum, SUMS_MAX, SnapshotMessage, Transfer};
use crate::ask::{Answer, Ask, Failure, FailureKind};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::{Digest, GroupId, StoreId};

/// Pieces that are asked for and not yet written, at most: they are what a receiver has in memory.
pub(crate) const WINDOW: usize = 4;
/// What was asked for is asked for again when nothing came for so long: on a stream nothing is lost, elsewhere it may be.
const AGAIN: u64 = 5_000;
/// The giver is told so often that the receiver is busy.
const ALIVE: u64 = 5_000;
/// An offer is asked for anew so often when files of it are gone.
const OFFERS_MAX: u32 = 4;
/// Progress is told of after so many bytes.
const TELL_BYTES: u64 = 8 << 20;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Act {
    /// To the giver.
    Say(SnapshotMessage),
    /// To the store.
    Ask(Ask),
    /// Tell the host.
    Tell(Transfer),
    /// It is over.
    End(End),
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// What was offered, if anything, is here.
    Done,
    /// It is not. What was received is kept.
    Failed(Failure),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    /// Waiting for an offer.
    Asking,
    /// The store says which of the files are here.
    Choosing,
    /// Waiting for sums.
    Summing,
    /// The store takes the file up.
    Opening,
    Receiving,
    /// The store makes the file durable.
    Finishing,
    /// All files are here; those of some groups are still being installed.
    Installing,
    Over,
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Receiver {
    peer: StoreId,
    shared: Vec<GroupId>,
    held: Vec<(GroupId, u64)>,
    doing: Doing,
    offers: u32,
    files: Vec<FileOffer>,
    /// Those that are not here, by group.
    queue: VecDeque<FileOffer>,
    file: Option<File>,
    /// Parts of the state are being taken: files wait for them.
    taking: usize,
    /// Groups that are being installed.
    installing: usize,
    pub(crate) transfer: Transfer,
    told: u64,
    /// When anything was heard, when anything came on, and when anything was said.
    heard: u64,
    active: u64,
    said: u64,
}

/// The file that is being received.
#[derive(Debug)]
struct File {
    offer: FileOffer,
    sums: Vec<PieceSum>,
    /// Pieces that were asked for are those before this one ...
    asked: u64,
    /// ... given to the store before this one ...
    given: u64,
    /// ... and written before this one.
    written: u64,
    /// Those that came before the one in front of them.
    early: BTreeMap<u64, Vec<u8>>,
}

impl Receiver {
    pub(crate) fn new(
        peer: StoreId,
        shared: Vec<GroupId>,
        held: Vec<(GroupId, u64)>,
        now: u64,
    ) -> (Self, Vec<Act>) {
        let request = SnapshotMessage::Request { held: held.clone() };
        let receiver = Receiver {
            peer,
            shared,
            held,
            doing: Doing::Asking,
            offers: 1,
            files: Vec::new(),
            queue: VecDeque::new(),
            file: None,
            taking: 0,
            installing: 0,
            transfer: Transfer::default(),
            told: 0,
            heard: now,
            active: now,
            said: now,
        };
        (receiver, vec![Act::Say(request)])
    }

    /// Something was said.
    pub(crate) fn hear(&mut self, message: SnapshotMessage, now: u64) -> Vec<Act> {
        self.heard = now;
        match message {
            SnapshotMessage::State { parts } if self.doing == Doing::Asking => {
                self.active = now;
                self.taking += 1;
                vec![Act::Ask(Ask::TakeState { peer: self.peer, parts })]
            }
            SnapshotMessage::Offer { files } if self.doing == Doing::Asking => {
                self.active = now;
                self.offered(files)
            }
            SnapshotMessage::Sums { file, from, sums } => self.summed(file, from, sums, now),
            SnapshotMessage::Piece { file, piece, bytes } => self.piece(file, piece, bytes, now),
            SnapshotMessage::Gone => self.gone(now),
            SnapshotMessage::Abort(text) => self.fail(FailureKind::Later, text),
            // Said twice, or of the other side.
            _ => Vec::new(),
        }
    }

    /// The store answered.
    pub(crate) fn answered(&mut self, answer: Answer, now: u64) -> Vec<Act> {
        self.active = now;
        // The store may have been busy for long: only from here on is anything due.
        self.heard = now;
        match (self.doing, answer) {
            (Doing::Over, _) => Vec::new(),
            (_, Answer::Failed(Failure { kind, text })) => self.fail(kind, text),
            (_, Answer::StateTaken { .. }) => {
                self.taking = self.taking.saturating_sub(1);
                if self.doing == Doing::Choosing && self.taking == 0 {
                    self.choose()
                } else {
                    Vec::new()
                }
            }
            (Doing::Choosing, Answer::Lacking(lacking)) => self.chosen(&lacking),
            (Doing::Opening, Answer::PartialOpened { pieces }) => self.opened(pieces, now),
            (Doing::Receiving, Answer::PieceTaken) => self.taken(now),
            (Doing::Finishing, Answer::PartialDone) => self.finished(now),
            (_, Answer::Installed { rows, .. }) => {
                self.installing = self.installing.saturating_sub(1);
                self.transfer.rows += rows;
                let mut acts = vec![Act::Tell(self.transfer)];
                if self.doing == Doing::Installing && self.installing == 0 {
                    acts.extend(self.done());
                }
                acts
            }
            _ => Vec::new(),
        }
    }

    /// Time passed. `limit`: nothing was heard for too long.
    pub(crate) fn tick(&mut self, now: u64, limit: u64) -> Vec<Act> {
        let waits = match self.doing {
            Doing::Asking | Doing::Summing => true,
            Doing::Receiving => self.file.as_ref().is_some_and(File::waits),
            _ => false,
        };
        if waits && now.saturating_sub(self.heard) > limit {
            let why = "nothing was heard of the peer for too long".to_string();
            return self.fail(FailureKind::Later, why);
        }
        let mut acts = Vec::new();
        if waits && now.saturating_sub(self.active) >= AGAIN {
            self.active = now;
            acts = self.say_again();
        }
        if self.doing != Doing::Over && acts.is_empty() && now.saturating_sub(self.said) >= ALIVE {
            acts.push(Act::Say(SnapshotMessage::Alive));
        }
        if acts.iter().any(|act| matches!(act, Act::Say(_))) {
            self.said = now;
        }
        acts
    }

    fn say_again(&self) -> Vec<Act> {
        match (self.doing, &self.file) {
            (Doing::Asking, _) => {
                vec![Act::Say(SnapshotMessage::Request { held: self.held.clone() })]
            }
            (Doing::Summing, Some(file)) => vec![file.want_sums()],
            (Doing::Receiving, Some(file)) => {
                let missing = (file.given..file.asked).filter(|at| !file.early.contains_key(at));
                missing.map(|piece| file.want(piece)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn offered(&mut self, files: Vec<FileOffer>) -> Vec<Act> {
        let strange = files.iter().any(|file| !self.shared.contains(&file.group));
        let digests: BTreeSet<Digest> = files.iter().map(|file| file.digest).collect();
        if strange || digests.len() < files.len() {
            let why = "the peer offers files that were not asked for, or one twice".to_string();
            return self.fail(FailureKind::Peer, why);
        }
        if files.is_empty() {
            return self.done();
        }
        self.files = files;
        self.doing = Doing::Choosing;
        if self.taking == 0 { self.choose() } else { Vec::new() }
    }

    fn choose(&self) -> Vec<Act> {
        vec![Act::Ask(Ask::ChooseFiles { peer: self.peer, files: self.files.clone() })]
    }

    fn chosen(&mut self, lacking: &[Digest]) -> Vec<Act> {
        let lacks = |file: &&FileOffer| lacking.contains(&file.digest);
        self.queue = self.files.iter().filter(lacks).copied().collect();
        let total: u64 = self.files.iter().map(|file| file.len).sum();
        let left: u64 = self.queue.iter().map(|file| file.len).sum();
        self.transfer.bytes_total = total;
        self.transfer.bytes = total - left;
        self.transfer.files_total = self.files.len() as u64;
        self.transfer.files = (self.files.len() - self.queue.len()) as u64;
        let mut acts = vec![Act::Tell(self.transfer)];
        acts.extend(self.next());
        acts
    }

    /// Goes on with the next file.
    fn next(&mut self) -> Vec<Act> {
        let Some(offer) = self.queue.pop_front() else {
            self.file = None;
            self.doing = Doing::Installing;
            return if self.installing == 0 { self.done() } else { Vec::new() };
        };
        let sums = if offer.pieces() == 1 { vec![offer.digest.0] } else { Vec::new() };
        let file = File { offer, sums, asked: 0, given: 0, written: 0, early: BTreeMap::new() };
        let known = !file.sums.is_empty();
        let (open, want) = (file.open(self.peer), file.want_sums());
        self.file = Some(file);
        self.doing = if known { Doing::Opening } else { Doing::Summing };
        vec![if known { open } else { want }]
    }

    fn summed(&mut self, digest: Digest, from: u64, sums: Vec<PieceSum>, now: u64) -> Vec<Act> {
        let Some(file) = self.file.as_mut().filter(|file| file.offer.digest == digest) else {
            return Vec::new();
        };
        let have = file.sums.len() as u64;
        if self.doing != Doing::Summing || from != have {
            return Vec::new();
        }
        self.active = now;
        let left = file.offer.pieces() - have;
        if sums.is_empty() || sums.len() as u64 != left.min(SUMS_MAX as u64) {
            let why = "the sums of a file are not as many as its pieces".to_string();
            return self.fail(FailureKind::Peer, why);
        }
        file.sums.extend(sums);
        if (file.sums.len() as u64) < file.offer.pieces() {
            return vec![file.want_sums()];
        }
        self.doing = Doing::Opening;
        vec![file.open(self.peer)]
    }

    fn opened(&mut self, pieces: u64, now: u64) -> Vec<Act> {
        let Some(file) = self.file.as_mut() else { return Vec::new() };
        // The store has them now, and a copy is not needed.
        file.sums = Vec::new();
        let pieces = pieces.min(file.offer.pieces());
        (file.asked, file.given, file.written) = (pieces, pieces, pieces);
        self.transfer.bytes += file.offer.bytes_of(pieces);
        self.doing = Doing::Receiving;
        self.go_on(now)
    }

    fn piece(&mut self, digest: Digest, piece: u64, bytes: Vec<u8>, now: u64) -> Vec<Act> {
        self.transfer.received += bytes.len() as u64;
        let Some(file) = self.file.as_mut().filter(|file| file.offer.digest == digest) else {
            return Vec::new();
        };
        if self.doing != Doing::Receiving || !(file.given..file.asked).contains(&piece) {
            return Vec::new();
        }
        self.active = now;
        file.early.insert(piece, bytes);
        let mut acts = Vec::new();
        while let Some(bytes) = file.early.remove(&file.given) {
            let (peer, piece) = (self.peer, file.given);
            file.given += 1;
            acts.push(Act::Ask(Ask::TakePiece { peer, file: digest, piece, bytes }));
        }
        acts
    }

    fn taken(&mut self, now: u64) -> Vec<Act> {
        let Some(file) = self.file.as_mut() else { return Vec::new() };
        let before = file.offer.bytes_of(file.written);
        file.written += 1;
        self.transfer.bytes += file.offer.bytes_of(file.written) - before;
        let mut acts = self.go_on(now);
        if self.transfer.bytes >= self.told + TELL_BYTES {
            self.told = self.transfer.bytes;
            acts.push(Act::Tell(self.transfer));
        }
        acts
    }

    /// Asks for as many pieces as may be under way.
    fn go_on(&mut self, now: u64) -> Vec<Act> {
        let Some(file) = self.file.as_mut() else { return Vec::new() };
        if file.written == file.offer.pieces() {
            self.doing = Doing::Finishing;
            return vec![Act::Ask(Ask::FinishFile { peer: self.peer, file: file.offer.digest })];
        }
        let mut acts = Vec::new();
        while file.asked < file.offer.pieces() && file.asked - file.written < WINDOW as u64 {
            acts.push(file.want(file.asked));
            file.asked += 1;
        }
        if !acts.is_empty() {
            self.said = now;
        }
        acts
    }

    fn finished(&mut self, now: u64) -> Vec<Act> {
        let Some(file) = self.file.take() else { return Vec::new() };
        self.transfer.files += 1;
        let group = file.offer.group;
        let mut acts = vec![Act::Tell(self.transfer)];
        if self.queue.front().is_none_or(|next| next.group != group) {
            let of_group = self.files.iter().filter(|file| file.group == group);
            let files = of_group.copied().collect();
            self.installing += 1;
            acts.push(Act::Ask(Ask::Install { peer: self.peer, group, files }));
        }
        self.active = now;
        acts.extend(self.next());
        acts
    }

    /// Files of the offer are not kept any more: what there is now may have the same.
    fn gone(&mut self, now: u64) -> Vec<Act> {
        if !matches!(self.doing, Doing::Summing | Doing::Receiving) {
            return Vec::new();
        }
        if self.offers == OFFERS_MAX {
            let why = "the peer does not keep the files that it offers".to_string();
            return self.fail(FailureKind::Later, why);
        }
        self.offers += 1;
        self.active = now;
        (self.file, self.doing) = (None, Doing::Asking);
        self.queue.clear();
        vec![Act::Say(SnapshotMessage::Request { held: self.held.clone() })]
    }

    fn done(&mut self) -> Vec<Act> {
        self.doing = Doing::Over;
        vec![Act::Say(SnapshotMessage::Done), Act::End(End::Done)]
    }

    fn fail(&mut self, kind: FailureKind, text: String) -> Vec<Act> {
        if self.doing == Doing::Over {
            return Vec::new();
        }
        self.doing = Doing::Over;
        vec![Act::End(End::Failed(Failure { kind, text }))]
    }
}

impl File {
    fn open(&self, peer: StoreId) -> Act {
        Act::Ask(Ask::OpenFile { peer, file: self.offer, sums: self.sums.clone() })
    }

    fn want_sums(&self) -> Act {
        let (file, from) = (self.offer.digest, self.sums.len() as u64);
        Act::Say(SnapshotMessage::WantSums { file, from })
    }

    fn want(&self, piece: u64) -> Act {
        Act::Say(SnapshotMessage::Want { file: self.offer.digest, piece })
    }

    /// Is anything asked for that did not come?
    fn waits(&self) -> bool {
        self.given < self.asked
    }
}
