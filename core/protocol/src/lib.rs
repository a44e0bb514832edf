//! How Tidelog's replicas find their differences and repair them: decisions only.
//!
//! [`Node`] is one store among its peers. It is told what happened and says what to do; it reads no clock, file or
//! socket, and stores nothing: what it knows after a restart it asks of its store. [`compare`] is the descent of two
//! trees, a pure function of what was said and what a store answers. WIRE.md specifies every message.

#![no_std]
extern crate alloc;

mod ask;
pub mod compare;
mod event;
pub mod message;
mod node;
mod peer;
mod progress;
mod refusal;
mod session;
pub mod snapshot;
mod tail;
mod wire;

pub use ask::{Answer, Ask, AskId, Closed, Failure, FailureKind, Portion, View};
pub use event::{Event, PeerState, PeerStatus, Reason};
pub use message::{Channel, Part};
pub use node::{
    Config, Input, Lack, Me, Node, Now, Output, PolicyConfig, PolicyState, PolicyStatus, RoundId,
};
pub use peer::LinkId;
pub use progress::Progress;
pub use refusal::{Refusal, RefusalKind};
pub use session::{Outcome, Report};
pub use wire::Malformed;
