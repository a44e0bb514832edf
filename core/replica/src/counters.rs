//! What happened at an endpoint since it was bound, in numbers.

use crate::close::CloseCode;
use crate::frames::Violation;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Numbers since an endpoint was bound. Each only grows.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Live {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Live {
            pub(crate) fn read(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Links that peers dialled and we accepted.
    links_accepted,
    /// Links that we dialled and peers accepted.
    links_dialled,
    /// Handshakes refused for who the peer is: key, certificate or store.
    refused_untrusted,
    /// Handshakes refused because the certificate is not valid now; in `refused_untrusted` too.
    refused_expired,
    /// Handshakes without a common application protocol.
    refused_version,
    /// Handshakes refused because too many were going on.
    refused_busy,
    /// Links refused because the peer has too many.
    refused_links,
    /// Diallers that had to prove their address first.
    retries,
    /// Handshakes that took too long.
    handshake_timeouts,
    /// Handshakes that failed otherwise.
    handshakes_failed,
    /// Links ended because trust in the peer ended.
    trust_ended,
    /// Links ended for a channel kind that is none.
    unknown_channels,
    /// Links ended for a second stream of an open channel.
    duplicate_channels,
    /// Links ended for a frame that was too long.
    frames_too_long,
    /// Links ended for a stream that ended inside a frame or header.
    truncated,
    /// Channels that waited because as many of their kind were open as are read at a time.
    channels_held,
}

impl Live {
    pub(crate) fn violation(&self, violation: &Violation) {
        bump(match violation.code() {
            CloseCode::UNKNOWN_CHANNEL => &self.unknown_channels,
            CloseCode::DUPLICATE_CHANNEL => &self.duplicate_channels,
            CloseCode::FRAME_TOO_LONG => &self.frames_too_long,
            _ => &self.truncated,
        });
    }
}

/// One more.
pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
