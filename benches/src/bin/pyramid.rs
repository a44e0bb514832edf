//! What the pyramid costs and what it gives: one figure a line. See benches/PYRAMID.md.
//!
//!     cargo run --release -p tidelog-benches --features engine --bin pyramid -- DIRECTORY [PART...]
//!
//! Parts: seal (making it, its bytes), upkeep (W in order and late), ask (windows and roots), late (one row in a large
//! store), ingest (W with the pyramid and without, in turns); and only when they are named late-short (a tenth of that
//! store), profile and profile-late (a tenth of W once). But for ingest the store has no threads of its own, so that what it
//! costs is spent by this one: CPU time, for the machine has other work too.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use tidelog_benches::workload::{self, FIELDS, Variant, Workload, device_name};
use tidelog_engine::model::digest::LeafHasher;
use tidelog_engine::{
    Batch, CollectionName, Column, Durability, Every, FieldType, Level, Options, Query, Store,
    TimeRange, Unit, Upkeep, ValueRef, Values,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const COLLECTION: &str = "bench.cpu";
const MINUTE: i64 = 60_000_000_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("name a directory for stores")?);
    let parts: Vec<String> = arguments.collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|named| named == part);
    std::fs::create_dir_all(&dir)?;
    if wanted("seal") {
        for variant in [Variant::Dec2, Variant::Int] {
            seal(&dir, variant)?;
        }
    }
    if wanted("upkeep") {
        digests()?;
        upkeep(&dir, 0.0)?;
        upkeep(&dir, 0.1)?;
    }
    if parts.iter().any(|part| part.starts_with("profile")) {
        profile(&dir, if wanted("profile-late") { 0.1 } else { 0.0 })?;
    }
    if wanted("ask") {
        ask(&dir)?;
    }
    if wanted("ingest") {
        ingest(&dir)?;
    }
    if parts.iter().any(|part| part == "late-short") {
        late(&dir, 1)?;
    }
    if wanted("late") {
        late(&dir, 10)?;
    }
    Ok(())
}

fn open(dir: &Path, pyramid: bool) -> Result<Store> {
    let options = Options::new().upkeep(Upkeep::Caller).pyramid(pyramid).memory_budget(256 << 20);
    Ok(options.open(dir)?)
}

fn fresh(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    Ok(path)
}

fn name() -> Result<CollectionName> {
    Ok(CollectionName::parse(COLLECTION)?)
}

fn print(figure: &str, value: f64, unit: &str) {
    println!("{figure:<44} {value:>12.3} {unit}");
}

/// Writes W; `each` is called after so many values as fill a flush.
fn write(
    store: &Store,
    options: workload::Options,
    mut each: impl FnMut(&Store) -> Result<()>,
) -> Result<u64> {
    let mut batch = Batch::for_collection(name()?);
    let devices = (0..1000)
        .map(|at| batch.device(&device_name(at)))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let fields = FIELDS
        .iter()
        .map(|field| batch.field(field, FieldType::F64))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let mut workload = Workload::new(options);
    let (mut values, mut since) = (0, 0);
    while let Some(rows) = workload.next_batch() {
        batch.clear();
        let of: Vec<_> = rows.devices.iter().map(|device| devices[*device as usize]).collect();
        let mut appended = batch.append(&of, rows.timestamps)?;
        for (field, column) in fields.iter().zip(rows.fields) {
            appended = appended.f64(*field, column)?;
        }
        store.write(&batch, Durability::Os)?;
        values += 10 * rows.len() as u64;
        since += 10 * rows.len();
        if since >= VALUES_FLUSHED / options.shard.1 as usize {
            since = 0;
            each(store)?;
        }
    }
    each(store)?;
    Ok(values)
}

/// About as many as a store of default options flushes at once.
const VALUES_FLUSHED: usize = 6_000_000;

/// Sealing all of W at once, and what it adds on disk.
fn seal(dir: &Path, variant: Variant) -> Result<()> {
    let path = fresh(dir, "seal")?;
    // Without a pyramid flushes seal nothing, so that all is left to be sealed from files.
    let store = open(&path, false)?;
    let values = write(&store, workload::Options { variant, ..Default::default() }, |store| {
        Ok(store.flush()?)
    })?;
    let flushed = store.stats().flushed_bytes as f64;
    store.close()?;
    let store = open(&path, true)?;
    let before = cpu();
    let report = store.seal()?;
    let seconds = (cpu() - before) / 1e9;
    let figure = |what: &str| format!("{what} {}", variant.name());
    print(&figure("seal from scratch"), values as f64 / seconds / 1e6, "M values/s of CPU");
    print(&figure("seal from scratch"), seconds * 1e9 / values as f64, "ns/value of CPU");
    let sealed = store.stats().sealed_bytes as f64;
    print(&figure("sealed against flushed"), sealed / flushed, "bytes/byte");
    assert_eq!(report.leaves, 10_000, "every hour of every device");
    store.compact()?;
    let bytes = |raw: bool| {
        store
            .tiers()
            .iter()
            .filter(|tier| (tier.tier == "raw") == raw)
            .map(|tier| tier.bytes)
            .sum::<u64>() as f64
    };
    print(&figure("pyramid against compacted rows"), 100.0 * bytes(false) / bytes(true), "%");
    print(&figure("compacted rows"), bytes(true) / values as f64, "bytes/value");
    Ok(())
}

/// CPU time of this thread, in ns. The machine is shared, and wall time is not ours alone.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// While writes keep coming the store's thread seals a group when so many of its files wait.
const FILES_WAITING: u64 = 8;

/// What upkeep costs while W comes: CPU of flushes and of all sealing, with the pyramid less without. The store has
/// no threads, so that all of it is of this one; it seals when the store's own thread would, and at the end.
fn upkeep(dir: &Path, late: f64) -> Result<()> {
    let what = if late > 0.0 { "upkeep, 10 % late" } else { "upkeep in order" };
    let once = |pyramid: bool| {
        let path = fresh(dir, "upkeep")?;
        let store = open(&path, pyramid)?;
        let groups = store.groups().len() as u64;
        let spent = std::cell::Cell::new(0.0);
        let options = workload::Options { late, ..Default::default() };
        let values = write(&store, options, |store| {
            let before = cpu();
            store.flush()?;
            if pyramid && store.stats().files_unsealed >= FILES_WAITING * groups {
                store.seal()?;
            }
            spent.set(spent.get() + cpu() - before);
            Ok(())
        })?;
        let before = cpu();
        if pyramid {
            store.seal()?;
        }
        let spent = spent.get() + cpu() - before;
        Ok::<_, Box<dyn std::error::Error>>((spent / values as f64, store.stats()))
    };
    let (mut with, mut without, mut bytes) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..ROUNDS {
        let (spent, stats) = once(true)?;
        with.push(spent);
        bytes = stats.sealed_bytes as f64 / stats.flushed_bytes as f64;
        without.push(once(false)?.0);
    }
    let (with, without) = (median(with), median(without));
    print(what, with - without, "ns/value of CPU");
    print(&format!("{what}: flushing alone"), without, "ns/value of CPU");
    print(what, bytes, "bytes sealed/byte flushed");
    Ok(())
}

/// Rounds of what is done with the pyramid and without, in turns.
const ROUNDS: usize = 5;

/// What digests cost at least: all leaves of W hashed from columns that are in hand, and BLAKE3 alone over bytes
/// that are gathered already.
fn digests() -> Result<()> {
    let rows = 360;
    let times: Vec<i64> = (0..rows as i64).map(|at| workload::T0 + at * workload::TICK).collect();
    let leaves: Vec<Vec<Column>> = {
        let mut workload = Workload::new(workload::Options { ticks: 360, ..Default::default() });
        let mut columns = vec![vec![Vec::with_capacity(rows); FIELDS.len()]; 1000];
        while let Some(batch) = workload.next_batch() {
            for (at, device) in batch.devices.iter().enumerate() {
                let of = columns[*device as usize].iter_mut().zip(batch.fields);
                of.for_each(|(column, values)| column.push(values[at]));
            }
        }
        let column = |values| Column::from_parts(Values::F64(values), None).ok_or("a column");
        let leaf = |columns: Vec<Vec<f64>>| columns.into_iter().map(column).collect();
        columns.into_iter().map(leaf).collect::<std::result::Result<_, _>>()?
    };
    let values = (1000 * rows * FIELDS.len()) as f64;
    let mut names = FIELDS;
    names.sort_unstable();
    let mut hasher = LeafHasher::new();
    let mut hashed = Vec::new();
    let mut alone = Vec::new();
    let bytes = vec![7u8; (rows * 8 * (FIELDS.len() + 1)).next_multiple_of(8192)];
    for _ in 0..3 * ROUNDS {
        let before = cpu();
        for columns in &leaves {
            let digest = hasher.whole(&times, 0..rows, names.into_iter().zip(columns));
            std::hint::black_box(digest);
        }
        hashed.push((cpu() - before) / values);
        let before = cpu();
        for _ in 0..leaves.len() {
            std::hint::black_box(blake3::hash(std::hint::black_box(&bytes)));
        }
        alone.push((cpu() - before) / values);
    }
    print("digests of leaves, columns in hand", median(hashed), "ns/value of CPU");
    print("BLAKE3 alone over their bytes", median(alone), "ns/value of CPU");
    Ok(())
}

/// A tenth of W once, for a profiler that counts instructions: wall and CPU time of the machine are shared.
fn profile(dir: &Path, late: f64) -> Result<()> {
    let path = fresh(dir, "profile")?;
    let store = open(&path, true)?;
    let groups = store.groups().len() as u64;
    let options = workload::Options { late, shard: (0, 10), ..Default::default() };
    let values = write(&store, options, |store| {
        store.flush()?;
        if store.stats().files_unsealed >= FILES_WAITING * groups {
            store.seal()?;
        }
        Ok(())
    })?;
    store.seal()?;
    print("profiled", values as f64, "values");
    Ok(())
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn timed(rounds: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let times = (0..rounds).map(|_| {
        let started = Instant::now();
        run()?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    });
    Ok(median(times.collect::<Result<Vec<f64>>>()?))
}

/// W from one writer until all of it is in files, with the pyramid kept up beside it and without.
fn ingest(dir: &Path) -> Result<()> {
    let once = |pyramid: bool| {
        let path = fresh(dir, "ingest")?;
        let store = Options::new().pyramid(pyramid).open(&path)?;
        let started = Instant::now();
        let values = write(&store, workload::Options::default(), |_| Ok(()))?;
        store.flush()?;
        let rate = values as f64 / started.elapsed().as_secs_f64() / 1e6;
        store.close()?;
        Ok::<f64, Box<dyn std::error::Error>>(rate)
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        with.push(once(true)?);
        without.push(once(false)?);
    }
    let (with, without) = (median(with), median(without));
    print("ingest of W with the pyramid, generator included", with, "M values/s");
    print("ingest of W without", without, "M values/s");
    print("ingest with against without", 100.0 * with / without, "%");
    Ok(())
}

/// Windows of all devices, long windows of one, and roots.
fn ask(dir: &Path) -> Result<()> {
    let path = fresh(dir, "ask")?;
    let store = open(&path, true)?;
    write(&store, workload::Options::default(), |store| Ok(store.flush()?))?;
    store.seal()?;
    store.compact()?;
    let hours = || {
        Query::new()
            .fields(["usage_user"])
            .every(Every::Duration(std::time::Duration::from_secs(3600)))
    };
    let cells = timed(51, || {
        let rows = store.query(&name()?, hours())?.collect_rows()?.rows();
        if rows == 10_000 { Ok(()) } else { Err(format!("{rows} cells").into()) }
    })?;
    print("per device per hour mean, 10,000 cells", cells, "ms");
    let raw = open_copy(&store, dir)?;
    let root = |store: &Store| {
        Ok::<_, Box<dyn std::error::Error>>(store.digests(&name()?, Level::Root, TimeRange::ALL)?)
    };
    let compared =
        timed(
            51,
            || if root(&store)? == root(&raw)? { Ok(()) } else { Err("roots differ".into()) },
        )?;
    print("roots of two stores of 36 M values", compared, "ms");
    let mut batch = Batch::new(COLLECTION)?;
    batch.push(
        "host_77",
        workload::T0 + 5 * 3_600_000_000_000,
        [("usage_user", ValueRef::F64(-1.0))],
    )?;
    raw.write(&batch, Durability::Os)?;
    raw.seal()?;
    let mut report = None;
    let located = timed(5, || {
        report = Some(store.compare(&raw, &name()?, |_| true)?);
        Ok(())
    })?;
    let report = report.ok_or("compared")?;
    assert_eq!(report.differences, 1);
    print("one differing row located", located, "ms");
    print("one differing row located", report.digests as f64, "digests of both stores");
    years(dir)
}

fn open_copy(store: &Store, dir: &Path) -> Result<Store> {
    let path = fresh(dir, "copy")?;
    store.backup(&path, |_, _| true)?;
    open(&path, true)
}

/// One device, one field, a row a minute for ten years.
fn years(dir: &Path) -> Result<()> {
    let path = fresh(dir, "years")?;
    let store = open(&path, true)?;
    let mut batch = Batch::new(COLLECTION)?;
    let device = batch.device("meter")?;
    let field = batch.field("level", FieldType::F64)?;
    let start = 1_451_606_400_000_000_000i64;
    let rows = 3653 * 1440;
    for from in (0..rows).step_by(100_000) {
        let times: Vec<i64> =
            (from..rows.min(from + 100_000)).map(|at| start + at * MINUTE).collect();
        let values: Vec<f64> =
            times.iter().map(|time| (time / MINUTE % 9973) as f64 / 100.0).collect();
        batch.clear();
        batch.append(&vec![device; times.len()], &times)?.f64(field, &values)?;
        store.write(&batch, Durability::Os)?;
    }
    store.seal()?;
    store.compact()?;
    for (what, unit) in [("daily", Unit::Day), ("monthly", Unit::Month), ("yearly", Unit::Year)] {
        let query = || Query::new().fields(["level"]).every(Every::Calendar { unit, zone: None });
        let took = timed(51, || {
            store.query(&name()?, query())?.collect_rows().map(drop).map_err(Into::into)
        })?;
        print(&format!("{what} mean over ten years of minutes"), took * 1e3, "us");
    }
    Ok(())
}

/// One late row among some years of 1,000 devices, a row every ten minutes.
fn late(dir: &Path, years: i64) -> Result<()> {
    let path = fresh(dir, "late")?;
    let store = open(&path, true)?;
    let mut batch = Batch::new(COLLECTION)?;
    let devices = (0..1000)
        .map(|at| batch.device(&device_name(at)))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let field = batch.field("level", FieldType::F64)?;
    let start = 1_451_606_400_000_000_000i64;
    let rows = years * 1461 / 4 * 144;
    for from in (0..rows).step_by(100) {
        let mut times = Vec::new();
        let mut of = Vec::new();
        for at in from..rows.min(from + 100) {
            times.extend(std::iter::repeat_n(start + at * 10 * MINUTE, 1000));
            of.extend_from_slice(&devices);
        }
        let values: Vec<f64> =
            times.iter().map(|time| (time / MINUTE % 9973) as f64 / 100.0).collect();
        batch.clear();
        batch.append(&of, &times)?.f64(field, &values)?;
        store.write(&batch, Durability::Os)?;
    }
    store.seal()?;
    store.compact()?;
    for round in 0..5 {
        let before = store.stats();
        let mut one = Batch::new(COLLECTION)?;
        one.push(
            "host_500",
            start + (200 + round) * 1440 * MINUTE + 7,
            [("level", ValueRef::F64(1.0))],
        )?;
        store.write(&one, Durability::Os)?;
        store.flush()?;
        let (started, before_cpu) = (Instant::now(), cpu());
        let report = store.seal()?;
        let (took, spent) = (started.elapsed().as_secs_f64() * 1e3, (cpu() - before_cpu) / 1e6);
        let stats = store.stats();
        print(&format!("one late row in {years} years x 1,000 devices"), spent, "ms of CPU");
        print("  until it is on disk", took, "ms");
        print("  leaves", report.leaves as f64, "");
        print("  nodes above", report.parents as f64, "");
        print("  windows of the digest tree", report.windows as f64, "");
        print("  written", (stats.sealed_bytes - before.sealed_bytes) as f64, "bytes");
    }
    Ok(())
}
