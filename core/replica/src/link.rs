//! A link: one authenticated connection to a peer, with its channels.

use crate::clock;
use crate::close::{CloseCode, LinkEnd};
use crate::counters::{Live, bump};
use crate::frames::{
    Channel, FrameBytes, Inbox, Kind, Sender, Violation, Writers, greet, read_streams,
    write_channels,
};
use crate::limits::Limits;
use crate::trust::{Peer, Refusal, Side, Trust};
use quinn::Connection;
use rustls::pki_types::CertificateDer;
use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How often an open link's certificate is looked at, beside each change of the pins.
const RECHECK: Duration = Duration::from_secs(5);

/// A link's number, unique in its endpoint and never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// Which side began a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dialler {
    /// We did.
    Us,
    /// The peer did.
    Peer,
}

/// One authenticated connection to a peer. Dropped, it is closed.
pub struct Link {
    core: Arc<Core>,
}

impl Link {
    /// The next frame that arrived, highest priority first, in order inside a channel; `None` when the link ended and
    /// all that arrived was read.
    ///
    /// Frames that are not read are held in bounded memory, and then the peer is held back. Several callers share the
    /// frames. Dropping the future loses no frame.
    pub async fn recv(&self) -> Option<(Channel, FrameBytes)> {
        self.core.inbox.pop().await
    }

    /// Sends frames over this link.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender::new(Arc::clone(&self.core))
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.core.id
    }

    /// Who dialled.
    #[must_use]
    pub fn dialler(&self) -> Dialler {
        self.core.dialler
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.core.peer
    }

    /// What passed so far, and how the path is.
    #[must_use]
    pub fn figures(&self) -> LinkFigures {
        let stats = self.core.connection.stats();
        let traffic = &self.core.traffic;
        LinkFigures {
            remote: self.core.connection.remote_address(),
            rtt: self.core.connection.rtt(),
            frames_sent: traffic.frames_sent.load(Ordering::Relaxed),
            frames_received: traffic.frames_received.load(Ordering::Relaxed),
            bytes_sent: traffic.bytes_sent.load(Ordering::Relaxed),
            bytes_received: traffic.bytes_received.load(Ordering::Relaxed),
            udp_bytes_sent: stats.udp_tx.bytes,
            udp_bytes_received: stats.udp_rx.bytes,
            packets_lost: stats.path.lost_packets,
            window_bytes: stats.path.cwnd,
            datagram_bytes: stats.path.current_mtu,
            unread_bytes: self.core.inbox.unread_bytes(),
        }
    }

    /// Closes the link at once. What is on its way may be lost: [`Sender::finish`] what has to arrive. A peer that misses the
    /// close, which is a packet, notices after [`Limits::idle`]. Codes from [`CloseCode::FIRST_OF_PROTOCOL`] on are the
    /// protocol's.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.core.close(LinkEnd::ByUs, code, reason);
    }

    /// Waits until the link ended, and says why.
    pub async fn ended(&self) -> LinkEnd {
        self.core.connection.closed().await;
        self.core.end()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.core.close(LinkEnd::ByUs, CloseCode::DONE, "");
        self.core.inbox.end(true);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.core.id)
            .field("peer", &self.core.peer)
            .field("dialler", &self.core.dialler)
            .finish_non_exhaustive()
    }
}

/// What passed over a link since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LinkFigures {
    /// The peer's address now; it may move.
    pub remote: SocketAddr,
    /// The path's round trip, smoothed.
    pub rtt: Duration,
    /// Frames given to the transport.
    pub frames_sent: u64,
    /// Whole frames that arrived.
    pub frames_received: u64,
    /// Bytes of channels, headers and lengths included, given to the transport. Without QUIC's own and repetitions.
    pub bytes_sent: u64,
    /// Bytes of channels taken from the transport.
    pub bytes_received: u64,
    /// Bytes of UDP sent, all included.
    pub udp_bytes_sent: u64,
    /// Bytes of UDP received, all included.
    pub udp_bytes_received: u64,
    /// Packets that were lost and sent again.
    pub packets_lost: u64,
    /// Bytes that may be on their way at a time, by what the path was found to take.
    pub window_bytes: u64,
    /// The largest UDP payload that the path is known to take.
    pub datagram_bytes: u16,
    /// Bytes of whole frames that wait to be read.
    pub unread_bytes: u64,
}

/// What a link's tasks share.
pub(crate) struct Core {
    pub(crate) connection: Connection,
    pub(crate) id: LinkId,
    pub(crate) inbox: Inbox,
    pub(crate) traffic: Traffic,
    pub(crate) writers: Writers,
    pub(crate) open: Mutex<HashSet<Channel>>,
    pub(crate) sessions: Arc<Semaphore>,
    pub(crate) bulks: Arc<Semaphore>,
    pub(crate) counters: Arc<Live>,
    dialler: Dialler,
    peer: Peer,
    chain: Vec<CertificateDer<'static>>,
    greeted: watch::Sender<bool>,
    end: OnceLock<LinkEnd>,
}

/// A connection whose peer was judged, before it is a link.
pub(crate) struct Judged {
    pub(crate) connection: Connection,
    pub(crate) id: LinkId,
    pub(crate) dialler: Dialler,
    pub(crate) peer: Peer,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Judged {
    /// Starts the link's tasks and opens the control channel.
    pub(crate) async fn start(
        self,
        limits: &Limits,
        trust: Arc<Trust>,
        counters: Arc<Live>,
    ) -> Link {
        let (writers, opened) = Writers::new();
        let core = Arc::new(Core {
            connection: self.connection,
            id: self.id,
            inbox: Inbox::new(limits.unread_bytes),
            traffic: Traffic::default(),
            writers,
            open: Mutex::default(),
            sessions: Arc::new(Semaphore::new(limits.channels(Kind::Session))),
            bulks: Arc::new(Semaphore::new(limits.channels(Kind::Bulk))),
            counters,
            dialler: self.dialler,
            peer: self.peer,
            chain: self.chain,
            greeted: watch::Sender::new(false),
            end: OnceLock::new(),
        });
        tokio::spawn(read_streams(Arc::clone(&core)));
        tokio::spawn(write_channels(Arc::clone(&core), opened));
        tokio::spawn(watch_trust(Arc::clone(&core), trust));
        greet(&core).await;
        Link { core }
    }
}

impl Link {
    /// Waits until the peer opened its control channel, which says that it accepted us; the connection's end is an error.
    pub(crate) async fn accepted(&self) -> Result<(), quinn::ConnectionError> {
        let mut greeted = self.core.greeted.subscribe();
        tokio::select! {
            biased;
            Ok(_) = greeted.wait_for(|greeted| *greeted) => Ok(()),
            error = self.core.connection.closed() => Err(error),
        }
    }

    /// Why it ended, when it has.
    pub(crate) fn end(&self) -> LinkEnd {
        self.core.end()
    }
}

impl Core {
    /// The peer opened its control channel.
    pub(crate) fn greeted(&self) {
        self.greeted.send_replace(true);
    }

    pub(crate) fn violated(&self, violation: Violation) {
        if self.end.set(LinkEnd::Violation(violation)).is_ok() {
            self.counters.violation(&violation);
            tracing::warn!(peer = %self.peer.name, %violation, "link closed: the peer broke the transport's rules");
        }
        self.connection.close(violation.code().var(), violation.to_string().as_bytes());
        self.writers.close();
    }

    /// Why the link ended; what is known now if it did not.
    pub(crate) fn end(&self) -> LinkEnd {
        let known = self.end.get().cloned();
        let said = || self.connection.close_reason().map(|error| LinkEnd::of(&error));
        known.or_else(said).unwrap_or(LinkEnd::ByUs)
    }

    fn close(&self, end: LinkEnd, code: CloseCode, reason: &str) {
        if self.connection.close_reason().is_none() {
            // Whoever was first said why.
            let _ = self.end.set(end);
        }
        self.connection.close(code.var(), reason.as_bytes());
        self.writers.close();
    }

    fn distrusted(&self, refusal: Refusal) {
        bump(&self.counters.trust_ended);
        tracing::warn!(peer = %self.peer.name, %refusal, "link closed: the peer is not trusted any more");
        self.close(LinkEnd::TrustEnded(refusal), CloseCode::NOT_TRUSTED, "not trusted any more");
        // What it sent and nobody read is not trusted either.
        self.inbox.end(true);
    }
}

/// Looks at the peer's key and certificate as long as the link lives. Ends it when they are not trusted any more.
async fn watch_trust(core: Arc<Core>, trust: Arc<Trust>) {
    let mut pins = trust.changes();
    let theirs = match core.dialler {
        Dialler::Us => Side::Answers,
        Dialler::Peer => Side::Dials,
    };
    loop {
        let judged = trust.authenticate(&core.chain, theirs, clock::unix_now());
        let judged = judged.and_then(|peer| match peer.name == core.peer.name {
            true => trust.admit(&peer, None),
            false => {
                Err(Refusal::WrongPeer { found: peer.name, expected: Arc::clone(&core.peer.name) })
            }
        });
        if let Err(refusal) = judged {
            core.distrusted(refusal);
        }
        tokio::select! {
            _ = core.connection.closed() => break,
            // The sender of changes is in `trust`, which is held here.
            _ = pins.changed() => {}
            () = tokio::time::sleep(RECHECK) => {}
        }
    }
    core.writers.close();
}

/// What passed, in numbers.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    frames_sent: AtomicU64,
    frames_received: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Traffic {
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn frame_sent(&self) {
        self.frames_sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn frame_received(&self) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
    }
}
