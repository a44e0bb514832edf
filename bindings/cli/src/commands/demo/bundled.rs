//! The bundled files, and their rows as a few lines of code see them that know nothing of the store.

use super::check::Rows;
use std::io;
use tidelog::Value;

pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) bytes: &'static [u8],
}

/// See `demo/README.md` for sources and licences.
pub(super) const SETS: [Set; 3] = [
    Set {
        name: "tide_gauge",
        what: "hourly sea level at two gauges",
        bytes: include_bytes!("../../../demo/tide_gauge.csv.zst"),
    },
    Set {
        name: "geolife_gps",
        what: "five GPS tracks",
        bytes: include_bytes!("../../../demo/geolife_gps.csv.zst"),
    },
    Set {
        name: "comma_wheel",
        what: "wheel speeds of a car",
        bytes: include_bytes!("../../../demo/comma_wheel.csv.zst"),
    },
];

impl Set {
    /// How many rows the file has.
    pub(super) fn lines(&self) -> io::Result<u64> {
        Ok(self.text()?.lines().count() as u64 - 1)
    }

    /// The rows. These files have numbers only, and no quotes: a column is whole numbers if all of
    /// its texts are, else floats.
    pub(super) fn rows(&self) -> io::Result<Rows> {
        let text = self.text()?;
        let lines: Vec<Vec<&str>> =
            text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let names: Vec<&str> = text.lines().next().unwrap_or_default().split(',').skip(2).collect();
        let is_whole: Vec<bool> = (0..names.len())
            .map(|column| {
                let mut texts = lines.iter().map(|line| line[column + 2]);
                texts.all(|text| text.is_empty() || text.parse::<i64>().is_ok())
            })
            .collect();
        let mut rows = Rows::new();
        for line in &lines {
            let time = line[1].parse().map_err(|_| io::ErrorKind::InvalidData)?;
            let row = rows.entry((line[0].to_owned(), time)).or_default();
            for ((name, text), is_whole) in names.iter().zip(&line[2..]).zip(&is_whole) {
                let value = match is_whole {
                    true => text.parse().map(Value::I64).ok(),
                    false => text.parse().map(Value::F64).ok(),
                };
                if let Some(value) = value {
                    row.insert((*name).to_owned(), value);
                }
            }
        }
        Ok(rows)
    }

    fn text(&self) -> io::Result<String> {
        let bytes = zstd::decode_all(self.bytes)?;
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}
