//! What stands in a frame of the write-ahead log.

use super::tail::TailArchive;
use crate::format::Malformed;
use crate::log::FRAME_HEADER_LEN;
use rkyv::util::AlignedVec;
use tidelog_model::{BatchV1, GroupId, SubBatch};

pub(crate) const KIND_ROWS: u8 = 1;
pub(crate) const KIND_TOMBSTONE: u8 = 2;
pub(crate) const KIND_END: u8 = 3;
pub(crate) const KIND_APPLIED: u8 = 4;
const ALIGN: usize = 16;

/// Builds a rows frame, reusing its memory.
#[derive(Debug, Default)]
pub(crate) struct RowsPayload {
    archives: AlignedVec,
    lens: Vec<u32>,
}

impl RowsPayload {
    pub(crate) fn clear(&mut self) {
        self.archives.clear();
        self.lens.clear();
    }

    pub(crate) fn push(&mut self, sub: &BatchV1) {
        let start = self.archives.len();
        self.archives = sub.write_to(std::mem::take(&mut self.archives));
        self.end_archive(start);
    }

    /// Adds a sub-batch that is bytes already, and was checked.
    pub(crate) fn push_archive(&mut self, archive: &[u8]) {
        let start = self.archives.len();
        self.archives.extend_from_slice(archive);
        self.end_archive(start);
    }

    fn end_archive(&mut self, start: usize) {
        let len = self.archives.len() - start;
        self.lens.push(u32::try_from(len).expect("a batch is below 4 GiB"));
        pad(&mut self.archives);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// How many bytes [`Self::append_to`] appends.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        (4 + 4 * self.lens.len()).next_multiple_of(ALIGN) + self.archives.len()
    }

    /// The frame, in a buffer that is used again: room for its header, then the payload.
    pub(crate) fn frame(&self, mut frame: AlignedVec) -> AlignedVec {
        frame.clear();
        frame.resize(FRAME_HEADER_LEN, 0);
        self.append_to(&mut frame);
        frame
    }

    /// Appends the sub-batches, if there are any.
    pub(crate) fn append_to(&self, frame: &mut AlignedVec) {
        if self.lens.is_empty() {
            return;
        }
        let count = u32::try_from(self.lens.len()).expect("as many as groups");
        frame.extend_from_slice(&count.to_le_bytes());
        for len in &self.lens {
            frame.extend_from_slice(&len.to_le_bytes());
        }
        pad(frame);
        frame.extend_from_slice(&self.archives);
    }

    /// Takes a frame apart; every sub-batch is checked whole. `payload` must be aligned to 16.
    pub(crate) fn read(payload: &[u8]) -> Result<Vec<SubBatch<'_>>, Malformed> {
        let archives = Self::split(payload)?;
        let read = |archive| SubBatch::read(archive).map_err(|_| Malformed("not a sub-batch"));
        archives.into_iter().map(read).collect()
    }

    /// The sub-batches as they stand in the log.
    pub(crate) fn archives(payload: &[u8]) -> Result<Vec<TailArchive<'_>>, Malformed> {
        let subs = Self::read(payload)?;
        let archives = Self::split(payload)?;
        let archive = |(sub, bytes): (SubBatch<'_>, _)| TailArchive {
            group: GroupId(sub.group().0),
            rows: sub.rows(),
            bytes,
        };
        Ok(subs.into_iter().zip(archives).map(archive).collect())
    }

    /// The bytes of each sub-batch, not looked into.
    pub(super) fn split(payload: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
        let mut reader = crate::format::Reader::new(payload);
        let count = reader.u32()? as usize;
        if count == 0 || count > payload.len() / 4 {
            return Err(Malformed("the number of sub-batches is wrong"));
        }
        let lens = (0..count).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
        skip_padding(&mut reader, payload.len())?;
        let mut subs = Vec::with_capacity(count);
        for len in lens {
            subs.push(reader.raw(len as usize)?);
            skip_padding(&mut reader, payload.len())?;
        }
        reader.end()?;
        Ok(subs)
    }
}

/// A tombstone frame: room for its header, then the payload.
pub(crate) fn tombstone_payload(encoded: &[u8]) -> AlignedVec {
    let mut frame = AlignedVec::new();
    frame.resize(FRAME_HEADER_LEN, 0);
    let len = u32::try_from(encoded.len()).expect("a tombstone is small");
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(encoded);
    pad(&mut frame);
    frame
}

/// The encoded tombstone of a tombstone payload.
pub(crate) fn read_tombstone_payload(payload: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = crate::format::Reader::new(payload);
    let len = reader.u32()? as usize;
    let encoded = reader.raw(len)?;
    skip_padding(&mut reader, payload.len())?;
    reader.end()?;
    Ok(encoded)
}

fn pad(bytes: &mut AlignedVec) {
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
}

fn skip_padding(reader: &mut crate::format::Reader<'_>, total: usize) -> Result<(), Malformed> {
    let at = total - reader.remaining();
    let padding = reader.raw(at.next_multiple_of(ALIGN) - at)?;
    if padding.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Malformed("padding")) }
}
