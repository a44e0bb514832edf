//! Every message, as bytes and back. WIRE.md says what each is for, its limits and the rule for versions.

use crate::compare::{Item, Look, read_items, write_items};
use crate::refusal::Refusal;
use crate::wire::{Malformed, Reader, Writer, read_position, read_store, write_position};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use tidelog_model::policy::{Side, WINDOWS_MAX};
use tidelog_model::{Digest, GroupEpoch, GroupId, Horizon, Incarnation, Position, Stamp, StoreId};

/// The version of the protocol that this is. A peer of another major version is refused by ALPN before a message.
pub const VERSION: u16 = 1;
/// The version of the canonical bytes that digests are made of. Peers of two versions cannot compare.
pub const CANONICAL: u16 = 1;
/// No control message is longer.
pub const CONTROL_BYTES_MAX: usize = 64 << 10;
/// No message of a session is longer: a row of the largest values there may be, and what stands around it.
pub const SESSION_BYTES_MAX: usize = 66 << 20;
/// No message of a tail is longer: a batch and what stands around it.
pub const TAIL_BYTES_MAX: usize = 66 << 20;
/// So many parts of the state can be compared.
pub const STATE_PARTS_MAX: usize = 100_000;
pub(crate) const GROUPS_MAX: usize = 4096;
const TEXT_BYTES_MAX: usize = 1024;

/// The stream that a message travels on: messages of one channel stay in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Channel {
    /// Greetings, pulses, acknowledgements.
    Control,
    /// What the sender has written to its log.
    Tail,
    /// One comparison.
    Session(u32),
    /// One snapshot.
    Bulk(u32),
}

/// The first message on a link, from both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Of the protocol.
    pub version: u16,
    /// Of canonical bytes.
    pub canonical: u16,
    /// Who says it.
    pub store: StoreId,
    /// Its opening.
    pub incarnation: Incarnation,
    /// Over how many groups it spreads devices.
    pub groups: u32,
    /// How far it follows the receiver's log.
    pub cursor: Option<Position>,
    /// Its writes up to this stamp are all in its log.
    pub closed: Stamp,
    /// Its wall clock, in milliseconds since the Unix epoch.
    pub wall: u64,
    /// It will not follow the receiver, nor be followed: one comparison, then it goes.
    pub once: bool,
    /// About how many bytes it holds, in all groups.
    pub held: u64,
    /// The epochs of groups in its topology, of those that were ever raised; ascending.
    pub epochs: Vec<(GroupId, GroupEpoch)>,
    /// Names the policy that decides about its repairs; 0: everything is repaired.
    pub policy: u64,
}

/// Said each second: how far things have come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulse {
    /// The sender's own writes up to this stamp ...
    pub closed: Stamp,
    /// ... stand in its log before this.
    pub position: Position,
    /// What the sender has of others, itself not: all of their writes up to a stamp, of those it follows now.
    pub known: Vec<(StoreId, Stamp)>,
}

/// A message on the control channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// First.
    Hello(Hello),
    /// Each second.
    Pulse(Pulse),
    /// The receiver's log is applied and durable here up to this.
    Ack(Position),
    /// The tail had a gap: begin again from here, or with what is written from now on.
    Resend(Option<Position>),
    /// The sender goes away, and why.
    Goodbye(Refusal),
    /// Something may differ, and the receiver's policy decides: it is to begin a comparison.
    Compare,
}

/// A message on the tail channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TailBatch {
    /// Where it begins in the sender's log; equal to `next` of the message before.
    pub from: Position,
    /// Where the next one begins.
    pub next: Position,
    /// Nothing is said of what stands before: everything there has a stamp up to this one, and comes by comparison.
    pub floor: Option<Stamp>,
    /// Deletes, as the engine writes them.
    pub tombstones: Vec<Vec<u8>>,
    /// `BatchV1` archives of the shared groups, own stamps kept.
    pub batches: Vec<Vec<u8>>,
}

/// What a side has, in roots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roots {
    /// Over the content roots of the shared groups; `None` when there is nothing.
    pub store: Option<Digest>,
    /// Over deletes, schemas, options and cuts.
    pub state: Option<Digest>,
    /// Content roots of the groups that have any, cut to eight bytes; only when that are few.
    pub groups: Option<Vec<(GroupId, u64)>>,
}

/// A part of the state: its kind and its canonical bytes.
pub type Part = (u8, Vec<u8>);

/// A message of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionMessage {
    /// The first, from the side that asks.
    Open {
        /// Of the moment that is looked at.
        epoch: u32,
        /// Says more than is asked for, to save round trips.
        eager: bool,
        /// What is compared.
        horizon: Horizon,
        /// For prints.
        salt: u64,
        /// The groups.
        groups: Vec<GroupId>,
        /// What the sender has.
        roots: Roots,
    },
    /// The answer.
    Opened {
        /// What the sender has.
        roots: Roots,
        /// Hashes of its parts of the state, where that differs.
        state: Option<Vec<u64>>,
        /// What it has in the groups that differ.
        items: Vec<Item>,
    },
    /// Parts of the state that the receiver lacks, and hashes of those that the sender does.
    State {
        /// Parts.
        parts: Vec<Part>,
        /// Wanted.
        want: Vec<u64>,
    },
    /// What the side that asks says.
    Turn {
        /// Counts up.
        turn: u32,
        /// Views are made anew when it goes up.
        epoch: u32,
        /// How differences are met.
        look: Look,
        /// What is said.
        items: Vec<Item>,
    },
    /// The answer.
    Reply {
        /// To which turn.
        turn: u32,
        /// What is said.
        items: Vec<Item>,
        /// What was said and is to be said again later: there was no room for the answer.
        later: Vec<Item>,
    },
    /// How much does the other side have of windows that differ? Suspects, [`WINDOWS_MAX`] at most.
    Weigh {
        /// Views are made anew when it goes up.
        epoch: u32,
        /// The windows.
        items: Vec<Item>,
    },
    /// The answer, in the same order.
    Weighed(Vec<Side>),
    /// Nothing is left to say: what does the other side have now?
    Close {
        /// Views are made anew when it goes up.
        epoch: u32,
        /// What the sender has.
        roots: Roots,
    },
    /// The answer.
    Closed {
        /// What the sender has.
        roots: Roots,
        /// Rows and parts of the state that the sender did not take, for their stamps are too far ahead of its clock.
        ahead: u64,
    },
    /// The comparison ends here.
    Abort(String),
}

const HELLO: u8 = 1;
const PULSE: u8 = 2;
const ACK: u8 = 3;
const RESEND: u8 = 4;
const GOODBYE: u8 = 5;
const COMPARE: u8 = 6;

impl Control {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Control::Hello(hello) => write_hello(writer.u8(HELLO), hello),
            Control::Pulse(pulse) => {
                writer.u8(PULSE).u64(pulse.closed.0);
                write_position(&mut writer, pulse.position);
                write_stamps(&mut writer, &pulse.known);
            }
            Control::Ack(position) => write_position(writer.u8(ACK), *position),
            Control::Resend(position) => {
                writer.u8(RESEND).option(*position, write_position);
            }
            Control::Goodbye(refusal) => refusal.write(writer.u8(GOODBYE)),
            Control::Compare => {
                writer.u8(COMPARE);
            }
        }
        writer.bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        check_len(bytes, CONTROL_BYTES_MAX)?;
        let mut reader = Reader::new(bytes);
        let message = match reader.u8()? {
            HELLO => Control::Hello(read_hello(&mut reader)?),
            PULSE => Control::Pulse(Pulse {
                closed: Stamp(reader.u64()?),
                position: read_position(&mut reader)?,
                known: read_stamps(&mut reader)?,
            }),
            ACK => Control::Ack(read_position(&mut reader)?),
            RESEND => Control::Resend(reader.option(read_position)?),
            GOODBYE => Control::Goodbye(Refusal::read(&mut reader)?),
            COMPARE => Control::Compare,
            _ => return Err(Malformed("a control message of an unknown kind")),
        };
        reader.end()?;
        Ok(message)
    }
}

fn write_hello(writer: &mut Writer, hello: &Hello) {
    writer.raw(&hello.version.to_le_bytes()).raw(&hello.canonical.to_le_bytes());
    writer.raw(&hello.store.0).raw(&hello.incarnation.0).u32(hello.groups);
    writer.option(hello.cursor, write_position);
    writer.u64(hello.closed.0).u64(hello.wall).u8(u8::from(hello.once));
    writer.u64(hello.held);
    writer.list(hello.epochs.iter(), |writer, (group, epoch)| {
        writer.varint(u64::from(group.0)).varint(epoch.0);
    });
    writer.u64(hello.policy);
}

fn read_epochs(reader: &mut Reader<'_>) -> Result<Vec<(GroupId, GroupEpoch)>, Malformed> {
    let one =
        |reader: &mut Reader<'_>| Ok((GroupId(reader.varint32()?), GroupEpoch(reader.varint()?)));
    let epochs = reader.list(2, one)?;
    if epochs.len() > GROUPS_MAX || !epochs.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Malformed("groups are not in order"));
    }
    Ok(epochs)
}

/// What a later version adds stands behind, and is passed over.
fn read_hello(reader: &mut Reader<'_>) -> Result<Hello, Malformed> {
    let version = u16::from_le_bytes(reader.array()?);
    let hello = Hello {
        version,
        canonical: u16::from_le_bytes(reader.array()?),
        store: read_store(reader)?,
        incarnation: Incarnation(reader.array()?),
        groups: reader.u32()?,
        cursor: reader.option(read_position)?,
        closed: Stamp(reader.u64()?),
        wall: reader.u64()?,
        once: reader.u8()? == 1,
        held: reader.u64()?,
        epochs: read_epochs(reader)?,
        policy: reader.u64()?,
    };
    if version > VERSION {
        let rest = reader.remaining();
        reader.raw(rest)?;
    }
    Ok(hello)
}

impl TailBatch {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        write_position(&mut writer, self.from);
        write_position(&mut writer, self.next);
        writer.option(self.floor, |writer, floor| {
            writer.u64(floor.0);
        });
        writer.list(self.tombstones.iter(), |writer, bytes| {
            writer.blob(bytes);
        });
        writer.list(self.batches.iter(), |writer, bytes| {
            writer.blob(bytes);
        });
        writer.bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        check_len(bytes, TAIL_BYTES_MAX)?;
        let mut reader = Reader::new(bytes);
        let (from, next) = (read_position(&mut reader)?, read_position(&mut reader)?);
        let batch = TailBatch {
            from,
            next,
            floor: reader.option(|reader| reader.u64().map(Stamp))?,
            tombstones: read_blobs(&mut reader)?,
            batches: read_blobs(&mut reader)?,
        };
        reader.end()?;
        if from.incarnation != next.incarnation || from.offset > next.offset {
            return Err(Malformed("a tail goes back"));
        }
        Ok(batch)
    }
}

const OPEN: u8 = 1;
const OPENED: u8 = 2;
const STATE: u8 = 3;
const TURN: u8 = 4;
const REPLY: u8 = 5;
const CLOSE: u8 = 6;
const CLOSED: u8 = 7;
const ABORT: u8 = 8;
const WEIGH: u8 = 9;
const WEIGHED: u8 = 10;

impl SessionMessage {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            SessionMessage::Open { epoch, eager, horizon, salt, groups, roots } => {
                writer.u8(OPEN).varint(u64::from(*epoch)).u8(u8::from(*eager));
                write_stamps(&mut writer, horizon.bounds());
                writer.u64(*salt);
                writer.list(groups.iter(), |writer, group| {
                    writer.varint(u64::from(group.0));
                });
                write_roots(&mut writer, roots);
            }
            SessionMessage::Opened { roots, state, items } => {
                write_roots(writer.u8(OPENED), roots);
                writer.option(state.as_ref(), |writer, hashes| write_hashes(writer, hashes));
                write_items(&mut writer, items);
            }
            SessionMessage::State { parts, want } => {
                writer.u8(STATE).list(parts.iter(), |writer, (kind, bytes)| {
                    writer.u8(*kind).blob(bytes);
                });
                write_hashes(&mut writer, want);
            }
            SessionMessage::Turn { turn, epoch, look, items } => {
                writer.u8(TURN).varint(u64::from(*turn)).varint(u64::from(*epoch));
                writer.u8(*look as u8);
                write_items(&mut writer, items);
            }
            SessionMessage::Reply { turn, items, later } => {
                writer.u8(REPLY).varint(u64::from(*turn));
                write_items(&mut writer, items);
                write_items(&mut writer, later);
            }
            SessionMessage::Weigh { epoch, items } => {
                writer.u8(WEIGH).varint(u64::from(*epoch));
                write_items(&mut writer, items);
            }
            SessionMessage::Weighed(sides) => {
                writer.u8(WEIGHED).list(sides.iter(), |writer, side| {
                    writer.varint(side.rows).varint(side.bytes);
                });
            }
            SessionMessage::Close { epoch, roots } => {
                write_roots(writer.u8(CLOSE).varint(u64::from(*epoch)), roots);
            }
            SessionMessage::Closed { roots, ahead } => {
                write_roots(writer.u8(CLOSED), roots);
                writer.varint(*ahead);
            }
            SessionMessage::Abort(text) => {
                writer.u8(ABORT).text(text);
            }
        }
        writer.bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        check_len(bytes, SESSION_BYTES_MAX)?;
        let mut reader = Reader::new(bytes);
        let reader_ref = &mut reader;
        let message = match reader_ref.u8()? {
            OPEN => {
                let epoch = reader_ref.varint32()?;
                let eager = reader_ref.u8()? == 1;
                let bounds = read_stamps(reader_ref)?;
                let salt = reader_ref.u64()?;
                let groups = reader_ref.list(1, |reader| reader.varint32().map(GroupId))?;
                if groups.len() > GROUPS_MAX || !groups.is_sorted_by(|a, b| a < b) {
                    return Err(Malformed("groups are not in order"));
                }
                let roots = read_roots(reader_ref)?;
                let horizon = Horizon::new(bounds);
                SessionMessage::Open { epoch, eager, horizon, salt, groups, roots }
            }
            OPENED => SessionMessage::Opened {
                roots: read_roots(reader_ref)?,
                state: reader_ref.option(read_hashes)?,
                items: read_items(reader_ref)?,
            },
            STATE => SessionMessage::State {
                parts: reader_ref.list(2, |reader| Ok((reader.u8()?, reader.blob()?.to_vec())))?,
                want: read_hashes(reader_ref)?,
            },
            TURN => {
                let (turn, epoch) = (reader_ref.varint32()?, reader_ref.varint32()?);
                let look = Look::from_number(reader_ref.u8()?).ok_or(Malformed("no such look"))?;
                SessionMessage::Turn { turn, epoch, look, items: read_items(reader_ref)? }
            }
            REPLY => SessionMessage::Reply {
                turn: reader_ref.varint32()?,
                items: read_items(reader_ref)?,
                later: read_items(reader_ref)?,
            },
            WEIGH => {
                let epoch = reader_ref.varint32()?;
                let items = read_items(reader_ref)?;
                if items.len() > WINDOWS_MAX {
                    return Err(Malformed("more windows than are weighed at once"));
                }
                SessionMessage::Weigh { epoch, items }
            }
            WEIGHED => SessionMessage::Weighed(read_sides(reader_ref)?),
            CLOSE => SessionMessage::Close {
                epoch: reader_ref.varint32()?,
                roots: read_roots(reader_ref)?,
            },
            CLOSED => SessionMessage::Closed {
                roots: read_roots(reader_ref)?,
                ahead: reader_ref.varint()?,
            },
            ABORT => SessionMessage::Abort(read_text(reader_ref)?),
            _ => return Err(Malformed("a message of a session of an unknown kind")),
        };
        reader.end()?;
        Ok(message)
    }
}

fn check_len(bytes: &[u8], most: usize) -> Result<(), Malformed> {
    if bytes.len() <= most { Ok(()) } else { Err(Malformed("longer than a message may be")) }
}

fn write_roots(writer: &mut Writer, roots: &Roots) {
    let digest = |writer: &mut Writer, digest: Digest| {
        writer.raw(&digest.0);
    };
    writer.option(roots.store, digest).option(roots.state, digest);
    writer.option(roots.groups.as_ref(), |writer, groups| {
        writer.list(groups.iter(), |writer, (group, root)| {
            writer.varint(u64::from(group.0)).u64(*root);
        });
    });
}

fn read_roots(reader: &mut Reader<'_>) -> Result<Roots, Malformed> {
    let digest = |reader: &mut Reader<'_>| reader.array().map(Digest);
    Ok(Roots {
        store: reader.option(digest)?,
        state: reader.option(digest)?,
        groups: reader.option(|reader| {
            reader.list(9, |reader| Ok((GroupId(reader.varint32()?), reader.u64()?)))
        })?,
    })
}

fn write_stamps(writer: &mut Writer, stamps: &[(StoreId, Stamp)]) {
    writer.list(stamps.iter(), |writer, (store, stamp)| {
        writer.raw(&store.0).u64(stamp.0);
    });
}

fn read_stamps(reader: &mut Reader<'_>) -> Result<Vec<(StoreId, Stamp)>, Malformed> {
    let stamps = reader.list(24, |reader| Ok((read_store(reader)?, Stamp(reader.u64()?))))?;
    if stamps.len() > Horizon::ORIGINS_MAX {
        return Err(Malformed("more origins than a horizon may have"));
    }
    Ok(stamps)
}

fn write_hashes(writer: &mut Writer, hashes: &[u64]) {
    writer.list(hashes.iter(), |writer, hash| {
        writer.u64(*hash);
    });
}

fn read_hashes(reader: &mut Reader<'_>) -> Result<Vec<u64>, Malformed> {
    let hashes = reader.list(8, Reader::u64)?;
    if hashes.len() > STATE_PARTS_MAX {
        return Err(Malformed("more parts than a state may have"));
    }
    Ok(hashes)
}

fn read_sides(reader: &mut Reader<'_>) -> Result<Vec<Side>, Malformed> {
    let one =
        |reader: &mut Reader<'_>| Ok(Side { rows: reader.varint()?, bytes: reader.varint()? });
    let sides = reader.list(2, one)?;
    if sides.len() > WINDOWS_MAX {
        return Err(Malformed("more windows than are weighed at once"));
    }
    Ok(sides)
}

fn read_blobs(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, Malformed> {
    reader.list(1, |reader| reader.blob().map(<[u8]>::to_vec))
}

pub(crate) fn read_text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let text = reader.text()?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(Malformed("a text is too long"));
    }
    Ok(text.to_string())
}

impl TailBatch {
    /// Does it hold nothing but where the next begins?
    pub(crate) fn is_empty(&self) -> bool {
        self.tombstones.is_empty() && self.batches.is_empty()
    }

    /// About how many bytes it takes.
    pub(crate) fn encode_len(&self) -> usize {
        let blobs = self.tombstones.iter().chain(&self.batches);
        64 + blobs.map(|blob| blob.len() + 5).sum::<usize>()
    }
}
