//! Following the log: everything that the store wrote from a position on, as it is written. What it wrote once and
//! lost, with its disk or with the power, is written again when it comes back from another store: those who agreed
//! with this one meanwhile lack it, too.

use super::payload::tombstone_payload;
use super::writer::Wal;
use super::{AppliedPayload, KIND_APPLIED, KIND_ROWS, KIND_TOMBSTONE, segment_path};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::log::{FILE_HEADER_LEN, FRAME_HEADER_LEN, FileHeader, FrameInfo, LogKind, Piece, scan};
use crate::manifest::encode_tombstone;
use rkyv::util::AlignedVec;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tidelog_model::{GroupId, Incarnation, Position, StoreId};

/// How much of the log is read at once, unless a record is larger.
const WINDOW_BYTES: usize = 1 << 20;

/// One record of the log.
#[derive(Debug)]
pub struct TailRecord {
    /// Where it stands.
    pub position: Position,
    /// Where the next one stands: follow from here to go on after this one.
    pub next: Position,
    rows: bool,
    payload: AlignedVec,
}

/// A sub-batch of a write as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct TailArchive<'a> {
    /// The group of its devices.
    pub group: GroupId,
    /// Rows in it.
    pub rows: usize,
    /// A `BatchV1` archive.
    pub bytes: &'a [u8],
}

impl TailRecord {
    /// The sub-batches of a write, one per group; none when the record is a delete.
    #[must_use]
    pub fn sub_batches(&self) -> Vec<tidelog_model::SubBatch<'_>> {
        if !self.rows {
            return Vec::new();
        }
        super::RowsPayload::read(&self.payload).unwrap_or_default()
    }

    /// The sub-batches of a write as they stand in the log; none when the record is a delete.
    #[must_use]
    pub fn archives(&self) -> Vec<TailArchive<'_>> {
        if !self.rows {
            return Vec::new();
        }
        super::RowsPayload::archives(&self.payload).unwrap_or_default()
    }

    /// The bytes of the delete, when the record is one.
    #[must_use]
    pub fn tombstone_bytes(&self) -> Option<&[u8]> {
        if self.rows {
            return None;
        }
        super::payload::read_tombstone_payload(&self.payload).ok()
    }

    /// The delete, when the record is one.
    #[must_use]
    pub fn tombstone(&self) -> Option<tidelog_model::Tombstone> {
        if self.rows {
            return None;
        }
        super::payload::read_tombstone_payload(&self.payload)
            .ok()
            .and_then(|encoded| crate::manifest::decode_tombstone(encoded).ok())
    }
}

/// Why the log cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// The position is of another opening of the store, or before what is kept.
    #[error(
        "the log does not reach back to {asked:?}: read the store, then follow from {oldest:?}"
    )]
    Gone {
        /// The position that was asked for.
        asked: Position,
        /// The oldest position there is.
        oldest: Position,
    },
    /// The log could not be read.
    #[error("cannot read the log: check the disk")]
    Io(#[from] io::Error),
}

/// Follows one store's log. Holds no lock and stops no segment from being deleted: what must not be
/// missed needs a pin.
#[derive(Debug)]
pub struct Tail {
    wal: Arc<Wal>,
    disk: Arc<dyn Disk>,
    store: StoreId,
    next: u64,
    segment: Option<OpenSegment>,
    ready: std::collections::VecDeque<TailRecord>,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    header: FileHeader,
    end: Option<u64>,
}

struct File(Arc<dyn DiskFile>);

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("File")
    }
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wal({})", self.identity().incarnation)
    }
}

impl Tail {
    pub(crate) fn new(
        wal: Arc<Wal>,
        disk: Arc<dyn Disk>,
        store: StoreId,
        from: Position,
    ) -> Result<Self, TailError> {
        let (segments, end) = wal.segments();
        let incarnation = wal.identity().incarnation;
        let oldest = segments.first().map_or(end, |first| first.base);
        let known = from.incarnation == incarnation && (oldest..=end).contains(&from.offset);
        if !known {
            let oldest = Position { incarnation, offset: oldest };
            return Err(TailError::Gone { asked: from, oldest });
        }
        let ready = std::collections::VecDeque::new();
        Ok(Tail { wal, disk, store, next: from.offset, segment: None, ready })
    }

    /// The next record, waiting for it up to `timeout`; `None` when there is none by then.
    ///
    /// A record appears here as soon as it is in the log, which can be before its fsync returned.
    ///
    /// # Errors
    /// See [`TailError`].
    pub fn next(&mut self, timeout: Duration) -> Result<Option<TailRecord>, TailError> {
        if let Some(record) = self.ready.pop_front() {
            return Ok(Some(record));
        }
        let end = self.wal.wait_beyond(self.next, timeout);
        while self.next < end && self.ready.is_empty() {
            self.read(end)?;
        }
        Ok(self.ready.pop_front())
    }

    /// Where the next record begins, as far as the log was read.
    #[must_use]
    pub fn position(&self) -> Position {
        self.ready.front().map_or_else(|| self.at(self.next), |record| record.position)
    }

    fn at(&self, offset: u64) -> Position {
        Position { incarnation: self.incarnation(), offset }
    }

    fn incarnation(&self) -> Incarnation {
        self.wal.identity().incarnation
    }

    /// Reads whole frames from `next` on, at least one.
    fn read(&mut self, log_end: u64) -> Result<(), TailError> {
        let done = |segment: &OpenSegment| segment.end.is_some_and(|end| self.next >= end);
        if self.segment.as_ref().is_none_or(done) {
            self.open_segment()?;
        }
        let Some(segment) = &self.segment else { return Ok(()) };
        let base = segment.header.base;
        self.next = self.next.max(base + FILE_HEADER_LEN as u64);
        let (segments, _) = self.wal.segments();
        let after = segments.iter().find(|other| other.base > base).map(|other| other.base);
        let end = after.unwrap_or(log_end);
        let mut window = WINDOW_BYTES;
        loop {
            let len = usize::try_from(end.saturating_sub(self.next)).unwrap_or(window).min(window);
            let mut bytes = AlignedVec::<16>::with_capacity(len);
            bytes.resize(len, 0);
            segment.file.0.read_exact_at(&mut bytes, self.next - base)?;
            let pieces = scan(&bytes, self.next, segment.header.seed());
            let frames: Vec<FrameInfo> = pieces
                .into_iter()
                .map_while(|piece| match piece {
                    Piece::Frame(info) => Some(info),
                    Piece::Bad { .. } => None,
                })
                .collect();
            if frames.is_empty() && self.next + (len as u64) < end {
                window *= 4;
                continue;
            }
            let start = self.next;
            for info in frames {
                let at = (info.end() - start) as usize - info.payload_len;
                self.push(info, &bytes[at..at + info.payload_len]);
                self.next = info.end();
            }
            if self.next == start {
                // Nothing whole is left in this segment.
                self.next = end;
            }
            break;
        }
        if let Some(segment) = &mut self.segment {
            segment.end = after;
        }
        Ok(())
    }

    fn push(&mut self, info: FrameInfo, payload: &[u8]) {
        if ![KIND_ROWS, KIND_TOMBSTONE, KIND_APPLIED].contains(&info.kind) {
            return;
        }
        let mut aligned = AlignedVec::with_capacity(payload.len());
        aligned.extend_from_slice(payload);
        if info.kind == KIND_APPLIED {
            self.push_own(info, &aligned);
        } else {
            self.push_record(info, info.kind == KIND_ROWS, aligned);
        }
    }

    fn push_record(&mut self, info: FrameInfo, rows: bool, payload: AlignedVec) {
        let (position, next) = (self.at(info.offset), self.at(info.end()));
        self.ready.push_back(TailRecord { position, next, rows, payload });
    }

    /// What came from elsewhere is not told on, but for what is this store's own.
    fn push_own(&mut self, info: FrameInfo, payload: &AlignedVec) {
        let Ok(record) = AppliedPayload::read(payload) else { return };
        if record.cursor.is_some() {
            // Of another store's log, which holds nothing of this one.
            return;
        }
        let (rows, deletes) = record.of(self.store);
        for delete in deletes {
            let frame = tombstone_payload(&encode_tombstone(delete));
            let mut payload = AlignedVec::new();
            payload.extend_from_slice(&frame[FRAME_HEADER_LEN..]);
            self.push_record(info, false, payload);
        }
        if !rows.is_empty() {
            let mut payload = AlignedVec::new();
            rows.append_to(&mut payload);
            self.push_record(info, true, payload);
        }
    }

    fn open_segment(&mut self) -> Result<(), TailError> {
        let (segments, end) = self.wal.segments();
        let found = segments.iter().rev().find(|segment| segment.base <= self.next);
        let gone = TailError::Gone {
            asked: self.at(self.next),
            oldest: self.at(segments.first().map_or(end, |first| first.base)),
        };
        let Some(found) = found else { return Err(gone) };
        let path = segment_path(self.wal.identity().ordinal, found.index);
        let file = match self.disk.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone),
            other => other?,
        };
        let mut header = [0; FILE_HEADER_LEN];
        file.read_exact_at(&mut header, 0)?;
        let header = FileHeader::decode(LogKind::Wal, &header)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, path))?;
        self.segment = Some(OpenSegment { file: File(file), header, end: None });
        Ok(())
    }
}
