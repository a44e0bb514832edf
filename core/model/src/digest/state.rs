//! The state root: the content root and what else two replicas must agree on.

use super::feed::{Feed, Key};
use super::{Digest, STATE_CONTEXT};
use alloc::vec::Vec;

/// What a part of the state is about. The numbers are part of the format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum StateKind {
    /// A delete.
    Tombstone = 1,
    /// The schema of a collection, or a part of it.
    Schema = 2,
    /// The options of a collection.
    Options = 3,
    /// The cut of a tier.
    Cut = 4,
}

impl StateKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [StateKind::Tombstone, StateKind::Schema, StateKind::Options, StateKind::Cut]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// Hashes a content root and the parts of the state, which are opaque here: each is the canonical
/// bytes of one thing, and all are added in order.
///
/// Unlike a content root, a state root always exists: two stores without rows must still agree on
/// their deletes.
#[derive(Clone, Debug)]
pub struct StateRoot {
    feed: Feed,
    last: Option<(StateKind, Vec<u8>)>,
}

impl StateRoot {
    /// Begins with the content root; `None` when there are no rows.
    #[must_use]
    pub fn new(content: Option<Digest>) -> Self {
        let mut feed = Feed::new(Key::new(STATE_CONTEXT));
        feed.digest(content);
        StateRoot { feed, last: None }
    }

    /// Adds a part.
    ///
    /// # Panics
    /// When (kind, bytes) is not greater than that of the part before: the same state in another
    /// order would have another root.
    pub fn push(&mut self, kind: StateKind, bytes: &[u8]) {
        let last = self.last.as_ref().map(|(kind, bytes)| (*kind, &**bytes));
        assert!(last.is_none_or(|last| last < (kind, bytes)), "parts strictly ascend");
        self.feed.put(&[kind as u8]);
        self.feed.u64(bytes.len() as u64);
        self.feed.put(bytes);
        let (last_kind, last_bytes) = self.last.get_or_insert((kind, Vec::new()));
        *last_kind = kind;
        last_bytes.clear();
        last_bytes.extend_from_slice(bytes);
    }

    /// The state root.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        self.feed.finish()
    }
}
