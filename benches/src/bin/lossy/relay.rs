//! Carries packets from one TUN to another, late, and loses some of them: the same ones each time, counted by packets.
//!
//! Order is kept and there is no limit to the rate but this machine's, so that what is measured is how a sender takes loss and
//! delay, and nothing else.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use tun_rs::SyncDevice;

/// What happens to packets in each direction.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) lost_of_10000: u32,
    pub(crate) delay: Duration,
}

/// Packets on their way in one direction at most: 1 Gbit/s for two seconds.
const QUEUE: usize = 200_000;

/// Carries one direction for as long as the process lives. A packet for which the queue has no room is lost, too.
pub(crate) fn carry(from: Arc<SyncDevice>, to: Arc<SyncDevice>, faults: Faults, seed: u64) {
    let (sender, packets) = sync_channel::<(Instant, Vec<u8>)>(QUEUE);
    std::thread::spawn(move || {
        let mut random = seed;
        let mut packet = [0; 65_536];
        while let Ok(length) = from.recv(&mut packet) {
            let at = Instant::now() + faults.delay;
            if draw(&mut random) % 10_000 >= u64::from(faults.lost_of_10000) {
                let _ = sender.try_send((at, packet[..length].to_vec()));
            }
        }
    });
    std::thread::spawn(move || {
        for (at, packet) in packets {
            let early = at.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                std::thread::sleep(early);
            }
            // A device whose queue is full loses it, as devices do.
            let _ = to.send(&packet);
        }
    });
}

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
fn draw(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *random;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
