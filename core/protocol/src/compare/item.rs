//! What the two sides of a comparison say to each other: claims about digests, prints of rows, wishes, rows.

use super::difference::Difference;
use super::nodes::Nodes;
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::{CollectionName, GroupId, LeafWidth, Level, Stamp, TimeRange};

/// A collection in a group: what one tree is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Scope {
    /// The group.
    pub group: GroupId,
    /// The collection.
    pub collection: CollectionName,
}

/// What a comparison is about, when that is not everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Only {
    /// The collection.
    pub collection: CollectionName,
    /// The times: whole UTC hours, which are whole leaves.
    pub range: TimeRange,
}

impl Only {
    /// A collection, or the hours of it that a range touches.
    #[must_use]
    pub fn new(collection: CollectionName, range: TimeRange) -> Self {
        let hour = |time| Level::Window.window_of(time, LeafWidth::Hour);
        let range = hour(range.first()).hull(hour(range.last()));
        Only { collection, range }
    }
}

/// The first eight bytes of a digest: enough to find a difference, not to deny one.
pub type Short = u64;

/// What a side has of a collection in a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectionClaim {
    /// Its name.
    pub name: CollectionName,
    /// Its leaf width: trees of two widths have nothing in common.
    pub leaf: LeafWidth,
    /// Rows before this are cut off.
    pub cut: i64,
    /// Its content root.
    pub root: Short,
}

/// A row by its print: time, print, and the stamp of the newest of its cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Print {
    /// Nanoseconds.
    pub time: i64,
    /// See `RowPrinter`; cut to four bytes.
    pub print: u32,
    /// When the row was last written, or [`Print::OVERTAKEN`].
    pub stamp: Stamp,
}

impl Print {
    /// The row was written to again beyond the horizon. What was merged away by that says nothing of what the other side
    /// lacks: where both have such a row it is left to the next pass.
    pub const OVERTAKEN: Stamp = Stamp::MAX;
    /// From this epoch on rows are exchanged even so: that of the third pass.
    pub const EPOCHS: u32 = 4;

    /// A row of which nothing is left up to the horizon, for what was written to it beyond.
    #[must_use]
    pub fn hidden(time: i64) -> Print {
        Print { time, print: 0, stamp: Self::OVERTAKEN }
    }

    pub(crate) fn is_overtaken(&self) -> bool {
        self.stamp == Self::OVERTAKEN
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.is_overtaken() && self.print == 0
    }
}

/// One thing that is said. Claims are about all that the sender has in a range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// The collections of a group that hold anything, ascending.
    Collections {
        /// The group.
        group: GroupId,
        /// By name.
        entries: Vec<CollectionClaim>,
        /// What they hold is claimed beside it: only what one side lacks is told by this.
        claimed: bool,
    },
    /// The windows of a level in a range that hold anything, by their first nanosecond, ascending.
    Windows {
        /// Where.
        scope: Scope,
        /// The range.
        range: TimeRange,
        /// Year, month, day or leaf window.
        level: Level,
        /// First nanosecond and digest.
        entries: Vec<(i64, Short)>,
    },
    /// The 16 outer buckets of a leaf window, or the 16 inner ones of an outer one; 0 where there is nothing.
    Buckets {
        /// Where.
        scope: Scope,
        /// The leaf window, by its first nanosecond.
        window: i64,
        /// The outer bucket whose inner ones these are.
        outer: Option<u8>,
        /// Digests.
        entries: [Short; 16],
    },
    /// The series of a leaf window in some inner buckets, ascending by device.
    Series {
        /// Where.
        scope: Scope,
        /// The leaf window, by its first nanosecond.
        window: i64,
        /// The first and the last inner bucket.
        buckets: (u8, u8),
        /// Device and digest. 0: the sender has nothing of that device.
        entries: Vec<(String, Short)>,
        /// Only these devices are meant, not all of the buckets.
        partial: bool,
    },
    /// The 16 equal parts of a range of one series.
    Parts {
        /// Where.
        scope: Scope,
        /// The device, canonical.
        device: String,
        /// What is divided; inside one leaf window.
        range: TimeRange,
        /// Digests of their prints, cut to four bytes; 0 where there is no row.
        entries: [u32; 16],
    },
    /// All rows of a series in a range.
    Prints {
        /// Where.
        scope: Scope,
        /// The device, canonical.
        device: String,
        /// The range; inside one leaf window.
        range: TimeRange,
        /// By time.
        rows: Vec<Print>,
    },
    /// The sender lacks all of a range: it wants the rows.
    WantRange {
        /// Where.
        scope: Scope,
        /// One device only.
        device: Option<String>,
        /// The range.
        range: TimeRange,
        /// Go on behind this row, by device, then time.
        after: Option<(String, i64)>,
    },
    /// The sender wants these rows of a series.
    WantTimes {
        /// Where.
        scope: Scope,
        /// The device, canonical.
        device: String,
        /// Ascending.
        times: Vec<i64>,
        /// The sender has a row at these times, too: cells of it may win.
        contested: bool,
    },
    /// Rows: sub-batches, each the bytes of a `BatchV1` archive.
    Rows {
        /// The receiver had a row at these times, too: it sends back what wins over these.
        contested: bool,
        /// Archives.
        archives: Vec<Vec<u8>>,
    },
    /// Differences that are looked at once more before anything is sent for them: leaf windows in a range, or only
    /// some devices in the one window that the range is.
    Suspects {
        /// Where.
        scope: Scope,
        /// Whole leaf windows.
        range: TimeRange,
        /// Devices, and whether both sides have something of them; none: all of the range.
        devices: Vec<(String, bool)>,
    },
    /// What differs of a series in a leaf window, or a part of one, where that is only looked at.
    Difference(Difference),
    /// About rollups: settled ones, and those that are borrowed.
    Nodes {
        /// Where.
        scope: Scope,
        /// What.
        nodes: Nodes,
    },
    /// What cannot be compared, and is no difference either.
    LeftOut {
        /// Where.
        scope: Scope,
        /// Why.
        why: LeftOut,
        /// How many windows.
        windows: u64,
    },
}

/// Why something was left out of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum LeftOut {
    /// The collection has leaves of another width there.
    LeafWidth = 1,
    /// Rows were cut off on one side or on both, and rollups stand for them.
    Settled = 2,
    /// The peer has no right to it.
    Forbidden = 3,
    /// It is stamped too far ahead of the clock of the side that was to take it.
    ClockAhead = 4,
    /// Only a part was asked for.
    NotAsked = 5,
    /// The repair policy left it for later, or to another peer.
    Policy = 6,
}

impl Item {
    /// The tree it is about.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Item::Collections { .. } | Item::Rows { .. } => None,
            Item::Windows { scope, .. }
            | Item::Buckets { scope, .. }
            | Item::Series { scope, .. }
            | Item::Parts { scope, .. }
            | Item::Prints { scope, .. }
            | Item::WantRange { scope, .. }
            | Item::WantTimes { scope, .. }
            | Item::Suspects { scope, .. }
            | Item::LeftOut { scope, .. }
            | Item::Nodes { scope, .. }
            | Item::Difference(Difference { scope, .. }) => Some(scope),
        }
    }

    /// About how many bytes it takes on the wire: never less than half, so that a frame can be filled.
    #[must_use]
    pub fn bytes(&self) -> usize {
        24 + match self {
            Item::Collections { entries, .. } => entries.len() * 64,
            Item::Windows { entries, .. } => entries.len() * 12,
            Item::Buckets { .. } => 136,
            Item::Series { entries, .. } => entries.iter().map(|(d, _)| d.len() + 10).sum(),
            Item::Parts { device, .. } => device.len() + 72,
            Item::Prints { device, rows, .. } => device.len() + rows.len() * 12,
            Item::WantRange { device, after, .. } => {
                let after = after.as_ref().map_or(0, |(device, _)| device.len() + 8);
                16 + device.as_ref().map_or(0, String::len) + after
            }
            Item::WantTimes { device, times, .. } => device.len() + times.len() * 6,
            Item::Rows { archives, .. } => archives.iter().map(|one| one.len() + 20).sum(),
            Item::Suspects { devices, .. } => devices.iter().map(|(d, _)| d.len() + 3).sum(),
            Item::LeftOut { .. } => 8,
            Item::Nodes { nodes, .. } => nodes.bytes(),
            Item::Difference(one) => one.device.len() + 32,
        }
    }

    /// Leaves out what is wholly before a time, in what a comparison begins with; `false` when nothing is left.
    pub(crate) fn narrow(&mut self, from: i64) -> bool {
        let Item::Windows { range, level, entries, .. } = self else { return true };
        let Some(rest) = TimeRange::inclusive(from.max(range.first()), range.last()) else {
            return false;
        };
        *range = rest;
        // No leaf is wider than an hour.
        entries.retain(|(first, _)| level.window_of(*first, LeafWidth::Hour).last() >= from);
        true
    }

    /// Of which group it is; rows are of any.
    pub(crate) fn group(&self) -> Option<GroupId> {
        match self {
            Item::Collections { group, .. } => Some(*group),
            Item::Windows { scope, .. }
            | Item::Buckets { scope, .. }
            | Item::Series { scope, .. }
            | Item::Parts { scope, .. }
            | Item::Prints { scope, .. }
            | Item::WantRange { scope, .. }
            | Item::WantTimes { scope, .. }
            | Item::Suspects { scope, .. }
            | Item::Nodes { scope, .. }
            | Item::LeftOut { scope, .. } => Some(scope.group),
            Item::Difference(one) => Some(one.scope.group),
            Item::Rows { .. } => None,
        }
    }

    /// About how many leaf windows are looked at for it, of one series or of all. Widths are not known here: as if a leaf
    /// were an hour.
    pub(crate) fn windows(&self) -> u64 {
        match self {
            Item::Collections { entries, .. } => entries.len() as u64,
            Item::Windows { level, entries, .. } => entries.len() as u64 * hours_of(*level),
            Item::Buckets { entries, .. } => entries.iter().filter(|one| **one != 0).count() as u64,
            Item::Series { entries, .. } => entries.len() as u64,
            Item::Parts { .. } | Item::Prints { .. } | Item::WantTimes { .. } => 1,
            Item::WantRange { device: Some(_), range, after: Some((_, time)), .. } => {
                TimeRange::inclusive(*time, range.last()).map_or(0, hours)
            }
            Item::WantRange { range, .. } => hours(*range),
            Item::Suspects { range, devices, .. } if devices.is_empty() => hours(*range),
            Item::Suspects { devices, .. } => devices.len() as u64,
            Item::Rows { .. } | Item::LeftOut { .. } | Item::Difference(_) | Item::Nodes { .. } => {
                0
            }
        }
    }
}

const HOUR: u64 = 3_600_000_000_000;

/// Hours that a range touches, about: it is never none.
fn hours(range: TimeRange) -> u64 {
    range.last().abs_diff(range.first()) / HOUR + 1
}

fn hours_of(level: Level) -> u64 {
    match level {
        Level::Root | Level::Year => 365 * 24,
        Level::Month => 30 * 24,
        Level::Day => 24,
        _ => 1,
    }
}
