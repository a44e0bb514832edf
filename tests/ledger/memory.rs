//! The memory budget.

use crate::{all, open_on, rows, steady};
use std::sync::Arc;
use tidelog_engine::{Durability, Kind, Options, Upkeep};
use tidelog_tests::disk::{At, Call, EIO, ENOSPC, Fault, SimDisk};

const BUDGET: usize = 4 << 20;

/// S58, S-B5, D16: theirs never evicts, because nothing ever marks a row as flushed.
#[test]
fn memory_stays_within_its_budget_whoever_flushes() {
    for upkeep in [Upkeep::Background, Upkeep::Caller] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new().memory_budget(BUDGET).upkeep(upkeep);
        let store = options.open(dir.path()).unwrap();
        let mut most = 0;
        for part in 0..400 {
            let times = (0..100).map(move |time| part * 100 + time);
            store.write(&rows(20, times), Durability::Os).unwrap();
            most = most.max(store.stats().memory_bytes);
        }
        let stats = store.stats();
        assert_eq!(stats.memory_budget, BUDGET as u64);
        assert!(stats.flushes > 2, "{upkeep:?}: {stats:?}");
        // The batch that reaches the budget is taken; the next one waits.
        let batch = 20 * 100 * 64;
        assert!(most <= (BUDGET + batch) as u64, "{upkeep:?}: {most} bytes of {BUDGET}");
        assert_eq!(all(&store).rows(), 400 * 2000);
    }
}

/// S58, D16: when memory cannot be flushed the writer is refused, and nothing acknowledged is lost.
#[test]
fn a_writer_is_refused_while_full_memory_cannot_be_flushed() {
    let disk = SimDisk::new();
    let store = steady().memory_budget(1 << 20).open_on(Arc::new(disk.clone())).unwrap();
    let full = At::nth(1).of(&Call::TAKING_SPACE).under("group-").onwards();
    disk.fail(full, Fault::Error(ENOSPC));
    let mut written = 0;
    let refused = loop {
        let times = (0..100).map(move |time| written * 100 + time);
        match store.write(&rows(10, times), Durability::Sync) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "memory grows without end");
    };
    assert_eq!(refused.kind(), Kind::Retry, "{refused}");
    assert_eq!(all(&store).rows(), written as usize * 1000);
    assert_eq!(all(&open_on(&disk.crash_lose_all())).rows(), written as usize * 1000);
    disk.heal();
    store.write(&rows(10, -1..0), Durability::Sync).unwrap();
    assert_eq!(all(&store).rows(), written as usize * 1000 + 10);
}

/// D9: a manifest whose fsync failed takes no edit until the store is opened again, so that memory stays full; the
/// writer was told to try again, and did for ever.
#[test]
fn a_writer_is_told_to_reopen_when_no_flush_can_ever_make_room() {
    for upkeep in [Upkeep::Caller, Upkeep::Background] {
        for under in ["MANIFEST", "wal/"] {
            let disk = SimDisk::new();
            let options = steady().memory_budget(1 << 20).upkeep(upkeep);
            let store = options.open_on(Arc::new(disk.clone())).unwrap();
            disk.fail(At::nth(1).of(&[Call::Sync]).under(under), Fault::Error(EIO));
            let refused = |durability| {
                let mut times = (0..).map(|part| part * 100..part * 100 + 100);
                let mut write = || store.write(&rows(10, times.next().unwrap()), durability);
                (0..1000).find_map(|_| write().err()).expect("memory has a budget")
            };
            let first = refused(if under == "wal/" { Durability::Sync } else { Durability::Os });
            assert_eq!(first.kind(), Kind::Reopen, "{upkeep:?}, {under}: {first}");
            for _ in 0..3 {
                let again = refused(Durability::Os);
                assert_eq!(again.kind(), Kind::Reopen, "{upkeep:?}, {under}: {again}");
            }
            let flush = store.flush().unwrap_err();
            assert_eq!(flush.kind(), Kind::Reopen, "{upkeep:?}, {under}: {flush}");
            assert!(store.stats().poisoned);
        }
    }
}
