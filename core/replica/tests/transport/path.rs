//! Paths that are slow, cut, or lead nowhere.

use crate::common::{Pair, Relay, address, identity, options, pins, soon, until};
use bytes::Bytes;
use std::time::{Duration, Instant};
use tidelog_replica::frames::Channel;
use tidelog_replica::{Congestion, DialError, Endpoint, Limits, LinkEnd, Permanence};

const MIB: u64 = 1 << 20;

/// Two stores that trust each other.
fn stores(handshake: Duration, idle: Duration) -> (Endpoint, Endpoint) {
    let (key_a, key_b) = (identity(0xa), identity(0xb));
    let mut of_a = options(&key_a, pins(&[("b", &key_b)]));
    (of_a.limits.handshake, of_a.limits.idle) = (handshake, idle);
    of_a.limits.keep_alive = idle / 4;
    let mut of_b = options(&key_b, pins(&[("a", &key_a)]));
    of_b.limits = of_a.limits.clone();
    (Endpoint::bind(of_a).unwrap(), Endpoint::bind(of_b).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_congested_in_the_way_that_was_chosen() {
    let mut windows = Vec::new();
    for congestion in [Congestion::Cubic, Congestion::Bbr] {
        let mut limits = Limits::default();
        limits.congestion = congestion;
        let pair = Pair::with(limits).await;
        windows.push(pair.from_a.figures().window_bytes);
    }
    // They begin differently: about ten packets (RFC 9002, 7.2), and 200.
    assert!(windows[0] < 100_000 && windows[1] > 200_000, "{windows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_slow_path_control_overtakes_the_bulk_that_fills_it() {
    let (a, b) = stores(Duration::from_secs(10), Duration::from_secs(20));
    let relay = Relay::new(&b, 2 * MIB, u64::MAX).await;
    let to = relay.address.to_string();
    let (from_a, from_b) = soon(async { tokio::join!(a.dial("b", &to), b.accept()) }).await;
    let (from_a, from_b) = (from_a.unwrap(), from_b.unwrap());
    let sender = from_a.sender();
    for id in 0..3 {
        let flood = sender.clone();
        let frame = Bytes::from(vec![7; MIB as usize]);
        tokio::spawn(
            async move { while flood.send(Channel::Bulk(id), frame.clone()).await.is_ok() {} },
        );
    }
    // The send window is full: 16 MiB wait for a path that takes 2 MiB a second.
    soon(from_b.recv()).await.unwrap();
    let mut slowest = Duration::ZERO;
    for number in 0_u32..5 {
        let begun = Instant::now();
        let ping = Bytes::copy_from_slice(&number.to_le_bytes());
        soon(sender.send(Channel::Control, ping.clone())).await.unwrap();
        let arrived = async {
            loop {
                let (channel, frame) = from_b.recv().await.unwrap();
                if channel == Channel::Control {
                    break frame;
                }
            }
        };
        assert_eq!(soon(arrived).await[..], ping[..]);
        slowest = slowest.max(begun.elapsed());
    }
    // A round trip is 75 ms here. Behind the bulk it would be eight seconds, and was 35 when each channel had its own task.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_path_ends_the_link_on_both_sides_after_the_idle_time() {
    let (a, b) = stores(Duration::from_secs(10), Duration::from_secs(2));
    let relay = Relay::new(&b, 100 * MIB, u64::MAX).await;
    let to = relay.address.to_string();
    let (from_a, from_b) = soon(async { tokio::join!(a.dial("b", &to), b.accept()) }).await;
    let (from_a, from_b) = (from_a.unwrap(), from_b.unwrap());
    // Idle for longer than that, it lives by saying so.
    let lives = tokio::time::timeout(Duration::from_secs(4), from_a.ended()).await;
    assert!(lives.is_err(), "an idle link ended");
    relay.cut();
    for link in [from_a, from_b] {
        let end = soon(link.ended()).await;
        assert!(matches!(end, LinkEnd::TimedOut), "{end}");
        assert_eq!(end.permanence(), Permanence::Passing);
        assert!(soon(link.recv()).await.is_none());
    }
}

/// The demo found it: a replica was killed and came back at once, and its peer refused it for as long as the link to the one
/// before was not silent for long enough, for it had dialled that one.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_died_and_is_back_ends_the_links_of_the_one_before() {
    let (key_a, key_b) = (identity(0xa), identity(0xb));
    let a = Endpoint::bind(options(&key_a, pins(&[("b", &key_b)]))).unwrap();
    let bind_b = || Endpoint::bind(options(&key_b, pins(&[("a", &key_a)]))).unwrap();
    let b = bind_b();
    let relay = Relay::new(&b, 100 * MIB, u64::MAX).await;
    let to = relay.address.to_string();
    let (from_a, from_b) = soon(async { tokio::join!(a.dial("b", &to), b.accept()) }).await;
    let (from_a, from_b) = (from_a.unwrap(), from_b.unwrap());
    let hello = Bytes::from_static(b"hello");
    soon(from_a.sender().send(Channel::Control, hello.clone())).await.unwrap();
    soon(from_b.recv()).await.unwrap();
    // As if killed: nothing of its end is heard.
    relay.cut();
    drop(from_b);
    soon(b.close()).await;
    let back = bind_b();
    relay.turn_to(&back).await;
    let begun = Instant::now();
    let _ = soon(from_a.sender().send(Channel::Control, hello)).await;
    let end = soon(from_a.ended()).await;
    assert!(matches!(&end, LinkEnd::Lost { what } if what.contains("knows it no more")), "{end}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_begun_and_left_is_given_up_on_both_sides() {
    let (a, b) = stores(Duration::from_secs(1), Duration::from_secs(20));
    let relay = Relay::new(&b, 100 * MIB, 1).await;
    let to = relay.address.to_string();
    let error = soon(a.dial("b", &to)).await.unwrap_err();
    assert!(matches!(&error, DialError::NoAnswer { address } if *address == to), "{error}");
    assert_eq!(error.permanence(), Permanence::Passing);
    until("it is counted", || b.counters().handshake_timeouts == 1).await;
    assert_eq!(b.counters().links_accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_lead_nowhere_are_said() {
    let (a, b) = stores(Duration::from_secs(1), Duration::from_secs(20));
    let error = soon(a.dial("b", "no-port-here")).await.unwrap_err();
    assert!(matches!(error, DialError::Resolve { .. }), "{error}");
    let error = soon(a.dial("b", "[::1]:7447")).await.unwrap_err();
    assert!(error.to_string().contains("listen on [::]"), "{error}");
    assert_eq!(error.permanence(), Permanence::Permanent);
    let to = address(&b);
    soon(a.close()).await;
    let error = soon(a.dial("b", &to)).await.unwrap_err();
    assert!(matches!(error, DialError::Closed), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_is_dialled_and_the_socket_says_what_it_was_granted() {
    let (a, b) = stores(Duration::from_secs(10), Duration::from_secs(20));
    let to = format!("localhost:{}", b.local_address().port());
    let link = soon(a.dial("b", &to)).await.unwrap();
    assert_eq!(link.figures().remote, b.local_address());
    let buffers = b.socket_buffers();
    assert_eq!(buffers.asked, 8 << 20);
    assert!(buffers.receive > 0 && buffers.send > 0, "{buffers:?}");
}
