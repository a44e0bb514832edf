//! Sends frames: a short queue per channel, so that a channel that is held back holds no other.
//!
//! The link's task, and not the caller, writes to the streams: a caller that gives up half-way leaves no half frame behind.

use super::Channel;
use super::scheduler::{Command, Outgoing};
use crate::close::LinkEnd;
use crate::link::Core;
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Frames that wait per channel beside the one that is being written.
const QUEUE: usize = 1;

/// Sends frames over a link. Cheap to clone; outlives the link as an error.
#[derive(Clone)]
pub struct Sender {
    core: Arc<Core>,
}

impl Sender {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Sender { core }
    }

    /// Sends a frame. Opens the channel if it is not open. Frames of one channel arrive in the order in which their
    /// sending was begun by one caller.
    ///
    /// Waits while the peer does not read this channel; never for another channel. Returning says that the frame waits or
    /// is on its way, not that it arrived. Dropping the future before it returns sends the whole frame or nothing.
    ///
    /// # Errors
    /// [`SendError::TooLong`] and nothing else happened; [`SendError::Closed`] when the link ended.
    pub async fn send(&self, channel: Channel, frame: Bytes) -> Result<(), SendError> {
        if u32::try_from(frame.len()).map_or(true, |len| len > channel.frame_bytes_max()) {
            return Err(SendError::TooLong { channel, len: frame.len() });
        }
        let queue = self.queue(channel)?;
        queue.send(Command::Frame(frame)).await.map_err(|_| self.closed().into())
    }

    /// Ends a channel: waits until all that was sent over it was received by the peer's machine (not read), and frees
    /// its place. Does nothing when it is not open. An id should not be used again on this link.
    ///
    /// # Errors
    /// [`Closed`] when the link ended before: the peer may not have everything.
    pub async fn finish(&self, channel: Channel) -> Result<(), Closed> {
        let Some(queue) = self.core.writers.remove(channel) else { return Ok(()) };
        let (done, finished) = oneshot::channel();
        queue.send(Command::Finish(done)).await.map_err(|_| self.closed())?;
        finished.await.map_err(|_| self.closed())
    }

    /// Waits until the link ended, and says why.
    pub async fn ended(&self) -> LinkEnd {
        self.core.connection.closed().await;
        self.core.end()
    }

    fn queue(&self, channel: Channel) -> Result<mpsc::Sender<Command>, Closed> {
        let mut open = self.core.writers.lock();
        let open = open.as_mut().ok_or_else(|| self.closed())?;
        Ok(match open.queues.entry(channel) {
            Entry::Occupied(queue) => queue.get().clone(),
            Entry::Vacant(place) => {
                let (queue, commands) = mpsc::channel(QUEUE);
                let outgoing = Outgoing::new(channel, self.core.connection.clone(), commands);
                open.opened.send(outgoing).map_err(|_| self.closed())?;
                place.insert(queue).clone()
            }
        })
    }

    fn closed(&self) -> Closed {
        Closed { end: Box::new(self.core.end()) }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("link", &self.core.id).finish_non_exhaustive()
    }
}

/// The channels that we opened; none after the link ended.
#[derive(Debug)]
pub(crate) struct Writers(Mutex<Option<OpenQueues>>);

#[derive(Debug)]
struct OpenQueues {
    queues: HashMap<Channel, mpsc::Sender<Command>>,
    opened: mpsc::UnboundedSender<Outgoing>,
}

impl Writers {
    /// And where the channels come out that are opened.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Outgoing>) {
        let (opened, channels) = mpsc::unbounded_channel();
        let open = OpenQueues { queues: HashMap::new(), opened };
        (Writers(Mutex::new(Some(open))), channels)
    }

    /// No frame is taken any more; what waits is dropped with the connection.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    pub(super) fn remove(&self, channel: Channel) -> Option<mpsc::Sender<Command>> {
        self.lock().as_mut()?.queues.remove(&channel)
    }

    fn lock(&self) -> MutexGuard<'_, Option<OpenQueues>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a frame was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel does not take frames of this length.
    #[error("a frame of {len} bytes is too long for {channel}, which takes {}: cut it", .channel.frame_bytes_max())]
    TooLong {
        /// The channel.
        channel: Channel,
        /// The frame's length.
        len: usize,
    },
    /// The link ended.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The link ended.
#[derive(Debug, thiserror::Error)]
#[error("the link has ended ({end}): dial again")]
pub struct Closed {
    /// Why.
    pub end: Box<LinkEnd>,
}

/// Opens the control channel, so that the peer knows that it is accepted.
pub(crate) async fn greet(core: &Arc<Core>) {
    if let Ok(queue) = Sender::new(Arc::clone(core)).queue(Channel::Control) {
        // An error says that the link ended, which whoever greets finds out anyway.
        let _ = queue.send(Command::Open).await;
    }
}
