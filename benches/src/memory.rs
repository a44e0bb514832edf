//! How much memory of its own this process takes: anonymous pages, so that mapped files do not count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bytes now, by `/proc/self/status`; 0 where there is none.
pub fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Runs something, and says by how many bytes it grew at most, looked at each millisecond.
pub fn growth_while<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = anonymous();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                most.fetch_max(anonymous(), Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result = run();
        done.store(true, Relaxed);
        result
    });
    (result, most.load(Relaxed).saturating_sub(before))
}
