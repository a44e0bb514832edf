//! Lists and reports of a store as tables. Their columns are promised in the comments of the functions that hand them out.

use crate::block::{Block, Shape, Table};
use crate::fault::Fault;
use crate::result::Rows;
use FieldType::{Bytes, I64, String as Text, U64};
use tidelog_engine::model::device;
use tidelog_engine::{
    CollectionName, Column, Difference, DigestRow, Downsampled, FieldType, Finding, QueryError,
    RowBatch, Store, ValueRef,
};

fn text(value: &str) -> Option<ValueRef<'_>> {
    Some(ValueRef::String(value))
}

fn number(value: u64) -> Option<ValueRef<'static>> {
    Some(ValueRef::U64(value))
}

fn time(value: i64) -> Option<ValueRef<'static>> {
    Some(ValueRef::I64(value))
}

pub fn collections(store: &Store) -> Result<Table, Fault> {
    let mut table = Table::new(&[
        ("collection", Text),
        ("devices", U64),
        ("rows", U64),
        ("values", U64),
        ("fields", U64),
        ("first_ns", I64),
        ("last_ns", I64),
        ("kept_from_ns", I64),
        ("retention", Text),
    ]);
    for one in store.collections()? {
        table.push(&[
            text(&one.name.to_string()),
            number(one.devices),
            number(one.rows),
            number(one.values),
            number(one.fields.len() as u64),
            one.range.and_then(|range| time(range.0)),
            one.range.and_then(|range| time(range.1)),
            one.cut.and_then(time),
            text(&one.retention.to_string()),
        ]);
    }
    Ok(table)
}

pub fn fields(store: &Store, name: &CollectionName) -> Result<Table, Fault> {
    let mut table = Table::new(&[("name", Text), ("kind", U64), ("type", Text)]);
    let found = store.collections()?.into_iter().find(|one| one.name == *name);
    let found = found.ok_or_else(|| QueryError::NoCollection { name: name.clone() })?;
    for (field, kind) in found.fields {
        table.push(&[text(&field), number(u64::from(kind as u8)), text(kind.name())]);
    }
    Ok(table)
}

pub fn epochs(store: &Store) -> Table {
    let mut table = Table::new(&[("group", U64), ("epoch", U64)]);
    for (group, epoch) in store.epochs() {
        table.push(&[number(u64::from(group.0)), number(epoch.0)]);
    }
    table
}

pub fn findings(findings: &[Finding]) -> Table {
    let mut table = Table::new(&[
        ("path", Text),
        ("what", Text),
        ("collection", Text),
        ("device", Text),
        ("first_ns", I64),
        ("last_ns", I64),
    ]);
    for finding in findings {
        let collection = finding.collection.as_ref().map(ToString::to_string);
        table.push(&[
            text(&finding.path),
            text(&finding.what),
            collection.as_deref().and_then(text),
            finding.device.as_deref().and_then(text),
            finding.range.and_then(|range| time(range.first())),
            finding.range.and_then(|range| time(range.last())),
        ]);
    }
    table
}

pub fn digests(digests: &[DigestRow]) -> Table {
    let mut table = Table::new(&[
        ("group", U64),
        ("first_ns", I64),
        ("last_ns", I64),
        ("device", Text),
        ("digest", Bytes),
    ]);
    for row in digests {
        let device = row.device.as_ref().map(|canonical| device::to_text(canonical));
        table.push(&[
            row.group.and_then(|group| number(u64::from(group.0))),
            time(row.window.first()),
            time(row.window.last()),
            device.as_deref().and_then(text),
            Some(ValueRef::Bytes(&row.digest.0)),
        ]);
    }
    table
}

pub fn differences(differences: &[Difference]) -> Table {
    let mut table = Table::new(&[
        ("group", U64),
        ("first_ns", I64),
        ("last_ns", I64),
        ("device", Text),
        ("rows_here", U64),
        ("rows_there", U64),
        ("missing", U64),
        ("extra", U64),
        ("mismatched", U64),
    ]);
    for one in differences {
        table.push(&[
            number(u64::from(one.group.0)),
            time(one.window.first()),
            time(one.window.last()),
            text(&device::to_text(&one.device)),
            number(one.rows.0),
            number(one.rows.1),
            number(one.missing),
            number(one.extra),
            number(one.mismatched),
        ]);
    }
    table
}

/// The points of one field, device by device.
pub fn points(points: Downsampled) -> Result<Rows, Fault> {
    let fields = points.fields().to_vec();
    let kind = fields.first().map_or(FieldType::F64, |field| field.kind);
    let mut batch = RowBatch { columns: vec![Column::new(kind)], ..RowBatch::default() };
    for points in points {
        let points = points?;
        let number = u32::try_from(batch.devices.len()).unwrap_or(u32::MAX);
        batch.devices.push(points.device);
        batch.row_devices.resize(batch.row_devices.len() + points.times.len(), number);
        batch.times.extend(points.times);
        batch.columns[0].extend_from(&points.values, 0, points.values.len());
    }
    let shape = Shape { devices: true, times: true, fields };
    Ok(Rows::of_block(shape, Block::of_answer(batch)))
}
