//! Which files of a group to merge. Pure: entries in, a choice out.
//!
//! Files fall into size classes, each four times the one before. When a class has enough files they are
//! merged into one, which then belongs to a higher class: so a byte is rewritten once per class, and the number of
//! files grows with the logarithm of the data (size-tiered compaction, as in the LSM literature).

use crate::ids::FileId;
use crate::manifest::FileEntry;

/// The first class: files up to this size.
const SMALL_BYTES: u64 = 256 << 10;
/// Each class is so many times the one before.
const FACTOR: u64 = 4;
/// A class is merged when it has so many files and nobody writes.
const FILES_EAGER: usize = 4;
/// The same while writes keep coming, so that merging takes little from them.
const FILES_BUSY: usize = 12;
/// At most so many files are merged at once: a bound on memory and on the time of one merge.
const FILES_MAX: usize = 32;
/// Files beyond this size are merged only to free the space of deletes.
const MERGED_BYTES_MAX: u64 = 1 << 30;

/// Files that may be merged.
pub(super) struct Candidate<'a> {
    pub(super) entry: &'a FileEntry,
    /// Has it rows that a newer delete or a cut hides?
    pub(super) dirty: bool,
}

/// The next merge; empty when there is none.
pub(super) fn pick(files: &[Candidate<'_>], eager: bool) -> Vec<FileId> {
    let enough = if eager { FILES_EAGER } else { FILES_BUSY };
    let mut classes: Vec<Vec<FileId>> = Vec::new();
    for file in files.iter().filter(|file| file.entry.len <= MERGED_BYTES_MAX) {
        let class = class_of(file.entry.len);
        if classes.len() <= class {
            classes.resize_with(class + 1, Vec::new);
        }
        classes[class].push(file.entry.id);
    }
    if let Some(class) = classes.into_iter().find(|class| class.len() >= enough) {
        return class.into_iter().take(FILES_MAX).collect();
    }
    if eager && let Some(dirty) = files.iter().find(|file| file.dirty) {
        return vec![dirty.entry.id];
    }
    Vec::new()
}

fn class_of(len: u64) -> usize {
    let mut class = 0;
    let mut limit = SMALL_BYTES;
    while len > limit {
        limit *= FACTOR;
        class += 1;
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Tier;
    use tidelog_model::{GroupId, Stamp, TimeRange};

    fn entry(id: u64, len: u64) -> FileEntry {
        FileEntry {
            id: FileId(id),
            group: GroupId(0),
            tier: Tier::Raw,
            len,
            blake3: [0; 32],
            rows: 1,
            values: 1,
            series: 1,
            range: TimeRange::ALL,
            stamps: (Stamp(1), Stamp(1)),
            cleaned: Stamp::ZERO,
            dense: false,
            settled: false,
            borrowed: false,
            uncounted: Vec::new(),
            made_as: None,
            collections: Vec::new(),
        }
    }

    fn picked(lens: &[u64], eager: bool, dirty: Option<usize>) -> Vec<u64> {
        let entries: Vec<FileEntry> = (0..).zip(lens).map(|(id, len)| entry(id, *len)).collect();
        let candidates: Vec<Candidate<'_>> = entries
            .iter()
            .enumerate()
            .map(|(at, entry)| Candidate { entry, dirty: dirty == Some(at) })
            .collect();
        pick(&candidates, eager).iter().map(|id| id.0).collect()
    }

    #[test]
    fn files_of_like_size_are_merged_when_there_are_enough() {
        assert_eq!(picked(&[100_000; 3], true, None), Vec::<u64>::new());
        assert_eq!(picked(&[100_000, 9_000_000, 100_000, 1, 7], true, None), [0, 2, 3, 4]);
        assert_eq!(picked(&[100_000; 4], false, None), Vec::<u64>::new(), "not while writes come");
        assert_eq!(picked(&[100_000; 12], false, None).len(), 12);
    }

    #[test]
    fn a_file_with_deleted_rows_is_rewritten_when_all_is_quiet() {
        assert_eq!(picked(&[100_000, 9_000_000], true, Some(1)), [1]);
        assert_eq!(picked(&[100_000, 9_000_000], false, Some(1)), Vec::<u64>::new());
        assert_eq!(picked(&[2 << 30], true, Some(0)), [0], "however large");
    }

    #[test]
    #[expect(clippy::same_item_push, reason = "each round flushes one more file")]
    fn a_byte_is_rewritten_once_per_class() {
        let mut sizes: Vec<u64> = Vec::new();
        let (mut flushed, mut merged) = (0, 0);
        for _ in 0..4000 {
            sizes.push(600_000);
            flushed += 600_000u64;
            loop {
                let entries: Vec<FileEntry> =
                    (0..).zip(&sizes).map(|(id, len)| entry(id, *len)).collect();
                let candidates: Vec<Candidate<'_>> =
                    entries.iter().map(|entry| Candidate { entry, dirty: false }).collect();
                let chosen = pick(&candidates, true);
                if chosen.is_empty() {
                    break;
                }
                let sum = chosen.iter().map(|id| sizes[id.0 as usize]).sum();
                merged += sum;
                let gone: Vec<usize> = chosen.iter().map(|id| id.0 as usize).collect();
                let mut at = 0;
                sizes.retain(|_| {
                    at += 1;
                    !gone.contains(&(at - 1))
                });
                sizes.push(sum);
            }
        }
        let amplification = (flushed + merged) as f64 / flushed as f64;
        assert!(amplification <= 7.0, "{amplification} over {flushed} bytes");
        assert!(sizes.len() <= 20, "{} files", sizes.len());
    }
}
