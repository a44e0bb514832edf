//! What a store answers, and how it differs from what it should.

use crate::error::CommandError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidelog::{CollectionName, Every, Query, Store, Value, ValueRef};

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

/// By device, hour and field: the mean.
type Means = BTreeMap<(String, i64, String), f64>;

/// Asks for the hourly means of all numbers and compares them with means of the expected rows. How many
/// there are, and the first difference.
pub(super) fn hourly_means(
    store: &Store,
    collection: &CollectionName,
    expected: &Rows,
) -> Result<(u64, Option<String>), CommandError> {
    let expected = own_means(expected);
    let fields: BTreeSet<String> = expected.keys().map(|(_, _, field)| field.clone()).collect();
    let found = asked_means(store, collection, &fields)?;
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let difference = keys.into_iter().find_map(|key| {
        let (own, found) = (expected.get(key), found.get(key));
        // The engine may add in another order: the last bits differ.
        let is_equal = match (own, found) {
            (Some(own), Some(found)) => (found - own).abs() <= 1e-12 * own.abs().max(1.0),
            _ => false,
        };
        let (device, hour, field) = key;
        let told =
            || format!("the mean of {field} of {device} at {hour} ns is {found:?}, not {own:?}");
        (!is_equal).then(told)
    });
    Ok((found.len() as u64, difference))
}

fn own_means(rows: &Rows) -> Means {
    let mut sums: BTreeMap<(String, i64, String), (f64, u64)> = BTreeMap::new();
    for ((device, time), values) in rows {
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
    sums.into_iter().map(|(key, (sum, count))| (key, sum / count as f64)).collect()
}

fn asked_means(
    store: &Store,
    collection: &CollectionName,
    fields: &BTreeSet<String>,
) -> Result<Means, CommandError> {
    let hour = Every::Duration(Duration::from_nanos(HOUR.unsigned_abs()));
    let mut means = Means::new();
    for batch in store.query(collection, Query::new().fields(fields).every(hour))? {
        let batch = batch?;
        for row in 0..batch.rows() {
            let device = batch.device(row).map_or("", |device| device.as_ref());
            for (field, column) in fields.iter().zip(&batch.columns) {
                if let Some(ValueRef::F64(mean)) = column.at(row) {
                    means.insert((device.to_owned(), batch.times[row], field.clone()), mean);
                }
            }
        }
    }
    Ok(means)
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
