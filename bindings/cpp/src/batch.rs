//! Batches: rows on their way in, from slices of C++.

use crate::failure::{Failure, run};
use crate::plain::{ArrowArray, ArrowOptions, ArrowSchema, Column};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_engine::{self as engine, DeviceIndex, FieldIndex, ValueRef};
use tidelog_ffi::inside::{Fault, append_arrow, append_columns, kind_of, utf8};

/// Behind a lock, for C++ may call it from several threads.
pub struct Batch(Mutex<engine::Batch>);

pub fn batch(collection: &[u8]) -> Result<Box<Batch>, Failure> {
    run("tidelog::Batch::of", || {
        let empty = engine::Batch::new(utf8(collection, "collection")?)?;
        Ok(Box::new(Batch(Mutex::new(empty))))
    })
}

impl Batch {
    /// A batch that a panic left half filled is as legal as any other.
    pub(crate) fn lock(&self) -> MutexGuard<'_, engine::Batch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn device(&self, name: &[u8]) -> Result<u32, Failure> {
        run("tidelog::Batch::device", || Ok(self.lock().device(utf8(name, "device")?)?.number()))
    }

    pub fn field(&self, name: &[u8], kind: u32) -> Result<u32, Failure> {
        run("tidelog::Batch::field", || {
            Ok(self.lock().field(utf8(name, "name")?, kind_of(kind)?)?.number())
        })
    }

    pub fn row(&self, device: u32, time: i64) -> Result<(), Failure> {
        run("tidelog::Batch::row", || {
            self.lock().row(DeviceIndex::from_number(device), time)?;
            Ok(())
        })
    }

    fn set(&self, field: u32, value: ValueRef<'_>) -> Result<(), Fault> {
        let mut batch = self.lock();
        let row = batch.last_row();
        let row = row.ok_or_else(|| {
            Fault::argument("the batch has no row yet: begin one with Batch::row")
        })?;
        row.set(FieldIndex::from_number(field), value)?;
        Ok(())
    }

    pub fn set_f64(&self, field: u32, value: f64) -> Result<(), Failure> {
        run("tidelog::Batch::set", || self.set(field, ValueRef::F64(value)))
    }

    pub fn set_f32(&self, field: u32, value: f32) -> Result<(), Failure> {
        run("tidelog::Batch::set", || self.set(field, ValueRef::F32(value)))
    }

    pub fn set_i64(&self, field: u32, value: i64) -> Result<(), Failure> {
        run("tidelog::Batch::set", || self.set(field, ValueRef::I64(value)))
    }

    pub fn set_u64(&self, field: u32, value: u64) -> Result<(), Failure> {
        run("tidelog::Batch::set", || self.set(field, ValueRef::U64(value)))
    }

    pub fn set_bool(&self, field: u32, value: bool) -> Result<(), Failure> {
        run("tidelog::Batch::set", || self.set(field, ValueRef::Bool(value)))
    }

    pub fn set_string(&self, field: u32, value: &[u8]) -> Result<(), Failure> {
        run("tidelog::Batch::set", || self.set(field, ValueRef::String(utf8(value, "a string")?)))
    }

    pub fn set_bytes(&self, field: u32, value: &[u8]) -> Result<(), Failure> {
        run("tidelog::Batch::set", || self.set(field, ValueRef::Bytes(value)))
    }

    /// # Safety
    /// Each column has a value for each time.
    pub unsafe fn append(
        &self,
        device: u32,
        times: &[i64],
        columns: &[Column],
    ) -> Result<(), Failure> {
        run("tidelog::Batch::append", || {
            let columns = columns.iter().map(|column| &column.0);
            // SAFETY: as promised to this function.
            unsafe { append_columns(&mut self.lock(), device, times, columns) }
        })
    }

    /// # Safety
    /// An array and its schema, as Arrow says; options or NULL.
    pub unsafe fn append_arrow(
        &self,
        array: *mut ArrowArray,
        schema: *const ArrowSchema,
        options: *const ArrowOptions,
    ) -> Result<(), Failure> {
        run("tidelog::Batch::append", || {
            let lock = || self.lock();
            // SAFETY: as promised to this function; the types are transparent.
            unsafe { append_arrow(lock, array.cast(), schema.cast(), options.cast()) }
        })
    }

    pub fn rows(&self) -> usize {
        run("tidelog::Batch::rows", || Ok::<_, Fault>(self.lock().rows())).unwrap_or(0)
    }

    pub fn clear(&self) {
        // It fails in a forked child only, whose rows nobody can write any more.
        let _ = run("tidelog::Batch::clear", || {
            self.lock().clear();
            Ok::<_, Fault>(())
        });
    }
}
