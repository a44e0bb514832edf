//! Pins: a part of the log that is kept, until an object of C++ lets go of it.

use crate::failure::{Failure, run};
use crate::own::Own;
use crate::plain::Position;
use crate::store::Store;
use tidelog_engine as engine;
use tidelog_ffi::inside::{self, position_of, utf8};

/// The store by which a pin ends, and its name. Dropping it leaves the pin: the C++ class decides.
pub struct Hold {
    store: Own<engine::Store>,
    name: String,
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
        let (store, name) = (store.get(), utf8(name, "name")?);
        // SAFETY: as promised to this function.
        let at = unsafe { position_of(store, from.cast())? };
        inside::pin(store, name, at, bytes_max, age_max_ns)?;
        Ok(Box::new(Hold { store: Own::new(store.clone()), name: name.to_owned() }))
    })
}

impl Hold {
    pub fn release(&self) -> Result<(), Failure> {
        run("tidelog::Pin::release", || Ok(self.store.unpin(&self.name)?))
    }
}

impl Store {
    pub fn position(&self) -> Result<Position, Failure> {
        // SAFETY: NULL asks for where the log stands now.
        run("tidelog::Store::position", || unsafe {
            Ok(Position(position_of(self.get(), std::ptr::null())?.into()))
        })
    }

    pub fn unpin(&self, name: &[u8]) -> Result<(), Failure> {
        run("tidelog::Store::unpin", || Ok(self.get().unpin(utf8(name, "name")?)?))
    }
}
