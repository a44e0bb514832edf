//! The first reading: types of columns, devices, and which devices step back in time.

use super::columns::{Columns, Role, list, parse_row};
use super::options::CsvOptions;
use crate::input::InputError;
use crate::input::cell::CellRow;
use crate::input::devices::DeviceTable;
use crate::input::infer::Evidence;
use crate::input::nudge::{Order, SameTime};
use crate::input::record::Record;
use std::collections::HashMap;
use tidelog::model::{FieldType, Name};

/// What the first reading learns.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) names: Vec<Name>,
    numbers: HashMap<Name, usize>,
    /// By field number.
    evidence: Vec<Evidence>,
    /// By column of the file being read: the field's number.
    columns: Vec<Option<usize>>,
    pub(super) devices: DeviceTable,
    pub(super) order: Order,
    /// Types to check rows against, by column, and memory for that.
    declared: Vec<Option<FieldType>>,
    row: CellRow,
}

impl Scan {
    pub(super) fn begin_file(&mut self, columns: &Columns, options: &CsvOptions) {
        self.declared = columns.roles.iter().map(|role| role.declared(options)).collect();
        self.columns.clear();
        for role in &columns.roles {
            let number = match role {
                Role::Device | Role::Time => None,
                Role::Field(name) => Some(*self.numbers.entry(name.clone()).or_insert_with(|| {
                    self.names.push(name.clone());
                    self.evidence.push(Evidence::default());
                    self.names.len() - 1
                })),
            };
            self.columns.push(number);
        }
    }

    /// Takes a row into account, unless the second reading will leave it out.
    pub(super) fn observe(&mut self, columns: &Columns, record: Record<'_>, same_time: SameTime) {
        let parsed = parse_row(columns, record, &self.declared, &mut self.devices, &mut self.row);
        let Ok((device, time)) = parsed else { return };
        if same_time == SameTime::Nudge {
            self.order.observe(device, time);
        }
        for (column, number) in self.columns.iter().enumerate() {
            if let (Some(number), None) = (number, self.declared[column]) {
                self.evidence[*number].add(record.at(column), record.is_quoted(column));
            }
        }
    }

    pub(super) fn check_declared(&self, options: &CsvOptions) -> Result<(), InputError> {
        let mut unknown: Vec<&String> =
            options.types.keys().filter(|name| !self.numbers.contains_key(name.as_str())).collect();
        unknown.sort();
        match unknown.first() {
            None => Ok(()),
            Some(field) => Err(InputError::NoSuchColumn {
                field: field.to_string(),
                columns: list(self.names.iter().map(Name::as_str)),
            }),
        }
    }

    pub(super) fn types(&self, options: &CsvOptions) -> HashMap<Name, FieldType> {
        let kind = |(name, evidence): (&Name, &Evidence)| {
            let kind = options.declared(name).or(evidence.field_type())?;
            Some((name.clone(), kind))
        };
        self.names.iter().zip(&self.evidence).filter_map(kind).collect()
    }
}
