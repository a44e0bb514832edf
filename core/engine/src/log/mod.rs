#![doc = include_str!("FORMAT.md")]

mod frame;
mod header;

pub(crate) use frame::{FRAME_HEADER_LEN, FrameInfo, Piece, encode_frame, likely_frame, scan};
pub(crate) use header::{FILE_HEADER_LEN, FileHeader, HeaderError, LogKind};
