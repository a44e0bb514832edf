//! A caller's function with its pointer and destructor.

use std::ffi::c_void;

/// Tells the caller that its `user` pointer is not used any more. It runs on the thread that let go of it, the caller's or one of the
/// library's, with no lock held: it may call any function, but that of a policy none of its own node, which may wait for it. It must not
/// throw, longjmp or fork.
pub type tidelog_drop_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// A function of the caller, `F`, with what it is to be handed. The destructor runs once, when this goes.
pub(crate) struct Callback<F> {
    function: F,
    user: *mut c_void,
    drop: tidelog_drop_fn,
}

// SAFETY: the header says that callbacks with a destructor are called on threads of the library, one call at a time.
unsafe impl<F: Send> Send for Callback<F> {}

impl<F: Copy> Callback<F> {
    pub(super) fn new(function: F, user: *mut c_void, drop: tidelog_drop_fn) -> Self {
        Callback { function, user, drop }
    }

    pub(super) fn parts(&self) -> (F, *mut c_void) {
        (self.function, self.user)
    }
}

impl<F> Drop for Callback<F> {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: the caller's own function with its own pointer, once.
            unsafe { drop(self.user) }
        }
    }
}
