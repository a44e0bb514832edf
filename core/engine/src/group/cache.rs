//! What was parsed from files, kept while it fits a budget.
//!
//! Two maps: what was used since the last turn, and what was used in the turn before. When the first
//! is over half the budget it becomes the second and the old second is dropped. A look-up in the
//! second moves the entry back. So what is used often stays, at the cost of one hash look-up. One
//! entry stays in each map of a shard whatever its size.

use super::index::SeriesIndex;
use super::reader::{GroupFile, ReadError, SeriesRef};
use crate::ids::FileId;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

const SHARDS: usize = 16;

/// A file, a section of it, and the number of a part of that section.
pub(crate) type Key = (FileId, u32, u32);

/// What a cache keeps.
pub(crate) trait Cached {
    /// Heap bytes, roughly, by now: what is decoded when it is first used makes it grow.
    fn heap_bytes(&self) -> usize;
}

/// The indexes of series.
pub(crate) type IndexCache = Cache<SeriesIndex>;

/// See the module documentation. Threads: look-ups take the lock of one of sixteen shards.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    shards: Vec<Mutex<Shard<V>>>,
    /// Bytes one shard may keep in each of its maps.
    half: usize,
}

/// By key, each with its bytes when they were last counted.
type Kept<V> = HashMap<Key, (Arc<V>, usize)>;

#[derive(Debug)]
struct Shard<V> {
    recent: Kept<V>,
    recent_bytes: usize,
    older: Kept<V>,
    older_bytes: usize,
    /// Look-ups until the bytes are counted anew.
    recount_in: usize,
}

const RECOUNT_EVERY: usize = 64;

impl IndexCache {
    /// The index of a series, read from the file if it is not here.
    pub(crate) fn index(
        &self,
        file: &GroupFile,
        series: &SeriesRef,
    ) -> Result<Arc<SeriesIndex>, ReadError> {
        self.get((file.id(), series.section, series.series), || file.index(series))
    }
}

impl Cached for SeriesIndex {
    fn heap_bytes(&self) -> usize {
        SeriesIndex::heap_bytes(self)
    }
}

impl<V: Cached> Cache<V> {
    pub(crate) fn new(budget: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect();
        Cache { shards, half: budget / SHARDS / 2 }
    }

    /// What the key stands for, read if it is not here.
    pub(crate) fn get(
        &self,
        key: Key,
        read: impl FnOnce() -> Result<V, ReadError>,
    ) -> Result<Arc<V>, ReadError> {
        // Files of one group often have ids a fixed step apart, which must not put all of them into one shard.
        let spread = (key.0.0 ^ u64::from(key.2) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shard = &self.shards[(spread >> 60) as usize % SHARDS];
        if let Some(found) =
            shard.lock().unwrap_or_else(PoisonError::into_inner).get(&key, self.half)
        {
            return Ok(found);
        }
        let new = Arc::new(read()?);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.insert(key, Arc::clone(&new), new.heap_bytes(), self.half);
        Ok(new)
    }

    /// Bytes kept, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let bytes = |shard: &Mutex<Shard<V>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.recent_bytes + shard.older_bytes
        };
        self.shards.iter().map(bytes).sum()
    }
}

impl<V: Cached> Shard<V> {
    fn new() -> Self {
        Shard {
            recent: HashMap::new(),
            recent_bytes: 0,
            older: HashMap::new(),
            older_bytes: 0,
            recount_in: 0,
        }
    }

    fn get(&mut self, key: &Key, half: usize) -> Option<Arc<V>> {
        if self.recount_in == 0 {
            self.recount_in = RECOUNT_EVERY.max(8 * self.recent.len());
            self.recount(half);
        }
        self.recount_in -= 1;
        if let Some((found, _)) = self.recent.get(key) {
            return Some(Arc::clone(found));
        }
        let (value, bytes) = self.older.remove(key)?;
        self.older_bytes -= bytes;
        self.insert(*key, Arc::clone(&value), bytes, half);
        Some(value)
    }

    fn recount(&mut self, half: usize) {
        let count = |map: &mut Kept<V>| {
            map.values_mut()
                .map(|(value, bytes)| {
                    *bytes = value.heap_bytes();
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

    fn insert(&mut self, key: Key, value: Arc<V>, bytes: usize, half: usize) {
        if self.recent_bytes + bytes > half {
            self.turn();
        }
        self.recent_bytes += bytes;
        if let Some((_, replaced)) = self.recent.insert(key, (value, bytes)) {
            self.recent_bytes -= replaced;
        }
    }
}
