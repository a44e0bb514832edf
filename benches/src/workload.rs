//! Workload W: the shape of TSBS devops *cpu-only*, as columns, the same to the bit on every run.
//!
//! 1,000 devices report 10 fields every 10 s for 3,600 ticks: 3.6 million rows. Each (device, field)
//! is a random walk: it starts at a hundredth drawn evenly from 0..=100, takes steps close to
//! N(0, 1) and is clamped to 0..=100. The walk itself is never rounded, only what is reported of it.
//!
//! Every random number is `splitmix64(SEED)` at a known index: first one start per walk, device by
//! device and field by field, then one step per walk and tick in the same order. A shard of the
//! devices therefore reports what it would within the whole.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The seed of all of W.
pub const SEED: u64 = 42;
/// The first timestamp, 2026-11-20T00:00:00Z, in ns UTC.
pub const T0: i64 = 1_795_132_800 * SECOND;
/// From one tick to the next, in ns.
pub const TICK: i64 = 10 * SECOND;
/// The longest a late row is under way, in ticks: 24 h.
pub const LATE_TICKS_MAX: u32 = 8_640;
/// Fields of a row.
pub const FIELD_COUNT: usize = 10;
/// The fields' names, those of TSBS `cpu`.
pub const FIELDS: [&str; FIELD_COUNT] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];

/// The name of a device of W.
pub fn device_name(device: u32) -> String {
    format!("host_{device}")
}

/// How a walk is rounded when reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// To integers, as TSBS does.
    Int,
    /// To two decimals.
    Dec2,
}

impl Variant {
    /// The name reported with a figure.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Int => "int",
            Variant::Dec2 => "dec2",
        }
    }

    fn round(self, value: f64) -> f64 {
        match self {
            Variant::Int => value.round(),
            Variant::Dec2 => (value * 100.0).round() / 100.0,
        }
    }
}

impl std::str::FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "int" => Ok(Variant::Int),
            "dec2" => Ok(Variant::Dec2),
            _ => Err(format!("no variant {name:?}: use int or dec2")),
        }
    }
}

/// Which part of W to generate. The default is all of it, two decimals, in time order.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// Devices in the whole workload. Other than 1,000 they report other values.
    pub devices: u32,
    /// Ticks, from [`T0`] on.
    pub ticks: u32,
    /// How values are rounded.
    pub variant: Variant,
    /// The share of rows delivered late, by up to [`LATE_TICKS_MAX`] ticks in random order, 0 to 1.
    /// What is still under way after the last tick follows in full batches.
    pub late: f64,
    /// Rows of a batch, of whole ticks and at least one.
    pub batch_rows: u32,
    /// Generate only the given one of so many equal slices of the devices: (index, count).
    pub shard: (u32, u32),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            devices: 1_000,
            ticks: 3_600,
            variant: Variant::Dec2,
            late: 0.0,
            batch_rows: 1_000,
            shard: (0, 1),
        }
    }
}

impl Options {
    /// Rows the whole workload delivers, over all shards.
    pub fn rows(&self) -> u64 {
        u64::from(self.devices) * u64::from(self.ticks)
    }

    /// The timestamp just past the last tick.
    pub fn end(&self) -> i64 {
        T0 + i64::from(self.ticks) * TICK
    }

    fn shard_devices(&self) -> std::ops::Range<u32> {
        let (index, count) = self.shard;
        assert!(index < count, "a shard's index lies below the count of shards");
        let bound = |i: u32| (u64::from(self.devices) * u64::from(i) / u64::from(count)) as u32;
        bound(index)..bound(index + 1)
    }

    /// By how many ticks a device's row of a tick is late.
    fn lateness(&self, tick: u32, device: u32) -> Option<u32> {
        if self.late == 0.0 {
            return None;
        }
        let row = u64::from(tick) * u64::from(self.devices) + u64::from(device);
        let draw = random(LATE_SEED, row);
        let chance = (draw >> 32) as f64 / (1u64 << 32) as f64;
        let ticks = (draw as u32) % LATE_TICKS_MAX + 1;
        (chance < self.late).then_some(ticks)
    }
}

/// Rows in columns, all of one length. Row `i` is `devices[i]`, `timestamps[i]`, `fields[..][i]`.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Device indices; [`device_name`] names them.
    pub devices: &'a [u32],
    /// Timestamps in ns UTC.
    pub timestamps: &'a [i64],
    /// Values, in the order of [`FIELDS`].
    pub fields: [&'a [f64]; FIELD_COUNT],
}

impl Batch<'_> {
    /// Rows in the batch.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// The values of one row.
    pub fn values(&self, row: usize) -> [f64; FIELD_COUNT] {
        std::array::from_fn(|field| self.fields[field][row])
    }
}

/// The columns of a [`Batch`], owned: to gather several batches into one, or keep them.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Columns {
    devices: Vec<u32>,
    timestamps: Vec<i64>,
    fields: [Vec<f64>; FIELD_COUNT],
}

impl Columns {
    /// Empty columns with room for so many rows.
    pub fn with_capacity(rows: usize) -> Self {
        Columns {
            devices: Vec::with_capacity(rows),
            timestamps: Vec::with_capacity(rows),
            fields: std::array::from_fn(|_| Vec::with_capacity(rows)),
        }
    }

    /// The columns as slices.
    pub fn as_batch(&self) -> Batch<'_> {
        Batch {
            devices: &self.devices,
            timestamps: &self.timestamps,
            fields: std::array::from_fn(|field| self.fields[field].as_slice()),
        }
    }

    /// Appends a batch.
    pub fn extend(&mut self, batch: Batch<'_>) {
        self.devices.extend_from_slice(batch.devices);
        self.timestamps.extend_from_slice(batch.timestamps);
        for (column, values) in self.fields.iter_mut().zip(batch.fields) {
            column.extend_from_slice(values);
        }
    }

    /// Drops the rows and keeps the room.
    pub fn clear(&mut self) {
        self.devices.clear();
        self.timestamps.clear();
        self.fields.iter_mut().for_each(Vec::clear);
    }

    fn push(&mut self, row: Row) {
        self.devices.push(row.device);
        self.timestamps.push(row.timestamp);
        for (column, value) in self.fields.iter_mut().zip(row.values) {
            column.push(value);
        }
    }
}

/// A running generator. [`Workload::next_batch`] fills the same columns over and over.
#[derive(Debug)]
pub struct Workload {
    options: Options,
    devices: std::ops::Range<u32>,
    walks: Vec<f64>,
    tick: u32,
    ticks_per_batch: u32,
    columns: Columns,
    backlog: Backlog,
}

impl Workload {
    /// A generator at the first tick.
    pub fn new(options: Options) -> Self {
        assert!((0.0..=1.0).contains(&options.late), "the late share lies within 0..=1");
        let devices = options.shard_devices();
        let walks = walk_indices(&devices).map(|walk| start(random(SEED, walk))).collect();
        let ticks_per_batch = (options.batch_rows / (devices.len() as u32).max(1)).max(1);
        let rows = devices.len() * ticks_per_batch as usize;
        let late_rows = devices.len() as f64 * f64::from(options.ticks) * options.late;
        Workload {
            options,
            devices,
            walks,
            tick: 0,
            ticks_per_batch,
            columns: Columns::with_capacity(rows + (rows as f64 * options.late * 2.0) as usize),
            backlog: Backlog::with_capacity((late_rows * 1.1) as usize),
        }
    }

    /// The rows delivered next, or `None` after the last.
    ///
    /// Without late rows these are one or more ticks, each of all devices in order. Otherwise the
    /// late rows that arrive at a tick follow those that are in time.
    pub fn next_batch(&mut self) -> Option<Batch<'_>> {
        self.columns.clear();
        while self.tick < self.options.ticks {
            for _ in 0..self.ticks_per_batch.min(self.options.ticks - self.tick) {
                self.report();
                self.backlog.deliver_until(self.tick, &mut self.columns);
                self.tick += 1;
            }
            // Every row may have been late.
            if !self.columns.devices.is_empty() {
                return Some(self.columns.as_batch());
            }
        }
        self.backlog.deliver_rows(self.options.batch_rows as usize, &mut self.columns);
        (!self.columns.devices.is_empty()).then(|| self.columns.as_batch())
    }

    /// Walks every device of the shard by one step.
    fn report(&mut self) {
        let timestamp = T0 + i64::from(self.tick) * TICK;
        let walks_per_tick = u64::from(self.options.devices) * FIELD_COUNT as u64;
        let draws_before = walks_per_tick * (u64::from(self.tick) + 1);
        let options = self.options;
        let mut draws = walk_indices(&self.devices);
        for (device, walks) in self.devices.clone().zip(self.walks.chunks_exact_mut(FIELD_COUNT)) {
            let mut values = [0.0; FIELD_COUNT];
            for (value, walk) in values.iter_mut().zip(walks) {
                let draw = draws_before + draws.next().expect("one draw for each walk");
                *walk = (*walk + step(random(SEED, draw))).clamp(0.0, 100.0);
                *value = options.variant.round(*walk);
            }
            let row = Row { device, timestamp, values };
            match options.lateness(self.tick, device) {
                Some(ticks) => self.backlog.push(self.tick + ticks, row),
                None => self.columns.push(row),
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    device: u32,
    timestamp: i64,
    values: [f64; FIELD_COUNT],
}

/// Late rows under way, soonest due first. Rows due at one tick arrive in random order.
#[derive(Debug)]
struct Backlog {
    due: BinaryHeap<Reverse<(u32, u64, usize)>>,
    rows: Vec<Row>,
    free: Vec<usize>,
}

impl Backlog {
    fn with_capacity(rows: usize) -> Self {
        Backlog {
            due: BinaryHeap::with_capacity(rows),
            rows: Vec::with_capacity(rows),
            free: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, due: u32, row: Row) {
        let shuffle = random(LATE_SEED ^ row.timestamp as u64, u64::from(row.device));
        let slot = match self.free.pop() {
            Some(slot) => {
                self.rows[slot] = row;
                slot
            }
            None => {
                self.rows.push(row);
                self.rows.len() - 1
            }
        };
        self.due.push(Reverse((due, shuffle, slot)));
    }

    fn deliver_until(&mut self, tick: u32, columns: &mut Columns) {
        while self.due.peek().is_some_and(|Reverse((due, ..))| *due <= tick) {
            self.deliver_rows(1, columns);
        }
    }

    fn deliver_rows(&mut self, count: usize, columns: &mut Columns) {
        for _ in 0..count {
            let Some(Reverse((_, _, slot))) = self.due.pop() else { return };
            columns.push(self.rows[slot]);
            self.free.push(slot);
        }
    }
}

/// Lateness has draws of its own, so that asking for late rows changes no value.
const LATE_SEED: u64 = SEED ^ 0x6c61_7465;
const SECOND: i64 = 1_000_000_000;

fn walk_indices(devices: &std::ops::Range<u32>) -> std::ops::Range<u64> {
    let fields = FIELD_COUNT as u64;
    u64::from(devices.start) * fields..u64::from(devices.end) * fields
}

/// The output of splitmix64 at an index, after Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators" (2014). Its state is a counter, so any output is one call away.
fn random(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(index.wrapping_add(1)));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn start(draw: u64) -> f64 {
    (draw % 10_001) as f64 / 100.0
}

/// A step close to N(0, 1): four even 16-bit draws summed (Irwin-Hall), centred and scaled.
fn step(draw: u64) -> f64 {
    let quarter = |i: u32| (draw >> (16 * i)) & 0xffff;
    let sum = quarter(0) + quarter(1) + quarter(2) + quarter(3);
    (sum as f64 / 65_535.0 - 2.0) * 3f64.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Options = Options {
        devices: 20,
        ticks: 500,
        variant: Variant::Dec2,
        late: 0.0,
        batch_rows: 20,
        shard: (0, 1),
    };

    fn all(options: Options) -> Columns {
        let mut columns = Columns::default();
        let mut workload = Workload::new(options);
        while let Some(batch) = workload.next_batch() {
            columns.extend(batch);
        }
        columns
    }

    fn sorted(columns: &Columns) -> Vec<(i64, u32, [u64; FIELD_COUNT])> {
        let batch = columns.as_batch();
        let mut rows: Vec<_> = (0..batch.len())
            .map(|i| (batch.timestamps[i], batch.devices[i], batch.values(i).map(f64::to_bits)))
            .collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn two_runs_are_equal() {
        assert_eq!(all(SMALL), all(SMALL));
        let late = Options { late: 0.1, ..SMALL };
        assert_eq!(all(late), all(late));
    }

    #[test]
    fn a_tick_holds_every_device_once_in_order() {
        let mut workload = Workload::new(SMALL);
        for tick in 0..SMALL.ticks {
            let batch = workload.next_batch().unwrap();
            assert!(batch.devices.iter().copied().eq(0..SMALL.devices));
            assert!(batch.timestamps.iter().all(|&t| t == T0 + i64::from(tick) * TICK));
            assert!(batch.fields.iter().all(|values| values.len() == batch.len()));
        }
        assert!(workload.next_batch().is_none());
    }

    #[test]
    fn batches_hold_whole_ticks() {
        let mut workload = Workload::new(Options { batch_rows: 70, ..SMALL });
        let mut lens = Vec::new();
        while let Some(batch) = workload.next_batch() {
            lens.push(batch.len());
        }
        assert_eq!(lens.len(), 500usize.div_ceil(3));
        assert!(lens[..lens.len() - 1].iter().all(|&len| len == 60));
        let mut gathered = Options { batch_rows: 70, ..SMALL };
        assert_eq!(all(gathered), all(SMALL));
        gathered.late = 1.0;
        assert_eq!(sorted(&all(gathered)), sorted(&all(SMALL)));
    }

    #[test]
    fn values_stay_in_range_and_are_rounded() {
        for (variant, scale) in [(Variant::Int, 1.0), (Variant::Dec2, 100.0)] {
            let columns = all(Options { variant, ..SMALL });
            for &value in columns.fields.iter().flatten() {
                assert!((0.0..=100.0).contains(&value));
                assert_eq!(value, (value * scale).round() / scale);
            }
        }
    }

    #[test]
    fn steps_have_mean_zero_and_variance_one() {
        let steps: Vec<f64> = (0..100_000).map(|i| step(random(SEED, i))).collect();
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        let variance = steps.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / steps.len() as f64;
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.02, "variance {variance}");
    }

    #[test]
    fn shards_together_are_the_whole() {
        let whole = sorted(&all(SMALL));
        let mut parts = Columns::default();
        for index in 0..3 {
            parts.extend(all(Options { shard: (index, 3), ..SMALL }).as_batch());
        }
        assert_eq!(sorted(&parts), whole);
    }

    #[test]
    fn late_rows_arrive_once_and_out_of_order() {
        let in_time = all(SMALL);
        let late = all(Options { late: 0.1, ..SMALL });
        assert_eq!(sorted(&late), sorted(&in_time));
        let steps_back = late.timestamps.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let share = steps_back as f64 / late.timestamps.len() as f64;
        assert!((0.02..0.1).contains(&share), "{share} of the rows step back in time");
    }

    #[test]
    fn late_rows_are_late_by_a_day_at_most() {
        let mut workload = Workload::new(Options { late: 0.3, ticks: 9_000, ..SMALL });
        for tick in 0..9_000 {
            let oldest = *workload.next_batch().unwrap().timestamps.iter().min().unwrap();
            let now = T0 + i64::from(tick) * TICK;
            assert!(now - oldest <= i64::from(LATE_TICKS_MAX) * TICK);
        }
    }
}
