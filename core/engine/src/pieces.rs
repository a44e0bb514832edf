//! Files in pieces of 1 MiB, so that a part of one can be verified before the rest is there.
//!
//! The BLAKE3 of a file is the root of a tree over its bytes, and each piece a subtree of it: its *sum* is what that
//! subtree contributes. All sums together give the BLAKE3 of the file, so who knows that needs no other list of hashes to
//! trust the sums, and then each piece. (Bao does the same with a tree beside the file; sums are one level of that tree,
//! 32 bytes for each MiB.)

use blake3::hazmat::{HasherExt, Mode};
use blake3::hazmat::{left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

/// All pieces but the last have so many bytes.
pub(crate) const PIECE_BYTES: u64 = 1 << 20;

/// What a piece contributes to the BLAKE3 of its file.
pub(crate) type Sum = [u8; 32];

/// How many pieces a file has.
pub(crate) fn count(file_len: u64) -> u64 {
    file_len.div_ceil(PIECE_BYTES)
}

/// Where a piece begins, and its length; `None` when the file has no such piece.
pub(crate) fn place(file_len: u64, number: u64) -> Option<(u64, usize)> {
    let from = number.checked_mul(PIECE_BYTES).filter(|from| *from < file_len)?;
    let len = (file_len - from).min(PIECE_BYTES);
    Some((from, usize::try_from(len).ok()?))
}

/// The sum of a piece.
pub(crate) fn sum(file_len: u64, number: u64, bytes: &[u8]) -> Sum {
    if file_len <= PIECE_BYTES {
        return *blake3::hash(bytes).as_bytes();
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(number.saturating_mul(PIECE_BYTES));
    hasher.update(bytes).finalize_non_root()
}

/// The BLAKE3 of a file of this length whose pieces have these sums; `None` when they are not as many as it has pieces.
pub(crate) fn whole(file_len: u64, sums: &[Sum]) -> Option<[u8; 32]> {
    if sums.is_empty() || count(file_len) != sums.len() as u64 {
        return None;
    }
    if let [only] = sums {
        return Some(*only);
    }
    let (left, right) = halves(file_len, sums);
    Some(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
}

/// What the two halves of a stretch of several pieces contribute. They meet between two pieces, for the left one is the
/// greatest power of two that leaves something for the right one.
fn halves(len: u64, sums: &[Sum]) -> (Sum, Sum) {
    let left_len = left_subtree_len(len);
    let (left, right) = sums.split_at((left_len / PIECE_BYTES) as usize);
    (subtree(left_len, left), subtree(len - left_len, right))
}

fn subtree(len: u64, sums: &[Sum]) -> Sum {
    if let [only] = sums {
        return *only;
    }
    let (left, right) = halves(len, sums);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(bytes: &[u8]) -> Vec<Sum> {
        let len = bytes.len() as u64;
        let piece = |number| {
            let (from, piece_len) = place(len, number).unwrap();
            sum(len, number, &bytes[from as usize..][..piece_len])
        };
        (0..count(len)).map(piece).collect()
    }

    #[test]
    fn the_sums_of_its_pieces_give_the_digest_of_a_file() {
        let bytes: Vec<u8> =
            (0..9u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mib = 1usize << 20;
        for len in [1, 1000, mib - 1, mib, mib + 1, 2 * mib, 3 * mib + 7, 5 * mib, 8 * mib, 9 * mib]
        {
            let file = &bytes[..len];
            let sums = sums(file);
            let expected = *blake3::hash(file).as_bytes();
            assert_eq!(whole(len as u64, &sums), Some(expected), "{len} bytes");
            assert_eq!(whole(len as u64, &sums[1..]), None, "{len} bytes, a sum short");
            if sums.len() > 1 {
                let mut swapped = sums.clone();
                swapped.swap(0, 1);
                assert_ne!(whole(len as u64, &swapped), Some(expected), "{len} bytes, swapped");
            }
        }
    }

    #[test]
    fn a_piece_has_its_place() {
        assert_eq!(place(10, 0), Some((0, 10)));
        assert_eq!(place(10, 1), None);
        assert_eq!(place((1 << 20) + 5, 1), Some((1 << 20, 5)));
        assert_eq!(place(u64::MAX, u64::MAX), None);
        assert_eq!((count(0), count(1 << 20), count((1 << 20) + 1)), (0, 1, 2));
    }
}
