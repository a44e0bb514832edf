//! Carries frames between Tidelog stores: QUIC with mutual TLS, identities, trust, topology.
//!
//! It decides nothing about rows. What a frame says and what follows from it is the protocol's; here a frame is bytes of a known
//! length, of one [`frames::Channel`], from a peer whose key is trusted.
//!
//! ```text
//! topology ──▶ pins ──▶ Endpoint ──dial/accept──▶ Link ──recv──▶ (Channel, bytes)
//!                       identity                   └─ Sender ◀── (Channel, bytes)
//! ```
//!
//! - [`identity`]: a store's key and certificate, and their files.
//! - [`trust`]: which keys stand for which peers. Swapped while links are open; who is not trusted any more is disconnected.
//! - [`Endpoint`]: one UDP address. [`Endpoint::dial`] and [`Endpoint::accept`] give [`Link`]s.
//! - [`frames`]: what goes over a link, byte by byte.
//! - [`topology`]: the stores there are, from a file that is watched.
//! - [`Backoff`]: how long to wait before the next dial.
//!
//! # Shapes
//!
//! Everything needs a tokio runtime with time and I/O; nothing blocks its threads, except what says that it reads or writes
//! files. Sizes are bytes, times are [`std::time::Duration`]. Memory per link is bounded by [`Limits`]: unread frames, and
//! QUIC's windows beneath. Every future but [`Endpoint::dial`] may be dropped without loss; a dropped dial is given up.
//!
//! # Errors
//!
//! One type per act: [`BindError`], [`DialError`], [`frames::SendError`], [`LinkEnd`], [`identity::IdentityError`],
//! [`topology::ConfigError`]. Each says what, where and what to do; [`DialError::permanence`] says whether to try again soon.
//! Bytes of a peer are an error or nothing, never a panic.
//!
//! # Example
//!
//! Two stores in one process:
//!
//! ```
//! use std::time::SystemTime;
//! use tidelog_model::StoreId;
//! use tidelog_replica::frames::Channel;
//! use tidelog_replica::identity::{Identity, LIFETIME};
//! use tidelog_replica::trust::{PeerPin, Pins};
//! use tidelog_replica::{Endpoint, EndpointOptions, Limits};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let make = |id| Identity::generate(StoreId([id; 16]), SystemTime::now(), LIFETIME);
//! let (a, b) = (make(1)?, make(2)?);
//! let bind = |own: &Identity, name: &str, peer: &Identity| {
//!     let fingerprints = vec![peer.fingerprint()];
//!     let pins = Pins::new(vec![PeerPin { name: name.into(), store: None, fingerprints }])?;
//!     let listen = ([127, 0, 0, 1], 0).into();
//!     let identity = own.clone();
//!     let limits = Limits::default();
//!     let options = EndpointOptions { listen, identity, pins, authority: None, limits };
//!     Ok::<_, Box<dyn std::error::Error>>(Endpoint::bind(options)?)
//! };
//! let (here, there) = (bind(&a, "b", &b)?, bind(&b, "a", &a)?);
//! let address = there.local_address().to_string();
//! let (dialled, accepted) = tokio::join!(here.dial("b", &address), there.accept());
//! let (dialled, accepted) = (dialled?, accepted.expect("a dialled"));
//!
//! dialled.sender().send(Channel::Control, "hello".into()).await?;
//! let (channel, frame) = accepted.recv().await.expect("the link is open");
//! assert_eq!((channel, &frame[..]), (Channel::Control, &b"hello"[..]));
//! assert_eq!(accepted.peer().store, StoreId([1; 16]));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it is not
//!
//! No reconnecting: whoever owns the links dials again, by [`Backoff`]. No choice between two links of one peer. No
//! rights checked on frames: [`topology::Rights::allows`] is asked by whoever reads them.

mod backoff;
pub mod bridge;
mod clock;
mod close;
mod counters;
mod dial_error;
mod door;
mod driver;
mod endpoint;
pub mod frames;
pub mod identity;
mod limits;
mod link;
mod reset;
mod socket;
mod tls;
pub mod topology;
pub mod trust;

/// What the protocol tells: events, states, reports.
pub use tidelog_protocol as protocol;

pub use backoff::{Backoff, BackoffOptions};
pub use close::{CloseCode, LinkEnd};
pub use counters::Counters;
pub use dial_error::{DialError, Distrust, Permanence, RefusedHandshake};
pub use driver::{
    DropError, EpochBehind, ForgetError, GroupState, GroupStatus, Happening, Node, NodeOptions,
    PeerReport, Policy, StartError, Status, Unseen, forget,
};
pub use endpoint::{BindError, Endpoint, EndpointOptions};
pub use limits::{Congestion, Limits};
pub use link::{Dialler, Link, LinkFigures, LinkId};
pub use socket::SocketBuffers;
pub use tls::ALPN;
