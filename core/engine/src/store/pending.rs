//! Writes that are in the log but not durable yet, and so not visible.

use rkyv::util::AlignedVec;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tidelog_model::Stamp;

/// A write that waits for its fsync.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) end: u64,
    pub(super) stamp: Stamp,
    /// Room in memory that is reserved for it.
    pub(super) room: usize,
    /// Its frame, as it stands in the log.
    pub(super) frame: AlignedVec,
}

/// In the order of the log.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Frames kept to be used again: their memory is worth more than an allocation a write.
    spare: Mutex<Vec<AlignedVec>>,
    /// One thread at a time makes durable writes visible, and whoever waits for it finds them visible.
    applying: Mutex<()>,
}

const SPARE_MAX: usize = 16;

impl Pending {
    pub(super) fn push(&self, waiting: Waiting) {
        let mut queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Registration under the log's lock keeps the order, but a later frame may be pushed first.
        let at = queue.partition_point(|other| other.end < waiting.end);
        queue.insert(at, waiting);
    }

    /// Gives every write that ends at or before `durable` to `apply`, in the order of the log.
    pub(super) fn apply(&self, durable: u64, mut apply: impl FnMut(&Waiting)) {
        let _one = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let next = {
                let mut queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let ready = queue.front().is_some_and(|waiting| waiting.end <= durable);
                if ready { queue.pop_front() } else { None }
            };
            let Some(waiting) = next else { return };
            apply(&waiting);
            self.recycle(waiting.frame);
        }
    }

    /// An empty buffer, used before if there is one.
    pub(super) fn buffer(&self) -> AlignedVec {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_default()
    }

    pub(super) fn recycle(&self, mut buffer: AlignedVec) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX && buffer.capacity() <= 1 << 20 {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// How many writes wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
