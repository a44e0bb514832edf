//! What the objects of C++ stand for, and what becomes of it where this process was forked.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use tidelog_ffi::inside::in_child;

/// An object that goes with the box it is in, but in a forked child, where it is left as it lies: its threads are not there, its locks stand
/// as they happened to, and what it holds on disk is the parent's.
pub(crate) struct Own<T>(ManuallyDrop<T>);

impl<T> Own<T> {
    pub(crate) fn new(object: T) -> Self {
        Own(ManuallyDrop::new(object))
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if !in_child() {
            // SAFETY: once, for this goes; nobody sees it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.0) }
        }
    }
}
