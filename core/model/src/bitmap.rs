//! A growing vector of bits: which rows of a column have a value.

use alloc::vec::Vec;

/// Bits in words of 64, lowest first. Bits past the end are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// An empty bitmap.
    #[must_use]
    pub const fn new() -> Self {
        Bitmap { words: Vec::new(), len: 0 }
    }

    /// `len` bits, all of them `bit`.
    #[must_use]
    pub fn filled(len: usize, bit: bool) -> Self {
        let mut bitmap = Bitmap::new();
        bitmap.extend_with(bit, len);
        bitmap
    }

    /// From words, lowest bit first; `None` when they are not exactly enough for `len` bits or a
    /// bit past the end is set.
    #[must_use]
    pub fn from_words(words: Vec<u64>, len: usize) -> Option<Self> {
        let tail = len % 64;
        let clean = tail == 0 || words.last().is_some_and(|last| last >> tail == 0);
        (words.len() == len.div_ceil(64) && clean).then_some(Bitmap { words, len })
    }

    /// How many bits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words, lowest bit first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Appends one bit.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if bit && let Some(word) = self.words.last_mut() {
            *word |= 1 << (self.len % 64);
        }
        self.len += 1;
    }

    /// Appends `count` equal bits.
    pub fn extend_with(&mut self, bit: bool, count: usize) {
        let end = self.len + count;
        if bit {
            while self.len < end && !self.len.is_multiple_of(64) {
                self.push(true);
            }
            while self.len + 64 <= end {
                self.words.push(u64::MAX);
                self.len += 64;
            }
            while self.len < end {
                self.push(true);
            }
        } else {
            self.words.resize(end.div_ceil(64), 0);
            self.len = end;
        }
    }

    /// The bit at `index`.
    ///
    /// # Panics
    /// When `index` is out of bounds.
    #[must_use]
    pub fn at(&self, index: usize) -> bool {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Sets the bit at `index`.
    ///
    /// # Panics
    /// When `index` is out of bounds.
    pub fn set(&mut self, index: usize, bit: bool) {
        assert!(index < self.len, "bit {index} of {}", self.len);
        let mask = 1 << (index % 64);
        if bit {
            self.words[index / 64] |= mask;
        } else {
            self.words[index / 64] &= !mask;
        }
    }

    /// How many bits are set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many bits are set before `index`: the place of a present value in a packed vector.
    ///
    /// # Panics
    /// When `index` is past the end.
    #[must_use]
    pub fn rank(&self, index: usize) -> usize {
        let whole: usize =
            self.words[..index / 64].iter().map(|word| word.count_ones() as usize).sum();
        let rest = index % 64;
        if rest == 0 {
            return whole;
        }
        whole + (self.words[index / 64] & ((1 << rest) - 1)).count_ones() as usize
    }

    /// The bits `from..to` in words of 64, lowest first; bits past the end are zero.
    ///
    /// # Panics
    /// When `to` is past the end.
    pub fn words_in(&self, from: usize, to: usize) -> impl Iterator<Item = u64> + '_ {
        assert!(to <= self.len, "bit {to} of {}", self.len);
        (from..to).step_by(64).map(move |at| {
            let (word, shift) = (at / 64, at % 64);
            let low = self.words[word] >> shift;
            // A shift by 64 is none: the next word has a part only when this one is cut.
            let high = match self.words.get(word + 1) {
                Some(next) if shift > 0 => next << (64 - shift),
                _ => 0,
            };
            let keep = (to - at).min(64);
            (low | high) & (u64::MAX >> (64 - keep))
        })
    }

    /// The first bit that is set in `from..to`.
    ///
    /// # Panics
    /// When `to` is past the end.
    #[must_use]
    pub fn first_in(&self, from: usize, to: usize) -> Option<usize> {
        assert!(to <= self.len, "bit {to} of {}", self.len);
        let mut at = from;
        while at < to {
            let rest = self.words[at / 64] >> (at % 64);
            if rest != 0 {
                let found = at + rest.trailing_zeros() as usize;
                return (found < to).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    /// The last bit that is set in `from..to`.
    ///
    /// # Panics
    /// When `to` is past the end.
    #[must_use]
    pub fn last_in(&self, from: usize, to: usize) -> Option<usize> {
        assert!(to <= self.len, "bit {to} of {}", self.len);
        let mut end = to;
        while end > from {
            let word = (end - 1) / 64;
            let rest = self.words[word] << (63 - (end - 1) % 64);
            if rest != 0 {
                let found = end - 1 - rest.leading_zeros() as usize;
                return (found >= from).then_some(found);
            }
            end = word * 64;
        }
        None
    }

    /// Keeps only the bits that are also set in another bitmap of the same length.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn and(&mut self, other: &Bitmap) {
        assert_eq!(self.len, other.len, "bitmaps of one length");
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Keeps only the bits of one word that are also set in `mask`.
    ///
    /// # Panics
    /// When `number` is out of bounds.
    pub fn and_word(&mut self, number: usize, mask: u64) {
        self.words[number] &= mask;
    }

    /// All bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.len).map(|index| self.words[index / 64] >> (index % 64) & 1 == 1)
    }

    /// Removes all bits, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_vector_of_bools(runs in proptest::collection::vec((any::<bool>(), 0usize..150), 0..8)) {
            let mut bitmap = Bitmap::new();
            let mut bits = Vec::new();
            for (bit, count) in runs {
                bitmap.extend_with(bit, count);
                bits.extend(core::iter::repeat_n(bit, count));
            }
            prop_assert_eq!(bitmap.iter().collect::<Vec<_>>(), bits.clone());
            prop_assert_eq!(bitmap.count(), bits.iter().filter(|b| **b).count());
            for index in 0..=bits.len() {
                prop_assert_eq!(bitmap.rank(index), bits[..index].iter().filter(|b| **b).count());
                let from = index.saturating_sub(90);
                prop_assert_eq!(bitmap.first_in(from, index), (from..index).find(|at| bits[*at]));
                prop_assert_eq!(bitmap.last_in(from, index), (from..index).rfind(|at| bits[*at]));
            }
            for from in (0..bits.len()).step_by(7) {
                for to in [from + 1, from + 64, from + 65, from + 130, bits.len()] {
                    let to = to.min(bits.len());
                    let cut = Bitmap::from_words(bitmap.words_in(from, to).collect(), to - from);
                    prop_assert_eq!(cut.unwrap().iter().collect::<Vec<_>>(), &bits[from..to]);
                }
            }
            let again = Bitmap::from_words(bitmap.words().to_vec(), bits.len());
            prop_assert_eq!(again, Some(bitmap));
        }
    }
}
