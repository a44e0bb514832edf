//! What stands behind the handles that callers hold: a table, in which a handle is a place and a generation.
//!
//! A handle is never followed as a pointer, so one that is NULL, closed, of another kind, or no handle at all is found out, and
//! costs an error and not the process. A call takes its own reference to the object: who closes a handle while another
//! thread is in a call with it ends the handle, and the object goes when the call returns.

use crate::fault::Fault;
use std::any::Any;
use std::sync::{Arc, PoisonError, RwLock};

/// An object that a handle can stand for.
pub(crate) trait Handled: Send + Sync + 'static {
    /// What it is called in messages.
    const KIND: &'static str;
}

/// Low bits of a handle, for the place; generations get the rest. 64-bit systems have 2^32 of each. Where pointers have
/// 32 bits there are 16,383 handles at a time, each place good for 262,143 of them in turn.
const PLACE_BITS: u32 = if usize::BITS >= 64 { 32 } else { 14 };
const PLACE_MASK: usize = (1 << PLACE_BITS) - 1;
const GENERATION_MAX: usize = usize::MAX >> PLACE_BITS;

struct Slot {
    /// Of the object here, or of the last one that was. Never zero.
    generation: usize,
    kind: &'static str,
    object: Option<Arc<dyn Any + Send + Sync>>,
}

struct Table {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// So many handles at a time.
    most: usize,
}

static TABLE: RwLock<Table> = RwLock::new(Table::new(PLACE_MASK));

/// Gives an object a handle.
pub(crate) fn insert<T: Handled>(object: T) -> Result<usize, Fault> {
    crate::abi::fork::watch();
    insert_into(&TABLE, object)
}

fn insert_into<T: Handled>(table: &RwLock<Table>, object: T) -> Result<usize, Fault> {
    let object = Arc::new(object);
    // One that finds no place goes when the table is not locked any more: its end may call the host, and that may call in.
    let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
    table.insert(T::KIND, Arc::clone(&object) as _)
}

/// The object of a handle.
pub(crate) fn find<T: Handled>(handle: usize) -> Result<Arc<T>, Fault> {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    let object = Arc::clone(table.object(T::KIND, handle)?);
    drop(table);
    object.downcast().map_err(|_| Fault::handle(format!("the handle is not a {}", T::KIND)))
}

/// Ends a handle; the object is given back.
pub(crate) fn take<T: Handled>(handle: usize) -> Result<Arc<T>, Fault> {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    table.object(T::KIND, handle)?;
    let object = table.remove(handle);
    drop(table);
    let object = object.and_then(|object| object.downcast().ok());
    object.ok_or_else(|| Fault::handle(format!("the handle is not a {}", T::KIND)))
}

impl Table {
    const fn new(most: usize) -> Self {
        Table { slots: Vec::new(), free: Vec::new(), most }
    }

    fn insert(
        &mut self,
        kind: &'static str,
        object: Arc<dyn Any + Send + Sync>,
    ) -> Result<usize, Fault> {
        let place = match self.free.pop() {
            Some(place) => {
                let slot = &mut self.slots[place];
                *slot = Slot { generation: slot.generation + 1, kind, object: Some(object) };
                place
            }
            // The place 0 stays out, so that no handle is NULL.
            None if self.slots.len() < self.most => {
                self.slots.push(Slot { generation: 1, kind, object: Some(object) });
                self.slots.len() - 1
            }
            None => {
                let what = format!("{} handles are open: close some", self.most);
                return Err(Fault::limit(what));
            }
        };
        Ok(self.slots[place].generation << PLACE_BITS | (place + 1))
    }

    fn object(
        &self,
        kind: &'static str,
        handle: usize,
    ) -> Result<&Arc<dyn Any + Send + Sync>, Fault> {
        if handle == 0 {
            return Err(Fault::handle(format!("the {kind} is NULL: pass one that is open")));
        }
        let (place, generation) = (handle & PLACE_MASK, handle >> PLACE_BITS);
        let slot = place.checked_sub(1).and_then(|place| self.slots.get(place));
        let never = || format!("{handle:#x} was never a handle: pass what a tidelog function gave");
        match slot {
            Some(slot) if slot.generation == generation => match &slot.object {
                Some(_) if slot.kind != kind => {
                    Err(Fault::handle(format!("the handle is a {}, not a {kind}", slot.kind)))
                }
                Some(object) => Ok(object),
                None => Err(closed(slot.kind)),
            },
            Some(slot) if (1..slot.generation).contains(&generation) => Err(closed(kind)),
            _ => Err(Fault::handle(never())),
        }
    }

    fn remove(&mut self, handle: usize) -> Option<Arc<dyn Any + Send + Sync>> {
        let place = (handle & PLACE_MASK) - 1;
        let slot = &mut self.slots[place];
        // A place whose generations are used up is given to nobody any more, so no handle ever comes twice.
        if slot.generation < GENERATION_MAX {
            self.free.push(place);
        }
        slot.object.take()
    }
}

fn closed(kind: &str) -> Fault {
    Fault::handle(format!("the {kind} was closed before: use no copy of a handle after that"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Thing(u32);
    struct Other;

    impl Handled for Thing {
        const KIND: &'static str = "thing";
    }
    impl Handled for Other {
        const KIND: &'static str = "other";
    }

    #[test]
    fn a_closed_handle_is_told_from_one_that_took_its_place() {
        let first = insert(Thing(1)).unwrap();
        assert_eq!(take::<Thing>(first).unwrap().0, 1);
        let second = insert(Thing(2)).unwrap();
        for handle in [first, 0, usize::MAX, 7, second ^ 1 << PLACE_BITS << 8] {
            assert!(find::<Thing>(handle).is_err(), "{handle:#x}");
            assert!(take::<Thing>(handle).is_err(), "{handle:#x}");
        }
        assert!(find::<Other>(second).is_err());
        assert_eq!(find::<Thing>(second).unwrap().0, 2);
        take::<Thing>(second).unwrap();
    }

    /// Looks at the table when it goes, as the end of a callback would that calls a function.
    struct Looks(&'static RwLock<Table>, &'static AtomicBool);

    impl Handled for Looks {
        const KIND: &'static str = "look";
    }

    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.store(self.0.try_write().is_ok(), Ordering::Relaxed);
        }
    }

    #[test]
    fn what_finds_no_place_goes_when_the_table_is_not_locked_any_more() {
        static FULL: RwLock<Table> = RwLock::new(Table::new(0));
        static FREE: AtomicBool = AtomicBool::new(false);
        let refused = insert_into(&FULL, Looks(&FULL, &FREE)).unwrap_err();
        assert_eq!(refused.code, crate::abi::TIDELOG_LIMIT);
        assert!(FREE.load(Ordering::Relaxed));
    }

    #[test]
    fn a_place_whose_generations_are_used_up_is_given_to_nobody() {
        let mut table = Table::new(PLACE_MASK);
        let first = table.insert("thing", Arc::new(Thing(1))).unwrap();
        assert!(table.remove(first).is_some());
        table.slots[0].generation = GENERATION_MAX - 1;
        let last = table.insert("thing", Arc::new(Thing(2))).unwrap();
        assert_eq!((last & PLACE_MASK, last >> PLACE_BITS), (1, GENERATION_MAX));
        assert!(table.remove(last).is_some());
        let next = table.insert("thing", Arc::new(Thing(3))).unwrap();
        assert_eq!(next & PLACE_MASK, 2);
    }
}
