//! Pins: a part of the log that is kept, until an object of C++ lets go of it.

use crate::failure::{Failure, run};
use crate::plain::Position;
use crate::store::Store;
use tidelog_engine as engine;
use tidelog_ffi::inside::{self, Fault, in_child, position_of, utf8};

/// The store by which a pin ends, and its name. Dropping it leaves the pin: the C++ class decides.
pub struct Hold {
    /// `None` in a forked child only, where there is nothing to be let go of.
    store: Option<engine::Store>,
    name: String,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if in_child() {
            std::mem::forget(self.store.take());
        }
    }
}

/// # Safety
/// A position or NULL.
pub unsafe fn pin(
    store: &Store,
    name: &[u8],
    from: *const Position,
    bytes_max: u64,
    age_max_ns: u64,
) -> Result<Box<Hold>, Failure> {
    run("tidelog::Store::pin", || {
        let (store, name) = (store.get()?, utf8(name, "name")?);
        // SAFETY: as promised to this function.
        let at = unsafe { position_of(store, from.cast())? };
        inside::pin(store, name, at, bytes_max, age_max_ns)?;
        Ok(Box::new(Hold { store: Some(store.clone()), name: name.to_owned() }))
    })
}

impl Hold {
    pub fn release(&self) -> Result<(), Failure> {
        run("tidelog::Pin::release", || {
            Ok(self.store.as_ref().ok_or_else(Fault::forked)?.unpin(&self.name)?)
        })
    }
}

impl Store {
    pub fn position(&self) -> Result<Position, Failure> {
        // SAFETY: NULL asks for where the log stands now.
        run("tidelog::Store::position", || unsafe {
            Ok(Position(position_of(self.get()?, std::ptr::null())?.into()))
        })
    }

    pub fn unpin(&self, name: &[u8]) -> Result<(), Failure> {
        run("tidelog::Store::unpin", || Ok(self.get()?.unpin(utf8(name, "name")?)?))
    }
}
