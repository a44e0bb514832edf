//! One measured figure of one engine, reported as one line of JSON.
//!
//! Tidelog and its peers report in the same form, and `compare.py` merges the lines into one table.
//! A line has `engine`, `version`, `figure`, `variant`, `devices`, `ticks`, `value` (the median),
//! `unit`, `min`, `median`, `max` and `runs` (their number); a query adds `rows` and `checksum`, a
//! reopening after a kill `lost`, and any figure may carry a `note`. One line more per engine, a
//! [`Setup`], has `settings` instead of a figure.

use std::fmt;

use crate::query::Answer;
use crate::workload::{Options, Variant};

/// A figure with every run it was taken from.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// The engine's name, in lower case.
    pub engine: &'static str,
    /// Its version.
    pub version: String,
    /// What was measured: `ingest_durable`, `q1`, `disk`, ...
    pub figure: String,
    /// The workload it was measured on.
    pub workload: Options,
    /// The unit of the runs.
    pub unit: &'static str,
    /// One value per run, in the order taken; never empty.
    pub runs: Vec<f64>,
    /// For queries: what the engine answered in run 0.
    pub answer: Option<Answer>,
    /// For reopening after a kill: acknowledged rows that were not found.
    pub lost: Option<u64>,
    /// How this figure departs from its plain reading, if it does.
    pub note: Option<String>,
}

impl Figure {
    fn variant(&self) -> String {
        variant_name(self.workload.variant, self.workload.late)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, median, max) = spread(&self.runs);
        write!(f, r#"{{"engine":{},"version":{}"#, Json(self.engine), Json(&self.version))?;
        write!(f, r#","figure":{},"variant":{}"#, Json(&self.figure), Json(&self.variant()))?;
        write!(f, r#","devices":{},"ticks":{}"#, self.workload.devices, self.workload.ticks)?;
        write!(f, r#","value":{median},"unit":{},"min":{min}"#, Json(self.unit))?;
        write!(f, r#","median":{median},"max":{max},"runs":{}"#, self.runs.len())?;
        if let Some(Answer { rows, checksum }) = self.answer {
            write!(f, r#","rows":{rows},"checksum":{checksum:.2}"#)?;
        }
        if let Some(lost) = self.lost {
            write!(f, r#","lost":{lost}"#)?;
        }
        if let Some(note) = &self.note {
            write!(f, r#","note":{}"#, Json(note))?;
        }
        f.write_str("}")
    }
}

/// How an engine was set up, told once beside its figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    /// The engine's name, in lower case.
    pub engine: &'static str,
    /// Its version.
    pub version: String,
    /// Schema and settings, in a sentence or two.
    pub settings: &'static str,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"engine":{},"version":{}"#, Json(self.engine), Json(&self.version))?;
        write!(f, r#","settings":{}}}"#, Json(self.settings))
    }
}

/// Least, median and greatest of the runs.
///
/// # Panics
/// When there are no runs, or one is not a number.
pub fn spread(runs: &[f64]) -> (f64, f64, f64) {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("a run is a number"));
    (sorted[0], percentile(&sorted, 0.5), sorted[sorted.len() - 1])
}

/// The value at or above which the given share of sorted values lies; between two, their mean.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() - 1) as f64 * share;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

fn variant_name(variant: Variant, late: f64) -> String {
    match late {
        0.0 => variant.name().to_owned(),
        share => format!("{},late={share}", variant.name()),
    }
}

/// A JSON string.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_line_of_json() {
        let figure = Figure {
            engine: "sqlite",
            version: "3".to_owned(),
            figure: "q1".to_owned(),
            workload: Options::default(),
            unit: "ms",
            runs: vec![3.0, 1.0, 2.0],
            answer: Some(Answer { rows: 60, checksum: 3385.961 }),
            lost: Some(0),
            note: Some("a \"note\"\n".to_owned()),
        };
        assert_eq!(
            figure.to_string(),
            r#"{"engine":"sqlite","version":"3","figure":"q1","variant":"dec2","devices":1000,"#
                .to_owned()
                + r#""ticks":3600,"value":2,"unit":"ms","min":1,"median":2,"max":3,"runs":3,"#
                + r#""rows":60,"checksum":3385.96,"lost":0,"note":"a \"note\"\u000a"}"#
        );
    }

    #[test]
    fn percentiles_lie_between_the_neighbours() {
        assert_eq!(percentile(&[1.0, 2.0], 0.5), 1.5);
        assert_eq!(percentile(&[1.0, 2.0, 3.0], 1.0), 3.0);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }
}
