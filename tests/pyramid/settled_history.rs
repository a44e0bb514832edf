//! Retention among everything else a store does: what it answers is what a store says that keeps all, and stores with
//! the same rows and cuts have the same digests.

use crate::history::name;
use proptest::prelude::*;
use std::sync::Arc;
use tidelog_engine::{
    Aggregate, Batch, Delete, Device, DeviceSelector, Durability, Every, GroupBy, Level, Options,
    Query, QueryError, RowBatch, Store, TimeRange, Timestamp, Unit, Upkeep, ValueRef, WriteError,
};
use tidelog_tests::disk::SimDisk;

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 1440 * MINUTE;
const DEVICES: [&str; 3] = ["a", "b", "c,site=x"];

#[derive(Clone, Debug)]
enum Op {
    /// Rows of a device from so many minutes before now on, every so many minutes.
    Write {
        device: usize,
        back: i64,
        step: i64,
        count: usize,
        seed: u64,
    },
    /// Now is so many days later.
    Advance(i64),
    /// Cuts move as far as they may.
    Keep,
    /// Of a device or all, from so many days before now on.
    Delete {
        device: usize,
        back: i64,
        days: i64,
        field: bool,
    },
    Flush,
    Compact,
    Seal,
    Reopen,
}

fn histories() -> impl Strategy<Value = Vec<Op>> {
    // Some days are dense enough for nodes of their own.
    let spacing = prop_oneof![2 => (1i64..200, 1usize..90), 1 => (1i64..4, 900usize..1800)];
    let write = (0usize..3, 0i64..4 * 1440, spacing, any::<u64>()).prop_map(
        |(device, back, (step, count), seed)| Op::Write { device, back, step, count, seed },
    );
    let delete = (0usize..4, 0i64..40, 1i64..6, any::<bool>())
        .prop_map(|(device, back, days, field)| Op::Delete { device, back, days, field });
    let op = prop_oneof![
        8 => write,
        3 => (1i64..9).prop_map(Op::Advance),
        3 => Just(Op::Keep),
        1 => delete,
        2 => Just(Op::Flush),
        1 => Just(Op::Compact),
        2 => Just(Op::Seal),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 4..40)
}

fn open(disk: &SimDisk, pyramid: bool) -> Store {
    let options = Options::new().upkeep(Upkeep::Caller).groups(2).pyramid(pyramid);
    options.open_on(Arc::new(disk.clone())).unwrap()
}

/// No row is later than `now`: cuts follow the newest.
fn batch(device: usize, (from, now): (i64, i64), step: i64, count: usize, seed: u64) -> Batch {
    let mut batch = Batch::new("plant.boiler").unwrap();
    let mut seed = seed | 1;
    for row in 0..(count as i64).min((now - from) / (step * MINUTE) + 1) {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let small = (seed >> 60) as i64;
        let mut values = Vec::new();
        if small % 4 != 0 {
            values.push(("f", ValueRef::F64(small as f64 / 3.0)));
        }
        if small % 3 != 0 {
            values.push(("i", ValueRef::I64((seed >> 40) as i64)));
        }
        if small % 5 == 1 {
            values.push(("s", ValueRef::String(if small > 7 { "on" } else { "off" })));
        }
        batch.push(DEVICES[device], from + row * step * MINUTE, values).unwrap();
    }
    batch
}

fn delete(device: usize, range: TimeRange, field: bool) -> Delete {
    let delete = Delete::collection(&name()).range(range);
    let delete = match DEVICES.get(device) {
        Some(one) => delete.devices(DeviceSelector::one(Device::parse(one).unwrap())),
        None => delete,
    };
    if field { delete.fields(["f"]).unwrap() } else { delete }
}

fn ask(store: &Store, query: Query) -> Result<RowBatch, QueryError> {
    store.query(&name(), query)?.collect_rows()
}

fn shown(rows: &RowBatch) -> Vec<String> {
    let cell = |value: Option<ValueRef<'_>>| match value {
        Some(ValueRef::F64(value)) => format!("{:x}", value.to_bits()),
        value => format!("{value:?}"),
    };
    (0..rows.rows())
        .map(|row| {
            let device = rows.row_devices.get(row).map(|at| &rows.devices[*at as usize]);
            let cells: Vec<String> = rows.columns.iter().map(|c| cell(c.at(row))).collect();
            format!("{device:?} {} {cells:?}", rows.times[row])
        })
        .collect()
}

/// What the one says, in whatever windows it still can, is what the other says.
fn compare(cut: &Store, whole: &Store, now: i64) -> Result<(), TestCaseError> {
    let exact = |aggregates: &[Aggregate], fields: &[&str]| {
        Query::new().aggregates(aggregates.iter().copied()).fields(fields.iter().copied())
    };
    let numbers: Vec<Aggregate> = Aggregate::ALL.into_iter().take(10).collect();
    let units = [Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year];
    for unit in units {
        for (query, back) in [
            (exact(&numbers, &["f"]), 4),
            (exact(&[Aggregate::Mean], &["f"]), 5),
            (exact(&[Aggregate::Count, Aggregate::Last], &["s", "i"]), 25),
            (exact(&[Aggregate::Mean], &["i"]).group_by(GroupBy::None), 200),
        ] {
            let every = Every::Calendar { unit, zone: None };
            let query = query.every(every).range(Some(Timestamp(now - back * DAY)), None);
            let (found, expected) = (ask(cut, query.clone()), ask(whole, query));
            match (found, expected) {
                (Ok(found), Ok(expected)) => {
                    prop_assert_eq!(shown(&found), shown(&expected), "{:?} {}", unit, back);
                }
                (Err(QueryError::ResolutionGone { .. }), _) => {}
                (Err(a), Err(b)) => prop_assert_eq!(a.to_string(), b.to_string()),
                (found, _) => panic!("{:?}", found.err()),
            }
        }
    }
    for (unit, fields) in [(Unit::Month, ["f", "i"]), (Unit::Year, ["i", "f"])] {
        let query = exact(&numbers, &fields).every(Every::Calendar { unit, zone: None });
        let (found, expected) = (ask(cut, query.clone()), ask(whole, query));
        let overflow = |error: &QueryError| matches!(error, QueryError::SumOverflow { .. });
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                prop_assert_eq!(shown(&found), shown(&expected), "{:?}", unit);
            }
            (Err(a), Err(b)) => prop_assert_eq!(a.to_string(), b.to_string()),
            (Err(error), Ok(_)) => panic!("months and years are kept: {error}"),
            (Ok(_), Err(error)) => prop_assert!(overflow(&error)),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn rollups_answer_as_the_rows_would_have(history in histories(), pyramid in any::<bool>()) {
        // The second takes the same rows and cuts and no upkeep; the third never cuts.
        let disk = SimDisk::new();
        let mut cut = open(&disk, pyramid);
        let (quiet, whole) = (open(&SimDisk::new(), true), open(&SimDisk::new(), false));
        let (mut now, mut kept) = (100 * DAY, None);
        for op in &history {
            match op {
                Op::Write { device, back, step, count, seed } => {
                    // One row of now beside it, so that all stores know what day it is.
                    let of_now = batch(2, (now, now), 1, 1, 3);
                    let batch = batch(*device, (now - back * MINUTE, now), *step, *count, *seed);
                    for store in [&cut, &quiet, &whole] {
                        store.write(&of_now, Durability::Os).unwrap();
                    }
                    match cut.write(&batch, Durability::Os) {
                        Ok(_) => {
                            quiet.write(&batch, Durability::Os).unwrap();
                            whole.write(&batch, Durability::Os).unwrap();
                        }
                        Err(WriteError::BelowCut { .. }) => {
                            let refused = quiet.write(&batch, Durability::Os);
                            let below = matches!(refused, Err(WriteError::BelowCut { .. }));
                            prop_assert!(below, "{:?}", refused);
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                Op::Advance(days) => now += days * DAY,
                Op::Keep => {
                    let retention = "raw=2d,1h=6d,1d=33d".parse().unwrap();
                    // Nothing is there yet.
                    if cut.set_retention(&name(), retention).is_ok() {
                        quiet.set_retention(&name(), retention).unwrap();
                        kept = Some(retention);
                    }
                }
                Op::Delete { device, back, days, field } => {
                    let first = now - back * DAY + 7 * MINUTE;
                    let range = TimeRange::inclusive(first, first + days * DAY).unwrap();
                    let range = match cut.delete(&delete(*device, range, *field)) {
                        Ok(_) => range,
                        Err(WriteError::DeleteBelowCut { accepted, .. }) => {
                            cut.delete(&delete(*device, accepted, *field)).unwrap();
                            accepted
                        }
                        Err(other) => panic!("{other}"),
                    };
                    quiet.delete(&delete(*device, range, *field)).unwrap();
                    whole.delete(&delete(*device, range, *field)).unwrap();
                }
                Op::Flush => cut.flush().unwrap(),
                Op::Compact => {
                    // It moves cuts too.
                    cut.compact().unwrap();
                    kept.iter().for_each(|kept| quiet.set_retention(&name(), *kept).unwrap());
                }
                Op::Seal => drop(cut.seal().unwrap()),
                Op::Reopen => {
                    drop(cut);
                    cut = open(&disk, pyramid);
                }
            }
        }
        compare(&cut, &whole, now)?;
        if ask(&cut, Query::new()).is_ok() {
            for level in [Level::Root, Level::Series] {
                let of = |store: &Store| store.digests(&name(), level, TimeRange::ALL).unwrap();
                prop_assert_eq!(of(&cut), of(&quiet), "{}", level);
            }
            cut.compact().unwrap();
            kept.iter().for_each(|kept| quiet.set_retention(&name(), *kept).unwrap());
            prop_assert_eq!(
                cut.digests(&name(), Level::Root, TimeRange::ALL).unwrap(),
                quiet.digests(&name(), Level::Root, TimeRange::ALL).unwrap()
            );
            compare(&cut, &whole, now)?;
            prop_assert!(cut.check(|_, _| true).unwrap().is_clean());
        }
    }
}

fn cases() -> u32 {
    if std::env::var_os("TIDELOG_LONG").is_some() { 2_000 } else { 64 }
}
