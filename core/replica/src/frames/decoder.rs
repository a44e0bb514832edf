//! Frames out of a stream of bytes: a pure function of what arrives, in whatever pieces.
//!
//! Invariants: a length is judged before memory is taken for it; the memory of a frame that is not whole is at most twice
//! what arrived of it, or 64 KiB.

use super::{FrameBytes, LENGTH_LEN};

/// What memory a frame begins with, at most.
const FIRST: usize = 64 << 10;

/// Cuts one channel's bytes into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    frame_bytes_max: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Length { bytes: [u8; LENGTH_LEN], have: usize },
    Payload { len: usize, bytes: FrameBytes },
}

/// What was found.
#[derive(Debug)]
pub enum FrameEvent {
    /// A frame of so many bytes begins. Whoever reads may wait for room now, before its bytes are taken.
    Begins(u32),
    /// A whole frame.
    Frame(FrameBytes),
}

/// Why bytes are no frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// A length beyond what is allowed.
    #[error("a frame of {len} bytes was announced, {max} are allowed")]
    TooLong {
        /// What was announced.
        len: u32,
        /// What is allowed.
        max: u32,
    },
    /// The end inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
}

impl FrameDecoder {
    /// For frames of at most so many bytes.
    #[must_use]
    pub fn new(frame_bytes_max: u32) -> Self {
        FrameDecoder { frame_bytes_max, state: Self::start() }
    }

    /// Takes from `input`, which is cut from the front, until something is found; `None` when all of it is taken.
    /// Call until `None`: an empty frame is found without input.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]. The decoder is of no use afterwards.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<FrameEvent>, FrameError> {
        match &mut self.state {
            State::Length { bytes, have } => {
                let taken = take(input, LENGTH_LEN - *have);
                bytes[*have..*have + taken.len()].copy_from_slice(taken);
                *have += taken.len();
                if *have < LENGTH_LEN {
                    return Ok(None);
                }
                let len = u32::from_le_bytes(*bytes);
                if len > self.frame_bytes_max {
                    return Err(FrameError::TooLong { len, max: self.frame_bytes_max });
                }
                // At most 66 MiB: it fits wherever 32 bits do.
                let room = len as usize;
                // An empty vector would stand nowhere, and not at a multiple of 16.
                let bytes = FrameBytes::with_capacity(room.clamp(16, FIRST));
                self.state = State::Payload { len: room, bytes };
                Ok(Some(FrameEvent::Begins(len)))
            }
            State::Payload { len, bytes } => {
                let taken = take(input, *len - bytes.len());
                let needed = bytes.len() + taken.len();
                if needed > bytes.capacity() {
                    let room = needed.max(bytes.capacity() * 2).min(*len);
                    bytes.reserve_exact(room - bytes.len());
                }
                bytes.extend_from_slice(taken);
                if bytes.len() < *len {
                    return Ok(None);
                }
                let frame = std::mem::take(bytes);
                self.state = Self::start();
                Ok(Some(FrameEvent::Frame(frame)))
            }
        }
    }

    /// The stream ended.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when that is inside a frame.
    pub fn end(&self) -> Result<(), FrameError> {
        match self.state {
            State::Length { have: 0, .. } => Ok(()),
            _ => Err(FrameError::Truncated),
        }
    }

    /// Memory that the unfinished frame takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.state {
            State::Length { .. } => 0,
            State::Payload { bytes, .. } => bytes.capacity(),
        }
    }

    fn start() -> State {
        State::Length { bytes: [0; LENGTH_LEN], have: 0 }
    }
}

/// Cuts up to `len` bytes from the front.
fn take<'a>(input: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u32 = 100_000;

    /// Everything that a stream in these pieces gives, and how it ended.
    fn decode(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
        let mut decoder = FrameDecoder::new(MAX);
        let (mut frames, mut arrived) = (Vec::new(), 0);
        for piece in pieces {
            let mut input = *piece;
            arrived += piece.len();
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(FrameEvent::Frame(frame))) => {
                        assert_eq!(frame.as_ptr() as usize % 16, 0);
                        frames.push(frame.to_vec());
                    }
                    Ok(Some(FrameEvent::Begins(len))) => assert!(len <= MAX),
                    Ok(None) => break,
                    Err(error) => return (frames, Err(error)),
                }
            }
            assert!(input.is_empty());
            assert!(decoder.memory() <= (2 * arrived).max(FIRST), "{}", decoder.memory());
        }
        (frames, decoder.end())
    }

    fn encode(frames: &[Vec<u8>]) -> Vec<u8> {
        let length = |frame: &Vec<u8>| u32::try_from(frame.len()).unwrap().to_le_bytes();
        frames.iter().flat_map(|frame| [&length(frame)[..], frame].concat()).collect()
    }

    #[test]
    fn a_length_alone_takes_no_memory_for_what_it_announces() {
        let mut decoder = FrameDecoder::new(u32::MAX);
        let announced = (1_u32 << 31).to_le_bytes();
        let mut input = &announced[..];
        assert!(matches!(decoder.decode(&mut input), Ok(Some(FrameEvent::Begins(_)))));
        assert!(decoder.memory() <= FIRST);
    }

    #[test]
    fn one_byte_too_many_is_refused_and_the_longest_is_not() {
        let exact = vec![7; MAX as usize];
        assert_eq!(decode(&[&encode(std::slice::from_ref(&exact))]), (vec![exact], Ok(())));
        let over = (MAX + 1).to_le_bytes();
        let error = FrameError::TooLong { len: MAX + 1, max: MAX };
        assert_eq!(decode(&[&over]), (vec![], Err(error)));
    }

    #[test]
    fn an_end_at_every_byte_is_clean_between_frames_only() {
        let bytes = encode(&[b"abc".to_vec(), vec![], b"d".to_vec()]);
        for cut in 0..=bytes.len() {
            let (_, end) = decode(&[&bytes[..cut]]);
            assert_eq!(end.is_ok(), [0, 7, 11, 16].contains(&cut), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30_000), 0..5),
            cuts in prop::collection::vec(1_usize..20_000, 0..20),
        ) {
            let bytes = encode(&frames);
            let (mut rest, mut pieces) = (&bytes[..], Vec::new());
            for cut in cuts {
                pieces.push(take(&mut rest, cut));
            }
            pieces.push(rest);
            prop_assert_eq!(decode(&pieces), (frames, Ok(())));
        }

        #[test]
        fn any_bytes_give_frames_or_an_error(
            bytes in prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..2000),
            cut in 0_usize..2000,
        ) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let (frames, end) = decode(&[a, b]);
            prop_assert_eq!(decode(&[&bytes]), (frames.clone(), end));
            if end.is_ok() {
                prop_assert_eq!(encode(&frames), bytes);
            }
        }
    }
}
