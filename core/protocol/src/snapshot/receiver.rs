//! The side that receives: file after file, each piece by piece in order, with a bounded number of pieces under way in all. The
//! next file is got ready while one comes, and what is whole is made durable and installed, by groups, meanwhile, so that the
//! link need not wait for disks.

use super::{FileOffer, PieceSum, SUMS_MAX, SnapshotMessage, Transfer};
use crate::ask::{Answer, Ask, Failure, FailureKind};
use crate::progress::time_left;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::{Digest, GroupId, StoreId};

/// Pieces that are asked for and not yet written, at most: they are what a receiver has in memory.
pub(crate) const WINDOW: usize = 4;
/// Files that are received or got ready at once.
const FILES: usize = 2;
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
    /// Files come.
    Receiving,
    Over,
}

/// How far a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Waiting for sums.
    Summing,
    /// The store takes it up.
    Opening,
    /// Its pieces come.
    Open,
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
    /// Those that are not here and not begun, by group.
    queue: VecDeque<FileOffer>,
    /// Those that are, in the same order.
    open: VecDeque<File>,
    /// What the store was asked and has not answered yet, in the order of its answers: it takes files up, takes their pieces, makes
    /// them durable. A file may be given up meanwhile.
    opening: VecDeque<Digest>,
    taking_pieces: VecDeque<Digest>,
    finishing: VecDeque<FileOffer>,
    /// Parts of the state are being taken: files wait for them.
    taking: usize,
    /// Groups that are being installed.
    installing: usize,
    pub(crate) transfer: Transfer,
    told: u64,
    /// When it was known which files are to come.
    began: u64,
    /// When anything was heard, when anything came on, and when anything was said.
    heard: u64,
    active: u64,
    said: u64,
}

/// A file that is being received.
#[derive(Debug)]
struct File {
    offer: FileOffer,
    stage: Stage,
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
            open: VecDeque::new(),
            opening: VecDeque::new(),
            taking_pieces: VecDeque::new(),
            finishing: VecDeque::new(),
            taking: 0,
            installing: 0,
            transfer: Transfer::default(),
            told: 0,
            began: now,
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
            (_, Answer::PartialOpened { pieces }) => self.opened(pieces, now),
            (_, Answer::PieceTaken) => self.taken(now),
            (_, Answer::PartialDone) => self.finished(),
            (_, Answer::Installed { rows, .. }) => {
                self.installing = self.installing.saturating_sub(1);
                self.transfer.rows += rows;
                let mut acts = vec![self.tell()];
                acts.extend(self.done_if_all_is_here());
                acts
            }
            _ => Vec::new(),
        }
    }

    /// Time passed. `limit`: nothing was heard for too long.
    pub(crate) fn tick(&mut self, now: u64, limit: u64) -> Vec<Act> {
        let waits = match self.doing {
            Doing::Asking => true,
            Doing::Receiving => self.open.iter().any(File::waits),
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
        if self.doing == Doing::Asking {
            return vec![Act::Say(SnapshotMessage::Request { held: self.held.clone() })];
        }
        let mut acts = Vec::new();
        for file in &self.open {
            match file.stage {
                Stage::Summing => acts.push(file.want_sums()),
                Stage::Opening => {}
                Stage::Open => {
                    let missing =
                        (file.given..file.asked).filter(|at| !file.early.contains_key(at));
                    acts.extend(missing.map(|piece| file.want(piece)));
                }
            }
        }
        acts
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
        self.doing = Doing::Receiving;
        self.began = self.active;
        let mut acts = vec![self.tell()];
        acts.extend(self.begin_files());
        acts
    }

    /// Goes on with the next files.
    fn begin_files(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        while self.open.len() < FILES
            && let Some(offer) = self.queue.pop_front()
        {
            let mut file = File {
                offer,
                stage: Stage::Summing,
                sums: Vec::new(),
                asked: 0,
                given: 0,
                written: 0,
                early: BTreeMap::new(),
            };
            if offer.pieces() == 1 {
                // It is its own sum.
                file.sums = vec![offer.digest.0];
                acts.push(file.open(self.peer));
                self.opening.push_back(offer.digest);
            } else {
                acts.push(file.want_sums());
            }
            self.open.push_back(file);
        }
        acts.extend(self.done_if_all_is_here());
        acts
    }

    fn file(&mut self, digest: Digest, stage: Stage) -> Option<&mut File> {
        self.open.iter_mut().find(|file| file.offer.digest == digest && file.stage == stage)
    }

    fn summed(&mut self, digest: Digest, from: u64, sums: Vec<PieceSum>, now: u64) -> Vec<Act> {
        let peer = self.peer;
        let Some(file) = self.file(digest, Stage::Summing) else { return Vec::new() };
        let have = file.sums.len() as u64;
        if from != have {
            return Vec::new();
        }
        let left = file.offer.pieces() - have;
        if sums.is_empty() || sums.len() as u64 != left.min(SUMS_MAX as u64) {
            let why = "the sums of a file are not as many as its pieces".to_string();
            return self.fail(FailureKind::Peer, why);
        }
        file.sums.extend(sums);
        let act = if (file.sums.len() as u64) < file.offer.pieces() {
            file.want_sums()
        } else {
            file.open(peer)
        };
        if matches!(act, Act::Ask(_)) {
            self.opening.push_back(digest);
        }
        self.active = now;
        vec![act]
    }

    fn opened(&mut self, pieces: u64, now: u64) -> Vec<Act> {
        let digest = self.opening.pop_front();
        let file = digest.and_then(|digest| self.file(digest, Stage::Opening));
        let Some(file) = file else { return Vec::new() };
        // The store has them now, and a copy is not needed.
        file.sums = Vec::new();
        let pieces = pieces.min(file.offer.pieces());
        (file.asked, file.given, file.written) = (pieces, pieces, pieces);
        file.stage = Stage::Open;
        let bytes = file.offer.bytes_of(pieces);
        self.transfer.bytes += bytes;
        self.go_on(now)
    }

    fn piece(&mut self, digest: Digest, piece: u64, bytes: Vec<u8>, now: u64) -> Vec<Act> {
        self.transfer.received += bytes.len() as u64;
        let peer = self.peer;
        let Some(file) = self.file(digest, Stage::Open) else { return Vec::new() };
        if !(file.given..file.asked).contains(&piece) {
            return Vec::new();
        }
        file.early.insert(piece, bytes);
        let mut acts = Vec::new();
        while let Some(bytes) = file.early.remove(&file.given) {
            let piece = file.given;
            file.given += 1;
            acts.push(Act::Ask(Ask::TakePiece { peer, file: digest, piece, bytes }));
        }
        self.taking_pieces.extend(acts.iter().map(|_| digest));
        self.active = now;
        acts
    }

    fn taken(&mut self, now: u64) -> Vec<Act> {
        let digest = self.taking_pieces.pop_front();
        let file = digest.and_then(|digest| self.file(digest, Stage::Open));
        let Some(file) = file else { return Vec::new() };
        let before = file.offer.bytes_of(file.written);
        file.written += 1;
        let more = file.offer.bytes_of(file.written) - before;
        self.transfer.bytes += more;
        let mut acts = self.go_on(now);
        if self.transfer.bytes >= self.told + TELL_BYTES {
            self.told = self.transfer.bytes;
            acts.push(self.tell());
        }
        acts
    }

    /// Has files that are whole made durable, begins others, and asks for as many pieces as may be under way.
    fn go_on(&mut self, now: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        let is_whole =
            |file: &File| file.stage == Stage::Open && file.written == file.offer.pieces();
        for file in self.open.iter().filter(|file| is_whole(file)) {
            acts.push(Act::Ask(Ask::FinishFile { peer: self.peer, file: file.offer.digest }));
            self.finishing.push_back(file.offer);
        }
        self.open.retain(|file| !is_whole(file));
        acts.extend(self.begin_files());
        let open = || self.open.iter().filter(|file| file.stage == Stage::Open);
        let mut under_way: u64 = open().map(|file| file.asked - file.written).sum();
        for file in self.open.iter_mut().filter(|file| file.stage == Stage::Open) {
            while file.asked < file.offer.pieces() && under_way < WINDOW as u64 {
                acts.push(file.want(file.asked));
                file.asked += 1;
                under_way += 1;
                self.said = now;
            }
        }
        acts
    }

    fn finished(&mut self) -> Vec<Act> {
        let Some(offer) = self.finishing.pop_front() else { return Vec::new() };
        self.transfer.files += 1;
        let group = offer.group;
        let mut acts = vec![self.tell()];
        let left = self.queue.iter().chain(self.open.iter().map(|file| &file.offer));
        let mut left = left.chain(&self.finishing);
        if self.doing == Doing::Receiving && left.all(|file| file.group != group) {
            let of_group = self.files.iter().filter(|file| file.group == group);
            let files = of_group.copied().collect();
            self.installing += 1;
            acts.push(Act::Ask(Ask::Install { peer: self.peer, group, files }));
        }
        acts
    }

    fn done_if_all_is_here(&mut self) -> Vec<Act> {
        let all = self.doing == Doing::Receiving
            && self.queue.is_empty()
            && self.open.is_empty()
            && self.finishing.is_empty()
            && self.installing == 0;
        if all { self.done() } else { Vec::new() }
    }

    /// Files of the offer are not kept any more: what there is now may have the same.
    fn gone(&mut self, now: u64) -> Vec<Act> {
        if self.doing != Doing::Receiving || self.open.is_empty() {
            return Vec::new();
        }
        if self.offers == OFFERS_MAX {
            let why = "the peer does not keep the files that it offers".to_string();
            return self.fail(FailureKind::Later, why);
        }
        self.offers += 1;
        self.active = now;
        self.doing = Doing::Asking;
        self.open.clear();
        self.queue.clear();
        vec![Act::Say(SnapshotMessage::Request { held: self.held.clone() })]
    }

    /// Tells how far it has come. What an attempt before brought says nothing of how fast this one is.
    fn tell(&mut self) -> Act {
        let transfer = &mut self.transfer;
        let left = transfer.bytes_total.saturating_sub(transfer.bytes);
        transfer.millis = self.active.saturating_sub(self.began);
        transfer.millis_left = time_left(transfer.received, left, transfer.millis);
        Act::Tell(*transfer)
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
    /// Has the store take it up.
    fn open(&mut self, peer: StoreId) -> Act {
        self.stage = Stage::Opening;
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
        self.stage == Stage::Summing || self.given < self.asked
    }
}
