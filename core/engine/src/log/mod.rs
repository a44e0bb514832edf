#![doc = include_str!("FORMAT.md")]

mod frame;
mod header;

pub(crate) use frame::{
    FRAME_HEADER_LEN, FrameInfo, MAGIC as FRAME_MAGIC, Piece, encode_frame, scan,
};
pub(crate) use header::{FILE_HEADER_LEN, FileHeader, HeaderError, LogKind};
