//! The process that is killed: writes batch after batch, and says of each, once it is durable, that it is.

use super::check::Rows;
use crate::error::CommandError;
use clap::Args;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use tidelog::{Batch, BatchError, CollectionName, Durability, Options, Value};

/// Rows of each batch: all devices at as many times.
pub(super) const BATCH_ROWS: u64 = DEVICES * TIMES;
const DEVICES: u64 = 8;
const TIMES: u64 = 25;
const FIRST_TIME: i64 = 1_767_225_600_000_000_000;
const STEP: i64 = 10_000_000_000;
/// So little that memory is flushed to files, and files are merged, while the killing goes on.
const MEMORY_BYTES: usize = 2 << 20;

/// Write until killed; print the number of each batch when it is durable.
#[derive(Args, Debug)]
pub(crate) struct DemoWriter {
    store: PathBuf,
    /// The first batch to write.
    first: u64,
}

impl DemoWriter {
    pub(crate) fn run(self) -> Result<crate::error::Outcome, CommandError> {
        let store = Options::new().memory_budget(MEMORY_BYTES).create(false).open(&self.store)?;
        let mut out = io::stdout().lock();
        for number in self.first.. {
            let batch = batch(number).map_err(|error| CommandError::Usage(error.to_string()))?;
            store.write(&batch, Durability::Sync)?;
            // One write of few bytes to a pipe is whole or not at all.
            out.write_all(format!("{number}\n").as_bytes())
                .and_then(|()| out.flush())
                .map_err(CommandError::Output)?;
        }
        Ok(crate::error::Outcome::Done)
    }
}

pub(super) fn collection() -> CollectionName {
    CollectionName::parse("demo.writer").expect("it is a name")
}

/// What batches hold: it follows from their numbers.
pub(super) fn rows(batches: Range<u64>) -> Rows {
    batches.flat_map(rows_of).collect()
}

/// The number of the batch that a row is of, if it can be of one.
pub(super) fn batch_of(time: i64) -> Option<u64> {
    let steps = time.checked_sub(FIRST_TIME)?;
    (steps >= 0 && steps % STEP == 0).then_some((steps / STEP) as u64 / TIMES)
}

fn rows_of(number: u64) -> impl Iterator<Item = ((String, i64), BTreeMap<String, Value>)> {
    (0..BATCH_ROWS).map(move |row| {
        let (device, tick) = (row % DEVICES, number * TIMES + row / DEVICES);
        let bits = mix(device << 48 ^ tick);
        let mut values = BTreeMap::from([
            ("level".to_owned(), Value::F64((bits % 100_000) as f64 / 100.0)),
            ("total".to_owned(), Value::I64((1 << 53) + tick as i64)),
        ]);
        if bits >> 60 == 0 {
            let text = if bits >> 59 & 1 == 0 { String::new() } else { format!("event {tick}") };
            values.insert("event".to_owned(), Value::String(text));
        }
        ((format!("pump_{device}"), FIRST_TIME + tick as i64 * STEP), values)
    })
}

fn batch(number: u64) -> Result<Batch, BatchError> {
    let mut batch = Batch::for_collection(collection());
    for ((device, time), values) in rows_of(number) {
        batch.push(
            &device,
            time,
            values.iter().map(|(name, value)| (name.as_str(), value.as_ref())),
        )?;
    }
    Ok(batch)
}

/// splitmix64's finaliser (Steele, Lea, Flood 2014): numbers that look random and need no state.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_s_time_tells_its_batch() {
        for number in [0, 1, 17] {
            let rows = rows(number..number + 1);
            assert_eq!(rows.len() as u64, BATCH_ROWS);
            assert!(rows.keys().all(|(_, time)| batch_of(*time) == Some(number)));
            assert_eq!(batch(number).unwrap().rows() as u64, BATCH_ROWS);
        }
        assert_eq!(batch_of(FIRST_TIME - 1), None);
        assert_eq!(batch_of(FIRST_TIME + 1), None);
    }
}
