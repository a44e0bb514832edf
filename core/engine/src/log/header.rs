//! The header of a log file.

use crate::format::{Reader, Writer};
use tidelog_model::{Incarnation, StoreId};

/// Bytes of a file header.
pub(crate) const FILE_HEADER_LEN: usize = 80;
const VERSION: u32 = 1;
const _: () = assert!(8 + 4 * 4 + 16 + 16 + 8 + 12 + 4 == FILE_HEADER_LEN);

/// Which log a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogKind {
    Wal,
    Manifest,
}

impl LogKind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            LogKind::Wal => b"TIDEWAL\0",
            LogKind::Manifest => b"TIDEMAN\0",
        }
    }
}

/// Why a file is not a log file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderError {
    /// Cut short, or its checksum does not hold.
    Damaged,
    /// Written by a later version.
    TooNew { found: u32, newest: u32 },
}

/// The header of a log file; see FORMAT.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub(crate) kind: LogKind,
    pub(crate) ordinal: u32,
    pub(crate) index: u32,
    pub(crate) store: StoreId,
    pub(crate) incarnation: Incarnation,
    pub(crate) base: u64,
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; FILE_HEADER_LEN] {
        let mut writer = Writer::default();
        writer.raw(self.kind.magic()).u32(VERSION).u32(self.ordinal).u32(self.index).u32(0);
        writer.raw(&self.store.0).raw(&self.incarnation.0).u64(self.base).raw(&[0; 12]);
        let crc = crc32fast::hash(&writer.bytes);
        writer.u32(crc);
        writer.bytes.try_into().expect("the parts add up")
    }

    pub(crate) fn decode(kind: LogKind, bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes = bytes.get(..FILE_HEADER_LEN).ok_or(HeaderError::Damaged)?;
        let (covered, crc) = bytes.split_at(FILE_HEADER_LEN - 4);
        if crc != crc32fast::hash(covered).to_le_bytes() {
            return Err(HeaderError::Damaged);
        }
        let mut reader = Reader::new(covered);
        let mut read = || {
            let magic: [u8; 8] = reader.array()?;
            let version = reader.u32()?;
            let header = FileHeader {
                kind,
                ordinal: reader.u32()?,
                index: reader.u32()?,
                store: {
                    reader.u32()?;
                    StoreId(reader.array()?)
                },
                incarnation: Incarnation(reader.array()?),
                base: reader.u64()?,
            };
            Ok::<_, crate::format::Malformed>((magic, version, header))
        };
        let (magic, version, header) = read().map_err(|_| HeaderError::Damaged)?;
        if magic != *kind.magic() {
            return Err(HeaderError::Damaged);
        }
        if version > VERSION {
            return Err(HeaderError::TooNew { found: version, newest: VERSION });
        }
        // What this version does not write, it does not read: reserved bytes must be zero.
        if header.encode() != *bytes {
            return Err(HeaderError::Damaged);
        }
        Ok(header)
    }

    /// What the checksums of this file's frames are seeded with: the header's own checksum. (The CRC of
    /// bytes that end in their CRC is the same number for all of them, so it could not tell files apart.)
    pub(crate) fn seed(&self) -> u32 {
        let [.., a, b, c, d] = self.encode();
        u32::from_le_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_seeds_its_frames_differently() {
        let header = |index| FileHeader {
            kind: LogKind::Wal,
            ordinal: 1,
            index,
            store: StoreId([1; 16]),
            incarnation: Incarnation([2; 16]),
            base: 0,
        };
        assert_ne!(header(0).seed(), header(1).seed());
        let bytes = header(3).encode();
        assert_eq!(FileHeader::decode(LogKind::Wal, &bytes), Ok(header(3)));
        assert_eq!(FileHeader::decode(LogKind::Manifest, &bytes), Err(HeaderError::Damaged));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(LogKind::Wal, &flipped).is_err(), "bit {bit}");
        }
    }
}
