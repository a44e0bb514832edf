//! Reading the log back when a store is opened: what counts, what is torn, what is damaged.

use super::{parse_segment, segment_path};
use crate::disk::{Disk, OpenMode};
use crate::ids::LogPoint;
use crate::log::{FILE_HEADER_LEN, FileHeader, FrameInfo, HeaderError, LogKind, Piece, scan};
use rkyv::util::AlignedVec;
use std::collections::BTreeMap;
use std::io;
use tidelog_model::Incarnation;

/// Logs up to this size are kept in memory between the two passes of recovery.
const KEEP_BYTES_MAX: usize = 128 << 20;

/// A part of the log that is lost: reported, and copied to quarantine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Damage {
    pub(crate) path: String,
    /// Where in the file, in bytes; `None` when the whole file is missing or unreadable.
    pub(crate) bytes: Option<(u64, u64)>,
    pub(crate) what: &'static str,
}

/// The segments found of the openings that still matter.
pub(crate) type Segments = BTreeMap<(u32, u32), u64>;

/// What recovery found, beside the frames themselves.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) damage: Vec<Damage>,
    /// The torn tail: from here on the last opening's log is not part of it. The path of the
    /// segment, and the length it keeps.
    pub(crate) torn: Option<(String, u64)>,
    /// Bytes that the torn tail had, later segments included.
    pub(crate) torn_bytes: u64,
    /// Segments behind the torn tail.
    pub(crate) beyond: Vec<String>,
    /// Segments that exist, with the offset right behind each.
    pub(crate) segments: Segments,
    /// Everything before this offset of the last opening was read or reported.
    pub(crate) end: LogPoint,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

struct SegmentFile {
    index: u32,
    path: String,
    header: FileHeader,
    /// Log offset behind the part that belongs to the log.
    limit: u64,
    pieces: Vec<Piece>,
    bytes: Option<AlignedVec>,
}

/// Reads all frames behind `covered`, in order, and gives each to `replay` with its payload, aligned
/// to 16 bytes. `openings` are the ordinals and incarnations that the manifest knows, oldest first.
pub(crate) fn recover(
    disk: &dyn Disk,
    covered: LogPoint,
    openings: &[(u32, Incarnation)],
    mut replay: impl FnMut(u32, FrameInfo, &[u8]) -> Result<(), &'static str>,
) -> io::Result<Recovered> {
    let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for name in disk.list("wal")? {
        if let Some((ordinal, index)) = parse_segment(&name) {
            found.entry(ordinal).or_default().push(index);
        }
    }
    let mut recovered = Recovered { end: covered, ..Recovered::default() };
    let last = openings.last().map(|(ordinal, _)| *ordinal);
    for (ordinal, incarnation) in openings {
        let mut indices = found.remove(ordinal).unwrap_or_default();
        indices.sort_unstable();
        let is_last = last == Some(*ordinal);
        let from = if *ordinal == covered.ordinal { covered.offset } else { 0 };
        if *ordinal < covered.ordinal {
            for index in indices {
                recovered.segments.insert((*ordinal, index), 0);
            }
            continue;
        }
        let mut log = OpeningLog::load(disk, *ordinal, *incarnation, &indices, from)?;
        log.find_torn_tail(is_last, from, &mut recovered);
        log.judge_headless(is_last, &mut recovered);
        log.replay(disk, &mut recovered, &mut replay)?;
    }
    Ok(recovered)
}

/// A file whose header is none, so that nothing in it can be read.
struct Headless {
    index: u32,
    path: String,
    len: u64,
    /// The header never got as far as the disk, as when a death meets the beginning of a segment.
    unfinished: bool,
}

/// All segments of one opening.
struct OpeningLog {
    ordinal: u32,
    segments: Vec<SegmentFile>,
    headless: Vec<Headless>,
    /// The log ends here; behind it is the torn tail.
    end: u64,
}

impl OpeningLog {
    fn load(
        disk: &dyn Disk,
        ordinal: u32,
        incarnation: Incarnation,
        indices: &[u32],
        from: u64,
    ) -> io::Result<Self> {
        let mut segments: Vec<SegmentFile> = Vec::new();
        let mut headless = Vec::new();
        let mut kept = 0;
        for index in indices {
            let path = segment_path(ordinal, *index);
            let bytes = read_aligned(disk, &path)?;
            let header = match FileHeader::decode(LogKind::Wal, &bytes) {
                Ok(header)
                    if header.incarnation == incarnation
                        && (header.ordinal, header.index) == (ordinal, *index) =>
                {
                    header
                }
                Err(HeaderError::TooNew { .. }) => {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!("{path} was written by a later version: upgrade tidelog"),
                    ));
                }
                _ => {
                    let header = &bytes[..bytes.len().min(FILE_HEADER_LEN)];
                    let unfinished =
                        header.len() < FILE_HEADER_LEN || header.iter().all(|byte| *byte == 0);
                    let len = bytes.len() as u64;
                    headless.push(Headless { index: *index, path, len, unfinished });
                    continue;
                }
            };
            if let Some(before) = segments.last_mut() {
                before.limit = before.limit.min(header.base);
            }
            let body = bytes.get(FILE_HEADER_LEN..).unwrap_or_default();
            let mut pieces = scan(body, header.base + FILE_HEADER_LEN as u64, header.seed());
            // What is covered says nothing: of covered segments some may be gone and others not.
            pieces.retain(|piece| match *piece {
                Piece::Frame(info) => info.offset >= from,
                Piece::Bad { to, .. } => to > from,
            });
            let limit = header.base + bytes.len() as u64;
            kept += bytes.len();
            let bytes = (kept <= KEEP_BYTES_MAX).then_some(bytes);
            segments.push(SegmentFile { index: *index, path, header, limit, pieces, bytes });
        }
        // Where a segment is missing, a bad stretch of the log stands in its place.
        let mut expected = from;
        for segment in &mut segments {
            if segment.header.base > expected {
                let gap = Piece::Bad { from: expected, to: segment.header.base };
                segment.pieces.insert(0, gap);
            }
            // A segment that a flush covered may be back, cut short: nobody misses what it lost.
            expected = expected.max(segment.limit);
        }
        Ok(OpeningLog { ordinal, segments, headless, end: expected })
    }

    /// Frames and bad stretches in order, those behind a segment's limit left out.
    fn pieces(&self) -> impl Iterator<Item = (usize, Piece)> + '_ {
        self.segments.iter().enumerate().flat_map(|(at, segment)| {
            let inside = segment.pieces.iter().filter_map(move |piece| match *piece {
                Piece::Frame(info) => (info.end() <= segment.limit).then_some(piece).copied(),
                Piece::Bad { from, to } => {
                    (from < segment.limit).then_some(Piece::Bad { from, to: to.min(segment.limit) })
                }
            });
            inside.map(move |piece| (at, piece))
        })
    }

    fn find_torn_tail(&mut self, is_last: bool, from: u64, recovered: &mut Recovered) {
        if !is_last {
            // A later opening synced what it found here before it wrote: all of it was durable.
            return;
        }
        let durable = |(_, piece): (usize, Piece)| match piece {
            Piece::Frame(info) => info.durable,
            Piece::Bad { .. } => 0,
        };
        let mark = self.pieces().map(durable).max().unwrap_or(0).max(from);
        let mut sequence: Option<u64> = None;
        let cut = self.pieces().find_map(|(at, piece)| match piece {
            Piece::Bad { from, .. } => (from >= mark).then_some((at, from)),
            Piece::Frame(info) => {
                let gap = sequence.is_some_and(|before| before + 1 != info.sequence);
                sequence = Some(info.sequence);
                (gap && info.offset >= mark).then_some((at, info.offset))
            }
        });
        let Some((at, cut)) = cut else { return };
        let segment = &self.segments[at];
        recovered.torn_bytes = self.end.saturating_sub(cut);
        // The cut lies before a segment when the end of the one before it, or all of that, is lost.
        let kept = match cut.checked_sub(segment.header.base) {
            Some(len) => {
                recovered.torn = Some((segment.path.clone(), len));
                at + 1
            }
            None => at,
        };
        let beyond = self.segments.drain(kept..);
        recovered.beyond.extend(beyond.map(|segment| segment.path));
        if let Some(last) = self.segments.last_mut() {
            last.limit = last.limit.min(cut);
        }
        self.end = cut;
    }

    /// A file without a header behind the end of the log is what a death left of a segment's beginning: part
    /// of the torn tail. Anywhere else, and when its header was there once, it is damage.
    fn judge_headless(&mut self, is_last: bool, recovered: &mut Recovered) {
        let last_index = self.segments.last().map(|segment| segment.index);
        for file in self.headless.drain(..) {
            let at_end = last_index.is_none_or(|last| last < file.index);
            if is_last && at_end && (file.unfinished || !recovered.beyond.is_empty()) {
                recovered.torn_bytes += file.len;
                recovered.beyond.push(file.path);
                continue;
            }
            let next = self.segments.iter().find(|segment| segment.index > file.index);
            let gap = |segment: &SegmentFile| matches!(segment.pieces.first(), Some(Piece::Bad { from, .. }) if *from < segment.header.base);
            if at_end || next.is_some_and(gap) {
                let what = "the segment's header is damaged";
                let whole = Some((0, file.len));
                recovered.damage.push(Damage { path: file.path, bytes: whole, what });
            }
        }
    }

    fn replay(
        &mut self,
        disk: &dyn Disk,
        recovered: &mut Recovered,
        replay: &mut impl FnMut(u32, FrameInfo, &[u8]) -> Result<(), &'static str>,
    ) -> io::Result<()> {
        let mut sequence: Option<u64> = None;
        let pieces: Vec<(usize, Piece)> = self.pieces().collect();
        let mut loaded = usize::MAX;
        for (at, piece) in pieces {
            if at != loaded {
                if loaded != usize::MAX {
                    self.segments[loaded].bytes = None;
                }
                loaded = at;
                if self.segments[at].bytes.is_none() {
                    self.segments[at].bytes = Some(read_aligned(disk, &self.segments[at].path)?);
                }
            }
            let segment = &self.segments[at];
            let base = segment.header.base;
            let mut damage = |from: u64, to: u64, what| {
                let path = segment.path.clone();
                recovered.damage.push(Damage { path, bytes: Some((from - base, to - base)), what });
            };
            match piece {
                Piece::Bad { from: bad, to } if bad < base => {
                    let path = segment.path.clone();
                    let what = "the segment before this one is missing";
                    recovered.damage.push(Damage { path, bytes: None, what });
                    sequence = None;
                    debug_assert!(to == base, "a gap ends where its segment begins");
                }
                Piece::Bad { from: bad, to } if to > bad => {
                    damage(bad, to, "a record is damaged");
                    sequence = None;
                }
                Piece::Bad { .. } => sequence = None,
                Piece::Frame(info) => {
                    if sequence.is_some_and(|before| before + 1 != info.sequence) {
                        damage(info.offset, info.offset, "records before this one are missing");
                    }
                    sequence = Some(info.sequence);
                    let start = (info.end() - info.payload_len as u64 - base) as usize;
                    let bytes = segment.bytes.as_deref().unwrap_or_default();
                    let payload = bytes.get(start..start + info.payload_len).unwrap_or_default();
                    match replay(self.ordinal, info, payload) {
                        Ok(()) => recovered.frames += u64::from(info.kind != super::KIND_END),
                        Err(what) => damage(info.offset, info.end(), what),
                    }
                    recovered.bytes += info.payload_len as u64;
                }
            }
        }
        for segment in &self.segments {
            recovered.segments.insert((self.ordinal, segment.index), segment.limit);
        }
        recovered.end = recovered.end.max(LogPoint { ordinal: self.ordinal, offset: self.end });
        Ok(())
    }
}

/// Reads a file into memory aligned to 16 bytes, as archives inside want it.
pub(crate) fn read_aligned(disk: &dyn Disk, path: &str) -> io::Result<AlignedVec> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = AlignedVec::with_capacity(len);
    bytes.resize(len, 0);
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
