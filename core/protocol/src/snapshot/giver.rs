//! The side that gives: answers what is asked, and keeps nothing but how much of that is under way.

use super::{FileOffer, SNAPSHOT_BYTES_MAX, SUMS_MAX, SnapshotMessage};
use crate::ask::{Answer, Ask, Failure};
use crate::message::Part;
use crate::session::TURN_BYTES;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::{GroupId, Horizon, StoreId};

/// A peer may have so much asked for and not answered: twice what a receiver has.
const WAITING_MAX: usize = 2 * super::receiver::WINDOW;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Turn {
    /// To the receiver.
    Say(SnapshotMessage),
    /// To the store.
    Ask(Ask),
    /// Tell the store that nothing has to be kept.
    LetGo,
    /// Nothing more is said.
    End,
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Giver {
    peer: StoreId,
    bytes_min: u64,
    /// What the receiver holds, until the state was read for it.
    request: Option<Vec<(GroupId, u64)>>,
    waiting: usize,
    pub(crate) active: u64,
}

impl Giver {
    pub(crate) fn new(peer: StoreId, bytes_min: u64, now: u64) -> Self {
        Giver { peer, bytes_min, request: None, waiting: 0, active: now }
    }

    /// Something was said.
    pub(crate) fn hear(
        &mut self,
        message: SnapshotMessage,
        shared: &[GroupId],
        now: u64,
    ) -> Vec<Turn> {
        self.active = now;
        let peer = self.peer;
        let ask = match message {
            SnapshotMessage::Request { held } if self.request.is_none() => {
                let shared = held.into_iter().filter(|(group, _)| shared.contains(group));
                self.request = Some(shared.collect());
                Ask::State { peer, horizon: Horizon::default() }
            }
            SnapshotMessage::WantSums { file, from } => {
                Ask::PieceSums { peer, file, from, count: SUMS_MAX as u64 }
            }
            SnapshotMessage::Want { file, piece } => Ask::Piece { peer, file, piece },
            SnapshotMessage::Done => return vec![Turn::LetGo, Turn::End],
            SnapshotMessage::Abort(_) => return vec![Turn::End],
            // Said twice, or of the other side.
            _ => return Vec::new(),
        };
        self.waiting += 1;
        if self.waiting > WAITING_MAX {
            let why = String::from("more of a snapshot was asked for at once than is answered");
            return vec![Turn::Say(SnapshotMessage::Abort(why)), Turn::End];
        }
        vec![Turn::Ask(ask)]
    }

    /// The store answered.
    pub(crate) fn answered(&mut self, answer: Answer, now: u64) -> Vec<Turn> {
        self.active = now;
        self.waiting = self.waiting.saturating_sub(1);
        match answer {
            Answer::State(parts) => {
                let Some(held) = self.request.take() else { return Vec::new() };
                let mut turns: Vec<Turn> = states(parts).map(Turn::Say).collect();
                let (peer, bytes_min) = (self.peer, self.bytes_min);
                self.waiting += 1;
                turns.push(Turn::Ask(Ask::OfferSnapshot { peer, held, bytes_min }));
                turns
            }
            Answer::Offered(mut files) => {
                files.sort_by_key(|file: &FileOffer| file.group);
                vec![Turn::Say(SnapshotMessage::Offer { files })]
            }
            Answer::PieceSums { file, from, sums } => {
                vec![Turn::Say(SnapshotMessage::Sums { file, from, sums })]
            }
            Answer::Piece { file, piece, bytes } => {
                vec![Turn::Say(SnapshotMessage::Piece { file, piece, bytes })]
            }
            Answer::SnapshotGone => vec![Turn::Say(SnapshotMessage::Gone)],
            Answer::Failed(Failure { text, .. }) => {
                vec![Turn::Say(SnapshotMessage::Abort(text)), Turn::End]
            }
            _ => Vec::new(),
        }
    }
}

/// The state in messages that fit the channel. A part that alone does not is left to the comparison.
fn states(parts: Vec<Part>) -> impl Iterator<Item = SnapshotMessage> {
    let len = |part: &Part| part.1.len() + 8;
    let mut parts =
        parts.into_iter().filter(move |part| len(part) < SNAPSHOT_BYTES_MAX - 64).peekable();
    core::iter::from_fn(move || {
        let mut message = vec![parts.next()?];
        let mut bytes = len(&message[0]);
        while let Some(next) = parts.next_if(|next| bytes + len(next) <= TURN_BYTES) {
            bytes += len(&next);
            message.push(next);
        }
        Some(SnapshotMessage::State { parts: message })
    })
}
