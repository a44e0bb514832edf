//! Time in state: how long a field had a value. The rule is in `rollup/ROLLUP.md`.
//!
//! Times are joined across windows and nodes here, at query time, and become one more column beside the aggregates:
//! a rollup of which only the sum is asked.

mod clock;
mod read;
#[cfg(test)]
mod tests;

use super::filter::comparable;
use super::plan::{Caches, Context, QueryError};
use super::spec::{Aggregate, Query};
use super::totals::{Totals, Window};
use crate::codec::Scratch;
use crate::rollup::{Numbers, Rollup};
use crate::scan::Snapshot;
use clock::{Clock, Held};
use read::Reader;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tidelog_model::{CollectionName, DeviceSelector, FieldType, TimeRange, Value};

/// The states that a query asks for.
#[derive(Debug)]
pub(crate) struct InState {
    /// Reads their fields alone, the whole range as one window, so that the coarsest nodes serve.
    reading: Box<Context>,
    states: Vec<State>,
}

#[derive(PartialEq, Debug)]
struct State {
    /// `<field>_in_<state>`.
    name: String,
    /// Where its field stands among those that are read.
    at: usize,
    value: Value,
}

/// Without aggregates the answer has states alone, and no mean.
pub(super) fn alone(query: Query) -> Query {
    if query.in_state.is_empty() || !query.aggregates.is_empty() {
        return query;
    }
    // Of no field: it only says that the answer has windows.
    query.fields(Vec::<String>::new()).aggregates([Aggregate::Count])
}

impl InState {
    /// `None` when the query asks for no state.
    pub(super) fn new(
        name: &CollectionName,
        snapshot: &Snapshot,
        caches: &Caches,
        query: &Query,
    ) -> Result<Option<Self>, QueryError> {
        if query.in_state.is_empty() {
            return Ok(None);
        }
        let mut fields: Vec<&String> = query.in_state.iter().map(|(field, _)| field).collect();
        fields.sort_unstable();
        fields.dedup();
        let mut narrow = Query::new().fields(fields.iter().copied()).aggregates([Aggregate::Last]);
        narrow.range = query.range;
        narrow.empty_range = query.empty_range;
        narrow.filter.clone_from(&query.filter);
        // Devices are found once, by the query itself.
        narrow.devices = DeviceSelector { devices: Some(Vec::new()), ..DeviceSelector::all() };
        let mut reading = Context::new(name, snapshot.clone(), caches.clone(), narrow)?;
        // An integer is constant where its least value is its greatest.
        reading.wants.extremes = true;
        let mut states = Vec::new();
        for (field, value) in &query.in_state {
            let Some(at) = fields.iter().position(|known| *known == field) else { continue };
            let state = State::new(&reading, at, field, value)?;
            if !states.contains(&state) {
                states.push(state);
            }
        }
        Ok(Some(InState { reading: Box::new(reading), states }))
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.states.iter().map(|state| state.name.as_str())
    }

    /// What cancels the reading.
    pub(super) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reading.cancelled)
    }

    /// The windows of a device with a column more for each state, and those in which only states are known.
    pub(super) fn beside(
        &self,
        context: &Context,
        device: &str,
        (range, totals): (TimeRange, Totals),
        scratch: &mut Scratch,
    ) -> Result<Totals, QueryError> {
        let held = match self.held(context, device, (range, true), scratch) {
            Err(QueryError::Read(error)) if error.is_of_nodes() => {
                // Rows tell the same, and sealing makes the nodes anew.
                tracing::warn!(%error, "a file of the pyramid is damaged; rows are read instead");
                context.node_damage.add(context.group_of(device));
                self.held(context, device, (range, false), scratch)?
            }
            other => other?,
        };
        Ok(join(context, &totals, &held))
    }

    fn held(
        &self,
        context: &Context,
        device: &str,
        (range, trusted): (TimeRange, bool),
        scratch: &mut Scratch,
    ) -> Result<Vec<Vec<Held>>, QueryError> {
        let mut reader = Reader {
            reading: &self.reading,
            touched: &context.touched,
            states: &self.states,
            clocks: self.states.iter().map(|_| Clock::new(&context.windows)).collect(),
        };
        reader.device(device, range, trusted, scratch)?;
        let end = context.query.range.and_then(|range| range.last().checked_add(1));
        reader.clocks.into_iter().map(|clock| clock.finish(end)).collect()
    }
}

impl State {
    fn new(reading: &Context, at: usize, field: &str, value: &Value) -> Result<Self, QueryError> {
        let kind = reading.read[at].kind;
        let (field, with) = (field.to_owned(), value.field_type());
        match kind {
            FieldType::Bool | FieldType::String | FieldType::I64 | FieldType::U64 => {}
            FieldType::F64 | FieldType::F32 | FieldType::Bytes => {
                return Err(QueryError::NotAState { field, kind });
            }
        }
        if !comparable(kind, value) {
            return Err(QueryError::NotComparable { field, kind, with });
        }
        Ok(State { name: format!("{field}_in_{}", text(value)), at, value: value.clone() })
    }
}

/// A value as it stands in the name of a column.
fn text(value: &Value) -> String {
    match value {
        Value::F64(value) => value.to_string(),
        Value::F32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Lays the windows of totals and states over each other; all are in order of time.
fn join(context: &Context, totals: &Totals, held: &[Vec<Held>]) -> Totals {
    let kinds = || context.read[..context.asked].iter().map(|field| field.kind);
    let mut joined = Totals::new(context.width());
    let mut held: Vec<_> = held.iter().map(|held| held.iter().copied().peekable()).collect();
    let mut next_total = 0;
    loop {
        let total = totals.windows.get(next_total).copied();
        let known = held.iter_mut().filter_map(|held| held.peek().copied());
        let known = known.map(|held| Window { window: held.window, first: held.first });
        let next = total.into_iter().chain(known).min_by_key(|w| (w.window.first(), w.first));
        let Some(next) = next else { return joined };
        let is_next = |window: TimeRange| window.first() == next.window.first();
        let mut fields: Vec<Rollup> = match total {
            Some(total) if is_next(total.window) => {
                next_total += 1;
                totals.of(next_total - 1).to_vec()
            }
            _ => kinds().map(Rollup::new).collect(),
        };
        for held in &mut held {
            let here = held.next_if(|held| is_next(held.window));
            fields.push(here.map_or_else(|| Rollup::new(FieldType::I64), rollup));
        }
        joined.push(next, &fields);
    }
}

/// A time as a rollup: its sum. Those of several devices add up.
fn rollup(held: Held) -> Rollup {
    let first = Some((held.first, 0));
    let sum = held.nanoseconds;
    Rollup::I64(Numbers { count: 1, sum, first, last: first, ..Numbers::new() })
}
