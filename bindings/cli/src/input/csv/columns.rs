//! One CSV file: its header, which says what the columns are, and its rows by that header.

use super::options::CsvOptions;
use crate::input::InputError;
use crate::input::cell::{CellError, CellRow};
use crate::input::devices::DeviceTable;
use crate::input::record::{Record, RecordReader};
use crate::input::source::{Input, Source};
use crate::time::parse_time;
use std::sync::Arc;
use tidelog::model::{FieldType, Name, VALUE_BYTES_MAX};

/// A file past its header.
pub(super) struct CsvText {
    records: RecordReader<Source>,
    pub(super) columns: Columns,
}

/// A record, or the line of a bad one and what is wrong with it.
pub(super) type RowText<'a> = Result<(&'a Columns, Record<'a>), (u64, String)>;

impl CsvText {
    pub(super) fn open(input: &Input, options: &CsvOptions) -> Result<Self, InputError> {
        let mut records = RecordReader::new(input.open()?);
        let header = match records.next() {
            Err(source) => return Err(InputError::Read { name: input.name().clone(), source }),
            Ok(None) => {
                Err((1, "there is no header line: begin with the names of the columns".into()))
            }
            Ok(Some(Err((line, fault)))) => Err((line, fault.to_string())),
            Ok(Some(Ok(header))) => Columns::new(header, options).map_err(|why| (header.line, why)),
        };
        let columns = header.map_err(|(line, why)| InputError::Header {
            name: input.name().clone(),
            line,
            why,
        })?;
        Ok(CsvText { records, columns })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        self.records.input().name()
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.records.input().bytes_read()
    }

    pub(super) fn next(&mut self) -> Result<Option<RowText<'_>>, InputError> {
        let name = self.records.input().name().clone();
        let record = self.records.next().map_err(|source| InputError::Read { name, source })?;
        Ok(record.map(|record| match record {
            Ok(record) => Ok((&self.columns, record)),
            Err((line, fault)) => Err((line, fault.to_string())),
        }))
    }
}

/// What the columns of a file are.
#[derive(Debug)]
pub(super) struct Columns {
    /// The header's line.
    pub(super) line: u64,
    device: usize,
    time: usize,
    /// By column.
    pub(super) roles: Vec<Role>,
}

#[derive(PartialEq, Debug)]
pub(super) enum Role {
    Device,
    Time,
    Field(Name),
}

impl Role {
    pub(super) fn declared(&self, options: &CsvOptions) -> Option<FieldType> {
        match self {
            Role::Device | Role::Time => None,
            Role::Field(name) => options.declared(name),
        }
    }
}

impl Columns {
    pub(super) fn new(header: Record<'_>, options: &CsvOptions) -> Result<Self, String> {
        let names: Vec<&str> = (0..header.len()).map(|index| header.at(index)).collect();
        let find = |name: &str, option| {
            names.iter().position(|column| *column == name).ok_or_else(|| {
                format!(
                    "no column is named {name:?}: name one of {} with {option}",
                    list(names.iter().copied())
                )
            })
        };
        let device = find(&options.device_column, "--device-column")?;
        let time = find(&options.time_column, "--time-column")?;
        if device == time {
            return Err(format!("{:?} cannot be device and time: name two columns", names[time]));
        }
        let mut roles = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(format!("two columns are named {name:?}: rename one"));
            }
            roles.push(match index {
                _ if index == device => Role::Device,
                _ if index == time => Role::Time,
                _ => {
                    Role::Field(Name::new("field", name).map_err(|error| {
                        format!("column {} cannot be a field: {error}", index + 1)
                    })?)
                }
            });
        }
        Ok(Columns { line: header.line, device, time, roles })
    }
}

/// The device's number and the time of a record; its values go to `row`, one per column that has a
/// type.
pub(super) fn parse_row(
    columns: &Columns,
    record: Record<'_>,
    types: &[Option<FieldType>],
    devices: &mut DeviceTable,
    row: &mut CellRow,
) -> Result<(usize, i64), String> {
    let (expected, found) = (columns.roles.len(), record.len());
    if found != expected {
        return Err(format!(
            "{found} fields where the header has {expected}: quote values that hold commas"
        ));
    }
    let time = parse_time(record.at(columns.time)).map_err(|error| error.to_string())?;
    let device = match record.at(columns.device) {
        "" => return Err("the device is empty: name it".to_string()),
        text => devices.number(text).map_err(|error| error.to_string())?,
    };
    row.clear();
    for (index, kind) in types.iter().enumerate() {
        if let Some(kind) = kind {
            row.push(*kind, record.at(index), record.is_quoted(index)).map_err(|error| {
                match &columns.roles[index] {
                    Role::Field(name) => format!("{name}: {error}"),
                    Role::Device | Role::Time => error.to_string(),
                }
            })?;
        } else if record.at(index).len() > VALUE_BYTES_MAX {
            return Err(CellError::TooLong.to_string());
        }
    }
    Ok((device, time))
}

pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
