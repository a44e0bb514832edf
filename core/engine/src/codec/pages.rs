//! An encoded chunk and the page lengths it is cut by.

/// A column chunk as bytes: shared metadata and independent pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedChunk {
    /// What every page needs to be decoded. Empty when the chunk has no values.
    pub meta: Vec<u8>,
    /// All pages, end to end.
    pub pages: Vec<u8>,
    /// Where each page ends in `pages`: one element per page length given.
    pub page_ends: Vec<u32>,
}

impl EncodedChunk {
    /// How many pages there are.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.page_ends.len()
    }

    /// The bytes of one page; `None` past the last.
    #[must_use]
    pub fn page(&self, index: usize) -> Option<&[u8]> {
        let end = *self.page_ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.page_ends[index - 1] as usize };
        Some(&self.pages[start..end])
    }

    /// Bytes of metadata and pages together.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.meta.len() + self.pages.len()
    }

    /// A chunk whose metadata says everything: every page is empty.
    pub(super) fn without_pages(meta: Vec<u8>, lengths: &[u32]) -> Self {
        EncodedChunk { meta, pages: Vec::new(), page_ends: vec![0; lengths.len()] }
    }

    pub(super) fn end_page(&mut self) {
        let end = u32::try_from(self.pages.len()).expect("a chunk's pages stay below 4 GiB");
        self.page_ends.push(end);
    }
}

/// A few whole pages that stand for a chunk when codecs are compared.
pub(super) struct Sample {
    /// Ranges of values, one per sampled page.
    pub(super) ranges: Vec<core::ops::Range<usize>>,
    /// Values in the chunk and in the sample.
    total: usize,
    taken: usize,
}

impl Sample {
    /// One page in eight, evenly spaced, at least `least` (if there are) and at most
    /// `MOST_SAMPLED_PAGES`.
    pub(super) fn new(lengths: &[u32], least: usize) -> Self {
        let mut start = 0;
        let mut pages = Vec::with_capacity(lengths.len());
        for &length in lengths.iter().filter(|length| **length > 0) {
            let end = start + length as usize;
            pages.push(start..end);
            start = end;
        }
        let wanted = (pages.len() / 8).clamp(least, MOST_SAMPLED_PAGES).min(pages.len());
        let middle = |i: usize| (2 * i + 1) * pages.len() / (2 * wanted);
        let ranges: Vec<_> = (0..wanted).filter_map(|i| pages.get(middle(i)).cloned()).collect();
        let taken = ranges.iter().map(ExactSizeIterator::len).sum();
        Sample { ranges, total: start, taken }
    }

    pub(super) fn lengths(&self) -> Vec<u32> {
        self.ranges.iter().map(|range| range.len() as u32).collect()
    }

    pub(super) fn gather<T: Copy>(&self, values: &[T]) -> Vec<T> {
        let mut out = Vec::with_capacity(self.taken);
        self.ranges.iter().for_each(|range| out.extend_from_slice(&values[range.clone()]));
        out
    }

    /// Bytes the whole chunk would take, judged by the encoded sample.
    pub(super) fn scale(&self, encoded: &EncodedChunk) -> usize {
        // 65,536 bytes of pages times 65,536 values are beyond 32 bits.
        let pages = encoded.pages.len() as u64 * self.total as u64 / self.taken.max(1) as u64;
        encoded.meta.len().saturating_add(usize::try_from(pages).unwrap_or(usize::MAX))
    }
}

/// Enough to tell plans apart; a trial of a full chunk then costs 9 % of encoding it.
const MOST_SAMPLED_PAGES: usize = 6;
