//! A record of the log as a result: the rows of all its sub-batches in one block, or what a delete is about.

use crate::block::{Block, Shape, Table};
use crate::fault::Fault;
use crate::result::Rows;
use std::sync::Arc;
use tidelog_engine::{
    AnswerField, Column, FieldType, RowBatch, Stamp, SubBatch, SubBatchField, TailRecord,
    Tombstone, ValueRef, Values,
};

/// What a record tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Rows,
    Delete,
}

/// A record, read.
pub struct Told {
    pub kind: Kind,
    /// The collection, or the database of a delete in all of it.
    pub place: String,
    pub stamp: Stamp,
    pub rows: Rows,
}

pub(crate) fn read(record: &TailRecord) -> Result<Told, Fault> {
    if let Some(tombstone) = record.tombstone() {
        let place = match &tombstone.collection {
            Some(collection) => format!("{}.{collection}", tombstone.database),
            None => tombstone.database.to_string(),
        };
        let rows = Rows::of_table(delete(&tombstone));
        return Ok(Told { kind: Kind::Delete, place, stamp: tombstone.version.stamp, rows });
    }
    let subs = record.sub_batches();
    let Some(first) = subs.first() else {
        let message = "a record of the log cannot be read: run a check";
        return Err(Fault::new(
            crate::abi::TIDELOG_CORRUPT,
            crate::abi::TIDELOG_KIND_RESTORE,
            message,
        ));
    };
    let (place, stamp) = (first.collection().to_string(), first.version().stamp);
    Ok(Told { kind: Kind::Rows, place, stamp, rows: rows_of(&subs) })
}

/// Sub-batches have the fields of their own rows: together they have all of them.
fn rows_of(subs: &[SubBatch<'_>]) -> Rows {
    let mut fields: Vec<AnswerField> = Vec::new();
    for field in subs.iter().flat_map(SubBatch::fields) {
        if !fields.iter().any(|known| known.name == field.name()) {
            fields.push(AnswerField { name: field.name().to_owned(), kind: field.field_type() });
        }
    }
    let columns = fields.iter().map(|field| Column::new(field.kind)).collect();
    let mut batch = RowBatch { columns, ..RowBatch::default() };
    for sub in subs {
        for (device, rows) in sub.devices() {
            let number = u32::try_from(batch.devices.len()).unwrap_or(u32::MAX);
            batch.devices.push(Arc::from(device));
            batch.row_devices.resize(batch.row_devices.len() + rows, number);
        }
        sub.times_into(&mut batch.times);
        for (column, field) in batch.columns.iter_mut().zip(&fields) {
            match sub.fields().find(|of| of.name() == field.name) {
                Some(of) => extend(column, of, sub.rows()),
                None => column.pad(column.len() + sub.rows()),
            }
        }
    }
    let shape = Shape { devices: true, times: true, fields };
    Rows::of_block(shape, Block::of_answer(batch))
}

/// Adds the rows of one field: its values are packed, without those that are absent.
fn extend(column: &mut Column, field: SubBatchField<'_>, rows: usize) {
    let mut values = Values::new(field.field_type());
    field.values_into(&mut values);
    if field.all_present() {
        column.extend(&values);
        return;
    }
    let mut next = 0;
    for row in 0..rows {
        if field.is_present(row) {
            column.push(values.at(next));
            next += 1;
        } else {
            column.push_absent();
        }
    }
}

fn delete(tombstone: &Tombstone) -> Table {
    let names = ["database", "collection", "device", "device_prefix", "labels", "field"];
    let texts = names.iter().map(|name| (*name, FieldType::String));
    let times = ["first_ns", "last_ns"].map(|name| (name, FieldType::I64));
    let mut table = Table::new(&texts.chain(times).collect::<Vec<_>>());
    let selector = &tombstone.devices;
    let labels: Vec<String> =
        selector.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = (!labels.is_empty()).then(|| labels.join(","));
    let devices: Vec<Option<String>> = match &selector.devices {
        Some(devices) => devices.iter().map(|device| Some(device.to_text().into_owned())).collect(),
        None => vec![None],
    };
    let fields: Vec<Option<&str>> = match &tombstone.fields {
        Some(fields) => fields.iter().map(|field| Some(field.as_str())).collect(),
        None => vec![None],
    };
    for device in &devices {
        for field in &fields {
            table.push(&[
                Some(ValueRef::String(&tombstone.database)),
                tombstone.collection.as_deref().map(ValueRef::String),
                device.as_deref().map(ValueRef::String),
                selector.prefix.as_deref().map(ValueRef::String),
                labels.as_deref().map(ValueRef::String),
                field.map(ValueRef::String),
                Some(ValueRef::I64(tombstone.range.first())),
                Some(ValueRef::I64(tombstone.range.last())),
            ]);
        }
    }
    table
}
