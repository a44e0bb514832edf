//! Carries Tidelog's frames between stores.

mod close;
mod counters;
mod dial_error;
mod endpoint;
pub mod frames;
pub mod identity;
mod limits;
mod link;
mod socket;
mod tls;
pub mod trust;

pub use close::{CloseCode, LinkEnd};
pub use counters::Counters;
pub use dial_error::{DialError, Distrust, Permanence, RefusedHandshake};
pub use endpoint::{BindError, Endpoint, EndpointOptions};
pub use limits::Limits;
pub use link::{Dialler, Link, LinkFigures, LinkId};
pub use socket::SocketBuffers;
pub use tls::ALPN;
