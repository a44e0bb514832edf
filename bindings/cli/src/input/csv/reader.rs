//! The second reading of one file: rows into batches, bad lines to whoever wants to know.

use super::CsvPlan;
use super::columns::{CsvText, Role, parse_row};
use crate::input::cell::CellRow;
use crate::input::nudge::SameTime;
use crate::input::record::RECORD_BYTES_MAX;
use crate::input::{BadLine, BatchReader, Counts, InputError};
use tidelog::model::{
    BATCH_BYTES_MAX, Batch, BatchError, DeviceIndex, FIELDS_MAX, FieldIndex, FieldType,
};

/// The second reading of one file.
pub(crate) struct CsvReader<'p> {
    plan: &'p mut CsvPlan,
    text: CsvText,
    /// By column: the type of its field. `None` for the device, the time, and what has no values.
    types: Vec<Option<FieldType>>,
    batches: [Batch; 1],
    /// Of the columns that have a type, in order. Empty while the batch is new.
    fields: Vec<FieldIndex>,
    /// By number in the plan: the device's index in the batch.
    device_indexes: Vec<Option<DeviceIndex>>,
    devices_in_batch: usize,
    batch_bytes: usize,
    row: CellRow,
    counts: Counts,
}

impl BatchReader for CsvReader<'_> {
    fn read(&mut self, report: &mut dyn FnMut(&BadLine)) -> Result<bool, InputError> {
        self.begin_batch()?;
        while self.batches[0].rows() < self.plan.options.batch_rows.max(1)
            && self.batch_bytes < BATCH_BYTES_ENOUGH
        {
            let bad = match self.text.next()? {
                None => break,
                Some(Err((line, why))) => Some((line, why)),
                Some(Ok((columns, record))) => {
                    let line = record.line;
                    let plan = &mut *self.plan;
                    match parse_row(columns, record, &self.types, &mut plan.devices, &mut self.row)
                    {
                        Err(why) => Some((line, why)),
                        Ok((device, time)) => match place(plan, device, time) {
                            None => Some((line, NO_FREE_TIME.to_string())),
                            Some(time) => {
                                self.push_row(device, time).map_err(|source| {
                                    let name = self.text.name().clone();
                                    InputError::Batch { name, line, source }
                                })?;
                                None
                            }
                        },
                    }
                }
            };
            if let Some((line, why)) = bad {
                self.counts.rejected += 1;
                let bad = BadLine { input: self.text.name().clone(), line, why };
                if self.plan.options.strict {
                    return Err(InputError::Strict(bad));
                }
                report(&bad);
            }
        }
        self.counts.rows += self.batches[0].rows() as u64;
        self.counts.values += self.batches[0].count_values() as u64;
        Ok(!self.batches[0].is_empty())
    }

    fn batches(&self) -> &[Batch] {
        &self.batches
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn bytes_read(&self) -> u64 {
        self.text.bytes_read()
    }
}

impl<'p> CsvReader<'p> {
    pub(super) fn new(plan: &'p mut CsvPlan, text: CsvText) -> Self {
        let types = text.columns.roles.iter().map(|role| match role {
            Role::Field(name) => plan.types.get(name).copied(),
            Role::Device | Role::Time => None,
        });
        CsvReader {
            batches: [Batch::for_collection(plan.collection.clone())],
            types: types.collect(),
            fields: Vec::new(),
            device_indexes: Vec::new(),
            devices_in_batch: 0,
            batch_bytes: 0,
            row: CellRow::default(),
            counts: Counts::default(),
            text,
            plan,
        }
    }

    #[cfg(test)]
    pub(super) fn devices_in_batch(&self) -> usize {
        self.devices_in_batch
    }

    /// Empties the batch. One that has met very many devices is replaced, because writing a batch
    /// costs time for every device it knows.
    fn begin_batch(&mut self) -> Result<(), InputError> {
        let batch = &mut self.batches[0];
        self.batch_bytes = 0;
        if self.devices_in_batch > DEVICES_MAX.max(16 * self.plan.options.batch_rows) {
            *batch = Batch::for_collection(self.plan.collection.clone());
            self.fields.clear();
            self.device_indexes.clear();
            self.devices_in_batch = 0;
        }
        batch.clear();
        if self.fields.is_empty() {
            for (role, kind) in self.text.columns.roles.iter().zip(&self.types) {
                if let (Role::Field(name), Some(kind)) = (role, kind) {
                    let field = batch.field(name, *kind).map_err(|source| InputError::Batch {
                        name: self.text.name().clone(),
                        line: self.text.columns.line,
                        source,
                    })?;
                    self.fields.push(field);
                }
            }
        }
        Ok(())
    }

    fn push_row(&mut self, device: usize, time: i64) -> Result<(), BatchError> {
        let batch = &mut self.batches[0];
        if device >= self.device_indexes.len() {
            self.device_indexes.resize(self.plan.devices.len(), None);
        }
        let index = match self.device_indexes[device] {
            Some(index) => index,
            None => {
                self.devices_in_batch += 1;
                *self.device_indexes[device].insert(batch.add_device(self.plan.devices.at(device))?)
            }
        };
        let mut row = batch.row(index, time)?;
        self.batch_bytes += ROW_BYTES;
        for (field, value) in self.fields.iter().zip(self.row.values()) {
            if let Some(value) = value {
                self.batch_bytes += value.with_canonical_bytes(<[u8]>::len);
                row = row.set(*field, value)?;
            }
        }
        Ok(())
    }
}

fn place(plan: &mut CsvPlan, device: usize, time: i64) -> Option<i64> {
    match plan.options.same_time {
        SameTime::Last => Some(time),
        SameTime::Nudge => plan.nudger.place(device, time),
    }
}

const NO_FREE_TIME: &str = "no nanosecond is free after this time: give the row an earlier one";
/// A batch is handed out when it has this many bytes. What one more record can add
/// (`RECORD_BYTES_MAX`) still fits into `BATCH_BYTES_MAX`.
const BATCH_BYTES_ENOUGH: usize = 16 << 20;
const _: () = assert!(BATCH_BYTES_ENOUGH + RECORD_BYTES_MAX + 8 * FIELDS_MAX < BATCH_BYTES_MAX);
/// What a batch counts for a row without values.
const ROW_BYTES: usize = 12;
const DEVICES_MAX: usize = 16_384;
