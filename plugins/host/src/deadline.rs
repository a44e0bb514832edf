//! When a call is over, and the one thread that sees to it.
//!
//! Code of policies looks at a counter, the epoch of its engine, at each loop and function. The thread advances it when
//! the time of a call is over, and not on a beat: what counts is the clock, and nothing wakes up while no call is made.
//! A call that finds the counter advanced asks [`Deadline::verdict`]: the counter may have been meant for another call.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use wasmtime::Engine;

/// A call gets more time at most so often.
const GRACES_MAX: u32 = 3;

/// The epoch is advanced again after this time for a call that is still there: it may just have read the epoch that its
/// limit counts from.
const AGAIN: Duration = Duration::from_millis(2);

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Its time is not over.
    GoOn,
    /// Its time was over, and it was not the call that used it.
    MoreTime,
    /// It is over.
    Over,
}

/// The time of one call. It ends by the wall clock; it is only blamed if it had the processor for half of it.
///
/// A process that was stopped, or a machine that was asleep, comes back to calls that are late through no fault of
/// theirs: these get the rest of their time, [`GRACES_MAX`] times at most.
#[derive(Debug)]
pub(crate) struct Deadline {
    allowed: Duration,
    processor_at_start: Duration,
    at: Instant,
    graces: u32,
    watch: Watch,
}

impl Deadline {
    /// From now on, for the calling thread.
    pub(crate) fn start(engine: &Engine, allowed: Duration) -> Self {
        let at = Instant::now() + allowed;
        let watch = Watch::new(engine, at);
        Deadline { allowed, processor_at_start: processor(), at, graces: 0, watch }
    }

    /// Asked by the thread that started it.
    pub(crate) fn verdict(&mut self, engine: &Engine) -> Verdict {
        let now = Instant::now();
        if now < self.at {
            return Verdict::GoOn;
        }
        let used = processor().saturating_sub(self.processor_at_start);
        if used * 2 >= self.allowed || self.graces == GRACES_MAX {
            return Verdict::Over;
        }
        self.graces += 1;
        self.at = now + (self.allowed - used);
        self.watch = Watch::new(engine, self.at);
        Verdict::MoreTime
    }
}

/// For how long the calling thread has had the processor.
#[cfg(unix)]
fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Where it cannot be asked, all time counts.
#[cfg(not(unix))]
fn processor() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// A call that the thread knows of, until this is dropped.
#[derive(Debug)]
struct Watch {
    number: u64,
}

impl Watch {
    fn new(engine: &Engine, at: Instant) -> Self {
        let ticker = ticker();
        let mut calls = ticker.calls();
        calls.count += 1;
        let number = calls.count;
        calls.open.insert(number, Open { at, engine: engine.clone() });
        // The thread is only told when it would sleep for too long: calls in a row do not wake it up.
        if calls.sleeps_until.is_none_or(|until| at < until) {
            calls.sleeps_until = Some(at);
            ticker.earlier.notify_one();
        }
        Watch { number }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        ticker().calls().open.remove(&self.number);
    }
}

struct Ticker {
    calls: Mutex<Calls>,
    earlier: Condvar,
}

#[derive(Default)]
struct Calls {
    /// Few: one for each thread that asks a policy.
    open: HashMap<u64, Open>,
    count: u64,
    /// `None`: until it is told.
    sleeps_until: Option<Instant>,
}

struct Open {
    /// When the epoch of its engine is advanced.
    at: Instant,
    engine: Engine,
}

/// The thread of the process, which lives as long as that does.
fn ticker() -> &'static Ticker {
    static TICKER: OnceLock<&'static Ticker> = OnceLock::new();
    TICKER.get_or_init(|| {
        let ticker = Ticker { calls: Mutex::default(), earlier: Condvar::new() };
        let ticker: &'static Ticker = Box::leak(Box::new(ticker));
        let thread = std::thread::Builder::new().name("tidelog-policy".to_owned());
        // Without it a policy could run for ever: there is no going on.
        thread.spawn(|| ticker.run()).expect("a thread to end calls of policies");
        ticker
    })
}

impl Ticker {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut calls = self.calls();
        loop {
            let now = Instant::now();
            for open in calls.open.values_mut().filter(|open| open.at <= now) {
                open.engine.increment_epoch();
                open.at = now + AGAIN;
            }
            let next = calls.open.values().map(|open| open.at).min();
            calls.sleeps_until = next;
            calls = match next {
                Some(at) => {
                    let wait = self.earlier.wait_timeout(calls, at - now);
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.earlier.wait(calls).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(until: impl Fn() -> bool) {
        while !until() {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_call_that_used_its_time_is_over_and_one_that_was_kept_from_it_gets_more() {
        let engine = Engine::default();
        let allowed = Duration::from_millis(20);
        let mut busy = Deadline::start(&engine, allowed);
        assert_eq!(busy.verdict(&engine), Verdict::GoOn);
        let start = processor();
        spin(|| processor() - start > allowed);
        assert_eq!(busy.verdict(&engine), Verdict::Over);

        let mut stalled = Deadline::start(&engine, allowed);
        for _ in 0..GRACES_MAX {
            std::thread::sleep(allowed * 2);
            assert_eq!(stalled.verdict(&engine), Verdict::MoreTime);
            assert_eq!(stalled.verdict(&engine), Verdict::GoOn);
        }
        std::thread::sleep(allowed * 2);
        assert_eq!(stalled.verdict(&engine), Verdict::Over, "not for ever");
    }

    #[test]
    fn calls_that_are_over_leave_nothing_behind() {
        let engine = Engine::default();
        let far = Instant::now() + Duration::from_secs(3_600);
        let numbers: Vec<_> = (0..100).map(|_| Watch::new(&engine, far).number).collect();
        let calls = ticker().calls();
        assert!(numbers.iter().all(|number| !calls.open.contains_key(number)));
    }
}
