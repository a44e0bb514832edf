//! What the two sides of a comparison say to each other: claims about digests, prints of rows, wishes, rows.

use super::difference::Difference;
use super::nodes::Nodes;
use crate::wire::{Malformed, Reader, Writer, read_collection, read_times, write_times};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use tidelog_model::{
    CollectionName, DEVICE_BYTES_MAX, GroupId, LeafWidth, Level, Stamp, TimeRange,
};

/// A collection in a group: what one tree is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Scope {
    /// The group.
    pub group: GroupId,
    /// The collection.
    pub collection: CollectionName,
}

/// What a comparison is about, when that is not everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Only {
    /// The collection.
    pub collection: CollectionName,
    /// The times: whole UTC hours, which are whole leaves.
    pub range: TimeRange,
}

impl Only {
    /// A collection, or the hours of it that a range touches.
    #[must_use]
    pub fn new(collection: CollectionName, range: TimeRange) -> Self {
        let hour = |time| Level::Window.window_of(time, LeafWidth::Hour);
        let range = hour(range.first()).hull(hour(range.last()));
        Only { collection, range }
    }
}

/// The first eight bytes of a digest: enough to find a difference, not to deny one.
pub type Short = u64;

/// What a side has of a collection in a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectionClaim {
    /// Its name.
    pub name: CollectionName,
    /// Its leaf width: trees of two widths have nothing in common.
    pub leaf: LeafWidth,
    /// Rows before this are cut off.
    pub cut: i64,
    /// Its content root.
    pub root: Short,
}

/// A row by its print: time, print, and the stamp of the newest of its cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Print {
    /// Nanoseconds.
    pub time: i64,
    /// See `RowPrinter`; cut to four bytes.
    pub print: u32,
    /// When the row was last written, or [`Print::OVERTAKEN`].
    pub stamp: Stamp,
}

impl Print {
    /// The row was written to again beyond the horizon. What was merged away by that says nothing of what the other side
    /// lacks: where both have such a row it is left to the next pass.
    pub const OVERTAKEN: Stamp = Stamp::MAX;
    /// From this epoch on rows are exchanged even so: that of the third pass.
    pub const EPOCHS: u32 = 4;

    /// A row of which nothing is left up to the horizon, for what was written to it beyond.
    #[must_use]
    pub fn hidden(time: i64) -> Print {
        Print { time, print: 0, stamp: Self::OVERTAKEN }
    }

    pub(crate) fn is_overtaken(&self) -> bool {
        self.stamp == Self::OVERTAKEN
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.is_overtaken() && self.print == 0
    }
}

/// One thing that is said. Claims are about all that the sender has in a range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// The collections of a group that hold anything, ascending.
    Collections {
        /// The group.
        group: GroupId,
        /// By name.
        entries: Vec<CollectionClaim>,
        /// What they hold is claimed beside it: only what one side lacks is told by this.
        claimed: bool,
    },
    /// The windows of a level in a range that hold anything, by their first nanosecond, ascending.
    Windows {
        /// Where.
        scope: Scope,
        /// The range.
        range: TimeRange,
        /// Year, month, day or leaf window.
        level: Level,
        /// First nanosecond and digest.
        entries: Vec<(i64, Short)>,
    },
    /// The 16 outer buckets of a leaf window, or the 16 inner ones of an outer one; 0 where there is nothing.
    Buckets {
        /// Where.
        scope: Scope,
        /// The leaf window, by its first nanosecond.
        window: i64,
        /// The outer bucket whose inner ones these are.
        outer: Option<u8>,
        /// Digests.
        entries: [Short; 16],
    },
    /// The series of a leaf window in some inner buckets, ascending by device.
    Series {
        /// Where.
        scope: Scope,
        /// The leaf window, by its first nanosecond.
        window: i64,
        /// The first and the last inner bucket.
        buckets: (u8, u8),
        /// Device and digest. 0: the sender has nothing of that device.
        entries: Vec<(String, Short)>,
        /// Only these devices are meant, not all of the buckets.
        partial: bool,
    },
    /// The 16 equal parts of a range of one series.
    Parts {
        /// Where.
        scope: Scope,
        /// The device, canonical.
        device: String,
        /// What is divided; inside one leaf window.
        range: TimeRange,
        /// Digests of their prints, cut to four bytes; 0 where there is no row.
        entries: [u32; 16],
    },
    /// All rows of a series in a range.
    Prints {
        /// Where.
        scope: Scope,
        /// The device, canonical.
        device: String,
        /// The range; inside one leaf window.
        range: TimeRange,
        /// By time.
        rows: Vec<Print>,
    },
    /// The sender lacks all of a range: it wants the rows.
    WantRange {
        /// Where.
        scope: Scope,
        /// One device only.
        device: Option<String>,
        /// The range.
        range: TimeRange,
        /// Go on behind this row, by device, then time.
        after: Option<(String, i64)>,
    },
    /// The sender wants these rows of a series.
    WantTimes {
        /// Where.
        scope: Scope,
        /// The device, canonical.
        device: String,
        /// Ascending.
        times: Vec<i64>,
        /// The sender has a row at these times, too: cells of it may win.
        contested: bool,
    },
    /// Rows: sub-batches, each the bytes of a `BatchV1` archive.
    Rows {
        /// The receiver had a row at these times, too: it sends back what wins over these.
        contested: bool,
        /// Archives.
        archives: Vec<Vec<u8>>,
    },
    /// Differences that are looked at once more before anything is sent for them: leaf windows in a range, or only
    /// some devices in the one window that the range is.
    Suspects {
        /// Where.
        scope: Scope,
        /// Whole leaf windows.
        range: TimeRange,
        /// Devices, and whether both sides have something of them; none: all of the range.
        devices: Vec<(String, bool)>,
    },
    /// What differs of a series in a leaf window, or a part of one, where that is only looked at.
    Difference(Difference),
    /// About rollups: settled ones, and those that are borrowed.
    Nodes {
        /// Where.
        scope: Scope,
        /// What.
        nodes: Nodes,
    },
    /// What cannot be compared, and is no difference either.
    LeftOut {
        /// Where.
        scope: Scope,
        /// Why.
        why: LeftOut,
        /// How many windows.
        windows: u64,
    },
}

/// Why something was left out of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum LeftOut {
    /// The collection has leaves of another width there.
    LeafWidth = 1,
    /// Rows were cut off on one side or on both, and rollups stand for them.
    Settled = 2,
    /// The peer has no right to it.
    Forbidden = 3,
    /// It is stamped too far ahead of the clock of the side that was to take it.
    ClockAhead = 4,
    /// Only a part was asked for.
    NotAsked = 5,
    /// The repair policy left it for later, or to another peer.
    Policy = 6,
}

impl LeftOut {
    fn from_number(number: u8) -> Option<Self> {
        [
            LeftOut::LeafWidth,
            LeftOut::Settled,
            LeftOut::Forbidden,
            LeftOut::ClockAhead,
            LeftOut::NotAsked,
            LeftOut::Policy,
        ]
        .into_iter()
        .find(|why| *why as u8 == number)
    }
}

const COLLECTIONS: u8 = 1;
const WINDOWS: u8 = 2;
const BUCKETS: u8 = 3;
const SERIES: u8 = 4;
const PARTS: u8 = 5;
const PRINTS: u8 = 6;
const WANT_RANGE: u8 = 7;
const WANT_TIMES: u8 = 8;
const ROWS: u8 = 9;
const SUSPECTS: u8 = 10;
const LEFT_OUT: u8 = 11;
const DIFFERENCE: u8 = 12;
const NODES: u8 = 13;

impl Item {
    /// The tree it is about.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Item::Collections { .. } | Item::Rows { .. } => None,
            Item::Windows { scope, .. }
            | Item::Buckets { scope, .. }
            | Item::Series { scope, .. }
            | Item::Parts { scope, .. }
            | Item::Prints { scope, .. }
            | Item::WantRange { scope, .. }
            | Item::WantTimes { scope, .. }
            | Item::Suspects { scope, .. }
            | Item::LeftOut { scope, .. }
            | Item::Nodes { scope, .. }
            | Item::Difference(Difference { scope, .. }) => Some(scope),
        }
    }

    /// About how many bytes it takes on the wire: never less than half, so that a frame can be filled.
    #[must_use]
    pub fn bytes(&self) -> usize {
        24 + match self {
            Item::Collections { entries, .. } => entries.len() * 64,
            Item::Windows { entries, .. } => entries.len() * 12,
            Item::Buckets { .. } => 136,
            Item::Series { entries, .. } => entries.iter().map(|(d, _)| d.len() + 10).sum(),
            Item::Parts { device, .. } => device.len() + 72,
            Item::Prints { device, rows, .. } => device.len() + rows.len() * 12,
            Item::WantRange { device, after, .. } => {
                let after = after.as_ref().map_or(0, |(device, _)| device.len() + 8);
                16 + device.as_ref().map_or(0, String::len) + after
            }
            Item::WantTimes { device, times, .. } => device.len() + times.len() * 6,
            Item::Rows { archives, .. } => archives.iter().map(|one| one.len() + 20).sum(),
            Item::Suspects { devices, .. } => devices.iter().map(|(d, _)| d.len() + 3).sum(),
            Item::LeftOut { .. } => 8,
            Item::Nodes { nodes, .. } => nodes.bytes(),
            Item::Difference(one) => one.device.len() + 32,
        }
    }

    /// Leaves out what is wholly before a time, in what a comparison begins with; `false` when nothing is left.
    pub(crate) fn narrow(&mut self, from: i64) -> bool {
        let Item::Windows { range, level, entries, .. } = self else { return true };
        let Some(rest) = TimeRange::inclusive(from.max(range.first()), range.last()) else {
            return false;
        };
        *range = rest;
        // No leaf is wider than an hour.
        entries.retain(|(first, _)| level.window_of(*first, LeafWidth::Hour).last() >= from);
        true
    }

    /// Of which group it is; rows are of any.
    pub(crate) fn group(&self) -> Option<GroupId> {
        match self {
            Item::Collections { group, .. } => Some(*group),
            Item::Windows { scope, .. }
            | Item::Buckets { scope, .. }
            | Item::Series { scope, .. }
            | Item::Parts { scope, .. }
            | Item::Prints { scope, .. }
            | Item::WantRange { scope, .. }
            | Item::WantTimes { scope, .. }
            | Item::Suspects { scope, .. }
            | Item::Nodes { scope, .. }
            | Item::LeftOut { scope, .. } => Some(scope.group),
            Item::Difference(one) => Some(one.scope.group),
            Item::Rows { .. } => None,
        }
    }

    /// About how many leaf windows are looked at for it, of one series or of all. Widths are not known here: as if a leaf
    /// were an hour.
    pub(crate) fn windows(&self) -> u64 {
        match self {
            Item::Collections { entries, .. } => entries.len() as u64,
            Item::Windows { level, entries, .. } => entries.len() as u64 * hours_of(*level),
            Item::Buckets { entries, .. } => entries.iter().filter(|one| **one != 0).count() as u64,
            Item::Series { entries, .. } => entries.len() as u64,
            Item::Parts { .. } | Item::Prints { .. } | Item::WantTimes { .. } => 1,
            Item::WantRange { device: Some(_), range, after: Some((_, time)), .. } => {
                TimeRange::inclusive(*time, range.last()).map_or(0, hours)
            }
            Item::WantRange { range, .. } => hours(*range),
            Item::Suspects { range, devices, .. } if devices.is_empty() => hours(*range),
            Item::Suspects { devices, .. } => devices.len() as u64,
            Item::Rows { .. } | Item::LeftOut { .. } | Item::Difference(_) | Item::Nodes { .. } => {
                0
            }
        }
    }
}

const HOUR: u64 = 3_600_000_000_000;

/// Hours that a range touches, about: it is never none.
fn hours(range: TimeRange) -> u64 {
    range.last().abs_diff(range.first()) / HOUR + 1
}

fn hours_of(level: Level) -> u64 {
    match level {
        Level::Root | Level::Year => 365 * 24,
        Level::Month => 30 * 24,
        Level::Day => 24,
        _ => 1,
    }
}

/// Writes items; the scope of one that is that of the one before is not repeated.
pub(crate) fn write_items(writer: &mut Writer, items: &[Item]) {
    writer.varint(items.len() as u64);
    let mut last: Option<&Scope> = None;
    for item in items {
        write_item(writer, item, &mut last);
    }
}

/// Reads what [`write_items`] wrote; checked whole.
pub(crate) fn read_items(reader: &mut Reader<'_>) -> Result<Vec<Item>, Malformed> {
    let count = reader.count(2)?;
    let mut last: Option<Scope> = None;
    (0..count).map(|_| read_item(reader, &mut last)).collect()
}

fn write_item<'a>(writer: &mut Writer, item: &'a Item, last: &mut Option<&'a Scope>) {
    writer.u8(kind_of(item));
    if let Some(scope) = item.scope() {
        write_scope(writer, scope, last);
    }
    match item {
        Item::Collections { group, entries, claimed } => {
            writer.varint(u64::from(group.0)).u8(u8::from(*claimed));
            write_collections(writer, entries);
        }
        Item::Windows { range, level, entries, .. } => {
            write_range(writer, *range);
            write_windows(writer.u8(*level as u8), entries);
        }
        Item::Buckets { window, outer, entries, .. } => {
            writer.i64(*window);
            writer.u8(outer.unwrap_or(NO_BUCKET));
            write_sixteen(writer, entries, |writer, short| {
                writer.u64(short);
            });
        }
        Item::Series { window, buckets, entries, partial, .. } => {
            writer.i64(*window).u8(buckets.0).u8(buckets.1).u8(u8::from(*partial));
            writer.list(entries.iter(), |writer, (device, short)| {
                writer.text(device).u64(*short);
            });
        }
        Item::Parts { device, range, entries, .. } => {
            writer.text(device);
            write_range(writer, *range);
            write_sixteen(writer, entries, |writer, short| {
                writer.u32(short);
            });
        }
        Item::Prints { device, range, rows, .. } => {
            writer.text(device);
            write_range(writer, *range);
            write_prints(writer, rows);
        }
        Item::WantRange { device, range, after, .. } => {
            writer.option(device.as_ref(), |writer, device| {
                writer.text(device);
            });
            write_range(writer, *range);
            writer.option(after.as_ref(), |writer, (device, time)| {
                writer.text(device).i64(*time);
            });
        }
        Item::WantTimes { device, times, contested, .. } => {
            writer.text(device).u8(u8::from(*contested));
            write_times(writer, times);
        }
        Item::Rows { contested, archives } => {
            write_blobs(writer.u8(u8::from(*contested)), archives);
        }
        Item::Suspects { range, devices, .. } => {
            write_range(writer, *range);
            writer.list(devices.iter(), |writer, (device, both)| {
                writer.text(device).u8(u8::from(*both));
            });
        }
        Item::LeftOut { why, windows, .. } => {
            writer.u8(*why as u8).varint(*windows);
        }
        Item::Difference(one) => one.write(writer),
        Item::Nodes { nodes, .. } => nodes.write(writer),
    }
}

pub(super) fn write_blobs(writer: &mut Writer, blobs: &[Vec<u8>]) {
    writer.list(blobs.iter(), |writer, blob| {
        writer.blob(blob);
    });
}

fn write_scope<'a>(writer: &mut Writer, scope: &'a Scope, last: &mut Option<&'a Scope>) {
    if *last == Some(scope) {
        writer.u8(0);
        return;
    }
    writer.u8(1).varint(u64::from(scope.group.0));
    writer.text(scope.collection.database()).text(scope.collection.collection());
    *last = Some(scope);
}

fn write_windows(writer: &mut Writer, entries: &[(i64, Short)]) {
    let times: Vec<i64> = entries.iter().map(|entry| entry.0).collect();
    write_times(writer, &times);
    entries.iter().for_each(|entry| {
        writer.u64(entry.1);
    });
}

fn write_collections(writer: &mut Writer, entries: &[CollectionClaim]) {
    writer.list(entries.iter(), |writer, entry| {
        writer.text(entry.name.database()).text(entry.name.collection());
        writer.u8(entry.leaf as u8);
        let cut = (entry.cut > i64::MIN).then_some(entry.cut);
        writer.option(cut, |writer, cut| {
            writer.i64(cut);
        });
        writer.u64(entry.root);
    });
}

const NO_BUCKET: u8 = 255;

fn kind_of(item: &Item) -> u8 {
    match item {
        Item::Collections { .. } => COLLECTIONS,
        Item::Windows { .. } => WINDOWS,
        Item::Buckets { .. } => BUCKETS,
        Item::Series { .. } => SERIES,
        Item::Parts { .. } => PARTS,
        Item::Prints { .. } => PRINTS,
        Item::WantRange { .. } => WANT_RANGE,
        Item::WantTimes { .. } => WANT_TIMES,
        Item::Rows { .. } => ROWS,
        Item::Suspects { .. } => SUSPECTS,
        Item::LeftOut { .. } => LEFT_OUT,
        Item::Difference(_) => DIFFERENCE,
        Item::Nodes { .. } => NODES,
    }
}

fn read_item(reader: &mut Reader<'_>, last: &mut Option<Scope>) -> Result<Item, Malformed> {
    let kind = reader.u8()?;
    if kind == COLLECTIONS {
        let group = GroupId(reader.varint32()?);
        let claimed = read_flag(reader)?;
        return Ok(Item::Collections { group, entries: read_collections(reader)?, claimed });
    }
    if kind == ROWS {
        let contested = read_flag(reader)?;
        let archives = reader.list(1, |reader| reader.blob().map(<[u8]>::to_vec))?;
        return Ok(Item::Rows { contested, archives });
    }
    if read_flag(reader)? {
        let group = GroupId(reader.varint32()?);
        *last = Some(Scope { group, collection: read_collection(reader)? });
    }
    let scope = last.clone().ok_or(Malformed("an item has no scope"))?;
    read_scoped(reader, kind, scope)
}

fn read_scoped(reader: &mut Reader<'_>, kind: u8, scope: Scope) -> Result<Item, Malformed> {
    Ok(match kind {
        WINDOWS => {
            let range = read_range(reader)?;
            let level = Level::from_number(reader.u8()?)
                .filter(|level| (Level::Year..=Level::Window).contains(level))
                .ok_or(Malformed("a level without windows"))?;
            let times = read_times(reader, 8)?;
            let entries = times
                .into_iter()
                .map(|time| Ok((time, reader.u64()?)))
                .collect::<Result<Vec<_>, Malformed>>()?;
            Item::Windows { scope, range, level, entries }
        }
        BUCKETS => {
            let (window, outer) = (reader.i64()?, reader.u8()?);
            if outer >= 16 && outer != NO_BUCKET {
                return Err(Malformed("no such bucket"));
            }
            let outer = (outer != NO_BUCKET).then_some(outer);
            let entries = read_sixteen(reader, Reader::u64)?;
            Item::Buckets { scope, window, outer, entries }
        }
        SERIES => {
            let window = reader.i64()?;
            let buckets = (reader.u8()?, reader.u8()?);
            let partial = read_flag(reader)?;
            let entries = reader.list(9, |reader| Ok((read_device(reader)?, reader.u64()?)))?;
            if buckets.0 > buckets.1 || !entries.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(Malformed("series are not in order"));
            }
            Item::Series { scope, window, buckets, entries, partial }
        }
        PARTS => {
            let (device, range) = (read_device(reader)?, read_range(reader)?);
            Item::Parts { scope, device, range, entries: read_sixteen(reader, Reader::u32)? }
        }
        PRINTS => {
            let (device, range) = (read_device(reader)?, read_range(reader)?);
            Item::Prints { scope, device, range, rows: read_prints(reader)? }
        }
        WANT_RANGE => {
            let device = reader.option(read_device)?;
            let range = read_range(reader)?;
            let after = reader.option(|reader| Ok((read_device(reader)?, reader.i64()?)))?;
            Item::WantRange { scope, device, range, after }
        }
        WANT_TIMES => {
            let (device, contested) = (read_device(reader)?, read_flag(reader)?);
            Item::WantTimes { scope, device, times: read_times(reader, 0)?, contested }
        }
        SUSPECTS => {
            let range = read_range(reader)?;
            let devices =
                reader.list(2, |reader| Ok((read_device(reader)?, read_flag(reader)?)))?;
            Item::Suspects { scope, range, devices }
        }
        LEFT_OUT => {
            let why = LeftOut::from_number(reader.u8()?).ok_or(Malformed("no such reason"))?;
            Item::LeftOut { scope, why, windows: reader.varint()? }
        }
        DIFFERENCE => Item::Difference(Difference::read(reader, scope)?),
        NODES => Item::Nodes { scope, nodes: Nodes::read(reader)? },
        _ => return Err(Malformed("an item of an unknown kind")),
    })
}

fn read_collections(reader: &mut Reader<'_>) -> Result<Vec<CollectionClaim>, Malformed> {
    let entries = reader.list(12, |reader| {
        let name = read_collection(reader)?;
        let leaf = LeafWidth::from_minutes(reader.u8()?).ok_or(Malformed("no such leaf width"))?;
        let cut = reader.option(Reader::i64)?.unwrap_or(i64::MIN);
        Ok(CollectionClaim { name, leaf, cut, root: reader.u64()? })
    })?;
    if entries.is_sorted_by(|a, b| a.name < b.name) {
        Ok(entries)
    } else {
        Err(Malformed("collections are not in order"))
    }
}

fn write_prints(writer: &mut Writer, rows: &[Print]) {
    let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
    write_times(writer, &times);
    let mut millis = 0u64;
    for row in rows {
        writer.u32(row.print);
        // Of stamps in a row mostly the milliseconds differ, and by little.
        let (own, counter) = (row.stamp.millis(), row.stamp.0 & 0xffff);
        let delta = own.wrapping_sub(millis).cast_signed();
        let folded = ((delta << 1) ^ (delta >> 63)).cast_unsigned();
        writer.varint(folded << 1 | u64::from(counter > 0));
        if counter > 0 {
            writer.varint(counter);
        }
        millis = own;
    }
}

fn read_prints(reader: &mut Reader<'_>) -> Result<Vec<Print>, Malformed> {
    let times = read_times(reader, 5)?;
    let mut millis = 0u64;
    let mut rows = Vec::with_capacity(times.len());
    for time in times {
        let print = reader.u32()?;
        let folded = reader.varint()?;
        let zigzag = folded >> 1;
        let delta = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
        millis = millis.wrapping_add_signed(delta);
        let counter = if folded & 1 == 1 { reader.varint()? } else { 0 };
        if millis >= 1 << 48 || counter >= 1 << 16 {
            return Err(Malformed("a stamp is too large"));
        }
        rows.push(Print { time, print, stamp: Stamp(millis << 16 | counter) });
    }
    Ok(rows)
}

fn write_sixteen<T: Copy + Default + PartialEq>(
    writer: &mut Writer,
    entries: &[T; 16],
    mut write: impl FnMut(&mut Writer, T),
) {
    let there = |at: usize| u16::from(entries[at] != T::default()) << at;
    let mask = (0..16).fold(0u16, |mask, at| mask | there(at));
    writer.raw(&mask.to_le_bytes());
    entries.iter().filter(|entry| **entry != T::default()).for_each(|entry| write(writer, *entry));
}

fn read_sixteen<'a, T: Copy + Default>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<[T; 16], Malformed> {
    let mask = u16::from_le_bytes(reader.array()?);
    let mut entries = [T::default(); 16];
    for (at, entry) in entries.iter_mut().enumerate() {
        if mask >> at & 1 == 1 {
            *entry = read(reader)?;
        }
    }
    Ok(entries)
}

pub(super) fn write_range(writer: &mut Writer, range: TimeRange) {
    writer.i64(range.first()).varint(range.last().wrapping_sub(range.first()).cast_unsigned());
}

pub(super) fn read_range(reader: &mut Reader<'_>) -> Result<TimeRange, Malformed> {
    let first = reader.i64()?;
    let last = first.checked_add_unsigned(reader.varint()?);
    let range = last.and_then(|last| TimeRange::inclusive(first, last));
    range.ok_or(Malformed("a range of time ends before it begins"))
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("a flag is neither 0 nor 1")),
    }
}

pub(super) fn read_device(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let text = reader.text()?;
    if text.len() > DEVICE_BYTES_MAX || !tidelog_model::device::is_canonical(text) {
        return Err(Malformed("a device is not canonical"));
    }
    Ok(text.to_string())
}
