//! The memory budget.

use crate::{all, open_on, rows, steady};
use std::sync::Arc;
use tidelog_engine::{Durability, Kind, Options, Upkeep, WriteError};
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
        // Chunks hold room ready, one in each of the 8 groups.
        let ready = 8 * 8192 * 24;
        assert!(most <= (BUDGET + ready) as u64, "{upkeep:?}: {most} bytes of {BUDGET}");
        assert_eq!(all(&store).rows(), 400 * 2000);
    }
}

/// S58: a batch was taken whenever memory was below its budget, whatever its own size, and so were all that were on
/// their way to the disk.
#[test]
fn large_batches_and_many_in_flight_stay_within_the_budget() {
    for upkeep in [Upkeep::Background, Upkeep::Caller] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new().memory_budget(BUDGET).upkeep(upkeep).groups(1);
        let store = options.open(dir.path()).unwrap();
        let mut most = 0;
        let mut tickets = Vec::new();
        // 1.3 MiB, a third of the budget; then 3 MiB; none of them waited for until the end.
        for (part, rows_of_one) in [50, 50, 50, 50, 120, 120, 50].into_iter().enumerate() {
            let first = part as i64 * 1000;
            let batch = rows(1000, first..first + rows_of_one);
            tickets.push(store.submit(&batch, Durability::Sync).unwrap());
            most = most.max(store.stats().memory_bytes);
        }
        for ticket in tickets {
            ticket.wait().unwrap();
            most = most.max(store.stats().memory_bytes);
        }
        let ready = 8192 * 24;
        assert!(most <= (BUDGET + ready) as u64, "{upkeep:?}: {most} bytes of {BUDGET}");
        assert_eq!(all(&store).rows(), 1000 * (5 * 50 + 2 * 120));
        assert!(store.stats().waits_for_room > 0, "{upkeep:?}");

        let refused = store.write(&rows(1000, 0..200), Durability::Sync).unwrap_err();
        assert!(matches!(refused, WriteError::TooLarge { .. }), "{refused}");
        assert_eq!(refused.kind(), Kind::FixCall);
        assert_eq!(all(&store).rows(), 1000 * (5 * 50 + 2 * 120));
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
