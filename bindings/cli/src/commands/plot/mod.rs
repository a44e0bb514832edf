//! `tidelog plot`: fields of devices as line charts in the terminal.

mod canvas;
mod chart;

use super::print;
use crate::arguments::{Devices, Opener, Range, Target};
use crate::error::{CommandError, Outcome, say};
use chart::{Chart, Size, dots_across, to_f64};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::sync::Arc;
use tidelog::{
    Aggregate, CollectionName, Comparison, Device, DeviceSelector, Downsample, Predicate, Query,
    Store, TimeRange, Value,
};

/// Draw fields of devices as line charts in the terminal, one chart for each device and number field.
///
/// A line goes through the first, last, least and greatest value of each column of dots, so it covers the dots that a
/// line through all values would. NaN and infinite values are left out.
#[derive(Args, Debug)]
pub(crate) struct Plot {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    devices: Devices,
    /// Only this field. Several are drawn in the order they are named.
    #[arg(long = "field", value_name = "F")]
    fields: Vec<String>,
    #[command(flatten)]
    range: Range,
    /// Characters across, labels included. [default: the terminal's, or 80]
    #[arg(long, value_name = "N", value_parser = characters())]
    width: Option<usize>,
    /// Characters down, of the drawing alone.
    #[arg(long, value_name = "N", default_value = "12", value_parser = characters())]
    height: usize,
}

/// A terminal of more would be a wall; fewer than one is nothing.
fn characters() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1000)
}

/// More charts than these nobody reads at once.
const CHARTS_MAX: usize = 8;

/// A field of a device that has values, with its least and greatest.
struct Line {
    device: Arc<str>,
    field: String,
    bounds: (Value, Value),
}

impl Plot {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let collection = &self.target.collection;
        let store = opener.read(&self.target.store)?;
        let mut query = Query::new().devices(self.devices.selector());
        if !self.fields.is_empty() {
            query = query.fields(&self.fields);
        }
        if !self.range.is_open() {
            self.range.time_range()?;
            query = query.range(self.range.from, self.range.to);
        }
        let (lines, more) = lines(&store, collection, &query)?;
        if lines.is_empty() {
            print(&format!("{collection} has no numbers here: nothing to draw\n"))?;
            return Ok(Outcome::Done);
        }
        for (number, line) in lines.iter().enumerate() {
            let gap = if number > 0 { "\n" } else { "" };
            let chart = self.draw(&store, &query, line)?;
            print(&format!("{gap}{chart}"))?;
        }
        if more > 0 {
            let all = lines.len() + more;
            say(&format!("{} of {all} charts: choose by --device and --field", lines.len()));
        }
        Ok(Outcome::Done)
    }

    fn draw(&self, store: &Store, query: &Query, line: &Line) -> Result<String, CommandError> {
        let title = format!("{}  {}", tidelog::model::device::to_text(&line.device), line.field);
        let ends = [line.bounds.0.as_ref(), line.bounds.1.as_ref()];
        let mut query = of_line(query, line)?;
        let mut bounds = Some(line.bounds.clone());
        if ends.iter().any(|end| to_f64(*end).is_some_and(f64::is_infinite)) {
            query = finite(query, &line.field);
            bounds = lines(store, &self.target.collection, &query)?.0.pop().map(|line| line.bounds);
        }
        let Some((least, greatest)) = &bounds else {
            return Ok(format!("{title}\nno finite values\n"));
        };
        let bounds = (least.as_ref(), greatest.as_ref());
        let width = self.width.unwrap_or_else(terminal_width);
        let columns = dots_across(width, bounds);
        let mut points = Vec::new();
        for of_line in
            store.downsample(&self.target.collection, query, Downsample::M4 { columns })?
        {
            let of_line = of_line?;
            let values = (0..of_line.times.len()).map(|row| of_line.values.at(row));
            let values = values.map(|value| value.and_then(to_f64));
            let all = of_line.times.iter().zip(values);
            points.extend(all.filter_map(|(time, value)| Some((*time, value?))));
        }
        let Some(range) = self.drawn_range(&points) else {
            return Ok(format!("{title}\nno finite values\n"));
        };
        let to = self.range.to.map_or(range.last(), |to| to.0);
        let edges = (range.first(), to);
        Ok(Chart { title, bounds, range, edges, points }.draw(Size { width, height: self.height }))
    }

    /// What was asked for; where that is open, from the first point or to the last.
    fn drawn_range(&self, points: &[(i64, f64)]) -> Option<TimeRange> {
        let (first, last) = (points.first()?.0, points.last()?.0);
        let to = self.range.to.and_then(|to| to.0.checked_sub(1));
        TimeRange::inclusive(self.range.from.map_or(first, |from| from.0), to.unwrap_or(last))
    }
}

/// The first lines that a query selects, and how many more there are.
fn lines(
    store: &Store,
    collection: &CollectionName,
    query: &Query,
) -> Result<(Vec<Line>, usize), CommandError> {
    // Nothing is read here: this names the number fields, and refuses others by name.
    let fields = store.downsample(collection, query.clone(), Downsample::M4 { columns: 1 })?;
    let fields = fields.fields().to_vec();
    let bounds = query.clone().aggregates([Aggregate::Min, Aggregate::Max]);
    let (mut lines, mut more) = (Vec::new(), 0);
    for rows in store.query(collection, bounds)? {
        let rows = rows?;
        for row in 0..rows.rows() {
            for (pair, field) in rows.columns.chunks(2).zip(&fields) {
                let at = |of: usize| pair.get(of).and_then(|column| column.at(row));
                let (Some(least), Some(greatest)) = (at(0), at(1)) else { continue };
                let Some(device) = rows.device(row) else { continue };
                if lines.len() == CHARTS_MAX {
                    more += 1;
                    continue;
                }
                lines.push(Line {
                    device: Arc::clone(device),
                    field: field.name.clone(),
                    bounds: (least.to_owned(), greatest.to_owned()),
                });
            }
        }
    }
    Ok((lines, more))
}

/// The query of one line alone.
fn of_line(query: &Query, line: &Line) -> Result<Query, CommandError> {
    let device = Device::from_canonical(&line.device)?;
    Ok(query.clone().devices(DeviceSelector::one(device)).fields([&line.field]))
}

fn finite(query: Query, field: &str) -> Query {
    let within = |comparison, value| Predicate {
        field: field.to_owned(),
        comparison,
        value: Value::F64(value),
    };
    query
        .filter(within(Comparison::Greater, f64::NEG_INFINITY))
        .filter(within(Comparison::Less, f64::INFINITY))
}

/// Of the terminal that stdout is; 80 when it is none, so that files and pipes look alike everywhere.
fn terminal_width() -> usize {
    console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns)).max(1)
}
