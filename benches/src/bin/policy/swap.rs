//! What swapping policies does to writes: a store ingests, rounds are planned beside it, and in every other part of the
//! run the policy is loaded and swapped before each round. Both kinds of parts have the same writes and the same rounds.

use crate::{example, median};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidelog_engine::{Batch, CollectionName, Durability, FieldType, Store};
use tidelog_model::policy::{RepairPolicy, Step};
use tidelog_wasm::{Loader, Slot, Swap, golden_round};

/// Pairs of parts, with and without swaps.
const PAIRS: usize = 20;
/// Rounds of a part; so 1,000 swaps in all.
const ROUNDS: usize = 50;
/// From one round to the next.
const PACE: Duration = Duration::from_millis(20);
const ROWS: i64 = 100;
const DEVICES: i64 = 10;
/// From one batch to the next: 200,000 rows a second, which the store takes without making writers wait.
const BATCH: Duration = Duration::from_micros(500);

pub(crate) fn swaps() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let mut writes = Writes { store: &store, at: 0 };
    let mut rounds = Rounds::new(&folder.path().join("code"));
    let (mut quiet, mut swapped) = (Vec::new(), Vec::new());
    // The first part grows what grows.
    part(&mut writes, &mut rounds, false);
    for pair in 0..PAIRS {
        // Neither is always the first.
        for swapping in [pair % 2 == 0, pair % 2 == 1] {
            let times = part(&mut writes, &mut rounds, swapping);
            if swapping { swapped.push(times) } else { quiet.push(times) }
        }
    }
    println!(
        "\n| a batch of {ROWS} rows while rounds are planned | p50 | p99 | batches |\n|---|---|---|---|"
    );
    let show = |name: &str, parts: &[Vec<Duration>]| {
        let at = |part: usize| {
            median(parts.iter().map(|times| times[times.len() * part / 100]).collect())
        };
        let batches: usize = parts.iter().map(Vec::len).sum();
        println!("| {name} | {:.2?} | {:.2?} | {batches} |", at(50), at(99));
        at(99).as_secs_f64()
    };
    let (quiet, swapped) = (show("no swaps", &quiet), show("swaps", &swapped));
    println!("| p99 with swaps / without | {:.3} | | |", swapped / quiet);
    println!("| swaps | {} | | |", rounds.swaps);
    println!("| rounds lost or mixed | {} | of {} | |", rounds.wrong, rounds.planned);
    store.close().expect("a store that closes");
}

/// How long each batch took, sorted.
fn part(writes: &mut Writes<'_>, rounds: &mut Rounds, swapping: bool) -> Vec<Duration> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            rounds.plan(swapping);
            done.store(true, Ordering::Release);
        });
        let mut times = Vec::new();
        while !done.load(Ordering::Acquire) {
            let next = Instant::now() + BATCH;
            times.push(writes.one());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        times.sort();
        times
    })
}

struct Writes<'a> {
    store: &'a Store,
    at: i64,
}

impl Writes<'_> {
    fn one(&mut self) -> Duration {
        let name = CollectionName::parse("bench.meter").expect("a name");
        let mut batch = Batch::for_collection(name);
        let device = format!("meter_{}", self.at / ROWS % DEVICES);
        let device = batch.device(&device).expect("a device");
        let field = batch.field("level", FieldType::F64).expect("a field");
        let times: Vec<i64> = (self.at..self.at + ROWS).map(|row| row * 1_000_000).collect();
        let values: Vec<f64> = times.iter().map(|time| (time % 9_973) as f64).collect();
        self.at += ROWS;
        batch
            .append_series(device, &times)
            .and_then(|rows| rows.f64(field, &values).map(drop))
            .expect("rows");
        let start = Instant::now();
        self.store.write(&batch, Durability::Os).expect("a write");
        start.elapsed()
    }
}

/// Plans the same round again and again, by one of two policies.
struct Rounds {
    loader: Loader,
    slot: Slot,
    swap: Swap,
    /// What each of the two plans.
    plans: [(String, Vec<Step>); 2],
    swaps: usize,
    planned: usize,
    wrong: usize,
}

const FILES: [&str; 2] = ["metered-uplink.wasm", "freshness-budget.wasm"];

impl Rounds {
    fn new(code: &Path) -> Self {
        let loader = Loader::with_cache(code).expect("a folder for code");
        let plans = FILES.map(|file| {
            let mut policy = loader.load_file(&example(file)).expect("an example");
            let plan = policy.plan(&golden_round(100)).expect("a plan");
            (policy.name().to_owned(), plan)
        });
        assert_ne!(plans[0].1, plans[1].1, "or what is mixed is not seen");
        let (slot, swap) = Slot::new(loader.load_file(&example(FILES[0])).expect("an example"));
        Rounds { loader, slot, swap, plans, swaps: 0, planned: 0, wrong: 0 }
    }

    fn plan(&mut self, swapping: bool) {
        let round = golden_round(100);
        for _ in 0..ROUNDS {
            let next = Instant::now() + PACE;
            if swapping {
                self.swaps += 1;
                let file = example(FILES[self.swaps % 2]);
                self.swap.set(self.loader.load_file(&file).expect("an example"));
            }
            self.planned += 1;
            let plan = self.slot.plan(&round);
            let name = self.slot.policy().name();
            let right =
                |(own, steps): &(String, Vec<Step>)| own == name && plan.as_ref() == Ok(steps);
            self.wrong += usize::from(!self.plans.iter().any(right));
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}
