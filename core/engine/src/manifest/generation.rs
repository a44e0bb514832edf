//! The bytes of one generation, and what two of them together say; see FORMAT.md. Pure: no files here.

use super::change::{self, Change, DecodeError};
use super::state::State;
use crate::format::{Malformed, Reader, Writer};
use crate::log::{
    FILE_HEADER_LEN, FRAME_HEADER_LEN, FileHeader, FrameInfo, HeaderError, LogKind, Piece,
    encode_frame, scan,
};
use std::collections::BTreeSet;
use tidelog_model::{Incarnation, StoreId};

/// The whole state; the first frame, and the only one of its kind.
pub(super) const SNAPSHOT: u8 = 1;
/// One edit.
pub(super) const EDIT: u8 = 2;
/// No edit follows here: they go to the next generation.
pub(super) const SEAL: u8 = 3;

/// The most bytes an edit or a snapshot may take. Below what the log allows, so that it never refuses one.
pub(super) const PAYLOAD_LEN_MAX: usize = 128 << 20;

/// A frame would be larger than a frame may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLarge {
    pub(super) bytes: usize,
}

/// Why generations do not give a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Written by a later version.
    TooNew { ordinal: u32, what: String },
    /// The header or the snapshot is bad: the generation before may help.
    Start { ordinal: u32, what: String },
    /// An edit is lost, or may be.
    Damaged { ordinal: u32, what: String },
}

impl Fault {
    pub(super) fn parts(&self) -> (u32, &str) {
        let (Fault::TooNew { ordinal, what }
        | Fault::Start { ordinal, what }
        | Fault::Damaged { ordinal, what }) = self;
        (*ordinal, what)
    }
}

/// What one generation says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Generation {
    pub(super) ordinal: u32,
    pub(super) state: State,
    pub(super) seed: u32,
    /// Where the snapshot ends and edits begin.
    pub(super) fresh_len: u64,
    /// Where the last good frame ends.
    pub(super) end: u64,
    /// Bad bytes behind that.
    pub(super) torn: u64,
    pub(super) seal: Option<Seal>,
    /// The number of the snapshot.
    first_number: u64,
}

impl Generation {
    /// Does this one say that it is complete, and that `next` goes on?
    fn leads_to(&self, next: u32) -> bool {
        self.torn == 0 && self.seal.is_some_and(|seal| seal.next == next)
    }

    /// Only a snapshot, and not a byte behind it?
    fn is_fresh(&self) -> bool {
        self.end == self.fresh_len && self.torn == 0
    }
}

/// Names the next generation, whose name and snapshot were durable before this was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seal {
    pub(super) next: u32,
    /// The next generation's length before its first edit.
    pub(super) fresh_len: u64,
}

impl Seal {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u32(self.next).u32(0).u64(self.fresh_len);
        writer.bytes
    }

    fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let next = reader.u32()?;
        super::state::require(reader.u32()? == 0, "reserved bytes of a seal are not zero")?;
        let seal = Seal { next, fresh_len: reader.u64()? };
        reader.end()?;
        Ok(seal)
    }
}

/// What the two newest generations say together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Recovered {
    pub(super) newest: Generation,
    /// The newest one can be written to: its own header and snapshot are good.
    pub(super) whole: bool,
    /// The newest one holds nothing but its snapshot, and the one before leads to it: nothing needs
    /// to be written again before edits may follow.
    pub(super) settled: bool,
    /// What is bad but was not needed.
    pub(super) faults: Vec<Fault>,
}

/// Recovers the state from the newest generation, with the help of the one before where it is needed.
///
/// # Errors
/// When an edit is lost, or when it cannot be told that none is.
pub(super) fn recover(
    ordinal: u32,
    newest: &[u8],
    previous: Option<&[u8]>,
) -> Result<Recovered, Fault> {
    let before_bytes = previous.unwrap_or_default();
    let previous = match (ordinal.checked_sub(1), previous) {
        (Some(before), Some(bytes)) => Some(read(before, bytes)),
        _ => None,
    };
    let recovered = match read(ordinal, newest) {
        Ok(newest) => settle(newest, previous, before_bytes)?,
        Err(start @ Fault::Start { .. }) => match previous {
            Some(Ok(before)) => resume(&before, newest, start)?,
            _ => return Err(start),
        },
        Err(fault) => return Err(fault),
    };
    match recovered.newest.seal {
        // A generation is durable before the one before it is sealed: it was there.
        Some(seal) => Err(Fault::Damaged {
            ordinal: seal.next,
            what: format!("it is missing, although {} is sealed in its favour", name(ordinal)),
        }),
        None => Ok(recovered),
    }
}

fn settle(
    newest: Generation,
    previous: Option<Result<Generation, Fault>>,
    before_bytes: &[u8],
) -> Result<Recovered, Fault> {
    let mut faults = Vec::new();
    let mut leads = false;
    match previous {
        Some(Ok(before)) if before.state.number > newest.first_number => {
            let what = format!("it is older than {}", name(before.ordinal));
            return Err(Fault::Damaged { ordinal: newest.ordinal, what });
        }
        Some(Ok(before)) => {
            leads = before.leads_to(newest.ordinal)
                && before.state.number == newest.first_number
                && before.seal.is_some_and(|seal| seal.fresh_len == newest.fresh_len);
            if before.torn > 0 && !is_torn_seal(&before, before_bytes, &newest) {
                let what = format!("{} bad bytes at its end", before.torn);
                faults.push(Fault::Damaged { ordinal: before.ordinal, what });
            }
        }
        Some(Err(fault)) => faults.push(fault),
        None => {}
    }
    Ok(Recovered { settled: leads && newest.is_fresh(), newest, whole: true, faults })
}

/// Is what stands at the end of the generation before the rest of the very seal that a death interrupted? Then
/// nothing is damaged: no edit follows in the newest one before the seal is durable. A disk loses whole
/// sectors, a process that dies or is refused leaves a beginning; any other bytes are damage.
fn is_torn_seal(before: &Generation, bytes: &[u8], newest: &Generation) -> bool {
    let seal = Seal { next: newest.ordinal, fresh_len: newest.fresh_len };
    let number = before.state.number;
    let whole = frame(SEAL, number, before.end, before.seed, &seal.encode());
    let found = usize::try_from(before.end).ok().and_then(|end| bytes.get(end..));
    let (Ok(whole), Some(found)) = (whole, found) else { return false };
    let sector_of = |at: usize| (before.end + at as u64) / SECTOR_LEN;
    let sectors: BTreeSet<u64> = (0..found.len()).map(sector_of).collect();
    let kept_or_lost = |sector: &u64| {
        let mut own = (0..found.len()).filter(|at| sector_of(*at) == *sector).peekable();
        let lost = own.clone().all(|at| found[at] == 0);
        own.peek().is_some() && (lost || own.all(|at| whole.get(at) == Some(&found[at])))
    };
    let fresh = newest.is_fresh() && newest.first_number == number && before.seal.is_none();
    fresh && found.len() <= whole.len() && sectors.iter().all(kept_or_lost)
}

/// The least that a disk writes whole.
const SECTOR_LEN: u64 = 512;

/// The state at the end of the generation before, then the edits that are behind the bad snapshot.
/// Where they begin stands in the seal. Any bad byte among them is one too many: behind two bad places
/// nobody knows what is missing.
fn resume(before: &Generation, bytes: &[u8], start: Fault) -> Result<Recovered, Fault> {
    let (ordinal, why) = start.parts();
    let doubt = |what: &str| Fault::Damaged { ordinal, what: format!("{why}, and {what}") };
    let seal = match before.seal {
        Some(seal) if before.leads_to(ordinal) => seal,
        _ => return Err(doubt(&format!("{} is not complete", name(before.ordinal)))),
    };
    let header = header(ordinal, before.state.store);
    let edits = usize::try_from(seal.fresh_len)
        .ok()
        .filter(|from| *from >= FILE_HEADER_LEN)
        .and_then(|from| bytes.get(from..))
        .ok_or_else(|| doubt("it is shorter than it was when it was published"))?;
    if FileHeader::decode(LogKind::Manifest, bytes).is_ok_and(|found| found != header) {
        return Err(doubt("its header is that of another file"));
    }
    let mut newest = Generation {
        ordinal,
        seed: header.seed(),
        fresh_len: seal.fresh_len,
        end: seal.fresh_len,
        torn: 0,
        seal: None,
        first_number: before.state.number,
        state: before.state.clone(),
    };
    replay(&mut newest, bytes, &scan(edits, seal.fresh_len, header.seed()))?;
    if newest.torn > 0 {
        return Err(doubt("there are bad bytes among its edits"));
    }
    Ok(Recovered { newest, whole: false, settled: false, faults: vec![start] })
}

/// Reads one generation by itself.
///
/// # Errors
/// See [`Fault`].
pub(super) fn read(ordinal: u32, bytes: &[u8]) -> Result<Generation, Fault> {
    let start = |what: &str| Fault::Start { ordinal, what: what.to_owned() };
    let damaged = |what: String| Fault::Damaged { ordinal, what };
    let found = match FileHeader::decode(LogKind::Manifest, bytes) {
        Ok(header) => header,
        Err(HeaderError::Damaged) => return Err(start("its header is bad")),
        Err(HeaderError::TooNew { found, newest }) => {
            let what = format!("format {found}, and this build reads up to {newest}");
            return Err(Fault::TooNew { ordinal, what });
        }
    };
    if found != header(ordinal, found.store) {
        return Err(damaged(format!("it was written as {}", name(found.ordinal))));
    }
    let base = FILE_HEADER_LEN as u64;
    let pieces = scan(bytes.get(FILE_HEADER_LEN..).unwrap_or(&[]), base, found.seed());
    let Some((Piece::Frame(info), edits)) = pieces.split_first() else {
        return Err(start("its snapshot is bad"));
    };
    if info.kind != SNAPSHOT {
        return Err(damaged("it does not begin with a snapshot".to_owned()));
    }
    let edit = decode(ordinal, bytes, info)?;
    let state = State::from_snapshot(info.sequence, &edit)
        .map_err(|rule| damaged(format!("its snapshot breaks a rule: {rule}")))?;
    let mut generation = Generation {
        ordinal,
        seed: found.seed(),
        fresh_len: info.end(),
        end: info.end(),
        torn: 0,
        seal: None,
        first_number: info.sequence,
        state,
    };
    replay(&mut generation, bytes, edits)?;
    Ok(generation)
}

/// Applies the frames behind the snapshot.
fn replay(generation: &mut Generation, bytes: &[u8], pieces: &[Piece]) -> Result<(), Fault> {
    let ordinal = generation.ordinal;
    let damaged = |what: String| Err(Fault::Damaged { ordinal, what });
    for (index, piece) in pieces.iter().enumerate() {
        let info = match piece {
            Piece::Frame(info) => info,
            // Each edit is durable before the next is written, so a torn one is the last.
            Piece::Bad { from, to } if index + 1 == pieces.len() => {
                generation.torn = to - from;
                break;
            }
            Piece::Bad { from, to } => {
                return damaged(format!("bytes {from} to {to} are bad and edits follow them"));
            }
        };
        let at = info.offset;
        if generation.seal.is_some() {
            return damaged(format!("a frame at byte {at} follows the seal"));
        }
        if !matches!(info.kind, SNAPSHOT | EDIT | SEAL) {
            let what = format!("a frame of kind {}, which this version does not know", info.kind);
            return Err(Fault::TooNew { ordinal, what });
        }
        let number = generation.state.number;
        let expected = if info.kind == EDIT { number.checked_add(1) } else { Some(number) };
        if expected != Some(info.sequence) {
            let found = info.sequence;
            return damaged(format!("number {found} at byte {at} follows number {number}"));
        }
        match info.kind {
            EDIT => {
                let edit = decode(ordinal, bytes, info)?;
                if let Err(rule) = generation.state.apply(&edit) {
                    return damaged(format!("edit {} breaks a rule: {rule}", info.sequence));
                }
            }
            SEAL => match Seal::decode(payload(bytes, info)) {
                Ok(seal) => generation.seal = Some(seal),
                Err(what) => return damaged(format!("its seal is not one: {what}")),
            },
            _ => return damaged(format!("a second snapshot at byte {at}")),
        }
        generation.end = info.end();
    }
    Ok(())
}

fn decode(ordinal: u32, bytes: &[u8], info: &FrameInfo) -> Result<Vec<Change>, Fault> {
    change::decode(payload(bytes, info)).map_err(|error| {
        let what = format!("the frame at byte {}: {error}", info.offset);
        match error {
            DecodeError::TooNew { .. } => Fault::TooNew { ordinal, what },
            DecodeError::Malformed(_) => Fault::Damaged { ordinal, what },
        }
    })
}

/// The payload of a frame that a scan of these bytes, from their start, has found.
pub(super) fn payload<'a>(bytes: &'a [u8], info: &FrameInfo) -> &'a [u8] {
    let range = usize::try_from(info.offset).ok().and_then(|offset| {
        let from = offset.checked_add(FRAME_HEADER_LEN)?;
        bytes.get(from..from.checked_add(info.payload_len)?)
    });
    range.unwrap_or(&[])
}

/// The name of a generation's file.
pub(super) fn name(ordinal: u32) -> String {
    format!("{PREFIX}{ordinal:08x}")
}

/// The name under which a generation is written before it is published.
pub(super) fn temporary_name(ordinal: u32) -> String {
    format!("{}{TEMPORARY}", name(ordinal))
}

pub(super) fn is_temporary(file: &str) -> bool {
    file.strip_suffix(TEMPORARY).is_some_and(|file| ordinal_of(file).is_some())
}

/// The generation that a file of this name is.
pub(super) fn ordinal_of(file: &str) -> Option<u32> {
    let ordinal = u32::from_str_radix(file.strip_prefix(PREFIX)?, 16).ok()?;
    (name(ordinal) == file).then_some(ordinal)
}

const PREFIX: &str = "MANIFEST-";
const TEMPORARY: &str = ".tmp";

pub(super) fn header(ordinal: u32, store: StoreId) -> FileHeader {
    let incarnation = Incarnation::default();
    FileHeader { kind: LogKind::Manifest, ordinal, index: 0, store, incarnation, base: 0 }
}

/// A new generation: header and snapshot.
pub(super) fn begin(ordinal: u32, state: &State) -> Result<(Vec<u8>, u32), TooLarge> {
    let header = header(ordinal, state.store);
    let payload = change::encode(&state.snapshot());
    let mut bytes = header.encode().to_vec();
    let base = bytes.len() as u64;
    bytes.extend(frame(SNAPSHOT, state.number, base, header.seed(), &payload)?);
    Ok((bytes, header.seed()))
}

/// One frame. All before it is durable when it is written, the snapshot's own file apart.
pub(super) fn frame(
    kind: u8,
    number: u64,
    offset: u64,
    seed: u32,
    payload: &[u8],
) -> Result<Vec<u8>, TooLarge> {
    if payload.len() > PAYLOAD_LEN_MAX {
        return Err(TooLarge { bytes: payload.len() });
    }
    let durable = if kind == SNAPSHOT { 0 } else { offset };
    let mut frame = vec![0; FRAME_HEADER_LEN];
    frame.extend_from_slice(payload);
    encode_frame(&mut frame, kind, number, durable, offset, seed);
    Ok(frame)
}
