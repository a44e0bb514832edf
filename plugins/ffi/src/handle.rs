//! Policies that are loaded, by the numbers that stand in the `user` of their tables.
//!
//! A number is never followed and never comes twice, so a table that was dropped, or is not of this library, is found out. A call
//! takes its own reference: a policy that is dropped while it plans goes when the plan is made.

use crate::fault::Fault;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects by their handles.
pub(crate) struct Handles<T>(Mutex<Open<T>>);

struct Open<T> {
    last: usize,
    objects: BTreeMap<usize, Arc<T>>,
}

impl<T> Handles<T> {
    pub(crate) const fn new() -> Self {
        Handles(Mutex::new(Open { last: 0, objects: BTreeMap::new() }))
    }

    fn open(&self) -> MutexGuard<'_, Open<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an object a handle, which is not zero.
    pub(crate) fn insert(&self, object: T) -> usize {
        let mut open = self.open();
        // Not even 32 bits are used up: loading takes milliseconds, and 4 billion of them two months without a break.
        open.last += 1;
        let handle = open.last;
        open.objects.insert(handle, Arc::new(object));
        handle
    }

    /// The object of a handle.
    pub(crate) fn find(&self, handle: usize) -> Result<Arc<T>, Fault> {
        let open = self.open();
        open.objects.get(&handle).cloned().ok_or_else(|| missing(handle, open.last))
    }

    /// Ends a handle; the object is given back.
    pub(crate) fn take(&self, handle: usize) -> Result<Arc<T>, Fault> {
        let mut open = self.open();
        let last = open.last;
        open.objects.remove(&handle).ok_or_else(|| missing(handle, last))
    }
}

fn missing(handle: usize, last: usize) -> Fault {
    match handle {
        0 => Fault::handle("the table has no policy: load one into it"),
        _ if handle <= last => Fault::handle(
            "the policy of the table was dropped before: use no copy of a table after that",
        ),
        _ => foreign(),
    }
}

/// The table stands for something else.
pub(crate) fn foreign() -> Fault {
    Fault::handle("the table is not of libtidelog_wasm: pass one that it filled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_until_it_is_taken_and_never_comes_again() {
        let handles = Handles::new();
        let (first, second) = (handles.insert('a'), handles.insert('b'));
        assert_eq!(*handles.find(first).unwrap(), 'a');
        assert_eq!(*handles.take(first).unwrap(), 'a');
        let third = handles.insert('c');
        for (handle, why) in [(first, "dropped before"), (0, "no policy"), (third + 1, "not of")] {
            for fault in [handles.find(handle).unwrap_err(), handles.take(handle).unwrap_err()] {
                assert!(fault.message.contains(why), "{}", fault.message);
            }
        }
        assert_eq!((*handles.find(second).unwrap(), *handles.find(third).unwrap()), ('b', 'c'));
    }
}
