//! What came from another store, in one record: deletes, rows, and how far its log is followed here.

use crate::format::{Malformed, Reader, Writer};
use crate::log::FRAME_HEADER_LEN;
use crate::manifest::{decode_tombstone, encode_tombstone, read_position, write_position};
use crate::wal::RowsPayload;
use rkyv::util::AlignedVec;
use tidelog_model::{Position, StoreId, SubBatch, Tombstone};

/// A record of this kind, read from bytes and checked whole.
pub(crate) struct AppliedPayload<'a> {
    /// All that this store wrote to its log before the position is here, with this record.
    pub(crate) cursor: Option<(StoreId, Position)>,
    pub(crate) tombstones: Vec<Tombstone>,
    pub(crate) subs: Vec<SubBatch<'a>>,
    /// The bytes of each sub-batch.
    archives: Vec<&'a [u8]>,
}

const ALIGN: usize = 16;

impl<'a> AppliedPayload<'a> {
    /// The frame: room for its header, then the payload.
    pub(crate) fn frame<'t>(
        cursor: Option<(StoreId, Position)>,
        tombstones: impl ExactSizeIterator<Item = &'t Tombstone>,
        rows: &RowsPayload,
    ) -> AlignedVec {
        let mut head = Writer::default();
        head.option(cursor, |writer, (origin, position)| {
            writer.raw(&origin.0);
            write_position(writer, position);
        });
        head.list(tombstones, |writer, tombstone| {
            writer.blob(&encode_tombstone(tombstone));
        });
        let mut frame = AlignedVec::new();
        frame.resize(FRAME_HEADER_LEN, 0);
        let len = u32::try_from(head.bytes.len()).expect("deletes of one record are capped");
        frame.extend_from_slice(&len.to_le_bytes());
        frame.extend_from_slice(&head.bytes);
        let payload = frame.len() - FRAME_HEADER_LEN;
        frame.resize(FRAME_HEADER_LEN + payload.next_multiple_of(ALIGN), 0);
        rows.append_to(&mut frame);
        frame
    }

    /// Takes a payload apart. It must be aligned to 16.
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let len = reader.u32()? as usize;
        let mut head = Reader::new(reader.raw(len)?);
        let cursor = head.option(|reader| {
            let origin = StoreId(reader.array()?);
            Ok((origin, read_position(reader)?))
        })?;
        let tombstones = head.list(1, |reader| decode_tombstone(reader.blob()?))?;
        head.end()?;
        let at = payload.len() - reader.remaining();
        let padding = reader.raw(at.next_multiple_of(ALIGN) - at)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Malformed("padding"));
        }
        let rows = &payload[at.next_multiple_of(ALIGN)..];
        let (subs, archives) = if rows.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            (RowsPayload::read(rows)?, RowsPayload::split(rows)?)
        };
        Ok(AppliedPayload { cursor, tombstones, subs, archives })
    }

    /// What of it a store wrote itself once: its sub-batches and deletes.
    pub(crate) fn of(&self, store: StoreId) -> (RowsPayload, Vec<&Tombstone>) {
        let mut rows = RowsPayload::default();
        for (sub, archive) in self.subs.iter().zip(&self.archives) {
            if sub.version().origin == store {
                rows.push_archive(archive);
            }
        }
        let deletes = self.tombstones.iter().filter(|one| one.version.origin == store);
        (rows, deletes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_model::{
        Batch, Cutter, DeviceSelector, Incarnation, LeafWidth, Name, Stamp, TimeRange, Version,
    };

    fn tombstone() -> Tombstone {
        Tombstone {
            database: Name::new("database", "d").unwrap(),
            collection: None,
            devices: DeviceSelector::all(),
            fields: None,
            range: TimeRange::ALL,
            version: Version { stamp: Stamp(4), origin: StoreId([3; 16]) },
        }
    }

    #[test]
    fn a_record_reads_back_and_no_cut_of_it_does() {
        let mut batch = Batch::new("d.c").unwrap();
        batch.push("x", 1, [("a", 1.0)]).unwrap();
        let version = Version { stamp: Stamp(9), origin: StoreId([3; 16]) };
        let mut rows = RowsPayload::default();
        batch.cut(1, version, LeafWidth::Hour, &mut Cutter::default(), |sub| rows.push(sub));
        let cursor =
            (StoreId([3; 16]), Position { incarnation: Incarnation([5; 16]), offset: 300 });
        let deletes = [tombstone()];
        let frame = AppliedPayload::frame(Some(cursor), deletes.iter(), &rows);
        let payload = &frame[FRAME_HEADER_LEN..];
        let read = AppliedPayload::read(payload).unwrap();
        assert_eq!((read.cursor, &read.tombstones[..]), (Some(cursor), &deletes[..]));
        assert_eq!((read.subs.len(), read.subs[0].version()), (1, version));
        let none = AppliedPayload::frame(None, [].iter(), &RowsPayload::default());
        assert!(AppliedPayload::read(&none[FRAME_HEADER_LEN..]).unwrap().subs.is_empty());
        // Where the rows begin a cut leaves a record without any.
        let rows_at = payload.len() - rows.bytes();
        for cut in (0..payload.len()).filter(|cut| *cut != rows_at) {
            let mut aligned = AlignedVec::<16>::new();
            aligned.extend_from_slice(&payload[..cut]);
            assert!(AppliedPayload::read(&aligned).is_err(), "cut at {cut}");
        }
    }
}
