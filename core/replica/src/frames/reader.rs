//! Reads the streams of a peer into the inbox: a task per stream, under the budget of its kind.

use super::{Channel, FrameDecoder, FrameError, FrameEvent, HEADER_LEN, Kind, Violation};
use crate::counters::bump;
use crate::limits::DATAGRAM_MAX;
use crate::link::Core;
use bytes::Bytes;
use quinn::{ReadError, ReadExactError, RecvStream};
use std::sync::{Arc, PoisonError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

/// Pieces taken from a stream at a time, each of a packet at most. While the first of them waits for room, the others are
/// memory: 286 KiB per stream.
const PIECES: usize = 32;
const _: () = assert!(PIECES * (DATAGRAM_MAX as usize) < 287 << 10);

/// Why a stream is not read on.
enum Stop {
    Violation(Violation),
    /// The link ended, or nobody reads.
    Ended,
}

/// Reads every stream until the connection ends, then what arrived of them, then tells the inbox.
pub(crate) async fn read_streams(core: Arc<Core>) {
    let mut readers = JoinSet::new();
    loop {
        tokio::select! {
            stream = core.connection.accept_uni() => match stream {
                Ok(stream) => {
                    readers.spawn(read_stream(Arc::clone(&core), stream));
                }
                Err(_) => break,
            },
            Some(_) = readers.join_next() => {}
        }
    }
    while readers.join_next().await.is_some() {}
    core.inbox.end(false);
}

async fn read_stream(core: Arc<Core>, mut stream: RecvStream) {
    if let Err(Stop::Violation(violation)) = read_channel(&core, &mut stream).await {
        core.violated(violation);
    }
}

async fn read_channel(core: &Arc<Core>, stream: &mut RecvStream) -> Result<(), Stop> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(_) | ReadExactError::ReadError(ReadError::Reset(_)) => {
            Stop::Violation(Violation::Truncated { channel: None })
        }
        ReadExactError::ReadError(_) => Stop::Ended,
    })?;
    core.traffic.received(HEADER_LEN);
    let channel = Channel::parse(header).map_err(Stop::Violation)?;
    let _open = Open::new(core, channel).map_err(Stop::Violation)?;
    if channel == Channel::Control {
        core.greeted();
    }
    let _slot = slot(core, channel).await?;
    read_frames(core, stream, channel).await
}

async fn read_frames(core: &Core, stream: &mut RecvStream, channel: Channel) -> Result<(), Stop> {
    let kind = Kind::from(channel);
    let mut decoder = FrameDecoder::new(channel.frame_bytes_max());
    let mut room = None;
    let truncated = || Stop::Violation(Violation::Truncated { channel: Some(channel) });
    let mut pieces: [Bytes; PIECES] = Default::default();
    loop {
        let count = match stream.read_chunks(&mut pieces).await {
            Ok(Some(count)) => count,
            Ok(None) => return decoder.end().map_err(|_| truncated()),
            Err(ReadError::Reset(_)) => return Err(truncated()),
            Err(_) => return Err(Stop::Ended),
        };
        for piece in pieces.iter_mut().take(count) {
            let piece = std::mem::take(piece);
            core.traffic.received(piece.len());
            let mut input = &piece[..];
            while let Some(event) = decoder.decode(&mut input).map_err(|error| match error {
                FrameError::TooLong { len, .. } => {
                    Stop::Violation(Violation::FrameTooLong { channel, len })
                }
                FrameError::Truncated => truncated(),
            })? {
                match event {
                    FrameEvent::Begins(len) => {
                        room = Some(core.inbox.room(kind, len).await.ok_or(Stop::Ended)?);
                    }
                    FrameEvent::Frame(frame) => {
                        core.traffic.frame_received();
                        core.inbox.push(channel, frame, room.take().ok_or(Stop::Ended)?);
                    }
                }
            }
        }
    }
}

/// Waits until fewer channels of the kind are read than are allowed.
async fn slot(core: &Core, channel: Channel) -> Result<Option<OwnedSemaphorePermit>, Stop> {
    let slots = match channel {
        Channel::Control | Channel::Tail => return Ok(None),
        Channel::Session(_) => &core.sessions,
        Channel::Bulk(_) => &core.bulks,
    };
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Ok(Some(slot));
    }
    bump(&core.counters.channels_held);
    // The semaphore never closes; the end of the connection ends the wait.
    tokio::select! {
        slot = Arc::clone(slots).acquire_owned() => slot.map(Some).map_err(|_| Stop::Ended),
        _ = core.connection.closed() => Err(Stop::Ended),
    }
}

/// A channel that is open, until its stream was read to its end.
struct Open<'a> {
    core: &'a Core,
    channel: Channel,
}

impl<'a> Open<'a> {
    fn new(core: &'a Core, channel: Channel) -> Result<Self, Violation> {
        let mut open = core.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.insert(channel) {
            return Err(Violation::DuplicateChannel { channel });
        }
        Ok(Open { core, channel })
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.core.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.channel);
    }
}
