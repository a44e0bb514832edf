//! Frames: numbered, checksummed records of a log. Pure: bytes in, values out.

/// Bytes of a frame header.
pub(crate) const FRAME_HEADER_LEN: usize = 48;
/// The most bytes a payload may have: a batch of the greatest size, encoded, with room to spare.
pub(crate) const PAYLOAD_LEN_MAX: usize = 192 << 20;
const MAGIC: [u8; 4] = *b"TLFR";
const ALIGN: usize = 16;
const _: () = assert!(4 + 1 + 3 + 4 + 4 + 8 + 8 + 8 + 4 + 4 == FRAME_HEADER_LEN);
const _: () = assert!(FRAME_HEADER_LEN.is_multiple_of(ALIGN));

/// A frame's header, without what it can be checked against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameInfo {
    pub(crate) kind: u8,
    pub(crate) sequence: u64,
    /// The log offset known durable when the frame was written.
    pub(crate) durable: u64,
    /// The frame's own log offset.
    pub(crate) offset: u64,
    pub(crate) payload_len: usize,
}

impl FrameInfo {
    /// The log offset right behind the frame.
    pub(crate) fn end(&self) -> u64 {
        self.offset + (FRAME_HEADER_LEN + self.payload_len) as u64
    }
}

/// Puts the header in front of a payload: `frame` holds `FRAME_HEADER_LEN` bytes to be
/// overwritten, then the payload, whose length must be a multiple of 16.
///
/// # Panics
/// When the frame is not so.
pub(crate) fn encode_frame(
    frame: &mut [u8],
    kind: u8,
    sequence: u64,
    durable: u64,
    offset: u64,
    seed: u32,
) {
    let (header, payload) =
        frame.split_first_chunk_mut::<FRAME_HEADER_LEN>().expect("room for the header");
    assert!(payload.len().is_multiple_of(ALIGN) && payload.len() <= PAYLOAD_LEN_MAX);
    let len = u32::try_from(payload.len()).expect("at most PAYLOAD_LEN_MAX");
    *header = [0; FRAME_HEADER_LEN];
    header[0..4].copy_from_slice(&MAGIC);
    header[4] = kind;
    header[8..12].copy_from_slice(&len.to_le_bytes());
    header[12..16].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    header[16..24].copy_from_slice(&sequence.to_le_bytes());
    header[24..32].copy_from_slice(&durable.to_le_bytes());
    header[32..40].copy_from_slice(&offset.to_le_bytes());
    let crc = header_crc(&header[..44], seed);
    header[44..].copy_from_slice(&crc.to_le_bytes());
}

fn header_crc(covered: &[u8], seed: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(covered);
    hasher.finalize()
}

/// What stands in a log file, in order, without overlap or gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    Frame(FrameInfo),
    /// Bytes from one log offset to another that are no good frame.
    Bad {
        from: u64,
        to: u64,
    },
}

/// Divides the bytes behind a file header into frames and what is none. `base` is the log offset of
/// the first of them.
pub(crate) fn scan(bytes: &[u8], base: u64, seed: u32) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut bad_from = None;
    while at < bytes.len() {
        let header = decode_header(&bytes[at..], base + at as u64, seed);
        let next = match header {
            Some((info, crc)) => {
                let payload = at + FRAME_HEADER_LEN..at + FRAME_HEADER_LEN + info.payload_len;
                let good = bytes.get(payload).is_some_and(|p| crc32fast::hash(p) == crc);
                if good {
                    push_bad(&mut pieces, &mut bad_from, base + at as u64);
                    pieces.push(Piece::Frame(info));
                } else {
                    bad_from.get_or_insert(base + at as u64);
                }
                // The length is covered by the header's checksum; only a torn end can be beyond.
                (at + FRAME_HEADER_LEN + info.payload_len).min(bytes.len())
            }
            None => {
                bad_from.get_or_insert(base + at as u64);
                next_magic(bytes, at + ALIGN)
            }
        };
        at = next;
    }
    push_bad(&mut pieces, &mut bad_from, base + bytes.len() as u64);
    pieces
}

/// Where the first thing that looks like a frame stands, and the log offset that it claims. For files
/// whose seed is not known: nothing is verified.
pub(crate) fn likely_frame(bytes: &[u8]) -> Option<(usize, u64)> {
    let at = (0..bytes.len()).step_by(ALIGN).find(|at| bytes[*at..].starts_with(&MAGIC))?;
    let offset = bytes.get(at + 32..)?.first_chunk()?;
    Some((at, u64::from_le_bytes(*offset)))
}

fn push_bad(pieces: &mut Vec<Piece>, from: &mut Option<u64>, to: u64) {
    if let Some(from) = from.take() {
        pieces.push(Piece::Bad { from, to });
    }
}

/// The next aligned place that could be a frame.
fn next_magic(bytes: &[u8], from: usize) -> usize {
    (from..bytes.len())
        .step_by(ALIGN)
        .find(|at| bytes[*at..].starts_with(&MAGIC))
        .unwrap_or(bytes.len())
}

/// The header and the payload's checksum, when the header is a good one for this place.
fn decode_header(bytes: &[u8], offset: u64, seed: u32) -> Option<(FrameInfo, u32)> {
    let header = bytes.first_chunk::<FRAME_HEADER_LEN>()?;
    if header[..4] != MAGIC || header[44..] != header_crc(&header[..44], seed).to_le_bytes() {
        return None;
    }
    let u32_at = |at: usize| header[at..].first_chunk().map(|b| u32::from_le_bytes(*b));
    let u64_at = |at: usize| header[at..].first_chunk().map(|b| u64::from_le_bytes(*b));
    let info = FrameInfo {
        kind: header[4],
        payload_len: u32_at(8)? as usize,
        sequence: u64_at(16)?,
        durable: u64_at(24)?,
        offset: u64_at(32)?,
    };
    let zeros = header[5..8] == [0; 3] && header[40..44] == [0; 4];
    let fits = info.payload_len.is_multiple_of(ALIGN) && info.payload_len <= PAYLOAD_LEN_MAX;
    (zeros && fits && info.offset == offset).then_some((info, u32_at(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u32 = 7;
    const BASE: u64 = 80;

    fn log(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (sequence, payload) in payloads.iter().enumerate() {
            let at = bytes.len();
            bytes.resize(at + FRAME_HEADER_LEN, 0);
            bytes.extend_from_slice(payload);
            encode_frame(&mut bytes[at..], 1, sequence as u64, 0, BASE + at as u64, SEED);
        }
        bytes
    }

    fn sequences(pieces: &[Piece]) -> Vec<u64> {
        let frame = |piece: &Piece| match piece {
            Piece::Frame(info) => Some(info.sequence),
            Piece::Bad { .. } => None,
        };
        pieces.iter().filter_map(frame).collect()
    }

    #[test]
    fn every_cut_leaves_the_whole_frames_before_it() {
        let bytes = log(&[&[1; 16], &[], &[2; 48]]);
        let ends = [64, 112, 208];
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count() as u64;
            let pieces = scan(&bytes[..cut], BASE, SEED);
            assert_eq!(sequences(&pieces), (0..whole).collect::<Vec<_>>(), "cut at {cut}");
            let clean = cut == 0 || ends.contains(&cut);
            assert_eq!(pieces.len() as u64 == whole, clean, "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_costs_its_own_frame_and_no_other() {
        let bytes = log(&[&[1; 16], &[3; 32], &[2; 48]]);
        let ends = [64, 144, 240];
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let hit = ends.iter().position(|end| bit / 8 < *end).unwrap() as u64;
            let left: Vec<u64> = (0..3).filter(|sequence| *sequence != hit).collect();
            assert_eq!(sequences(&scan(&flipped, BASE, SEED)), left, "bit {bit}");
        }
    }

    #[test]
    fn frames_of_another_file_or_place_and_zeros_are_no_frames() {
        let bytes = log(&[&[1; 16]]);
        assert_eq!(sequences(&scan(&bytes, BASE, SEED + 1)), Vec::<u64>::new());
        assert_eq!(sequences(&scan(&bytes, BASE + 16, SEED)), Vec::<u64>::new());
        assert_eq!(scan(&[0; 256], BASE, SEED), [Piece::Bad { from: BASE, to: BASE + 256 }]);
    }
}
