//! Messages of a snapshot, as bytes and back; see WIRE.md.

use super::{
    FILE_BYTES_MAX, FILES_MAX, FileOffer, PIECE_BYTES, PieceSum, SNAPSHOT_BYTES_MAX, SUMS_MAX,
};
use crate::message::{GROUPS_MAX, Part, read_text};
use crate::wire::{Malformed, Reader, Writer};
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::{Digest, GroupId};

/// A message of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotMessage {
    /// The receiver asks what there is for it.
    Request {
        /// About how many bytes it holds of each group.
        held: Vec<(GroupId, u64)>,
    },
    /// Parts of the giver's state, which come before rows.
    State {
        /// Parts.
        parts: Vec<Part>,
    },
    /// What there is: these files, kept for as long as pieces are asked for; or nothing.
    Offer {
        /// The files, by group.
        files: Vec<FileOffer>,
    },
    /// The receiver wants the sums of a file's pieces.
    WantSums {
        /// Which file.
        file: Digest,
        /// From this piece on.
        from: u64,
    },
    /// The answer, at most [`SUMS_MAX`] at once.
    Sums {
        /// Of which file.
        file: Digest,
        /// From this piece on.
        from: u64,
        /// One for each piece.
        sums: Vec<PieceSum>,
    },
    /// The receiver wants a piece.
    Want {
        /// Of which file.
        file: Digest,
        /// Which.
        piece: u64,
    },
    /// The answer.
    Piece {
        /// Of which file.
        file: Digest,
        /// Which.
        piece: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The giver does not keep such a file any more.
    Gone,
    /// The receiver is busy with what it has.
    Alive,
    /// The receiver has all it wanted.
    Done,
    /// It ends here.
    Abort(String),
}

const REQUEST: u8 = 1;
const STATE: u8 = 2;
const OFFER: u8 = 3;
const WANT_SUMS: u8 = 4;
const SUMS: u8 = 5;
const WANT: u8 = 6;
const PIECE: u8 = 7;
const GONE: u8 = 8;
const ALIVE: u8 = 9;
const DONE: u8 = 10;
const ABORT: u8 = 11;

impl SnapshotMessage {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            SnapshotMessage::Request { held } => {
                writer.u8(REQUEST).list(held.iter(), |writer, (group, bytes)| {
                    writer.varint(u64::from(group.0)).varint(*bytes);
                });
            }
            SnapshotMessage::State { parts } => {
                writer.u8(STATE).list(parts.iter(), |writer, (kind, bytes)| {
                    writer.u8(*kind).blob(bytes);
                });
            }
            SnapshotMessage::Offer { files } => {
                writer.u8(OFFER).list(files.iter(), |writer, file| {
                    writer.varint(u64::from(file.group.0)).varint(file.len).raw(&file.digest.0);
                });
            }
            SnapshotMessage::WantSums { file, from } => {
                writer.u8(WANT_SUMS).raw(&file.0).varint(*from);
            }
            SnapshotMessage::Sums { file, from, sums } => {
                writer.u8(SUMS).raw(&file.0).varint(*from).list(sums.iter(), |writer, sum| {
                    writer.raw(sum);
                });
            }
            SnapshotMessage::Want { file, piece } => {
                writer.u8(WANT).raw(&file.0).varint(*piece);
            }
            SnapshotMessage::Piece { file, piece, bytes } => {
                writer.bytes.reserve_exact(bytes.len() + 64);
                writer.u8(PIECE).raw(&file.0).varint(*piece).blob(bytes);
            }
            SnapshotMessage::Gone => drop(writer.u8(GONE)),
            SnapshotMessage::Alive => drop(writer.u8(ALIVE)),
            SnapshotMessage::Done => drop(writer.u8(DONE)),
            SnapshotMessage::Abort(text) => drop(writer.u8(ABORT).text(text)),
        }
        writer.bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > SNAPSHOT_BYTES_MAX {
            return Err(Malformed("longer than a message may be"));
        }
        let mut reader = Reader::new(bytes);
        let message = match reader.u8()? {
            REQUEST => SnapshotMessage::Request { held: read_held(&mut reader)? },
            STATE => SnapshotMessage::State {
                parts: reader.list(2, |reader| Ok((reader.u8()?, reader.blob()?.to_vec())))?,
            },
            OFFER => SnapshotMessage::Offer { files: read_files(&mut reader)? },
            WANT_SUMS => {
                SnapshotMessage::WantSums { file: digest(&mut reader)?, from: reader.varint()? }
            }
            SUMS => {
                let (file, from) = (digest(&mut reader)?, reader.varint()?);
                let sums = reader.list(32, Reader::array)?;
                if sums.len() > SUMS_MAX {
                    return Err(Malformed("more sums than are said at once"));
                }
                SnapshotMessage::Sums { file, from, sums }
            }
            WANT => SnapshotMessage::Want { file: digest(&mut reader)?, piece: reader.varint()? },
            PIECE => {
                let (file, piece) = (digest(&mut reader)?, reader.varint()?);
                let bytes = reader.blob()?;
                if bytes.is_empty() || bytes.len() as u64 > PIECE_BYTES {
                    return Err(Malformed("a piece has no bytes or too many"));
                }
                SnapshotMessage::Piece { file, piece, bytes: bytes.to_vec() }
            }
            GONE => SnapshotMessage::Gone,
            ALIVE => SnapshotMessage::Alive,
            DONE => SnapshotMessage::Done,
            ABORT => SnapshotMessage::Abort(read_text(&mut reader)?),
            _ => return Err(Malformed("a message of a snapshot of an unknown kind")),
        };
        reader.end()?;
        Ok(message)
    }
}

fn digest(reader: &mut Reader<'_>) -> Result<Digest, Malformed> {
    reader.array().map(Digest)
}

fn read_held(reader: &mut Reader<'_>) -> Result<Vec<(GroupId, u64)>, Malformed> {
    let held = reader.list(2, |reader| Ok((GroupId(reader.varint32()?), reader.varint()?)))?;
    if held.len() > GROUPS_MAX || !held.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Malformed("groups are not in order"));
    }
    Ok(held)
}

fn read_files(reader: &mut Reader<'_>) -> Result<Vec<FileOffer>, Malformed> {
    let files = reader.list(34, |reader| {
        let (group, len) = (GroupId(reader.varint32()?), reader.varint()?);
        Ok(FileOffer { group, len, digest: digest(reader)? })
    })?;
    if files.len() > FILES_MAX || !files.is_sorted_by(|a, b| a.group <= b.group) {
        return Err(Malformed("files are too many, or not in the order of their groups"));
    }
    if files.iter().any(|file| file.len == 0 || file.len > FILE_BYTES_MAX) {
        return Err(Malformed("a file has no bytes or too many"));
    }
    Ok(files)
}
