//! Why a link ends: codes that travel, and what our side knows beyond them.

use crate::dial_error::Permanence;
use crate::frames::Violation;
use crate::trust::Refusal;
use quinn::{ApplicationClose, ConnectionError, VarInt};

/// An application error code; the table is in [`crate::frames`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CloseCode(pub u32);

impl CloseCode {
    /// Nothing more to say.
    pub const DONE: CloseCode = CloseCode(0x00);
    /// The process or the node ends.
    pub const SHUTDOWN: CloseCode = CloseCode(0x01);
    /// A stream with an unknown kind of channel.
    pub const UNKNOWN_CHANNEL: CloseCode = CloseCode(0x10);
    /// A second stream for an open channel.
    pub const DUPLICATE_CHANNEL: CloseCode = CloseCode(0x11);
    /// A frame longer than its channel allows.
    pub const FRAME_TOO_LONG: CloseCode = CloseCode(0x12);
    /// A stream that ends inside a header or a frame.
    pub const TRUNCATED: CloseCode = CloseCode(0x13);
    /// The key is not trusted, or no longer.
    pub const NOT_TRUSTED: CloseCode = CloseCode(0x20);
    /// The certificate names another store than expected.
    pub const WRONG_STORE: CloseCode = CloseCode(0x21);
    /// Too many links of this peer.
    pub const TOO_MANY_LINKS: CloseCode = CloseCode(0x22);
    /// No common application protocol.
    pub const VERSION: CloseCode = CloseCode(0x23);
    /// The first code that is the protocol's above.
    pub const FIRST_OF_PROTOCOL: CloseCode = CloseCode(0x100);

    pub(crate) fn var(self) -> VarInt {
        VarInt::from_u32(self.0)
    }
}

/// Why a link ended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkEnd {
    /// We closed it.
    #[error("closed here")]
    ByUs,
    /// The peer closed it.
    #[error("closed by the peer with code {:#x} ({reason})", .code.0)]
    ByPeer {
        /// Its code.
        code: CloseCode,
        /// Its text, at most 256 characters, with nothing in it that moves a cursor.
        reason: String,
    },
    /// The peer broke the rules of the transport.
    #[error("the peer broke the transport's rules: {0}")]
    Violation(Violation),
    /// The peer is not trusted any more.
    #[error("trust in the peer ended: {0}")]
    TrustEnded(Refusal),
    /// Nothing was heard of the peer.
    #[error(
        "nothing was heard of the peer for too long: check the network between the stores and that the peer runs"
    )]
    TimedOut,
    /// The connection broke otherwise.
    #[error("the connection broke ({what})")]
    Lost {
        /// What the transport says.
        what: String,
    },
}

impl LinkEnd {
    /// Whether dialling again soon can help.
    #[must_use]
    pub fn permanence(&self) -> Permanence {
        match self {
            LinkEnd::TrustEnded(_)
            | LinkEnd::ByPeer {
                code: CloseCode::NOT_TRUSTED | CloseCode::WRONG_STORE | CloseCode::VERSION,
                ..
            } => Permanence::Permanent,
            _ => Permanence::Passing,
        }
    }

    pub(crate) fn of(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                LinkEnd::ByPeer { code: code_of(close), reason: printable(&close.reason) }
            }
            ConnectionError::LocallyClosed => LinkEnd::ByUs,
            ConnectionError::TimedOut => LinkEnd::TimedOut,
            // On a busy machine this may come together with the peer's close, and quinn then says the later of the two.
            ConnectionError::Reset => LinkEnd::Lost { what: FORGOTTEN.to_owned() },
            other => LinkEnd::Lost { what: printable(other.to_string().as_bytes()) },
        }
    }
}

/// What a stateless reset says (RFC 9000, 10.3).
pub(crate) const FORGOTTEN: &str = "the peer closed it or began anew, and knows it no more";

/// The code of a close; one that is too large to be ours becomes the largest.
pub(crate) fn code_of(close: &ApplicationClose) -> CloseCode {
    CloseCode(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX))
}

/// A peer's text as it may be shown to people.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_moves_no_cursor_and_is_short() {
        assert_eq!(printable(b"gone\x1b[2J\n\xff"), "gone[2J\u{fffd}");
        assert_eq!(printable(&[b'a'; 1000]).len(), 256);
    }
}
