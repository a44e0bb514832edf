//! Why a dial did not give a link, and whether another one soon could.

use crate::close::{CloseCode, code_of, printable};
use crate::trust::Refusal;
use quinn::ConnectionError;
use std::io;
use std::net::SocketAddr;

/// Why a dial did not give a link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address has no host and port, or the host is not known.
    #[error("cannot resolve {address}: check the name, its port and the name service")]
    Resolve {
        /// What was dialled.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The host has addresses of another family only than this endpoint's socket.
    #[error(
        "{address} has no address that this endpoint can reach from {local}: listen on [::] to reach both families"
    )]
    Family {
        /// What was dialled.
        address: String,
        /// Where this endpoint is bound.
        local: String,
    },
    /// Nobody answered in time.
    #[error(
        "{address} did not answer: check that the peer runs, its address, and that UDP passes the firewalls between"
    )]
    NoAnswer {
        /// What was dialled.
        address: String,
    },
    /// The peer has too much to do, or shuts down.
    #[error("{address} refused for now ({what}): it is tried again later")]
    Busy {
        /// What was dialled.
        address: String,
        /// What it said.
        what: String,
    },
    /// We do not trust who answered.
    #[error("who answers at {address} is not trusted: {refusal}")]
    Untrusted {
        /// What was dialled.
        address: String,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// The peer does not trust us.
    #[error("{address} does not trust this store: {distrust}")]
    Distrusted {
        /// What was dialled.
        address: String,
        /// Why, as far as the peer says.
        distrust: Distrust,
    },
    /// No common version.
    #[error(
        "{address} does not speak tidelog/1: upgrade the older of the two, or check that a store listens there"
    )]
    Version {
        /// What was dialled.
        address: String,
    },
    /// The handshake failed otherwise.
    #[error("the handshake with {address} failed ({what}): check that a store listens there")]
    Handshake {
        /// What was dialled.
        address: String,
        /// What the transport says.
        what: String,
    },
    /// The connection broke before it was a link.
    #[error("the connection to {address} broke ({what}): it is tried again")]
    Broken {
        /// What was dialled.
        address: String,
        /// What the transport says.
        what: String,
    },
    /// This endpoint was closed.
    #[error("the endpoint was closed: bind a new one")]
    Closed,
}

/// Why a peer does not trust us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// Our key is not in its topology, or not any more.
    #[error("list this store's fingerprint in its topology")]
    UnknownKey,
    /// Its authority does not vouch for us.
    #[error("let its authority sign this store's certificate")]
    NotVouched,
    /// Our certificate is not valid by its clock.
    #[error("this store's certificate is not valid by its clock: renew it, or set the clocks")]
    Expired,
    /// Our certificate names another store than it expects.
    #[error("its topology expects another store under this key: correct `store` there")]
    WrongStore,
    /// It cannot read our certificate.
    #[error("it cannot read this store's certificate: create it anew")]
    Unreadable,
}

/// Whether dialling again soon can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permanence {
    /// It may: the network, or a peer that starts.
    Passing,
    /// Only after someone changed something.
    Permanent,
}

impl DialError {
    /// Whether dialling again soon can help.
    #[must_use]
    pub fn permanence(&self) -> Permanence {
        match self {
            DialError::Resolve { .. }
            | DialError::NoAnswer { .. }
            | DialError::Busy { .. }
            | DialError::Broken { .. } => Permanence::Passing,
            DialError::Family { .. }
            | DialError::Untrusted { .. }
            | DialError::Distrusted { .. }
            | DialError::Version { .. }
            | DialError::Handshake { .. }
            | DialError::Closed => Permanence::Permanent,
        }
    }

    /// Reads what the transport says of a connection that never was a link.
    pub(crate) fn of(address: &str, error: &ConnectionError, refusal: Option<Refusal>) -> Self {
        let address = address.to_owned();
        if let Some(refusal) = refusal {
            return DialError::Untrusted { address, refusal };
        }
        let what = printable(error.to_string().as_bytes());
        match error {
            ConnectionError::TimedOut => DialError::NoAnswer { address },
            ConnectionError::VersionMismatch => DialError::Version { address },
            ConnectionError::LocallyClosed => DialError::Closed,
            ConnectionError::ApplicationClosed(close) => {
                Self::closed(address, code_of(close), what)
            }
            ConnectionError::ConnectionClosed(close) => {
                Self::refused(address, u64::from(close.error_code), what, true)
            }
            ConnectionError::TransportError(error) => {
                Self::refused(address, u64::from(error.code), what, false)
            }
            ConnectionError::Reset => {
                DialError::Broken { address, what: crate::close::FORGOTTEN.to_owned() }
            }
            ConnectionError::CidsExhausted => DialError::Broken { address, what },
        }
    }

    fn closed(address: String, code: CloseCode, what: String) -> Self {
        match code {
            CloseCode::NOT_TRUSTED => {
                DialError::Distrusted { address, distrust: Distrust::UnknownKey }
            }
            CloseCode::WRONG_STORE => {
                DialError::Distrusted { address, distrust: Distrust::WrongStore }
            }
            CloseCode::VERSION => DialError::Version { address },
            CloseCode::SHUTDOWN | CloseCode::TOO_MANY_LINKS => DialError::Busy { address, what },
            _ => DialError::Broken { address, what },
        }
    }

    /// A transport error code; TLS alerts (RFC 8446, 6) begin at 0x100 (RFC 9001, 4.8).
    fn refused(address: String, code: u64, what: String, by_peer: bool) -> Self {
        const CONNECTION_REFUSED: u64 = 2;
        let distrusted = |distrust| DialError::Distrusted { address: address.clone(), distrust };
        match code.checked_sub(0x100) {
            _ if code == CONNECTION_REFUSED => DialError::Busy { address, what },
            Some(NO_APPLICATION_PROTOCOL | PROTOCOL_VERSION) => DialError::Version { address },
            Some(ACCESS_DENIED) if by_peer => distrusted(Distrust::UnknownKey),
            Some(UNKNOWN_CA) if by_peer => distrusted(Distrust::NotVouched),
            Some(CERTIFICATE_EXPIRED) if by_peer => distrusted(Distrust::Expired),
            Some(BAD_CERTIFICATE | UNSUPPORTED_CERTIFICATE | CERTIFICATE_UNKNOWN) if by_peer => {
                distrusted(Distrust::Unreadable)
            }
            Some(alert) if alert < 0x100 => DialError::Handshake { address, what },
            _ => DialError::Broken { address, what },
        }
    }
}

const BAD_CERTIFICATE: u64 = 42;
const UNSUPPORTED_CERTIFICATE: u64 = 43;
const CERTIFICATE_EXPIRED: u64 = 45;
const CERTIFICATE_UNKNOWN: u64 = 46;
const UNKNOWN_CA: u64 = 48;
const ACCESS_DENIED: u64 = 49;
const PROTOCOL_VERSION: u64 = 70;
const NO_APPLICATION_PROTOCOL: u64 = 120;

/// A handshake that we answered and refused, for status.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefusedHandshake {
    /// Where it came from.
    pub from: SocketAddr,
    /// Why.
    pub why: Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64) -> DialError {
        DialError::refused("b:7447".into(), code, "what".into(), true)
    }

    #[test]
    fn alerts_of_the_peer_say_what_it_minds_and_are_permanent() {
        for (alert, says) in [
            (49, "list this store's fingerprint"),
            (48, "let its authority sign"),
            (45, "renew it"),
            (42, "create it anew"),
            (120, "upgrade the older"),
            (40, "check that a store listens there"),
        ] {
            let error = refused(0x100 + alert);
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().contains("b:7447"), "{error}");
            assert_eq!(error.permanence(), Permanence::Permanent, "{error}");
        }
    }

    #[test]
    fn what_may_pass_is_passing() {
        let of = |error| DialError::of("b:7447", &error, None);
        for error in [refused(2), refused(1), refused(0x300), of(ConnectionError::TimedOut)] {
            assert_eq!(error.permanence(), Permanence::Passing, "{error}");
        }
        let closed = |code| DialError::closed("b:7447".into(), code, String::new());
        assert_eq!(closed(CloseCode::SHUTDOWN).permanence(), Permanence::Passing);
        assert_eq!(closed(CloseCode::NOT_TRUSTED).permanence(), Permanence::Permanent);
        assert_eq!(closed(CloseCode::WRONG_STORE).permanence(), Permanence::Permanent);
        assert_eq!(of(ConnectionError::VersionMismatch).permanence(), Permanence::Permanent);
    }
}
