//! SQLite: a clustered B-tree, in WAL mode. One table without rowid, whose primary key is time first
//! where ingest is measured and device first where queries are: time first takes rows an order of
//! magnitude faster, but has no device together.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use tidelog_benches::query::{ABOVE, Answer, HOUR, MINUTE, Query};
use tidelog_benches::workload::{Batch, FIELD_COUNT, FIELDS};

use crate::ordered::of_rows;
use crate::peer::{Durability, Layout, Peer, Result, Settings, Writer, millis};
use crate::windows::{Fold, Windows};

pub(crate) struct Sqlite {
    path: PathBuf,
    settings: Settings,
    reader: std::sync::Mutex<Connection>,
}

impl Peer for Sqlite {
    const ENGINE: &'static str = "sqlite";
    const SETTINGS: &'static str = "\
        WITHOUT ROWID, WAL, cache 256 MiB, 4 KiB pages, one transaction per batch. Ingest \
        and kill: PRIMARY KEY (ts, host), autocheckpoint 1,000 pages; load, disk and \
        queries: PRIMARY KEY (host, ts), autocheckpoint 100,000. Durable: synchronous=FULL; \
        relaxed: NORMAL. Compacted by a truncating checkpoint.";
    type Writer<'a> = Connection;

    fn version() -> String {
        rusqlite::version().to_owned()
    }

    fn open(dir: &Path, settings: Settings) -> Result<Self> {
        let path = dir.join("cpu.sqlite");
        let reader = connect(&path, settings)?;
        let key = match settings.layout {
            Layout::Ingest => "ts, host",
            Layout::Query => "host, ts",
        };
        let columns = FIELDS.map(|field| format!("{field} REAL NOT NULL")).join(", ");
        reader.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS cpu (host INTEGER NOT NULL, ts INTEGER NOT NULL, {columns},
             PRIMARY KEY ({key})) WITHOUT ROWID"
        ))?;
        Ok(Sqlite { path, settings, reader: reader.into() })
    }

    fn writer(&self) -> Result<Connection> {
        connect(&self.path, self.settings)
    }

    fn flush(&self) -> Result<()> {
        let reader = self.reader.lock().expect("no reader panicked");
        Ok(reader.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn compact_and_close(self) -> Result<()> {
        // Keys arrive once and are never deleted, so VACUUM would only copy the file.
        self.flush()
    }

    fn answer(&self, query: &Query) -> Result<Answer> {
        answer(&self.reader.lock().expect("no reader panicked"), query)
    }

    fn count(&self) -> Result<u64> {
        let reader = self.reader.lock().expect("no reader panicked");
        let count: i64 = reader.query_row("SELECT count(*) FROM cpu", [], |row| row.get(0))?;
        Ok(count as u64)
    }
}

impl Writer for Connection {
    fn write(&mut self, batch: Batch<'_>) -> Result<()> {
        let write = self.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut insert = write.prepare_cached(
                "INSERT OR REPLACE INTO cpu VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
            )?;
            for row in 0..batch.len() {
                let [a, b, c, d, e, f, g, h, i, j] = batch.values(row);
                let (host, ts) = (batch.devices[row], millis(batch.timestamps[row]));
                insert.execute(params![host, ts, a, b, c, d, e, f, g, h, i, j])?;
            }
        }
        Ok(write.commit()?)
    }
}

fn connect(path: &Path, settings: Settings) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(60))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(
        None,
        "synchronous",
        match settings.durability {
            Durability::Durable => "FULL",
            Durability::Relaxed => "NORMAL",
        },
    )?;
    connection.pragma_update(None, "cache_size", -256 * 1024)?;
    if settings.layout == Layout::Query {
        connection.pragma_update(None, "wal_autocheckpoint", 100_000)?;
    }
    Ok(connection)
}

/// Windows are folded here rather than by GROUP BY, which sorts what already comes in order.
fn answer(reader: &Connection, query: &Query) -> Result<Answer> {
    match *query {
        Query::MaxPerMinute { device, start, end } => {
            let mut windows = Windows::new(Fold::Max, MINUTE);
            let mut select = reader.prepare_cached(
                "SELECT ts, usage_user FROM cpu WHERE host = ?1 AND ts >= ?2 AND ts < ?3",
            )?;
            let mut rows = select.query(params![device, millis(start), millis(end)])?;
            while let Some(row) = rows.next()? {
                windows.add(device, row.get(0)?, row.get(1)?);
            }
            Ok(windows.answer())
        }
        Query::MeanPerMinute { start, end } => {
            let mut windows = Windows::new(Fold::Mean, MINUTE);
            let mut select = reader.prepare_cached(
                "SELECT ts, usage_user FROM cpu WHERE host = ?1 AND ts >= ?2 AND ts < ?3",
            )?;
            for device in 0..devices(reader)? {
                let mut rows = select.query(params![device, millis(start), millis(end)])?;
                while let Some(row) = rows.next()? {
                    windows.add(device, row.get(0)?, row.get(1)?);
                }
            }
            Ok(windows.answer())
        }
        Query::Last => {
            let mut select = reader
                .prepare_cached("SELECT * FROM cpu WHERE host = ?1 ORDER BY ts DESC LIMIT 1")?;
            let mut last = Vec::new();
            for device in 0..devices(reader)? {
                let mut rows = select.query(params![device])?;
                while let Some(row) = rows.next()? {
                    last.push(fields(row)?);
                }
            }
            Ok(of_rows(&last))
        }
        Query::MeanPerHour => {
            let mut windows = Windows::new(Fold::Mean, HOUR);
            let mut select =
                reader.prepare_cached("SELECT host, ts, usage_user FROM cpu ORDER BY host, ts")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                windows.add(row.get(0)?, row.get(1)?, row.get(2)?);
            }
            Ok(windows.answer())
        }
        Query::Device { device } => {
            let mut select = reader.prepare_cached("SELECT * FROM cpu WHERE host = ?1")?;
            Ok(of_rows(&all_fields(select.query(params![device])?)?))
        }
        Query::CountAbove => {
            let mut select =
                reader.prepare_cached("SELECT count(*) FROM cpu WHERE usage_user > ?1")?;
            let count: i64 = select.query_row(params![ABOVE], |row| row.get(0))?;
            Ok(Answer { rows: 1, checksum: count as f64 })
        }
        Query::Hundred { device, start, end } => {
            let mut select = reader
                .prepare_cached("SELECT * FROM cpu WHERE host = ?1 AND ts >= ?2 AND ts < ?3")?;
            let rows = select.query(params![device, millis(start), millis(end)])?;
            Ok(of_rows(&all_fields(rows)?))
        }
    }
}

fn devices(reader: &Connection) -> Result<u32> {
    let mut select = reader.prepare_cached("SELECT coalesce(max(host) + 1, 0) FROM cpu")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

fn all_fields(mut rows: rusqlite::Rows<'_>) -> Result<Vec<[f64; FIELD_COUNT]>> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(fields(row)?);
    }
    Ok(all)
}

fn fields(row: &rusqlite::Row<'_>) -> Result<[f64; FIELD_COUNT]> {
    let mut fields = [0.0; FIELD_COUNT];
    for (i, field) in fields.iter_mut().enumerate() {
        *field = row.get(i + 2)?;
    }
    Ok(fields)
}
