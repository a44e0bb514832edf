//! The end of a store while others still hold it.

use crate::{all, name, rows};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tidelog_engine::clock::Clock;
use tidelog_engine::{
    Delete, Durability, Kind, OpenError, Options, Store, Upkeep, UpkeepError, WriteError,
};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::subject;

/// S-B16, S-B28: theirs appends to a buffer that nobody writes any more, or closes a channel twice.
#[test]
fn a_write_that_races_with_close_is_kept_or_refused() {
    for round in 0..30 {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write(&rows(1, -1..0), Durability::Sync).unwrap();
        let next = AtomicI64::new(0);
        let mut seen = Vec::new();
        let acknowledged: Vec<i64> = std::thread::scope(|threads| {
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    let (store, next) = (store.clone(), &next);
                    threads.spawn(move || {
                        let mut mine = Vec::new();
                        loop {
                            let time = next.fetch_add(1, Ordering::Relaxed);
                            match store.write(&rows(1, time..time + 1), Durability::Sync) {
                                Ok(_) => mine.push(time),
                                Err(WriteError::Closed) => return mine,
                                Err(other) => panic!("{other}"),
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(5 + round));
            // Who opens the store next must see all that was acknowledged, also by a writer that was
            // in the middle of a call when it was closed.
            store.close().unwrap();
            store.close().unwrap();
            seen = all(&Store::open(dir.path()).unwrap()).times;
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        for time in &acknowledged {
            assert!(seen.contains(time), "round {round}: row {time} was acknowledged");
        }
    }
}

#[test]
fn a_closed_store_answers_by_a_typed_error_and_frees_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(&rows(1, 0..1), Durability::Os).unwrap();
    let locked = Store::open(dir.path()).unwrap_err();
    assert!(matches!(locked, OpenError::Locked { .. }) && locked.kind() == Kind::Retry);
    store.close().unwrap();
    store.close().unwrap();
    let refused = store.write(&rows(1, 1..2), Durability::Os).unwrap_err();
    assert!(matches!(refused, WriteError::Closed) && refused.kind() == Kind::Reopen);
    assert!(matches!(store.flush(), Err(UpkeepError::Closed)));
    assert!(matches!(store.compact(), Err(UpkeepError::Closed)));
    let deleted = store.delete(&Delete::collection(&name()));
    assert!(matches!(deleted, Err(WriteError::Closed)));
    let again = Store::open(dir.path()).unwrap();
    assert_eq!(all(&again).rows(), 1);
    let reader = Options::new().read_only(true).open(dir.path()).unwrap();
    assert_eq!(all(&reader).rows(), 1);
    let refused = reader.write(&rows(1, 1..2), Durability::Os).unwrap_err();
    assert!(matches!(refused, WriteError::ReadOnly));
}

/// A clock that does something once, in the middle of the call that asks it.
#[derive(Default)]
struct Trap(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trap")
    }
}

impl Clock for Trap {
    fn wall_millis(&self) -> u64 {
        let act = self.0.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        1_700_000_000_000
    }
}

/// S-B16, by the moment that threads meet too seldom: a write asks the clock after it saw the store open.
#[test]
fn a_write_caught_by_close_in_mid_call_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let trap = Arc::new(Trap::default());
    let options = Options::new().upkeep(Upkeep::Caller).clock(trap.clone());
    let store = options.open(dir.path()).unwrap();
    store.write(&rows(1, 0..1), Durability::Sync).unwrap();
    let (closing, path) = (store.clone(), dir.path().to_owned());
    *trap.0.lock().unwrap() = Some(Box::new(move || {
        closing.close().unwrap();
        assert_eq!(all(&Store::open(path).unwrap()).times, [0]);
    }));
    let refused = store.write(&rows(1, 1..2), Durability::Sync);
    assert!(matches!(refused, Err(WriteError::Closed)), "{refused:?}");
}

/// Each opening drew stamps from behind the last one's ceiling, 10 s further: a store that was opened some times in a row ran
/// away from its peers, which refuse stamps that are too far ahead.
#[test]
fn stamps_stay_near_the_wall_clock_however_often_a_store_is_opened() {
    let clock = subject::clock(5);
    let wall = clock.wall_millis();
    let mut disk = SimDisk::new();
    for _ in 0..5 {
        let store = subject::open(&disk, &clock).unwrap();
        let stamp = store.write(&rows(1, 0..1), Durability::Sync).unwrap().stamp;
        assert!(stamp.millis() <= wall, "closed: {} ms ahead", stamp.millis() - wall);
        store.close().unwrap();
        drop(store);
        disk = disk.restart();
        // One that writes nothing, as for making a key.
        subject::open(&disk, &clock).unwrap().close().unwrap();
        disk = disk.restart();
    }
    let mut before = tidelog_engine::Stamp::ZERO;
    for _ in 0..20 {
        let store = subject::open(&disk, &clock).unwrap();
        // Lost in the crash: nothing on the disk tells of it.
        let stamp = store.write(&rows(2, 0..1), Durability::Os).unwrap().stamp;
        assert!(stamp > before, "no stamp is drawn twice");
        assert!(stamp.millis() <= wall + 15_000, "crashed: {} ms ahead", stamp.millis() - wall);
        before = stamp;
        disk.kill();
        drop(store);
        disk = disk.crash_lose_all();
        // What was drawn before the crash is not known to one that opens and closes in between.
        subject::open(&disk, &clock).unwrap().close().unwrap();
        disk = disk.restart();
    }
}
