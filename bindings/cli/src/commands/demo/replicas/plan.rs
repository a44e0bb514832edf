//! What is written and deleted on which replica, and what all of them must hold then.
//!
//! Each step is done twice: by a replica, and by a few lines on the map that is the demo's oracle.

use super::super::bundled::SETS;
use super::super::check::Rows;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use tidelog::{Batch, BatchError, CollectionName, Delete, Device, DeviceSelector, NameError};
use tidelog::{TimeRange, Timestamp};

const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;
/// Rows of a batch.
const BATCH: usize = 1_000;

/// The gauges of the bundled set, and the one that is new.
const HONOLULU: &str = "honolulu2010";
const CAN: &str = "can1998";
const SPARE: &str = "honolulu2010,sensor=spare";

/// The first half of each year: 1998 up to July, 2010 up to July.
const HALVES: [(&str, i64); 2] = [(CAN, 10_408 * DAY), (HONOLULU, 14_791 * DAY)];

/// 2010-03-09, 2010-04-01 and 2010-05-20; 1998-02-03 and 1998-06-05.
const LATE: i64 = 14_677 * DAY;
const SPARE_FROM: i64 = 14_700 * DAY;
const DELETED_THERE: i64 = 14_749 * DAY;
const DELETED_HERE: i64 = 10_260 * DAY;
const CORRECTED: i64 = 10_382 * DAY;

/// Something that is done on one replica.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    Write(Rows),
    /// Deletes the rows of a device from a time up to another, it excluded.
    Delete {
        device: String,
        from: i64,
        to: i64,
    },
}

/// The steps, each with the replica that does it.
pub(super) struct Plan {
    /// Filled with these while all are there.
    pub(super) filling: Vec<(usize, Step)>,
    /// Done while one is away: late rows, a correction, a delete on each side, a new device.
    pub(super) meanwhile: Vec<(usize, Step)>,
    /// Done when all are back.
    pub(super) afterwards: Vec<(usize, Step)>,
    /// What is done while one is away, in words.
    pub(super) told: String,
}

pub(super) fn collection() -> CollectionName {
    CollectionName::parse("demo.tide_gauge").expect("it is a name")
}

impl Plan {
    pub(super) fn new() -> io::Result<Self> {
        let mut all = SETS[0].rows()?;
        all.retain(|(device, time), _| {
            HALVES.iter().any(|half| half.0 == device && *time < half.1)
        });
        let of = |device: &str, from: i64, days: i64| -> Rows {
            let range = from..from + days * DAY;
            let inside = |(key, _): &(&(String, i64), _)| key.0 == device && range.contains(&key.1);
            all.iter().filter(inside).map(|(key, row)| (key.clone(), row.clone())).collect()
        };
        let mut late = of(HONOLULU, LATE, 3);
        let last = late.split_off(&(HONOLULU.to_owned(), LATE + 2 * DAY));
        let raised = |value: &tidelog::Value| match value {
            tidelog::Value::F64(level) => tidelog::Value::F64(level + 0.05),
            other => other.clone(),
        };
        let changed = |rows: Rows, device: &str| -> Rows {
            let row = |((_, time), row): ((String, i64), BTreeMap<_, _>)| {
                let row = row.iter().map(|(field, value)| (String::clone(field), raised(value)));
                ((device.to_owned(), time), row.collect())
            };
            rows.into_iter().map(row).collect()
        };
        let corrected = changed(of(CAN, CORRECTED, 1), CAN);
        let spare = changed(of(HONOLULU, SPARE_FROM, 7), SPARE);
        let told = format!(
            "{} late rows and a delete on a; {} corrected rows, a delete and a new device of {} rows on b",
            late.len(),
            corrected.len(),
            spare.len()
        );
        let held_back = |key: &(String, i64)| late.contains_key(key) || last.contains_key(key);
        let first = all.iter().filter(|(key, _)| !held_back(key));
        let (even, odd): (Vec<_>, Vec<_>) = first
            .map(|(key, row)| (key.clone(), row.clone()))
            .partition(|(key, _)| (key.1 / DAY) % 2 == 0);
        let chunks = |replica: usize, rows: Vec<_>| -> Vec<(usize, Step)> {
            let step = |rows: &[_]| (replica, Step::Write(rows.iter().cloned().collect()));
            rows.chunks(BATCH).map(step).collect()
        };
        let delete =
            |device: &str, from: i64, to: i64| Step::Delete { device: device.to_owned(), from, to };
        Ok(Plan {
            filling: [chunks(0, even), chunks(1, odd)].concat(),
            meanwhile: vec![
                (0, Step::Write(late)),
                (1, Step::Write(corrected)),
                (0, delete(CAN, DELETED_HERE, DELETED_HERE + 6 * HOUR)),
                (1, delete(HONOLULU, DELETED_THERE, DELETED_THERE + DAY)),
                (1, Step::Write(spare)),
            ],
            afterwards: vec![(0, Step::Write(last))],
            told,
        })
    }
}

impl Step {
    /// Does it on the oracle.
    pub(super) fn apply(&self, rows: &mut Rows) {
        match self {
            Step::Write(new) => {
                for (key, row) in new {
                    rows.entry(key.clone()).or_default().extend(row.clone());
                }
            }
            Step::Delete { device, from, to } => {
                rows.retain(|(own, time), _| own != device || !(*from..*to).contains(time));
            }
        }
    }

    pub(super) fn batch(&self, collection: &CollectionName) -> Result<Batch, BatchError> {
        let mut batch = Batch::for_collection(collection.clone());
        if let Step::Write(rows) = self {
            for ((device, time), row) in rows {
                let values = row.iter().map(|(field, value)| (field.as_str(), value.as_ref()));
                batch.push(device, *time, values)?;
            }
        }
        Ok(batch)
    }

    pub(super) fn delete(&self, collection: &CollectionName) -> Result<Delete, NameError> {
        let delete = Delete::collection(collection);
        let Step::Delete { device, from, to } = self else { return Ok(delete) };
        let devices = Some(vec![Device::parse(device)?]);
        let selector = DeviceSelector { devices, ..DeviceSelector::default() };
        let range = TimeRange::new(Some(Timestamp(*from)), Some(Timestamp(*to)));
        Ok(delete.devices(selector).range(range.unwrap_or(TimeRange::ALL)))
    }

    /// As a request. Numbers that are floats go as their bits: text would have to be read back exactly.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Step::Write(rows) => {
                let value = |value: &tidelog::Value| match value {
                    tidelog::Value::F64(number) => json!({ "f64_bits": number.to_bits() }),
                    tidelog::Value::I64(number) => json!({ "i64": number }),
                    _ => Value::Null,
                };
                let row = |((device, time), row): (&(String, i64), &BTreeMap<String, _>)| {
                    let row: serde_json::Map<String, Value> =
                        row.iter().map(|(field, of)| (field.clone(), value(of))).collect();
                    json!([device, time, row])
                };
                json!({ "do": "write", "rows": rows.iter().map(row).collect::<Vec<_>>() })
            }
            Step::Delete { device, from, to } => {
                json!({ "do": "delete", "device": device, "from": from, "to": to })
            }
        }
    }

    /// What [`Self::to_json`] made.
    pub(super) fn from_json(request: &Value) -> Option<Self> {
        let value = |value: &Value| {
            let bits = value["f64_bits"].as_u64().map(f64::from_bits).map(tidelog::Value::F64);
            bits.or_else(|| value["i64"].as_i64().map(tidelog::Value::I64))
        };
        let row = |row: &Value| {
            let fields = row[2].as_object()?.iter();
            let fields = fields.map(|(field, of)| Some((field.clone(), value(of)?)));
            let key = (row[0].as_str()?.to_owned(), row[1].as_i64()?);
            Some((key, fields.collect::<Option<BTreeMap<_, _>>>()?))
        };
        match request["do"].as_str()? {
            "write" => {
                let rows = request["rows"].as_array()?.iter();
                Some(Step::Write(rows.map(row).collect::<Option<Rows>>()?))
            }
            "delete" => Some(Step::Delete {
                device: request["device"].as_str()?.to_owned(),
                from: request["from"].as_i64()?,
                to: request["to"].as_i64()?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_changes_something_and_arrives_as_it_is() {
        let plan = Plan::new().unwrap();
        let mut rows = Rows::new();
        for (_, step) in plan.filling.iter().chain(&plan.meanwhile).chain(&plan.afterwards) {
            assert_eq!(Step::from_json(&step.to_json()).as_ref(), Some(step));
            let before = rows.clone();
            step.apply(&mut rows);
            assert_ne!(rows, before, "{step:?}");
        }
        // All rows of two half years, less two deletes, and the new device.
        let of = |device: &str| rows.keys().filter(|(own, _)| own == device).count();
        assert_eq!(of(HONOLULU), 4_344 - 24);
        assert_eq!(of(CAN), 4_344 - 6);
        assert_eq!(of(SPARE), 7 * 24);
    }
}
