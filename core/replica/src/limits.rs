//! Bounds of links and handshakes, and quinn told of all of them.

use crate::frames::Kind;
use quinn::congestion::{BbrConfig, CubicConfig};
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

/// Bounds of an endpoint. The defaults suit a link of 1 Gbit/s and 100 ms.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes per stream that a peer may send ahead of what is read. 16 MiB.
    pub stream_window: u32,
    /// Bytes per connection that a peer may send ahead of what is read. 64 MiB.
    pub receive_window: u32,
    /// Bytes per connection that we send ahead of what is acknowledged. 16 MiB.
    pub send_window: u32,
    /// Bytes of unread frames per link, plus one frame per kind of channel. 8 MiB.
    pub unread_bytes: u32,
    /// Open sessions per link and direction whose frames are read at a time. 32.
    pub sessions: u16,
    /// Open bulk channels per link and direction whose frames are read at a time. 32.
    pub bulks: u16,
    /// Links of one peer at a time; more are refused. 4: one, its successor while a broken one is not noticed yet, and as
    /// many dialled from the other side.
    pub links_per_peer: u16,
    /// A link that hears nothing for so long ends. 20 s.
    pub idle: Duration,
    /// An idle link says so often that it lives. 5 s.
    pub keep_alive: Duration,
    /// A handshake that takes longer is given up. 10 s.
    pub handshake: Duration,
    /// Handshakes at a time; more are refused. 64.
    pub handshakes: u16,
    /// From so many handshakes on, a dialler proves its address first (a QUIC Retry, one round trip). 16.
    pub handshakes_unproven: u16,
    /// Asked of the system for the socket, in each direction. 8 MiB.
    pub socket_bytes: u32,
    /// How much is sent at a time. Cubic.
    pub congestion: Congestion,
}

/// How a sender finds out how much the path takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Congestion {
    /// Goes by loss (RFC 9438): shares a path with TCP as TCP does, and is slow where packets are lost for other reasons
    /// than too much traffic.
    #[default]
    Cubic,
    /// Goes by the rate and the round trip that it measures (BBR version 1, draft-cardwell-iccrg-bbr-congestion-control-00).
    Bbr,
}

/// Packets that quinn hands to the kernel at a time, which cuts them apart (UDP segmentation offload).
const SEGMENTS: u16 = 10;

/// The largest UDP payload that is tried and taken. Paths that take less are found out by probes; fewer packets are less work. An
/// Ethernet jumbo frame has room for 8,952 bytes, but so many packets together may have no more than the 65,507 that UDP over IPv4
/// carries: the kernel refuses what is longer, quinn drops it in silence as if it were a probe, and after a few of these takes the path
/// for one that has stopped carrying large packets, for a minute.
pub(crate) const DATAGRAM_MAX: u16 = 65_507 / SEGMENTS;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            stream_window: 16 << 20,
            receive_window: 64 << 20,
            send_window: 16 << 20,
            unread_bytes: 8 << 20,
            sessions: 32,
            bulks: 32,
            links_per_peer: 4,
            idle: Duration::from_secs(20),
            keep_alive: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            handshakes: 64,
            handshakes_unproven: 16,
            socket_bytes: 8 << 20,
            congestion: Congestion::default(),
        }
    }
}

impl Limits {
    /// Channels of a kind that are read at a time.
    pub(crate) fn channels(&self, kind: Kind) -> usize {
        match kind {
            Kind::Control | Kind::Tail => 1,
            Kind::Session => usize::from(self.sessions),
            Kind::Bulk => usize::from(self.bulks),
        }
    }

    /// quinn's settings. Each that has a default is set, so that its defaults may change.
    pub(crate) fn transport(&self) -> Arc<TransportConfig> {
        let streams = 2 + u32::from(self.sessions) + u32::from(self.bulks);
        let mut transport = TransportConfig::default();
        let mut mtu = MtuDiscoveryConfig::default();
        mtu.upper_bound(DATAGRAM_MAX);
        transport
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.receive_window))
            .send_window(u64::from(self.send_window))
            .max_concurrent_uni_streams(VarInt::from_u32(streams))
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            // More than 2^62 ms are no time: without an idle timeout then.
            .max_idle_timeout(IdleTimeout::try_from(self.idle).ok())
            .keep_alive_interval(Some(self.keep_alive))
            .datagram_receive_buffer_size(None)
            .datagram_send_buffer_size(0)
            .send_fairness(true)
            .crypto_buffer_size(16 << 10)
            .mtu_discovery_config(Some(mtu));
        match self.congestion {
            Congestion::Cubic => {
                transport.congestion_controller_factory(Arc::new(CubicConfig::default()))
            }
            Congestion::Bbr => {
                transport.congestion_controller_factory(Arc::new(BbrConfig::default()))
            }
        };
        Arc::new(transport)
    }
}
