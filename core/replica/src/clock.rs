//! The wall clock, asked here only: certificates are valid from one day to another.

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
