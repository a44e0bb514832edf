//! The queries over an ordered key-value store: key device u32 BE + ms u64 BE, value ten f64 LE.

use tidelog_benches::query::{ABOVE, Answer, HOUR, MINUTE, Query};
use tidelog_benches::workload::{Batch, FIELD_COUNT};

use crate::peer::{Result, millis};
use crate::windows::{Fold, Windows};

pub(crate) type Key = [u8; 12];
pub(crate) type Value = [u8; 8 * FIELD_COUNT];

/// A store that walks its keys in order.
pub(crate) trait Ordered {
    /// Visits the entries of `[from, to)` in order.
    fn scan(&self, from: &Key, to: &Key, visit: impl FnMut(&[u8], &[u8])) -> Result<()>;

    /// Visits the last entry of `[from, to)`, if there is one.
    fn last(&self, from: &Key, to: &Key, visit: impl FnMut(&[u8], &[u8])) -> Result<()>;

    /// One past the greatest device.
    fn devices(&self) -> Result<u32> {
        let mut devices = 0;
        self.last(&key(0, 0), &[0xff; 12], |key, _| devices = device(key) + 1)?;
        Ok(devices)
    }
}

pub(crate) fn key(device: u32, ms: i64) -> Key {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&device.to_be_bytes());
    key[4..].copy_from_slice(&(ms as u64).to_be_bytes());
    key
}

/// The entries of a batch.
pub(crate) fn entries(batch: Batch<'_>) -> impl Iterator<Item = (Key, Value)> + '_ {
    (0..batch.len()).map(move |row| {
        let mut value = [0; 8 * FIELD_COUNT];
        for (bytes, column) in value.chunks_exact_mut(8).zip(batch.fields) {
            bytes.copy_from_slice(&column[row].to_le_bytes());
        }
        (key(batch.devices[row], millis(batch.timestamps[row])), value)
    })
}

pub(crate) fn answer(store: &impl Ordered, query: &Query) -> Result<Answer> {
    match *query {
        Query::MaxPerMinute { device, start, end } => {
            let mut windows = Windows::new(Fold::Max, MINUTE);
            scan_device(store, device, millis(start), millis(end), |ms, value| {
                windows.add(device, ms, field(value, 0));
            })?;
            Ok(windows.answer())
        }
        Query::MeanPerMinute { start, end } => {
            let mut windows = Windows::new(Fold::Mean, MINUTE);
            for device in 0..store.devices()? {
                scan_device(store, device, millis(start), millis(end), |ms, value| {
                    windows.add(device, ms, field(value, 0));
                })?;
            }
            Ok(windows.answer())
        }
        Query::Last => {
            let mut rows = Vec::new();
            for device in 0..store.devices()? {
                store.last(&key(device, 0), &key(device + 1, 0), |_, value| {
                    rows.push(fields(value));
                })?;
            }
            Ok(of_rows(&rows))
        }
        Query::MeanPerHour => {
            let mut windows = Windows::new(Fold::Mean, HOUR);
            store.scan(&key(0, 0), &[0xff; 12], |key, value| {
                windows.add(device(key), ms(key), field(value, 0));
            })?;
            Ok(windows.answer())
        }
        Query::Device { device } => {
            let mut rows = Vec::new();
            scan_device(store, device, 0, i64::MAX, |_, value| rows.push(fields(value)))?;
            Ok(of_rows(&rows))
        }
        Query::CountAbove => {
            let mut count = 0u64;
            store.scan(&key(0, 0), &[0xff; 12], |_, value| {
                count += u64::from(field(value, 0) > ABOVE);
            })?;
            Ok(Answer { rows: 1, checksum: count as f64 })
        }
        Query::Hundred { device, start, end } => {
            let mut rows = Vec::new();
            scan_device(store, device, millis(start), millis(end), |_, value| {
                rows.push(fields(value));
            })?;
            Ok(of_rows(&rows))
        }
    }
}

pub(crate) fn count(store: &impl Ordered) -> Result<u64> {
    let mut count = 0;
    store.scan(&key(0, 0), &[0xff; 12], |_, _| count += 1)?;
    Ok(count)
}

/// The answer of whole rows, once they are all in hand.
pub(crate) fn of_rows(rows: &[[f64; FIELD_COUNT]]) -> Answer {
    Answer { rows: rows.len() as u64, checksum: rows.iter().flatten().sum() }
}

fn scan_device(
    store: &impl Ordered,
    device: u32,
    start_ms: i64,
    end_ms: i64,
    mut visit: impl FnMut(i64, &[u8]),
) -> Result<()> {
    store.scan(&key(device, start_ms), &key(device, end_ms), |key, value| visit(ms(key), value))
}

fn device(key: &[u8]) -> u32 {
    u32::from_be_bytes(key[..4].try_into().expect("keys have 12 bytes"))
}

fn ms(key: &[u8]) -> i64 {
    u64::from_be_bytes(key[4..].try_into().expect("keys have 12 bytes")) as i64
}

fn field(value: &[u8], field: usize) -> f64 {
    f64::from_le_bytes(value[8 * field..][..8].try_into().expect("values have 80 bytes"))
}

fn fields(value: &[u8]) -> [f64; FIELD_COUNT] {
    std::array::from_fn(|i| field(value, i))
}
