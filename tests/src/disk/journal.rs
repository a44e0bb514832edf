//! What a file or a directory was told and has not made durable, in order.
//!
//! Replaying all of it onto the durable image gives the live image; a crash replays a part.

/// Orders all operations of one disk; also their name in choices of what survives.
pub(super) type Sequence = u64;

/// What is known about an operation, should the power fail now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// May or may not survive; a sync settles it.
    Open,
    /// A sync failed on it. It may or may not survive, and no later sync will tell: the kernel has
    /// dropped the page from its list of dirty ones (Rebello et al., "Can Applications Recover from
    /// fsync Failures?", 2020).
    Stuck,
    /// Survives, but waits behind one that may not.
    Certain,
}

/// One operation that has not reached the durable image.
#[derive(Clone, Debug)]
pub(super) struct Pending<T> {
    pub(super) sequence: Sequence,
    pub(super) op: T,
    pub(super) fate: Fate,
}

/// Operations in the order they were made.
#[derive(Clone, Debug)]
pub(super) struct Journal<T>(Vec<Pending<T>>);

impl<T> Journal<T> {
    pub(super) fn new() -> Self {
        Journal(Vec::new())
    }

    pub(super) fn push(&mut self, sequence: Sequence, op: T) {
        self.0.push(Pending { sequence, op, fate: Fate::Open });
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Pending<T>> + '_ {
        self.0.iter()
    }

    /// The operations that may be lost.
    pub(super) fn uncertain(&self) -> impl Iterator<Item = &Pending<T>> + '_ {
        self.0.iter().filter(|pending| pending.fate != Fate::Certain)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, sequence: Sequence) -> Option<&Pending<T>> {
        let index = self.0.binary_search_by_key(&sequence, |pending| pending.sequence).ok()?;
        self.0.get(index)
    }

    pub(super) fn find_mut(&mut self, sequence: Sequence) -> Option<&mut Pending<T>> {
        let index = self.0.binary_search_by_key(&sequence, |pending| pending.sequence).ok()?;
        self.0.get_mut(index)
    }

    /// Gives every open operation this fate.
    pub(super) fn settle(&mut self, fate: Fate) {
        for pending in &mut self.0 {
            if pending.fate == Fate::Open {
                pending.fate = fate;
            }
        }
    }

    /// Takes out the leading operations that survive for sure.
    pub(super) fn take_certain(&mut self) -> impl Iterator<Item = Pending<T>> + '_ {
        let certain = self.0.iter().take_while(|pending| pending.fate == Fate::Certain).count();
        self.0.drain(..certain)
    }
}
