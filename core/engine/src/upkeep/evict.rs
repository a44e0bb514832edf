//! A store with a bound on its bytes gives up its oldest windows.
//!
//! An eviction is local. It is no cut, which replicas would follow, but has the same effect here: before its time
//! there is nothing, in no tier.

use super::merge_nodes::Merge;
use crate::error::UpkeepError;
use crate::files::FileSet;
use crate::ids::{FileId, Tier};
use crate::manifest::Change;
use crate::rollup::window_of;
use crate::store::Inner;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use tidelog_model::{CollectionName, GroupId};

/// Down to so many tenths of the bound, so that not every flush has files written again.
const TENTHS_KEPT: u64 = 9;
/// Estimates come closer each time; what still does not fit then waits for the next flush.
const ROUNDS: usize = 8;
const DAY: i64 = 86_400_000_000_000;

/// Some bytes, spread over a stretch of time: first and last nanosecond.
#[derive(Clone, Copy, Debug)]
struct Spread {
    first: i64,
    last: i64,
    bytes: u64,
}

impl Inner {
    /// What was flushed is safe, whether or not room can be made now: the next flush tries again.
    pub(super) fn evict_after_flush(&self) {
        if let Err(error) = self.evict() {
            tracing::warn!(%error, "the oldest windows could not be given up; the store stays above its bound");
        }
    }

    /// Gives up the oldest windows while files take more than they may.
    fn evict(&self) -> Result<(), UpkeepError> {
        let Some(max) = self.options.max_bytes else { return Ok(()) };
        for _ in 0..ROUNDS {
            let total: u64 = self.files().all().map(|open| open.entry().len).sum();
            if total <= max || self.threads.is_stopping() {
                return Ok(());
            }
            // What others lent they can lend again.
            if self.give_up_borrowed()? {
                continue;
            }
            let kept = max / 10 * TENTHS_KEPT;
            if !self.evict_bytes(total.saturating_sub(kept))? {
                tracing::warn!(
                    total,
                    max,
                    "the store is above its bound and has nothing left to give up but the newest windows"
                );
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives up the oldest windows that take about so many bytes; `false` when there are none.
    fn evict_bytes(&self, bytes: u64) -> Result<bool, UpkeepError> {
        let files = self.files();
        let wall = i64::try_from(self.clock().wall_millis()).unwrap_or(i64::MAX);
        let wall = wall.saturating_mul(1_000_000);
        // A clock that runs ahead must not stretch what is old.
        let spreads = spreads(&files, wall.saturating_add(DAY));
        let Some(time) = time_of(&spreads, bytes) else { return Ok(false) };
        let mut changes = Vec::new();
        let mut evicted = Vec::new();
        for (name, entry) in &files.state.collections {
            let Some((oldest, newest)) = self.times_of(name) else { continue };
            // Whole leaf windows, and never the one that is being written.
            let around = |time: i64| window_of(Tier::Hour, time, entry.leaf);
            let end = around(time).last().saturating_add(1).min(around(newest.min(wall)).first());
            if end <= entry.evicted || end <= oldest.max(entry.evicted) {
                continue;
            }
            let mut next = Arc::clone(entry);
            Arc::make_mut(&mut next).evicted = end;
            changes.push(Change::Collection(name.clone(), Arc::clone(&next)));
            evicted.push((name.clone(), next));
        }
        if changes.is_empty() {
            return Ok(false);
        }
        let rows = |files: &FileSet| files.rows().map(|open| open.entry.rows).sum::<u64>();
        {
            let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            self.publish(&[], &[], changes, |files| self.show(files))?;
        }
        for (name, entry) in &evicted {
            self.merge_entry(name, entry);
            tracing::info!(%name, before = entry.evicted, "evicted: the store is at its bound");
        }
        let names: Vec<CollectionName> = evicted.into_iter().map(|(name, _)| name).collect();
        let before = rows(&self.files());
        self.drop_cut_files()?;
        for group in (0..self.groups).map(GroupId) {
            let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            for id in self.cut_through(group, &names) {
                self.compact_files(group, &[id], &mut |_, _| !self.threads.is_stopping())?;
            }
            self.merge_nodes(group, Merge::All)?;
        }
        let gone = before.saturating_sub(rows(&self.files()));
        self.counters.rows_evicted.fetch_add(gone, Relaxed);
        Ok(true)
    }

    /// The files of a group that hold rows before the cuts of some collections.
    fn cut_through(&self, group: GroupId, names: &[CollectionName]) -> Vec<FileId> {
        let files = self.files();
        let before = |name: &CollectionName, first: i64| first < files.cuts(name).of(Tier::Raw);
        let open = files.group(group).iter().filter(|open| {
            let first = open.entry.range.first();
            let of = open.entry.collections.iter().filter(|name| names.contains(name));
            open.file.is_ok() && of.into_iter().any(|name| before(name, first))
        });
        open.map(|open| open.entry.id).collect()
    }
}

/// Where the bytes of rows and settled nodes are in time, as far as files say it without being read.
fn spreads(files: &FileSet, latest: i64) -> Vec<Spread> {
    let mut all = Vec::new();
    let mut add = |name: &CollectionName, (first, last): (i64, i64), bytes: u64| {
        let first = first.max(files.cuts(name).of(Tier::Year));
        all.push(Spread { first, last: last.min(latest).max(first), bytes });
    };
    let share = |len: u64, part: u64, of: u64| {
        let bytes = u128::from(len) * u128::from(part) / u128::from(of.max(1));
        u64::try_from(bytes).unwrap_or(len)
    };
    for open in files.rows() {
        let Ok(file) = &open.file else { continue };
        for section in file.sections() {
            let bytes = share(open.entry.len, section.rows, open.entry.rows);
            add(&section.name, (section.range.first(), section.range.last()), bytes);
        }
    }
    for open in files.all_nodes().filter(|open| open.entry.settled) {
        let Ok(file) = &open.file else { continue };
        for section in file.sections() {
            let bytes = share(open.entry.len, section.nodes, open.entry.rows);
            add(&section.name, (section.range.first(), section.range.last()), bytes);
        }
    }
    all
}

/// The least time before which there are about so many bytes, or all.
fn time_of(spreads: &[Spread], bytes: u64) -> Option<i64> {
    let mut low = spreads.iter().map(|spread| spread.first).min()?;
    let mut high = spreads.iter().map(|spread| spread.last).max()?;
    let before = |time: i64| -> u128 { spreads.iter().map(|spread| spread.before(time)).sum() };
    while low < high {
        // `midpoint` rounds towards zero, which is up below it.
        let middle = low.saturating_add_unsigned(low.abs_diff(high) / 2);
        if before(middle) >= u128::from(bytes) { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

impl Spread {
    /// Its bytes up to and including a time.
    fn before(&self, time: i64) -> u128 {
        if time < self.first {
            return 0;
        }
        let width = |from: i64, to: i64| to.abs_diff(from) as u128 + 1;
        let part = width(self.first, time.min(self.last));
        u128::from(self.bytes) * part / width(self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_where_enough_bytes_lie_before_it() {
        let spreads = [
            Spread { first: 0, last: 99, bytes: 1000 },
            Spread { first: 50, last: 149, bytes: 500 },
            Spread { first: i64::MIN, last: i64::MIN, bytes: 10 },
        ];
        assert_eq!(time_of(&spreads, 10), Some(i64::MIN));
        assert_eq!(time_of(&spreads, 110), Some(9));
        assert_eq!(time_of(&spreads, 660), Some(59), "600, 50 and 10");
        assert_eq!(time_of(&spreads, 9_999), Some(149), "all of it");
        assert_eq!(time_of(&[], 1), None);
    }
}
