//! A peer with a key that is trusted, and no manners.

use crate::common::{Pair, identity, options, pins, raw, soon, until};
use std::time::Duration;
use tidelog_replica::frames::{Channel, Violation};
use tidelog_replica::{ALPN, CloseCode, Counters, Endpoint, Limits, Link, LinkEnd};

/// A store, the link that it accepted, and the peer's bare connection.
struct Scene {
    store: Endpoint,
    link: Link,
    peer: quinn::Connection,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let (key, own) = (identity(0xa), identity(0xb));
        let mut options = options(&own, pins(&[("a", &key)]));
        options.limits = limits;
        let store = Endpoint::bind(options).unwrap();
        let both = async { tokio::join!(raw(Some(&key), ALPN, &store), store.accept()) };
        let (peer, link) = soon(both).await;
        Scene { link: link.unwrap(), peer: peer.unwrap(), store }
    }

    async fn send(&self, bytes: &[u8]) -> quinn::SendStream {
        let mut stream = soon(self.peer.open_uni()).await.unwrap();
        soon(stream.write_all(bytes)).await.unwrap();
        stream
    }

    /// The link ends with this violation on our side, and its code on the peer's.
    async fn ends(&self, expected: Violation) -> Counters {
        let end = soon(self.link.ended()).await;
        assert!(matches!(end, LinkEnd::Violation(found) if found == expected), "{end}");
        let error = soon(self.peer.closed()).await;
        match error {
            quinn::ConnectionError::ApplicationClosed(close) => {
                assert_eq!(CloseCode(close.error_code.into_inner() as u32), expected.code());
            }
            // Heard too late on a busy machine.
            quinn::ConnectionError::Reset => {}
            other => panic!("{other}"),
        }
        assert!(soon(self.link.recv()).await.is_none());
        self.store.counters()
    }
}

fn framed(channel: Channel, len: u32, payload: &[u8]) -> Vec<u8> {
    [&channel.header()[..], &len.to_le_bytes(), payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_channel_ends_the_link() {
    for header in [[0, 0, 0, 0, 0], [5, 1, 0, 0, 0], [1, 9, 0, 0, 0], *b"GET /"] {
        let scene = Scene::new().await;
        let _stream = scene.send(&header).await;
        let id = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        let counters = scene.ends(Violation::UnknownChannel { kind: header[0], id }).await;
        assert_eq!(counters.unknown_channels, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_too_long_ends_the_link_before_memory_is_taken() {
    for channel in [Channel::Control, Channel::Tail, Channel::Session(4), Channel::Bulk(9)] {
        for len in [channel.frame_bytes_max() + 1, u32::MAX] {
            let scene = Scene::new().await;
            let _stream = scene.send(&framed(channel, len, b"")).await;
            let counters = scene.ends(Violation::FrameTooLong { channel, len }).await;
            assert_eq!(counters.frames_too_long, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_inside_a_frame_or_header_ends_the_link() {
    let channel = Channel::Session(4);
    let whole = framed(channel, 3, b"abc");
    for cut in [1, 4, 6, 8, 9, 11] {
        let scene = Scene::new().await;
        let mut stream = scene.send(&whole[..cut]).await;
        stream.finish().unwrap();
        let known = (cut >= 5).then_some(channel);
        let counters = scene.ends(Violation::Truncated { channel: known }).await;
        assert_eq!(counters.truncated, 1);
    }
    let scene = Scene::new().await;
    let mut stream = scene.send(&whole[..10]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.reset(0_u8.into()).unwrap();
    scene.ends(Violation::Truncated { channel: Some(channel) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stream_of_an_open_channel_ends_the_link() {
    for channel in [Channel::Control, Channel::Bulk(7)] {
        let scene = Scene::new().await;
        let _first = scene.send(&framed(channel, 1, b"x")).await;
        until("the first is read", || scene.link.figures().frames_received == 1).await;
        let (got, frame) = soon(scene.link.recv()).await.unwrap();
        assert_eq!((got, &frame[..]), (channel, &b"x"[..]));
        let _second = scene.send(&channel.header()).await;
        let counters = scene.ends(Violation::DuplicateChannel { channel }).await;
        assert_eq!(counters.duplicate_channels, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_channels_are_not_opened_and_bidirectional_ones_never() {
    let scene = Scene::new().await;
    let mut streams = Vec::new();
    for id in 0..66 {
        streams.push(scene.send(&Channel::Bulk(id).header()).await);
    }
    let wait = Duration::from_millis(300);
    assert!(tokio::time::timeout(wait, scene.peer.open_uni()).await.is_err());
    assert!(tokio::time::timeout(wait, scene.peer.open_bi()).await.is_err());
    assert!(scene.peer.max_datagram_size().is_none());
    until("those beyond 32 wait", || scene.store.counters().channels_held == 34).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_announced_and_never_sent_takes_nothing_from_others() {
    let scene = Scene::new().await;
    let _tail = scene.send(&framed(Channel::Tail, Channel::Tail.frame_bytes_max(), b"x")).await;
    let _bulk =
        scene.send(&framed(Channel::Bulk(1), Channel::Bulk(1).frame_bytes_max(), b"")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _control = scene.send(&framed(Channel::Control, 2, b"hi")).await;
    let (channel, frame) = soon(scene.link.recv()).await.unwrap();
    assert_eq!((channel, &frame[..]), (Channel::Control, &b"hi"[..]));
    assert_eq!(scene.link.figures().unread_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_a_peer_without_manners_is_held_in_bounded_memory() {
    let scene = Scene::new().await;
    let mut floods = Vec::new();
    // Everything at once, in all kinds, in frames of all lengths that are allowed.
    let kinds = [
        Channel::Control,
        Channel::Tail,
        Channel::Session(1),
        Channel::Session(2),
        Channel::Bulk(1),
    ];
    for (channel, len) in kinds.into_iter().zip([0, 5 << 20, 1 << 20, 1, 1 << 20]) {
        let mut stream = scene.send(&channel.header()).await;
        let frame = framed(channel, len, &vec![1; len as usize])[5..].repeat(if len < 2 {
            9999
        } else {
            1
        });
        floods.push(tokio::spawn(async move { while stream.write_all(&frame).await.is_ok() {} }));
    }
    let limits = Limits::default();
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let figures = scene.link.figures();
        // The budget, and a frame of the tail that is longer than its share.
        let bound = u64::from(limits.unread_bytes) + (5 << 20);
        assert!(figures.unread_bytes <= bound, "{figures:?}");
        if figures.bytes_received == before {
            break;
        }
        before = figures.bytes_received;
    }
    assert!(before < 32 << 20, "{before}");
    let udp = scene.link.figures().udp_bytes_received;
    assert!(udp < 2 * u64::from(limits.receive_window), "QUIC took {udp} bytes that nobody reads");
    floods.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_packets_changes_nothing() {
    let pair = Pair::new().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut bytes = vec![0; 1400];
    for number in 0_u32..2000 {
        let hash = blake3::hash(&number.to_le_bytes());
        blake3::Hasher::new_keyed(hash.as_bytes()).finalize_xof().fill(&mut bytes);
        let len = 1 + number as usize % 1400;
        // Half of them look like the first packet of a connection.
        bytes[0] |= if number % 2 == 0 { 0xc0 } else { 0 };
        bytes[1..5.min(len).max(1)].copy_from_slice(&1_u32.to_be_bytes()[..5.min(len).max(1) - 1]);
        socket.send_to(&bytes[..len], pair.b.local_address()).await.unwrap();
    }
    let sender = pair.from_a.sender();
    soon(sender.send(Channel::Tail, bytes::Bytes::from_static(b"fine"))).await.unwrap();
    assert_eq!(&soon(pair.from_b.recv()).await.unwrap().1[..], b"fine");
    assert_eq!(pair.b.counters().links_accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_diallers_prove_their_address_and_beyond_it_they_are_refused() {
    let (key, own) = (identity(0xa), identity(0xb));
    let mut options = options(&own, pins(&[("a", &key)]));
    options.limits.handshakes_unproven = 0;
    let store = Endpoint::bind(options.clone()).unwrap();
    let peer = soon(raw(Some(&key), ALPN, &store)).await.unwrap();
    soon(store.accept()).await.unwrap();
    assert_eq!(store.counters().retries, 1);
    drop(peer);
    options.limits.handshakes = 0;
    let store = Endpoint::bind(options).unwrap();
    assert!(soon(raw(Some(&key), ALPN, &store)).await.is_err());
    assert_eq!(store.counters().refused_busy, 1);
}
