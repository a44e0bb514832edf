//! Frames that pass, and frames that are held back.

use crate::common::{Pair, closed_with, soon, until};
use bytes::Bytes;
use std::time::Duration;
use tidelog_replica::frames::{Channel, SendError};
use tidelog_replica::{CloseCode, Dialler, Limits, LinkEnd};

const CHANNELS: [Channel; 5] = [
    Channel::Control,
    Channel::Tail,
    Channel::Session(1),
    Channel::Session(u32::MAX),
    Channel::Bulk(0),
];

/// A frame whose bytes tell which one it is.
fn numbered(channel: Channel, number: u32, len: usize) -> Bytes {
    let seed = blake3::hash(format!("{channel} {number}").as_bytes());
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_whole_and_in_order_on_every_channel_in_both_directions() {
    let pair = Pair::new().await;
    assert_eq!((pair.from_a.dialler(), pair.from_b.dialler()), (Dialler::Us, Dialler::Peer));
    assert_eq!(pair.from_a.peer().store, pair.key_b.store());
    assert_eq!(pair.from_b.peer().fingerprint, pair.key_a.fingerprint());
    let lens = [0, 1, 4095, 4096, 4097, 65_536];
    for (from, to) in [(&pair.from_a, &pair.from_b), (&pair.from_b, &pair.from_a)] {
        for channel in CHANNELS {
            let sender = from.sender();
            tokio::spawn(async move {
                for (number, len) in lens.into_iter().enumerate() {
                    let frame = numbered(channel, number as u32, len);
                    sender.send(channel, frame).await.unwrap();
                }
                sender.finish(channel).await.unwrap();
            });
        }
        let mut next = [0; CHANNELS.len()];
        for _ in 0..CHANNELS.len() * lens.len() {
            let (channel, frame) = soon(to.recv()).await.unwrap();
            let at = CHANNELS.iter().position(|c| *c == channel).unwrap();
            assert_eq!(frame[..], numbered(channel, next[at], lens[next[at] as usize])[..]);
            assert_eq!(frame.as_ptr() as usize % 16, 0);
            next[at] += 1;
        }
    }
    let bytes = CHANNELS.len() * (5 + lens.iter().map(|len| len + 4).sum::<usize>());
    let figures = pair.from_b.figures();
    assert_eq!(figures.bytes_received, bytes as u64);
    assert_eq!(figures.frames_received, (CHANNELS.len() * lens.len()) as u64);
    assert_eq!(pair.from_a.figures().bytes_sent, bytes as u64);
    assert!(figures.udp_bytes_received > figures.bytes_received && figures.rtt > Duration::ZERO);
    assert_eq!(figures.unread_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_frames_pass_and_longer_ones_are_not_sent() {
    let pair = Pair::new().await;
    let sender = pair.from_a.sender();
    for channel in CHANNELS {
        let longest = channel.frame_bytes_max() as usize;
        let error = sender.send(channel, vec![0; longest + 1].into()).await.unwrap_err();
        assert!(matches!(error, SendError::TooLong { len, .. } if len == longest + 1), "{error}");
        let frame = numbered(channel, 0, longest);
        sender.send(channel, frame.clone()).await.unwrap();
        let (from, got) = soon(pair.from_b.recv()).await.unwrap();
        assert!(from == channel && got[..] == frame[..], "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_nobody_reads_is_held_back_and_control_passes_it() {
    let pair = Pair::new().await;
    let sender = pair.from_a.sender();
    let flood = sender.clone();
    let bulk = Channel::Bulk(1);
    let frame = Bytes::from(vec![7; 1 << 20]);
    tokio::spawn(async move { while flood.send(bulk, frame.clone()).await.is_ok() {} });
    let mut before = u64::MAX;
    let limits = Limits::default();
    let bulk_share = u64::from(limits.unread_bytes) / 4;
    let ahead = u64::from(limits.stream_window) + u64::from(limits.send_window);
    // Held back: nothing more is taken for a while.
    let figures = loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = pair.from_a.figures().bytes_sent;
        let figures = pair.from_b.figures();
        assert!(figures.unread_bytes <= bulk_share + (1 << 20), "{figures:?}");
        assert!(now <= bulk_share + (2 << 20) + ahead, "{now}");
        if now == before {
            break figures;
        }
        before = now;
    };
    assert!(before > u64::from(limits.stream_window) / 2, "the window was not used: {before}");
    soon(sender.send(Channel::Control, Bytes::from_static(b"alive"))).await.unwrap();
    until("control passes", || pair.from_b.figures().frames_received > figures.frames_received)
        .await;
    let (channel, frame) = soon(pair.from_b.recv()).await.unwrap();
    assert_eq!((channel, &frame[..]), (Channel::Control, &b"alive"[..]));
    // Read again, the flood goes on.
    for _ in 0..100 {
        assert_eq!(soon(pair.from_b.recv()).await.unwrap().0, bulk);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_beyond_what_is_read_at_a_time_wait_and_lose_nothing() {
    let mut limits = Limits::default();
    (limits.sessions, limits.bulks) = (4, 4);
    let pair = Pair::with(limits).await;
    let sender = pair.from_a.sender();
    let mut tasks = Vec::new();
    for id in 0..10 {
        let sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            sender.send(Channel::Session(id), Bytes::from_static(b"x")).await.unwrap();
        }));
    }
    until("four are read", || pair.from_b.figures().frames_received == 4).await;
    until("others wait", || pair.b.counters().channels_held > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pair.from_b.figures().frames_received, 4);
    // Control was open before them, so they cannot take its place.
    sender.send(Channel::Control, Bytes::from_static(b"c")).await.unwrap();
    for task in tasks {
        soon(task).await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..11 {
        let (channel, _) = soon(pair.from_b.recv()).await.unwrap();
        seen.push(channel);
        soon(sender.finish(channel)).await.unwrap();
    }
    seen.sort();
    assert_eq!(seen[0], Channel::Control);
    assert_eq!(seen[1..], (0..10).map(Channel::Session).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_is_given_up_leaves_no_half_frame() {
    let pair = Pair::new().await;
    let sender = pair.from_a.sender();
    let channel = Channel::Session(1);
    let mut whole = 0;
    for number in 0..200 {
        let frame = numbered(channel, 0, 1 << 20);
        let send = sender.send(channel, frame);
        let wait = Duration::from_micros(number * 50);
        whole += usize::from(tokio::time::timeout(wait, send).await.is_ok());
    }
    assert!(whole < 200, "nothing was given up");
    let finished = tokio::spawn(async move { sender.finish(channel).await });
    for _ in 0..whole {
        let (_, frame) = soon(pair.from_b.recv()).await.unwrap();
        assert_eq!(frame[..], numbered(channel, 0, 1 << 20)[..]);
    }
    soon(finished).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_finished_before_a_close_is_read_after_it() {
    let pair = Pair::new().await;
    let sender = pair.from_a.sender();
    // More than the budget of unread frames: a part of it waits inside QUIC.
    for number in 0..20 {
        sender.send(Channel::Tail, numbered(Channel::Tail, number, 500_000)).await.unwrap();
    }
    soon(sender.finish(Channel::Tail)).await.unwrap();
    pair.from_a.close(CloseCode(0x123), "enough");
    let end = soon(pair.from_b.ended()).await;
    assert!(closed_with(&end, CloseCode(0x123)), "{end}");
    for number in 0..20 {
        let (_, frame) = soon(pair.from_b.recv()).await.expect("it was received before the close");
        assert_eq!(frame[..], numbered(Channel::Tail, number, 500_000)[..]);
    }
    assert!(soon(pair.from_b.recv()).await.is_none());
    let error = sender.send(Channel::Tail, Bytes::new()).await.unwrap_err();
    assert!(error.to_string().contains("dial again"), "{error}");
    assert!(matches!(soon(pair.from_a.ended()).await, LinkEnd::ByUs));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_link_and_a_closed_endpoint_end_the_other_side() {
    let Pair { a, b, from_a, from_b, .. } = Pair::new().await;
    let to = crate::common::address(&b);
    let (mut from_a, mut from_b) = (from_a, from_b);
    // A close is one packet, and a busy machine drops packets even of its loopback: the idle time is what always ends a link.
    for attempt in 1.. {
        drop(from_a);
        let heard = tokio::time::timeout(Duration::from_secs(4), from_b.ended()).await;
        let next = soon(async { tokio::join!(a.dial("b", &to), b.accept()) }).await;
        (from_a, from_b) = (next.0.unwrap(), next.1.unwrap());
        match heard {
            Ok(end) => {
                assert!(closed_with(&end, CloseCode::DONE), "{end}");
                break;
            }
            Err(_) => assert!(attempt < 3, "nobody heard of three links that were dropped"),
        }
    }
    soon(b.close()).await;
    let end = soon(from_a.ended()).await;
    assert!(closed_with(&end, CloseCode::SHUTDOWN), "{end}");
    assert!(matches!(soon(from_b.ended()).await, LinkEnd::ByUs));
    assert!(soon(b.accept()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_a_bounded_number_of_links_and_gets_its_place_back() {
    let mut limits = Limits::default();
    limits.links_per_peer = 2;
    let pair = Pair::with(limits).await;
    let to = crate::common::address(&pair.b);
    let second = soon(pair.a.dial("b", &to)).await.unwrap();
    let error = soon(pair.a.dial("b", &to)).await.unwrap_err();
    assert!(error.to_string().contains("enough links"), "{error}");
    drop(second);
    // Both sides give the place back when they heard of the end.
    soon(async {
        while pair.a.dial("b", &to).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// What quinn gives the kernel at a time must be no more than UDP carries: such batches are lost in silence, and then the path
/// counts as one that takes small packets alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_busy_keeps_its_large_packets() {
    let pair = Pair::new().await;
    let sender = pair.from_a.sender();
    let frame = numbered(Channel::Tail, 0, 1 << 20);
    tokio::spawn(async move {
        for _ in 0..64 {
            sender.send(Channel::Tail, frame.clone()).await.unwrap();
        }
        sender.finish(Channel::Tail).await.unwrap();
    });
    for _ in 0..64 {
        soon(pair.from_b.recv()).await.unwrap();
    }
    let figures = pair.from_a.figures();
    assert!(figures.datagram_bytes > 6_000, "{figures:?}");
}
