//! The seven questions asked of W, and their answers worked out naively from the workload itself.
//!
//! A query is asked 22 times: run 0 is checked and warms up, runs 1..=21 are timed with other
//! devices and hours, so that no engine answers from a cache of one result.

use crate::workload::{Batch, FIELD_COUNT, Options, T0, TICK, Workload};

/// Timed runs of each query.
pub const RUNS: u32 = 21;
/// Rows that [`Query::Hundred`] returns.
pub const HUNDRED: u32 = 100;
/// The bound of [`Query::CountAbove`].
pub const ABOVE: f64 = 90.0;
/// One minute in ns.
pub const MINUTE: i64 = 60_000_000_000;
/// One hour in ns.
pub const HOUR: i64 = 60 * MINUTE;

/// One question. Spans are half-open, in ns UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Query {
    /// Q1: the greatest `usage_user` of one device per minute of one hour.
    MaxPerMinute {
        /// The device asked for.
        device: u32,
        /// The hour's first ns.
        start: i64,
        /// The ns past the hour.
        end: i64,
    },
    /// Q2: the mean `usage_user` of every device per minute of one hour.
    MeanPerMinute {
        /// The hour's first ns.
        start: i64,
        /// The ns past the hour.
        end: i64,
    },
    /// Q3: the last row of every device, all fields.
    Last,
    /// Q4: the mean `usage_user` of every device per hour of all of W.
    MeanPerHour,
    /// Q5: all rows of one device, all fields.
    Device {
        /// The device asked for.
        device: u32,
    },
    /// Q6: how many `usage_user` lie above [`ABOVE`].
    CountAbove,
    /// Q7: [`HUNDRED`] rows of one device, all fields, right after opening.
    Hundred {
        /// The device asked for.
        device: u32,
        /// The first row's ns.
        start: i64,
        /// The ns past the last row.
        end: i64,
    },
}

/// The names of the queries, by their number less one.
pub const NAMES: [&str; 7] = ["q1", "q2", "q3", "q4", "q5", "q6", "q7"];

impl Query {
    /// Query `number` (1..=7) as asked in a run.
    pub fn nth(number: usize, run: u32, workload: &Options) -> Query {
        let device = run * 37 % workload.devices;
        let hours = ((workload.end() - T0) / HOUR).max(1);
        let start = T0 + i64::from(run) % hours * HOUR;
        let end = (start + HOUR).min(workload.end());
        match number {
            1 => Query::MaxPerMinute { device, start, end },
            2 => Query::MeanPerMinute { start, end },
            3 => Query::Last,
            4 => Query::MeanPerHour,
            5 => Query::Device { device },
            6 => Query::CountAbove,
            7 => {
                let first = run * 101 % workload.ticks.saturating_sub(HUNDRED).max(1);
                let start = T0 + i64::from(first) * TICK;
                let end = (start + i64::from(HUNDRED) * TICK).min(workload.end());
                Query::Hundred { device, start, end }
            }
            _ => panic!("queries are numbered 1 to 7"),
        }
    }

    /// The answer by one pass over the workload: slow and obvious.
    pub fn expected(&self, workload: Options) -> Answer {
        let mut tally = Tally::new(*self, workload);
        let mut generator = Workload::new(workload);
        while let Some(batch) = generator.next_batch() {
            tally.add(batch);
        }
        tally.answer()
    }
}

/// What an engine answered, in brief: enough to see that all answered alike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Answer {
    /// Rows returned; for [`Query::CountAbove`] the one row.
    pub rows: u64,
    /// The sum of all values returned.
    pub checksum: f64,
}

impl Answer {
    /// Whether two answers differ by no more than the order of summation explains.
    pub fn agrees_with(&self, other: &Answer) -> bool {
        self.rows == other.rows && (self.checksum - other.checksum).abs() < 0.011
    }
}

/// Sums of one query in the making. Windows are indexed (device, window since [`T0`]).
struct Tally {
    query: Query,
    workload: Options,
    windows: std::collections::BTreeMap<(u32, i64), (f64, f64, f64)>,
    rows: u64,
    sum: f64,
}

impl Tally {
    fn new(query: Query, workload: Options) -> Self {
        Tally { query, workload, windows: Default::default(), rows: 0, sum: 0.0 }
    }

    fn add(&mut self, batch: Batch<'_>) {
        for row in 0..batch.len() {
            self.add_row(batch.devices[row], batch.timestamps[row], batch.values(row));
        }
    }

    fn add_row(&mut self, device: u32, timestamp: i64, values: [f64; FIELD_COUNT]) {
        match self.query {
            Query::MaxPerMinute { device: asked, start, end } => {
                if device == asked && (start..end).contains(&timestamp) {
                    self.add_to_window(device, timestamp / MINUTE, values[0]);
                }
            }
            Query::MeanPerMinute { start, end } => {
                if (start..end).contains(&timestamp) {
                    self.add_to_window(device, timestamp / MINUTE, values[0]);
                }
            }
            Query::Last => {
                if timestamp == self.workload.end() - TICK {
                    self.add_values(&values);
                }
            }
            Query::MeanPerHour => self.add_to_window(device, timestamp / HOUR, values[0]),
            Query::Device { device: asked } => {
                if device == asked {
                    self.add_values(&values);
                }
            }
            Query::CountAbove => {
                self.rows = 1;
                self.sum += f64::from(u8::from(values[0] > ABOVE));
            }
            Query::Hundred { device: asked, start, end } => {
                if device == asked && (start..end).contains(&timestamp) {
                    self.add_values(&values);
                }
            }
        }
    }

    fn add_values(&mut self, values: &[f64]) {
        self.rows += 1;
        self.sum += values.iter().sum::<f64>();
    }

    fn add_to_window(&mut self, device: u32, window: i64, value: f64) {
        let (max, sum, count) =
            self.windows.entry((device, window)).or_insert((f64::MIN, 0.0, 0.0));
        *max = max.max(value);
        *sum += value;
        *count += 1.0;
    }

    fn answer(self) -> Answer {
        if self.windows.is_empty() {
            return Answer { rows: self.rows, checksum: self.sum };
        }
        let of_window = |(max, sum, count): &(f64, f64, f64)| match self.query {
            Query::MaxPerMinute { .. } => *max,
            _ => sum / count,
        };
        Answer {
            rows: self.windows.len() as u64,
            checksum: self.windows.values().map(of_window).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers published for W (two decimals) by the first measurement of the peers, with
    /// another generator and eight engines.
    #[test]
    fn answers_for_all_of_w_are_the_published_ones() {
        let published = [
            (60, 3_385.96),
            (60_000, 3_017_463.66),
            (1_000, 492_007.07),
            (10_000, 497_453.06),
            (3_600, 1_684_494.15),
            (1, 367_783.0),
        ];
        let workload = Options::default();
        let mut tallies: Vec<Tally> =
            (1..=6).map(|number| Tally::new(Query::nth(number, 0, &workload), workload)).collect();
        let mut generator = Workload::new(workload);
        while let Some(batch) = generator.next_batch() {
            tallies.iter_mut().for_each(|tally| tally.add(batch));
        }
        for ((tally, name), (rows, checksum)) in tallies.into_iter().zip(NAMES).zip(published) {
            let (answer, published) = (tally.answer(), Answer { rows, checksum });
            assert!(answer.agrees_with(&published), "{name}: {answer:?}, not {published:?}");
        }
    }

    #[test]
    fn late_delivery_changes_no_answer() {
        let in_time = Options { devices: 20, ticks: 720, ..Options::default() };
        let late = Options { late: 0.1, ..in_time };
        for (number, name) in (1..).zip(NAMES) {
            let query = Query::nth(number, 3, &in_time);
            assert!(query.expected(in_time).agrees_with(&query.expected(late)), "{name}");
        }
    }

    #[test]
    fn hundred_returns_a_hundred_rows_in_every_run() {
        let workload = Options { devices: 20, ticks: 180, ..Options::default() };
        for run in 0..=RUNS {
            assert_eq!(Query::nth(7, run, &workload).expected(workload).rows, 100, "run {run}");
        }
    }
}
