//! fjall: an LSM tree. Defaults but for a block cache of 256 MiB.

use std::path::Path;

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tidelog_benches::query::{Answer, Query};
use tidelog_benches::workload::Batch;

use crate::ordered::{self, Key, Ordered};
use crate::peer::{Durability, Peer, Result, Settings, Writer};

pub(crate) struct Fjall {
    database: Database,
    rows: Keyspace,
    persist: PersistMode,
}

impl Peer for Fjall {
    const ENGINE: &'static str = "fjall";
    const SETTINGS: &'static str = "\
        Key device u32 BE + ms u64 BE, value ten f64 LE. Defaults, block cache 256 MiB. \
        Durable: SyncData per batch; relaxed: Buffer, the default. Compacted by rotating the memtable and a \
        major compaction.";
    type Writer<'a> = &'a Fjall;

    fn version() -> String {
        super::locked_version("fjall")
    }

    fn open(dir: &Path, settings: Settings) -> Result<Self> {
        let database = Database::builder(dir).cache_size(256 << 20).open()?;
        let rows = database.keyspace("cpu", KeyspaceCreateOptions::default)?;
        let persist = match settings.durability {
            Durability::Durable => PersistMode::SyncData,
            // The default: handed to the kernel, so that a killed process loses nothing.
            Durability::Relaxed => PersistMode::Buffer,
        };
        Ok(Fjall { database, rows, persist })
    }

    fn writer(&self) -> Result<&Fjall> {
        Ok(self)
    }

    fn flush(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn compact_and_close(self) -> Result<()> {
        self.rows.rotate_memtable_and_wait()?;
        Ok(self.rows.major_compact()?)
    }

    fn answer(&self, query: &Query) -> Result<Answer> {
        ordered::answer(self, query)
    }

    fn count(&self) -> Result<u64> {
        ordered::count(self)
    }
}

impl Writer for &Fjall {
    fn write(&mut self, batch: Batch<'_>) -> Result<()> {
        let mut write = self.database.batch().durability(Some(self.persist));
        for (key, value) in ordered::entries(batch) {
            write.insert(&self.rows, key, value);
        }
        Ok(write.commit()?)
    }
}

impl Ordered for Fjall {
    fn scan(&self, from: &Key, to: &Key, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.rows.range(*from..*to) {
            let (key, value) = entry.into_inner()?;
            visit(&key, &value);
        }
        Ok(())
    }

    fn last(&self, from: &Key, to: &Key, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        if let Some(entry) = self.rows.range(*from..*to).next_back() {
            let (key, value) = entry.into_inner()?;
            visit(&key, &value);
        }
        Ok(())
    }
}
