//! A store under test: opened on a simulated disk, without threads, and read whole.

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::generate::{EPOCH, push_all};
use crate::oracle::{Delete, RowRead, RowWrite};
use std::sync::Arc;
use tidelog_engine::{
    Batch, CollectionName, Delete as StoreDelete, Durability, NameError, OpenError, Options, Query,
    QueryError, Receipt, RowBatch, Store, Ticket, Upkeep, WriteError,
};
use tidelog_model::Device;

/// A clock that stands where generated rows cluster.
#[must_use]
pub fn clock(seed: u64) -> SimClock {
    SimClock::new((EPOCH / 1_000_000) as u64, seed)
}

/// Options of a store that repeats exactly: no threads, few groups, a clock that stands still.
#[must_use]
pub fn options(clock: &SimClock) -> Options {
    Options::new()
        .upkeep(Upkeep::Caller)
        .groups(2)
        .memory_budget(1 << 20)
        .segment_bytes(64 << 10)
        .clock(Arc::new(clock.clone()))
        .entropy(Arc::new(clock.clone()))
}

/// Opens the store on a disk.
///
/// # Errors
/// Those of the store.
pub fn open(disk: &SimDisk, clock: &SimClock) -> Result<Store, OpenError> {
    options(clock).open_on(Arc::new(disk.clone()))
}

/// The rows as a batch of this collection.
///
/// # Panics
/// When the rows break a limit.
#[must_use]
pub fn batch(collection: &str, rows: &[RowWrite]) -> Batch {
    let mut batch = Batch::new(collection).expect("a collection's name");
    push_all(&mut batch, rows).expect("rows within the limits");
    batch
}

/// Writes rows as one batch.
///
/// # Errors
/// Those of the store.
pub fn write(
    store: &Store,
    collection: &str,
    rows: &[RowWrite],
    durability: Durability,
) -> Result<Receipt, WriteError> {
    store.write(&batch(collection, rows), durability)
}

/// Submits rows as one batch.
///
/// # Errors
/// Those of the store.
pub fn submit(store: &Store, collection: &str, rows: &[RowWrite]) -> Result<Ticket, WriteError> {
    store.submit(&batch(collection, rows), Durability::Sync)
}

/// The store's form of a delete in one collection, or in a whole database.
///
/// # Errors
/// When a name is not one.
pub fn delete_of(
    collection: &str,
    whole_database: bool,
    delete: &Delete,
) -> Result<StoreDelete, NameError> {
    let name = CollectionName::parse(collection)?;
    let base = if whole_database {
        StoreDelete::database(name.database().as_str())?
    } else {
        StoreDelete::collection(&name)
    };
    let narrowed = base.devices(delete.devices.clone()).range(delete.range);
    match &delete.fields {
        None => Ok(narrowed),
        Some(fields) => narrowed.fields(fields.iter().map(String::as_str)),
    }
}

/// Every row of every device, all fields; none when there is no such collection.
///
/// # Errors
/// Those of the store.
pub fn whole_answer(store: &Store, collection: &str) -> Result<Vec<RowRead>, QueryError> {
    let name = CollectionName::parse(collection).expect("a collection's name");
    match store.query(&name, Query::new()) {
        Err(QueryError::NoCollection { .. }) => Ok(Vec::new()),
        Err(other) => Err(other),
        Ok(answer) => Ok(rows_of(&answer.collect_rows()?)),
    }
}

/// Rows of an answer, one by one. Rows that have no device get one that nobody has.
///
/// # Panics
/// When the answer names a device that is none.
#[must_use]
pub fn rows_of(batch: &RowBatch) -> Vec<RowRead> {
    let devices: Vec<Device> = batch
        .devices
        .iter()
        .map(|device| Device::from_canonical(device).expect("answers name devices canonically"))
        .collect();
    let everybody = Device::named("(all)").expect("a name");
    (0..batch.rows())
        .map(|row| {
            let device = batch.row_devices.get(row).map(|number| &devices[*number as usize]);
            let values =
                batch.columns.iter().map(|column| column.at(row).map(|value| value.to_owned()));
            RowRead {
                device: device.unwrap_or(&everybody).clone(),
                time: batch.times[row],
                values: values.collect(),
            }
        })
        .collect()
}
