//! What a workload did and was told, and what may be in the store after a crash.

use tidelog_engine::{Durability, Store, WriteError};
use tidelog_model::{Device, DeviceSelector, Stamp, StoreId, TimeRange, Value, Version};
use tidelog_tests::clock::SimClock;
use tidelog_tests::disk::SimDisk;
use tidelog_tests::oracle::{Delete, Oracle, Query, RowRead, RowWrite};
use tidelog_tests::subject::{self, delete_of, whole_answer, write};

pub(crate) const NAME: &str = "plant.boiler";
const SECOND: i64 = 1_000_000_000;

/// One step of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Write(Durability),
    /// A batch of many kilobytes, so that the log goes on to its next segment.
    WriteLarge(Durability),
    /// Two batches in flight at once.
    Tickets,
    DeleteRange,
    DeleteDevice,
    DeleteField,
    Flush,
    Compact,
    Seal,
    /// Closes cleanly and opens again.
    Reopen,
    /// Pins the log where it ends.
    Pin,
}

/// An event that changes what is visible.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Write(Vec<RowWrite>),
    Delete(Delete),
}

/// How sure an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// Acknowledged as durable.
    Durable,
    /// Acknowledged, and to survive the process only.
    Process,
    /// Nobody was told, or an fsync failed: there whole, or not at all.
    Unknown,
    /// The store said that it did nothing.
    Refused,
}

/// What a workload did, in the order of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) events: Vec<(Effect, Told)>,
    /// Errors of steps that change nothing that is visible.
    pub(crate) failures: Vec<String>,
}

/// The batch that step number `number` writes: three devices, one row of an earlier step overwritten in
/// part, one row without values.
pub(crate) fn rows(number: usize, large: bool) -> Vec<RowWrite> {
    let n = number as i64;
    let device = |name: &str| Device::named(name).unwrap();
    let row = |name, time, values: &[(&str, Value)]| RowWrite {
        device: device(name),
        time,
        values: values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    let text = if large { "x".repeat(70_000) } else { format!("step {n}") };
    vec![
        row(
            "pump_1",
            n * SECOND,
            &[("level", Value::F64(n as f64)), ("state", Value::String(text))],
        ),
        row("pump_1", 0, &[("count", Value::I64(n))]),
        row("pump_2", n * SECOND, &[("count", Value::I64(-n))]),
        row("valve", (n - 1) * SECOND, &[]),
    ]
}

fn delete(step: Step, number: usize) -> Delete {
    let n = number as i64;
    let all = DeviceSelector::all();
    match step {
        Step::DeleteDevice => Delete {
            devices: DeviceSelector::one(Device::named("pump_2").unwrap()),
            fields: None,
            range: TimeRange::ALL,
        },
        Step::DeleteField => {
            Delete { devices: all, fields: Some(vec!["count".into()]), range: TimeRange::ALL }
        }
        _ => {
            let range = TimeRange::inclusive((n - 2) * SECOND, (n - 1) * SECOND).unwrap();
            Delete { devices: all, fields: None, range }
        }
    }
}

impl History {
    /// Runs steps on a store that is opened for them, and stops when the process dies or the store does not
    /// open. `first` numbers the first step, so that each writes something else.
    pub(crate) fn run(
        &mut self,
        disk: &SimDisk,
        clock: &SimClock,
        first: usize,
        steps: &[Step],
        close: bool,
    ) {
        let mut store = match subject::open(disk, clock) {
            Ok(store) => store,
            Err(error) => return self.failures.push(error.to_string()),
        };
        for (number, step) in (first..).zip(steps) {
            if disk.is_dead() {
                return;
            }
            match self.step(&store, number, *step) {
                Ok(()) => {}
                Err(Stop::Reopen) => {
                    let closed = store.close();
                    self.note(closed);
                    drop(store);
                    store = match subject::open(disk, clock) {
                        Ok(store) => store,
                        Err(error) => return self.failures.push(error.to_string()),
                    };
                }
            }
        }
        if close {
            let closed = store.close();
            self.note(closed);
        } else {
            // The process ends without a word, at the latest now.
            disk.kill();
        }
    }

    fn note<T, E: std::fmt::Display>(&mut self, result: Result<T, E>) {
        if let Err(error) = result {
            self.failures.push(error.to_string());
        }
    }

    pub(crate) fn step(&mut self, store: &Store, number: usize, step: Step) -> Result<(), Stop> {
        match step {
            Step::Write(durability) => self.write(store, rows(number, false), durability),
            Step::WriteLarge(durability) => self.write(store, rows(number, true), durability),
            Step::Tickets => self.tickets(store, number),
            Step::DeleteRange | Step::DeleteDevice | Step::DeleteField => {
                let delete = delete(step, number);
                let told =
                    told(store.delete(&delete_of(NAME, false, &delete).unwrap()), Told::Durable);
                self.events.push((Effect::Delete(delete), told));
            }
            Step::Flush => self.note(store.flush()),
            Step::Compact => self.note(store.compact()),
            Step::Seal => self.note(store.seal()),
            Step::Reopen => return Err(Stop::Reopen),
            Step::Pin => {
                let position = store.position().unwrap();
                self.note(store.pin("peer", position, 1 << 20, std::time::Duration::from_secs(60)));
            }
        }
        Ok(())
    }

    fn write(&mut self, store: &Store, rows: Vec<RowWrite>, durability: Durability) {
        let acknowledged =
            if durability == Durability::Sync { Told::Durable } else { Told::Process };
        let told = told(write(store, NAME, &rows, durability), acknowledged);
        self.events.push((Effect::Write(rows), told));
    }

    fn tickets(&mut self, store: &Store, number: usize) {
        let batches = [rows(number, false), rows(number + 100, false)];
        let tickets = batches.each_ref().map(|rows| subject::submit(store, NAME, rows));
        let waited = tickets.map(|ticket| ticket.and_then(tidelog_engine::Ticket::wait));
        for (rows, outcome) in batches.into_iter().zip(waited) {
            self.events.push((Effect::Write(rows), told(outcome, Told::Durable)));
        }
    }

    /// What the collection holds when these events took place.
    fn answer(&self, happened: impl Fn(usize) -> bool) -> Vec<RowRead> {
        let mut oracle = Oracle::new();
        for (number, (effect, _)) in self.events.iter().enumerate().filter(|(n, _)| happened(*n)) {
            let version = Version { stamp: Stamp(number as u64 + 1), origin: StoreId([0; 16]) };
            match effect {
                Effect::Write(rows) => oracle.write(version, rows),
                Effect::Delete(delete) => oracle.delete(version, delete.clone()),
            }
        }
        oracle.rows(&Query::all())
    }

    /// Is this what may be there after a crash? The log is a sequence: what survives is a beginning of it
    /// that ends no earlier than the last event that was durable.
    pub(crate) fn allows(&self, rows: &[RowRead], power_failed: bool) -> Result<(), String> {
        let sure = |told: Told| told == Told::Durable || (told == Told::Process && !power_failed);
        let least = self.events.iter().rposition(|(_, told)| sure(*told)).map_or(0, |at| at + 1);
        self.allows_from(rows, least)
    }

    /// Is this what a beginning of the events leaves, of so many at least?
    pub(crate) fn allows_from(&self, rows: &[RowRead], least: usize) -> Result<(), String> {
        let refused = |number: usize| self.events[number].1 == Told::Refused;
        for end in least..=self.events.len() {
            if same(&self.answer(|number| number < end && !refused(number)), rows) {
                return Ok(());
            }
        }
        let expected = self.answer(|number| number < least && !refused(number));
        Err(format!(
            "{least} events are certain, which leaves\n{}\nfound\n{}",
            show(&expected),
            show(rows)
        ))
    }

    /// The history as it is known after a recovery: what is there happened, the rest did not.
    pub(crate) fn settled(mut self, disk: &SimDisk) -> History {
        let copy = disk.restart();
        let store = subject::open(&copy, &subject::clock(79)).unwrap();
        let rows = whole_answer(&store, NAME).unwrap();
        copy.kill();
        let refused = |number: usize| self.events[number].1 == Told::Refused;
        let end = (0..=self.events.len())
            .rev()
            .find(|end| same(&self.answer(|number| number < *end && !refused(number)), &rows))
            .expect("it was checked before");
        self.events.truncate(end);
        for (_, told) in self.events.iter_mut().filter(|(_, told)| *told == Told::Unknown) {
            *told = Told::Process;
        }
        self
    }

    /// Is this what some of the events together leave? For disks that lie.
    pub(crate) fn allows_some(&self, rows: &[RowRead]) -> bool {
        assert!(self.events.len() < 12, "all subsets are tried");
        (0..1u32 << self.events.len())
            .any(|subset| same(&self.answer(|number| subset & (1 << number) != 0), rows))
    }

    /// Is this what the store must show now, alive?
    pub(crate) fn check_alive(&self, store: &Store) {
        let rows = whole_answer(store, NAME).unwrap();
        let visible =
            |number: usize| matches!(self.events[number].1, Told::Durable | Told::Process);
        let expected = self.answer(visible);
        assert!(same(&expected, &rows), "expected\n{}\nfound\n{}", show(&expected), show(&rows));
    }
}

/// A step that needs another store.
pub(crate) enum Stop {
    Reopen,
}

fn told<T>(outcome: Result<T, WriteError>, acknowledged: Told) -> Told {
    match outcome {
        Ok(_) => acknowledged,
        Err(WriteError::Poisoned) => Told::Unknown,
        // A dead process cannot tell what became of the call it died in.
        Err(error) if tidelog_tests::disk::is_killed(&error) => Told::Unknown,
        Err(_) => Told::Refused,
    }
}

/// Equal rows; columns that nobody wrote apart.
fn same(a: &[RowRead], b: &[RowRead]) -> bool {
    let values = |row: &RowRead| -> Vec<Value> { row.values.iter().flatten().cloned().collect() };
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| (&a.device, a.time) == (&b.device, b.time) && values(a) == values(b))
}

fn show(rows: &[RowRead]) -> String {
    let line = |row: &RowRead| {
        let text = format!("{:?}", row.values);
        let text = if text.len() > 200 { format!("{}…", &text[..200]) } else { text };
        format!("  {} {} {text}\n", row.device, row.time)
    };
    rows.iter().map(line).collect()
}

/// Opens what a crash left, with a clock of its own, and holds it against the history: it opens, nothing is
/// reported as damaged, what is there is allowed, and what is written now survives the worst crash.
pub(crate) fn check_recovered(disk: &SimDisk, history: &History, power_failed: bool) {
    check_lives_on(disk, history, power_failed, SimDisk::crash_lose_all);
}

/// The same, with another end than the worst: what a failed fsync was to save is never safe again, and lost with
/// the power although the store has it in its hands.
pub(crate) fn check_lives_on(
    disk: &SimDisk,
    history: &History,
    power_failed: bool,
    end: impl Fn(&SimDisk) -> SimDisk,
) {
    check_opens(disk, history, power_failed);
    let disk = &disk.restart();
    let clock = subject::clock(77);
    let store = subject::open(disk, &clock).unwrap();
    let before = whole_answer(&store, NAME).unwrap();
    let mut after = before.clone();
    let probe = rows(50, false).swap_remove(2);
    write(&store, NAME, std::slice::from_ref(&probe), Durability::Sync).unwrap();
    after.push(RowRead {
        device: probe.device,
        time: probe.time,
        values: probe.values.into_iter().map(|(_, value)| Some(value)).collect(),
    });
    after.sort_by(|a, b| (&a.device, a.time).cmp(&(&b.device, b.time)));
    disk.kill();
    drop(store);
    let store = subject::open(&end(disk), &clock).unwrap();
    assert!(store.open_report().is_clean(), "{:?}", store.open_report());
    let found = whole_answer(&store, NAME).unwrap();
    assert!(same(&after, &found), "expected\n{}\nfound\n{}", show(&after), show(&found));
    store.compact().unwrap();
    let found = whole_answer(&store, NAME).unwrap();
    assert!(same(&after, &found), "compacted: expected\n{}\nfound\n{}", show(&after), show(&found));
}

/// The first half of [`check_recovered`], cheaper.
pub(crate) fn check_opens(disk: &SimDisk, history: &History, power_failed: bool) {
    let copy = disk.restart();
    let store = match subject::open(&copy, &subject::clock(78)) {
        Ok(store) => store,
        Err(error) => panic!("does not open: {error}: {error:?}"),
    };
    assert!(store.open_report().is_clean(), "{:?}", store.open_report());
    let rows = whole_answer(&store, NAME).unwrap();
    if let Err(why) = history.allows(&rows, power_failed) {
        panic!("{why}");
    }
    copy.kill();
}
