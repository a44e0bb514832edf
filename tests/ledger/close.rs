//! The end of a store while others still hold it.

use crate::{all, name, rows};
use std::sync::atomic::{AtomicI64, Ordering};
use tidelog_engine::{
    Delete, Durability, Kind, OpenError, Options, Store, UpkeepError, WriteError,
};

/// S-B16, S-B28: theirs appends to a buffer that nobody writes any more, or closes a channel twice.
#[test]
fn a_write_that_races_with_close_is_kept_or_refused() {
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let next = AtomicI64::new(0);
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
            let closing: Vec<_> = (0..2).map(|_| threads.spawn(|| store.close())).collect();
            for closed in closing {
                closed.join().unwrap().unwrap();
            }
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        drop(store);
        let times = all(&Store::open(dir.path()).unwrap()).times;
        for time in &acknowledged {
            assert!(times.contains(time), "round {round}: row {time} was acknowledged");
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
