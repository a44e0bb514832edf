//! Parsed series indexes, kept while they fit a budget.
//!
//! Two maps: what was used since the last turn, and what was used in the turn before. When the first
//! is over half the budget it becomes the second and the old second is dropped. A look-up in the
//! second moves the entry back. So what is used often stays, at the cost of one hash look-up.

use super::index::SeriesIndex;
use super::reader::{GroupFile, ReadError, SeriesRef};
use crate::ids::FileId;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

const SHARDS: usize = 16;

type Key = (FileId, u32, u32);

/// See the module documentation. Threads: look-ups take the lock of one of sixteen shards.
#[derive(Debug)]
pub(crate) struct IndexCache {
    shards: Vec<Mutex<Shard>>,
    /// Bytes one shard may keep in each of its maps.
    half: usize,
}

#[derive(Debug, Default)]
struct Shard {
    recent: HashMap<Key, (Arc<SeriesIndex>, usize)>,
    recent_bytes: usize,
    older: HashMap<Key, (Arc<SeriesIndex>, usize)>,
    older_bytes: usize,
    /// Look-ups until the bytes are counted anew: indexes grow as their decoders are made.
    recount_in: usize,
}

const RECOUNT_EVERY: usize = 64;

impl IndexCache {
    pub(crate) fn new(budget: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        IndexCache { shards, half: budget / SHARDS / 2 }
    }

    /// The index of a series, read from the file if it is not here.
    pub(crate) fn index(
        &self,
        file: &GroupFile,
        series: &SeriesRef,
    ) -> Result<Arc<SeriesIndex>, ReadError> {
        let key = (file.id(), series.section, series.series);
        let spread = file.id().0 as usize ^ series.series as usize;
        let shard = &self.shards[spread % SHARDS];
        if let Some(index) =
            shard.lock().unwrap_or_else(PoisonError::into_inner).get(&key, self.half)
        {
            return Ok(index);
        }
        let index = Arc::new(file.index(series)?);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.insert(key, Arc::clone(&index), index.heap_bytes(), self.half);
        Ok(index)
    }

    /// Bytes kept, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let bytes = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.recent_bytes + shard.older_bytes
        };
        self.shards.iter().map(bytes).sum()
    }
}

impl Shard {
    fn get(&mut self, key: &Key, half: usize) -> Option<Arc<SeriesIndex>> {
        if self.recount_in == 0 {
            self.recount_in = RECOUNT_EVERY.max(8 * self.recent.len());
            self.recount(half);
        }
        self.recount_in -= 1;
        if let Some((index, _)) = self.recent.get(key) {
            return Some(Arc::clone(index));
        }
        let (index, bytes) = self.older.remove(key)?;
        self.older_bytes -= bytes;
        self.insert(*key, Arc::clone(&index), bytes, half);
        Some(index)
    }

    fn recount(&mut self, half: usize) {
        let count = |map: &mut HashMap<Key, (Arc<SeriesIndex>, usize)>| {
            map.values_mut()
                .map(|(index, bytes)| {
                    *bytes = index.heap_bytes();
                    *bytes
                })
                .sum()
        };
        self.recent_bytes = count(&mut self.recent);
        self.older_bytes = count(&mut self.older);
        if self.recent_bytes > half {
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.older = std::mem::take(&mut self.recent);
        self.older_bytes = std::mem::take(&mut self.recent_bytes);
    }

    fn insert(&mut self, key: Key, index: Arc<SeriesIndex>, bytes: usize, half: usize) {
        if self.recent_bytes + bytes > half {
            self.turn();
        }
        self.recent_bytes += bytes;
        if let Some((_, replaced)) = self.recent.insert(key, (index, bytes)) {
            self.recent_bytes -= replaced;
        }
    }
}
