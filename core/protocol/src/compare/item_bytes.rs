//! Items as bytes, as WIRE.md says.

use super::difference::Difference;
use super::item::{CollectionClaim, Item, LeftOut, Print, Scope, Short};
use super::nodes::Nodes;
use crate::wire::{Malformed, Reader, Writer, read_collection, read_times, write_times};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use tidelog_model::{DEVICE_BYTES_MAX, GroupId, LeafWidth, Level, Stamp, TimeRange};

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
