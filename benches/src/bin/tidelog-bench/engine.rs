//! Tidelog as it is measured: one configuration, the default one, and columns as callers hand them in.

use std::path::Path;

use tidelog_benches::workload::{self, FIELDS, device_name};
use tidelog_engine::{
    Batch, CollectionName, DeviceIndex, Durability, FieldIndex, FieldType, Options, Store, Ticket,
};

use crate::report::Result;

pub(crate) const SETTINGS: &str = "default options: 8 groups, 128 MiB memory budget, 64 MiB index \
    cache, 16 MiB log segments, background flush and compaction; one collection, columns handed in \
    by batches of 1,000 rows. Relaxed is Durability::Os, durable is Durability::Sync";

const COLLECTION: &str = "bench.cpu";

/// Opens the store, creating it in an empty directory.
pub(crate) fn open(dir: &Path) -> Result<Store> {
    Ok(Options::new().open(dir)?)
}

pub(crate) fn collection() -> Result<CollectionName> {
    Ok(CollectionName::parse(COLLECTION)?)
}

/// Writes batches of W through one batch, used over and over.
pub(crate) struct Writer<'a> {
    store: &'a Store,
    durability: Durability,
    batch: Batch,
    devices: Vec<DeviceIndex>,
    fields: Vec<FieldIndex>,
    row_devices: Vec<DeviceIndex>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(store: &'a Store, durability: Durability, devices: u32) -> Result<Self> {
        let mut batch = Batch::for_collection(collection()?);
        let fields = FIELDS.map(|name| batch.field(name, FieldType::F64));
        let fields = fields.into_iter().collect::<std::result::Result<_, _>>()?;
        let devices = (0..devices)
            .map(|device| batch.device(&device_name(device)))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Writer { store, durability, batch, devices, fields, row_devices: Vec::new() })
    }

    /// Writes and waits for the acknowledgement.
    pub(crate) fn write(&mut self, rows: workload::Batch<'_>) -> Result<()> {
        self.fill(rows)?;
        self.store.write(&self.batch, self.durability)?;
        Ok(())
    }

    /// Writes; the acknowledgement is the ticket's.
    pub(crate) fn submit(&mut self, rows: workload::Batch<'_>) -> Result<Ticket> {
        self.fill(rows)?;
        Ok(self.store.submit(&self.batch, self.durability)?)
    }

    fn fill(&mut self, rows: workload::Batch<'_>) -> Result<()> {
        self.batch.clear();
        self.row_devices.clear();
        self.row_devices.extend(rows.devices.iter().map(|device| self.devices[*device as usize]));
        let mut appended = self.batch.append(&self.row_devices, rows.timestamps)?;
        for (field, values) in self.fields.iter().zip(rows.fields) {
            appended = appended.f64(*field, values)?;
        }
        Ok(())
    }
}
