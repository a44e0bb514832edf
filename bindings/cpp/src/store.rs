//! Stores, and writes on their way.

use crate::batch::Batch;
use crate::bridge::edge::Telling;
use crate::failure::{Failure, run};
use crate::own::Own;
use crate::plain::{
    CheckReport, DeleteOptions, OpenOptions, QueryOptions, Receipt, SealReport, Stats, WriteOptions,
};
use crate::rows::Rows;
use std::path::PathBuf;
use std::pin::Pin;
use tidelog_engine::{self as engine, CollectionName, Retention};
use tidelog_ffi::inside::{
    self, Fault, OpenTicket, checked_of, collections, delete_of, differences, digests, durability,
    epochs, fields, findings, leaf_of, level_of, method_of, one_field, open_options, points,
    query_of, range_of, receipt_of, seal_of, stats_of, told_by, utf8,
};

pub struct Store {
    inner: Own<engine::Store>,
    pub(crate) path: PathBuf,
}

/// # Safety
/// The options are what the header says.
pub unsafe fn open(path: &[u8], options: &OpenOptions) -> Result<Box<Store>, Failure> {
    run("tidelog::Store::open", || {
        let path = PathBuf::from(utf8(path, "path")?);
        let inner = Own::new(open_options(&options.0)?.open(&path)?);
        Ok(Box::new(Store { inner, path }))
    })
}

impl Drop for Store {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`; a forked child is turned away there.
        let _ = self.close();
    }
}

fn name(text: &[u8]) -> Result<CollectionName, Fault> {
    Ok(CollectionName::parse(utf8(text, "collection")?)?)
}

impl Store {
    pub(crate) fn get(&self) -> &engine::Store {
        &self.inner
    }

    pub fn close(&self) -> Result<(), Failure> {
        run("tidelog::Store::close", || Ok(self.get().close()?))
    }

    pub fn write(&self, batch: &Batch, options: &WriteOptions) -> Result<Receipt, Failure> {
        run("tidelog::Store::write", || {
            let written = self.get().write(&batch.lock(), durability(&options.0)?)?;
            Ok(Receipt(receipt_of(&written)))
        })
    }

    pub fn submit(&self, batch: &Batch, options: &WriteOptions) -> Result<Box<Ticket>, Failure> {
        run("tidelog::Store::submit", || {
            let ticket = self.get().submit(&batch.lock(), durability(&options.0)?)?;
            Ok(Box::new(Ticket(Own::new(OpenTicket::new(ticket)))))
        })
    }

    /// # Safety
    /// The options are what the header says.
    pub unsafe fn query(&self, of: &[u8], options: &QueryOptions) -> Result<Box<Rows>, Failure> {
        run("tidelog::Store::query", || {
            // SAFETY: as promised to this function.
            let (query, devices) = unsafe { query_of(&raw const options.0)? };
            let answer = self.get().query(&name(of)?, query)?;
            Ok(Rows::boxed(inside::Rows::of_answer(answer, devices)))
        })
    }

    /// # Safety
    /// The options are what the header says.
    pub unsafe fn latest(&self, of: &[u8], options: &QueryOptions) -> Result<Box<Rows>, Failure> {
        run("tidelog::Store::latest", || {
            // SAFETY: as promised to this function.
            let (query, _) = unsafe { query_of(&raw const options.0)? };
            let (fields, batch) = self.get().latest(&name(of)?, query)?;
            Ok(Rows::boxed(inside::Rows::of_batch(fields, batch)))
        })
    }

    /// # Safety
    /// The options are what the header says.
    pub unsafe fn downsample(
        &self,
        of: &[u8],
        options: &QueryOptions,
        method: u32,
        count: usize,
    ) -> Result<Box<Rows>, Failure> {
        run("tidelog::Store::downsample", || {
            let method = method_of(method, count)?;
            // SAFETY: as promised to this function.
            let query = unsafe { one_field(&raw const options.0)? };
            Ok(Rows::boxed(points(self.get().downsample(&name(of)?, query, method)?)?))
        })
    }

    pub fn collections(&self) -> Result<Box<Rows>, Failure> {
        run("tidelog::Store::collections", || {
            Ok(Rows::boxed(inside::Rows::of_table(collections(self.get())?)))
        })
    }

    pub fn fields(&self, of: &[u8]) -> Result<Box<Rows>, Failure> {
        run("tidelog::Collection::fields", || {
            Ok(Rows::boxed(inside::Rows::of_table(fields(self.get(), &name(of)?)?)))
        })
    }

    pub fn set_retention(&self, of: &[u8], retention: &[u8]) -> Result<(), Failure> {
        run("tidelog::Collection::set_retention", || {
            let retention = utf8(retention, "retention")?.parse::<Retention>()?;
            self.get().set_retention(&name(of)?, retention)?;
            Ok(())
        })
    }

    pub fn create(&self, of: &[u8], leaf_minutes: u32) -> Result<(), Failure> {
        run("tidelog::Collection::create", || {
            self.get().create_collection(&name(of)?, leaf_of(leaf_minutes)?)?;
            Ok(())
        })
    }

    /// # Safety
    /// The options are what the header says.
    pub unsafe fn erase(&self, of: &[u8], options: &DeleteOptions) -> Result<u64, Failure> {
        run("tidelog::Collection::erase", || {
            // SAFETY: as promised to this function.
            let delete = unsafe { delete_of(utf8(of, "collection")?, &raw const options.0)? };
            Ok(self.get().delete(&delete)?.0)
        })
    }

    pub fn compare(&self, other: &Store, of: &[u8], limit: u64) -> Result<Box<Rows>, Failure> {
        run("tidelog::Collection::compare", || {
            let limit = if limit == 0 { u64::MAX } else { limit };
            let mut found = Vec::new();
            self.get().compare(other.get(), &name(of)?, |difference| {
                found.push(difference);
                (found.len() as u64) < limit
            })?;
            Ok(Rows::boxed(inside::Rows::of_table(differences(&found))))
        })
    }

    /// # Safety
    /// A bound or NULL, each.
    pub unsafe fn digests(
        &self,
        of: &[u8],
        level: u32,
        from_ns: *const i64,
        to_ns: *const i64,
    ) -> Result<Box<Rows>, Failure> {
        run("tidelog::Collection::digests", || {
            // SAFETY: as promised to this function.
            let range = unsafe { range_of(from_ns, to_ns)? };
            let found = self.get().digests(&name(of)?, level_of(level)?, range)?;
            Ok(Rows::boxed(inside::Rows::of_table(digests(&found))))
        })
    }

    pub fn flush(&self) -> Result<(), Failure> {
        run("tidelog::Store::flush", || Ok(self.get().flush()?))
    }

    pub fn seal(&self, told: Pin<&mut Telling>, stopped: &mut bool) -> Result<SealReport, Failure> {
        run("tidelog::Store::seal", || {
            let store = self.get();
            let sealed = telling(told, |tell| store.seal_with(|| tell(0, 1)))?;
            *stopped = sealed.is_none();
            Ok(SealReport(seal_of(&sealed.unwrap_or_default())))
        })
    }

    pub fn compact(&self, told: Pin<&mut Telling>) -> Result<bool, Failure> {
        run("tidelog::Store::compact", || {
            let store = self.get();
            Ok(telling(told, |tell| store.compact_with(tell))?.is_some())
        })
    }

    pub fn epochs(&self) -> Result<Box<Rows>, Failure> {
        run("tidelog::Store::epochs", || {
            Ok(Rows::boxed(inside::Rows::of_table(epochs(self.get()))))
        })
    }

    /// `report` is left as it is when the progress stopped the work.
    pub fn check(
        &self,
        told: Pin<&mut Telling>,
        report: &mut CheckReport,
        stopped: &mut bool,
    ) -> Result<Box<Rows>, Failure> {
        run("tidelog::Store::check", || {
            let store = self.get();
            let found = telling(told, |tell| store.check(tell))?;
            *stopped = found.is_none();
            let Some(found) = found else { return Ok(Rows::boxed(inside::Rows::none())) };
            report.0 = checked_of(&found);
            Ok(Rows::boxed(inside::Rows::of_table(findings(&found.findings))))
        })
    }

    pub fn stats(&self) -> Result<Stats, Failure> {
        run("tidelog::Store::stats", || Ok(Stats(stats_of(&self.get().stats()))))
    }
}

/// Long work that a C++ progress is told of, on the thread that called.
pub(crate) fn telling<T: Send, E: Into<Fault> + Send>(
    mut told: Pin<&mut Telling>,
    work: impl FnOnce(&mut dyn FnMut(u64, u64) -> bool) -> Result<T, E> + Send,
) -> Result<Option<T>, Fault> {
    told_by(move |done, total| told.as_mut().tell(done, total), work)
}

/// A write on its way.
pub struct Ticket(Own<OpenTicket>);

impl Ticket {
    pub fn wait(&self) -> Result<Receipt, Failure> {
        run("tidelog::Ticket::wait", || Ok(Receipt(self.0.wait()?)))
    }

    pub fn is_done(&self) -> Result<bool, Failure> {
        run("tidelog::Ticket::is_done", || Ok(self.0.is_done()))
    }
}
