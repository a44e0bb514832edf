//! What a store answers, and how it differs from what it should.

use crate::error::CommandError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidelog::{CollectionName, Every, Query, Store, Value};

/// Rows by device and time: the values that are present, by field.
pub(super) type Rows = BTreeMap<(String, i64), BTreeMap<String, Value>>;

const HOUR: i64 = 3_600_000_000_000;

/// All rows of a collection.
pub(super) fn rows_of(store: &Store, collection: &CollectionName) -> Result<Rows, CommandError> {
    let answer = store.query(collection, Query::new())?;
    let fields = answer.fields().to_vec();
    let mut rows = Rows::new();
    for batch in answer {
        let batch = batch?;
        for row in 0..batch.rows() {
            let device = batch.device(row).map_or_else(String::new, |device| device.to_string());
            let values = fields.iter().zip(&batch.columns).filter_map(|(field, column)| {
                Some((field.name.clone(), column.at(row)?.to_owned()))
            });
            rows.insert((device, batch.times[row]), values.collect());
        }
    }
    Ok(rows)
}

/// The first difference, and how many there are. Values are compared by their bits.
pub(super) fn difference(expected: &Rows, found: &Rows) -> Option<String> {
    let missing = expected.iter().filter(|(key, values)| found.get(key) != Some(values));
    let extra = found.keys().filter(|key| !expected.contains_key(key));
    let (wrong, first) =
        (missing.clone().count(), missing.map(|(key, _)| key).chain(extra.clone()).next());
    let ((device, time), extra) = (first?, extra.count());
    Some(format!(
        "{wrong} rows are missing or differ, {extra} are too many; the first is {device} at {time} ns"
    ))
}

/// Asks for the hourly means of all numbers and compares them with means of the expected rows. How many
/// there are, and the first difference.
pub(super) fn hourly_means(
    store: &Store,
    collection: &CollectionName,
    expected: &Rows,
) -> Result<(u64, Option<String>), CommandError> {
    let mut sums: BTreeMap<(String, i64, String), (f64, u64)> = BTreeMap::new();
    for ((device, time), values) in expected {
        for (field, value) in values {
            let number = match value {
                Value::F64(number) => *number,
                Value::I64(number) => *number as f64,
                _ => continue,
            };
            let hour = time.div_euclid(HOUR) * HOUR;
            let (sum, count) = sums.entry((device.clone(), hour, field.clone())).or_default();
            (*sum, *count) = (*sum + number, *count + 1);
        }
    }
    let fields: BTreeSet<String> = sums.keys().map(|(_, _, field)| field.clone()).collect();
    let query = Query::new().fields(&fields).every(Every::Duration(Duration::from_secs(3600)));
    let answer = store.query(collection, query)?;
    let (mut windows, mut difference) = (0, None);
    for batch in answer {
        let batch = batch?;
        for row in 0..batch.rows() {
            let device = batch.device(row).map_or("", |device| device.as_ref());
            for (field, column) in fields.iter().zip(&batch.columns) {
                let key = (device.to_owned(), batch.times[row], field.clone());
                let mean = match column.at(row) {
                    Some(tidelog::ValueRef::F64(mean)) => Some(mean),
                    _ => None,
                };
                let own = sums.remove(&key).map(|(sum, count)| sum / count as f64);
                // The engine may add in another order: the last bits differ.
                let is_equal = match (mean, own) {
                    (Some(mean), Some(own)) => (mean - own).abs() <= 1e-12 * own.abs().max(1.0),
                    (mean, own) => mean == own,
                };
                windows += u64::from(mean.is_some());
                if !is_equal && difference.is_none() {
                    difference = Some(format!(
                        "the mean of {field} of {device} at {} ns is {mean:?}, not {own:?}",
                        batch.times[row]
                    ));
                }
            }
        }
    }
    if let Some((device, hour, field)) = sums.keys().next() {
        difference = difference
            .or_else(|| Some(format!("the mean of {field} of {device} at {hour} ns is missing")));
    }
    Ok((windows, difference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_in_any_direction_is_told() {
        let row = |value: f64| BTreeMap::from([("f".to_owned(), Value::F64(value))]);
        let one = Rows::from([(("d".to_owned(), 1), row(0.0))]);
        let other = Rows::from([(("d".to_owned(), 1), row(-0.0))]);
        assert_eq!(difference(&one, &one), None);
        assert!(difference(&one, &other).unwrap().starts_with("1 rows are missing or differ, 0"));
        assert!(
            difference(&Rows::new(), &one).unwrap().starts_with("0 rows are missing or differ, 1")
        );
        assert!(difference(&one, &Rows::new()).unwrap().contains("d at 1 ns"));
    }
}
