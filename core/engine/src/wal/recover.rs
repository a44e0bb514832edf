//! Reading the log back when a store is opened: what counts, what is torn, what is damaged.

use super::{parse_segment, segment_path};
use crate::disk::{Disk, OpenMode};
use crate::ids::LogPoint;
use crate::log::{
    FILE_HEADER_LEN, FRAME_MAGIC, FileHeader, FrameInfo, HeaderError, LogKind, Piece, scan,
};
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
        let mut log = OpeningLog::load(
            disk,
            *ordinal,
            *incarnation,
            &indices,
            from,
            is_last,
            &mut recovered,
        )?;
        log.find_torn_tail(is_last, from, &mut recovered);
        log.replay(disk, from, &mut recovered, &mut replay)?;
    }
    Ok(recovered)
}

/// All segments of one opening.
struct OpeningLog {
    ordinal: u32,
    segments: Vec<SegmentFile>,
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
        is_last: bool,
        recovered: &mut Recovered,
    ) -> io::Result<Self> {
        let mut segments: Vec<SegmentFile> = Vec::new();
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
                _ if is_last && Some(index) == indices.last() && !holds_frames(&bytes) => {
                    // Killed while it was created: nobody was told of anything in it.
                    recovered.torn_bytes += bytes.len() as u64;
                    recovered.beyond.push(path);
                    continue;
                }
                _ => {
                    // The name counts as a segment, so that damage is seen below if frames are gone.
                    let what = "the segment's header is damaged";
                    let whole = Some((0, bytes.len() as u64));
                    recovered.damage.push(Damage { path, bytes: whole, what });
                    continue;
                }
            };
            if let Some(before) = segments.last_mut() {
                before.limit = before.limit.min(header.base);
            }
            let body = bytes.get(FILE_HEADER_LEN..).unwrap_or_default();
            let pieces = scan(body, header.base + FILE_HEADER_LEN as u64, header.seed());
            let limit = header.base + bytes.len() as u64;
            kept += bytes.len();
            let bytes = (kept <= KEEP_BYTES_MAX).then_some(bytes);
            segments.push(SegmentFile { index: *index, path, header, limit, pieces, bytes });
        }
        let mut expected = from;
        for segment in &segments {
            if segment.header.base > expected {
                recovered.damage.push(Damage {
                    path: segment.path.clone(),
                    bytes: None,
                    what: "the segment before this one is missing",
                });
            }
            // A covered segment may be left over, with others behind it deleted.
            expected = segment.limit.max(from);
        }
        Ok(OpeningLog { ordinal, segments, end: expected })
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
        recovered.torn = Some((segment.path.clone(), cut - segment.header.base));
        recovered.torn_bytes += self.end.saturating_sub(cut);
        recovered.beyond.extend(self.segments[at + 1..].iter().map(|s| s.path.clone()));
        self.segments.truncate(at + 1);
        self.segments[at].limit = cut;
        self.end = cut;
    }

    fn replay(
        &mut self,
        disk: &dyn Disk,
        from: u64,
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
                Piece::Bad { from: bad, to } if to > from => {
                    damage(bad, to, "a record is damaged");
                    sequence = None;
                }
                Piece::Bad { .. } => sequence = None,
                // Of what is covered nothing is needed: a segment there may be left over, and others deleted.
                Piece::Frame(info) if info.offset < from => sequence = None,
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

/// Is there anything in a segment that looks like a frame, whatever file it is of?
fn holds_frames(bytes: &[u8]) -> bool {
    let body = bytes.get(FILE_HEADER_LEN..).unwrap_or_default();
    body.chunks(16).any(|chunk| chunk.starts_with(&FRAME_MAGIC))
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
