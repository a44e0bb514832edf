//! A store that lies: messages that are well formed, and say what is not so.

use crate::net::Tamper;
use tidelog_model::{Digest, Stamp, TimeRange};
use tidelog_protocol::Channel;
use tidelog_protocol::compare::{Item, Nodes};
use tidelog_protocol::message::{Control, Roots, SessionMessage, TailBatch};
use tidelog_protocol::snapshot::SnapshotMessage;

/// Changes one in three messages of the first machine.
pub fn liar(seed: u64) -> Tamper {
    let mut lies = Lies(seed);
    Box::new(move |from, channel, bytes| {
        if from == 0 && lies.below(3) == 0 {
            lies.tell(channel, bytes);
        }
    })
}

struct Lies(u64);

impl Lies {
    fn draw(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    fn below(&mut self, most: usize) -> usize {
        self.draw() as usize % most.max(1)
    }

    fn tell(&mut self, channel: Channel, bytes: &mut Vec<u8>) {
        match channel {
            Channel::Control => {
                let mut message = Control::decode(bytes).expect("as it was made");
                self.control(&mut message);
                *bytes = message.encode();
            }
            Channel::Tail => {
                let mut batch = TailBatch::decode(bytes).expect("as it was made");
                self.tail(&mut batch);
                *bytes = batch.encode();
            }
            Channel::Session(_) => {
                let mut message = SessionMessage::decode(bytes).expect("as it was made");
                self.session(&mut message);
                *bytes = message.encode();
            }
            Channel::Bulk(_) => {
                let mut message = SnapshotMessage::decode(bytes).expect("as it was made");
                self.snapshot(&mut message);
                *bytes = message.encode();
            }
        }
    }

    fn snapshot(&mut self, message: &mut SnapshotMessage) {
        match message {
            SnapshotMessage::Offer { files } => {
                for file in files {
                    match self.below(3) {
                        0 => file.digest.0[0] ^= 1,
                        1 => file.len += self.draw() % (4 << 20),
                        _ => file.len = file.len.saturating_sub(self.draw() % 5000).max(1),
                    }
                }
            }
            SnapshotMessage::Sums { sums, .. } => match self.below(2) {
                0 => drop(sums.pop()),
                _ => sums.iter_mut().for_each(|sum| sum[7] ^= 4),
            },
            SnapshotMessage::Piece { bytes, piece, .. } => match self.below(3) {
                0 => {
                    let at = self.below(bytes.len());
                    bytes[at] ^= 1;
                }
                1 => bytes.truncate(1),
                _ => *piece += 1,
            },
            SnapshotMessage::State { parts } => drop(parts.pop()),
            _ => {}
        }
    }

    fn control(&mut self, message: &mut Control) {
        let any = self.draw() << 20;
        match message {
            Control::Hello(hello) => hello.closed = Stamp(any),
            Control::Pulse(pulse) => match self.below(3) {
                0 => pulse.closed = Stamp(u64::MAX),
                1 => pulse.position.offset = any,
                _ => pulse.known.iter_mut().for_each(|known| known.1 = Stamp(any)),
            },
            Control::Ack(position) => position.offset = position.offset.wrapping_add(any % 5000),
            Control::Resend(Some(position)) => position.offset /= 2,
            Control::Resend(None) | Control::Goodbye(_) | Control::Compare => {}
        }
    }

    fn tail(&mut self, batch: &mut TailBatch) {
        match self.below(4) {
            0 => batch.next.offset += self.draw() % 1000,
            1 => drop(batch.batches.pop()),
            2 => batch.floor = Some(Stamp(self.draw())),
            _ => self.bend_all(&mut batch.batches),
        }
    }

    fn bend_all(&mut self, archives: &mut [Vec<u8>]) {
        for archive in archives {
            let at = self.below(archive.len());
            archive[at] = self.draw() as u8;
        }
    }

    fn roots(&mut self, roots: &mut Roots) {
        let any = Digest([self.draw() as u8; 32]);
        match self.below(3) {
            0 => roots.store = Some(any),
            1 => roots.state = Some(any),
            _ => roots.groups = None,
        }
    }

    fn session(&mut self, message: &mut SessionMessage) {
        match message {
            SessionMessage::Open { roots, horizon, .. } => {
                self.roots(roots);
                if self.below(2) == 0 {
                    *horizon = tidelog_model::Horizon::default();
                }
            }
            SessionMessage::Opened { roots, items, .. } => {
                self.roots(roots);
                self.items(items);
            }
            SessionMessage::State { parts, want } => {
                parts.iter_mut().for_each(|part| part.1.truncate(9));
                want.push(1);
            }
            SessionMessage::Turn { items, .. } => self.items(items),
            SessionMessage::Reply { items, later, .. } => {
                self.items(items);
                // The same once more, and again the next time.
                later.extend(items.clone());
            }
            SessionMessage::Close { roots, .. } | SessionMessage::Closed { roots, .. } => {
                self.roots(roots);
            }
            SessionMessage::Weigh { items, .. } => self.items(items),
            SessionMessage::Weighed(sides) => {
                sides.pop();
                sides.iter_mut().for_each(|side| side.rows = u64::MAX);
            }
            SessionMessage::Abort(_) => {}
        }
    }

    fn nodes(&mut self, nodes: &mut Nodes) {
        match nodes {
            Nodes::Claim { after } => *after = None,
            Nodes::Settled { entries, until, .. } => {
                entries.iter_mut().for_each(|entry| entry.rows = u64::MAX);
                *until = None;
            }
            Nodes::Want(places) => drop(places.pop()),
            Nodes::Given(bytes) | Nodes::Lent(bytes) => self.bend_all(bytes),
            Nodes::Borrow { range, after, .. } => {
                *range = TimeRange::ALL;
                *after = None;
            }
        }
    }

    fn items(&mut self, items: &mut [Item]) {
        for item in items.iter_mut() {
            let any = self.draw();
            match item {
                Item::Collections { entries, .. } => {
                    entries.iter_mut().for_each(|entry| entry.root = any);
                }
                Item::Windows { entries, range, .. } => {
                    entries.iter_mut().for_each(|entry| entry.1 = any);
                    *range = TimeRange::ALL;
                }
                Item::Buckets { entries, .. } => entries[any as usize % 16] = any,
                Item::Series { entries, window, .. } => {
                    entries.iter_mut().for_each(|entry| entry.1 = any);
                    *window = window.wrapping_add(any as i64);
                }
                Item::Parts { entries, range, .. } => {
                    entries[any as usize % 16] = any as u32;
                    *range = TimeRange::ALL;
                }
                Item::Prints { rows, .. } => rows.iter_mut().for_each(|row| row.print = any as u32),
                Item::WantRange { range, after, .. } => {
                    *range = TimeRange::ALL;
                    *after = None;
                }
                Item::WantTimes { times, .. } => drop(times.pop()),
                Item::Rows { archives, .. } => self.bend_all(archives),
                Item::Suspects { range, devices, .. } => {
                    *range = TimeRange::ALL;
                    devices.clear();
                }
                Item::LeftOut { windows, .. } => *windows = u64::MAX,
                Item::Nodes { nodes, .. } => self.nodes(nodes),
                Item::Difference(one) => one.rows = (u64::MAX, any),
            }
        }
    }
}
