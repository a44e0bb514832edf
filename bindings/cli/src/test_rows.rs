//! What a batch holds, for tests: a batch shows its rows where it is cut, by device and time.

use crate::print::Header;
use std::sync::Arc;
use tidelog::RowBatch;
use tidelog::model::{
    Batch, Bitmap, Column, Cutter, FieldType, LeafWidth, Stamp, StoreId, SubBatch, Value, Values,
    Version,
};

/// A row and its present values.
pub(crate) struct CutRow {
    pub(crate) device: Arc<str>,
    pub(crate) time: i64,
    pub(crate) values: Vec<(String, Value)>,
}

/// The columns that an answer with all of the batch would have.
pub(crate) fn header_of(batch: &Batch) -> Header {
    let fields = batch.fields().map(|(name, kind)| (name.to_string(), kind)).collect();
    Header { has_devices: true, fields }
}

/// The rows as an answer, sorted by device and time.
pub(crate) fn answer_of(batch: &Batch) -> RowBatch {
    let fields: Vec<(String, FieldType)> = header_of(batch).fields;
    let columns = fields.iter().map(|(_, kind)| Column::new(*kind)).collect();
    let mut answer = RowBatch { columns, ..RowBatch::default() };
    let version = Version { stamp: Stamp(1), origin: StoreId([1; 16]) };
    batch.cut(1, version, LeafWidth::Hour, &mut Cutter::default(), |sub| {
        let bytes = sub.write_to(Default::default());
        let sub = SubBatch::read(&bytes).unwrap();
        for (number, (device, rows)) in sub.devices().enumerate() {
            answer.devices.push(device.into());
            answer.row_devices.extend(std::iter::repeat_n(number as u32, rows));
        }
        sub.times_into(&mut answer.times);
        for ((name, kind), column) in fields.iter().zip(&mut answer.columns) {
            match sub.fields().find(|field| field.name() == name) {
                None => column.pad(sub.rows()),
                Some(field) => {
                    let mut packed = Values::new(*kind);
                    field.values_into(&mut packed);
                    let mut spread = Values::new(*kind);
                    let mut presence = Bitmap::new();
                    let mut next = 0;
                    for row in 0..sub.rows() {
                        presence.push(field.is_present(row));
                        if field.is_present(row) {
                            spread.push(packed.at(next));
                            next += 1;
                        } else {
                            spread.push_zero();
                        }
                    }
                    *column = Column::from_parts(spread, Some(presence)).unwrap();
                }
            }
        }
    });
    answer
}

/// The rows one by one, sorted by device and time.
pub(crate) fn cut_rows(batch: &Batch) -> Vec<CutRow> {
    let (header, answer) = (header_of(batch), answer_of(batch));
    let row = |row: usize| CutRow {
        device: answer.devices[answer.row_devices[row] as usize].clone(),
        time: answer.times[row],
        values: header
            .fields
            .iter()
            .zip(&answer.columns)
            .filter_map(|((name, _), column)| Some((name.clone(), column.at(row)?.to_owned())))
            .collect(),
    };
    (0..answer.rows()).map(row).collect()
}
