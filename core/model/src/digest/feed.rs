//! Bytes gathered for a hasher: BLAKE3 is fast on long input only, so small pieces are copied
//! together first. A buffer of bounded size, however long the input.

use super::Digest;
use alloc::vec::Vec;
use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

/// A context as the key it stands for, so that its text is hashed once and not with every node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    context: &'static str,
    key: ContextKey,
}

impl Key {
    pub(super) fn new(context: &'static str) -> Self {
        Key { context, key: hash_derive_key_context(context) }
    }

    fn hasher(&self) -> Hasher {
        Hasher::new_from_context_key(&self.key)
    }
}

/// A hasher behind a buffer.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    key: Key,
    /// Has what the buffer could not hold.
    hasher: Option<Hasher>,
    /// What is gathered stands in `..len`; what is behind is left from before, so that the buffer
    /// is cleared by no write.
    bytes: Vec<u8>,
    len: usize,
    /// Bytes that the hasher has.
    passed: usize,
}

impl Feed {
    /// A feed that has begun a digest.
    pub(super) fn new(key: Key) -> Self {
        Feed { key, hasher: None, bytes: Vec::new(), len: 0, passed: 0 }
    }

    /// Begins a digest, and forgets one that was not finished.
    pub(super) fn start(&mut self, key: Key) {
        (self.key, self.hasher, self.len, self.passed) = (key, None, 0, 0);
    }

    /// Ends the digest.
    pub(super) fn finish(&mut self) -> Digest {
        let bytes = &self.bytes[..self.len];
        // A hasher does not know how much will follow, so the way it cuts a long piece is worse than
        // that of a call that has all of it. That call hashes the context's text each time, which
        // only a long piece pays for.
        if self.hasher.is_none() && bytes.len() >= AT_ONCE_MIN {
            return Digest(blake3::derive_key(self.key.context, bytes));
        }
        let mut hasher = self.hasher.take().unwrap_or_else(|| self.key.hasher());
        Digest(hasher.update(bytes).finalize().into())
    }

    /// `count` bytes to be written over.
    ///
    /// # Panics
    /// When there are more than [`PIECE_MAX`].
    pub(super) fn room(&mut self, count: usize) -> &mut [u8] {
        assert!(count <= PIECE_MAX, "longer pieces go through `put`");
        if self.len + count > GATHER_MAX {
            self.pass_on();
        }
        let end = self.len + count;
        if self.bytes.len() < end {
            self.bytes.resize(end.next_power_of_two().min(GATHER_MAX), 0);
        }
        let start = core::mem::replace(&mut self.len, end);
        &mut self.bytes[start..end]
    }

    /// Appends bytes of any length.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if bytes.len() <= PIECE_MAX {
            self.room(bytes.len()).copy_from_slice(bytes);
        } else {
            self.pass_on().update(bytes);
            self.passed += bytes.len();
        }
    }

    /// Appends a number.
    pub(super) fn u32(&mut self, number: u32) {
        self.put(&number.to_le_bytes());
    }

    /// Appends a number.
    pub(super) fn u64(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    /// Appends a number.
    pub(super) fn i64(&mut self, number: i64) {
        self.put(&number.to_le_bytes());
    }

    /// Appends a digest, or 32 zero bytes where there is none.
    pub(super) fn digest(&mut self, digest: Option<Digest>) {
        self.put(&digest.map_or([0; 32], |digest| digest.0));
    }

    /// Appends how many there are of something, as a `u32`.
    ///
    /// # Panics
    /// When there are 2^32 of it.
    pub(super) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("fewer than 2^32 of anything in a node"));
    }

    /// Appends a name: its length as a `u32`, then its bytes.
    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.put(text.as_bytes());
    }

    /// Appends zeros up to a multiple of [`PADDED`], if there are more than [`UNPADDED_MAX`] bytes.
    pub(super) fn pad(&mut self) {
        let len = self.passed + self.len;
        if len > UNPADDED_MAX {
            self.room(len.next_multiple_of(PADDED) - len).fill(0);
        }
    }

    fn pass_on(&mut self) -> &mut Hasher {
        let hasher = self.hasher.get_or_insert_with(|| self.key.hasher());
        let len = core::mem::take(&mut self.len);
        self.passed += len;
        hasher.update(&self.bytes[..len])
    }
}

/// The most bytes gathered: past a few hundred KiB, longer input is not hashed faster.
const GATHER_MAX: usize = 1 << 20;
/// The longest piece that is gathered; a longer one is hashed where it stands.
pub(super) const PIECE_MAX: usize = 1 << 16;

/// Longer input is padded, to a multiple of this: part of the format. BLAKE3 hashes its chunks of 1 KiB side by side, as
/// many as the machine has lanes for, and the odd ones at an end cost as much as whole runs.
const UNPADDED_MAX: usize = 4096;
const PADDED: usize = 8192;

/// From how many bytes on hashing at once is the faster way.
const AT_ONCE_MIN: usize = 1 << 12;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn pieces_of_any_length_hash_as_one() {
        let lens = [1, 0, PIECE_MAX, PIECE_MAX + 1, 3, GATHER_MAX + 5, 7, GATHER_MAX, PIECE_MAX];
        let pieces: Vec<Vec<u8>> =
            (0..4 * lens.len()).map(|n| vec![n as u8; lens[n % lens.len()]]).collect();
        let (key, mut feed) = (Key::new("test"), Feed::new(Key::new("other")));
        for _ in 0..2 {
            // Twice, because a feed is used again; the first time after something unfinished.
            feed.u64(1);
            feed.start(key);
            pieces.iter().for_each(|piece| feed.put(piece));
            let expected = blake3::derive_key("test", &pieces.concat());
            assert_eq!(feed.finish(), Digest(expected));
        }
        assert!(feed.bytes.len() <= GATHER_MAX);
    }

    #[test]
    fn any_length_hashes_as_at_once() {
        let (key, mut feed) = (Key::new("test"), Feed::new(Key::new("other")));
        for len in [0, 1, 1_024, AT_ONCE_MIN - 1, AT_ONCE_MIN, 40_000] {
            let bytes = vec![len as u8; len];
            feed.start(key);
            feed.put(&bytes);
            assert_eq!(feed.finish(), Digest(blake3::derive_key("test", &bytes)), "{len}");
        }
    }

    #[test]
    fn long_input_is_padded() {
        let mut feed = Feed::new(Key::new("test"));
        for (len, padded) in [
            (0, 0),
            (4096, 4096),
            (4097, 8192),
            (8192, 8192),
            (8193, 16384),
            (3 << 20, 3 << 20),
            ((3 << 20) + 1, (3 << 20) + 8192),
        ] {
            let mut bytes = vec![7; len];
            feed.start(Key::new("test"));
            bytes.chunks(50_000).for_each(|piece| feed.put(piece));
            feed.pad();
            bytes.resize(padded, 0);
            assert_eq!(feed.finish(), Digest(blake3::derive_key("test", &bytes)), "{len}");
        }
    }

    #[test]
    fn many_small_pieces_pass_through_a_bounded_buffer() {
        let (key, mut feed) = (Key::new("test"), Feed::new(Key::new("other")));
        feed.start(key);
        let numbers = (0..400_000u64).flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        numbers.chunks(8).for_each(|bytes| feed.put(bytes));
        assert!(feed.bytes.len() <= GATHER_MAX);
        assert_eq!(feed.finish(), Digest(blake3::derive_key("test", &numbers)));
    }
}
