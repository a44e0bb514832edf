//! `tidelog query`: rows, or aggregates over windows of time.

mod condition;
mod downsample;
mod fill;
mod time_in;
mod windows;

use super::{say_made_of, shown_time};
use crate::arguments::{Devices, Opener, Range, Target, schema};
use crate::error::{CommandError, Outcome};
use crate::print::{Format, Header, printer};
use crate::time::{Every, parse_every};
use clap::{Args, ValueEnum};
use condition::Condition;
use downsample::parse_downsample;
use fill::parse_fill;
use std::time::Instant;
use tidelog::{Aggregate, Downsample, Fill, GroupBy, Order, Predicate, Query, QueryError};
use time_in::parse_state;

/// Print rows, or aggregates over windows of time.
///
/// CSV has the columns device, timestamp_ns and one per field; an aggregate is <field>_<agg>. A window
/// is named by its start; windows without rows are left out unless filled.
#[derive(Args, Debug)]
pub(crate) struct QueryArguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    devices: Devices,
    /// Only this field. Several are printed in the order they are named.
    #[arg(long = "field", value_name = "F")]
    fields: Vec<String>,
    #[command(flatten)]
    range: Range,
    /// Aggregate over windows of this width: 500ms 10s 15m 6h, aligned to UTC, or one unit of the calendar,
    /// 1d 1w 1mo 1q 1y, or of the clock, 15m 30m 1h, in the zone of --tz. Weeks begin on Monday.
    #[arg(long, value_name = "WIDTH", value_parser = parse_every)]
    every: Option<Every>,
    /// The IANA time zone of calendar and clock windows, as Europe/Berlin. [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "every")]
    tz: Option<String>,
    /// Aggregates: mean min max sum count first last stddev min_time max_time increase rate. Without --every, over
    /// the whole range. [default with --every: mean]
    #[arg(long, value_name = "AGG,...", value_delimiter = ',', value_parser = parse_aggregate)]
    agg: Vec<Aggregate>,
    /// How long a field had a value, in nanoseconds, as 'state=on': a column <field>_in_<value> behind the aggregates, or
    /// alone. By window with --every, else over the whole range. Several are columns each.
    #[arg(long = "time-in", value_name = "FIELD=VALUE", value_parser = parse_state)]
    states: Vec<Condition>,
    /// Aggregate each device by itself, or all of them together.
    #[arg(long, value_name = "WHAT", default_value = "device")]
    group_by: Grouping,
    /// Only rows that satisfy this, as 'temp > 90' or 'state != "off"'. Several must all hold; a row
    /// without the field never does.
    #[arg(long = "where", value_name = "CONDITION", value_parser = Condition::parse)]
    conditions: Vec<Condition>,
    /// What stands in windows without rows: none, null, previous[:MAXGAP], linear[:MAXGAP] or a number.
    #[arg(long, value_parser = parse_fill, requires = "every", allow_hyphen_values = true)]
    fill: Option<Fill>,
    /// Where retention has left no exact windows, take the nearest: a rollup counts in the window that it begins in.
    #[arg(long)]
    nearest: bool,
    /// Reduce each number field of each device for a plot: minmax:N or lttb:N for N points (Steinarsson 2013), m4:N for
    /// N columns of pixels with up to four points each (Jugel et al. 2014). One row per point that is left, with its own
    /// field; NaN is skipped.
    #[arg(long, value_name = "METHOD:N", value_parser = parse_downsample)]
    downsample: Option<Downsample>,
    /// The order of times inside a device.
    #[arg(long, default_value = "asc")]
    order: TimeOrder,
    /// At most so many rows.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Tell on stderr what the answer was made of: rows, and stored rollups by level.
    #[arg(long)]
    explain: bool,
    /// How rows look.
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Grouping {
    Device,
    None,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum TimeOrder {
    Asc,
    Desc,
}

impl QueryArguments {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let begun = Instant::now();
        let mut query = self.query()?;
        let store = opener.read(&self.target.store)?;
        let collection = &self.target.collection;
        if !self.conditions.is_empty() || !self.states.is_empty() {
            let fields = schema(&store, collection)?
                .ok_or_else(|| QueryError::NoCollection { name: collection.clone() })?;
            for condition in &self.conditions {
                query = query.filter(condition.typed("--where", collection, &fields)?);
            }
            for state in &self.states {
                let Predicate { field, value, .. } =
                    state.typed("--time-in", collection, &fields)?;
                query = query.time_in_state(field, value.as_ref());
            }
        }
        if let Some(method) = self.downsample {
            let points = store.downsample(collection, query, method)?;
            return downsample::print(points, self.format, self.explain, begun);
        }
        let mut answer = store.query(collection, query)?;
        let header = Header::new(self.group_by == Grouping::Device, answer.fields());
        let mut printer =
            printer(self.format, header, std::io::stdout().lock()).map_err(CommandError::Output)?;
        for rows in answer.by_ref() {
            printer.print(&rows?).map_err(CommandError::Output)?;
        }
        printer.finish(shown_time(begun)).map_err(CommandError::Output)?;
        say_made_of(&answer.explain(), self.explain);
        Ok(Outcome::Done)
    }

    /// What the arguments ask for, without conditions: those need the types of fields.
    fn query(&self) -> Result<Query, CommandError> {
        let mut query = Query::new().devices(self.devices.selector()).aggregates(self.aggregates());
        if !self.fields.is_empty() {
            query = query.fields(&self.fields);
        }
        if !self.range.is_open() {
            self.range.time_range()?;
            query = query.range(self.range.from, self.range.to);
        }
        if let Some(every) = self.every {
            query = query.every(windows::windows(every, self.tz.as_deref())?);
        }
        if let Some(fill) = &self.fill {
            query = query.fill(fill.clone());
        }
        if let Some(rows) = self.limit {
            query = query.limit(rows);
        }
        let group_by = match self.group_by {
            Grouping::Device => GroupBy::Device,
            Grouping::None => GroupBy::None,
        };
        let order = match self.order {
            TimeOrder::Asc => Order::Ascending,
            TimeOrder::Desc => Order::Descending,
        };
        Ok(query.group_by(group_by).order(order).nearest(self.nearest))
    }

    /// As named, each once.
    fn aggregates(&self) -> Vec<Aggregate> {
        let mut aggregates = Vec::new();
        for aggregate in &self.agg {
            if !aggregates.contains(aggregate) {
                aggregates.push(*aggregate);
            }
        }
        aggregates
    }
}

fn parse_aggregate(name: &str) -> Result<Aggregate, String> {
    Aggregate::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Aggregate::ALL.into_iter().map(Aggregate::name).collect();
        format!("{name:?} is no aggregate: choose from {}", known.join(" "))
    })
}
