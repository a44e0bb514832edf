//! redb: a copy-on-write B+tree. Defaults but for a cache of 256 MiB.

use std::path::Path;

use ::redb::{
    Builder, Database, Durability as Commit, ReadOnlyTable, ReadableDatabase, TableDefinition,
    TableError,
};
use tidelog_benches::query::{Answer, Query};
use tidelog_benches::workload::Batch;

use crate::ordered::{self, Key, Ordered, Value};
use crate::peer::{Durability, Peer, Result, Settings, Writer};

const ROWS: TableDefinition<&Key, &Value> = TableDefinition::new("cpu");

pub(crate) struct Redb {
    database: Database,
    commit: Commit,
}

impl Peer for Redb {
    const ENGINE: &'static str = "redb";
    const SETTINGS: &'static str = "\
        Key device u32 BE + ms u64 BE, value ten f64 LE. Cache 256 MiB. Durable: \
        Durability::Immediate; relaxed: Durability::None. Compacted by compact().";
    type Writer<'a> = &'a Redb;

    fn version() -> String {
        super::locked_version("redb")
    }

    fn open(dir: &Path, settings: Settings) -> Result<Self> {
        let database = Builder::new().set_cache_size(256 << 20).create(dir.join("cpu.redb"))?;
        let commit = match settings.durability {
            Durability::Durable => Commit::Immediate,
            Durability::Relaxed => Commit::None,
        };
        Ok(Redb { database, commit })
    }

    fn writer(&self) -> Result<&Redb> {
        Ok(self)
    }

    fn flush(&self) -> Result<()> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Commit::Immediate)?;
        Ok(write.commit()?)
    }

    fn compact_and_close(mut self) -> Result<()> {
        self.flush()?;
        self.database.compact()?;
        Ok(())
    }

    fn answer(&self, query: &Query) -> Result<Answer> {
        match self.reader()? {
            Some(reader) => ordered::answer(&reader, query),
            None => Ok(Answer { rows: 0, checksum: 0.0 }),
        }
    }

    fn count(&self) -> Result<u64> {
        self.reader()?.map_or(Ok(0), |reader| ordered::count(&reader))
    }
}

impl Redb {
    /// One read transaction over the rows, or `None` when no commit has made the table.
    fn reader(&self) -> Result<Option<Reader>> {
        match self.database.begin_read()?.open_table(ROWS) {
            Ok(table) => Ok(Some(Reader { table })),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Writer for &Redb {
    fn write(&mut self, batch: Batch<'_>) -> Result<()> {
        let mut write = self.database.begin_write()?;
        write.set_durability(self.commit)?;
        {
            let mut table = write.open_table(ROWS)?;
            for (key, value) in ordered::entries(batch) {
                table.insert(&key, &value)?;
            }
        }
        Ok(write.commit()?)
    }
}

struct Reader {
    table: ReadOnlyTable<&'static Key, &'static Value>,
}

impl Ordered for Reader {
    fn scan(&self, from: &Key, to: &Key, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.table.range::<&Key>(from..to)? {
            let (key, value) = entry?;
            visit(key.value(), value.value());
        }
        Ok(())
    }

    fn last(&self, from: &Key, to: &Key, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        if let Some(entry) = self.table.range::<&Key>(from..to)?.next_back() {
            let (key, value) = entry?;
            visit(key.value(), value.value());
        }
        Ok(())
    }
}
