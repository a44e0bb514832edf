//! Why a peer is not spoken with: said to it when it is sent away, so that both sides know what has to change.

use crate::message::read_text;
use crate::wire::{Malformed, Reader, Writer};
use alloc::format;
use alloc::string::String;
use tidelog_model::{GroupEpoch, GroupId, StoreId};

/// What kind of a refusal it is: what a program goes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum RefusalKind {
    /// It may pass by itself: another connection soon may be taken.
    Passing = 0,
    /// Somebody has to change something on one side.
    Permanent = 1,
    /// The topology file of one side has an older epoch of a group than the other side has seen.
    Epoch = 2,
    /// The peer was forgotten, and comes back only as a new store.
    Forgotten = 3,
}

/// Why a peer is not spoken with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What a program goes by.
    pub kind: RefusalKind,
    /// In words, with what to do; the same on both sides.
    pub text: String,
}

impl Refusal {
    pub(crate) fn passing(text: impl Into<String>) -> Self {
        Refusal { kind: RefusalKind::Passing, text: text.into() }
    }

    pub(crate) fn permanent(text: impl Into<String>) -> Self {
        Refusal { kind: RefusalKind::Permanent, text: text.into() }
    }

    /// `behind` has an older epoch in its topology file than `ahead` has in its own.
    pub(crate) fn epoch(
        group: GroupId,
        behind: (StoreId, GroupEpoch),
        ahead: (StoreId, GroupEpoch),
    ) -> Self {
        let ((store, old), (other, new)) = (behind, ahead);
        let text = format!(
            "the topology file of store {store} has epoch {old} of group {}, and that of store {other} epoch {new}: update the file of store {store}",
            group.0
        );
        Refusal { kind: RefusalKind::Epoch, text }
    }

    /// A store has an older epoch in its topology file than it has seen before.
    pub(crate) fn epoch_sank(
        group: GroupId,
        store: StoreId,
        (old, seen): (GroupEpoch, GroupEpoch),
    ) -> Self {
        let text = format!(
            "the topology file of store {store} has epoch {old} of group {}, and it has seen epoch {seen}: update the file of store {store}",
            group.0
        );
        Refusal { kind: RefusalKind::Epoch, text }
    }

    pub(crate) fn forgotten(store: StoreId, by: StoreId) -> Self {
        let text = format!(
            "store {store} was forgotten by store {by}: join again with a new store in an empty directory, with a key of its own; rows that it had not sent return only as new writes, by `tidelog export` from the old store and `tidelog import` into the new one"
        );
        Refusal { kind: RefusalKind::Forgotten, text }
    }

    /// Does it make no sense to connect again before somebody has changed something?
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.kind != RefusalKind::Passing
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u8(self.kind as u8).text(&self.text);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        use RefusalKind::{Epoch, Forgotten, Passing, Permanent};
        let number = reader.u8()?;
        let kinds = [Passing, Permanent, Epoch, Forgotten];
        let kind = kinds.into_iter().find(|kind| *kind as u8 == number);
        let kind = kind.ok_or(Malformed("a refusal of an unknown kind"))?;
        Ok(Refusal { kind, text: read_text(reader)? })
    }
}
