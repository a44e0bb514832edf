#![doc = include_str!("FORMAT.md")]

mod buckets;
mod feed;
mod leaf;
mod row;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod tree;

pub use buckets::{Bucket, Buckets, Entry, FANOUT};
pub use leaf::{LEAF_BLOCK_ROWS, LeafHasher};
pub use row::RowPrinter;
pub use state::{StateKind, StateRoot};
pub use stream::LeafStream;
pub use tree::TreeHasher;

use core::fmt;
use core::str::FromStr;

/// A digest of rows, or of digests. Equal digests mean equal rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a digest: write its 64 hexadecimal digits")]
pub struct ParseDigestError;

/// Reads the 64 digits that `Display` writes; capitals are fine.
impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(ParseDigestError);
        }
        let digit = |byte: u8| (byte as char).to_digit(16).ok_or(ParseDigestError);
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            // Two digits of 4 bits fit a byte.
            *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        }
        Ok(Digest(bytes))
    }
}

/// The context of a block of a leaf's rows. As all of them, for BLAKE3 `derive_key`.
pub const BLOCK_CONTEXT: &str = "tidelog 2026-11 block v1";
/// The context of the prints of rows.
pub const ROW_CONTEXT: &str = "tidelog 2026-11 row v1";
/// The context of a leaf of several blocks.
pub const LEAF_CONTEXT: &str = "tidelog 2026-11 leaf v1";
/// The context of a window whose raw rows are gone.
pub const SETTLED_CONTEXT: &str = "tidelog 2026-11 settled v1";
/// The context of an inner bucket.
pub const INNER_CONTEXT: &str = "tidelog 2026-11 inner v1";
/// The context of an outer bucket.
pub const OUTER_CONTEXT: &str = "tidelog 2026-11 outer v1";
/// The context of a leaf window.
pub const WINDOW_CONTEXT: &str = "tidelog 2026-11 window v1";
/// The context of a day.
pub const DAY_CONTEXT: &str = "tidelog 2026-11 day v1";
/// The context of a month.
pub const MONTH_CONTEXT: &str = "tidelog 2026-11 month v1";
/// The context of a year.
pub const YEAR_CONTEXT: &str = "tidelog 2026-11 year v1";
/// The context of the content root of a collection in a group.
pub const ROOT_CONTEXT: &str = "tidelog 2026-11 root v1";
/// The context of the content root of a group.
pub const GROUP_CONTEXT: &str = "tidelog 2026-11 group v1";
/// The context of the content root of a set of groups.
pub const STORE_CONTEXT: &str = "tidelog 2026-11 store v1";
/// The context of a state root.
pub const STATE_CONTEXT: &str = "tidelog 2026-11 state v1";
