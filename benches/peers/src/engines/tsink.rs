//! tsink: a time-series engine. A metric per field and a series per (field, device), so a row of W is
//! ten of its rows. Defaults but for milliseconds and a retention that keeps all of W.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::tsink::{
    Aggregation, DataPoint, Label, QueryOptions, Row, Storage, StorageBuilder, TimestampPrecision,
    TsinkError, WalSyncMode,
};
use tidelog_benches::query::{ABOVE, Answer, HOUR, MINUTE, Query};
use tidelog_benches::workload::{Batch, FIELDS, device_name};

use crate::peer::{Durability, Peer, Result, Settings, Writer, millis};

/// How far back Q3 looks: tsink has no call for the last value, and a span must be named.
const LAST_WITHIN_MS: i64 = 300_000;

pub(crate) struct Tsink {
    storage: Arc<dyn Storage>,
}

impl Peer for Tsink {
    const ENGINE: &'static str = "tsink";
    const SETTINGS: &'static str = "\
        Metric per field, label host: ten series a device. Defaults, milliseconds, retention \
        3,650 d. Durable: WalSyncMode::PerAppend; relaxed: Periodic(1 s). No flush but \
        close, no compaction on request; Q3 looks at the last five minutes.";
    type Writer<'a> = &'a Tsink;

    fn version() -> String {
        super::locked_version("tsink")
    }

    fn open(dir: &Path, settings: Settings) -> Result<Self> {
        let sync = match settings.durability {
            Durability::Durable => WalSyncMode::PerAppend,
            Durability::Relaxed => WalSyncMode::Periodic(Duration::from_secs(1)),
        };
        let storage = StorageBuilder::new()
            .with_data_path(dir)
            .with_timestamp_precision(TimestampPrecision::Milliseconds)
            .with_retention(Duration::from_secs(3_650 * 86_400))
            .with_wal_sync_mode(sync)
            .build()?;
        Ok(Tsink { storage })
    }

    fn writer(&self) -> Result<&Tsink> {
        Ok(self)
    }

    /// There is no flush but closing.
    fn flush(&self) -> Result<()> {
        Ok(self.storage.close()?)
    }

    /// Compaction runs in the background, with no call to ask for it.
    fn compact_and_close(self) -> Result<()> {
        match self.storage.close() {
            Ok(()) | Err(TsinkError::StorageClosed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn answer(&self, query: &Query) -> Result<Answer> {
        match *query {
            Query::MaxPerMinute { device, start, end } => {
                let points = self.windows(device, start, end, MINUTE, Aggregation::Max)?;
                Ok(of_points([points.as_slice()]))
            }
            Query::MeanPerMinute { start, end } => {
                let devices: Result<Vec<_>> = (0..self.devices()?)
                    .map(|device| self.windows(device, start, end, MINUTE, Aggregation::Avg))
                    .collect();
                Ok(of_points(devices?.iter().map(Vec::as_slice)))
            }
            Query::Last => self.last(),
            Query::MeanPerHour => {
                let end = i64::MAX / 2;
                let devices: Result<Vec<_>> = (0..self.devices()?)
                    .map(|device| self.windows(device, 0, end, HOUR, Aggregation::Avg))
                    .collect();
                Ok(of_points(devices?.iter().map(Vec::as_slice)))
            }
            Query::Device { device } => self.rows(device, 0, i64::MAX / 2),
            Query::CountAbove => {
                let all = self.storage.select_all(FIELDS[0], 0, millis(i64::MAX / 2))?;
                let points = all.iter().flat_map(|(_, points)| points);
                let above = points.filter(|p| p.value_as_f64().is_some_and(|v| v > ABOVE)).count();
                Ok(Answer { rows: 1, checksum: above as f64 })
            }
            Query::Hundred { device, start, end } => self.rows(device, start, end),
        }
    }

    fn count(&self) -> Result<u64> {
        match self.storage.select_all(FIELDS[0], 0, millis(i64::MAX / 2)) {
            Ok(all) => Ok(all.iter().map(|(_, points)| points.len() as u64).sum()),
            Err(TsinkError::NoDataPoints { .. }) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl Writer for &Tsink {
    fn write(&mut self, batch: Batch<'_>) -> Result<()> {
        let mut rows = Vec::with_capacity(batch.len() * FIELDS.len());
        for row in 0..batch.len() {
            let labels = labels(batch.devices[row]);
            let ms = millis(batch.timestamps[row]);
            for (field, values) in FIELDS.into_iter().zip(batch.fields) {
                let point = DataPoint::new(ms, values[row]);
                rows.push(Row::with_labels(field, labels.clone(), point));
            }
        }
        Ok(self.storage.insert_rows(&rows)?)
    }
}

impl Tsink {
    fn windows(
        &self,
        device: u32,
        start: i64,
        end: i64,
        width: i64,
        aggregation: Aggregation,
    ) -> Result<Vec<DataPoint>> {
        let options = QueryOptions::new(millis(start), millis(end))
            .with_labels(labels(device))
            .with_downsample(millis(width), aggregation);
        Ok(self.storage.select_with_options(FIELDS[0], options)?)
    }

    fn rows(&self, device: u32, start: i64, end: i64) -> Result<Answer> {
        let labels = labels(device);
        let fields: std::result::Result<Vec<_>, _> = FIELDS
            .iter()
            .map(|field| self.storage.select(field, &labels, millis(start), millis(end)))
            .collect();
        let mut answer = of_points(fields?.iter().map(Vec::as_slice));
        answer.rows /= FIELDS.len() as u64;
        Ok(answer)
    }

    fn last(&self) -> Result<Answer> {
        let end = self.end_ms()?;
        let mut points = Vec::new();
        for device in 0..self.devices()? {
            for field in FIELDS {
                let options = QueryOptions::new(end - LAST_WITHIN_MS, end)
                    .with_labels(labels(device))
                    .with_aggregation(Aggregation::Last);
                points.extend(self.storage.select_with_options(field, options)?);
            }
        }
        let mut answer = of_points([points.as_slice()]);
        answer.rows /= FIELDS.len() as u64;
        Ok(answer)
    }

    fn devices(&self) -> Result<u32> {
        let series = self.storage.list_metrics()?;
        Ok(series.iter().filter(|series| series.name == FIELDS[0]).count() as u32)
    }

    /// The time just past the last row of the first device.
    fn end_ms(&self) -> Result<i64> {
        let options = QueryOptions::new(0, millis(i64::MAX / 2))
            .with_labels(labels(0))
            .with_aggregation(Aggregation::Last);
        let last = self.storage.select_with_options(FIELDS[0], options)?;
        Ok(last.last().map_or(0, |point| point.timestamp + 1))
    }
}

fn labels(device: u32) -> Vec<Label> {
    vec![Label::new("host", device_name(device))]
}

fn of_points<'a>(series: impl IntoIterator<Item = &'a [DataPoint]>) -> Answer {
    let (mut rows, mut checksum) = (0, 0.0);
    for point in series.into_iter().flatten() {
        rows += 1;
        checksum += point.value_as_f64().expect("all of W are f64");
    }
    Answer { rows, checksum }
}
