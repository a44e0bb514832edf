//! Reading the log back when a store is opened: what counts, what is torn, what is damaged.

use super::{parse_segment, segment_path};
use crate::disk::{Disk, OpenMode};
use crate::ids::{LogEnd, LogPoint};
use crate::log::{
    FILE_HEADER_LEN, FRAME_HEADER_LEN, FRAME_MAGIC, FileHeader, FrameInfo, HeaderError, LogKind,
    Piece, scan,
};
use rkyv::util::AlignedVec;
use std::collections::BTreeMap;
use std::io;
use tidelog_model::{Incarnation, StoreId};

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
    /// Segments of the last opening with bytes that it may never have made durable.
    pub(crate) doubtful: Vec<Doubtful>,
    /// Everything before this offset of the last opening was read or reported.
    pub(crate) end: LogPoint,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// A segment that was read, and of which nobody knows that the disk has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Doubtful {
    pub(crate) path: String,
    /// How many of its bytes belong to the log.
    pub(crate) keeps: u64,
    /// How many there were when it was read, and their checksum.
    pub(crate) read: (u64, u32),
}

struct SegmentFile {
    index: u32,
    path: String,
    header: FileHeader,
    /// Log offset behind the part that belongs to the log.
    limit: u64,
    /// The header was bad and made again.
    remade: bool,
    /// Its header was cut short or zeros, as one that was never synced.
    unfinished: bool,
    /// Length and checksum of what was read.
    read: (u64, u32),
}

/// A segment whose header says nothing, and that holds no frame.
struct Headless {
    index: u32,
    path: String,
    len: u64,
    /// Its header is cut short or zeros, as one that was never synced.
    unfinished: bool,
}

/// Reads all frames behind `covered`, in order, and gives each to `replay` with its payload, aligned
/// to 16 bytes. `openings` are the ordinals and incarnations that the manifest knows, oldest first, and
/// `ends` says where the logs of some of them end.
pub(crate) fn recover(
    disk: &dyn Disk,
    store: StoreId,
    covered: LogPoint,
    openings: &[(u32, Incarnation)],
    ends: &BTreeMap<u32, LogEnd>,
    mut replay: impl FnMut(u32, FrameInfo, &[u8]) -> Result<(), &'static str>,
) -> io::Result<Recovered> {
    let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for name in disk.list("wal")? {
        if let Some((ordinal, index)) = parse_segment(&name) {
            found.entry(ordinal).or_default().push(index);
        }
    }
    let mut recovered = Recovered { end: covered, ..Recovered::default() };
    // One buffer for all segments: fresh memory for each would cost more than reading them.
    let mut buffer = AlignedVec::new();
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
        let opening = (*ordinal, *incarnation);
        let log = OpeningLog::find(disk, store, opening, &indices)?;
        let end = ends.get(ordinal).copied().filter(|end| end.offset > from);
        let durable = match end {
            _ if !is_last => u64::MAX,
            Some(end) => end.offset,
            None => from,
        };
        let found = log.replay(disk, durable, from, &mut buffer, &mut recovered, &mut replay)?;
        if let Some(end) = end.filter(|end| end.offset > found) {
            let what = "the log is shorter than it was when it ended";
            let path = segment_path(*ordinal, end.segment);
            recovered.damage.push(Damage { path, bytes: None, what });
        }
    }
    // Of openings that are forgotten: deleted once, and back because that was not durable.
    for (ordinal, indices) in found.range(..covered.ordinal) {
        recovered.segments.extend(indices.iter().map(|index| ((*ordinal, *index), 0)));
    }
    Ok(recovered)
}

/// Where a replay stands.
struct Walk {
    /// The number of the frame before.
    sequence: Option<u64>,
    /// Everything before this offset was durable, once that is known.
    mark: Option<u64>,
    /// The greatest mark in the frames so far.
    marked: u64,
    /// The log offset where the next segment should begin.
    expected: u64,
}

impl Walk {
    /// Is something missing here, between what came before and this?
    fn is_gap(&self, piece: Piece) -> bool {
        match piece {
            Piece::Bad { .. } => true,
            Piece::Frame(info) => self.sequence.is_some_and(|before| before + 1 != info.sequence),
        }
    }
}

/// The log offsets where a piece begins and ends.
fn span_of(piece: Piece) -> (u64, u64) {
    match piece {
        Piece::Frame(info) => (info.offset, info.end()),
        Piece::Bad { from, to } => (from, to),
    }
}

/// The payload of a frame, of a segment that begins at `base`.
fn payload_of(info: FrameInfo, base: u64, segment: &[u8]) -> &[u8] {
    let start = usize::try_from(info.end() - info.payload_len as u64 - base).ok();
    start.and_then(|start| segment.get(start..start + info.payload_len)).unwrap_or_default()
}

/// What becomes of a segment.
enum Enter {
    Read,
    Skip,
    End,
}

/// All segments of one opening.
struct OpeningLog {
    ordinal: u32,
    segments: Vec<SegmentFile>,
    headless: Vec<Headless>,
}

impl OpeningLog {
    fn find(
        disk: &dyn Disk,
        store: StoreId,
        (ordinal, incarnation): (u32, Incarnation),
        indices: &[u32],
    ) -> io::Result<Self> {
        let mut segments: Vec<SegmentFile> = Vec::new();
        let mut headless = Vec::new();
        for index in indices {
            let path = segment_path(ordinal, *index);
            let file = disk.open(&path, OpenMode::Read)?;
            let len = file.len()?;
            let mut bytes = [0; FILE_HEADER_LEN];
            let (mut remade, mut unfinished) = (false, false);
            let whole = file.read_exact_at(&mut bytes, 0);
            let header = match whole.ok().map(|()| FileHeader::decode(LogKind::Wal, &bytes)) {
                Some(Ok(header))
                    if header.incarnation == incarnation
                        && (header.ordinal, header.index) == (ordinal, *index) =>
                {
                    header
                }
                Some(Err(HeaderError::TooNew { .. })) => {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!("{path} was written by a later version: upgrade tidelog"),
                    ));
                }
                _ => {
                    unfinished = len < FILE_HEADER_LEN as u64 || bytes == [0; FILE_HEADER_LEN];
                    let before = segments.last().map_or(0, |before: &SegmentFile| before.limit);
                    let identity = (ordinal, *index, store, incarnation);
                    match remade_header(disk, &path, identity, before)? {
                        Some(header) => {
                            remade = true;
                            header
                        }
                        None => {
                            headless.push(Headless { index: *index, path, len, unfinished });
                            continue;
                        }
                    }
                }
            };
            if let Some(before) = segments.last_mut() {
                before.limit = before.limit.min(header.base);
            }
            let limit = header.base + len;
            let read = (len, 0);
            let index = *index;
            segments.push(SegmentFile { index, path, header, limit, remade, unfinished, read });
        }
        Ok(OpeningLog { ordinal, segments, headless })
    }

    /// Frames and bad stretches of a segment, those behind its limit left out.
    fn pieces(
        &self,
        disk: &dyn Disk,
        at: usize,
        buffer: &mut AlignedVec,
    ) -> io::Result<Vec<Piece>> {
        let segment = &self.segments[at];
        read_aligned(disk, &segment.path, buffer)?;
        let body = buffer.get(FILE_HEADER_LEN..).unwrap_or_default();
        let base = segment.header.base + FILE_HEADER_LEN as u64;
        let inside = |piece: Piece| match piece {
            Piece::Frame(info) => (info.end() <= segment.limit).then_some(piece),
            Piece::Bad { from, to } => {
                (from < segment.limit).then_some(Piece::Bad { from, to: to.min(segment.limit) })
            }
        };
        Ok(scan(body, base, segment.header.seed()).into_iter().filter_map(inside).collect())
    }

    /// Reads a segment to be replayed, and notes what was read where it may have to be made durable yet.
    fn read(
        &mut self,
        disk: &dyn Disk,
        at: usize,
        durable: u64,
        buffer: &mut AlignedVec,
    ) -> io::Result<Vec<Piece>> {
        let pieces = self.pieces(disk, at, buffer)?;
        if durable < u64::MAX {
            self.segments[at].read = (buffer.len() as u64, crc32fast::hash(buffer));
        }
        Ok(pieces)
    }

    /// The greatest offset that any frame from segment `from` on says is durable.
    fn mark(&self, disk: &dyn Disk, from: usize) -> io::Result<u64> {
        let mut mark = 0;
        let mut buffer = AlignedVec::new();
        for at in from..self.segments.len() {
            for piece in self.pieces(disk, at, &mut buffer)? {
                if let Piece::Frame(info) = piece {
                    mark = mark.max(info.durable);
                }
            }
        }
        Ok(mark)
    }

    /// Replays the frames; where the log ends. All before `durable` is known to have been: what is bad there
    /// is damage, never a torn tail.
    fn replay(
        mut self,
        disk: &dyn Disk,
        durable: u64,
        from: u64,
        buffer: &mut AlignedVec,
        recovered: &mut Recovered,
        replay: &mut impl FnMut(u32, FrameInfo, &[u8]) -> Result<(), &'static str>,
    ) -> io::Result<u64> {
        let mut walk = Walk {
            sequence: None,
            // A later opening synced all that it found here.
            mark: (durable == u64::MAX).then_some(durable),
            marked: durable,
            expected: from,
        };
        let mut at = 0;
        'log: while at < self.segments.len() {
            match self.enter(disk, at, (durable, from), &mut walk, recovered)? {
                Enter::Read => {}
                Enter::Skip => {
                    at += 1;
                    continue;
                }
                Enter::End => break 'log,
            }
            for piece in self.read(disk, at, durable, buffer)? {
                let (start, end) = span_of(piece);
                let gap = walk.is_gap(piece);
                // What is covered is in files, and may never have been synced here: a torn tail may begin in it.
                let needed = start.max(from);
                if gap && end > from && needed >= self.known(disk, at, durable, &mut walk)? {
                    self.cut(at, needed, recovered);
                    break 'log;
                }
                let segment = &self.segments[at];
                let base = segment.header.base;
                let mut damage = |from: u64, to: u64, what| {
                    let path = segment.path.clone();
                    let bytes = Some((from - base, to - base));
                    recovered.damage.push(Damage { path, bytes, what });
                };
                let Piece::Frame(info) = piece else {
                    if end > from {
                        damage(start, end, "a record is damaged");
                    }
                    walk.sequence = None;
                    continue;
                };
                if gap && end > from {
                    damage(start, start, "records before this one are missing");
                }
                if info.offset < from {
                    // Nothing of what is covered is needed, nor what came between it and the rest.
                    walk.sequence = None;
                    continue;
                }
                walk.sequence = Some(info.sequence);
                walk.marked = walk.marked.max(info.durable);
                match replay(self.ordinal, info, payload_of(info, base, buffer)) {
                    Ok(()) => recovered.frames += u64::from(info.kind != super::KIND_END),
                    Err(what) => damage(start, end, what),
                }
                recovered.bytes += info.payload_len as u64;
            }
            at += 1;
        }
        self.doubt(walk.marked, recovered);
        Ok(self.finish(durable, from, recovered))
    }

    /// Judges how a segment begins: whether it is read, not needed, or the log ends before it.
    fn enter(
        &mut self,
        disk: &dyn Disk,
        at: usize,
        (durable, from): (u64, u64),
        walk: &mut Walk,
        recovered: &mut Recovered,
    ) -> io::Result<Enter> {
        let segment = &self.segments[at];
        let (base, limit, remade) = (segment.header.base, segment.limit, segment.remade);
        if remade && limit <= from {
            // All of it is covered: nobody misses its header.
            walk.expected = walk.expected.max(limit);
            return Ok(Enter::Skip);
        }
        if remade {
            let never_synced =
                segment.unfinished && base.max(from) >= self.known(disk, at, durable, walk)?;
            if never_synced {
                // Power went while its first frames were on their way. A header that is there and wrong
                // was synced once, whatever the frames know of it.
                self.cut_before(at, recovered);
                return Ok(Enter::End);
            }
            let (path, bytes) = (self.segments[at].path.clone(), (0, FILE_HEADER_LEN as u64));
            let what = "the segment's header is damaged";
            recovered.damage.push(Damage { path, bytes: Some(bytes), what });
        }
        if base > walk.expected {
            // A stretch of the log is not there: a segment's name or header was lost.
            if walk.expected >= self.known(disk, at, durable, walk)? {
                self.cut_before(at, recovered);
                return Ok(Enter::End);
            }
            self.report_missing(at, recovered);
            walk.sequence = None;
        }
        // A covered segment may be left over, even cut short, with others behind it deleted.
        walk.expected = walk.expected.max(limit);
        Ok(Enter::Read)
    }

    /// The mark: everything before it was durable. Looked for when something is bad, which is rare.
    fn known(&self, disk: &dyn Disk, at: usize, durable: u64, walk: &mut Walk) -> io::Result<u64> {
        match walk.mark {
            Some(mark) => Ok(mark),
            None => Ok(*walk.mark.insert(self.mark(disk, at)?.max(durable))),
        }
    }

    /// Notes the segments with bytes behind the last mark.
    fn doubt(&self, marked: u64, recovered: &mut Recovered) {
        let doubtful = self.segments.iter().filter(|segment| segment.limit > marked);
        recovered.doubtful.extend(doubtful.map(|segment| Doubtful {
            path: segment.path.clone(),
            keeps: segment.limit - segment.header.base,
            read: segment.read,
        }));
    }

    /// Says what the log consists of; where it ends.
    fn finish(self, durable: u64, from: u64, recovered: &mut Recovered) -> u64 {
        for lost in self.headless {
            // Behind the last frame: killed while it was made, and never synced.
            if durable < u64::MAX && lost.unfinished {
                recovered.torn_bytes += lost.len;
                recovered.beyond.push(lost.path);
            } else {
                recovered.damage.push(headless_damage(&lost));
            }
        }
        let end = self.segments.last().map_or(from, |segment| segment.limit);
        for segment in &self.segments {
            recovered.segments.insert((self.ordinal, segment.index), segment.limit);
        }
        recovered.end = recovered.end.max(LogPoint { ordinal: self.ordinal, offset: end });
        end
    }

    /// Reports what is missing before a segment.
    fn report_missing(&mut self, at: usize, recovered: &mut Recovered) {
        let segment = &self.segments[at];
        let (lost, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.headless)
            .into_iter()
            .partition(|lost| lost.index < segment.index);
        self.headless = rest;
        recovered.damage.extend(lost.iter().map(headless_damage));
        if lost.is_empty() {
            let what = "the log before this segment is missing";
            recovered.damage.push(Damage { path: segment.path.clone(), bytes: None, what });
        }
    }

    /// The log ends before a segment; it and what is behind it is the torn tail.
    fn cut_before(&mut self, at: usize, recovered: &mut Recovered) {
        for segment in self.segments.drain(at..) {
            recovered.torn_bytes += segment.limit.saturating_sub(segment.header.base);
            recovered.beyond.push(segment.path);
        }
    }

    /// The log ends here; what is behind is the torn tail.
    fn cut(&mut self, at: usize, offset: u64, recovered: &mut Recovered) {
        let end = self.segments.last().map_or(offset, |segment| segment.limit);
        let segment = &self.segments[at];
        recovered.torn = Some((segment.path.clone(), offset - segment.header.base));
        recovered.torn_bytes += end.saturating_sub(offset);
        let beyond = self.segments[at + 1..].iter().map(|segment| segment.path.clone());
        recovered.beyond.extend(beyond);
        self.segments.truncate(at + 1);
        self.segments[at].limit = offset;
    }
}

/// Makes a damaged header again: all of it is known from elsewhere but the base, which every frame tells
/// by its own offset. `None` when no frame behind it is whole under such a header.
fn remade_header(
    disk: &dyn Disk,
    path: &str,
    (ordinal, index, store, incarnation): (u32, u32, StoreId, Incarnation),
    before: u64,
) -> io::Result<Option<FileHeader>> {
    let mut bytes = AlignedVec::new();
    read_aligned(disk, path, &mut bytes)?;
    let body = bytes.get(FILE_HEADER_LEN..).unwrap_or_default();
    let told = (0..body.len()).step_by(16).find_map(|at| {
        let frame = body.get(at..)?.first_chunk::<FRAME_HEADER_LEN>()?;
        let offset = u64::from_le_bytes(*frame.get(32..)?.first_chunk()?);
        let base = offset.checked_sub((FILE_HEADER_LEN + at) as u64)?;
        frame.starts_with(&FRAME_MAGIC).then_some(base)
    });
    let header = |base| FileHeader { kind: LogKind::Wal, ordinal, index, store, incarnation, base };
    let holds = |header: &FileHeader| {
        let pieces = scan(body, header.base + FILE_HEADER_LEN as u64, header.seed());
        pieces.iter().any(|piece| matches!(piece, Piece::Frame(_)))
    };
    Ok(told.into_iter().chain([before]).map(header).find(holds))
}

fn headless_damage(lost: &Headless) -> Damage {
    let what = "the segment's header is damaged, and no record in it is whole";
    Damage { path: lost.path.clone(), bytes: Some((0, lost.len)), what }
}

/// Reads a file into memory aligned to 16 bytes, as archives inside want it.
fn read_aligned(disk: &dyn Disk, path: &str, bytes: &mut AlignedVec) -> io::Result<()> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // Only what is new must be cleared; all of it is read over.
    if bytes.len() > len {
        bytes.clear();
    }
    bytes.resize(len, 0);
    file.read_exact_at(bytes, 0)
}
