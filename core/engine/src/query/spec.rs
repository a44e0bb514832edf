//! What is asked: plain data with a builder.

use std::time::Duration;
use tidelog_model::{DeviceSelector, TimeRange, Timestamp, Value, ValueRef};

/// A query over one collection. Begin with [`Query::new`] (everything, raw) and narrow it.
///
/// Raw rows come by device and time. A row appears when it exists and, if fields are named, has a value
/// in one of them. With [`Query::every`] each window with rows becomes one row, named by its start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Query {
    pub(crate) devices: DeviceSelector,
    pub(crate) fields: Option<Vec<String>>,
    pub(crate) range: Option<TimeRange>,
    pub(crate) empty_range: bool,
    pub(crate) filter: Vec<Predicate>,
    pub(crate) every: Option<Every>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// Fields and the value that counts.
    pub(crate) in_state: Vec<(String, Value)>,
    pub(crate) group_by: GroupBy,
    pub(crate) fill: Fill,
    pub(crate) nearest: bool,
    /// Rollups do not stand for rows that are gone: points are chosen among rows.
    pub(crate) rows_only: bool,
    pub(crate) order: Order,
    pub(crate) limit: Option<u64>,
    pub(crate) threads: Option<usize>,
}

impl Query {
    /// All rows of all devices, all fields, by device and time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these devices. Calls narrow: list, prefix and labels must all match.
    #[must_use]
    pub fn devices(mut self, selector: DeviceSelector) -> Self {
        self.devices = selector;
        self
    }

    /// Only these fields, in this order.
    #[must_use]
    pub fn fields<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.fields = Some(fields.into_iter().map(Into::into).collect());
        self
    }

    /// Only times in `[from, to)`; `None` leaves an end open.
    #[must_use]
    pub fn range(mut self, from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        self.range = TimeRange::new(from, to);
        self.empty_range = self.range.is_none();
        self
    }

    /// Only rows that satisfy this; several must all hold. A row without the field never does.
    #[must_use]
    pub fn filter(mut self, predicate: Predicate) -> Self {
        self.filter.push(predicate);
        self
    }

    /// Aggregates per window instead of rows.
    #[must_use]
    pub fn every(mut self, every: Every) -> Self {
        self.every = Some(every);
        self
    }

    /// Which aggregates; mean when none is named. Without [`Self::every`], one window spans the range.
    #[must_use]
    pub fn aggregates(mut self, aggregates: impl IntoIterator<Item = Aggregate>) -> Self {
        self.aggregates = aggregates.into_iter().collect();
        self
    }

    /// How long a field had a value, in nanoseconds: a column `<field>_in_<value>` of `i64`, by window or over the whole
    /// range, behind the aggregates; without any aggregate the answer has such columns alone. Several calls add several.
    ///
    /// Among the values in the range a value holds from its time until the next one, the last until the end of
    /// the range, or where that is open, until its own time. Nothing is known before the first, and then the column
    /// is absent. A window without a value gets the time of the state carried into it, and so becomes a row. Devices that
    /// are grouped together add up.
    ///
    /// Fields of bool, string, `i64` or `u64`; of others [`NotAState`](crate::QueryError::NotAState). Stored rollups serve
    /// where nothing changes in them; elsewhere rows are read.
    #[must_use]
    pub fn time_in_state<'v>(
        mut self,
        field: impl Into<String>,
        value: impl Into<ValueRef<'v>>,
    ) -> Self {
        self.in_state.push((field.into(), value.into().to_owned()));
        self
    }

    /// One result per device (the default), or one over all of them.
    #[must_use]
    pub fn group_by(mut self, group_by: GroupBy) -> Self {
        self.group_by = group_by;
        self
    }

    /// Takes the nearest windows where retention has left no exact ones: a rollup then counts in the window that it begins
    /// in. [`Explain`](crate::Explain) tells how many did. Else such a query is an error,
    /// [`QueryError::ResolutionGone`](crate::QueryError::ResolutionGone).
    #[must_use]
    pub fn nearest(mut self, nearest: bool) -> Self {
        self.nearest = nearest;
        self
    }

    /// What stands in windows without rows.
    #[must_use]
    pub fn fill(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }

    /// The order of times inside a device.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// At most so many rows, the first in order.
    #[must_use]
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// At most so many threads, the caller's included; as many as there are cores unless set.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }
}

/// A condition on one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Predicate {
    /// The field's name.
    pub field: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what. Numbers compare with numbers of any type, exactly; NaN satisfies only `!=`.
    pub value: Value,
}

/// How a field is compared with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// The width of windows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Every {
    /// A fixed width, aligned to the Unix epoch in UTC.
    Duration(Duration),
    /// A calendar unit, in an IANA time zone or UTC. Weeks begin on Monday.
    Calendar {
        /// The unit.
        unit: Unit,
        /// The zone; `None` means UTC.
        zone: Option<String>,
    },
}

/// Calendar units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Fifteen minutes of the zone's clock.
    QuarterHour,
    /// Thirty minutes of the zone's clock.
    HalfHour,
    /// An hour of the zone's clock.
    Hour,
    /// A civil day.
    Day,
    /// Seven days from Monday.
    Week,
    /// A civil month.
    Month,
    /// Three months from January, April, July or October.
    Quarter,
    /// A civil year.
    Year,
}

/// What is computed of the values of a field in a window. NaN is counted, makes sums and means NaN, and
/// is skipped by min and max; -0.0 is less than +0.0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregate {
    /// Arithmetic mean, as `f64`. Integers are summed exactly first.
    Mean,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Sum: exact for integers (an error if it does not fit the type), in the fixed order of ROLLUP.md for floats.
    Sum,
    /// How many values there are, as `u64`. Every type.
    Count,
    /// The earliest value. Every type.
    First,
    /// The latest value. Every type.
    Last,
    /// Sample standard deviation, as `f64`; absent below two values.
    Stddev,
    /// When the least value stands first, as `i64` nanoseconds.
    MinTime,
    /// When the greatest value stands first, as `i64` nanoseconds.
    MaxTime,
    /// By how much a counter went up from the first value to the last, a fall being a restart at zero: exact for
    /// integers, an error if it does not fit the type.
    Increase,
    /// Increase per second between the first value and the last, as `f64`; absent where they stand at one time.
    Rate,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Aggregate; 12] = [
        Aggregate::Mean,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Sum,
        Aggregate::Count,
        Aggregate::First,
        Aggregate::Last,
        Aggregate::Stddev,
        Aggregate::MinTime,
        Aggregate::MaxTime,
        Aggregate::Increase,
        Aggregate::Rate,
    ];

    /// The name, as it stands in column names: `<field>_<name>`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Mean => "mean",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Sum => "sum",
            Aggregate::Count => "count",
            Aggregate::First => "first",
            Aggregate::Last => "last",
            Aggregate::Stddev => "stddev",
            Aggregate::MinTime => "min_time",
            Aggregate::MaxTime => "max_time",
            Aggregate::Increase => "increase",
            Aggregate::Rate => "rate",
        }
    }

    /// The aggregate with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregate| aggregate.name() == name)
    }
}

/// What results are computed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GroupBy {
    /// Each device by itself.
    #[default]
    Device,
    /// All devices together, folded in the order of their names. Rows have no device.
    None,
}

/// What stands in windows without a value, between the first and the last window of the range (of the
/// rows, where the range is open).
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Fill {
    /// Nothing: the window is left out.
    #[default]
    None,
    /// The window is there, its values are absent.
    Null,
    /// The value of the window before, at most so far back.
    Previous(Option<Duration>),
    /// On the line between the windows around, at most so far apart. Floats only; else as [`Fill::Null`].
    Linear(Option<Duration>),
    /// This number, in the column's type where that is exact; else absent.
    Value(f64),
}

/// The order of times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}
