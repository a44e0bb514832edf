//! The wall clock, asked here only: for certificates, which are valid from one day to another, and for the protocol.

use rustls::pki_types::UnixTime;
use std::time::SystemTime;

/// Now.
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Now, as TLS says it.
pub(crate) fn unix_now() -> UnixTime {
    UnixTime::now()
}
