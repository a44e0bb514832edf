//! Long work that tells how far it has come, without a lock in the way of whoever is told.
//!
//! The engine tells while it holds what other upkeep waits for. So the work is done on a thread of its own, the caller's
//! thread tells the caller, and the work waits for the answer for a moment only: a callback that calls back into the store
//! waits for the work like anyone else, and the work for nobody.

use crate::abi::{TIDELOG_CANCELLED, TIDELOG_IO, TIDELOG_KIND_RETRY};
use crate::fault::Fault;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, scope};
use std::time::Duration;

/// The work waits so long for an answer, then goes on and looks for it the next time it has something to tell.
const PATIENCE: Duration = Duration::from_millis(100);

/// As `telling`: `None` when whoever was told stopped the work.
pub fn told_by<T: Send, E: Into<Fault> + Send>(
    mut tell: impl FnMut(u64, u64) -> bool,
    work: impl FnOnce(&mut dyn FnMut(u64, u64) -> bool) -> Result<T, E> + Send,
) -> Result<Option<T>, Fault> {
    let mut stopped = false;
    let done = telling(work, |done, total| {
        stopped |= !tell(done, total);
        !stopped
    })?;
    match done.map_err(Into::into) {
        Err(fault) if stopped && fault.code == TIDELOG_CANCELLED => Ok(None),
        done => done.map(Some),
    }
}

/// Does the work, telling `tell` bytes done and to do; the work is stopped once that returned `false`.
pub(crate) fn telling<T: Send>(
    work: impl FnOnce(&mut dyn FnMut(u64, u64) -> bool) -> T + Send,
    mut tell: impl FnMut(u64, u64) -> bool,
) -> Result<T, Fault> {
    let (asks, asked) = channel();
    let (answers, answered) = channel();
    scope(|threads| {
        let mut asking = Asking { asks, answered, pending: false, stopped: false };
        let working = Builder::new()
            .name("tidelog-work".to_owned())
            .spawn_scoped(threads, move || work(&mut |done, total| asking.go_on(done, total)))
            .map_err(|error| {
                let message = format!(
                    "no thread could be started for the work ({error}): raise the limit on threads, or pass no callback"
                );
                Fault::new(TIDELOG_IO, TIDELOG_KIND_RETRY, message)
            })?;
        for (done, total) in asked {
            // Nobody hears the answer when the work has ended meanwhile.
            let _ = answers.send(tell(done, total));
        }
        working.join().map_err(|panic| resume_unwind(panic))
    })
}

/// The side of the work.
struct Asking {
    asks: Sender<(u64, u64)>,
    answered: Receiver<bool>,
    /// An answer was not waited for to its end.
    pending: bool,
    stopped: bool,
}

impl Asking {
    fn go_on(&mut self, done: u64, total: u64) -> bool {
        if self.pending {
            let Ok(go_on) = self.answered.try_recv() else { return !self.stopped };
            self.pending = false;
            self.stopped |= !go_on;
        }
        if !self.stopped && self.asks.send((done, total)).is_ok() {
            match self.answered.recv_timeout(PATIENCE) {
                Ok(go_on) => self.stopped |= !go_on,
                Err(_) => self.pending = true,
            }
        }
        !self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn who_is_told_may_stop_the_work() {
        let mut told = 0;
        let work =
            |tell: &mut dyn FnMut(u64, u64) -> bool| (0..100).take_while(|n| tell(*n, 100)).count();
        let done = telling(work, |done, _| {
            told += 1;
            done < 3
        });
        assert_eq!((done.unwrap(), told), (3, 4));
    }

    #[test]
    fn who_is_told_may_wait_for_a_lock_of_the_work() {
        let lock = Mutex::new(());
        let work = |tell: &mut dyn FnMut(u64, u64) -> bool| {
            let _held = lock.lock().unwrap();
            (0..3).take_while(|n| tell(*n, 3)).count()
        };
        let done = telling(work, |_, _| {
            drop(lock.lock().unwrap());
            true
        });
        assert_eq!(done.unwrap(), 3);
    }
}
