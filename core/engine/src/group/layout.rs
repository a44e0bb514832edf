//! Header, footer and directory of a group file, as values.

use crate::format::{Malformed, Reader, Writer};
use crate::ids::{FileId, Tier};
use crate::rows::FieldKey;
use tidelog_model::{
    CollectionName, FieldType, GroupId, LeafWidth, Name, Stamp, StoreId, TimeRange,
};

pub(crate) const HEADER_LEN: usize = 64;
pub(super) const FOOTER_LEN: usize = 48;
pub(super) const ENTRY_LEN: usize = 36;
const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"TIDEGRP\0";
const END: &[u8; 8] = b"TIDEEND\0";
const _: () = assert!(8 + 4 * 3 + 4 + 8 + 16 + 12 + 4 == HEADER_LEN);
const _: () = assert!(8 + 4 + 4 + 8 + 8 + 4 + 4 + 8 == FOOTER_LEN);
const _: () = assert!(4 + 8 + 4 + 4 + 8 + 8 == ENTRY_LEN);

/// Where the files of a group's tier stand.
pub(crate) fn directory(group: GroupId, tier: Tier) -> String {
    format!("{group}/{}", tier.directory())
}

/// Where a file stands in the store's directory.
pub(crate) fn file_path(group: GroupId, tier: Tier, id: FileId) -> String {
    format!("{}/{id}.tide", directory(group, tier))
}

/// Where a file stands while it is written.
pub(crate) fn temporary_path(group: GroupId, tier: Tier, id: FileId) -> String {
    format!("{}/{id}.tmp", directory(group, tier))
}

/// The id of a file, from its name without directory.
pub(crate) fn parse_file_name(name: &str) -> Option<FileId> {
    let digits = name.strip_suffix(".tide")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok().map(FileId))?
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) group: GroupId,
    pub(crate) groups: u32,
    pub(crate) tier: Tier,
    pub(crate) id: FileId,
    pub(crate) store: StoreId,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw(MAGIC).u32(VERSION).u32(self.group.0).u32(self.groups).u8(self.tier as u8);
        writer.raw(&[0; 3]).u64(self.id.0).raw(&self.store.0).raw(&[0; 12]);
        let crc = crc32fast::hash(&writer.bytes);
        writer.u32(crc);
        writer.bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let magic: [u8; 8] = reader.array()?;
            let version = reader.u32()?;
            let (group, groups) = (GroupId(reader.u32()?), reader.u32()?);
            let tier = Tier::from_number(reader.u8()?);
            reader.raw(3)?;
            let (id, store) = (FileId(reader.u64()?), StoreId(reader.array()?));
            let header = tier.map(|tier| Header { group, groups, tier, id, store });
            Ok::<_, Malformed>((magic, version, header))
        };
        let damaged = HeaderError::Damaged;
        let (magic, version, header) = read().map_err(|_| damaged)?;
        let (covered, crc) = bytes.split_at_checked(HEADER_LEN - 4).ok_or(damaged)?;
        if magic != *MAGIC || crc != crc32fast::hash(covered).to_le_bytes() {
            return Err(damaged);
        }
        if version > VERSION {
            return Err(HeaderError::TooNew { found: version });
        }
        // Reserved bytes must be what this version writes.
        header.filter(|header| header.encode() == bytes).ok_or(damaged)
    }

    pub(super) fn seed(&self) -> u32 {
        crc32fast::hash(&self.encode()[..HEADER_LEN - 4])
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeaderError {
    Damaged,
    TooNew { found: u32 },
}

impl HeaderError {
    pub(super) const NEWEST: u32 = VERSION;
}

/// The checksum of bytes at a place of a file.
pub(super) fn checksum(seed: u32, offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Footer {
    pub(super) directory_offset: u64,
    pub(super) directory_len: u32,
    pub(super) directory_crc: u32,
    pub(super) file_len: u64,
    pub(super) id: FileId,
}

impl Footer {
    pub(super) fn encode(&self, seed: u32) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.directory_offset).u32(self.directory_len).u32(self.directory_crc);
        writer.u64(self.file_len).u64(self.id.0).u32(0);
        let at = self.file_len - FOOTER_LEN as u64;
        let crc = checksum(seed, at, &writer.bytes);
        writer.u32(crc).raw(END);
        writer.bytes
    }

    pub(super) fn decode(bytes: &[u8], seed: u32) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let footer = Footer {
            directory_offset: reader.u64().ok()?,
            directory_len: reader.u32().ok()?,
            directory_crc: reader.u32().ok()?,
            file_len: reader.u64().ok()?,
            id: FileId(reader.u64().ok()?),
        };
        (footer.file_len >= FOOTER_LEN as u64 && footer.encode(seed) == bytes).then_some(footer)
    }
}

/// What a file holds, in numbers: the manifest keeps it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Summary {
    pub(crate) range: TimeRange,
    pub(crate) stamps: (Stamp, Stamp),
    /// Every tombstone up to this stamp was applied when the file was written.
    pub(crate) cleaned: Stamp,
    pub(crate) dense: bool,
    pub(crate) rows: u64,
    pub(crate) values: u64,
    pub(crate) series: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Directory {
    pub(super) summary: Summary,
    pub(super) origins: Vec<StoreId>,
    pub(super) sections: Vec<Section>,
}

/// One collection of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    pub(crate) name: CollectionName,
    pub(crate) leaf: LeafWidth,
    pub(crate) fields: Vec<FieldKey>,
    pub(crate) range: TimeRange,
    pub(crate) rows: u64,
    pub(crate) values: u64,
    pub(crate) series: u32,
    pub(super) table_offset: u64,
    pub(super) table_len: u32,
    pub(super) table_crc: u32,
}

impl Directory {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let summary = &self.summary;
        writer.i64(summary.range.first()).i64(summary.range.last());
        writer.u64(summary.stamps.0.0).u64(summary.stamps.1.0).u64(summary.cleaned.0);
        writer.u8(u8::from(summary.dense));
        writer.varint(summary.rows).varint(summary.values).varint(summary.series);
        writer.list(self.origins.iter(), |w, origin| {
            w.raw(&origin.0);
        });
        writer.list(self.sections.iter(), |w, section| section.encode(w));
        writer.bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let range = read_range(&mut reader)?;
        let stamps = (Stamp(reader.u64()?), Stamp(reader.u64()?));
        let summary = Summary {
            range,
            stamps,
            cleaned: Stamp(reader.u64()?),
            dense: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed("a flag is neither 0 nor 1")),
            },
            rows: reader.varint()?,
            values: reader.varint()?,
            series: reader.varint()?,
        };
        let origins = reader.list(16, |r| r.array().map(StoreId))?;
        let sections = reader.list(32, Section::decode)?;
        reader.end()?;
        Ok(Directory { summary, origins, sections })
    }
}

impl Section {
    /// The number of a field in this section.
    pub(super) fn number_of(&self, field: &FieldKey) -> Option<u32> {
        // Written in order; the order is checked when the directory is read.
        let at = self.fields.binary_search(field).ok()?;
        u32::try_from(at).ok()
    }

    fn encode(&self, writer: &mut Writer) {
        write_collection(writer, &self.name, self.leaf, &self.fields);
        writer.i64(self.range.first()).i64(self.range.last());
        writer.varint(self.rows).varint(self.values).varint(u64::from(self.series));
        writer.u64(self.table_offset).u32(self.table_len).u32(self.table_crc);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (name, leaf, fields) = read_collection(reader)?;
        Ok(Section {
            name,
            leaf,
            fields,
            range: read_range(reader)?,
            rows: reader.varint()?,
            values: reader.varint()?,
            series: reader.varint32()?,
            table_offset: reader.u64()?,
            table_len: reader.u32()?,
            table_crc: reader.u32()?,
        })
    }
}

/// The beginning of a section: name, leaf width and fields of its collection.
pub(crate) fn write_collection(
    writer: &mut Writer,
    name: &CollectionName,
    leaf: LeafWidth,
    fields: &[FieldKey],
) {
    writer.text(name.database()).text(name.collection()).u8(leaf as u8);
    writer.list(fields.iter(), |w, field| {
        w.text(&field.name).u8(field.kind as u8);
    });
}

pub(crate) fn read_collection(
    reader: &mut Reader<'_>,
) -> Result<(CollectionName, LeafWidth, Vec<FieldKey>), Malformed> {
    let (database, collection) = (reader.text()?, reader.text()?);
    let name = CollectionName::new(database, collection)
        .map_err(|_| Malformed("a collection's name is not one"))?;
    let leaf = LeafWidth::from_minutes(reader.u8()?).ok_or(Malformed("a leaf width is not one"))?;
    let fields = reader.list(2, |r| {
        let name =
            Name::new("field", r.text()?).map_err(|_| Malformed("a field's name is not one"))?;
        let kind = FieldType::from_number(r.u8()?).ok_or(Malformed("a field's type is unknown"))?;
        Ok(FieldKey { name, kind })
    })?;
    if !fields.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(Malformed("the fields of a collection are out of order"));
    }
    Ok((name, leaf, fields))
}

pub(crate) fn read_range(reader: &mut Reader<'_>) -> Result<TimeRange, Malformed> {
    let (first, last) = (reader.i64()?, reader.i64()?);
    TimeRange::inclusive(first, last).ok_or(Malformed("a range ends before it starts"))
}
