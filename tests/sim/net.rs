//! A network in virtual time: what is sent arrives later, in the order of its channel as on a stream, or not at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use tidelog_protocol::{Channel, LinkId};

/// A message on its way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Parcel {
    pub from: usize,
    pub to: usize,
    pub link: LinkId,
    pub channel: Channel,
    pub bytes: Vec<u8>,
}

/// See the module documentation.
pub struct Net {
    random: u64,
    /// By time of arrival and order of sending.
    on_the_way: BinaryHeap<Reverse<(u64, u64, Parcel)>>,
    sent: u64,
    /// When the last message of a channel arrives: no later one may come before it.
    last: BTreeMap<(LinkId, usize, Channel), u64>,
    /// Pairs from which nothing arrives.
    cut: BTreeSet<(usize, usize)>,
    /// Milliseconds: least and most.
    pub delay: (u64, u64),
    /// Of a thousand messages so many are lost, come twice, and come out of order.
    pub lost: u64,
    pub twice: u64,
    pub disordered: u64,
    /// Bytes that were sent between two machines.
    pub bytes: BTreeMap<(usize, usize), u64>,
    pub messages: u64,
}

impl Net {
    pub fn new(seed: u64) -> Self {
        Net {
            random: seed,
            on_the_way: BinaryHeap::new(),
            sent: 0,
            last: BTreeMap::new(),
            cut: BTreeSet::new(),
            delay: (1, 5),
            lost: 0,
            twice: 0,
            disordered: 0,
            bytes: BTreeMap::new(),
            messages: 0,
        }
    }

    pub fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.draw() % most.max(1)
    }

    pub fn send(&mut self, now: u64, parcel: Parcel) {
        *self.bytes.entry((parcel.from, parcel.to)).or_default() += parcel.bytes.len() as u64;
        self.messages += 1;
        if self.cut.contains(&(parcel.from, parcel.to)) || self.below(1000) < self.lost {
            return;
        }
        let copies = if self.below(1000) < self.twice { 2 } else { 1 };
        for _ in 0..copies {
            let (least, most) = self.delay;
            let mut at = now + least + self.below(most - least + 1);
            let key = (parcel.link, parcel.from, parcel.channel);
            if self.below(1000) >= self.disordered {
                at = at.max(self.last.get(&key).copied().unwrap_or(0));
            }
            self.last.insert(key, at);
            self.sent += 1;
            self.on_the_way.push(Reverse((at, self.sent, parcel.clone())));
        }
    }

    /// The next message that is due.
    pub fn arrived(&mut self, now: u64) -> Option<Parcel> {
        if self.on_the_way.peek().is_none_or(|Reverse((at, ..))| *at > now) {
            return None;
        }
        self.on_the_way.pop().map(|Reverse((_, _, parcel))| parcel)
    }

    pub fn next_at(&self) -> Option<u64> {
        self.on_the_way.peek().map(|Reverse((at, ..))| *at)
    }

    /// The link is gone, and what was on its way over it.
    pub fn forget(&mut self, link: LinkId) {
        self.on_the_way.retain(|Reverse((_, _, parcel))| parcel.link != link);
        self.last.retain(|(own, ..), _| *own != link);
    }

    /// From now on nothing arrives there from here.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    pub fn reaches_both(&self, a: usize, b: usize) -> bool {
        !self.cut.contains(&(a, b)) && !self.cut.contains(&(b, a))
    }
}
