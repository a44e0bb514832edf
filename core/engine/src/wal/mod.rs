#![doc = include_str!("FORMAT.md")]

mod applied;
mod payload;
mod recover;
mod renew;
mod tail;
mod writer;

pub(crate) use applied::AppliedPayload;
pub(crate) use payload::{
    KIND_APPLIED, KIND_END, KIND_ROWS, KIND_TOMBSTONE, RowsPayload, read_tombstone_payload,
    tombstone_payload,
};
pub(crate) use recover::{Recovered, recover};
pub(crate) use renew::{renew, sweep_unfinished};
pub use tail::{Tail, TailArchive, TailError, TailRecord};
pub(crate) use writer::{AppendError, Identity, Span, Wal};

/// The name of a segment.
pub(crate) fn segment_path(ordinal: u32, index: u32) -> String {
    format!("wal/{ordinal:08x}-{index:08x}.wal")
}

/// Ordinal and index of a segment, from its name without directory.
pub(crate) fn parse_segment(name: &str) -> Option<(u32, u32)> {
    let (ordinal, index) = name.strip_suffix(".wal")?.split_once('-')?;
    let number = |text: &str| (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok())?;
    Some((number(ordinal)?, number(index)?))
}
