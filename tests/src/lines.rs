//! Answers as text, one line per row, to be compared and kept in files. Floats as their bits.

use tidelog_engine::{AnswerField, CollectionName, Query, QueryError, RowBatch, Store, ValueRef};

/// The rows of a query: `device,time,field=type:value,...`, absent cells left out.
///
/// # Errors
/// As the query's.
pub fn lines(
    store: &Store,
    collection: &CollectionName,
    query: Query,
) -> Result<Vec<String>, QueryError> {
    let answer = store.query(collection, query)?;
    let fields = answer.fields().to_vec();
    let mut lines = Vec::new();
    for batch in answer {
        lines.extend(lines_of(&fields, &batch?));
    }
    Ok(lines)
}

/// The rows of one batch.
#[must_use]
pub fn lines_of(fields: &[AnswerField], batch: &RowBatch) -> Vec<String> {
    let line = |row: usize| {
        let device = batch.device(row).map(ToString::to_string).unwrap_or_default();
        let mut line = format!("{device},{}", batch.times[row]);
        for (field, column) in fields.iter().zip(&batch.columns) {
            if let Some(value) = column.at(row) {
                line.push_str(&format!(",{}={}:{}", field.name, field.kind.name(), text(value)));
            }
        }
        line
    };
    (0..batch.rows()).map(line).collect()
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::F64(value) => format!("{:016x}", value.to_bits()),
        ValueRef::F32(value) => format!("{:08x}", value.to_bits()),
        ValueRef::I64(value) => value.to_string(),
        ValueRef::U64(value) => value.to_string(),
        ValueRef::Bool(value) => value.to_string(),
        ValueRef::String(value) => format!("{value:?}"),
        ValueRef::Bytes(value) => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
