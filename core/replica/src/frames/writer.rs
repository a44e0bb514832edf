//! Sends frames: a task and a short queue per channel, so that a channel that is held back holds no other.
//!
//! The task, and not the caller, writes to the stream: a caller that gives up half-way leaves no half frame behind.

use super::{Channel, LENGTH_LEN};
use crate::close::LinkEnd;
use crate::link::Core;
use bytes::{BufMut, Bytes, BytesMut};
use quinn::SendStream;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Frames that wait per channel beside the one that is being written.
const QUEUE: usize = 1;
/// Below this a frame is copied behind its length, which is cheaper than a second piece.
const SMALL: usize = 4 << 10;

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
        let mut queues = self.core.writers.queues();
        let queues = queues.as_mut().ok_or_else(|| self.closed())?;
        Ok(match queues.entry(channel) {
            Entry::Occupied(queue) => queue.get().clone(),
            Entry::Vacant(place) => {
                let (queue, commands) = mpsc::channel(QUEUE);
                tokio::spawn(write_channel(Arc::clone(&self.core), channel, commands));
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

/// The queues of the channels that we opened; `None` after the link ended.
#[derive(Debug)]
pub(crate) struct Writers(Mutex<Option<HashMap<Channel, mpsc::Sender<Command>>>>);

impl Writers {
    pub(crate) fn new() -> Self {
        Writers(Mutex::new(Some(HashMap::new())))
    }

    /// No frame is taken any more; what waits is dropped with the connection.
    pub(crate) fn close(&self) {
        *self.queues() = None;
    }

    fn remove(&self, channel: Channel) -> Option<mpsc::Sender<Command>> {
        self.queues().as_mut()?.remove(&channel)
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Option<HashMap<Channel, mpsc::Sender<Command>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) enum Command {
    /// Nothing but the header: the peer learns that the channel is open.
    Open,
    Frame(Bytes),
    Finish(oneshot::Sender<()>),
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

async fn write_channel(core: Arc<Core>, channel: Channel, mut commands: mpsc::Receiver<Command>) {
    // An error is the end of the connection, or a peer that refuses a stream, which none of ours does.
    if write_commands(&core, channel, &mut commands).await.is_err() {
        core.writers.remove(channel);
    }
}

async fn write_commands(
    core: &Core,
    channel: Channel,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<(), Ended> {
    let mut stream = core.connection.open_uni().await.map_err(|_| Ended)?;
    stream.set_priority(channel.priority()).map_err(|_| Ended)?;
    stream.write_all(&channel.header()).await.map_err(|_| Ended)?;
    core.traffic.sent(channel.header().len());
    while let Some(command) = commands.recv().await {
        match command {
            Command::Open => {}
            Command::Frame(frame) => {
                let len = frame.len() + LENGTH_LEN;
                write_frame(&mut stream, frame).await?;
                core.traffic.sent(len);
                core.traffic.frame_sent();
            }
            Command::Finish(done) => {
                stream.finish().map_err(|_| Ended)?;
                if let Ok(None) = stream.stopped().await {
                    // Whoever finishes may have gone.
                    let _ = done.send(());
                }
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn write_frame(stream: &mut SendStream, frame: Bytes) -> Result<(), Ended> {
    let length = u32::try_from(frame.len()).map_err(|_| Ended)?.to_le_bytes();
    if frame.len() <= SMALL {
        let mut whole = BytesMut::with_capacity(LENGTH_LEN + frame.len());
        whole.put_slice(&length);
        whole.put_slice(&frame);
        return stream.write_chunk(whole.freeze()).await.map_err(|_| Ended);
    }
    let mut pieces = [Bytes::copy_from_slice(&length), frame];
    stream.write_all_chunks(&mut pieces).await.map_err(|_| Ended)
}

/// The stream takes nothing more. The connection knows why.
struct Ended;
