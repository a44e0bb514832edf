//! Numbers that more than one kind of file speaks of.

use std::fmt;
use tidelog_model::Level;

/// A group file, unique in its store. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct FileId(pub(crate) u64);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How fine the rows of a file are: as written, or rolled up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub(crate) enum Tier {
    Raw = 0,
    Hour = 1,
    Day = 2,
    Month = 3,
    Year = 4,
}

impl Tier {
    pub(crate) const ALL: [Tier; 5] = [Tier::Raw, Tier::Hour, Tier::Day, Tier::Month, Tier::Year];

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The tier of the rollups of a level, if it has any.
    pub(crate) fn of_level(level: Level) -> Option<Self> {
        match level {
            Level::Year => Some(Tier::Year),
            Level::Month => Some(Tier::Month),
            Level::Day => Some(Tier::Day),
            Level::Window => Some(Tier::Hour),
            _ => None,
        }
    }

    /// The level of its windows.
    pub(crate) fn level(self) -> Level {
        match self {
            Tier::Year => Level::Year,
            Tier::Month => Level::Month,
            Tier::Day => Level::Day,
            Tier::Hour | Tier::Raw => Level::Window,
        }
    }

    /// The directory of its files, below the group's.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Tier::Raw => "raw",
            Tier::Hour => "1h",
            Tier::Day => "1d",
            Tier::Month => "1mo",
            Tier::Year => "1y",
        }
    }
}

/// A place in the log of one store: which opening, and where in its log. Ordered, unlike positions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct LogPoint {
    pub(crate) ordinal: u32,
    pub(crate) offset: u64,
}

/// Where the log of an opening ends for good, and in which segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogEnd {
    pub(crate) offset: u64,
    pub(crate) segment: u32,
}
