//! What is written: real series that come with the command, as CSV.

use std::fmt::Write;

/// Rows of CSV under a header.
pub(crate) struct Series {
    header: String,
    rows: Vec<String>,
}

/// Hourly sea levels of a year at two places, `honolulu2010` and `can1998`.
pub(crate) fn tide() -> [Series; 2] {
    let all = Series::read(include_bytes!("../../demo/tide_gauge.csv.zst"));
    let of = |device: &str| {
        let rows = all.rows.iter().filter(|row| row.starts_with(device)).cloned().collect();
        Series { header: all.header.clone(), rows }
    };
    [of("honolulu2010"), of("can1998")]
}

/// The speeds of four wheels of a car, a minute at 83 Hz: numbers that hardly shrink.
pub(crate) fn wheels() -> Series {
    Series::read(include_bytes!("../../demo/comma_wheel.csv.zst"))
}

impl Series {
    fn read(packed: &[u8]) -> Self {
        let text = String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap();
        let mut lines = text.lines().map(str::to_owned);
        Series { header: lines.next().unwrap(), rows: lines.collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Some of the rows.
    pub(crate) fn csv(&self, rows: std::ops::Range<usize>) -> String {
        format!("{}\n{}\n", self.header, self.rows[rows].join("\n"))
    }

    /// Some of the rows with another value in the last column: a correction.
    pub(crate) fn corrected(&self, rows: std::ops::Range<usize>, value: &str) -> String {
        let corrected = self.rows[rows].iter().map(|row| {
            let (before, _) = row.rsplit_once(',').unwrap();
            format!("{before},{value}\n")
        });
        format!("{}\n{}", self.header, corrected.collect::<String>())
    }

    /// All rows once more as those of another device.
    pub(crate) fn renamed(&self, device: &str) -> String {
        let mut text = format!("{}\n", self.header);
        for row in &self.rows {
            let (_, rest) = row.split_once(',').unwrap();
            let _ = writeln!(text, "{device},{rest}");
        }
        text
    }

    /// When a row is.
    pub(crate) fn time(&self, row: usize) -> i64 {
        self.rows[row].split(',').nth(1).unwrap().parse().unwrap()
    }
}
