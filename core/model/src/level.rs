//! The levels of the pyramid, from the root down to a series.

use crate::calendar;
use crate::time::{LeafWidth, TimeRange};
use core::fmt;

/// A level of the pyramid. The numbers are part of the digest's format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Level {
    /// All of a collection in a group.
    Root = 0,
    /// A UTC year.
    Year = 1,
    /// A UTC month.
    Month = 2,
    /// A UTC day.
    Day = 3,
    /// A leaf window: an hour, or what the collection chose.
    Window = 4,
    /// One of the 16 outer buckets of a leaf window.
    Outer = 5,
    /// One of the 16 inner buckets of an outer one.
    Inner = 6,
    /// One series in a leaf window: a leaf.
    Series = 7,
}

impl Level {
    /// All eight, from the root down.
    pub const ALL: [Level; 8] = [
        Level::Root,
        Level::Year,
        Level::Month,
        Level::Day,
        Level::Window,
        Level::Outer,
        Level::Inner,
        Level::Series,
    ];

    /// The name as users write it. A leaf window is a `leaf` to them; buckets are no level they ask
    /// for, but a comparison may name them.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Root => "root",
            Level::Year => "year",
            Level::Month => "month",
            Level::Day => "day",
            Level::Window => "leaf",
            Level::Outer => "outer",
            Level::Inner => "inner",
            Level::Series => "series",
        }
    }

    /// The level with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// The level with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The next level up.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        Self::from_number((self as u8).checked_sub(1)?)
    }

    /// The next level down.
    #[must_use]
    pub fn child(self) -> Option<Self> {
        Self::from_number(self as u8 + 1)
    }

    /// The window of this level that holds a time: all of time for the root, the leaf window for
    /// what stands below one.
    #[must_use]
    pub fn window_of(self, time: i64, width: LeafWidth) -> TimeRange {
        match self {
            Level::Root => TimeRange::ALL,
            Level::Year => calendar::year_window(time),
            Level::Month => calendar::month_window(time),
            Level::Day => calendar::day_window(time),
            Level::Window | Level::Outer | Level::Inner | Level::Series => {
                calendar::leaf_window(time, width)
            }
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_one_number_one_name_and_their_neighbours() {
        for (number, level) in (0u8..).zip(Level::ALL) {
            assert_eq!(level as u8, number);
            assert_eq!(Level::from_number(number), Some(level));
            assert_eq!(Level::from_name(level.name()), Some(level));
            assert_eq!(level.child().map(Level::parent), level.child().map(|_| Some(level)));
        }
        assert_eq!((Level::Root.parent(), Level::Series.child()), (None, None));
        assert_eq!((Level::from_number(8), Level::from_name("window")), (None, None));
    }
}
