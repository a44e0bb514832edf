//! What the C ABI costs against the engine it stands before. See benches/EMBEDDING.md, which says how the host is built.
//!
//!     embedding DIRECTORY HOST [ROUNDS]
//!
//! Each part is run in a process of its own, by C and by Rust in turns, on a store of its own.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tidelog_engine::{
    Batch, CollectionName, DeviceIndex, Durability, FieldIndex, FieldType, Query, Store, Values,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PER_BATCH: i64 = 1000;
const DEVICES: i64 = 10;
const STEP: i64 = 1_000_000_000;
/// Parts, and the rows of each.
const PARTS: [(&str, i64); 5] = [
    ("append", 4_000_000),
    ("rows", 2_000_000),
    ("single", 300_000),
    ("query", 1_000_000),
    ("stream", 1_000_000),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--side", dir, part, rows] => side(Path::new(dir), part, rows.parse()?),
        [dir, host] => compare(Path::new(dir), host, 7),
        [dir, host, rounds] => compare(Path::new(dir), host, rounds.parse()?),
        _ => Err("embedding DIRECTORY HOST [ROUNDS]".into()),
    }
}

/// What a run printed.
#[derive(Default)]
struct Told {
    seconds: f64,
    rows: f64,
    sum: String,
    allocated: f64,
}

fn run(command: &mut Command) -> Result<Told> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let mut told = Told::default();
    for line in String::from_utf8(output.stdout)?.lines() {
        match line.split_once(' ') {
            Some(("seconds", value)) => told.seconds = value.parse()?,
            Some(("rows", value)) => told.rows = value.parse()?,
            Some(("sum", value)) => value.clone_into(&mut told.sum),
            Some(("allocated", value)) => told.allocated = value.parse()?,
            _ => return Err(format!("a line that means nothing: {line}").into()),
        }
    }
    Ok(told)
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn compare(dir: &Path, host: &str, rounds: usize) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    println!("{:<8} {:>14} {:>14} {:>8}", "", "C, rows/s", "Rust, rows/s", "C/Rust");
    for (part, rows) in PARTS {
        let (mut c, mut rust) = (Vec::new(), Vec::new());
        let reads = matches!(part, "query" | "stream");
        let store = dir.join(part);
        let fresh = || if store.exists() { std::fs::remove_dir_all(&store) } else { Ok(()) };
        if reads {
            fresh()?;
            side(&store, "fill", rows)?;
        }
        let mut allocated = 0.0;
        for _ in 0..rounds {
            let number = rows.to_string();
            if !reads {
                fresh()?;
            }
            let one = run(Command::new(host).arg(&store).args([part, &number]))?;
            if !reads {
                fresh()?;
            }
            let own = std::env::current_exe()?;
            let other = run(Command::new(own).arg("--side").arg(&store).args([part, &number]))?;
            if (&one.sum, one.rows) != (&other.sum, other.rows) {
                return Err(format!("{part}: C read something else than Rust").into());
            }
            allocated = one.allocated;
            c.push(one.seconds);
            rust.push(other.seconds);
        }
        let (c, rust) = (median(c), median(rust));
        let speed = |seconds| rows as f64 / seconds;
        println!("{part:<8} {:>14.0} {:>14.0} {:>8.3}", speed(c), speed(rust), c / rust);
        if part == "stream" {
            // Times, places of devices, values.
            let result = rows as f64 * (8.0 + 4.0 + 8.0);
            println!("bytes asked of the allocator against the result: {:.3}", allocated / result);
        }
        fresh()?;
    }
    Ok(())
}

struct Side {
    store: Store,
    name: CollectionName,
    batch: Batch,
    devices: Vec<DeviceIndex>,
    field: FieldIndex,
}

fn level(row: i64) -> f64 {
    (row * 7 % 9973) as f64 / 100.0
}

/// The Rust side of a part.
fn side(dir: &Path, part: &str, rows: i64) -> Result<()> {
    let name = CollectionName::parse("bench.meter")?;
    let mut batch = Batch::for_collection(name.clone());
    let devices = (0..DEVICES).map(|at| batch.device(&format!("meter_{at}")));
    let devices = devices.collect::<std::result::Result<Vec<_>, _>>()?;
    let field = batch.field("level", FieldType::F64)?;
    let mut side = Side { store: Store::open(dir)?, name, batch, devices, field };
    match part {
        "append" => told(side.append(rows)?),
        "rows" => told(side.build(rows, PER_BATCH)?),
        "single" => told(side.build(rows, 1)?),
        "query" | "stream" => side.query()?,
        "fill" => {
            side.append(rows)?;
            side.store.seal()?;
        }
        _ => return Err("no such part".into()),
    }
    side.store.close()?;
    Ok(())
}

fn told(spent: Duration) {
    println!("seconds {:.9}", spent.as_secs_f64());
}

impl Side {
    fn append(&mut self, rows: i64) -> Result<Duration> {
        let mut spent = Duration::ZERO;
        for at in (0..rows).step_by(PER_BATCH as usize) {
            let times: Vec<i64> = (at..at + PER_BATCH).map(|row| row * STEP).collect();
            let values: Vec<f64> = (at..at + PER_BATCH).map(level).collect();
            let device = self.devices[(at / PER_BATCH % DEVICES) as usize];
            let begun = Instant::now();
            self.batch.clear();
            // By name, as C says it.
            let field = self.batch.field("level", FieldType::F64)?;
            self.batch.append_series(device, &times)?.f64(field, &values)?;
            self.store.write(&self.batch, Durability::Os)?;
            spent += begun.elapsed();
        }
        Ok(spent)
    }

    fn build(&mut self, rows: i64, per: i64) -> Result<Duration> {
        let begun = Instant::now();
        for at in (0..rows).step_by(per as usize) {
            self.batch.clear();
            for row in at..at + per {
                let device = self.devices[(row % DEVICES) as usize];
                self.batch.row(device, row * STEP)?.set(self.field, level(row))?;
            }
            self.store.write(&self.batch, Durability::Os)?;
        }
        Ok(begun.elapsed())
    }

    fn query(&self) -> Result<()> {
        let begun = Instant::now();
        let (mut rows, mut sum) = (0, 0.0);
        for block in self.store.query(&self.name, Query::new())? {
            let block = block?;
            let Values::F64(values) = block.columns[0].values() else {
                return Err("the field is of f64".into());
            };
            sum += values.iter().sum::<f64>();
            rows += block.rows();
        }
        told(begun.elapsed());
        println!("rows {rows}\nsum {sum:.2}");
        Ok(())
    }
}
