//! Gives frames to QUIC, highest priority first: one task per link.
//!
//! One, because what is sent and not acknowledged is bounded over all streams. Tasks that wait for room side by side are woken
//! together, and whoever runs first takes all of it: on a path of 2 MiB/s, control was seen to wait for half a minute behind three
//! bulk channels. Here whatever room there is, is offered to control first.

use super::{Channel, LENGTH_LEN};
use crate::link::Core;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{Connection, ConnectionError, SendStream};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{mpsc, oneshot};

/// Writes before other tasks of the runtime have their turn.
const TURNS: usize = 32;
/// Below this a frame is copied behind its length, which is cheaper than a second piece.
const SMALL: usize = 4 << 10;
/// A frame is given to QUIC in pieces of this size, for it counts a piece as sent when all of it is acknowledged: with pieces
/// of 1 MiB, room came so seldom that control waited for seconds.
const PIECE: usize = 32 << 10;
/// Pieces per write.
const PIECES: usize = 8;

/// What a channel is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Nothing but the header: the peer learns that the channel is open.
    Open,
    Frame(Bytes),
    /// End the stream, and say when the peer's machine has all of it.
    Finish(oneshot::Sender<()>),
}

/// A channel that we write.
pub(crate) struct Outgoing {
    channel: Channel,
    stream: Stream,
    commands: mpsc::Receiver<Command>,
    left: Left,
    in_frame: bool,
}

/// What is left of the frame that is being written.
struct Left {
    /// The channel's header, a length, or a small frame with its length.
    head: Bytes,
    payload: Bytes,
}

enum Stream {
    Opening(Pin<Box<dyn Future<Output = Result<SendStream, ConnectionError>> + Send + Sync>>),
    Open(SendStream),
}

/// What polling a channel came to.
enum Step {
    /// It gave something to QUIC.
    Wrote,
    /// It has nothing to give, or no room.
    Waits,
    /// It is over: finished, or the link ended.
    Ended,
}

/// Writes the channels that are opened until the link ends.
pub(crate) async fn write_channels(core: Arc<Core>, mut opened: mpsc::UnboundedReceiver<Outgoing>) {
    let mut channels: Vec<Outgoing> = Vec::new();
    poll_fn(|cx| {
        while let Poll::Ready(new) = opened.poll_recv(cx) {
            let Some(new) = new else { return Poll::Ready(()) };
            let at = channels.partition_point(|c| c.channel.priority() >= new.channel.priority());
            channels.insert(at, new);
        }
        for _ in 0..TURNS {
            ready!(turn(&core, &mut channels, cx));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// One write of the first channel that has something to write and room for it. Channels of one priority take turns.
fn turn(core: &Core, channels: &mut Vec<Outgoing>, cx: &mut Context<'_>) -> Poll<()> {
    for at in 0..channels.len() {
        match channels[at].step(core, cx) {
            Step::Waits => {}
            Step::Wrote => {
                let priority = channels[at].channel.priority();
                let equals = channels[at..].partition_point(|c| c.channel.priority() == priority);
                channels[at..at + equals].rotate_left(1);
                return Poll::Ready(());
            }
            Step::Ended => {
                channels.remove(at);
                return Poll::Ready(());
            }
        }
    }
    Poll::Pending
}

impl Outgoing {
    pub(super) fn new(
        channel: Channel,
        connection: Connection,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let opening = async move { connection.open_uni().await };
        Outgoing {
            channel,
            stream: Stream::Opening(Box::pin(opening)),
            commands,
            left: Left { head: Bytes::copy_from_slice(&channel.header()), payload: Bytes::new() },
            in_frame: false,
        }
    }

    fn step(&mut self, core: &Core, cx: &mut Context<'_>) -> Step {
        match self.poll(core, cx) {
            Poll::Pending => Step::Waits,
            Poll::Ready(Ok(true)) => Step::Wrote,
            Poll::Ready(Ok(false)) => Step::Ended,
            // The end of the link, or a peer that refuses a stream, which none of ours does.
            Poll::Ready(Err(Failed)) => {
                core.writers.remove(self.channel);
                Step::Ended
            }
        }
    }

    /// Writes once; `false` when the channel is finished.
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<Result<bool, Failed>> {
        loop {
            let stream = match &mut self.stream {
                Stream::Open(stream) => stream,
                Stream::Opening(opening) => {
                    let stream = ready!(opening.as_mut().poll(cx)).map_err(|_| Failed)?;
                    stream.set_priority(self.channel.priority()).map_err(|_| Failed)?;
                    self.stream = Stream::Open(stream);
                    continue;
                }
            };
            if !self.left.is_empty() {
                let (mut pieces, count) = self.left.pieces();
                // Dropped while it waits, it wrote nothing; the next poll goes on from here.
                let written = ready!(pin!(stream.write_chunks(&mut pieces[..count])).poll(cx));
                let written = written.map_err(|_| Failed)?.bytes;
                self.left.advance(written);
                core.traffic.sent(written);
                if self.in_frame && self.left.is_empty() {
                    self.in_frame = false;
                    core.traffic.frame_sent();
                }
                return Poll::Ready(Ok(true));
            }
            match ready!(self.commands.poll_recv(cx)) {
                Some(Command::Open) => {}
                Some(Command::Frame(frame)) => {
                    self.left = Left::frame(frame).ok_or(Failed)?;
                    self.in_frame = true;
                }
                Some(Command::Finish(done)) => {
                    stream.finish().map_err(|_| Failed)?;
                    let received = stream.stopped();
                    tokio::spawn(async move {
                        if let Ok(None) = received.await {
                            // Whoever finishes may have gone.
                            let _ = done.send(());
                        }
                    });
                    return Poll::Ready(Ok(false));
                }
                None => return Poll::Ready(Ok(false)),
            }
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// The stream takes nothing more. The connection knows why.
struct Failed;

impl Left {
    /// A frame behind its length; `None` when it has more bytes than a length can say.
    fn frame(frame: Bytes) -> Option<Self> {
        let length = u32::try_from(frame.len()).ok()?.to_le_bytes();
        if frame.len() > SMALL {
            return Some(Left { head: Bytes::copy_from_slice(&length), payload: frame });
        }
        let mut whole = BytesMut::with_capacity(LENGTH_LEN + frame.len());
        whole.put_slice(&length);
        whole.put_slice(&frame);
        Some(Left { head: whole.freeze(), payload: Bytes::new() })
    }

    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.payload.is_empty()
    }

    /// The next pieces, and how many there are.
    fn pieces(&self) -> ([Bytes; PIECES], usize) {
        let mut pieces: [Bytes; PIECES] = Default::default();
        let head = (!self.head.is_empty()).then(|| self.head.clone());
        let cuts = (0..self.payload.len()).step_by(PIECE);
        let payload = cuts.map(|at| {
            let end = (at + PIECE).min(self.payload.len());
            self.payload.slice(at..end)
        });
        let mut count = 0;
        for (place, piece) in pieces.iter_mut().zip(head.into_iter().chain(payload)) {
            *place = piece;
            count += 1;
        }
        (pieces, count)
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        self.payload.advance(written - of_head);
    }
}
