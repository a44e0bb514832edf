//! Rollups between stores: where rows were cut off on both sides settled nodes are the data, and the greater of two wins;
//! and rollups that a side borrows until the rows come.

use super::item_bytes::{read_device, read_range, write_blobs, write_range};
use crate::wire::{Malformed, Reader, Writer};
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::{Level, TimeRange};

/// The start of a window and a device, in this order.
pub type Place = (i64, String);

/// Rollups that are lent, as the engine writes them, and behind which place there are more.
pub type Lent = (Vec<Vec<u8>>, Option<Place>);

/// What a side has settled of a device in a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettledClaim {
    /// Where.
    pub place: Place,
    /// So many rows it stands for.
    pub rows: u64,
    /// The first eight bytes of its digest, the first the highest. Of two claims the one with the greater (rows, digest) wins.
    pub digest: u64,
}

/// What is said about nodes of a collection in a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Nodes {
    /// Whoever steps this is to claim what is settled there behind a place.
    Claim {
        /// The place; none: from the beginning.
        after: Option<Place>,
    },
    /// All that the sender has settled behind a place and up to another one.
    Settled {
        /// Behind this; none: from the beginning.
        after: Option<Place>,
        /// Up to this; none: to the end.
        until: Option<Place>,
        /// By place.
        entries: Vec<SettledClaim>,
    },
    /// The sender wants settled nodes.
    Want(Vec<Place>),
    /// Settled nodes, as the engine writes them.
    Given(Vec<Vec<u8>>),
    /// The sender wants to borrow rollups.
    Borrow {
        /// Of windows of this level, ...
        level: Level,
        /// ... that begin here, ...
        range: TimeRange,
        /// ... behind this place.
        after: Option<Place>,
    },
    /// Rollups to borrow, as the engine writes them.
    Lent(Vec<Vec<u8>>),
}

const CLAIM: u8 = 1;
const SETTLED: u8 = 2;
const WANT: u8 = 3;
const GIVEN: u8 = 4;
const BORROW: u8 = 5;
const LENT: u8 = 6;

impl Nodes {
    pub(super) fn bytes(&self) -> usize {
        let blobs = |nodes: &[Vec<u8>]| nodes.iter().map(|node| node.len() + 5).sum();
        let place = |place: &Option<Place>| place.as_ref().map_or(1, |(_, d)| d.len() + 10);
        match self {
            Nodes::Claim { after } => place(after),
            Nodes::Settled { after, until, entries } => {
                let entry = |entry: &SettledClaim| entry.place.1.len() + 20;
                place(after) + place(until) + entries.iter().map(entry).sum::<usize>()
            }
            Nodes::Want(places) => places.iter().map(|(_, device)| device.len() + 10).sum(),
            Nodes::Given(nodes) | Nodes::Lent(nodes) => blobs(nodes),
            Nodes::Borrow { after, .. } => 18 + place(after),
        }
    }

    pub(super) fn write(&self, to: &mut Writer) {
        match self {
            Nodes::Claim { after } => write_option(to.u8(CLAIM), after.as_ref()),
            Nodes::Settled { after, until, entries } => {
                write_option(to.u8(SETTLED), after.as_ref());
                write_option(to, until.as_ref());
                to.list(entries.iter(), |to, entry| {
                    write_place(to, &entry.place);
                    to.varint(entry.rows).u64(entry.digest);
                });
            }
            Nodes::Want(places) => {
                to.u8(WANT).list(places.iter(), write_place);
            }
            Nodes::Given(nodes) => write_blobs(to.u8(GIVEN), nodes),
            Nodes::Borrow { level, range, after } => {
                write_range(to.u8(BORROW).u8(*level as u8), *range);
                write_option(to, after.as_ref());
            }
            Nodes::Lent(nodes) => write_blobs(to.u8(LENT), nodes),
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            CLAIM => Nodes::Claim { after: from.option(read_place)? },
            SETTLED => {
                let (after, until) = (from.option(read_place)?, from.option(read_place)?);
                let entries = from.list(18, |from| {
                    let place = read_place(from)?;
                    Ok(SettledClaim { place, rows: from.varint()?, digest: from.u64()? })
                })?;
                if !entries.is_sorted_by(|a, b| a.place < b.place) {
                    return Err(Malformed("settled nodes are not in order"));
                }
                Nodes::Settled { after, until, entries }
            }
            WANT => Nodes::Want(from.list(9, read_place)?),
            GIVEN => Nodes::Given(from.list(1, |from| from.blob().map(<[u8]>::to_vec))?),
            BORROW => {
                let level = Level::from_number(from.u8()?)
                    .filter(|level| (Level::Year..=Level::Window).contains(level))
                    .ok_or(Malformed("a level without windows"))?;
                Nodes::Borrow { level, range: read_range(from)?, after: from.option(read_place)? }
            }
            LENT => Nodes::Lent(from.list(1, |from| from.blob().map(<[u8]>::to_vec))?),
            _ => return Err(Malformed("something about nodes of an unknown kind")),
        })
    }
}

fn write_place(to: &mut Writer, place: &Place) {
    to.i64(place.0).text(&place.1);
}

fn read_place(from: &mut Reader<'_>) -> Result<Place, Malformed> {
    Ok((from.i64()?, read_device(from)?))
}

fn write_option(to: &mut Writer, place: Option<&Place>) {
    to.option(place, write_place);
}
