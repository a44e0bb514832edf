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
    /// Pairs from which nothing arrives, and what waits for that to end: a stream sends again what was lost.
    cut: BTreeSet<(usize, usize)>,
    held: Vec<Parcel>,
    /// Links that break soon: what was lost on them is not sent again.
    pub broken: BTreeSet<LinkId>,
    /// Milliseconds: least and most.
    pub delay: (u64, u64),
    /// So many milliseconds more, between two machines.
    pub more_delay: BTreeMap<(usize, usize), u64>,
    /// Of a thousand messages so many are lost, come twice, and come out of order.
    pub lost: u64,
    pub twice: u64,
    pub disordered: u64,
    /// Bytes that were sent between two machines.
    pub bytes: BTreeMap<(usize, usize), u64>,
    pub messages: u64,
    /// Of the longest message.
    pub longest: usize,
    /// Sees each message that is sent, and may change it.
    pub tamper: Option<Tamper>,
}

/// Is told who sends a message and what, and may change it.
pub type Tamper = Box<dyn FnMut(usize, Channel, &mut Vec<u8>)>;

impl Net {
    pub fn new(seed: u64) -> Self {
        Net {
            random: seed,
            on_the_way: BinaryHeap::new(),
            sent: 0,
            last: BTreeMap::new(),
            cut: BTreeSet::new(),
            held: Vec::new(),
            broken: BTreeSet::new(),
            delay: (1, 5),
            more_delay: BTreeMap::new(),
            lost: 0,
            twice: 0,
            disordered: 0,
            bytes: BTreeMap::new(),
            messages: 0,
            longest: 0,
            tamper: None,
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

    pub fn send(&mut self, now: u64, mut parcel: Parcel) {
        if let Some(tamper) = &mut self.tamper {
            tamper(parcel.from, parcel.channel, &mut parcel.bytes);
        }
        self.longest = self.longest.max(parcel.bytes.len());
        *self.bytes.entry((parcel.from, parcel.to)).or_default() += parcel.bytes.len() as u64;
        self.messages += 1;
        if self.cut.contains(&(parcel.from, parcel.to)) {
            self.held.push(parcel);
            return;
        }
        if self.below(1000) < self.lost {
            // Comparisons and tails get over a loss themselves; of greetings and acknowledgements none is repeated.
            if parcel.channel == Channel::Control {
                self.broken.insert(parcel.link);
            }
            return;
        }
        self.send_on(now, parcel);
    }

    fn send_on(&mut self, now: u64, parcel: Parcel) {
        let copies = if self.below(1000) < self.twice { 2 } else { 1 };
        for _ in 0..copies {
            let (least, most) = self.delay;
            let more = self.more_delay.get(&(parcel.from, parcel.to)).copied().unwrap_or(0);
            let mut at = now + least + self.below(most - least + 1) + more;
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
        self.held.retain(|parcel| parcel.link != link);
        self.broken.remove(&link);
    }

    /// From now on nothing arrives there from here.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Everything arrives again, once, in order and soon.
    pub fn heal(&mut self, now: u64) {
        self.more_delay.clear();
        (self.lost, self.twice, self.disordered) = (0, 0, 0);
        self.mend(now);
    }

    /// What was cut is whole again, and what waited for that is on its way.
    pub fn mend(&mut self, now: u64) {
        self.cut.clear();
        let held = std::mem::take(&mut self.held);
        held.into_iter().for_each(|parcel| self.send_on(now, parcel));
    }

    pub fn reaches_both(&self, a: usize, b: usize) -> bool {
        !self.cut.contains(&(a, b)) && !self.cut.contains(&(b, a))
    }
}
