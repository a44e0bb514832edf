//! The worker is killed: at system calls, in the midst of recovering from that, and at any time.

use crate::worker::{Run, has_strace, long, note};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Calls that change files, and those around them.
pub(crate) const CALLS: &str = "write,pwrite64,fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat,openat,mkdir,\
mkdirat,ftruncate,flock,close,mmap";
/// Enough for flushes, deletes and a compaction with files to merge.
const BATCHES: u64 = 24;

/// How many calls of each kind a run makes on a store of its own, or on one that was killed.
pub(crate) fn count_calls(run: &mut Run, batches: u64) -> BTreeMap<String, u64> {
    run.run(batches, &["-e", &format!("trace={CALLS}")]);
    let text = std::fs::read_to_string(run.scratch("strace")).unwrap();
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        // "1234  openat(AT_FDCWD, ..."
        let call = line.split_whitespace().nth(1).and_then(|rest| rest.split('(').next());
        if let Some(call) = call.filter(|call| CALLS.split(',').any(|known| known == *call)) {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
    }
    assert!(counts.get("fdatasync").is_some_and(|count| *count > batches), "{counts:?}");
    counts
}

/// Kinds of calls with a number each: all of them, or about `most`, spread.
pub(crate) fn places(counts: &BTreeMap<String, u64>, most: u64) -> Vec<(String, u64)> {
    let total: u64 = counts.values().sum();
    let step = if long() { 1 } else { total.div_ceil(most).max(1) };
    let mut places = Vec::new();
    for (call, count) in counts {
        places.extend((1..=*count).step_by(step as usize).map(|when| (call.clone(), when)));
    }
    places
}

/// Does a piece of work for every item, two at a time.
pub(crate) fn in_pairs<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(items.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(item) = queue.lock().unwrap().next() else { return };
                    work(item);
                }
            });
        }
    });
}

#[test]
fn killed_at_any_system_call_it_keeps_what_it_acknowledged() {
    if !has_strace() {
        return;
    }
    let started = Instant::now();
    let places = places(&count_calls(&mut Run::new(), BATCHES), 160);
    let (kills, acknowledged, extra) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let all = places.len();
    in_pairs(places, |(call, when)| {
        let mut run = Run::new();
        let kill = format!("inject={call}:signal=SIGKILL:when={when}");
        let status = run.run(BATCHES, &["-e", &format!("trace={call}"), "-e", &kill]);
        kills.fetch_add(u64::from(status.code() != Some(0)), Relaxed);
        let compared = run.verify(&kill);
        acknowledged.fetch_add(compared.acknowledged, Relaxed);
        extra.fetch_add(compared.unacknowledged, Relaxed);
    });
    note(&format!(
        "{kills:?} of {all} places killed; {acknowledged:?} batches acknowledged, 0 lost; {extra:?} survived \
         unacknowledged; {:?}",
        started.elapsed()
    ));
    assert!(kills.into_inner() >= all as u64 * 9 / 10);
}

/// A recovery that is killed is recovered from by the next one.
#[test]
fn killed_while_it_recovers_it_keeps_what_it_acknowledged() {
    if !has_strace() {
        return;
    }
    let started = Instant::now();
    let first: &[(&str, u64)] = if long() {
        &[("fdatasync", 5), ("pwrite64", 17), ("rename", 5), ("unlink", 3), ("fdatasync", 40)]
    } else {
        &[("fdatasync", 17), ("unlink", 3)]
    };
    let kill = |call: &str, when: u64| format!("inject={call}:signal=SIGKILL:when={when}");
    for (call, when) in first {
        let wound = |run: &mut Run| {
            run.run(BATCHES, &["-e", &format!("trace={call}"), "-e", &kill(call, *when)]);
        };
        let mut counted = Run::new();
        wound(&mut counted);
        // The opening and one batch: what recovery does comes first.
        let places = places(&count_calls(&mut counted, 1), 30);
        let all = places.len();
        in_pairs(places, |(again, at)| {
            let mut run = Run::new();
            wound(&mut run);
            // Twice at the same place, then for good.
            for _ in 0..2 {
                run.run(3, &["-e", &format!("trace={again}"), "-e", &kill(&again, at)]);
            }
            run.verify(&format!("{call} {when}, then twice {again} {at}"));
        });
        note(&format!(
            "after {call} {when}: {all} places of recovery killed; {:?}",
            started.elapsed()
        ));
    }
}

/// One store lives through many deaths in a row, threads and all.
#[test]
fn killed_at_any_time_it_keeps_what_it_acknowledged() {
    let started = Instant::now();
    let rounds: Vec<u64> = (0..if long() { 40 } else { 20 }).collect();
    let acknowledged = AtomicU64::new(0);
    let deaths = AtomicU64::new(0);
    in_pairs(rounds, |round| {
        let mut run = Run::new();
        let mut millis = 7 * round + 3;
        for life in 0..10 {
            let mut command = run.command(1_000_000, &[]);
            if (round + life) % 2 == 0 {
                command.env("WORKER_THREADS", "1");
            }
            let mut child = run.start(command);
            millis = (millis * 31 + 11) % 60;
            std::thread::sleep(Duration::from_millis(5 + millis));
            child.kill().unwrap();
            child.wait().unwrap();
            deaths.fetch_add(1, Relaxed);
            run.hear();
            run.verify(&format!("round {round}, life {life}"));
        }
        acknowledged.fetch_add(run.said.acknowledged.len() as u64, Relaxed);
    });
    note(&format!(
        "{deaths:?} random kills; {acknowledged:?} batches acknowledged, 0 lost; {:?}",
        started.elapsed()
    ));
}
