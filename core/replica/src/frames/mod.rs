#![doc = include_str!("../../TRANSPORT.md")]

mod decoder;
mod inbox;
mod reader;
mod scheduler;
mod writer;

pub use decoder::{FrameDecoder, FrameError, FrameEvent};
pub use writer::{Closed, SendError, Sender};

pub(crate) use inbox::{Inbox, Kind};
pub(crate) use reader::read_streams;
pub(crate) use scheduler::write_channels;
pub(crate) use writer::{Writers, greet};

use crate::close::CloseCode;
use std::fmt;

/// The bytes of a frame as they arrived, in memory that begins at a multiple of 16.
pub type FrameBytes = rkyv::util::AlignedVec<16>;

/// A channel of a link: frames in order, apart from those of other channels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Channel {
    /// Greeting, positions, liveness.
    Control,
    /// The log as it is written.
    Tail,
    /// A comparison and its repair.
    Session(u32),
    /// Files of a snapshot.
    Bulk(u32),
}

/// Bytes of a channel's header.
pub const HEADER_LEN: usize = 5;
/// Bytes of a frame's length.
pub const LENGTH_LEN: usize = 4;
const CONTROL_MAX: u32 = 64 << 10;
const TAIL_MAX: u32 = 66 << 20;
const SESSION_MAX: u32 = 66 << 20;
const BULK_MAX: u32 = (1 << 20) + (4 << 10);

impl Channel {
    /// The longest frame, in bytes.
    #[must_use]
    pub fn frame_bytes_max(self) -> u32 {
        match self {
            Channel::Control => CONTROL_MAX,
            Channel::Tail => TAIL_MAX,
            Channel::Session(_) => SESSION_MAX,
            Channel::Bulk(_) => BULK_MAX,
        }
    }

    /// Greater is sent first.
    #[must_use]
    pub fn priority(self) -> i32 {
        match self {
            Channel::Control => 10,
            Channel::Tail => 8,
            Channel::Session(_) => 4,
            Channel::Bulk(_) => 0,
        }
    }

    /// The header that begins its stream.
    #[must_use]
    pub fn header(self) -> [u8; HEADER_LEN] {
        let (kind, id) = match self {
            Channel::Control => (1, 0),
            Channel::Tail => (2, 0),
            Channel::Session(id) => (3, id),
            Channel::Bulk(id) => (4, id),
        };
        let [a, b, c, d] = u32::to_le_bytes(id);
        [kind, a, b, c, d]
    }

    /// The channel that a header names.
    ///
    /// # Errors
    /// [`Violation::UnknownChannel`] for a kind that is none, or an id where none belongs.
    pub fn parse(header: [u8; HEADER_LEN]) -> Result<Self, Violation> {
        let [kind, a, b, c, d] = header;
        let id = u32::from_le_bytes([a, b, c, d]);
        match (kind, id) {
            (1, 0) => Ok(Channel::Control),
            (2, 0) => Ok(Channel::Tail),
            (3, id) => Ok(Channel::Session(id)),
            (4, id) => Ok(Channel::Bulk(id)),
            (kind, id) => Err(Violation::UnknownChannel { kind, id }),
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::Control => f.write_str("control"),
            Channel::Tail => f.write_str("tail"),
            Channel::Session(id) => write!(f, "session {id}"),
            Channel::Bulk(id) => write!(f, "bulk {id}"),
        }
    }
}

/// What a peer did that no peer of ours does. It ends the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A stream for a channel that cannot be.
    #[error("a stream began with channel kind {kind} and id {id}, which name no channel")]
    UnknownChannel {
        /// The kind's byte.
        kind: u8,
        /// The id.
        id: u32,
    },
    /// A second stream for an open channel.
    #[error("{channel} was opened twice")]
    DuplicateChannel {
        /// The channel.
        channel: Channel,
    },
    /// A frame that is too long.
    #[error("{channel} announced a frame of {len} bytes, {} are allowed", .channel.frame_bytes_max())]
    FrameTooLong {
        /// The channel.
        channel: Channel,
        /// What was announced.
        len: u32,
    },
    /// A stream that ended where it may not.
    #[error("a stream ended inside {}", .channel.map_or_else(|| "its header".to_owned(), |channel| format!("a frame of {channel}")))]
    Truncated {
        /// The channel, if it was known.
        channel: Option<Channel>,
    },
}

impl Violation {
    /// The code that the link is closed with.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        match self {
            Violation::UnknownChannel { .. } => CloseCode::UNKNOWN_CHANNEL,
            Violation::DuplicateChannel { .. } => CloseCode::DUPLICATE_CHANNEL,
            Violation::FrameTooLong { .. } => CloseCode::FRAME_TOO_LONG,
            Violation::Truncated { .. } => CloseCode::TRUNCATED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_page_is_what_is_sent() {
        let text = include_str!("../../TRANSPORT.md");
        let [a, b, c, d, e] = Channel::Session(7).header();
        let [f, g, h, i] = 2_u32.to_le_bytes();
        let bytes = format!(
            "{a:02x} {b:02x} {c:02x} {d:02x} {e:02x} · {f:02x} {g:02x} {h:02x} {i:02x} · 61 62"
        );
        assert!(text.contains(&bytes), "{bytes}");
        for channel in [Channel::Control, Channel::Tail, Channel::Session(1), Channel::Bulk(1)] {
            let name = channel.to_string();
            let name = name.split(' ').next().unwrap();
            let priority = format!("| {} | ", channel.priority());
            let row = text.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
            assert!(row.contains(&priority), "{row}");
        }
        assert!(text.contains("69 206 016") && TAIL_MAX == 69_206_016 && SESSION_MAX == TAIL_MAX);
        assert!(text.contains("1 052 672") && BULK_MAX == 1_052_672);
        assert!(text.contains("65 536") && CONTROL_MAX == 65_536);
    }

    #[test]
    fn each_header_names_one_channel_and_all_others_none() {
        for id in [0, 1, 77, u32::MAX] {
            for channel in [Channel::Session(id), Channel::Bulk(id)] {
                assert_eq!(Channel::parse(channel.header()), Ok(channel));
            }
            for kind in [0, 5, 6, 0xff] {
                let [a, b, c, d] = id.to_le_bytes();
                let error = Channel::parse([kind, a, b, c, d]).unwrap_err();
                assert_eq!(error, Violation::UnknownChannel { kind, id });
                assert_eq!(error.code(), CloseCode(0x10));
            }
        }
        for channel in [Channel::Control, Channel::Tail] {
            assert_eq!(Channel::parse(channel.header()), Ok(channel));
            let mut header = channel.header();
            header[1] = 1;
            assert!(Channel::parse(header).is_err());
        }
    }
}
