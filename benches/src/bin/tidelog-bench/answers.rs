//! The seven questions, asked of a store.

use std::time::Duration;

use tidelog_benches::query::{ABOVE, Answer, HOUR, MINUTE, Query};
use tidelog_benches::workload::{FIELDS, device_name};
use tidelog_engine::{
    Aggregate, Comparison, Device, DeviceSelector, Every, GroupBy, Predicate, Query as Ask,
    RowBatch, Store, Timestamp, Value, Values,
};

use crate::engine::collection;
use crate::report::Result;

/// Asks one question and sums up the answer.
pub(crate) fn answer(store: &Store, query: &Query) -> Result<Answer> {
    let collection = collection()?;
    if let Query::Last = query {
        let (_, rows) = store.latest(&collection, Ask::new())?;
        return Ok(Answer { rows: rows.rows() as u64, checksum: checksum(&rows) });
    }
    sum(store, ask(query)?)
}

/// Reads every row and every field of the store.
pub(crate) fn scan(store: &Store) -> Result<Answer> {
    sum(store, Ask::new())
}

fn sum(store: &Store, ask: Ask) -> Result<Answer> {
    let mut answer = Answer { rows: 0, checksum: 0.0 };
    for batch in store.query(&collection()?, ask)? {
        let batch = batch?;
        answer.rows += batch.rows() as u64;
        answer.checksum += checksum(&batch);
    }
    Ok(answer)
}

fn ask(query: &Query) -> Result<Ask> {
    let one = |device: u32| -> Result<DeviceSelector> {
        Ok(DeviceSelector::one(Device::named(&device_name(device))?))
    };
    let span =
        |start: i64, end: i64| Ask::new().range(Some(Timestamp(start)), Some(Timestamp(end)));
    let every = |width: i64| Every::Duration(Duration::from_nanos(width.unsigned_abs()));
    let usage_user = [FIELDS[0]];
    Ok(match *query {
        Query::MaxPerMinute { device, start, end } => span(start, end)
            .devices(one(device)?)
            .fields(usage_user)
            .every(every(MINUTE))
            .aggregates([Aggregate::Max]),
        Query::MeanPerMinute { start, end } => {
            span(start, end).fields(usage_user).every(every(MINUTE)).aggregates([Aggregate::Mean])
        }
        Query::Last => Ask::new(),
        Query::MeanPerHour => {
            Ask::new().fields(usage_user).every(every(HOUR)).aggregates([Aggregate::Mean])
        }
        Query::Device { device } => Ask::new().devices(one(device)?),
        Query::CountAbove => Ask::new()
            .fields(usage_user)
            .filter(Predicate {
                field: FIELDS[0].to_owned(),
                comparison: Comparison::Greater,
                value: Value::F64(ABOVE),
            })
            .aggregates([Aggregate::Count])
            .group_by(GroupBy::None),
        Query::Hundred { device, start, end } => span(start, end).devices(one(device)?),
    })
}

/// The sum of all values. An absent one is stored as zero.
fn checksum(rows: &RowBatch) -> f64 {
    let sum = |values: &Values| match values {
        Values::F64(values) => values.iter().sum::<f64>(),
        Values::U64(values) => values.iter().sum::<u64>() as f64,
        other => panic!("W has no {:?}", other.field_type()),
    };
    rows.columns.iter().map(|column| sum(column.values())).sum()
}
