//! Changes, and edits as bytes; see FORMAT.md. Pure, and made for bytes that may be anything.

use super::collection::CollectionEntry;
use super::state::{FileEntry, Opening, Pin};
use crate::format::{Malformed, Reader, Writer};
use crate::ids::{FileId, LogEnd, LogPoint, Tier};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_model::{
    CollectionName, Device, DeviceSelector, FieldType, GroupEpoch, GroupId, Incarnation, LeafWidth,
    Name, Position, Stamp, StoreId, TimeRange, Tombstone, Version,
};

/// One step from a state to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// The store's id: at its creation, and when a copy is adopted.
    Store(StoreId),
    /// How many groups; once.
    Groups(u32),
    Opened(Opening),
    /// No segment of this opening is needed any more.
    ForgetOpening(u32),
    /// The log of this opening ends there, and all before is durable.
    Ended(u32, LogEnd),
    Covered(LogPoint),
    Ceiling(Stamp),
    NextFile(FileId),
    AddFile(Arc<FileEntry>),
    RemoveFile(FileId),
    /// Merged into what is known of the collection: a whole entry, or what is new.
    Collection(CollectionName, Arc<CollectionEntry>),
    Tombstone(Arc<Tombstone>),
    DropTombstone(Arc<Tombstone>),
    /// Sets a pin, in place of the one with the same name.
    Pin(String, Pin),
    Unpin(String),
    /// The rows of this file that the pyramid's stored nodes do not count, from now on: those in these stretches of
    /// time, sorted and apart from each other.
    Uncounted(FileId, Vec<TimeRange>),
    /// The pyramid's stored nodes know this delete now.
    TombstoneRolledUp(Arc<Tombstone>),
    /// All that a store wrote to its log before a position is here.
    Cursor(StoreId, Position),
    /// The store has peers from now on.
    Replicated,
    /// A file of rows that is damaged: what could be read of it is in another one, and it is only listed still so that no
    /// answer passes over what is lacking.
    SetAside(FileId),
    /// The highest epoch of a group that was seen.
    Epoch(GroupId, GroupEpoch),
    /// A store is to stay away: it is followed no more.
    Forgotten(StoreId),
}

/// Changes that are applied together or not at all.
pub(crate) type Edit = Vec<Change>;

/// Why bytes are no edit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("{0}")]
    Malformed(Malformed),
    #[error("a change of kind {kind}, which this version does not know")]
    TooNew { kind: u8 },
}

impl From<Malformed> for DecodeError {
    fn from(error: Malformed) -> Self {
        DecodeError::Malformed(error)
    }
}

const STORE: u8 = 1;
const GROUPS: u8 = 2;
const OPENED: u8 = 3;
const FORGET_OPENING: u8 = 4;
const COVERED: u8 = 5;
const CEILING: u8 = 6;
const NEXT_FILE: u8 = 7;
const ADD_FILE: u8 = 8;
const REMOVE_FILE: u8 = 9;
const COLLECTION: u8 = 10;
const TOMBSTONE: u8 = 11;
const DROP_TOMBSTONE: u8 = 12;
const PIN: u8 = 13;
const UNPIN: u8 = 14;
const ENDED: u8 = 15;
const UNCOUNTED: u8 = 16;
const TOMBSTONE_ROLLED_UP: u8 = 17;
const CURSOR: u8 = 18;
const REPLICATED: u8 = 19;
const ADD_FOREIGN_FILE: u8 = 20;
const SET_ASIDE: u8 = 21;
const EPOCH: u8 = 22;
const FORGOTTEN: u8 = 23;

/// An edit as a frame's payload.
pub(super) fn encode(edit: &[Change]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.list(edit.iter(), write_change);
    pad(writer)
}

/// Frames take payloads in steps of 16 bytes.
pub(super) fn pad(mut writer: Writer) -> Vec<u8> {
    writer.bytes.resize(writer.bytes.len().next_multiple_of(PAYLOAD_ALIGN), 0);
    writer.bytes
}

/// Nothing follows but padding.
pub(super) fn end(reader: Reader<'_>) -> Result<(), Malformed> {
    let mut rest = reader;
    let len = rest.remaining();
    let padding = rest.raw(len)?;
    let zeros = len < PAYLOAD_ALIGN && padding.iter().all(|byte| *byte == 0);
    if zeros { Ok(()) } else { Err(Malformed("bytes follow the end")) }
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// When the bytes are no edit, or one of a later version.
pub(super) fn decode(payload: &[u8]) -> Result<Edit, DecodeError> {
    let mut reader = Reader::new(payload);
    let count = reader.count(CHANGE_BYTES_MIN)?;
    let edit = (0..count).map(|_| read_change(&mut reader)).collect::<Result<Edit, _>>()?;
    end(reader)?;
    Ok(edit)
}

/// A total order among tombstones needs their bytes.
pub(super) fn tombstone_bytes(tombstone: &Tombstone) -> Vec<u8> {
    let mut writer = Writer::default();
    write_tombstone(&mut writer, tombstone);
    writer.bytes
}

fn write_change(writer: &mut Writer, change: &Change) {
    match change {
        Change::Store(store) => {
            writer.u8(STORE).raw(&store.0);
        }
        Change::Groups(groups) => {
            writer.u8(GROUPS).u32(*groups);
        }
        Change::Opened(opening) => {
            writer.u8(OPENED).u32(opening.ordinal).raw(&opening.incarnation.0);
        }
        Change::ForgetOpening(ordinal) => {
            writer.u8(FORGET_OPENING).u32(*ordinal);
        }
        Change::Ended(ordinal, end) => {
            writer.u8(ENDED).u32(*ordinal).u32(end.segment).varint(end.offset);
        }
        Change::Covered(point) => write_point(writer.u8(COVERED), *point),
        Change::Ceiling(stamp) => {
            writer.u8(CEILING).u64(stamp.0);
        }
        Change::NextFile(id) => {
            writer.u8(NEXT_FILE).varint(id.0);
        }
        Change::AddFile(entry) => match entry.made_as {
            None => write_file(writer.u8(ADD_FILE), entry),
            Some((store, id)) => {
                writer.u8(ADD_FOREIGN_FILE).raw(&store.0).varint(id.0);
                write_file(writer, entry);
            }
        },
        Change::RemoveFile(id) => {
            writer.u8(REMOVE_FILE).varint(id.0);
        }
        Change::Collection(name, entry) => {
            write_collection_name(writer.u8(COLLECTION), name);
            write_collection(writer, entry);
        }
        Change::Tombstone(tombstone) => write_tombstone(writer.u8(TOMBSTONE), tombstone),
        Change::DropTombstone(tombstone) => write_tombstone(writer.u8(DROP_TOMBSTONE), tombstone),
        Change::Pin(name, pin) => write_pin(writer.u8(PIN).text(name), pin),
        Change::Unpin(name) => {
            writer.u8(UNPIN).text(name);
        }
        Change::Uncounted(id, ranges) => write_ranges(writer.u8(UNCOUNTED).varint(id.0), ranges),
        Change::TombstoneRolledUp(tombstone) => {
            write_tombstone(writer.u8(TOMBSTONE_ROLLED_UP), tombstone);
        }
        Change::Cursor(origin, position) => {
            writer.u8(CURSOR).raw(&origin.0);
            write_position(writer, *position);
        }
        Change::Replicated => {
            writer.u8(REPLICATED).u8(1);
        }
        Change::SetAside(id) => {
            writer.u8(SET_ASIDE).varint(id.0);
        }
        Change::Epoch(group, epoch) => {
            writer.u8(EPOCH).u32(group.0).varint(epoch.0);
        }
        Change::Forgotten(store) => {
            writer.u8(FORGOTTEN).raw(&store.0);
        }
    }
}

fn read_change(reader: &mut Reader<'_>) -> Result<Change, DecodeError> {
    Ok(match reader.u8()? {
        STORE => Change::Store(StoreId(reader.array()?)),
        GROUPS => Change::Groups(reader.u32()?),
        OPENED => Change::Opened(Opening {
            ordinal: reader.u32()?,
            incarnation: Incarnation(reader.array()?),
        }),
        FORGET_OPENING => Change::ForgetOpening(reader.u32()?),
        COVERED => Change::Covered(read_point(reader)?),
        CEILING => Change::Ceiling(Stamp(reader.u64()?)),
        NEXT_FILE => Change::NextFile(FileId(reader.varint()?)),
        ADD_FILE => Change::AddFile(Arc::new(read_file(reader)?)),
        ADD_FOREIGN_FILE => {
            let made_as = Some((StoreId(reader.array()?), FileId(reader.varint()?)));
            Change::AddFile(Arc::new(FileEntry { made_as, ..read_file(reader)? }))
        }
        REMOVE_FILE => Change::RemoveFile(FileId(reader.varint()?)),
        COLLECTION => {
            let name = read_collection_name(reader)?;
            Change::Collection(name, Arc::new(read_collection(reader)?))
        }
        TOMBSTONE => Change::Tombstone(Arc::new(read_tombstone(reader)?)),
        DROP_TOMBSTONE => Change::DropTombstone(Arc::new(read_tombstone(reader)?)),
        PIN => Change::Pin(reader.text()?.to_owned(), read_pin(reader)?),
        UNPIN => Change::Unpin(reader.text()?.to_owned()),
        ENDED => {
            let (ordinal, segment) = (reader.u32()?, reader.u32()?);
            Change::Ended(ordinal, LogEnd { offset: reader.varint()?, segment })
        }
        UNCOUNTED => Change::Uncounted(FileId(reader.varint()?), read_ranges(reader)?),
        TOMBSTONE_ROLLED_UP => Change::TombstoneRolledUp(Arc::new(read_tombstone(reader)?)),
        CURSOR => Change::Cursor(StoreId(reader.array()?), read_position(reader)?),
        SET_ASIDE => Change::SetAside(FileId(reader.varint()?)),
        REPLICATED if read_flag(reader)? => Change::Replicated,
        REPLICATED => return Err(Malformed("a store does not lose its peers").into()),
        EPOCH => Change::Epoch(GroupId(reader.u32()?), GroupEpoch(reader.varint()?)),
        FORGOTTEN => Change::Forgotten(StoreId(reader.array()?)),
        // The count said that a change is here, so zero is no padding.
        0 => return Err(Malformed("a change of kind 0").into()),
        kind => return Err(DecodeError::TooNew { kind }),
    })
}

fn write_point(writer: &mut Writer, point: LogPoint) {
    writer.u32(point.ordinal).varint(point.offset);
}

fn read_point(reader: &mut Reader<'_>) -> Result<LogPoint, Malformed> {
    Ok(LogPoint { ordinal: reader.u32()?, offset: reader.varint()? })
}

pub(crate) fn write_position(writer: &mut Writer, position: Position) {
    writer.raw(&position.incarnation.0).varint(position.offset);
}

pub(crate) fn read_position(reader: &mut Reader<'_>) -> Result<Position, Malformed> {
    Ok(Position { incarnation: Incarnation(reader.array()?), offset: reader.varint()? })
}

fn write_file(writer: &mut Writer, entry: &FileEntry) {
    writer.varint(entry.id.0).u32(entry.group.0).u8(entry.tier as u8);
    writer.u8(u8::from(entry.dense)).u8(match (entry.settled, entry.borrowed) {
        (false, false) => MEMORY,
        (true, _) => SETTLED,
        (false, true) => BORROWED,
    });
    write_ranges(writer, &entry.uncounted);
    writer.varint(entry.len).raw(&entry.blake3);
    writer.varint(entry.rows).varint(entry.values).varint(u64::from(entry.series));
    write_range(writer, entry.range);
    writer.u64(entry.stamps.0.0).u64(entry.stamps.1.0).u64(entry.cleaned.0);
    writer.list(entry.collections.iter(), write_collection_name);
}

fn read_file(reader: &mut Reader<'_>) -> Result<FileEntry, Malformed> {
    let (id, group) = (FileId(reader.varint()?), GroupId(reader.u32()?));
    let (tier, dense, standing) = (read_tier(reader)?, read_flag(reader)?, reader.u8()?);
    if standing > BORROWED {
        return Err(Malformed("nodes are neither a memory, nor settled, nor borrowed"));
    }
    Ok(FileEntry {
        id,
        group,
        tier,
        dense,
        settled: standing == SETTLED,
        borrowed: standing == BORROWED,
        uncounted: read_ranges(reader)?,
        made_as: None,
        len: reader.varint()?,
        blake3: reader.array()?,
        rows: reader.varint()?,
        values: reader.varint()?,
        series: reader.varint32()?,
        range: read_range(reader)?,
        stamps: (Stamp(reader.u64()?), Stamp(reader.u64()?)),
        cleaned: Stamp(reader.u64()?),
        collections: reader.list(COLLECTION_NAME_BYTES_MIN, read_collection_name)?,
    })
}

fn write_ranges(writer: &mut Writer, ranges: &[TimeRange]) {
    writer.list(ranges.iter(), |writer, range| write_range(writer, *range));
}

/// Sorted, and apart from each other.
fn read_ranges(reader: &mut Reader<'_>) -> Result<Vec<TimeRange>, Malformed> {
    let ranges = reader.list(16, read_range)?;
    if ranges.is_sorted_by(|a, b| a.last() < b.first()) {
        Ok(ranges)
    } else {
        Err(Malformed("stretches of time overlap or are out of order"))
    }
}

fn write_collection(writer: &mut Writer, entry: &CollectionEntry) {
    writer.u8(entry.leaf as u8);
    write_version(writer, entry.options_version);
    writer.list(entry.fields.iter(), |writer, ((name, field), first)| {
        writer.text(name).u8(*field as u8);
        write_version(writer, *first);
    });
    writer.list(entry.retention.iter(), |writer, (tier, days)| {
        writer.u8(*tier as u8).u32(*days);
    });
    writer.list(entry.cuts.iter(), |writer, (tier, cut)| {
        writer.u8(*tier as u8).i64(*cut);
    });
    writer.i64(entry.evicted);
}

fn read_collection(reader: &mut Reader<'_>) -> Result<CollectionEntry, Malformed> {
    let leaf = reader.u8()?;
    Ok(CollectionEntry {
        leaf: LeafWidth::from_minutes(leaf).ok_or(Malformed("no such leaf width"))?,
        options_version: read_version(reader)?,
        fields: ascending(reader.list(FIELD_BYTES_MIN, |reader| {
            let name = read_name(reader)?;
            let number = reader.u8()?;
            let field = FieldType::from_number(number).ok_or(Malformed("no such field type"))?;
            Ok(((name, field), read_version(reader)?))
        })?)?,
        retention: reader.list(5, |reader| Ok((read_tier(reader)?, reader.u32()?)))?,
        cuts: ascending(reader.list(9, |reader| Ok((read_tier(reader)?, reader.i64()?)))?)?,
        evicted: reader.i64()?,
    })
}

/// Equal entries have equal bytes: keys ascend.
fn ascending<K: Ord, V>(items: Vec<(K, V)>) -> Result<BTreeMap<K, V>, Malformed> {
    if items.is_sorted_by(|(a, _), (b, _)| a < b) {
        Ok(items.into_iter().collect())
    } else {
        Err(Malformed("keys do not ascend"))
    }
}

fn write_tombstone(writer: &mut Writer, tombstone: &Tombstone) {
    writer.text(&tombstone.database);
    writer.option(tombstone.collection.as_ref(), |writer, name| {
        writer.text(name);
    });
    write_devices(writer, &tombstone.devices);
    writer.option(tombstone.fields.as_ref(), |writer, fields| {
        writer.list(fields.iter(), |writer, name| {
            writer.text(name);
        });
    });
    write_range(writer, tombstone.range);
    write_version(writer, tombstone.version);
}

pub(super) fn read_tombstone(reader: &mut Reader<'_>) -> Result<Tombstone, Malformed> {
    Ok(Tombstone {
        database: read_name(reader)?,
        collection: reader.option(read_name)?,
        devices: read_devices(reader)?,
        fields: reader.option(|reader| reader.list(NAME_BYTES_MIN, read_name))?,
        range: read_range(reader)?,
        version: read_version(reader)?,
    })
}

fn write_devices(writer: &mut Writer, devices: &DeviceSelector) {
    writer.option(devices.devices.as_ref(), |writer, devices| {
        writer.list(devices.iter(), |writer, device| {
            writer.text(device.as_str());
        });
    });
    writer.option(devices.prefix.as_ref(), |writer, prefix| {
        writer.text(prefix);
    });
    writer.list(devices.labels.iter(), |writer, (key, value)| {
        writer.text(key).text(value);
    });
}

fn read_devices(reader: &mut Reader<'_>) -> Result<DeviceSelector, Malformed> {
    let device = |reader: &mut Reader<'_>| {
        Device::from_canonical(reader.text()?).map_err(|_| Malformed("a device is not canonical"))
    };
    Ok(DeviceSelector {
        devices: reader.option(|reader| reader.list(NAME_BYTES_MIN, device))?,
        prefix: reader.option(|reader| reader.text().map(str::to_owned))?,
        labels: reader
            .list(2, |reader| Ok((reader.text()?.to_owned(), reader.text()?.to_owned())))?,
    })
}

fn write_pin(writer: &mut Writer, pin: &Pin) {
    write_point(writer, pin.point);
    writer.varint(pin.bytes_max).varint(pin.age_max_millis).varint(pin.created_millis);
}

fn read_pin(reader: &mut Reader<'_>) -> Result<Pin, Malformed> {
    Ok(Pin {
        point: read_point(reader)?,
        bytes_max: reader.varint()?,
        age_max_millis: reader.varint()?,
        created_millis: reader.varint()?,
    })
}

fn write_collection_name(writer: &mut Writer, name: &CollectionName) {
    writer.text(name.database()).text(name.collection());
}

fn read_collection_name(reader: &mut Reader<'_>) -> Result<CollectionName, Malformed> {
    let (database, collection) = (reader.text()?, reader.text()?);
    CollectionName::new(database, collection).map_err(|_| Malformed("not a collection's name"))
}

fn read_name(reader: &mut Reader<'_>) -> Result<Name, Malformed> {
    Name::new("field", reader.text()?).map_err(|_| Malformed("not a name"))
}

fn write_version(writer: &mut Writer, version: Version) {
    writer.u64(version.stamp.0).raw(&version.origin.0);
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, Malformed> {
    Ok(Version { stamp: Stamp(reader.u64()?), origin: StoreId(reader.array()?) })
}

fn write_range(writer: &mut Writer, range: TimeRange) {
    writer.i64(range.first()).i64(range.last());
}

fn read_range(reader: &mut Reader<'_>) -> Result<TimeRange, Malformed> {
    let (first, last) = (reader.i64()?, reader.i64()?);
    TimeRange::inclusive(first, last).ok_or(Malformed("a range of time ends before it begins"))
}

fn read_tier(reader: &mut Reader<'_>) -> Result<Tier, Malformed> {
    Tier::from_number(reader.u8()?).ok_or(Malformed("no such tier"))
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("a flag is neither 0 nor 1")),
    }
}

/// What nodes of a file are; rows are none of it.
const MEMORY: u8 = 0;
const SETTLED: u8 = 1;
const BORROWED: u8 = 2;
const PAYLOAD_ALIGN: usize = 16;
const CHANGE_BYTES_MIN: usize = 2;
const NAME_BYTES_MIN: usize = 2;
const COLLECTION_NAME_BYTES_MIN: usize = 2 * NAME_BYTES_MIN;
const FIELD_BYTES_MIN: usize = NAME_BYTES_MIN + 1 + 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::{any_edit, sample_edit};
    use proptest::prelude::*;

    #[test]
    fn the_bytes_of_an_edit_are_frozen() {
        let bytes = encode(&sample_edit());
        assert_eq!(decode(&bytes).unwrap(), sample_edit());
        let hash = blake3::hash(&bytes).to_hex();
        assert_eq!((bytes.len(), &hash[..32]), GOLDEN, "stores could not be read any more");
    }

    const GOLDEN: (usize, &str) = (704, "5a6a918e892b6b9545ddfb34c92e4def");

    #[test]
    fn kinds_of_a_later_version_are_refused_as_such() {
        let payload = |kind: u8| [&[2, UNPIN, 0, kind][..], &[0; 12]].concat();
        for kind in 24..=255 {
            assert_eq!(decode(&payload(kind)), Err(DecodeError::TooNew { kind }));
        }
        assert!(matches!(decode(&payload(0)), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn every_cut_and_every_padding_is_refused() {
        let bytes = encode(&sample_edit());
        for cut in 0..bytes.len() - PAYLOAD_ALIGN {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(&[&bytes[..], &[0; 16]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(edit in any_edit()) {
            prop_assert_eq!(decode(&encode(&edit)).unwrap(), edit);
        }

        #[test]
        fn any_bytes_decode_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            kind in 1u8..22,
        ) {
            let _ = decode(&bytes);
            let _ = decode(&[&[1, kind], &bytes[..]].concat());
        }

        #[test]
        fn damaged_edits_decode_without_panic(at in 0usize..600, byte in any::<u8>()) {
            let mut bytes = encode(&sample_edit());
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(edit) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&edit)).unwrap(), edit);
            }
        }
    }
}
