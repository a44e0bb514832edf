//! Snapshots: files of rows, carried as they are to a store that has next to nothing of what its peer has much of.
//!
//! The receiver asks and keeps count, the giver answers and keeps nothing but its lease on the files. Both decide only;
//! files are read, written and installed by whoever answers their asks.

mod giver;
mod message;
mod receiver;
#[cfg(test)]
mod tests;

pub(crate) use giver::{Giver, Turn};
pub use message::SnapshotMessage;
pub(crate) use receiver::{Act, End, Receiver};

use alloc::vec::Vec;
use tidelog_model::{Digest, GroupId};

/// All pieces of a file but the last have so many bytes.
pub const PIECE_BYTES: u64 = 1 << 20;
/// No message of a snapshot is longer: a piece and what stands around it.
pub const SNAPSHOT_BYTES_MAX: usize = (1 << 20) + 4096;
/// No file that is offered is longer.
pub const FILE_BYTES_MAX: u64 = 128 << 30;
/// No more are offered.
pub const FILES_MAX: usize = 16_384;
/// The sums of so many pieces are said at once.
pub const SUMS_MAX: usize = 1024;

/// A file that is offered. Equal digests, equal files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileOffer {
    /// Whose rows it holds.
    pub group: GroupId,
    /// Bytes.
    pub len: u64,
    /// BLAKE3 of all of them.
    pub digest: Digest,
}

impl FileOffer {
    /// How many pieces it has.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.len.div_ceil(PIECE_BYTES)
    }

    /// How many bytes its first pieces have.
    pub(crate) fn bytes_of(&self, pieces: u64) -> u64 {
        pieces.saturating_mul(PIECE_BYTES).min(self.len)
    }
}

/// What a piece contributes to the digest of its file.
pub type PieceSum = [u8; 32];

/// How far a snapshot has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Transfer {
    /// Bytes that are here and verified; those of an attempt before, too.
    pub bytes: u64,
    /// Of so many.
    pub bytes_total: u64,
    /// Files that are whole.
    pub files: u64,
    /// Of so many.
    pub files_total: u64,
    /// Rows of files that were installed.
    pub rows: u64,
    /// Bytes of pieces that were received now, needed or not.
    pub received: u64,
    /// Milliseconds since it was known which files are to come.
    pub millis: u64,
    /// Milliseconds that the rest may take; none while nothing tells.
    pub millis_left: Option<u64>,
}

/// Which of the groups that are shared a store lacks next to all of: it holds little of them, and its peer as much as
/// `theirs` in all groups.
pub(crate) fn lacks(own: &[(GroupId, u64)], shared: &[GroupId], theirs: u64, groups: u32) -> bool {
    let share = theirs / u64::from(groups.max(1));
    let held =
        |group: &GroupId| own.iter().find(|(other, _)| other == group).map_or(0, |one| one.1);
    shared.iter().any(|group| held(group) < share / TIMES_MORE)
}

/// Files are worth their bytes when they are so many times as much as what is there.
const TIMES_MORE: u64 = 8;

/// What a store holds of the groups that are shared.
pub(crate) fn held(own: &[(GroupId, u64)], shared: &[GroupId]) -> Vec<(GroupId, u64)> {
    let held =
        |group: &GroupId| own.iter().find(|(other, _)| other == group).map_or(0, |one| one.1);
    shared.iter().map(|group| (*group, held(group))).collect()
}
