#![doc = include_str!("FORMAT.md")]

mod change;
mod collection;
mod error;
mod file;
mod generation;
mod invariants;
mod salvage;
mod state;
#[cfg(test)]
mod test_disk;
#[cfg(test)]
mod tests;
mod uncounted;

pub(crate) use change::{Change, Edit, read_position, write_position};
pub(crate) use collection::CollectionEntry;
pub(crate) use error::{AppendError, ManifestError};
pub(crate) use file::{Manifest, Mode};
pub(crate) use invariants::check as check_invariants;
pub(crate) use state::{FileEntry, Opening, Pin, State, replaces};
pub(crate) use uncounted::{union, without};

use crate::format::{Malformed, Reader};
use tidelog_model::Tombstone;

/// Decodes a tombstone as an edit holds it: for the log, which carries them too.
pub(crate) fn decode_tombstone(bytes: &[u8]) -> Result<Tombstone, Malformed> {
    let mut reader = Reader::new(bytes);
    let tombstone = change::read_tombstone(&mut reader)?;
    reader.end()?;
    Ok(tombstone)
}

/// Encodes a tombstone as an edit holds it.
pub(crate) fn encode_tombstone(tombstone: &Tombstone) -> Vec<u8> {
    change::tombstone_bytes(tombstone)
}

/// Reads a generation, an edit and a tombstone from any bytes.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8]) {
    let middle = bytes.len() / 2;
    let _ = generation::recover(1, bytes, None);
    let _ = generation::recover(1, &bytes[middle..], Some(&bytes[..middle]));
    if let Ok(edit) = change::decode(bytes) {
        let _ = State::from_snapshot(1, &edit);
        assert_eq!(change::decode(&change::encode(&edit)).as_ref(), Ok(&edit));
    }
    let _ = decode_tombstone(bytes);
}
