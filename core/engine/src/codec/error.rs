//! What a decoder says of bytes it cannot read.

use tidelog_model::FieldType;

/// Why a chunk or a page could not be decoded. The bytes are damaged, or were written by a newer
/// version: read them from another replica or a backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The chunk names a codec that this build does not know, or that its type does not have.
    #[error(
        "codec {id} is not one that a {kind} column can have: the file is damaged or newer than this build"
    )]
    UnknownCodec {
        /// The codec byte found.
        id: u8,
        /// The column's type.
        kind: FieldType,
    },
    /// The bytes break the format.
    #[error("{0}: the column chunk is damaged, restore it from a replica or a backup")]
    Damaged(&'static str),
    /// The number coder found damage.
    #[error("the number coder found damage: restore the column chunk from a replica or a backup")]
    Numbers(#[source] pco::errors::PcoError),
    /// The caller's vector or method is of another type than the chunk.
    #[error(
        "the chunk holds {chunk} values, the caller asked for {asked}: ask for the column's own type"
    )]
    WrongType {
        /// The chunk's type.
        chunk: FieldType,
        /// The type asked for.
        asked: FieldType,
    },
}

impl From<pco::errors::PcoError> for CodecError {
    fn from(source: pco::errors::PcoError) -> Self {
        CodecError::Numbers(source)
    }
}
