//! The store's own threads: one flushes and compacts, one syncs for tickets and intervals.

use crate::store::Inner;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Without a write for so long, the store counts as idle and merges files eagerly.
const IDLE: Duration = Duration::from_millis(500);

/// See the module documentation. Without [`Self::start`] there are no threads, and wishes are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    wishes: Mutex<Wishes>,
    wake: Condvar,
    running: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Wishes {
    flush: bool,
    compact: bool,
    sync_at: Option<Instant>,
    stop: bool,
    /// Goes up with every flush that was wished for: an idle store has no such.
    activity: u64,
}

/// What a thread is started with: its name and its work.
pub(crate) type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

pub(crate) fn spawn(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

impl Threads {
    /// Starts both. After an error one of them may run: [`Self::stop`] ends it.
    pub(crate) fn start(&self, inner: &Arc<Inner>, spawn: Spawn) -> io::Result<()> {
        type Work = fn(&Arc<Inner>);
        let work: [(&str, Work); 2] = [("tidelog-upkeep", upkeep), ("tidelog-sync", sync)];
        for (name, work) in work {
            let inner = Arc::clone(inner);
            let handle = spawn(name, Box::new(move || work(&inner)))?;
            self.running.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
        Ok(())
    }

    /// Ends the threads and waits for them; what they are at is finished first.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_all();
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let me = std::thread::current().id();
        for handle in running {
            // The last handle of a store may be dropped by a thread of its own.
            if handle.thread().id() != me {
                let _ = handle.join();
            }
        }
    }

    pub(crate) fn flush_soon(&self) {
        let mut wishes = self.lock();
        wishes.flush = true;
        wishes.activity += 1;
        drop(wishes);
        self.wake.notify_all();
    }

    pub(crate) fn compact_soon(&self) {
        self.lock().compact = true;
        self.wake.notify_all();
    }

    /// A sync happens within `wait`.
    pub(crate) fn sync_soon(&self, wait: Duration) {
        let at = Instant::now() + wait;
        let mut wishes = self.lock();
        if wishes.sync_at.is_none_or(|known| at < known) {
            wishes.sync_at = Some(at);
            drop(wishes);
            self.wake.notify_all();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stop
    }

    /// Is a flush wished for? Then a merge that runs makes way at its next series.
    pub(crate) fn is_flush_wanted(&self) -> bool {
        self.lock().flush
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, wishes: MutexGuard<'a, Wishes>, time: Duration) -> MutexGuard<'a, Wishes> {
        let (wishes, _) =
            self.wake.wait_timeout(wishes, time).unwrap_or_else(PoisonError::into_inner);
        wishes
    }
}

fn upkeep(inner: &Arc<Inner>) {
    let threads = &inner.threads;
    let mut seen = 0;
    let mut quiet_since = Instant::now();
    loop {
        let mut wishes = threads.lock();
        while !wishes.flush && !wishes.stop {
            if wishes.activity != seen {
                seen = wishes.activity;
                quiet_since = Instant::now();
            }
            if wishes.compact && quiet_since.elapsed() >= IDLE {
                break;
            }
            let time = if wishes.compact { IDLE } else { Duration::from_secs(60) };
            let activity = wishes.activity;
            wishes = threads.wait(wishes, time);
            if time > IDLE && wishes.activity == activity {
                // Cuts move with the days, also in a store nobody writes to.
                wishes.compact = true;
            }
        }
        if wishes.stop {
            return;
        }
        let flush = std::mem::take(&mut wishes.flush);
        let compact = !flush && std::mem::take(&mut wishes.compact);
        drop(wishes);
        if flush {
            if let Err(error) = inner.flush_full() {
                tracing::warn!(%error, "a flush failed; writes wait or are refused until one does not");
            }
            threads.lock().compact = true;
        }
        // While writes keep coming only what piles up is merged; the rest waits for quiet.
        let eager = compact;
        if let Err(error) = inner.compact_some(eager) {
            tracing::warn!(%error, "a compaction failed; files stay as they are");
        }
    }
}

fn sync(inner: &Arc<Inner>) {
    let threads = &inner.threads;
    loop {
        let mut wishes = threads.lock();
        loop {
            if wishes.stop {
                return;
            }
            let now = Instant::now();
            match wishes.sync_at {
                Some(at) if at <= now => break,
                Some(at) => wishes = threads.wait(wishes, at - now),
                None => wishes = threads.wait(wishes, Duration::from_secs(60)),
            }
        }
        wishes.sync_at = None;
        drop(wishes);
        if inner.sync_all().is_err() {
            // The store is poisoned and said so in the log of the process; tickets and writes tell it to
            // their callers. No later fsync proves anything, so there is nothing left to do here.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileDisk;
    use crate::{Batch, Durability, Kind, OpenError, Options, Store};

    /// The store opened without the thread, and a writer waited for room, or an interval for its fsync, for ever.
    #[test]
    fn a_store_whose_threads_cannot_be_started_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let none: Spawn = |_, _| Err(io::Error::from(io::ErrorKind::WouldBlock));
        let first_only: Spawn = |name, work| match name {
            "tidelog-sync" => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            name => spawn(name, work),
        };
        for few in [none, first_only] {
            let disk = Arc::new(FileDisk::new(dir.path(), true));
            let error = Store::started_by(few, disk, Options::new()).unwrap_err();
            assert!(matches!(error, OpenError::Threads { .. }), "{error}");
            assert_eq!(error.kind(), Kind::Retry);
            // Nothing of it is left: no thread, no lock.
            let store = Options::new().open(dir.path()).unwrap();
            assert!(store.open_report().is_clean(), "{:?}", store.open_report());
            let mut batch = Batch::new("plant.boiler").unwrap();
            batch.push("pump_1", 0, [("level", 1.0)]).unwrap();
            store.write(&batch, Durability::Sync).unwrap();
        }
    }
}
