//! Both sides against each other, over a channel that delays, and stores that are lists of files.

use super::receiver::WINDOW;
use super::{Act, End, FileOffer, Giver, PIECE_BYTES, Receiver, SnapshotMessage, Turn, lacks};
use crate::ask::{Answer, Ask, FailureKind};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::{Digest, GroupId, StoreId};

const PEER: StoreId = StoreId([1; 16]);
const GROUPS: [GroupId; 2] = [GroupId(0), GroupId(1)];

fn file(number: u8, group: u32, len: u64) -> FileOffer {
    FileOffer { group: GroupId(group), len, digest: Digest([number; 32]) }
}

/// What stands at a place of a file.
fn piece_of(file: Digest, piece: u64) -> Vec<u8> {
    vec![file.0[0], piece as u8]
}

/// A giver and a receiver, with what their stores hold.
struct Pair {
    giver: Giver,
    receiver: Receiver,
    offer: Vec<FileOffer>,
    /// Pieces that are here, by file.
    here: BTreeMap<Digest, u64>,
    installed: Vec<(GroupId, usize)>,
    to_giver: VecDeque<SnapshotMessage>,
    to_receiver: VecDeque<SnapshotMessage>,
    /// Pieces asked for and not written, at most.
    under_way: u64,
    under_way_max: u64,
    wanted: u64,
    states: u64,
    end: Option<End>,
    now: u64,
}

impl Pair {
    fn new(offer: Vec<FileOffer>) -> Self {
        let held = GROUPS.map(|group| (group, 0)).to_vec();
        let (receiver, acts) = Receiver::new(PEER, GROUPS.to_vec(), held, 0);
        let mut pair = Pair {
            giver: Giver::new(StoreId([2; 16]), 1, 0),
            receiver,
            offer,
            here: BTreeMap::new(),
            installed: Vec::new(),
            to_giver: VecDeque::new(),
            to_receiver: VecDeque::new(),
            under_way: 0,
            under_way_max: 0,
            wanted: 0,
            states: 0,
            end: None,
            now: 0,
        };
        pair.act(acts);
        pair
    }

    fn act(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(message) => {
                    if matches!(message, SnapshotMessage::Want { .. }) {
                        self.wanted += 1;
                        self.under_way += 1;
                        self.under_way_max = self.under_way_max.max(self.under_way);
                    }
                    self.to_giver.push_back(message);
                }
                Act::Ask(ask) => {
                    let answer = self.store(ask);
                    let acts = self.receiver.answered(answer, self.now);
                    self.act(acts);
                }
                Act::Tell(_) => {}
                Act::End(end) => self.end = Some(end),
            }
        }
    }

    /// The store of the receiver.
    fn store(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::TakeState { .. } => {
                self.states += 1;
                Answer::StateTaken { conflicts: 0, ahead: 0, superseding: Vec::new() }
            }
            Ask::ChooseFiles { files, .. } => {
                Answer::Lacking(files.iter().map(|file| file.digest).collect())
            }
            Ask::OpenFile { file, sums, .. } => {
                assert_eq!(sums.len() as u64, file.pieces());
                Answer::PartialOpened { pieces: *self.here.entry(file.digest).or_default() }
            }
            Ask::TakePiece { file, piece, bytes, .. } => {
                self.under_way = self.under_way.saturating_sub(1);
                let here = self.here.entry(file).or_default();
                assert_eq!((*here, bytes), (piece, piece_of(file, piece)));
                *here += 1;
                Answer::PieceTaken
            }
            Ask::FinishFile { file, .. } => {
                let whole = self.offer.iter().find(|one| one.digest == file).unwrap().pieces();
                assert_eq!(self.here[&file], whole);
                Answer::PartialDone
            }
            Ask::Install { group, files, .. } => {
                self.installed.push((group, files.len()));
                Answer::Installed { files: files.len() as u64, rows: 10 }
            }
            other => panic!("{other:?} is not for a receiver"),
        }
    }

    /// The store of the giver.
    fn give(&mut self, turns: Vec<Turn>) {
        for turn in turns {
            match turn {
                Turn::Say(message) => self.to_receiver.push_back(message),
                Turn::Ask(ask) => {
                    let answer = match ask {
                        Ask::State { .. } => Answer::State(vec![(1, vec![3; 300_000]); 4]),
                        Ask::OfferSnapshot { held, .. } => {
                            assert_eq!(held, [(GroupId(0), 0), (GroupId(1), 0)]);
                            Answer::Offered(self.offer.clone())
                        }
                        Ask::PieceSums { file, from, count, .. } => {
                            let offer = self.offer.iter().find(|one| one.digest == file);
                            let Some(offer) = offer else {
                                return self.answer(Answer::SnapshotGone);
                            };
                            let sums = (from..offer.pieces()).take(count as usize).map(|_| [0; 32]);
                            Answer::PieceSums { file, from, sums: sums.collect() }
                        }
                        Ask::Piece { file, piece, .. } => {
                            Answer::Piece { file, piece, bytes: piece_of(file, piece) }
                        }
                        other => panic!("{other:?} is not for a giver"),
                    };
                    self.answer(answer);
                }
                Turn::LetGo | Turn::End => {}
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        let turns = self.giver.answered(answer, self.now);
        self.give(turns);
    }

    /// One message of each side; `false` when none is left.
    fn step(&mut self) -> bool {
        let (to_giver, to_receiver) = (self.to_giver.pop_front(), self.to_receiver.pop_front());
        let some = to_giver.is_some() || to_receiver.is_some();
        if let Some(message) = to_giver {
            let turns = self.giver.hear(message, &GROUPS, self.now);
            self.give(turns);
        }
        if let Some(message) = to_receiver {
            let acts = self.receiver.hear(message, self.now);
            self.act(acts);
        }
        some
    }

    fn run(&mut self) {
        while self.step() {}
    }
}

#[test]
fn every_piece_comes_once_and_few_are_under_way() {
    let offer =
        vec![file(1, 0, 20 * PIECE_BYTES + 5), file(2, 0, 7), file(3, 1, 3000 * PIECE_BYTES)];
    let mut pair = Pair::new(offer);
    pair.run();
    assert_eq!(pair.end, Some(End::Done));
    assert_eq!(pair.installed, [(GroupId(0), 2), (GroupId(1), 1)]);
    assert_eq!(pair.wanted, 21 + 1 + 3000);
    assert_eq!(pair.under_way_max, WINDOW as u64);
    assert_eq!(pair.states, 4, "the state came first, in messages that fit");
    let transfer = pair.receiver.transfer;
    assert_eq!((transfer.files, transfer.files_total, transfer.rows), (3, 3, 20));
    assert_eq!(
        (transfer.bytes, transfer.bytes_total),
        (3020 * PIECE_BYTES + 12, 3020 * PIECE_BYTES + 12)
    );
}

#[test]
fn what_is_here_of_a_file_is_not_asked_for() {
    let one = file(1, 0, 20 * PIECE_BYTES);
    let mut pair = Pair::new(vec![one]);
    pair.here.insert(one.digest, 17);
    pair.run();
    assert_eq!((pair.end.clone(), pair.wanted), (Some(End::Done), 3));
    let mut pair = Pair::new(vec![one]);
    pair.here.insert(one.digest, 20);
    pair.run();
    assert_eq!((pair.end.clone(), pair.wanted, pair.installed.len()), (Some(End::Done), 0, 1));
}

#[test]
fn what_is_lost_is_asked_for_again_and_what_is_early_waits() {
    let mut pair = Pair::new(vec![file(1, 0, 40 * PIECE_BYTES)]);
    let mut steps = 0u32;
    while pair.end.is_none() {
        steps += 1;
        assert!(steps < 10_000);
        if steps.is_multiple_of(3) {
            // The last goes first.
            pair.to_receiver.rotate_right(1.min(pair.to_receiver.len()));
        }
        if steps.is_multiple_of(7) {
            pair.to_receiver.pop_front();
        }
        if !pair.step() {
            pair.now += 5_001;
            let acts = pair.receiver.tick(pair.now, 1 << 40);
            pair.act(acts);
        }
    }
    assert_eq!(pair.end, Some(End::Done));
}

#[test]
fn a_giver_that_is_silent_is_given_up_and_one_that_is_busy_is_told_to_wait() {
    let mut pair = Pair::new(vec![file(1, 0, 9)]);
    pair.to_giver.clear();
    let acts = pair.receiver.tick(29_000, 30_000);
    assert!(matches!(acts[0], Act::Say(SnapshotMessage::Request { .. })), "{acts:?}");
    let acts = pair.receiver.tick(30_001, 30_000);
    assert!(
        matches!(&acts[0], Act::End(End::Failed(failure)) if failure.kind == FailureKind::Later)
    );
}

#[test]
fn an_offer_of_what_was_not_asked_for_ends_it() {
    for offer in [vec![file(1, 5, 9)], vec![file(1, 0, 9), file(1, 0, 9)]] {
        let mut pair = Pair::new(offer);
        pair.run();
        let failed = |end: &Option<End>| match end {
            Some(End::Failed(failure)) => failure.kind == FailureKind::Peer,
            _ => false,
        };
        assert!(failed(&pair.end), "{:?}", pair.end);
    }
    let mut pair = Pair::new(Vec::new());
    pair.run();
    assert_eq!(pair.end, Some(End::Done));
}

#[test]
fn files_that_are_gone_are_offered_anew_and_not_for_ever() {
    let mut pair = Pair::new(vec![file(1, 0, 9 * PIECE_BYTES)]);
    while !matches!(pair.to_giver.front(), Some(SnapshotMessage::WantSums { .. })) {
        pair.step();
    }
    pair.offer = vec![file(2, 0, 4 * PIECE_BYTES)];
    pair.run();
    assert_eq!((pair.end.clone(), pair.installed.len()), (Some(End::Done), 1));
    let mut pair = Pair::new(vec![file(1, 0, 9 * PIECE_BYTES)]);
    for _ in 0..100 {
        pair.step();
        if let Some(SnapshotMessage::WantSums { .. }) = pair.to_giver.front() {
            pair.to_giver.pop_front();
            pair.to_receiver.push_back(SnapshotMessage::Gone);
        }
    }
    assert!(matches!(&pair.end, Some(End::Failed(failure)) if failure.text.contains("keep")));
}

#[test]
fn who_asks_for_more_than_is_answered_is_refused() {
    let mut giver = Giver::new(PEER, 1, 0);
    let want = || SnapshotMessage::Want { file: Digest([1; 32]), piece: 0 };
    let turns: Vec<Turn> = (0..1000).flat_map(|_| giver.hear(want(), &GROUPS, 0)).collect();
    let asks = turns.iter().take_while(|turn| matches!(turn, Turn::Ask(_))).count();
    assert_eq!(asks, 2 * WINDOW);
    let Turn::Say(SnapshotMessage::Abort(why)) = &turns[asks] else { panic!("{:?}", turns[asks]) };
    assert_eq!(
        why.to_string(),
        String::from("more of a snapshot was asked for at once than is answered")
    );
}

#[test]
fn a_store_lacks_a_group_of_which_it_has_next_to_nothing() {
    let own = |bytes: [u64; 2]| [(GroupId(0), bytes[0]), (GroupId(1), bytes[1])];
    assert!(lacks(&own([0, 0]), &GROUPS, 1000, 2));
    assert!(lacks(&own([500, 0]), &GROUPS, 1000, 2), "one of them is enough");
    assert!(!lacks(&own([500, 0]), &GROUPS[..1], 1000, 2), "that is not shared");
    assert!(!lacks(&own([100, 100]), &GROUPS, 1000, 2));
    assert!(lacks(&[], &GROUPS, 1000, 2));
}
