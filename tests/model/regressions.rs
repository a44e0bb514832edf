//! What random sequences found, as the shortest that shows it.

use crate::ask::{Ask, Shape};
use crate::operations::{Step, World};
use tidelog_engine::{Comparison, Durability, Fill, Predicate};
use tidelog_model::{Device, DeviceSelector, TimeRange, Value};
use tidelog_tests::generate::EPOCH;
use tidelog_tests::oracle::{Delete, RowWrite};

fn row(time: i64, values: &[(&str, Value)]) -> RowWrite {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    RowWrite { device: Device::named("pump_1").unwrap(), time, values }
}

fn write(rows: Vec<RowWrite>) -> Step {
    Step::Write(0, rows, Durability::Os)
}

fn ask() -> Ask {
    Ask {
        devices: DeviceSelector::all(),
        fields: None,
        range: TimeRange::ALL,
        filter: None,
        descending: false,
        limit: None,
        shape: Shape::Latest,
    }
}

fn delete(from: i64, to: i64) -> Step {
    let range = TimeRange::inclusive(from, to).unwrap();
    Step::Delete(0, false, Delete { devices: DeviceSelector::all(), fields: None, range })
}

fn live(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        world.step(step);
    }
    world.finish();
}

/// A device's newest row in memory was answered although it has none of the fields that are asked for.
#[test]
fn the_latest_row_has_a_value_of_the_fields_asked_for() {
    let asked = Ask { fields: Some(vec!["f64".into()]), ..ask() };
    live(&[
        write(vec![row(1, &[("f64", Value::F64(1.0))]), row(2, &[("i64", Value::I64(1))])]),
        Step::Ask(0, asked),
    ]);
}

/// The same with a filter, whose answer was also kept for those who ask without one.
#[test]
fn the_latest_row_satisfies_the_filter() {
    let filter =
        Predicate { field: "i64".into(), comparison: Comparison::Less, value: Value::I64(5) };
    let filtered = Step::Ask(0, Ask { filter: Some(filter), ..ask() });
    live(&[
        write(vec![row(1, &[("i64", Value::I64(1))]), row(2, &[("i64", Value::I64(9))])]),
        filtered.clone(),
        Step::Flush,
        filtered,
        Step::Ask(0, ask()),
    ]);
}

/// A delete that takes the place of another leaves their number as it was. What was known of the latest rows was
/// kept by that number.
#[test]
fn the_latest_row_follows_a_delete_that_supersedes_another() {
    live(&[
        write(vec![row(1, &[]), row(5, &[])]),
        Step::Flush,
        delete(4, 6),
        Step::Ask(0, ask()),
        delete(0, 9),
        Step::Ask(0, ask()),
    ]);
}

/// Without an open end the one window is named by the first row that counts; a row that is filtered out gave its
/// time when it stood in the same page.
#[test]
fn a_window_is_named_by_a_row_that_counts() {
    let filter =
        Predicate { field: "i64".into(), comparison: Comparison::Greater, value: Value::I64(5) };
    let shape = Shape::Windows {
        every: None,
        aggregates: vec![tidelog_engine::Aggregate::Count],
        together: false,
        fill: Fill::None,
    };
    let asked = Step::Ask(0, Ask { filter: Some(filter), shape, ..ask() });
    live(&[
        write(vec![row(1, &[("i64", Value::I64(1))]), row(2, &[("i64", Value::I64(9))])]),
        asked.clone(),
        Step::Compact,
        asked,
    ]);
}

/// The first row, the only one without a value, is cut off by retention. The column of the rest kept its bitmap,
/// and the file that held it could not be read again.
#[test]
fn a_column_whose_gaps_were_cut_off_can_be_read_again() {
    let day = 86_400_000_000_000;
    let values = [("f64", Value::F64(1.0))];
    live(&[
        write(vec![row(EPOCH - 3 * day, &[]), row(EPOCH, &values), row(EPOCH + 1, &values)]),
        Step::Retain(0, 1),
        Step::Flush,
        Step::Compact,
    ]);
}

/// A write waits for its fsync while an older and a newer one are flushed: their file may not lift the older one's
/// stamp above the waiting one's.
#[test]
fn a_write_in_flight_during_a_flush_keeps_its_place() {
    use tidelog_tests::subject;
    let (disk, clock) = (tidelog_tests::disk::SimDisk::new(), subject::clock(1));
    let store = subject::open(&disk, &clock).unwrap();
    let put = |time, value| {
        let rows = [row(time, &[("i64", Value::I64(value))])];
        subject::write(&store, "plant.boiler", &rows, Durability::Os).unwrap();
    };
    put(1, 10);
    let waiting = [row(1, &[("i64", Value::I64(20))])];
    let ticket = subject::submit(&store, "plant.boiler", &waiting).unwrap();
    put(2, 30);
    store.flush().unwrap();
    ticket.wait().unwrap();
    for _ in 0..2 {
        let rows = subject::whole_answer(&store, "plant.boiler").unwrap();
        assert_eq!(rows[0].values, [Some(Value::I64(20))]);
        store.compact().unwrap();
    }
}
