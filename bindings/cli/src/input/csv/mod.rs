//! CSV as rows: a first reading finds the types of the columns, a second one fills batches.
//!
//! The first line names the columns; one is the device, one the time, all others are fields. An
//! empty field is absent, `""` is the empty string, and a row without values is still a row. See
//! `infer.rs` for the types. A column without any value in all files is no field, unless its type
//! is declared.

mod columns;
mod options;
mod reader;
mod scan;

pub(crate) use options::{CsvOptions, TypesError, parse_types};
pub(crate) use reader::CsvReader;

use super::InputError;
use super::devices::DeviceTable;
use super::nudge::Nudger;
use super::source::Input;
use columns::CsvText;
use scan::Scan;
use std::collections::HashMap;
use tidelog::model::{CollectionName, FieldType, Name};

/// What a first reading of all files found out: everything needed to read them into batches.
#[derive(Debug)]
pub(crate) struct CsvPlan {
    collection: CollectionName,
    inputs: Vec<Input>,
    options: CsvOptions,
    types: HashMap<Name, FieldType>,
    /// Field names in the order of their first appearance.
    names: Vec<Name>,
    devices: DeviceTable,
    nudger: Nudger,
}

impl CsvPlan {
    /// Reads all files once. They share the types of their columns, their devices and, with
    /// [`SameTime::Nudge`], the times in use. `progress` is told the bytes read and those of all
    /// files, now and then.
    ///
    /// # Errors
    /// When a file cannot be read or its header does not fit. Bad lines are passed over here: the
    /// second reading reports them.
    pub(crate) fn scan(
        collection: CollectionName,
        inputs: Vec<Input>,
        options: CsvOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, InputError> {
        let inputs: Vec<Input> =
            inputs.into_iter().map(Input::rereadable).collect::<Result<_, _>>()?;
        let bytes = inputs.iter().filter_map(Input::bytes).sum();
        let mut scan = Scan::default();
        let mut bytes_before = 0;
        for input in &inputs {
            let mut text = CsvText::open(input, &options)?;
            scan.begin_file(&text.columns, &options);
            let mut records = 0u64;
            while let Some(record) = text.next()? {
                if let Ok((columns, record)) = record {
                    scan.observe(columns, record, options.same_time);
                }
                records += 1;
                if records.is_multiple_of(PROGRESS_RECORDS) {
                    progress(bytes_before + text.bytes_read(), bytes);
                }
            }
            bytes_before += text.bytes_read();
            progress(bytes_before, bytes);
        }
        scan.check_declared(&options)?;
        Ok(CsvPlan {
            collection,
            inputs,
            types: scan.types(&options),
            names: scan.names,
            devices: scan.devices,
            nudger: Nudger::new(scan.order),
            options,
        })
    }

    /// The files, each of which can be read again.
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The fields that the files have, in the order of their first appearance.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Name, FieldType)> {
        self.names.iter().filter_map(|name| Some((name, *self.types.get(name)?)))
    }

    /// Begins the second reading of one of [`Self::inputs`]. Read each once, in their order: nudged
    /// times depend on it.
    ///
    /// # Errors
    /// When the file cannot be read or its header does not fit.
    ///
    /// # Panics
    /// When there is no such input.
    pub(crate) fn read(&mut self, input: usize) -> Result<CsvReader<'_>, InputError> {
        let text = CsvText::open(&self.inputs[input], &self.options)?;
        Ok(CsvReader::new(self, text))
    }
}

const PROGRESS_RECORDS: u64 = 10_000;

#[cfg(test)]
pub(in crate::input) mod tests;
