//! Rows in columns, on their way out: what results hand out, piece by piece.

use std::sync::Arc;
use tidelog_engine::{AnswerField, Column, FieldType, RowBatch, ValueRef};

/// What all blocks of a result have in common.
#[derive(Debug)]
pub struct Shape {
    /// Rows are of devices.
    pub devices: bool,
    /// Rows have times.
    pub times: bool,
    pub fields: Vec<AnswerField>,
}

/// Some rows.
#[derive(Debug)]
pub struct Block {
    pub rows: usize,
    pub batch: RowBatch,
}

impl Block {
    /// Of a query's answer.
    pub fn of_answer(batch: RowBatch) -> Self {
        Block { rows: batch.rows(), batch }
    }
}

/// Rows that are made here, by names and types: lists, reports, statuses.
#[derive(Debug)]
pub struct Table {
    fields: Vec<AnswerField>,
    columns: Vec<Column>,
}

/// A value of a table, or its absence.
pub(crate) type Cell<'v> = Option<ValueRef<'v>>;

impl Table {
    pub fn new(fields: &[(&str, FieldType)]) -> Self {
        let field = |(name, kind): &(&str, FieldType)| AnswerField {
            name: (*name).to_owned(),
            kind: *kind,
        };
        Table {
            fields: fields.iter().map(field).collect(),
            columns: fields.iter().map(|(_, kind)| Column::new(*kind)).collect(),
        }
    }

    /// Adds a row: a cell for each column, of its type.
    pub fn push(&mut self, cells: &[Cell<'_>]) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            match cell {
                Some(value) => assert!(column.push(*value), "a cell of its column's type"),
                None => column.push_absent(),
            }
        }
    }

    pub fn into_parts(self) -> (Arc<Shape>, Block) {
        let rows = self.columns.first().map_or(0, Column::len);
        let batch = RowBatch { columns: self.columns, ..RowBatch::default() };
        let shape = Shape { devices: false, times: false, fields: self.fields };
        (Arc::new(shape), Block { rows, batch })
    }
}
