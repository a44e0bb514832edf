//! Tails: what is written, as it is written.

use crate::bridge::edge::Told;
use crate::failure::{Failure, run};
use crate::own::Own;
use crate::plain::Position;
use crate::rows::Rows;
use crate::store::Store;
use std::sync::Mutex;
use std::time::Duration;
use tidelog_engine as engine;
use tidelog_ffi::inside::{self, Fault, record_of, tail_of};

/// Behind a lock, for C++ may call it from several threads.
pub struct Tail(Own<Mutex<engine::Tail>>);

/// # Safety
/// A position or NULL.
pub unsafe fn follow(store: &Store, from: *const Position) -> Result<Box<Tail>, Failure> {
    run("tidelog::Tail::open", || {
        // SAFETY: as promised to this function.
        let tail = unsafe { tail_of(store.get(), from.cast())? };
        Ok(Box::new(Tail(Own::new(Mutex::new(tail)))))
    })
}

impl Tail {
    pub fn next(&self, timeout_ns: u64) -> Result<Told, Failure> {
        run("tidelog::Tail::next", || {
            let mut tail = self.0.lock().map_err(|_| Fault::poisoned_handle())?;
            let Some(record) = tail.next(Duration::from_nanos(timeout_ns))? else {
                return Ok(Told {
                    found: false,
                    kind: 0,
                    collection: String::new(),
                    stamp: 0,
                    position: Position(Default::default()),
                    next: Position(Default::default()),
                    rows: Rows::boxed(inside::Rows::none()),
                });
            };
            let (kind, told) = record_of(&record)?;
            Ok(Told {
                found: true,
                kind,
                collection: told.place,
                stamp: told.stamp.0,
                position: Position(record.position.into()),
                next: Position(record.next.into()),
                rows: Rows::boxed(told.rows),
            })
        })
    }
}
