//! Stamps, identities and positions: when a write happened, who drew it, where it stands in a log.

use core::fmt;

/// A hybrid logical clock reading: 48 bits of milliseconds since the Unix epoch, then a 16-bit
/// counter (Kulkarni et al., "Logical Physical Clocks", 2014). Greater means later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Before every write.
    pub const ZERO: Stamp = Stamp(0);
    /// After every write.
    pub const MAX: Stamp = Stamp(u64::MAX);

    /// The first stamp of a millisecond.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Stamp(millis.min((1 << 48) - 1) << 16)
    }

    /// The millisecond part.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The stamp right after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Stamp(self.0.saturating_add(1))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.0 & 0xffff)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// A store, for ever: 16 random bytes drawn when it is created or adopted. The origin of a stamp.
    StoreId
}

id! {
    /// One opening of a store for writing: 16 random bytes drawn at each open, so that a position
    /// is never reused, not even by a restored copy.
    Incarnation
}

impl StoreId {
    /// Reads what `Display` writes: 32 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let digits = text.as_bytes();
        let mut id = [0; 16];
        if digits.len() != 32 {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex(pair[0])? << 4 | hex(pair[1])?;
        }
        Some(StoreId(id))
    }
}

/// Which write a cell comes from: its stamp and the store that drew the stamp.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Version {
    /// When the write happened.
    pub stamp: Stamp,
    /// Who drew the stamp.
    pub origin: StoreId,
}

/// A place in a store's log: the offset of a frame among all frames of one incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// The opening that wrote the frame.
    pub incarnation: Incarnation,
    /// Bytes of log before the frame, segment headers included.
    pub offset: u64,
}

/// Draws stamps that only grow, near the wall clock. Decides; whoever owns it reads the clock.
#[derive(Clone, Copy, Debug)]
pub struct StampClock {
    last: Stamp,
}

impl StampClock {
    /// A clock that goes on after `last`.
    #[must_use]
    pub fn after(last: Stamp) -> Self {
        StampClock { last }
    }

    /// The next stamp, given the wall clock's milliseconds. A wall clock that went back does not
    /// pull stamps back; the counter goes on instead.
    pub fn draw(&mut self, wall_millis: u64) -> Stamp {
        self.last = Stamp::from_millis(wall_millis).max(self.last.next());
        self.last
    }

    /// Stamps drawn from now on are later than `seen`.
    pub fn observe(&mut self, seen: Stamp) {
        self.last = self.last.max(seen);
    }

    /// The latest stamp drawn or observed.
    #[must_use]
    pub fn last(&self) -> Stamp {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_only_grow_when_the_wall_clock_jumps_back() {
        let mut clock = StampClock::after(Stamp::ZERO);
        let first = clock.draw(1000);
        let second = clock.draw(10);
        let third = clock.draw(2000);
        assert!(first < second && second < third);
        assert_eq!(second.millis(), 1000);
        assert_eq!(third, Stamp::from_millis(2000));
    }
}
